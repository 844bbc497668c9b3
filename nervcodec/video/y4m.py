"""YUV4MPEG2 files, read and written here so that planes, frame count and tags are exact.

The format is that of mjpegtools' yuv4mpeg(5): one header line, then for every frame a FRAME line
and the planes. FFmpeg's reader drops a last frame that is cut short, turns the rate F0:0 into 25
and loses the chroma location.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from nervcodec.errors import VideoError
from nervcodec.format.video_format import SUBSAMPLING, ColorTags, Layout, VideoFormat, plane_sizes
from nervcodec.video.frames import Frames, Plane, Planes
from nervcodec.video.pixel_formats import PixelFormat, background_samples, lay_over
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions, shown
from nervcodec.video.source import Y4M_MAGIC as MAGIC

# Longest header or FRAME line we read; FFmpeg writes at most 128 bytes.
_LINE_BYTES = 4096


class _Chroma(NamedTuple):
    """Chroma of one C tag: the layout that it is coded in, and where its samples lie (ColorTags).

    repeat: how often a stored chroma sample stands in a line of that layout.
    """

    layout: Layout
    location: int = 0
    repeat: int = 1
    note: str = ""
    has_alpha: bool = False
    bit_depth: int = 8


def _deeper(tag: str, bits: int) -> tuple[str, _Chroma]:
    """Return the tag of samples of more bits and its chroma, of which none says where it lies."""
    layouts: dict[str, Layout] = {
        "420": "yuv420",
        "422": "yuv422",
        "444": "yuv444",
        "mono": "gray",
    }
    mark = "" if tag == "mono" else "p"
    return f"{tag}{mark}{bits}", _Chroma(layouts[tag], bit_depth=bits)


# Plain 420 means 420jpeg (as in mjpegtools and FFmpeg). Tags are read in capitals and small letters
# alike.
_CHROMA = {
    "420jpeg": _Chroma("yuv420", 2),
    "420mpeg2": _Chroma("yuv420", 1),
    "420paldv": _Chroma("yuv420", 3),
    "420": _Chroma("yuv420", 2),
    "422": _Chroma("yuv422", 1),
    "444": _Chroma("yuv444"),
    "444alpha": _Chroma("yuv444", has_alpha=True),
    "411": _Chroma("yuv422", 1, 2, "4:1:1 coded as 4:2:2 (columns repeated)"),
    "mono": _Chroma("gray"),
    **dict(_deeper(tag, bits) for bits in (10, 12) for tag in ("420", "422", "444", "mono")),
}
_FIELD_ORDERS = {"t": "top field first", "b": "bottom field first", "m": "mixed"}
# Layout, bit depth -> tag; of 8-bit 4:2:0 the one that says no other location.
_TAGS = {
    (kind.layout, kind.bit_depth): tag
    for tag, kind in reversed(_CHROMA.items())
    if kind.repeat == 1 and not kind.has_alpha
}
_TAG_BY_LOCATION = {1: "420mpeg2", 3: "420paldv"}


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

    @cached_property
    def chroma_kind(self) -> _Chroma:
        # Without a C tag chroma is 4:2:0, and nobody has said where it lies.
        return _Chroma("yuv420") if self.chroma is None else _CHROMA[self.chroma]

    @property
    def layout(self) -> Layout:
        return self.chroma_kind.layout

    @property
    def bit_depth(self) -> int:
        return self.chroma_kind.bit_depth

    @cached_property
    def plane_shapes(self) -> list[tuple[int, int]]:
        """Return height and width of the planes as stored, one, three or four of them."""
        kind = self.chroma_kind
        (width, height), *small = plane_sizes(kind.layout, self.width, self.height)
        if kind.repeat > 1:
            small = [(-(-self.width // 4), rows) for _, rows in small]
        shapes = [(height, width), *((rows, columns) for columns, rows in small)]
        return [*shapes, *([(height, width)] if kind.has_alpha else [])]

    @property
    def sample_bytes(self) -> int:
        return 1 if self.bit_depth == 8 else 2

    @cached_property
    def frame_bytes(self) -> int:
        return self.sample_bytes * sum(height * width for height, width in self.plane_shapes)

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
    path: Path,
    options: SourceOptions = DEFAULT_OPTIONS,
    n_wanted: int | None = None,
    on_frame: Callable[[Header, Callable[[], Planes], int], None] | None = None,
) -> tuple[Header, int, tuple[str, ...]]:
    """Read the header, walk over every frame, and check that the file ends where the last one does.

    Args:
        path: the file.
        options: whether interlaced frames are taken and what is cut short is left out.
        n_wanted: walk no further than this many frames.
        on_frame: called with the header, with what reads the planes of the frame, as read_frames
            yields them, and with the number of frames of its size that the file has room for.

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
        room = (os.fstat(file.fileno()).st_size - header.n_bytes) // (header.frame_bytes + 6)
        n_frames = 0
        is_transparent = False
        for number in islice(_walk(file, header, path, options, notes), n_wanted):
            read = partial(_read_planes, file, header, path, number)
            if header.chroma_kind.has_alpha:
                stored = read()
                is_transparent |= bool(stored[3].min() < 255)
                read = partial(tuple, stored)
            if on_frame:
                on_frame(header, partial(_laid, read, header, options), room)
            n_frames = number
    return header, n_frames, (*notes, *([transparency_note(options)] if is_transparent else []))


