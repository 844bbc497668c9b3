"""The integers of a .nvpp file as tables (nvpp-format.md section 2).

Reading, writing, checking and the tables of the specification all go by them: a new field is a new
row. Every integer is little-endian and unsigned. Standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from nervcodec.errors import ConfigError, InvalidField
from nervcodec.format.model_config import (
    BIASES,
    COLORSPACES,
    MAX_BLOCKS,
    MAX_FRACTION_BITS,
    MAX_GRIDS,
    MAX_STEM_SIDE,
    MAX_WAVELET_LEVELS,
    MIN_FRACTION_BITS,
    PARTS,
    STEMS,
    Block,
    Grid,
)
from nervcodec.format.video_format import BIT_DEPTHS, LAYOUTS, MAX_FRAMES, MAX_SIDE

MAX_U32 = 2**32 - 1
UNKNOWN = MAX_U32  # of digests and qualities that the encoder did not store
FieldType = Literal["u8", "u16", "u32"]
_STRUCTS = {"u8": "<B", "u16": "<H", "u32": "<I"}


class Codec(Protocol):
    """How a value of the configuration stands in the file as an integer."""

    def encode(self, value: Any) -> int:
        """Return the integer that stands for a value."""

    def decode(self, number: int) -> Any:
        """Return the value that an integer stands for."""


@dataclass(frozen=True)
class Plain:
    """An integer as it is."""

    def encode(self, value: int) -> int:
        """Return the value."""
        return value

    def decode(self, number: int) -> int:
        """Return the number."""
        return number


@dataclass(frozen=True)
class Choice:
    """One of some values, by its place among them."""

    values: tuple[object, ...]

    def encode(self, value: object) -> int:
        """Return the place of a value."""
        return self.values.index(value)

    def decode(self, number: int) -> object:
        """Return the value at a place."""
        return self.values[number]


@dataclass(frozen=True)
class BitSet:
    """Some of the names, 2^i for name i."""

    names: tuple[str, ...]

    def encode(self, value: Sequence[str]) -> int:
        """Return the sum of the names' bits."""
        return sum(1 << self.names.index(name) for name in value)

    def decode(self, number: int) -> tuple[str, ...]:
        """Return the names whose bits are set, in their order."""
        return tuple(name for i, name in enumerate(self.names) if number >> i & 1)


@dataclass(frozen=True)
class Scaled:
    """A non-negative number in units of 1 / scale, rounded, or None as UNKNOWN."""

    scale: float

    def encode(self, value: float | None) -> int:
        """Return the nearest number of units below UNKNOWN."""
        if value is None:
            return UNKNOWN
        return round(min(max(value * self.scale, 0), UNKNOWN - 1))

    def decode(self, number: int) -> float | None:
        """Return the number of units as a value."""
        return None if number == UNKNOWN else number / self.scale


@dataclass(frozen=True)
class Count:
    """The number of objects that follow later."""

    def encode(self, value: Sequence[object]) -> int:
        """Return the number of objects."""
        return len(value)

    def decode(self, number: int) -> int:
        """Return the number."""
        return number


@dataclass(frozen=True)
class Rows:
    """The number of objects whose own fields follow the table, one object after the other."""

    kind: Callable[..., object]
    fields: tuple[Field, ...]

    def encode(self, value: Sequence[object]) -> int:
        """Return the number of objects."""
        return len(value)

    def decode(self, number: int) -> tuple[object, ...]:
        """Return what stands there without their fields: nothing."""
        return ()


