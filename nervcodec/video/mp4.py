"""Display matrix and languages in MP4 and QuickTime files, where PyAV has no way to ask FFmpeg's
muxer for them.

Both have a fixed place in the boxes of a track (ISO/IEC 14496-12, sections 8.3.2 and 8.4.2), so
that nothing in the file moves.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

_MAX_MOOV = 1 << 30


class _Box(NamedTuple):
    """Box of a file: its type, and where its payload and the next one begin."""

    type: bytes
    data: int
    end: int


def write_display_matrix(path: Path, matrix: Sequence[int]) -> None:
    """Say in a file of one video track how its frames are shown.

    Args:
        path: an MP4 or QuickTime file that is complete.
        matrix: nine int32, as FFmpeg has a display matrix.
    """
    with open(path, "r+b") as file:
        for track in _tracks(file):
            if track.handler == b"vide":
                # Behind version, flags, times, number, duration, layer, group and volume.
                at = track.header.data + (52 if track.header_version else 40)
                if at + 36 <= track.header.end:
                    file.seek(at)
                    file.write(struct.pack(">9i", *matrix))


def write_languages(path: Path, languages: Sequence[str]) -> None:
    """Say the languages of all tracks but that of video.

    Args:
        path: an MP4 or QuickTime file that is complete.
        languages: three small letters for each track in its order; others are passed over.
    """
    with open(path, "r+b") as file:
        tracks = [track for track in _tracks(file) if track.handler != b"vide"]
        for track, language in zip(tracks, languages):
            if re.fullmatch("[a-z]{3}", language):
                first, second, third = (ord(letter) - 0x60 for letter in language)
                # Behind version, flags, times, unit and duration.
                at = track.media_header.data + (32 if track.media_header_version else 20)
                if at + 2 <= track.media_header.end:
                    file.seek(at)
                    file.write(struct.pack(">H", first << 10 | second << 5 | third))


class _Track(NamedTuple):
    header: _Box
    header_version: int
    media_header: _Box
    media_header_version: int
    handler: bytes


def _tracks(file: BinaryIO) -> list[_Track]:
    """Return the tracks of a file; none where it is laid out otherwise than FFmpeg does."""
    size = os.fstat(file.fileno()).st_size
    moov = next((box for box in _boxes(file, 0, size) if box.type == b"moov"), None)
    if moov is None or moov.end - moov.data > _MAX_MOOV:
        return []
    tracks = []
    for trak in _boxes(file, moov.data, moov.end):
        if trak.type != b"trak":
            continue
        boxes = {box.type: box for box in _boxes(file, trak.data, trak.end)}
        if b"mdia" in boxes:
            media = boxes[b"mdia"]
            boxes |= {box.type: box for box in _boxes(file, media.data, media.end)}
        if not {b"tkhd", b"mdhd", b"hdlr"} <= set(boxes):
            return []
        header, media_header, handler = (boxes[name] for name in (b"tkhd", b"mdhd", b"hdlr"))
        tracks.append(
            _Track(
                header,
                _bytes_at(file, header.data, 1)[0],
                media_header,
                _bytes_at(file, media_header.data, 1)[0],
                _bytes_at(file, handler.data + 8, 4),
            )
        )
    return tracks


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two places."""
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", _bytes_at(file, start, 8))
        data = start + 8
        if size == 1:
            size = int.from_bytes(_bytes_at(file, data, 8), "big")
            data += 8
        stop = end if size == 0 else start + size
        if not data <= stop <= end:
            return
        yield _Box(kind, data, stop)
        start = stop


def _bytes_at(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    file.seek(at)
    data = file.read(n_bytes)
    return data + bytes(n_bytes - len(data))
