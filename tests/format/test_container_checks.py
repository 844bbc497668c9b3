"""nervcodec.format.container: every check of the reader, on files whose checksums are right."""

import struct
import zlib
from fractions import Fraction

import pytest

from nervcodec.errors import (
    BadMagic,
    BitstreamError,
    Checksum,
    InvalidField,
    Truncated,
    UnknownPrior,
    UnsupportedVersion,
)
from nervcodec.format.container import (
    SEGMENT,
    IndexEntry,
    read_file,
    write_entry,
    write_header,
    write_segment,
)
from nervcodec.format.extras import PROPERTIES, TIMES
from nervcodec.format.fields import (
    BLOCK_FIELDS,
    CUT,
    GRID_FIELDS,
    HEADER_FIELDS,
    QUALITY_FIELDS,
    SEGMENT_FIELDS,
    STREAM_LENGTH,
    Field,
)
from nervcodec.format.file import Header, Segment
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.prior import PRIORS
from nervcodec.format.video_format import VideoFormat

MODEL = ModelConfig(
    10, 6, "yuv420", GridStem(2, 3, (Grid(2, 4), Grid(3, 300))), (Block(2, 5), Block(1, 4))
)
HEADER = Header(VideoFormat(10, 6, Fraction(30000, 1001), 7), MODEL)
SEGMENTS = (Segment((4,), (b"\0", b"ab", b"c", b"defg")), Segment((3,), (b"1", b"2", b"3", b"45")))
SIZES = {"u8": 1, "u16": 2, "u32": 4}