@dataclass(frozen=True)
class Field:
    """One integer of the file.

    Attributes:
        name: as in the specification.
        type: 'u8', 'u16' or 'u32'.
        low, high: the legal range.
        unit: of the value, '' where it has none.
        meaning: in words.
        path: the attribute that it stands for, as 'model.stem.height' of a Header; '': always
            `low`.
        codec: how the attribute's value becomes the integer.
        also: another attribute of the same value.
        stem: the kind of stem that alone has this field; it is 0 with the other kind.
    """

    name: str
    type: FieldType
    low: int
    high: int
    unit: str
    meaning: str
    path: str = ""
    codec: Codec = Plain()
    also: str = ""
    stem: str | None = None

    def number_of(self, root: object) -> int:
        """Return the integer that stands for the field's value in an object."""
        return self.codec.encode(self.value_of(root)) if self.path else self.low

    def value_of(self, root: object) -> Any:
        """Return the value that the field stands for in an object."""
        value: Any = root
        for name in self.path.split("."):
            value = value[int(name)] if name.isdecimal() else getattr(value, name)
        return value

    def write(self, value: int) -> bytes:
        """Return the n_bytes bytes that stand for an integer.

        Raises:
            ConfigError: it is outside the legal range.
        """
        if not self.low <= value <= self.high:
            raise ConfigError(
                f"{self.name} is {value}; a .nvpp file holds {self.low} to {self.high}"
            )
        return self._struct.pack(value)

    @cached_property
    def _struct(self) -> struct.Struct:
        return struct.Struct(_STRUCTS[self.type])

    @cached_property
    def n_bytes(self) -> int:
        """Size of the field in the file."""
        return self._struct.size

    @cached_property
    def places(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """The attributes that it stands for: the names of those above each, and its own."""
        paths = (path.split(".") for path in (self.path, self.also) if path)
        return tuple((tuple(parents), name) for *parents, name in paths)

    def read(self, data: bytes | memoryview, position: int = 0) -> int:
        """Return the integer that n_bytes bytes from a position on stand for.

        Raises:
            InvalidField: it is outside the legal range.
        """
        value: int = self._struct.unpack_from(data, position)[0]
        if not self.low <= value <= self.high:
            raise InvalidField(self.name, value, f"{self.low} to {self.high}")
        return value


def _choice(
    name: str, values: tuple[object, ...], meaning: str, path: str, also: str = ""
) -> Field:
    """Return a field that holds one of some values, with their numbers in its meaning."""
    numbered = ", ".join(f"{i} {value}" for i, value in enumerate(values))
    return Field(name, "u8", 0, len(values) - 1, "", meaning + numbered, path, Choice(values), also)


def tree_of(
    table: Iterable[Field], numbers: Mapping[str, int], rows: Mapping[str, object] = {}
) -> dict[str, Any]:
    """Return the values that integers stand for, as a tree of the attributes' names.

    Args:
        numbers: of each field of the table, by its name.
        rows: what the fields stand for that count rows.
    """
    tree: dict[str, Any] = {}
    for field in table:
        value = rows.get(field.name, field.codec.decode(numbers[field.name]))
        for parents, name in field.places:
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            branch[name] = value
    return tree


# fmt: off
GRID_FIELDS = (
    Field("grid_channels", "u8", 1, 255, "", "channels of each key", "channels"),
    Field("grid_interval", "u16", 1, 65535, "frames", "frames for each key", "interval"),
    Field("grid_level", "u8", 0, MAX_BLOCKS, "", "blocks before the grid, 0 for the stem's own",
          "level"),
)
BLOCK_FIELDS = (
    Field("block_stride", "u8", 1, 16, "", "upsampling factor", "stride"),
    Field("block_width", "u16", 1, 4096, "", "channels that the block gives", "width"),
)
HEADER_FIELDS = (
    Field("width", "u16", 1, MAX_SIDE, "pixels", "luma columns",
          "format.width", also="model.width"),
    Field("height", "u16", 1, MAX_SIDE, "pixels", "luma rows",
          "format.height", also="model.height"),
    Field("frame_rate_numerator", "u32", 1, MAX_U32, "frames", "frame rate as a fraction",
          "format.frame_rate.numerator"),
    Field("frame_rate_denominator", "u32", 1, MAX_U32, "seconds", "its denominator",
          "format.frame_rate.denominator"),
    Field("n_frames", "u32", 1, MAX_FRAMES, "frames", "frames that are shown",
          "format.n_frames"),
    Field("aspect_numerator", "u16", 1, 65535, "", "width of one pixel over its height",
          "format.sample_aspect_ratio.numerator"),
    Field("aspect_denominator", "u16", 1, 65535, "", "its denominator",
          "format.sample_aspect_ratio.denominator"),
    _choice("layout", LAYOUTS, "planes of the source: ", "format.layout"),
    _choice("bit_depth", BIT_DEPTHS, "bits of a sample: ", "format.bit_depth", "model.bit_depth"),
    Field("matrix", "u8", 0, 255, "", "H.273 MatrixCoefficients, 2 unspecified",
          "format.color.matrix"),
    Field("primaries", "u8", 0, 255, "", "H.273 ColourPrimaries, 2 unspecified",
          "format.color.primaries"),
    Field("transfer", "u8", 0, 255, "", "H.273 TransferCharacteristics, 2 unspecified",
          "format.color.transfer"),
    Field("range", "u8", 0, 2, "", "0 unspecified, 1 limited, 2 full",
          "format.color.full_range", Choice((None, False, True))),
    Field("chroma_location", "u8", 0, 6, "", "0 unspecified, else 1 + H.273 ChromaLocType",
          "format.color.chroma_location"),
    Field("arithmetic", "u8", 0, 0, "", "0 integers (5.1)"),
    Field("entropy_coder", "u8", 0, 0, "",
          "0 range coder, 64-bit state, 32-bit words, 24-bit tables"),
    _choice("colorspace", COLORSPACES, "planes of the head: ", "model.colorspace"),
    Field("bits", "u8", 2, 12, "bits", "symbols lie within +-(2^(bits-1) - 1)", "model.bits"),
    Field("parts", "u8", 0, 15, "",
          "of a block, the sum of 1 pw, 2 scrb1, 4 scrb2, 8 skip",
          "model.parts", BitSet(PARTS)),
    _choice("biases", BIASES, "layers that have them: ", "model.biases"),
    Field("prior", "u8", 0, 255, "", "number of the prior, 0 without one", "model.prior"),
    Field("prior_crc", "u32", 0, MAX_U32, "", "CRC-32 of its weights, else 0", "model.prior_crc"),
    _choice("stem", STEMS, "", "model.stem.kind"),
    Field("stem_height", "u16", 1, MAX_STEM_SIDE, "cells", "rows of the stem's feature map",
          "model.stem.height"),
    Field("stem_width", "u16", 1, MAX_STEM_SIDE, "cells", "columns of the stem's feature map",
          "model.stem.width"),
    Field("stem_hidden", "u16", 0, 65535, "", "hidden units of an MLP stem, else 0",
          "model.stem.hidden", stem="mlp"),
    Field("stem_channels", "u16", 0, 4096, "", "output channels of an MLP stem, else 0",
          "model.stem.channels", stem="mlp"),
    Field("motion_height", "u16", 0, MAX_STEM_SIDE, "cells",
          "rows of the motion field, 0 without one", "model.stem.motion_height", stem="grid"),
    Field("motion_width", "u16", 0, MAX_STEM_SIDE, "cells",
          "columns of the motion field, 0 without one", "model.stem.motion_width", stem="grid"),
    Field("wavelet_levels", "u8", 0, MAX_WAVELET_LEVELS, "", "halvings of a grid that moves",
          "model.stem.wavelet_levels", stem="grid"),
    Field("n_grids", "u8", 0, MAX_GRIDS, "", "grids of a grid stem, else 0",
          "model.stem.grids", Rows(Grid, GRID_FIELDS), stem="grid"),
    Field("n_blocks", "u8", 1, MAX_BLOCKS, "", "blocks of the network",
          "model.blocks", Rows(Block, BLOCK_FIELDS)),
)
SECTION_TYPE = Field("section_type", "u8", 0, 255, "",
                     "1 segment, 2 repeats, 130 times, 132 sound, 133 properties; 128 and above"
                     " may be skipped")
SECTION_LENGTH = Field("section_length", "u32", 0, MAX_U32, "bytes", "length of the payload")
SEGMENT_FIELDS = (
    Field("segment_n_frames", "u32", 1, MAX_FRAMES, "frames", "frames of this segment", "n_frames"),
    Field("n_cuts", "u16", 0, 65535, "", "cuts within this segment", "cuts", Count()),
    Field("fraction_bits", "u8", MIN_FRACTION_BITS, MAX_FRACTION_BITS, "bits",
          "of the values of feature maps (5.1)", "fraction_bits"),
    *(
        Field(f"md5_{k}", "u32", 0, MAX_U32, "",
              f"bytes {4 * k} to {4 * k + 3} of the MD5 of the frames",
              f"md5_words.{k}")
        for k in range(4)
    ),
)
CUT = Field("cut", "u32", 1, MAX_FRAMES - 1, "frames",
            "first frame of a new shot")
STREAM_LENGTH = Field("stream_length", "u32", 1, MAX_U32, "bytes", "length of a module's stream")
# fmt: on
_SCALES = {"1e-4 dB": 1e4, "1e-6": 1e6, "epochs": 1.0}
QUALITY_FIELDS = tuple(
    Field(name, "u32", 0, UNKNOWN, unit, meaning, name, Scaled(_SCALES[unit]))
    for name, unit, meaning in (
        ("psnr_y", "1e-4 dB", "mean over frames of the luma PSNR"),
        ("psnr_u", "1e-4 dB", "the same for Cb"),
        ("psnr_v", "1e-4 dB", "the same for Cr"),
        ("psnr_yuv", "1e-4 dB", "the same for (6 Y + U + V) / 8"),
        ("psnr_rgb", "1e-4 dB", "mean over frames of the RGB PSNR"),
        ("psnr_min", "1e-4 dB", "worst frame's (6 Y + U + V) / 8"),
        ("ms_ssim", "1e-6", "mean MS-SSIM of luma"),
        ("epochs", "epochs", "passes of the fit over the frames"),
    )
)
FIELD_TABLES = {
    "Header": HEADER_FIELDS,
    "Grid": GRID_FIELDS,
    "Block": BLOCK_FIELDS,
    "Section": (SECTION_TYPE, SECTION_LENGTH),
    "Segment": SEGMENT_FIELDS,
    "Cut": (CUT,),
    "Stream": (STREAM_LENGTH,),
    "Quality": QUALITY_FIELDS,
}
