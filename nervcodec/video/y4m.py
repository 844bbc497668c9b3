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
from nervcodec.video.frames import Frames, Plane, Planes, chroma_size
from nervcodec.video.pixel_formats import background_yuv, lay_over
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions, shown
from nervcodec.video.source import Y4M_MAGIC as MAGIC

# Longest header or FRAME line we read; FFmpeg writes at most 128 bytes.
_LINE_BYTES = 4096


class _Chroma(NamedTuple):
    """Chroma of one C tag: luma samples per chroma sample each way (0: none), and its location."""

    across: int
    down: int
    location: int
    note: str = ""
    has_alpha: bool = False


# Plain 420 means 420jpeg (as in mjpegtools and FFmpeg). A box mean puts 4:4:4 chroma in the center.
# Tags are read in capitals and small letters alike.
_CHROMA = {
    "420jpeg": _Chroma(2, 2, 2),
    "420mpeg2": _Chroma(2, 2, 1),
    "420paldv": _Chroma(2, 2, 3),
    "420": _Chroma(2, 2, 2),
    "422": _Chroma(2, 1, 1, "4:2:2 converted to 4:2:0 (mean of two lines)"),
    "444": _Chroma(1, 1, 2, "4:4:4 converted to 4:2:0 (mean of 2x2)"),
    "444alpha": _Chroma(1, 1, 2, "4:4:4 converted to 4:2:0 (mean of 2x2)", has_alpha=True),
    "411": _Chroma(4, 1, 1, "4:1:1 converted to 4:2:0 (mean of two lines, columns repeated)"),
    "mono": _Chroma(0, 0, 0, "gray converted to 4:2:0 (chroma 128)"),
}
_FIELD_ORDERS = {"t": "top field first", "b": "bottom field first", "m": "mixed"}
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
    interlacing: str = "p"

    @property
    def chroma_kind(self) -> _Chroma:
        # Without a C tag chroma is 4:2:0, and nobody has said where it lies.
        return _Chroma(2, 2, 0) if self.chroma is None else _CHROMA[self.chroma]

    @property
    def plane_shapes(self) -> list[tuple[int, int]]:
        """Return height and width of the planes as stored, one, three or four of them."""
        kind = self.chroma_kind
        size = (self.height, self.width)
        if not kind.across:
            return [size]
        small = (-(-self.height // kind.down), -(-self.width // kind.across))
        return [size, small, small, *([size] if kind.has_alpha else [])]

    @property
    def frame_bytes(self) -> int:
        return sum(height * width for height, width in self.plane_shapes)

    @property
    def color(self) -> ColorTags:
        return ColorTags(full_range=self.full_range, chroma_location=self.chroma_kind.location)


def parse_header(line: bytes, name: str) -> Header:
    """Parse the first line, its newline included; `name` is the file's, for messages.

    Raises:
        VideoError: not a header line, a missing or malformed tag, a chroma format that is not read.
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
    return Header(
        width=_size(tags, "W", name),
        height=_size(tags, "H", name),
        frame_rate=_ratio(tags.get("F", "0:0"), "F", name),
        sample_aspect_ratio=_ratio(tags.get("A", "0:0"), "A", name) or Fraction(1),
        full_range={"FULL": True, "LIMITED": False}.get(extra.get("COLORRANGE", "")),
        chroma=_chroma(tags.get("C"), extra.get("YSCSS"), name),
        n_bytes=len(line),
        interlacing=tags.get("I", "p"),
    )


def probe(
    path: Path, options: SourceOptions = DEFAULT_OPTIONS, n_wanted: int | None = None
) -> tuple[Header, int, tuple[str, ...]]:
    """Read the header, walk over every frame, and check that the file ends where the last one does.

    Args:
        path: the file.
        options: whether interlaced frames are taken and what is cut short is left out.
        n_wanted: walk no further than this many frames.

    Returns:
        The header, the number of frames (0 where there are none), and notes on conversions and on
        what is left out.

    Raises:
        VideoError: as parse_header; interlaced frames; a damaged FRAME line or a frame cut short,
            with the number of the frame (from 1).
    """
    notes: list[str] = []
    with _opened(path) as file:
        header = _read_header(file, path)
        notes += _interlacing_note(header, shown(path), options)
        notes += [header.chroma_kind.note] if header.chroma_kind.note else []
        n_frames = 0
        is_transparent = False
        try:
            while n_frames != n_wanted and _read_marker(file, path, n_frames + 1):
                is_transparent |= _walk_over_frame(file, header, path, n_frames + 1)
                n_frames += 1
        except VideoError as error:
            if not options.salvage:
                raise
            notes.append(f"left out: {error}")
    return header, n_frames, (*notes, *([transparency_note(options)] if is_transparent else []))


def transparency_note(options: SourceOptions) -> str:
    """Return the note on transparent pixels."""
    r, g, b = options.background
    under = f"#{r:02x}{g:02x}{b:02x}" if r or g or b else "black"
    return f"transparent pixels are laid over {under}; --background takes another colour"


def read_frames(
    path: Path, options: SourceOptions = DEFAULT_OPTIONS
) -> Generator[Planes, None, None]:
    """Yield the planes of every frame, Y [h, w], U and V [ceil(h / 2), ceil(w / 2)], uint8.

    Raises:
        VideoError: as probe.
    """
    with _opened(path) as file:
        header = _read_header(file, path)
        under = background_yuv(options.background, header.color, header.height)
        t = 0
        while _read_marker(file, path, t + 1):
            yield _read_planes(file, header, path, t + 1, under)
            t += 1


def header_line(fmt: VideoFormat, interlacing: str = "p") -> bytes:
    """Return the first line of a file; a chroma location without a tag is written as 420jpeg.

    Args:
        fmt: of the frames.
        interlacing: 'p' for progressive frames, 't' or 'b' for the field that is first.
    """
    rate, ratio = fmt.frame_rate, fmt.sample_aspect_ratio
    words = [
        f"W{fmt.width} H{fmt.height} F{rate.numerator}:{rate.denominator} I{interlacing}",
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
        raise VideoError(f"cannot read {shown(path)}: {error.strerror or error}") from error


def _read_header(file: BinaryIO, path: Path) -> Header:
    return parse_header(file.readline(_LINE_BYTES), shown(path))


def _read_marker(file: BinaryIO, path: Path, number: int) -> bool:
    """Read one FRAME line, parameters allowed; False at the end of the file."""
    line = file.readline(_LINE_BYTES)
    if line and not (line.endswith(b"\n") and line.split(b" ")[0].rstrip(b"\n") == b"FRAME"):
        cut = b"FRAME\n".startswith(line)
        reason = (
            "is cut short; the file is incomplete" if cut else "does not begin with a FRAME line"
        )
        raise VideoError(f"{shown(path)}: frame {number} {reason}")
    return bool(line)


def _walk_over_frame(file: BinaryIO, header: Header, path: Path, number: int) -> bool:
    """Go behind a frame; return whether anything in it is transparent."""
    end = file.tell() + header.frame_bytes
    if end > os.fstat(file.fileno()).st_size:  # before a seek that may be further than can be
        raise _cut_short(path, number)
    if header.chroma_kind.has_alpha:
        planes = _stored_planes(file, header, path, number)
        return bool(planes[3].min() < 255)
    file.seek(end)
    return False


def _stored_planes(file: BinaryIO, header: Header, path: Path, number: int) -> list[Plane]:
    data = file.read(header.frame_bytes)
    if len(data) < header.frame_bytes:
        raise _cut_short(path, number)
    planes: list[Plane] = []
    offset = 0
    for height, width in header.plane_shapes:
        planes.append(np.frombuffer(data, np.uint8, height * width, offset).reshape(height, width))
        offset += height * width
    return planes


def _cut_short(path: Path, number: int) -> VideoError:
    return VideoError(f"{shown(path)}: frame {number} is cut short; the file is incomplete")


def _read_planes(
    file: BinaryIO, header: Header, path: Path, number: int, under: tuple[int, int, int]
) -> Planes:
    """Read a frame as 4:2:0, transparent pixels laid over a colour of one Y, U and V."""
    planes = _stored_planes(file, header, path, number)
    kind = header.chroma_kind
    if not kind.across:
        small = np.full(chroma_size(header.width, header.height)[::-1], 128, np.uint8)
        return planes[0], small, small
    if kind.has_alpha:
        planes = list(lay_over((planes[0], planes[1], planes[2]), planes[3], under))
    if kind.across == 4:
        width = chroma_size(header.width, header.height)[0]
        planes = [planes[0], *(plane.repeat(2, axis=1)[:, :width] for plane in planes[1:])]
    across, down = 2 // min(kind.across, 2), 2 // kind.down
    by_fields = header.interlacing in _FIELD_ORDERS
    u, v = (shrink_plane(plane, across, down, by_fields=by_fields) for plane in planes[1:])
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


def _interlacing_note(header: Header, name: str, options: SourceOptions) -> list[str]:
    """Return a note on interlaced frames; raise for them unless they are to be coded."""
    value = header.interlacing
    if value in ("p", "?"):
        return []
    order = _FIELD_ORDERS.get(value, "unknown")
    if not options.force_progressive:
        raise VideoError(
            f"{name}: interlaced frames (I{value}, {order}); --force-progressive codes them as"
            " they are"
        )
    return [f"interlaced frames ({order}), coded as they are without deinterlacing"]


def _chroma(tag: str | None, yscss: str | None, name: str) -> str | None:
    """Return the chroma format by the C tag, or where it is missing by the older XYSCSS."""
    stated = yscss if tag is None else tag
    if stated is None:
        return None
    if stated.lower() not in _CHROMA:
        base = re.sub(r"p?(9|10|12|14|16)$", "", stated.lower())
        nearest = base if base in _CHROMA else "420"
        raise VideoError(
            f"{name}: the chroma format C{stated} is not read, the nearest that is: C{nearest};"
            f" legal, 8 bits only: C{', C'.join(_CHROMA)}"
        )
    return stated.lower()
