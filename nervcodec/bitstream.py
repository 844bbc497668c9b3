""".nvpp <-> Header and sections (docs/bitstream.md; FIELDS below is the table printed there). Stdlib only.

file = preamble, header fields, CRC-32 | index, CRC-32 | sections, each: type, length, payload, CRC-32
All integers are little-endian and unsigned. Every length is checked against the bytes that are there before it is
used, and every checksum before what it covers is believed.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .config import (ACTIVATIONS, BIASES, COLORSPACES, LAYOUTS, MAX_BLOCKS, MAX_FRAMES, MAX_SIDE, OUTPUTS, PARTS, STEMS,
                     Block, ColorTags, Grid, ModelConfig, VideoFormat)
from .errors import BadMagic, Checksum, ConfigError, InvalidField, Truncated, UnsupportedVersion, VideoError

MAGIC = b"\x89NVPP\r\n\x1a"
VERSION = 1
SEGMENT, QUALITY, OPTIONAL = 0x01, 0x81, 0x80
MAX_SECTIONS = 1 << 20

_FORMATS = {"u8": "<B", "u16": "<H", "u32": "<I"}


@dataclass(frozen=True)
class Field:
    """One integer of the file: its name, type ('u8', 'u16', 'u32'), legal range, unit and meaning."""

    name: str
    type: str
    low: int
    high: int
    unit: str
    meaning: str

    def write(self, value: int) -> bytes:
        if not self.low <= value <= self.high:
            raise ConfigError(f"{self.name} is {value}; a .nvpp file holds {self.low} to {self.high}")
        return struct.pack(_FORMATS[self.type], value)


def _ids(names: Sequence[str]) -> str:
    return ", ".join(f"{i} {name}" for i, name in enumerate(names))


HEADER_FIELDS = (
    Field("width", "u16", 1, MAX_SIDE, "pixels", "luma columns"),
    Field("height", "u16", 1, MAX_SIDE, "pixels", "luma rows"),
    Field("frame_rate_numerator", "u32", 1, 2**32 - 1, "frames", "frame rate as a fraction"),
    Field("frame_rate_denominator", "u32", 1, 2**32 - 1, "seconds", ""),
    Field("n_frames", "u32", 1, MAX_FRAMES, "frames", "sum of the segments' frames"),
    Field("aspect_numerator", "u16", 1, 65535, "", "width of one pixel over its height"),
    Field("aspect_denominator", "u16", 1, 65535, "", ""),
    Field("layout", "u8", 0, len(LAYOUTS) - 1, "", f"planes of the source: {_ids(LAYOUTS)}"),
    Field("matrix", "u8", 0, 255, "", "H.273 MatrixCoefficients, 2 unspecified"),
    Field("primaries", "u8", 0, 255, "", "H.273 ColourPrimaries, 2 unspecified"),
    Field("transfer", "u8", 0, 255, "", "H.273 TransferCharacteristics, 2 unspecified"),
    Field("range", "u8", 0, 2, "", "0 unspecified, 1 limited, 2 full"),
    Field("chroma_location", "u8", 0, 6, "", "0 unspecified, else 1 + H.273 ChromaLocType"),
    Field("arithmetic", "u8", 0, 0, "", "0 float32"),
    Field("architecture", "u8", 0, 0, "", "0 NeRV++"),
    Field("entropy_coder", "u8", 0, 0, "", "0 range coder, 64-bit state, 32-bit words, 24-bit tables"),
    Field("colorspace", "u8", 0, len(COLORSPACES) - 1, "", f"planes of the head: {_ids(COLORSPACES)}"),
    Field("bits", "u8", 2, 12, "bits", "symbols lie within +-(2^(bits-1) - 1)"),
    Field("activation", "u8", 0, len(ACTIVATIONS) - 1, "", f"inside an SCRB: {_ids(ACTIVATIONS)}"),
    Field("output", "u8", 0, len(OUTPUTS) - 1, "", f"after the head: {_ids(OUTPUTS)}"),
    Field("parts", "u8", 0, 15, "", "of a block, the sum of 1 pw, 2 scrb1, 4 scrb2, 8 skip (8 only with 1)"),
    Field("biases", "u8", 0, len(BIASES) - 1, "", f"which layers have them: {_ids(BIASES)}"),
    Field("pe_levels", "u8", 1, 64, "", "levels of the positional encoding"),
    Field("pe_base", "u16", 257, 1024, "1/256", "base of the positional encoding"),
    Field("stem", "u8", 0, len(STEMS) - 1, "", _ids(STEMS)),
    Field("stem_height", "u16", 1, 4096, "cells", "rows of the stem's feature map"),
    Field("stem_width", "u16", 1, 4096, "cells", "columns of the stem's feature map"),
    Field("stem_hidden", "u16", 0, 65535, "", "hidden units of an MLP stem, else 0"),
    Field("stem_channels", "u16", 0, 4096, "", "output channels of an MLP stem, else 0"),
    Field("n_grids", "u8", 0, 8, "", "with a grid stem, else 0"),
    Field("n_blocks", "u8", 1, MAX_BLOCKS, "", "decoder blocks"),
)
GRID_FIELDS = (
    Field("grid_channels", "u8", 1, 255, "", "n_grids times: features a cell"),
    Field("grid_interval", "u16", 1, 65535, "frames", "frames a key"),
    Field("grid_level", "u8", 0, MAX_BLOCKS, "", "and blocks before it: 0 the stem's"),
)
BLOCK_FIELDS = (
    Field("block_stride", "u8", 1, 16, "", "n_blocks times: upsampling factor"),
    Field("block_width", "u16", 1, 4096, "", "and channels"),
)
SECTION_TYPE = Field("section_type", "u8", 0, 255, "", "1 segment, 129 quality; 128 and above may be skipped")
SECTION_LENGTH = Field("section_length", "u32", 0, 2**32 - 1, "bytes", "of the payload")
SEGMENT_FIELDS = (
    Field("segment_n_frames", "u32", 1, MAX_FRAMES, "frames", "frames of this segment"),
    Field("overrides_length", "u16", 0, 0, "bytes", "room for overriding header fields; none are defined yet"),
)
STREAM_LENGTH = Field("stream_length", "u32", 1, 2**32 - 1, "bytes", "of one module's stream")
_UNKNOWN = 2**32 - 1
QUALITY_FIELDS = tuple(
    Field(name, "u32", 0, _UNKNOWN, unit, meaning) for name, unit, meaning in (
        ("psnr_y", "1e-4 dB", "mean over frames of the luma PSNR"),
        ("psnr_u", "1e-4 dB", "the same for Cb"),
        ("psnr_v", "1e-4 dB", "the same for Cr"),
        ("psnr_yuv", "1e-4 dB", "the same for (6 Y + U + V) / 8"),
        ("psnr_rgb", "1e-4 dB", "mean over frames of the RGB PSNR"),
        ("psnr_min", "1e-4 dB", "worst frame's (6 Y + U + V) / 8"),
        ("ms_ssim", "1e-6", "mean MS-SSIM of luma"),
        ("epochs", "epochs", "passes of the fit over the frames"),
    ))
FIELD_TABLES = {"Header": HEADER_FIELDS, "Grid": GRID_FIELDS, "Block": BLOCK_FIELDS,
                "Section": (SECTION_TYPE, SECTION_LENGTH), "Segment": SEGMENT_FIELDS, "Stream": (STREAM_LENGTH,),
                "Quality": QUALITY_FIELDS}


@dataclass(frozen=True)
class Header:
    """What the whole file shares: the video's format and the network's configuration."""

    format: VideoFormat
    model: ModelConfig


@dataclass(frozen=True)
class Segment:
    """An independently decodable group of frames: its length and one coded stream per module."""

    n_frames: int
    streams: tuple[bytes, ...]


@dataclass(frozen=True)
class StoredQuality:
    """The measured quality that the encoder stored; None where it was not measured. PSNR in dB."""

    psnr_y: float | None = None
    psnr_u: float | None = None
    psnr_v: float | None = None
    psnr_yuv: float | None = None
    psnr_rgb: float | None = None
    psnr_min: float | None = None
    ms_ssim: float | None = None
    epochs: float | None = None


_QUALITY_SCALES = {field.name: {"1e-4 dB": 1e4, "1e-6": 1e6, "epochs": 1.0}[field.unit] for field in QUALITY_FIELDS}


@dataclass(frozen=True)
class File:
    """A whole parsed file. container_bytes: all but the segments' streams."""

    header: Header
    segments: tuple[Segment, ...]
    quality: StoredQuality
    n_bytes: int

    @property
    def container_bytes(self) -> int:
        return self.n_bytes - sum(len(stream) for segment in self.segments for stream in segment.streams)