def crc(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def frames_of(kind: int, payload: bytes) -> int:
    """What the index says of a section's frames."""
    n_frames = int.from_bytes(payload[:4], "little")
    return min(max(n_frames, 1), 1 << 24) if kind == SEGMENT else 0


def file_of(sections: list[tuple[int, bytes]], header: bytes = write_header(HEADER)) -> bytes:
    """A file with correct checksums of any sections."""
    index = b"".join(
        write_entry(IndexEntry(kind, len(payload), frames_of(kind, payload)))
        for kind, payload in sections
    )
    body = b"".join(
        crc(struct.pack("<BI", kind, len(payload)) + payload) for kind, payload in sections
    )
    return header + crc(struct.pack("<I", len(sections)) + index) + body


def segment_sections() -> list[tuple[int, bytes]]:
    return [(SEGMENT, write_segment(segment)) for segment in SEGMENTS]


def header_with(changes: dict[str, int]) -> bytes:
    """HEADER's bytes with some fields' values replaced, of grids and blocks the first ones';
    checksums correct.
    """
    data, at = bytearray(write_header(HEADER)[:-4]), 12
    for field in (*HEADER_FIELDS, *GRID_FIELDS, *GRID_FIELDS, *BLOCK_FIELDS, *BLOCK_FIELDS):
        size = SIZES[field.type]
        if field.name in changes:
            data[at : at + size] = changes.pop(field.name).to_bytes(size, "little")
        at += size
    assert not changes and at == len(data)
    return crc(bytes(data))


# --- preamble ---


@pytest.mark.parametrize(
    "data", [b"", b"nvpp", b"RIFF1234", b"\x89PNG\r\n\x1a\n", b"\x89NVPP\n\x1a", bytes(500)]
)
def test_foreign_files_are_no_nvpp(data: bytes) -> None:
    """A file that starts with anything but the magic is not ours, also one whose line ends were
    converted.
    """
    with pytest.raises(BadMagic, match="not a .nvpp file"):
        read_file(data)


@pytest.mark.parametrize("n_bytes", range(1, 8))
def test_part_of_the_magic_is_truncated(n_bytes: int) -> None:
    """A file that ends inside the magic is cut short, not foreign."""
    with pytest.raises(Truncated, match=f"it ends after {n_bytes} bytes"):
        read_file(write_header(HEADER)[:n_bytes])


@pytest.mark.parametrize("version", [0, 2, 256, 65535])
def test_other_versions_are_refused(version: int) -> None:
    """A version that we do not know is named, before anything that depends on it is read."""
    with pytest.raises(
        UnsupportedVersion, match=f"format version {version}; this program reads version 1"
    ):
        read_file(b"\x89NVPP\r\n\x1a" + struct.pack("<HH", version, 65535))


@pytest.mark.parametrize("at", [12, 60, -1])
def test_checksums_are_compared(at: int) -> None:
    """A changed byte of the header, the index or a section is noticed by its checksum."""
    data = bytearray(file_of(segment_sections()))
    data[at] ^= 1
    with pytest.raises(Checksum, match="does not match; the file is damaged"):
        read_file(bytes(data))


@pytest.mark.parametrize("n_bytes", [9, 11, 13, 40, 73, 80, 100, -1])
def test_short_files_are_truncated(n_bytes: int) -> None:
    """A file that ends anywhere after its magic is truncated."""
    with pytest.raises(Truncated):
        read_file(file_of(segment_sections())[:n_bytes])


def test_bytes_after_the_last_section_are_refused() -> None:
    """Nothing follows the last section."""
    data = file_of(segment_sections())
    with pytest.raises(InvalidField) as error:
        read_file(data + b"\0")
    assert (error.value.field, error.value.value) == ("length of file", len(data) + 1)


@pytest.mark.parametrize(("change", "expected"), [(-1, Truncated), (1, InvalidField)])
def test_header_length_must_be_exact(change: int, expected: type[Exception]) -> None:
    """A header longer or shorter than its fields is refused, although its checksum is right."""
    fields = write_header(HEADER)[12:-4]
    fields = fields + b"\0" if change > 0 else fields[:-1]
    header = crc(b"\x89NVPP\r\n\x1a" + struct.pack("<HH", 1, len(fields)) + fields)
    with pytest.raises(expected, match="header"):
        read_file(file_of(segment_sections(), header))


# --- sections ---


@pytest.mark.parametrize("kind", [128, 140, 255])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_unknown_optional_sections_are_skipped(kind: int, place: int) -> None:
    """A section of type 128 or more that we do not know changes nothing, wherever it stands."""
    sections = segment_sections()
    sections.insert(place, (kind, b"from the future"))
    assert read_file(file_of(sections)).segments == SEGMENTS


@pytest.mark.parametrize("kind", [0, 3, 127])
def test_unknown_critical_sections_are_refused(kind: int) -> None:
    """A section below 128 that we do not know is refused by its type."""
    with pytest.raises(InvalidField) as error:
        read_file(file_of([*segment_sections(), (kind, b"from the future")]))
    assert (error.value.field, error.value.value) == ("section_type", kind)


@pytest.mark.parametrize("change", [-1, 1])
def test_segments_have_the_frames_that_the_index_says(change: int) -> None:
    """A segment of more or fewer frames than its entry in the index is refused."""
    sections = segment_sections()
    entries = [
        IndexEntry(kind, len(payload), frames_of(kind, payload) + change * number)
        for number, (kind, payload) in enumerate(sections)
    ]
    index = struct.pack("<I", len(entries)) + b"".join(map(write_entry, entries))
    good = file_of(sections)
    at = len(write_header(HEADER))
    with pytest.raises(InvalidField) as error:
        read_file(good[:at] + crc(index) + good[at + len(index) + 4 :])
    assert (error.value.field, error.value.value) == ("segment_n_frames", 3)
    assert error.value.allowed == f"{3 + change}, as the index says"


def test_segments_must_add_up() -> None:
    """A header whose n_frames is not the sum over the segments is refused."""
    with pytest.raises(InvalidField) as error:
        read_file(file_of(segment_sections()[:1]))
    assert (error.value.field, error.value.value, error.value.allowed) == (
        "n_frames",
        7,
        "4, the sum over the segments",
    )


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (SEGMENT, write_segment(SEGMENTS[0]) + b"x"),
        (PROPERTIES, bytes(6)),
    ],
)
def test_sections_hold_nothing_more(kind: int, payload: bytes) -> None:
    """Bytes after a section's fields are refused."""
    with pytest.raises(InvalidField, match="length of "):
        read_file(file_of([(kind, payload), *segment_sections()]))


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (SEGMENT, write_segment(SEGMENTS[0])[:-1]),
        (SEGMENT, write_segment(SEGMENTS[0])[:3]),
        (SEGMENT, b""),
        (TIMES, b"\1\x19\0"),
    ],
)
def test_sections_hold_nothing_less(kind: int, payload: bytes) -> None:
    """A section that ends inside its fields is truncated, even if its checksum is right."""
    with pytest.raises(Truncated):
        read_file(file_of([(kind, payload), *segment_sections()]))


