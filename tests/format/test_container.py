"""nervcodec.format.container: what is written is read back, byte for byte as specified (see also
test_bitstream_checks).
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import with_stem

from nervcodec.encoder.presets import PRESETS
from nervcodec.errors import ConfigError, VideoError
from nervcodec.format.container import (
    load,
    read_bytes,
    read_file,
    write_file,
    write_header,
    write_segment,
)
from nervcodec.format.fields import HEADER_FIELDS, QUALITY_FIELDS
from nervcodec.format.file import File, Header, Segment, StoredQuality
from nervcodec.format.model_config import (
    BIASES,
    COLORSPACES,
    PARTS,
    Block,
    Grid,
    GridStem,
    MlpStem,
    ModelConfig,
)
from nervcodec.format.prior import PRIORS
from nervcodec.format.video_format import BIT_DEPTHS, LAYOUTS, ColorTags, Layout, VideoFormat

MODEL = ModelConfig(
    10,
    6,
    "yuv420",
    GridStem(2, 3, (Grid(2, 4), Grid(3, 300, 1))),
    (Block(2, 5), Block(1, 4)),
    biases="lean",
)
FORM = VideoFormat(
    10, 6, Fraction(30000, 1001), 7, "yuv420", ColorTags(6, 5, 4, False, 1), Fraction(16, 15)
)
HEADER = Header(FORM, MODEL)
SEGMENTS = (
    Segment(
        (4,),
        (b"\0", b"ab", b"c", b"defg"),
        bytes(range(16)),
        StoredQuality(psnr_y=31.5, epochs=2000.0),
        7,
    ),
    Segment((3,), (b"1", b"2", b"3", b"45")),
)


# --- round trips ---

colors = st.builds(
    ColorTags,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([None, False, True]),
    st.integers(0, 6),
)


# every choice of a block's parts but a skip without pw
BLOCKS = [
    tuple(part for i, part in enumerate(PARTS) if bits >> i & 1)
    for bits in (*range(8), *range(9, 16, 2))
]


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any header that the document allows."""
    blocks = tuple(
        draw(
            st.lists(
                st.builds(Block, st.integers(1, 16), st.integers(1, 4096)), min_size=1, max_size=8
            )
        )
    )
    colorspace = draw(st.sampled_from(COLORSPACES))
    rows, columns = draw(st.integers(1, 4096)), draw(st.integers(1, 4096))
    scale = 1 if colorspace == "rgb" else 2
    for block in blocks:
        scale *= block.stride
    width, height = (draw(st.integers(1, min(65535, cells * scale))) for cells in (columns, rows))
    channels, intervals = st.integers(1, 255), st.integers(1, 65535)
    coarse = st.lists(st.builds(Grid, channels, intervals), min_size=1, max_size=4)
    moving = st.just(draw(intervals)) if draw(st.booleans()) else intervals
    fine = st.lists(st.builds(Grid, channels, moving, st.integers(1, len(blocks))), max_size=4)
    grids = tuple(draw(st.permutations(draw(coarse) + draw(fine))))
    sides = st.tuples(st.integers(1, 4096), st.integers(1, 4096))
    moves = len({grid.interval for grid in grids if grid.level}) == 1
    motion = draw(st.just((0, 0)) | sides if moves else st.just((0, 0)))
    levels = draw(st.integers(0, 4)) if motion[0] else 0
    mlp = MlpStem(rows, columns, draw(st.integers(1, 65535)), draw(st.integers(1, 4096)))
    stem: MlpStem | GridStem = mlp
    if draw(st.booleans()):
        stem = GridStem(rows, columns, grids, *motion, levels)
    model = ModelConfig(
        width,
        height,
        colorspace,
        stem,
        blocks,
        parts=draw(st.sampled_from(BLOCKS)),
        biases=draw(st.sampled_from(BIASES)),
        bits=draw(st.integers(2, 12)),
        bit_depth=draw(st.sampled_from(BIT_DEPTHS)),
    )
    yuv = ("gray", "yuv420", "yuv422", "yuv444")
    layouts = {"rgb": LAYOUTS, "yuv420": ("yuv420", "rgb"), "gray": yuv}
    u32 = st.integers(1, 2**32 - 1)
    form = VideoFormat(
        width,
        height,
        Fraction(draw(u32), draw(u32)),
        draw(st.integers(1, 2**24)),
        draw(st.sampled_from(layouts.get(colorspace, (colorspace,)))),
        draw(colors),
        Fraction(draw(st.integers(1, 65535)), draw(st.integers(1, 65535))),
        model.bit_depth,
    )
    return Header(form, model)


def segment_of(header: Header, n_frames: int) -> Segment:
    return Segment(
        (n_frames,), tuple(bytes([i + 1]) * (i + 1) for i in range(len(header.model.blocks) + 2))
    )


@given(headers())
def test_any_header_comes_back(header: Header) -> None:
    """Every legal header is read as it was written."""
    data = write_file(header, [segment_of(header, header.format.n_frames)])
    assert read_file(data).header == header