def _walk(
    file: BinaryIO, header: Header, path: Path, options: SourceOptions, notes: list[str]
) -> Iterator[int]:
    """Yield the number of each frame, from 1, with the file where its samples begin.

    Salvaged, they end before the first one that is damaged, which the notes get.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        number = 1
        while _read_marker(file, path, number):
            end = file.tell() + header.frame_bytes
            if end > size:  # before a seek that may be further than can be
                raise _cut_short(path, number)
            yield number
            file.seek(end)
            number += 1
    except VideoError as error:
        if not options.salvage:
            raise
        notes.append(f"left out: {error}")


def transparency_note(options: SourceOptions) -> str:
    """Return the note on transparent pixels."""
    r, g, b = options.background
    under = f"#{r:02x}{g:02x}{b:02x}" if r or g or b else "black"
    return f"transparent pixels are laid over {under}; --background takes another colour"


def read_frames(
    path: Path, options: SourceOptions = DEFAULT_OPTIONS
) -> Generator[Planes, None, None]:
    """Yield the planes of every frame in the layout and bit depth of its header.

    Raises:
        VideoError: as probe.
    """
    with _opened(path) as file:
        header = _read_header(file, path)
        t = 0
        while _read_marker(file, path, t + 1):
            yield _laid(partial(_read_planes, file, header, path, t + 1), header, options)
            t += 1


def _laid(read: Callable[[], Planes], header: Header, options: SourceOptions) -> Planes:
    """Return the stored planes that are read, laid over the background where there is alpha."""
    planes = read()
    if not header.chroma_kind.has_alpha:
        return planes
    known = PixelFormat(header.layout, header.bit_depth, header.bit_depth)
    under = background_samples(options.background, header.color, header.height, known)
    return lay_over(planes[:3], planes[3], under, known)


def header_line(fmt: VideoFormat, interlacing: str = "p") -> bytes:
    """Return the first line of a file of frames in any layout but RGB.

    A chroma location of 8-bit 4:2:0 that has no tag is written as 420jpeg.

    Args:
        fmt: of the frames.
        interlacing: 'p' for progressive frames, 't' or 'b' for the field that is first.
    """
    rate, ratio = fmt.frame_rate, fmt.sample_aspect_ratio
    words = [
        f"W{fmt.width} H{fmt.height} F{rate.numerator}:{rate.denominator} I{interlacing}",
        f"A{ratio.numerator}:{ratio.denominator}",
        f"C{_tag(fmt)}",
    ]
    if fmt.color.full_range is not None:
        words.append("XCOLORRANGE=" + ("FULL" if fmt.color.full_range else "LIMITED"))
    return MAGIC + " ".join(words).encode("ascii") + b"\n"


def _tag(fmt: VideoFormat) -> str:
    tag = _TAGS[fmt.layout, fmt.bit_depth]
    return _TAG_BY_LOCATION.get(fmt.color.chroma_location, tag) if tag == "420jpeg" else tag


def says_location(fmt: VideoFormat) -> bool:
    """Return whether the header line of a file says where chroma lies, as far as it matters."""
    if SUBSAMPLING.get(fmt.layout, (1, 1)) == (1, 1) or not fmt.color.chroma_location:
        return True
    if _tag(fmt).startswith("420") and fmt.bit_depth == 8:
        return fmt.color.chroma_location <= 3
    return fmt.color.chroma_location == _CHROMA[_tag(fmt)].location


def write_frames(file: BinaryIO, frames: Frames) -> None:
    """Append frames to a file that has its header line; 16-bit samples are little-endian."""
    assert frames.layout != "rgb"
    for t in range(frames.n_frames):
        file.write(b"FRAME\n")
        for plane in frames.planes:
            file.write(plane[t].astype(plane.dtype.newbyteorder("<"), copy=False).tobytes())


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


def _read_planes(file: BinaryIO, header: Header, path: Path, number: int) -> Planes:
    """Read the planes of a frame, of 4:1:1 with their columns repeated, and alpha as it is.

    Raises:
        VideoError: the file ends within the frame, or a sample exceeds its bit depth.
    """
    data = file.read(header.frame_bytes)
    if len(data) < header.frame_bytes:
        raise _cut_short(path, number)
    samples: Plane = np.frombuffer(data, np.uint8 if header.sample_bytes == 1 else "<u2")
    peak = (1 << header.bit_depth) - 1
    if header.bit_depth > 8 and (most := int(samples.max(initial=0))) > peak:
        raise VideoError(
            f"{shown(path)}: a sample of frame {number} is {most}; legal: 0 to {peak}, as"
            f" C{header.chroma} says"
        )
    planes: list[Plane] = []
    offset = 0
    for height, width in header.plane_shapes:
        planes.append(samples[offset : offset + height * width].reshape(height, width))
        offset += height * width
    if header.chroma_kind.repeat == 1:
        return tuple(planes)
    columns = plane_sizes(header.layout, header.width, header.height)[1][0]
    chroma = (plane.repeat(header.chroma_kind.repeat, axis=1)[:, :columns] for plane in planes[1:])
    return planes[0], *chroma


def _cut_short(path: Path, number: int) -> VideoError:
    return VideoError(f"{shown(path)}: frame {number} is cut short; the file is incomplete")


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
        base = re.sub(r"p?(9|14|16)$", "", stated.lower())
        deepest = f"{base}12" if base == "mono" else f"{base}p12"
        nearest = deepest if base != stated.lower() and deepest in _CHROMA else "420"
        raise VideoError(
            f"{name}: the chroma format C{stated} is not read, the nearest that is: C{nearest};"
            f" legal: C{', C'.join(_CHROMA)}"
        )
    return stated.lower()
