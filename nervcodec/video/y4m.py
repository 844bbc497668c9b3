"""YUV4MPEG2 files, read and written here so that planes, frame count and tags are exact.

The format is that of mjpegtools' yuv4mpeg(5): one header line, then for every frame a FRAME line
and the planes. FFmpeg's reader drops a last frame that is cut short, turns the rate F0:0 into 25
and loses the chroma location.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from nervcodec.errors import VideoError
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.video.color import shrink_plane
from nervcodec.video.frames import Frames, Planes, chroma_size

MAGIC = b"YUV4MPEG2 "
# Longest header or FRAME line we read; FFmpeg writes at most 128 bytes.
_LINE_BYTES = 4096


class _Chroma(NamedTuple):
    """Chroma of one C tag: luma samples per chroma sample each way (0: none), and its location."""

    across: int
    down: int
    location: int
    note: str = ""


# Plain 420 means 420jpeg (as in mjpegtools and FFmpeg). A box mean puts 4:4:4 chroma in the center.
_CHROMA = {
    "420jpeg": _Chroma(2, 2, 2),
    "420mpeg2": _Chroma(2, 2, 1),
    "420paldv": _Chroma(2, 2, 3),
    "420": _Chroma(2, 2, 2),
    "422": _Chroma(2, 1, 1, "4:2:2 converted to 4:2:0 (mean of two lines)"),
    "444": _Chroma(1, 1, 2, "4:4:4 converted to 4:2:0 (mean of 2x2)"),
    "mono": _Chroma(0, 0, 0, "gray converted to 4:2:0 (chroma 128)"),
}
_C_TAG_BY_LOCATION = {1: "420mpeg2", 3: "420paldv"}


@dataclass(frozen=True)
class Header:
    """First line of a file: what it says, and how many bytes it takes.

    frame_rate is None where the line states none (F missing or F0:0).
    """

    width: int
    height: int
    frame_rate: Fraction | None
    sample_aspect_ratio: Fraction
    full_range: bool | None
    chroma: str | None
    n_bytes: int

    @property
    def chroma_kind(self) -> _Chroma:
        # Without a C tag chroma is 4:2:0, and nobody has said where it lies.
        return _Chroma(2, 2, 0) if self.chroma is None else _CHROMA[self.chroma]

    @property
    def plane_shapes(self) -> list[tuple[int, int]]:
        """Return height and width of the planes as stored, one or three of them."""
        kind = self.chroma_kind
        if not kind.across:
            return [(self.height, self.width)]
        small = (-(-self.height // kind.down), -(-self.width // kind.across))
        return [(self.height, self.width), small, small]

    @property
    def frame_bytes(self) -> int:
        return sum(height * width for height, width in self.plane_shapes)

    @property
    def color(self) -> ColorTags:
        return ColorTags(full_range=self.full_range, chroma_location=self.chroma_kind.location)


def parse_header(line: bytes, name: str) -> Header:
    """Parse the first line, its newline included; `name` is the file's, for messages.

    Raises:
        VideoError: not a header line, a missing or malformed tag, interlaced frames, a chroma
            format we do not read.
    """
    if not line.startswith(MAGIC) or not line.endswith(b"\n"):
        raise VideoError(f"{name}: the YUV4MPEG2 header line is damaged")
    tags: dict[str, str] = {}
    extra: dict[str, str] = {}
    for word in line[len(MAGIC) :].decode("latin-1").split():
        if word[0] == "X":
            key, _, value = word[1:].partition("=")
            extra[key] = value
        else:
            tags[word[0]] = word[1:]
    _check_interlacing(tags.get("I", "p"), name)
    return Header(
        width=_size(tags, "W", name),
        height=_size(tags, "H", name),
        frame_rate=_ratio(tags.get("F", "0:0"), "F", name),
        sample_aspect_ratio=_ratio(tags.get("A", "0:0"), "A", name) or Fraction(1),
        full_range={"FULL": True, "LIMITED": False}.get(extra.get("COLORRANGE", "")),
        chroma=_chroma(tags.get("C"), extra.get("YSCSS"), name),
        n_bytes=len(line),
    )


def probe(path: Path) -> tuple[Header, int, tuple[str, ...]]:
    """Read the header, walk over every frame, and check that the file ends exactly where the last
    one does.

    Returns:
        The header, the number of frames (0 where there are none), and a note on a conversion if one
        is needed.

    Raises:
        VideoError: as parse_header; a damaged FRAME line or a frame cut short, with the number of
            the frame (from 1).
    """
    with _opened(path) as file:
        header = _read_header(file, path)
        size = os.fstat(file.fileno()).st_size
        n_frames = 0
        while _read_marker(file, path, n_frames + 1):
            end = file.tell() + header.frame_bytes
            if end > size:  # before a seek that may be further than a seek can go
                raise VideoError(
                    f"{path}: frame {n_frames + 1} is cut short; the file is incomplete"
                )
            file.seek(end)
            n_frames += 1
    note = header.chroma_kind.note
    return header, n_frames, (note,) if note else ()


def read_frames(path: Path) -> Generator[Planes, None, None]:
    """Yield the planes of every frame, Y [h, w], U and V [ceil(h / 2), ceil(w / 2)], uint8.

    Raises:
        VideoError: as probe.
    """
    with _opened(path) as file:
        header = _read_header(file, path)
        t = 0
        while _read_marker(file, path, t + 1):
            yield _read_planes(file, header, path, t + 1)
            t += 1


def header_line(fmt: VideoFormat) -> bytes:
    """Return the first line of a file; a chroma location without a tag is written as 420jpeg."""
    rate, ratio = fmt.frame_rate, fmt.sample_aspect_ratio
    words = [
        f"W{fmt.width} H{fmt.height} F{rate.numerator}:{rate.denominator} Ip",
        f"A{ratio.numerator}:{ratio.denominator}",
        "C" + _C_TAG_BY_LOCATION.get(fmt.color.chroma_location, "420jpeg"),
    ]
    if fmt.color.full_range is not None:
        words.append("XCOLORRANGE=" + ("FULL" if fmt.color.full_range else "LIMITED"))
    return MAGIC + " ".join(words).encode("ascii") + b"\n"


def write_frames(file: BinaryIO, frames: Frames) -> None:
    """Append 4:2:0 frames to a file that has its header line."""
    assert frames.layout == "yuv420"
    for t in range(frames.n_frames):
        file.write(b"FRAME\n")
        for plane in frames.planes:
            file.write(plane[t].tobytes())


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    # The consumer of read_frames runs outside this block, so an OSError here is one of reading.
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror or error}") from error


def _read_header(file: BinaryIO, path: Path) -> Header:
    return parse_header(file.readline(_LINE_BYTES), str(path))


def _read_marker(file: BinaryIO, path: Path, number: int) -> bool:
    """Read one FRAME line, parameters allowed; False at the end of the file."""
    line = file.readline(_LINE_BYTES)
    if line and not (line.endswith(b"\n") and line.split(b" ")[0].rstrip(b"\n") == b"FRAME"):
        cut = b"FRAME\n".startswith(line)
        reason = (
            "is cut short; the file is incomplete" if cut else "does not begin with a FRAME line"
        )
        raise VideoError(f"{path}: frame {number} {reason}")
    return bool(line)


def _read_planes(file: BinaryIO, header: Header, path: Path, number: int) -> Planes:
    data = file.read(header.frame_bytes)
    if len(data) < header.frame_bytes:
        raise VideoError(f"{path}: frame {number} is cut short; the file is incomplete")
    planes = []
    offset = 0
    for height, width in header.plane_shapes:
        planes.append(np.frombuffer(data, np.uint8, height * width, offset).reshape(height, width))
        offset += height * width
    kind = header.chroma_kind
    if not kind.across:
        small = np.full(chroma_size(header.width, header.height)[::-1], 128, np.uint8)
        return planes[0], small, small
    u, v = (shrink_plane(plane, 2 // kind.across, 2 // kind.down) for plane in planes[1:])
    return planes[0], u, v


def _size(tags: dict[str, str], letter: str, name: str) -> int:
    value = tags.get(letter)
    if value is None or not re.fullmatch(r"0*[1-9][0-9]{0,8}", value):
        stated = "missing" if value is None else letter + value
        raise VideoError(
            f"{name}: the header tag {letter} is {stated}; it must be a size of 1 to 999999999"
            " pixels"
        )
    return int(value)


def _ratio(value: str, letter: str, name: str) -> Fraction | None:
    """Return the ratio n:d; None for 0:0, which means unknown."""
    if not re.fullmatch(r"[0-9]{1,10}:[0-9]{1,10}", value):
        raise VideoError(
            f"{name}: the header tag {letter} is {letter}{value}; it must be a ratio such as"
            f" {letter}25:1"
        )
    top, bottom = (int(part) for part in value.split(":"))
    return Fraction(top, bottom) if top and bottom else None


def _check_interlacing(value: str, name: str) -> None:
    kinds = {"t": "top field first", "b": "bottom field first", "m": "mixed"}
    if value not in ("p", "?"):
        raise VideoError(
            f"{name}: interlaced frames (I{value}, {kinds.get(value, 'unknown')}); only Ip is read"
        )


def _chroma(tag: str | None, yscss: str | None, name: str) -> str | None:
    """Return the chroma format by the C tag, or where it is missing by the older XYSCSS."""
    if tag is None and yscss is not None:
        tag = yscss.lower()
    if tag is not None and tag not in _CHROMA:
        raise VideoError(
            f"{name}: the chroma format C{tag} is not read; legal, 8 bits only:"
            f" C{', C'.join(_CHROMA)}"
        )
    return tag
