"""The header line of YUV4MPEG2 files, yuv4mpeg(5): what it says, read and written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from nervcodec.errors import VideoError
from nervcodec.format.video_format import SUBSAMPLING, ColorTags, Layout, VideoFormat, plane_sizes
from nervcodec.video.source import Y4M_MAGIC as MAGIC
from nervcodec.video.source import SourceOptions


class Chroma(NamedTuple):
    """Chroma of one C tag: the layout that it is coded in, and where its samples lie (ColorTags).

    repeat: how often a stored chroma sample stands in a line of that layout.
    """

    layout: Layout
    location: int = 0
    repeat: int = 1
    note: str = ""
    has_alpha: bool = False
    bit_depth: int = 8


def _deeper(tag: str, bits: int) -> tuple[str, Chroma]:
    """Return the tag of samples of more bits and its chroma, of which none says where it lies."""
    layouts: dict[str, Layout] = {
        "420": "yuv420",
        "422": "yuv422",
        "444": "yuv444",
        "mono": "gray",
    }
    mark = "" if tag == "mono" else "p"
    return f"{tag}{mark}{bits}", Chroma(layouts[tag], bit_depth=bits)


# Plain 420 means 420jpeg (as in mjpegtools and FFmpeg). Tags are read in capitals and small letters
# alike.
_CHROMA = {
    "420jpeg": Chroma("yuv420", 2),
    "420mpeg2": Chroma("yuv420", 1),
    "420paldv": Chroma("yuv420", 3),
    "420": Chroma("yuv420", 2),
    "422": Chroma("yuv422", 1),
    "444": Chroma("yuv444"),
    "444alpha": Chroma("yuv444", has_alpha=True),
    "411": Chroma("yuv422", 1, 2, "4:1:1 coded as 4:2:2 (columns repeated)"),
    "mono": Chroma("gray"),
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
    def chroma_kind(self) -> Chroma:
        # Without a C tag chroma is 4:2:0, and nobody has said where it lies.
        return Chroma("yuv420") if self.chroma is None else _CHROMA[self.chroma]

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


def interlacing_note(header: Header, name: str, options: SourceOptions) -> list[str]:
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