@pytest.mark.parametrize("motion", [(1, 1), (1, 2), (2, 1), (4096, 4096)])
def test_the_least_and_the_largest_motion_come_back(motion: tuple[int, int]) -> None:
    """A field of one vector is a motion, and no side stands for the other."""
    header = replace(
        HEADER, model=with_stem(MODEL, motion_height=motion[0], motion_width=motion[1])
    )
    assert read_file(write_file(header, SEGMENTS)).header == header


@pytest.mark.parametrize(
    ("motion", "wavelet_levels", "expected"),
    [((0, 0), 0, b"\0\0\0\0\0"), ((2, 3), 0, b"\2\0\3\0\0"), ((2, 3), 4, b"\2\0\3\0\4")],
)
def test_motion_and_wavelets_always_stand_in_the_header(
    motion: tuple[int, int], wavelet_levels: int, expected: bytes
) -> None:
    """Grids that stand still are 0 x 0 motion, grids stored as they are 0 wavelet levels."""
    model = with_stem(
        MODEL, motion_height=motion[0], motion_width=motion[1], wavelet_levels=wavelet_levels
    )
    names = [field.name for field in HEADER_FIELDS]
    at = 12 + sum(field.n_bytes for field in HEADER_FIELDS[: names.index("motion_height")])
    found, still = write_header(Header(FORM, model)), write_header(HEADER)
    assert found[at : at + 5] == expected
    assert found[:at] + found[at + 5 : -4] == still[:at] + still[at + 5 : -4]


OF_PRIOR = ModelConfig(
    30,
    21,
    "yuv420",
    GridStem(2, 2, (Grid(2, 1), Grid(4, 8), Grid(2, 8, 1), Grid(3, 8, 2), Grid(1, 8, 3)), 1, 1, 2),
    (Block(2, 16), Block(2, 24), Block(2, 16)),
    biases="lean",
    prior=1,
)


@pytest.mark.parametrize("layout", ["yuv420", "yuv422", "yuv444", "gray"])
def test_a_prior_comes_back(layout: Layout) -> None:
    """Its number is read as it was written, for every layout."""
    form = VideoFormat(30, 21, Fraction(25), 7, layout)
    header = Header(form, replace(OF_PRIOR, colorspace=layout))
    data = write_file(header, [segment_of(header, 7)])
    assert read_file(data).header == header


def test_a_prior_stands_in_the_header_with_its_checksum() -> None:
    """After the biases come its number and the CRC-32 of its weights; five zeros are no prior."""
    names = [field.name for field in HEADER_FIELDS]
    at = 12 + sum(field.n_bytes for field in HEADER_FIELDS[: names.index("prior")])
    form = VideoFormat(30, 21, Fraction(25), 7)
    found, without = (
        write_header(Header(form, replace(OF_PRIOR, prior=number))) for number in (1, 0)
    )
    assert names[names.index("prior") - 1] == "biases"
    assert found[at : at + 5] == b"\1" + PRIORS[1].crc.to_bytes(4, "little")
    assert without[at : at + 5] == bytes(5)
    assert found[:at] + found[at + 5 : -4] == without[:at] + without[at + 5 : -4]


quality_units = st.none() | st.integers(0, 2**32 - 2)


@given(st.lists(quality_units, min_size=len(QUALITY_FIELDS), max_size=len(QUALITY_FIELDS)))
def test_stored_quality_comes_back(units: list[int | None]) -> None:
    """Stored figures are exact in the document's units, and None stays None."""
    scales = {"1e-4 dB": 1e4, "1e-6": 1e6, "epochs": 1}
    values = {
        field.name: None if unit is None else unit / scales[field.unit]
        for field, unit in zip(QUALITY_FIELDS, units)
    }
    assert measured(**values).quality == StoredQuality(**values)


def measured(**values: float | None) -> File:
    """The file read back whose segments both have this quality."""
    quality = StoredQuality(**values)
    segments = [replace(segment, quality=quality) for segment in SEGMENTS]
    return read_file(write_file(HEADER, segments))


def test_quality_beyond_the_field_is_clipped() -> None:
    """Figures too large or negative take the nearest value that can be written, never 'not
    measured'.
    """
    stored = measured(psnr_y=1e9, psnr_u=-3.0).quality
    assert (stored.psnr_y, stored.psnr_u) == ((2**32 - 2) / 1e4, 0.0)


@given(st.lists(st.none() | st.floats(0, 1e5), min_size=8, max_size=8))
def test_length_does_not_depend_on_quality(values: list[float | None]) -> None:
    """A segment's quality has one size, so that it can be filled in after measuring."""
    names = [field.name for field in QUALITY_FIELDS]
    assert measured(**dict(zip(names, values))).n_bytes == measured().n_bytes


md5s = st.none() | st.binary(min_size=16, max_size=16)
shots = st.lists(st.integers(1, 1000), min_size=1, max_size=4).map(tuple)