@pytest.mark.parametrize("change", [(1, 0x81), (5, 1)])
def test_sections_must_agree_with_the_index(change: tuple[int, int]) -> None:
    """A section's type and length are those of its entry in the index."""
    data = bytearray(file_of(segment_sections()))
    start = len(write_header(HEADER)) + 4 + 2 * 9 + 4
    data[start + change[0] - 1] ^= change[1]
    with pytest.raises(InvalidField) as error:
        read_file(bytes(data))
    assert error.value.field == "section type and length"


@pytest.mark.parametrize("n_sections", [0, (1 << 20) + 1, 2**32 - 1])
def test_n_sections_out_of_range_is_refused(n_sections: int) -> None:
    """A file has 1 to 2^20 sections; others are refused before anything is reserved for them."""
    with pytest.raises(InvalidField) as error:
        read_file(write_header(HEADER) + struct.pack("<I", n_sections))
    assert (error.value.field, error.value.value) == ("n_sections", n_sections)


def test_an_index_longer_than_the_file_is_refused() -> None:
    """The index is compared with the bytes that are there before it is read."""
    with pytest.raises(Truncated, match="index: 1048576 entries, 100 bytes left"):
        read_file(write_header(HEADER) + struct.pack("<I", 1 << 20) + bytes(100))


# --- fields ---


def illegal(field: Field) -> list[int]:
    """The values next to the legal range that the field's type can hold."""
    return [
        value
        for value in (field.low - 1, field.high + 1)
        if 0 <= value < 1 << 8 * SIZES[field.type]
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(field, value, id=f"{field.name}-{value}")
        for field in (*HEADER_FIELDS, *GRID_FIELDS, *BLOCK_FIELDS)
        for value in illegal(field)
    ],
)
def test_header_fields_out_of_range_are_refused(field: Field, value: int) -> None:
    """A header field outside its range is refused by name, value and range, although the checksum
    is right.
    """
    with pytest.raises(InvalidField) as error:
        read_file(header_with({field.name: value}))
    assert (error.value.field, error.value.value) == (field.name, value)
    assert error.value.allowed == f"{field.low} to {field.high}"


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 13},
        {"height": 9},
        {"stem_width": 2},
        {"block_stride": 1},
        {"colorspace": 0},
    ],
    ids=str,
)
def test_networks_that_cannot_be_are_refused(changes: dict[str, int]) -> None:
    """Fields that are legal one by one but not together, such as a network too small for the frame,
    are refused.
    """
    with pytest.raises(InvalidField) as error:
        read_file(header_with(dict(changes)))
    assert error.value.field == "model"


@pytest.mark.parametrize(
    ("changes", "name", "value", "kind"),
    [
        ({"stem": 0, "stem_hidden": 1, "stem_channels": 1}, "n_grids", 2, "mlp"),
        ({"stem_hidden": 3}, "stem_hidden", 3, "grid"),
        ({"stem_channels": 4}, "stem_channels", 4, "grid"),
    ],
)
def test_fields_of_the_other_stem_are_refused(
    changes: dict[str, int], name: str, value: int, kind: str
) -> None:
    """A field that says something of the other kind of stem is named with what it says."""
    with pytest.raises(InvalidField) as error:
        read_file(header_with(dict(changes)))
    assert (error.value.field, error.value.value) == (name, value)
    assert error.value.allowed == f"0 with stem {kind}"


