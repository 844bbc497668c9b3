""".nvpp <-> Header and sections (docs/bitstream.md; fields.py has its tables). Stdlib only.

file = preamble, header fields, CRC-32 | index, CRC-32 | sections, each: type, length, payload,
CRC-32 All integers are little-endian and unsigned. Every length is checked against the bytes that
are there before it is used, and every checksum before what it covers is believed.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from nervcodec.errors import (
    BadMagic,
    Checksum,
    ConfigError,
    InvalidField,
    Truncated,
    UnsupportedVersion,
    VideoError,
)
from nervcodec.format.fields import (
    BLOCK_FIELDS,
    CUT,
    GRID_FIELDS,
    HEADER_FIELDS,
    MOTION_FIELDS,
    QUALITY_FIELDS,
    SECTION_LENGTH,
    SECTION_TYPE,
    SEGMENT_FIELDS,
    STREAM_LENGTH,
    UNKNOWN,
    WAVELET_FIELDS,
    Field,
)
from nervcodec.format.model_config import (
    ACTIVATIONS,
    BIASES,
    COLORSPACES,
    OUTPUTS,
    PARTS,
    STEMS,
    Block,
    Grid,
    GridStem,
    MlpStem,
    ModelConfig,
    Shots,
)
from nervcodec.format.video_format import LAYOUTS, ColorTags, VideoFormat

MAGIC = b"\x89NVPP\r\n\x1a"
VERSION = 1
SEGMENT, QUALITY, OPTIONAL = 0x01, 0x81, 0x80
MAX_SECTIONS = 1 << 20
SECTION_OVERHEAD = 9  # type, length and checksum


@dataclass(frozen=True)
class Header:
    """What the whole file shares: the video's format and the network's configuration."""

    format: VideoFormat
    model: ModelConfig


@dataclass(frozen=True)
class FrameSums:
    """What the encoder saw when it decoded a segment: CRC-32 of its frames and, modulo 2^32, each
    plane's sum.
    """

    crc: int
    planes: tuple[int, int, int]


_NO_SUMS = FrameSums(UNKNOWN, (UNKNOWN,) * 3)


@dataclass(frozen=True)
class Segment:
    """An independently decodable group of frames: its shots, a coded stream per module, its frames'
    sums if known.
    """

    shots: Shots
    streams: tuple[bytes, ...]
    sums: FrameSums | None = None

    @property
    def n_frames(self) -> int:
        return sum(self.shots)


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


_QUALITY_SCALES = {
    field.name: {"1e-4 dB": 1e4, "1e-6": 1e6, "epochs": 1.0}[field.unit] for field in QUALITY_FIELDS
}


@dataclass(frozen=True)
class File:
    """A whole parsed file. container_bytes: all but the segments' streams."""

    header: Header
    segments: tuple[Segment, ...]
    quality: StoredQuality
    n_bytes: int

    @property
    def container_bytes(self) -> int:
        return self.n_bytes - sum(
            len(stream) for segment in self.segments for stream in segment.streams
        )


# --- writing ---


def write_file(header: Header, segments: Sequence[Segment], quality: StoredQuality) -> bytes:
    """The bytes of a .nvpp file. Its length depends neither on `quality` nor on the segments' sums.

    Raises:
        ConfigError: a value that the format cannot hold.
    """
    payloads = [
        (QUALITY, write_quality(quality)),
        *((SEGMENT, write_segment(segment)) for segment in segments),
    ]
    index = struct.pack("<I", len(payloads))
    index += b"".join(
        SECTION_TYPE.write(kind) + SECTION_LENGTH.write(len(payload)) for kind, payload in payloads
    )
    return (
        write_header(header)
        + _checked(index)
        + b"".join(write_section(*section) for section in payloads)
    )


def write_header(header: Header) -> bytes:
    values = _header_values(header)
    fields = b"".join(field.write(values[field.name]) for field in HEADER_FIELDS)
    for grid in header.model.grids:
        own = (grid.channels, grid.interval, grid.level)
        fields += b"".join(
            field.write(value) for field, value in zip(GRID_FIELDS, own, strict=True)
        )
    for block in header.model.blocks:
        fields += BLOCK_FIELDS[0].write(block.stride) + BLOCK_FIELDS[1].write(block.width)
    if header.model.motion:
        fields += b"".join(map(Field.write, MOTION_FIELDS, header.model.motion))
    if levels := _of_stem(header.model, "wavelet_levels"):
        fields += WAVELET_FIELDS[0].write(levels)
    return _checked(MAGIC + struct.pack("<HH", VERSION, len(fields)) + fields)


def write_section(kind: int, payload: bytes) -> bytes:
    return _checked(SECTION_TYPE.write(kind) + SECTION_LENGTH.write(len(payload)) + payload)


def write_segment(segment: Segment) -> bytes:
    sums = segment.sums or _NO_SUMS
    cuts = list(itertools.accumulate(segment.shots[:-1]))
    values = (segment.n_frames, len(cuts), sums.crc, *sums.planes)
    head = b"".join(field.write(value) for field, value in zip(SEGMENT_FIELDS, values, strict=True))
    head += b"".join(CUT.write(cut) for cut in cuts)
    return head + b"".join(STREAM_LENGTH.write(len(stream)) + stream for stream in segment.streams)