# --- writing ---


def write_file(header: Header, segments: Sequence[Segment], quality: StoredQuality) -> bytes:
    """The bytes of a .nvpp file. Its length does not depend on `quality`.

    Raises:
        ConfigError: a value that the format cannot hold.
    """
    payloads = [(QUALITY, write_quality(quality)), *((SEGMENT, write_segment(segment)) for segment in segments)]
    index = struct.pack("<I", len(payloads))
    index += b"".join(SECTION_TYPE.write(kind) + SECTION_LENGTH.write(len(payload)) for kind, payload in payloads)
    return write_header(header) + _checked(index) + b"".join(write_section(*section) for section in payloads)


def write_header(header: Header) -> bytes:
    values = _header_values(header)
    fields = b"".join(field.write(values[field.name]) for field in HEADER_FIELDS)
    for grid in header.model.grids:
        own = (grid.channels, grid.interval, grid.level)
        fields += b"".join(field.write(value) for field, value in zip(GRID_FIELDS, own, strict=True))
    for block in header.model.blocks:
        fields += BLOCK_FIELDS[0].write(block.stride) + BLOCK_FIELDS[1].write(block.width)
    return _checked(MAGIC + struct.pack("<HH", VERSION, len(fields)) + fields)


def write_section(kind: int, payload: bytes) -> bytes:
    return _checked(SECTION_TYPE.write(kind) + SECTION_LENGTH.write(len(payload)) + payload)