@pytest.mark.parametrize(
    ("payload", "name", "value"),
    [
        (struct.pack("<IH", 0, 0), "segment_n_frames", 0),
        (struct.pack("<IH", (1 << 24) + 1, 0), "segment_n_frames", (1 << 24) + 1),
        (struct.pack("<IHB4I", 9, 0, 3, 1, 2, 3, 4), "fraction_bits", 3),
        (struct.pack("<IHB4I", 9, 0, 11, 1, 2, 3, 4), "fraction_bits", 11),
        (struct.pack("<IHB4II", 9, 1, 9, 1, 2, 3, 4, 0), "cut", 0),
        (struct.pack("<IHB4II", 9, 1, 9, 1, 2, 3, 4, 9), "cut", 9),
        (struct.pack("<IHB4II", 1, 1, 9, 1, 2, 3, 4, 1), "cut", 1),
        (struct.pack("<IHB4II", 9, 1, 9, 1, 2, 3, 4, 1 << 24), "cut", 1 << 24),
        (struct.pack("<IHB4III", 9, 2, 9, 1, 2, 3, 4, 5, 5), "cut", 5),
        (struct.pack("<IHB4III", 9, 2, 9, 1, 2, 3, 4, 5, 4), "cut", 4),
        (struct.pack("<IHB4II", 1, 0, 9, 1, 2, 3, 4, 0), "stream_length", 0),
    ],
)
def test_segment_fields_out_of_range_are_refused(payload: bytes, name: str, value: int) -> None:
    """A segment's field outside its range is refused by name and value."""
    payload = payload[:23] + bytes(32) + payload[23:]  # the quality
    with pytest.raises(InvalidField) as error:
        read_file(file_of([(SEGMENT, payload)]))
    assert (error.value.field, error.value.value) == (name, value)


def with_prior(number: int, crc_32: int) -> bytes:
    """A header that names a prior, of a network that no prior is for."""
    return header_with({"prior": number, "prior_crc": crc_32})


@pytest.mark.parametrize("number", [max(PRIORS) + 1, 255])
@pytest.mark.parametrize("crc_32", [0, PRIORS[1].crc, 2**32 - 1])
def test_priors_of_later_versions_are_unknown(number: int, crc_32: int) -> None:
    """The message says which there are, and what helps; the network is not looked at."""
    known = ", ".join(map(str, (0, *PRIORS)))
    with pytest.raises(UnknownPrior) as error:
        read_file(with_prior(number, crc_32))
    assert str(error.value) == f"prior is {number}; this version has {known}: update nervcodec"
    assert isinstance(error.value, BitstreamError) and error.value.exit_code == 4


@pytest.mark.parametrize("crc_32", [0, PRIORS[1].crc ^ 1 << 31, PRIORS[1].crc ^ 1])
def test_priors_of_other_weights_are_unknown(crc_32: int) -> None:
    """The message has both checksums."""
    with pytest.raises(UnknownPrior) as error:
        read_file(with_prior(1, crc_32))
    assert str(error.value) == (
        f"prior 1 has the checksum {crc_32:#010x}, and {PRIORS[1].crc:#010x} in this version:"
        " decode with the version that encoded"
    )


@pytest.mark.parametrize("crc_32", [1, PRIORS[1].crc, 2**32 - 1])
def test_a_checksum_without_a_prior_is_refused(crc_32: int) -> None:
    """One header stands for one network."""
    with pytest.raises(InvalidField) as error:
        read_file(with_prior(0, crc_32))
    assert (error.value.field, error.value.value) == ("prior_crc", crc_32)
    assert error.value.allowed == "0 without a prior"


def test_a_prior_of_another_network_is_refused() -> None:
    """A known prior needs a network that it is for."""
    with pytest.raises(InvalidField, match="prior is 1, which is not for this network") as error:
        read_file(with_prior(1, PRIORS[1].crc))
    assert error.value.field == "model"


def test_every_field_fits_its_type() -> None:
    """No legal value is larger than its bytes hold, and no header field's name comes twice."""
    fields = [
        *HEADER_FIELDS,
        *GRID_FIELDS,
        *BLOCK_FIELDS,
        *SEGMENT_FIELDS,
        CUT,
        STREAM_LENGTH,
        *QUALITY_FIELDS,
    ]
    assert all(0 <= field.low <= field.high < 1 << 8 * SIZES[field.type] for field in fields)
    assert len({field.name for field in fields}) == len(fields)