def write_quality(quality: StoredQuality) -> bytes:
    def stored(name: str) -> int:
        value = getattr(quality, name)
        return (
            UNKNOWN
            if value is None
            else round(min(max(value * _QUALITY_SCALES[name], 0), UNKNOWN - 1))
        )

    return b"".join(field.write(stored(field.name)) for field in QUALITY_FIELDS)


def _checked(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def _of_stem(model: ModelConfig, name: str) -> int:
    """A value that one kind of stem alone has, 0 of the other."""
    value: int = getattr(model.stem, name, 0)
    return value


def _header_values(header: Header) -> dict[str, int]:
    form, model, color = header.format, header.model, header.format.color
    return {
        "width": form.width,
        "height": form.height,
        "n_frames": form.n_frames,
        "frame_rate_numerator": form.frame_rate.numerator,
        "frame_rate_denominator": form.frame_rate.denominator,
        "aspect_numerator": form.sample_aspect_ratio.numerator,
        "aspect_denominator": form.sample_aspect_ratio.denominator,
        "layout": LAYOUTS.index(form.layout),
        "matrix": color.matrix,
        "primaries": color.primaries,
        "transfer": color.transfer,
        "range": 0 if color.full_range is None else 1 + color.full_range,
        "chroma_location": color.chroma_location,
        "arithmetic": 0,
        "entropy_coder": 0,
        "architecture": bool(model.motion) + bool(_of_stem(model, "wavelet_levels")),
        "colorspace": COLORSPACES.index(model.colorspace),
        "bits": model.bits,
        "activation": ACTIVATIONS.index(model.activation),
        "output": OUTPUTS.index(model.output),
        "parts": sum(1 << PARTS.index(part) for part in model.parts),
        "biases": BIASES.index(model.biases),
        "pe_levels": model.pe_levels,
        "pe_base": model.pe_base_q8,
        "stem": STEMS.index(model.stem.kind),
        "stem_height": model.stem.height,
        "stem_width": model.stem.width,
        "stem_hidden": _of_stem(model, "hidden"),
        "stem_channels": _of_stem(model, "channels") if isinstance(model.stem, MlpStem) else 0,
        "n_grids": len(model.grids),
        "n_blocks": len(model.blocks),
    }


# --- reading ---


class Reader:
    """A cursor over bytes that never reads past their end."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.position = data, what, 0

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > self.left:
            raise Truncated(
                f"{self.what}: {n_bytes} bytes wanted at byte {self.position}, {self.left} there"
            )
        self.position += n_bytes
        return self.data[self.position - n_bytes : self.position]

    def field(self, field: Field) -> int:
        return field.read(self.take(field.n_bytes))

    def checksum(self, start: int) -> None:
        """Compares the CRC-32 here with that of all bytes from `start` on."""
        covered = self.data[start : self.position]
        if struct.unpack("<I", self.take(4))[0] != zlib.crc32(covered):
            raise Checksum(
                f"{self.what}: the checksum at byte {self.position - 4} does not match; the file is"
                " damaged"
            )

    def finish(self) -> None:
        if self.left:
            raise InvalidField(
                f"length of {self.what}", len(self.data), f"{self.position}, as its fields say"
            )


def read_file(data: bytes) -> File:
    """Parses and checks a whole file; the inverse of write_file.

    Raises:
        BadMagic, UnsupportedVersion, Truncated, Checksum, InvalidField: what is wrong with it.
    """
    reader = Reader(data, "file")
    header = read_header(reader)
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
            raise InvalidField(
                "section_type", kind, f"{SEGMENT}, {QUALITY}, or {OPTIONAL} and above"
            )
    n_frames = sum(segment.n_frames for segment in segments)
    if n_frames != header.format.n_frames:
        raise InvalidField(
            "n_frames", header.format.n_frames, f"{n_frames}, the sum over the segments"
        )
    return File(header, tuple(segments), quality or StoredQuality(), len(data))


def load(path: str | os.PathLike[str]) -> File:
    """Reads and checks the .nvpp file at `path`.

    Raises:
        VideoError: it cannot be read.
        BitstreamError: it is damaged or not a .nvpp file.
    """
    return read_file(read_bytes(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of the file at `path`, of another format's no more than show it: it may be of any
    size.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            magic = file.read(len(MAGIC))
            return magic + file.read() if magic == MAGIC else magic
    except OSError as error:
        raise VideoError(f"{os.fspath(path)}: {error.strerror or error}") from None


def read_header(reader: Reader) -> Header:
    magic = reader.data[: len(MAGIC)]
    if magic != MAGIC:
        if magic and MAGIC.startswith(magic):
            raise Truncated(f"file: it ends after {len(magic)} bytes")
        raise BadMagic(f"not a .nvpp file: it starts with {magic!r}")
    reader.position = len(MAGIC)
    version, length = struct.unpack("<HH", reader.take(4))
    if version != VERSION:
        raise UnsupportedVersion(f"format version {version}; this program reads version {VERSION}")
    fields = Reader(reader.take(length), "header")
    reader.checksum(0)
    values = {field.name: fields.field(field) for field in HEADER_FIELDS}
    grids = tuple(
        Grid(*(fields.field(field) for field in GRID_FIELDS)) for _ in range(values["n_grids"])
    )
    blocks = tuple(
        Block(*(fields.field(field) for field in BLOCK_FIELDS)) for _ in range(values["n_blocks"])
    )
    for table in (MOTION_FIELDS, WAVELET_FIELDS)[: values["architecture"]]:
        values |= {field.name: fields.field(field) for field in table}
    fields.finish()
    try:
        return Header(_video_format(values), _model_config(values, grids, blocks))
    except ConfigError as error:
        raise InvalidField("model", str(error), "a network that covers the frame") from None


def _video_format(values: dict[str, int]) -> VideoFormat:
    color = ColorTags(
        values["matrix"],
        values["primaries"],
        values["transfer"],
        (None, False, True)[values["range"]],
        values["chroma_location"],
    )
    return VideoFormat(
        values["width"],
        values["height"],
        Fraction(values["frame_rate_numerator"], values["frame_rate_denominator"]),
        values["n_frames"],
        LAYOUTS[values["layout"]],
        color,
        Fraction(values["aspect_numerator"], values["aspect_denominator"]),
    )


def _model_config(
    values: dict[str, int], grids: tuple[Grid, ...], blocks: tuple[Block, ...]
) -> ModelConfig:
    sizes = values["stem_height"], values["stem_width"]
    stem: MlpStem | GridStem
    if STEMS[values["stem"]] == MlpStem.kind:
        stem = MlpStem(*sizes, values["stem_hidden"], values["stem_channels"])
        foreign = ["n_grids", "motion_height", "motion_width", "wavelet_levels"]
    else:
        motion = values.get("motion_height", 0), values.get("motion_width", 0)
        stem = GridStem(*sizes, grids, *motion, values.get("wavelet_levels", 0))
        foreign = ["stem_hidden", "stem_channels"]
    for name in foreign:
        if values.get(name, 0):
            raise InvalidField(name, values[name], f"0 with stem {stem.kind}")
    return ModelConfig(
        values["width"],
        values["height"],
        COLORSPACES[values["colorspace"]],
        stem,
        blocks,
        parts=tuple(part for i, part in enumerate(PARTS) if values["parts"] >> i & 1),
        biases=BIASES[values["biases"]],
        bits=values["bits"],
        pe_levels=values["pe_levels"],
        pe_base_q8=values["pe_base"],
        activation=ACTIVATIONS[values["activation"]],
        output=OUTPUTS[values["output"]],
    )


def _read_sections(reader: Reader) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of every section, in the index's order, checked against the index and its own
    checksum.
    """
    for entry in read_index(reader):
        yield entry[0], read_section(reader, entry)
    reader.finish()


def read_index(reader: Reader) -> list[tuple[int, int]]:
    """(type, length of the payload) of every section."""
    start = reader.position
    n_sections = struct.unpack("<I", reader.take(4))[0]
    if not 1 <= n_sections <= MAX_SECTIONS:
        raise InvalidField("n_sections", n_sections, f"1 to {MAX_SECTIONS}")
    if n_sections * 5 > reader.left:
        raise Truncated(f"index: {n_sections} entries, {reader.left} bytes left")
    index = [(reader.field(SECTION_TYPE), reader.field(SECTION_LENGTH)) for _ in range(n_sections)]
    reader.checksum(start)
    return index


def read_section(reader: Reader, entry: tuple[int, int]) -> bytes:
    """The payload of the section that begins here."""
    start = reader.position
    found = reader.field(SECTION_TYPE), reader.field(SECTION_LENGTH)
    if found != entry:
        raise InvalidField("section type and length", found, f"{entry}, as the index says")
    payload = reader.take(entry[1])
    reader.checksum(start)
    return payload


def read_segment(payload: bytes, n_streams: int) -> Segment:
    reader = Reader(payload, "segment")
    n_frames, n_cuts, crc, *planes = (reader.field(field) for field in SEGMENT_FIELDS)
    sums = FrameSums(crc, (planes[0], planes[1], planes[2]))
    shots, start = [], 0
    for cut in (reader.field(CUT) for _ in range(n_cuts)):
        if not start < cut < n_frames:
            raise InvalidField("cut", cut, f"{start + 1} to {n_frames - 1}")
        shots.append(cut - start)
        start = cut
    streams = tuple(reader.take(reader.field(STREAM_LENGTH)) for _ in range(n_streams))
    reader.finish()
    return Segment((*shots, n_frames - start), streams, None if sums == _NO_SUMS else sums)


def read_quality(payload: bytes) -> StoredQuality:
    reader = Reader(payload, "quality")
    stored: dict[str, Any] = {field.name: reader.field(field) for field in QUALITY_FIELDS}
    reader.finish()
    return StoredQuality(
        **{
            name: None if value == UNKNOWN else value / _QUALITY_SCALES[name]
            for name, value in stored.items()
        }
    )