def write_segment(segment: Segment) -> bytes:
    head = SEGMENT_FIELDS[0].write(segment.n_frames) + SEGMENT_FIELDS[1].write(0)
    return head + b"".join(STREAM_LENGTH.write(len(stream)) + stream for stream in segment.streams)


def write_quality(quality: StoredQuality) -> bytes:
    def stored(name: str) -> int:
        value = getattr(quality, name)
        return _UNKNOWN if value is None else round(min(max(value * _QUALITY_SCALES[name], 0), _UNKNOWN - 1))

    return b"".join(field.write(stored(field.name)) for field in QUALITY_FIELDS)


def _checked(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def _header_values(header: Header) -> dict[str, int]:
    form, model, color = header.format, header.model, header.format.color
    return {
        "width": form.width, "height": form.height, "n_frames": form.n_frames,
        "frame_rate_numerator": form.frame_rate.numerator, "frame_rate_denominator": form.frame_rate.denominator,
        "aspect_numerator": form.sample_aspect_ratio.numerator,
        "aspect_denominator": form.sample_aspect_ratio.denominator,
        "layout": LAYOUTS.index(form.layout), "matrix": color.matrix, "primaries": color.primaries,
        "transfer": color.transfer, "range": 0 if color.full_range is None else 1 + color.full_range,
        "chroma_location": color.chroma_location, "arithmetic": 0, "architecture": 0, "entropy_coder": 0,
        "colorspace": COLORSPACES.index(model.colorspace), "bits": model.bits,
        "activation": ACTIVATIONS.index(model.activation), "output": OUTPUTS.index(model.output),
        "parts": sum(1 << PARTS.index(part) for part in model.parts), "biases": BIASES.index(model.biases),
        "pe_levels": model.pe_levels, "pe_base": model.pe_base_q8,
        "stem": STEMS.index(model.stem), "stem_height": model.stem_height, "stem_width": model.stem_width,
        "stem_hidden": model.stem_hidden, "stem_channels": model.stem_channels,
        "n_grids": len(model.grids), "n_blocks": len(model.blocks),
    }


# --- reading ---


class _Reader:
    """A cursor over bytes that never reads past their end."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.position = data, what, 0

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > self.left:
            raise Truncated(f"{self.what}: {n_bytes} bytes wanted at byte {self.position}, {self.left} there")
        self.position += n_bytes
        return self.data[self.position - n_bytes:self.position]

    def field(self, field: Field) -> int:
        value: int = struct.unpack(_FORMATS[field.type], self.take(struct.calcsize(_FORMATS[field.type])))[0]
        if not field.low <= value <= field.high:
            raise InvalidField(field.name, value, f"{field.low} to {field.high}")
        return value

    def checksum(self, start: int) -> None:
        """Compares the CRC-32 here with that of all bytes from `start` on."""
        covered = self.data[start:self.position]
        if struct.unpack("<I", self.take(4))[0] != zlib.crc32(covered):
            raise Checksum(f"{self.what}: the checksum at byte {self.position - 4} does not match; the file is damaged")

    def finish(self) -> None:
        if self.left:
            raise InvalidField(f"length of {self.what}", len(self.data), f"{self.position}, as its fields say")


def read_file(data: bytes) -> File:
    """Parses and checks a whole file; the inverse of write_file.

    Raises:
        BadMagic, UnsupportedVersion, Truncated, Checksum, InvalidField: what is wrong with it.
    """
    reader = _Reader(data, "file")
    header = _read_header(reader)
    segments: list[Segment] = []
    quality: StoredQuality | None = None
    for kind, payload in _read_sections(reader):
        if kind == SEGMENT:
            segments.append(read_segment(payload, len(header.model.blocks) + 2))
        elif kind == QUALITY and quality is None:
            quality = read_quality(payload)
        elif kind == QUALITY:
            raise InvalidField("number of quality sections", 2, "0 or 1")
        elif kind < OPTIONAL:
            raise InvalidField("section_type", kind, f"{SEGMENT}, {QUALITY}, or {OPTIONAL} and above")
    n_frames = sum(segment.n_frames for segment in segments)
    if n_frames != header.format.n_frames:
        raise InvalidField("n_frames", header.format.n_frames, f"{n_frames}, the sum over the segments")
    return File(header, tuple(segments), quality or StoredQuality(), len(data))


def load(path: str | os.PathLike[str]) -> File:
    """Reads and checks the .nvpp file at `path`.

    Raises:
        VideoError: it cannot be read.
        BitstreamError: it is damaged or not a .nvpp file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise VideoError(f"{os.fspath(path)}: {error.strerror or error}") from None
    return read_file(data)


def _read_header(reader: _Reader) -> Header:
    magic = reader.data[:len(MAGIC)]
    if magic != MAGIC:
        if magic and MAGIC.startswith(magic):
            raise Truncated(f"file: it ends after {len(magic)} bytes")
        raise BadMagic(f"not a .nvpp file: it starts with {magic!r}")
    reader.position = len(MAGIC)
    version, length = struct.unpack("<HH", reader.take(4))
    if version != VERSION:
        raise UnsupportedVersion(f"format version {version}; this program reads version {VERSION}")
    fields = _Reader(reader.take(length), "header")
    reader.checksum(0)
    values = {field.name: fields.field(field) for field in HEADER_FIELDS}
    grids = tuple(Grid(*(fields.field(field) for field in GRID_FIELDS)) for _ in range(values["n_grids"]))
    blocks = tuple(Block(*(fields.field(field) for field in BLOCK_FIELDS)) for _ in range(values["n_blocks"]))
    fields.finish()
    try:
        return Header(_video_format(values), _model_config(values, grids, blocks))
    except ConfigError as error:
        raise InvalidField("model", str(error), "a network that covers the frame") from None


def _video_format(values: dict[str, int]) -> VideoFormat:
    color = ColorTags(values["matrix"], values["primaries"], values["transfer"],
                      (None, False, True)[values["range"]], values["chroma_location"])
    return VideoFormat(values["width"], values["height"],
                       Fraction(values["frame_rate_numerator"], values["frame_rate_denominator"]),
                       values["n_frames"], LAYOUTS[values["layout"]], color,
                       Fraction(values["aspect_numerator"], values["aspect_denominator"]))


def _model_config(values: dict[str, int], grids: tuple[Grid, ...], blocks: tuple[Block, ...]) -> ModelConfig:
    same = ("width", "height", "stem_height", "stem_width", "stem_hidden", "stem_channels", "pe_levels", "bits")
    return ModelConfig(
        colorspace=COLORSPACES[values["colorspace"]], stem=STEMS[values["stem"]], blocks=blocks, grids=grids,
        activation=ACTIVATIONS[values["activation"]], output=OUTPUTS[values["output"]],
        parts=tuple(part for i, part in enumerate(PARTS) if values["parts"] >> i & 1), biases=BIASES[values["biases"]],
        pe_base_q8=values["pe_base"], **{name: values[name] for name in same})


def _read_sections(reader: _Reader) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of every section, in the index's order, checked against the index and its own checksum."""
    start = reader.position
    n_sections = struct.unpack("<I", reader.take(4))[0]
    if not 1 <= n_sections <= MAX_SECTIONS:
        raise InvalidField("n_sections", n_sections, f"1 to {MAX_SECTIONS}")
    if n_sections * 5 > reader.left:
        raise Truncated(f"index: {n_sections} entries, {reader.left} bytes left")
    index = [(reader.field(SECTION_TYPE), reader.field(SECTION_LENGTH)) for _ in range(n_sections)]
    reader.checksum(start)
    for entry in index:
        start = reader.position
        found = reader.field(SECTION_TYPE), reader.field(SECTION_LENGTH)
        if found != entry:
            raise InvalidField("section type and length", found, f"{entry}, as the index says")
        payload = reader.take(entry[1])
        reader.checksum(start)
        yield entry[0], payload
    reader.finish()


def read_segment(payload: bytes, n_streams: int) -> Segment:
    reader = _Reader(payload, "segment")
    n_frames, _ = (reader.field(field) for field in SEGMENT_FIELDS)
    streams = tuple(reader.take(reader.field(STREAM_LENGTH)) for _ in range(n_streams))
    reader.finish()
    return Segment(n_frames, streams)


def read_quality(payload: bytes) -> StoredQuality:
    reader = _Reader(payload, "quality")
    stored: dict[str, Any] = {field.name: reader.field(field) for field in QUALITY_FIELDS}
    reader.finish()
    return StoredQuality(**{name: None if value == _UNKNOWN else value / _QUALITY_SCALES[name]
                            for name, value in stored.items()})