@given(
    st.lists(
        st.tuples(
            shots, st.lists(st.binary(min_size=1, max_size=40), min_size=4, max_size=4), md5s
        ),
        min_size=1,
        max_size=5,
    )
)
def test_segments_come_back(
    contents: list[tuple[tuple[int, ...], list[bytes], bytes | None]],
) -> None:
    """Segments keep their shots, their streams, their MD5 and their order."""
    segments = tuple(
        Segment(own_shots, tuple(streams), own) for own_shots, streams, own in contents
    )
    form = replace(FORM, n_frames=sum(segment.n_frames for segment in segments))
    assert read_file(write_file(Header(form, MODEL), segments)).segments == segments


def test_the_md5_stands_byte_for_byte() -> None:
    """Behind frames, cuts and fraction bits, its first byte first; 16 times 255 where it is not
    known.
    """
    known, unknown = map(write_segment, SEGMENTS)
    assert (known[7:23], unknown[7:23]) == (bytes(range(16)), b"\xff" * 16)


def test_n_bytes_and_container_bytes() -> None:
    """A read file knows its size and how much of it is not streams."""
    data = write_file(HEADER, SEGMENTS)
    assert (read_file(data).n_bytes, read_file(data).container_bytes) == (len(data), len(data) - 13)


@pytest.mark.parametrize("size", [(320, 180), (1280, 720), (3840, 2160)])
def test_container_is_at_most_250_bytes(size: tuple[int, int]) -> None:
    """One segment of the default preset has at most 250 bytes around its streams."""
    form = VideoFormat(*size, Fraction(25), 132)
    header = Header(form, PRESETS["medium"].model(form, "yuv420", (132,)))
    data = write_file(header, [segment_of(header, 132)])
    assert read_file(data).container_bytes <= 250


def test_load_reads_a_file(tmp_path: Path) -> None:
    """load gives what read_file gives of the file's bytes."""
    data = write_file(HEADER, SEGMENTS)
    (tmp_path / "a.nvpp").write_bytes(data)
    assert load(tmp_path / "a.nvpp") == read_file(data)


def test_load_says_which_file_is_missing(tmp_path: Path) -> None:
    """A file that cannot be opened is a VideoError with its name and the reason."""
    with pytest.raises(VideoError, match="absent.nvpp: No such file"):
        load(tmp_path / "absent.nvpp")


def test_what_is_no_nvpp_is_not_read_whole(tmp_path: Path) -> None:
    """Of a file with another beginning no more is read than shows it, however long it is."""
    (tmp_path / "long").write_bytes(b"YUV4MPEG2" * 1000)
    assert read_bytes(tmp_path / "long") == b"YUV4MPEG"
    (tmp_path / "a.nvpp").write_bytes(GOLDEN)
    assert read_bytes(tmp_path / "a.nvpp") == GOLDEN


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (replace(FORM, frame_rate=Fraction(1, 1 << 32)), "frame_rate_denominator"),
        (replace(FORM, sample_aspect_ratio=Fraction(65536)), "aspect_numerator"),
        (replace(FORM, color=ColorTags(chroma_location=7)), "chroma_location"),
    ],
)
def test_what_the_file_cannot_hold_is_refused(form: VideoFormat, name: str) -> None:
    """A format that the header cannot hold is a ConfigError that names the field, before anything
    is written.
    """
    with pytest.raises(ConfigError, match=f"{name} is .*; a .nvpp file holds "):
        write_header(Header(form, MODEL))


def test_more_sections_than_a_file_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is written that no reader takes."""
    monkeypatch.setattr("nervcodec.format.container.MAX_SECTIONS", 1)
    with pytest.raises(ConfigError, match="number of sections is 2; legal: 1 to 1"):
        write_file(HEADER, SEGMENTS)


# --- the format, byte for byte ---

GOLDEN = bytes.fromhex("""
    894E5650500D0A1A 0100 4400
    0A00 0600 30750000 E9030000 07000000 1000 0F00 00 00 06 05 04 01 01 00 00
    01 08 0F 01 00 00000000 01 0200 0300 0000 0000 0000 0000 00 02 02
    02 0400 00 03 2C01 01 02 0500 01 0400
    8DBD5ABB
    02000000 01 4F000000 04000000 01 4C000000 03000000 399EAA49
    01 4F000000 04000000 0000 07 00010203 04050607 08090A0B 0C0D0E0F
       78CE0400 FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF D0070000
       01000000 00 02000000 6162 01000000 63 04000000 64656667 5D2DFD8E
    01 4C000000 03000000 0000 09 FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF
       FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF FFFFFFFF
       01000000 31 01000000 32 01000000 33 02000000 3435 3EA9C303
""")


def test_golden_file_is_written() -> None:
    """This file has exactly these bytes for ever."""
    assert write_file(HEADER, SEGMENTS).hex() == GOLDEN.hex()


def test_golden_file_is_read() -> None:
    """These bytes give exactly this file for ever."""
    file = read_file(GOLDEN)
    assert (file.header, file.segments) == (HEADER, SEGMENTS)
    assert file.quality == StoredQuality()
