"""Read and write .nvpp files: Header and sections (nvpp-format.md section 2).

file = preamble, header fields, CRC-32 | index, CRC-32 | sections, each: type, length, payload,
CRC-32. The tables of fields.py say what stands where. Every length is checked against the bytes
that are there before it is used, and every checksum before what it covers is believed. Standard
library only.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from nervcodec.errors import (
    BadMagic,
    ConfigError,
    InvalidField,
    Truncated,
    UnknownPrior,
    UnsupportedVersion,
    VideoError,
)
from nervcodec.format.extras import EXTRAS, NO_EXTRAS, REPEATS, SOUND, Extras
from nervcodec.format.fields import (
    CUT,
    HEADER_FIELDS,
    QUALITY_FIELDS,
    SECTION_LENGTH,
    SECTION_TYPE,
    SEGMENT_FIELDS,
    STREAM_LENGTH,
    Field,
    Rows,
    tree_of,
)
from nervcodec.format.file import File, Header, Segment, StoredQuality, md5_of_words
from nervcodec.format.model_config import STEMS, GridStem, MlpStem, ModelConfig, Stem
from nervcodec.format.prior import NO_PRIOR, PRIORS
from nervcodec.format.reader import Reader
from nervcodec.format.repeats import check_frames
from nervcodec.format.times import check_times
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.util.validation import check_range

MAGIC = b"\x89NVPP\r\n\x1a"
VERSION = 1
SEGMENT, OPTIONAL = 0x01, 0x80
MAX_SECTIONS = 1 << 20
SECTION_OVERHEAD = 9  # type, length and checksum
INDEX_ENTRY = 5  # type and length; an entry of a segment has its frames, too
_SEGMENT_FRAMES = SEGMENT_FIELDS[0]


class IndexEntry(NamedTuple):
    """What the index says of a section.

    Attributes:
        kind: its type.
        length: bytes of its payload.
        n_frames: coded frames of a segment, 0 of other sections.
    """

    kind: int
    length: int
    n_frames: int = 0


# --- writing ---


def write_file(header: Header, segments: Sequence[Segment], extras: Extras = NO_EXTRAS) -> bytes:
    """The bytes of a .nvpp file. Its length depends neither on the segments' quality nor on their
    MD5.

    Raises:
        ConfigError: a value that the format cannot hold.
    """
    sections = [
        (kind, write(getattr(extras, name)), 0)
        for kind, (name, write, _) in EXTRAS.items()
        if getattr(extras, name) is not None
    ]
    sections += ((SEGMENT, write_segment(segment), segment.n_frames) for segment in segments)
    check_range("number of sections", len(sections), 1, MAX_SECTIONS)
    index = (IndexEntry(kind, len(payload), n_frames) for kind, payload, n_frames in sections)
    return b"".join(
        (
            write_header(header),
            _checked(struct.pack("<I", len(sections)) + b"".join(map(write_entry, index))),
            *(write_section(kind, payload) for kind, payload, _ in sections),
        )
    )


def write_entry(entry: IndexEntry) -> bytes:
    """Return a section's entry in the index."""
    data = SECTION_TYPE.write(entry.kind) + SECTION_LENGTH.write(entry.length)
    return data + _SEGMENT_FRAMES.write(entry.n_frames) if entry.kind == SEGMENT else data


def write_header(header: Header) -> bytes:
    """Return the preamble and the header with their checksum."""
    fields = _write_fields(HEADER_FIELDS, header, header.model.stem.kind)
    return _checked(MAGIC + struct.pack("<HH", VERSION, len(fields)) + fields)


def write_section(kind: int, payload: bytes) -> bytes:
    return _checked(SECTION_TYPE.write(kind) + SECTION_LENGTH.write(len(payload)) + payload)


def write_segment(segment: Segment) -> bytes:
    """Return the payload of a segment's section."""
    head = _write_fields(SEGMENT_FIELDS, segment) + _write_fields(QUALITY_FIELDS, segment.quality)
    cuts = b"".join(map(CUT.write, segment.cuts))
    streams = (STREAM_LENGTH.write(len(stream)) + stream for stream in segment.streams)
    return b"".join((head, cuts, *streams))


