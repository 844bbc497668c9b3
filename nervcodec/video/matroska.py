"""Pixel aspect and rotation in Matroska and WebM files, which PyAV has no way to ask FFmpeg's muxer
for.

The muxer is given a name for the track; once the file is written, that name makes room for the
display size and the projection (RFC 9559, section 5.1.4.1.28), so that nothing else in the file
moves.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

# A name for the track as long as what takes its place.
PLACEHOLDER = "nervcodec: pixel aspect and rotation"
_SEGMENT = 0x18538067
_TRACKS = 0x1654AE6B
_TRACK_ENTRY = 0xAE
_NAME = 0x536E
_VIDEO = 0xE0
_CRC32 = 0xBF
_VOID = 0xEC
_DISPLAY_WIDTH = 0x54B0
_DISPLAY_HEIGHT = 0x54BA
_DISPLAY_UNIT = 0x54B2
_PROJECTION = 0x7670
_PROJECTION_TYPE = 0x7671
_POSE_YAW = 0x7673
_POSE_ROLL = 0x7675
_RECTANGULAR = b"\x00"  # of ProjectionType
_UNIT_ASPECT = b"\x03"  # of DisplayUnit: width and height are but a ratio
_HEAD_BYTES = 1 << 20  # the tracks stand before the frames


class _Element(NamedTuple):
    """Element of EBML: its id, and where it, its data and the next one begin."""

    id: int
    start: int
    data: int
    end: int


def write_geometry(
    path: Path, width: int, height: int, ratio: Fraction, rotation: tuple[int, bool] = (0, False)
) -> None:
    """Say in a file whose first track, named PLACEHOLDER, is video how its frames are shown.

    A file that is laid out otherwise than FFmpeg does stays as it is.

    Args:
        path: a Matroska or WebM file that is complete.
        width, height: of its frames, in pixels.
        ratio: width : height of one pixel.
        rotation: degrees counterclockwise, and whether frames are mirrored.
    """
    with open(path, "r+b") as file:
        head = file.read(_HEAD_BYTES)
        segment = _child(head, _SEGMENT, 0, len(head))
        tracks = segment and _child(head, _TRACKS, segment.data, len(head))
        entry = tracks and _child(head, _TRACK_ENTRY, tracks.data, tracks.end)
        if not tracks or not entry or tracks.end > len(head):
            return
        display = _display(width * ratio / height) if ratio != 1 else b""
        display += _projection(*rotation) if rotation != (0, False) else b""
        changed = _with_display(head[entry.data : entry.end], display)
        if changed is None:
            return
        data = head[tracks.data : entry.data] + changed + head[entry.end : tracks.end]
        file.seek(tracks.data)
        file.write(_with_checksum(data))


def _display(shape: Fraction) -> bytes:
    """Return the elements of the width : height of a frame."""
    return (
        _element(_DISPLAY_WIDTH, shape.numerator.to_bytes(4, "big"))
        + _element(_DISPLAY_HEIGHT, shape.denominator.to_bytes(4, "big"))
        + _element(_DISPLAY_UNIT, _UNIT_ASPECT)
    )


def _projection(degrees: int, is_mirrored: bool) -> bytes:
    """Return the element that turns the frames, as FFmpeg reads it: half a turn of yaw mirrors."""
    yaw = _element(_POSE_YAW, struct.pack(">f", 180)) if is_mirrored else b""
    if is_mirrored:  # the angle is that of the mirrored picture
        degrees += 180 if degrees <= 0 else -180
    roll = _element(_POSE_ROLL, struct.pack(">f", degrees))
    return _element(_PROJECTION, _element(_PROJECTION_TYPE, _RECTANGULAR) + yaw + roll)


def _with_display(entry: bytes, display: bytes) -> bytes | None:
    """Return the data of a track with elements more in its video, as long as before."""
    name = _child(entry, _NAME, 0, len(entry))
    video = _child(entry, _VIDEO, 0, len(entry))
    if name is None or video is None or entry[name.data : name.end] != PLACEHOLDER.encode():
        return None
    parts = {
        name.start: b"",
        video.start: _element(_VIDEO, entry[video.data : video.end] + display),
    }
    changed = b"".join(
        parts.get(element.start, entry[element.start : element.end])
        for element in _elements(entry, 0, len(entry))
    )
    n_left = len(entry) - len(changed)
    if n_left == 0:
        return changed
    return changed + _element(_VOID, bytes(n_left - 2)) if n_left >= 2 else None


def _with_checksum(data: bytes) -> bytes:
    """Return the data of an element with its CRC-32, if it begins with one, made anew."""
    first = next(_elements(data, 0, len(data)))
    if first.id != _CRC32:
        return data
    rest = data[first.end :]
    return data[: first.data] + zlib.crc32(rest).to_bytes(4, "little") + rest


def _child(data: bytes, wanted: int, start: int, end: int) -> _Element | None:
    return next((e for e in _elements(data, start, end) if e.id == wanted), None)


def _elements(data: bytes, start: int, end: int) -> Iterator[_Element]:
    """Yield the elements between two places; the end of one of unknown size is `end`."""
    while start < end:
        id_bytes = _vint_bytes(data, start)
        size_at = start + id_bytes
        size_bytes = _vint_bytes(data, size_at)
        body = size_at + size_bytes
        if not id_bytes or not size_bytes or body > len(data):
            return
        size = int.from_bytes(data[size_at:body], "big") & ((1 << 7 * size_bytes) - 1)
        is_unknown = size == (1 << 7 * size_bytes) - 1
        stop = end if is_unknown else body + size
        yield _Element(int.from_bytes(data[start:size_at], "big"), start, body, stop)
        start = stop


def _vint_bytes(data: bytes, at: int) -> int:
    """Return the bytes of a number of variable length, 0 where there is none."""
    return 9 - data[at].bit_length() if at < len(data) and data[at] else 0


def _element(element_id: int, data: bytes) -> bytes:
    id_bytes = element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
    if len(data) < 127:
        return id_bytes + bytes([0x80 | len(data)]) + data
    return id_bytes + (0x4000 | len(data)).to_bytes(2, "big") + data