def _write_fields(table: Sequence[Field], root: object, stem: str | None = None) -> bytes:
    """Return a table's fields for an object, then those of the rows that they count.

    Args:
        stem: the kind of its stem, if it has one.
    """
    present = [field for field in table if field.stem in (None, stem)]
    numbers = {field.name: field.number_of(root) for field in present}
    data = b"".join(field.write(numbers.get(field.name, 0)) for field in table)
    for field in present:
        if isinstance(field.codec, Rows):
            rows = (_write_fields(field.codec.fields, row) for row in field.value_of(root))
            data += b"".join(rows)
    return data


def _checked(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


# --- reading ---


def read_file(data: bytes) -> File:
    """Parses and checks a whole file; the inverse of write_file.

    Raises:
        BadMagic, UnsupportedVersion, Truncated, Checksum, InvalidField: what is wrong with it.
    """
    reader = Reader(data, "file")
    header = read_header(reader)
    segments: list[Segment] = []
    sound_bytes = n_unknown = 0
    single: dict[str, Any] = {}
    for entry, payload in _read_sections(reader):
        kind = entry.kind
        if kind == SEGMENT:
            segments.append(read_segment(payload, len(header.model.blocks) + 2, entry.n_frames))
        elif kind in EXTRAS:
            name, _, read = EXTRAS[kind]
            if name in single:
                raise InvalidField(f"number of {name} sections", 2, "0 or 1")
            single[name] = read(bytes(payload))
            if kind == SOUND:
                sound_bytes = len(payload) + SECTION_OVERHEAD + INDEX_ENTRY
        elif kind < OPTIONAL:
            raise InvalidField(
                "section_type", kind, f"{SEGMENT}, {REPEATS}, or {OPTIONAL} and above"
            )
        else:
            n_unknown += 1
    file = File(header, tuple(segments), len(data), Extras(**single), sound_bytes, n_unknown)
    check_frames(file.extras.repeats, file.n_coded_frames, header.format.n_frames)
    if file.extras.times:
        check_times(file.extras.times, header.format.n_frames)
    return file


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
            if magic != MAGIC:
                return magic
            if not file.seekable():
                return magic + file.read()
        # Without a buffer, so that a large file is held once.
        with open(path, "rb", buffering=0) as whole:
            return whole.readall()
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
    numbers = fields.fields(HEADER_FIELDS)
    rows = {
        field.name: tuple(
            field.codec.kind(**tree_of(field.codec.fields, fields.fields(field.codec.fields)))
            for _ in range(numbers[field.name])
        )
        for field in HEADER_FIELDS
        if isinstance(field.codec, Rows)
    }
    fields.finish()
    _check_prior(numbers.pop("prior_crc"), numbers["prior"])
    kind = STEMS[numbers["stem"]]
    for field in HEADER_FIELDS:
        if field.stem not in (None, kind) and numbers[field.name]:
            raise InvalidField(field.name, numbers[field.name], f"0 with stem {kind}")
    present = [
        field
        for field in HEADER_FIELDS
        if field.stem in (None, kind) and (field.name in numbers or field.name in rows)
    ]
    try:
        return Header(**_made("", tree_of(present, numbers, rows)))
    except ConfigError as error:
        raise InvalidField("model", str(error), "a network that covers the frame") from None


def _check_prior(crc: int, number: int) -> None:
    """Refuse a prior that this version does not have, and a checksum of none."""
    if number == NO_PRIOR:
        if crc:
            raise InvalidField("prior_crc", crc, "0 without a prior")
        return
    if number not in PRIORS:
        legal = ", ".join(map(str, (NO_PRIOR, *PRIORS)))
        raise UnknownPrior(f"prior is {number}; this version has {legal}: update nervcodec")
    own = PRIORS[number].crc
    if crc != own:
        raise UnknownPrior(
            f"prior {number} has the checksum {crc:#010x}, and {own:#010x} in this version: decode"
            " with the version that encoded"
        )


def _stem(kind: str, **values: Any) -> Stem:
    return MlpStem(**values) if kind == MlpStem.kind else GridStem(**values)


def _tuple(**values: int) -> tuple[int, ...]:
    return tuple(values.values())


# What the branches of tree_of make, by their paths.
_MAKERS: dict[str, Callable[..., object]] = {
    "format": VideoFormat,
    "format.color": ColorTags,
    "format.frame_rate": Fraction,
    "format.sample_aspect_ratio": Fraction,
    "model": ModelConfig,
    "model.stem": _stem,
    "md5_words": _tuple,
}


def _made(path: str, tree: dict[str, Any]) -> dict[str, Any]:
    """Return the tree under a path with an object in place of each branch."""
    return {
        name: _MAKERS[path + name](**_made(f"{path}{name}.", value))
        if isinstance(value, dict)
        else value
        for name, value in tree.items()
    }


def _read_sections(reader: Reader) -> Iterator[tuple[IndexEntry, memoryview]]:
    """Entry and payload of every section, in the index's order, checked against the index and its
    own checksum.
    """
    for entry in read_index(reader):
        yield entry, read_section(reader, entry)
    reader.finish()


def read_index(reader: Reader) -> list[IndexEntry]:
    """The entry of every section."""
    start = reader.position
    n_sections = struct.unpack("<I", reader.take(4))[0]
    if not 1 <= n_sections <= MAX_SECTIONS:
        raise InvalidField("n_sections", n_sections, f"1 to {MAX_SECTIONS}")
    if n_sections * INDEX_ENTRY > reader.left:
        raise Truncated(f"index: {n_sections} entries, {reader.left} bytes left")
    index = [_read_entry(reader) for _ in range(n_sections)]
    reader.checksum(start)
    return index


def _read_entry(reader: Reader) -> IndexEntry:
    kind, length = reader.field(SECTION_TYPE), reader.field(SECTION_LENGTH)
    return IndexEntry(kind, length, reader.field(_SEGMENT_FRAMES) if kind == SEGMENT else 0)


def read_section(reader: Reader, entry: IndexEntry) -> memoryview:
    """The payload of the section that begins here, not a copy of it."""
    start = reader.position
    found = reader.field(SECTION_TYPE), reader.field(SECTION_LENGTH)
    if found != entry[:2]:
        raise InvalidField("section type and length", found, f"{entry[:2]}, as the index says")
    payload = reader.view(entry.length)
    reader.checksum(start)
    return payload


def read_segment(
    payload: bytes | memoryview, n_streams: int, n_frames: int | None = None
) -> Segment:
    """Return the segment of a payload; the inverse of write_segment.

    Args:
        n_frames: as the index says, None where there is none.

    Raises:
        Truncated, InvalidField: what is wrong with it.
    """
    reader = Reader(payload, "segment")
    head = _made("", tree_of(SEGMENT_FIELDS, reader.fields(SEGMENT_FIELDS)))
    quality = StoredQuality(**tree_of(QUALITY_FIELDS, reader.fields(QUALITY_FIELDS)))
    own = head["n_frames"]
    if n_frames not in (None, own):
        raise InvalidField(_SEGMENT_FRAMES.name, own, f"{n_frames}, as the index says")
    shots, start = [], 0
    for cut in (reader.field(CUT) for _ in range(head["cuts"])):
        if not start < cut < own:
            raise InvalidField("cut", cut, f"{start + 1} to {own - 1}")
        shots.append(cut - start)
        start = cut
    streams = tuple(reader.take(reader.field(STREAM_LENGTH)) for _ in range(n_streams))
    reader.finish()
    md5, bits = md5_of_words(head["md5_words"]), head["fraction_bits"]
    return Segment((*shots, own - start), streams, md5, quality, bits)
