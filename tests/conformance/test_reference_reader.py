"""The codec against the reader written from docs/reference/nvpp-format.md alone."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import reference_reader
from forms import forms
from reference_files import (
    DEFAULTS,
    EXTREMES,
    GRIDS_OF_PRIOR,
    LENGTHS,
    NETWORKS,
    OF_PRIOR,
    PRIOR_CRC,
    assemble,
    extreme_file,
    header_fields,
    loud_file,
    network,
    random_file,
)
from reference_network import frames
from reference_streams import decode_stream, groups

from nervcodec.cli.main import cli
from nervcodec.coding.range_coder import Coded, Form, encode_symbols
from nervcodec.coding.streams import decode_symbols_of
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.errors import BitstreamError
from nervcodec.format.container import read_file

Plane = npt.NDArray[np.uint8 | np.uint16]
DATA = Path(__file__).parents[1] / "data"
N_FRAMES = 5
CUT = 2  # the first frame of another scene in clip "cut"
CLIPS = {
    "cut": (24, 18, "--preset medium --epochs 3"),
    "odd": (19, 13, "--preset medium --epochs 3"),
    "segments": (24, 18, "--preset medium --epochs 3 --segment-frames 3"),
    "mlp rgb": (19, 13, "--preset paper-xs --colorspace rgb --epochs 2 --bits 4"),
}


def write_y4m(path: Path, width: int, height: int, cut: int = N_FRAMES) -> None:
    """Moving gradients, 4:2:0, from the cut on as a negative."""
    data = b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % (width, height)
    for t in range(N_FRAMES):
        data += b"FRAME\n"
        for k, (rows, columns) in enumerate(
            [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
        ):
            y, x = np.mgrid[:rows, :columns]
            contrast = 90 if t < cut else -90
            data += np.uint8(
                128 + contrast * np.sin((x * (k + 1) + y * (3 - k) + 4 * t) / 9)
            ).tobytes()
    path.write_bytes(data)


def read_y4m(path: Path) -> list[list[npt.NDArray[np.uint8]]]:
    """Planes of a 4:2:0 file's frames."""
    header, _, rest = path.read_bytes().partition(b"\n")
    fields = {word[:1]: word[1:] for word in header.split()[1:]}
    width, height = int(fields[b"W"]), int(fields[b"H"])
    shapes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    frames = []
    while rest:
        line, _, rest = rest.partition(b"\n")
        assert line.startswith(b"FRAME")
        planes = []
        for rows, columns in shapes:
            planes.append(np.frombuffer(rest[: rows * columns], np.uint8).reshape(rows, columns))
            rest = rest[rows * columns :]
        frames.append(planes)
    return frames


def nervcodec(*arguments: object) -> None:
    """Runs the command line, in this process."""
    cli.main(list(map(str, arguments)), standalone_mode=False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@pytest.fixture(scope="session", params=list(CLIPS))
def encoded(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A small .nvpp file for each of CLIPS."""
    width, height, options = CLIPS[request.param]
    path = folder / f"{request.param}.nvpp"
    write_y4m(path.with_suffix(".y4m"), width, height, CUT if request.param == "cut" else N_FRAMES)
    nervcodec("encode", path.with_suffix(".y4m"), path, *options.split(), "-y")
    return path


def assert_equal(found: Sequence[Plane], expected: Sequence[Plane]) -> None:
    assert len(found) == len(expected)
    for number, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert np.array_equal(a, b), f"plane {number} differs"


def reference_planes(file: reference_reader.File) -> list[Plane]:
    """Planes of all frames as the reference reader decodes them."""
    return [
        plane
        for i, segment in enumerate(file.segments)
        for planes in frames(file, i, range(segment.n_frames))
        for plane in planes
    ]


def decoded_planes(data: bytes) -> list[Plane]:
    """Planes of all frames as the codec decodes them."""
    file = read_file(data)
    batches = [
        batch.planes
        for segment in file.segments
        for batch in decode_segment(segment, file.header.model)
    ]
    return [plane for planes in batches for frame in zip(*planes, strict=True) for plane in frame]


def assert_symbols_equal(data: bytes) -> None:
    file, own = reference_reader.read(data), read_file(data)
    assert len(file.segments) == len(own.segments)
    for i, segment in enumerate(own.segments):
        coded = decode_symbols_of(segment, own.header.model)
        found = groups(file, i)
        assert len(found) == len(coded)
        for (name, symbols, step_code), group in zip(found, coded, strict=True):
            assert np.array_equal(symbols, np.asarray(group.symbols).ravel()), name
            assert not symbols.any() or step_code == group.step_code, name


def test_frames_agree(encoded: Path) -> None:
    data = encoded.read_bytes()
    file = reference_reader.read(data)
    lengths = [segment.n_frames for segment in file.segments]
    assert sorted(lengths) == ([2, 3] if encoded.stem == "segments" else [N_FRAMES])
    assert len(file.segments[0].shots) == (2 if encoded.stem == "cut" else 1)
    found = reference_planes(file)
    assert_equal(found, decoded_planes(data))
    if file.header["colorspace"] == 1:
        nervcodec("decode", encoded, encoded.with_suffix(".out.y4m"))
        decoded = read_y4m(encoded.with_suffix(".out.y4m"))
        assert_equal(found, list(itertools.chain.from_iterable(decoded)))


def test_md5_agrees(encoded: Path) -> None:
    """Both read what the file says of its frames, which is their MD5 as section 6.2 has it."""
    data = encoded.read_bytes()
    file, own = reference_reader.read(data), read_file(data)
    for found, segment in zip(file.segments, own.segments, strict=True):
        batches = [frames.planes for frames in decode_segment(segment, own.header.model)]
        decoded = [planes for batch in batches for planes in zip(*batch, strict=True)]
        assert segment.md5 and found.md5 == segment.md5 == reference_reader.md5(file, decoded)
    assert reference_reader.read((DATA / "tiny.nvpp").read_bytes()).segments[0].md5 is None


def test_symbols_are_equal(encoded: Path) -> None:
    assert_symbols_equal(encoded.read_bytes())


@pytest.mark.parametrize(
    "name", ["gray", "yuv422_10", "yuv444_12", "mlp_rgb", "prior", "prior_wide_yuv422"]
)
def test_every_layout_agrees(name: str) -> None:
    """Gray, 4:2:2, 4:4:4 and RGB, of 8, 10 and 12 bits and with priors, are the same planes."""
    data = (DATA / f"{name}.nvpp").read_bytes()
    assert_equal(reference_planes(reference_reader.read(data)), decoded_planes(data))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_random_networks_agree(name: str) -> None:
    data = assemble(*random_file(name))
    assert_symbols_equal(data)
    found = reference_planes(reference_reader.read(data))
    assert np.std(np.concatenate([plane.ravel() for plane in found])) > 10
    assert_equal(found, decoded_planes(data))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_extreme_networks_agree(name: str) -> None:
    """Nothing overflows where values are clipped, with all symbols at their maxima and the largest
    step, nor with random ones and steps for which k is 12 to -2.
    """
    files = [extreme_file(name, *extreme) for extreme in EXTREMES]
    files += [loud_file(name, gain) for gain in (30, 30_000)]
    for data in files:
        assert_equal(reference_planes(reference_reader.read(data)), decoded_planes(data))


# Of the frames of LENGTHS: repeats and times, and how often and when the frames are shown.
N_CODED = sum(LENGTHS)
REPEATS = bytes([1, 3, N_CODED - 1, 1])
TIMES = bytes([1, 0x99, 1, 7, 9, 2 * 2 * 40, 1, 2 * 5 + 1, N_CODED - 2])


def timed_file(*sections: tuple[int, bytes], n_frames: int = N_CODED + 2) -> bytes:
    """The bytes of a file of N_CODED frames with other sections."""
    file = network("grid rgb")
    fields = header_fields(file.header | {"n_frames": n_frames}, file.grids, file.blocks)
    return assemble(fields, [*random_file("grid rgb")[1], *sections])


def test_repeats_and_times_agree() -> None:
    """Both readers find the same frames shown as often, at the same times."""
    data = timed_file((2, REPEATS), (130, TIMES))
    file, read = reference_reader.read(data), read_file(data)
    assert read.extras.repeats and read.extras.times and file.times
    assert file.shown_times == [3, *[1] * (N_CODED - 1)] == list(read.extras.repeats.counts())
    unit = Fraction(1, 153)
    assert file.times.of_frames(N_CODED + 2, Fraction(25)) == [
        tick * unit for tick in read.extras.times.ticks(read.header.format)[:-1]
    ]
    assert read.extras.times.ticks(read.header.format)[:4] == [7, 47, 84, 121]
    assert file.times.last_duration == 9 == read.extras.times.last_duration


@pytest.mark.parametrize(
    "sections",
    [
        [(2, REPEATS), (2, REPEATS)],
        [(130, TIMES), (130, TIMES), (2, REPEATS)],
        [(2, b"")],
        [(2, REPEATS[:-1])],
        [(2, bytes([1, 2, N_CODED - 1, 1]))],
        [(2, bytes([1, 3, N_CODED - 2, 1]))],
        [(2, bytes([0, 3]) + REPEATS)],
        [(2, b"\x81\0" + REPEATS[1:])],
        [(2, REPEATS), (130, TIMES[:-1])],
        [(2, REPEATS), (130, TIMES[:-1] + bytes([N_CODED]))],
        [(2, REPEATS), (130, bytes([0]) + TIMES[1:])],
        [(2, REPEATS), (130, TIMES[:6])],
        [(130, TIMES)],
    ],
)
def test_illegal_repeats_and_times_are_refused(sections: list[tuple[int, bytes]]) -> None:
    """What one reader refuses of them the other refuses too."""
    data = timed_file(*sections)
    with pytest.raises(ValueError):
        reference_reader.read(data)
    with pytest.raises(BitstreamError):
        read_file(data)


@pytest.mark.parametrize(
    ("changes", "widths", "channels"),
    [
        ({"prior": 0}, (16, 16, 16), 2),
        ({"prior": 2}, (16, 16, 16), 2),
        ({"prior": 255}, (16, 16, 16), 2),
        ({"prior_crc": PRIOR_CRC ^ 1}, (16, 16, 16), 2),
        ({"prior_crc": 0}, (16, 16, 16), 2),
        ({"layout": 1, "colorspace": 0, "width": 20, "height": 15}, (16, 16, 16), 2),
        ({"parts": 7}, (16, 16, 16), 2),
        ({"biases": 0}, (16, 16, 16), 2),
        ({}, (16, 15, 16), 2),
        ({}, (16, 16, 16), 3),
    ],
)
def test_illegal_priors_are_refused(
    changes: dict[str, int], widths: tuple[int, ...], channels: int
) -> None:
    """What one reader refuses of priors the other refuses too, for the prior alone."""
    grids = [(channels, 1, 0), *GRIDS_OF_PRIOR[1:]]
    counts = {"n_frames": sum(LENGTHS), "n_grids": len(grids), "n_blocks": len(widths)}
    header, blocks = DEFAULTS | OF_PRIOR | {"colorspace": 1} | counts, [(2, n) for n in widths]
    fields = header_fields(header | changes, grids, blocks)
    with pytest.raises(ValueError, match="prior"):
        reference_reader.read_header(fields)
    with pytest.raises(BitstreamError, match="prior"):
        read_file(assemble(fields, [(1, b"")]))


def test_illegal_files_are_refused() -> None:
    name = "grid rgb"
    fields, sections = random_file(name)
    segment = sections[2][1]
    file = network(name)
    header, grids, blocks = file.header, file.grids, file.blocks
    damaged = [
        assemble(header_fields(header | {field: value}, grids, blocks), sections)
        for field, size, lowest, highest in reference_reader.HEADER
        for value in (lowest - 1, highest + 1)
        if 0 <= value < 256**size
    ]
    damaged += [
        assemble(fields[:-1], sections),
        assemble(fields + b"\0", sections),
        assemble(header_fields(header | {"stem": 0}, grids, blocks), sections),
        assemble(header_fields(header | {"stem_hidden": 1}, grids, blocks), sections),
        assemble(header_fields(header | {"motion_height": 1}, grids, blocks), sections),
        assemble(header_fields(header | {"motion_width": 1}, grids, blocks), sections),
        assemble(header_fields(header | {"wavelet_levels": 1}, grids, blocks), sections),
        assemble(header_fields(header | {"width": 50}, grids, blocks), sections),
        assemble(header_fields(header, [(*grids[0][:2], 3), *grids[1:]], blocks), sections),
        assemble(header_fields(header | {"n_grids": 1}, [(4, 1, 1)], blocks), sections),
        assemble(header_fields(header | {"n_frames": 9}, grids, blocks), sections),
        assemble(fields, []),
        assemble(fields, [*sections, (5, b"")]),
        assemble(fields, sections[:-1]),
        assemble(fields, [(1, segment + b"\0"), *sections[3:]]),
        assemble(fields, [(1, segment[:-1]), *sections[3:]]),
        assemble(fields, [(1, segment[:4] + b"\1" + segment[5:]), *sections[3:]]),
        *(
            assemble(fields, [(1, segment[:6] + bytes([bits]) + segment[7:]), *sections[3:]])
            for bits in (3, 11)
        ),
    ]
    assert len(damaged) > 40
    reference_reader.read(assemble(fields, sections))
    for data in damaged:
        with pytest.raises(ValueError):
            reference_reader.read(data)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\x80\0",
        b"\xf0\0",
        b"\xfe\0\1\1",
        b"\1\0\x41\1",
        b"\1\0\x40\x40",
        b"\xff\0\0\0",
        b"\xff\0\1",
        b"\1\0\1",
        b"\x81",
        b"\xc0",
    ],
)
def test_illegal_streams_are_refused(stream: bytes) -> None:
    with pytest.raises(ValueError):
        decode_stream(stream, [(3,)], 1)


DISTRIBUTIONS = ["zero", "one symbol", "uniform", "laplacian", "gaussian", "one-sided", "sparse"]


def draw(rng: np.random.Generator, distribution: str, max_symbol: int) -> npt.NDArray[np.int32]:
    size = int(rng.integers(1, 200))
    scale = float(rng.uniform(0.2, 1)) * max_symbol ** float(rng.uniform(0, 1))
    values: npt.NDArray[np.float64 | np.int64]
    if distribution == "zero":
        values = np.zeros(size)
    elif distribution == "one symbol":
        values = np.full(size, rng.integers(-max_symbol, max_symbol + 1))
    elif distribution == "uniform":
        values = rng.integers(-max_symbol, max_symbol + 1, size)
    elif distribution == "gaussian":
        values = rng.normal(0, scale, size)
    else:
        values = rng.laplace(0, scale, size)
        if distribution == "one-sided":
            values = np.abs(values) * rng.choice([-1, 1])
        elif distribution == "sparse":
            values = np.where(rng.random(size) < 0.05, values * 4, 0)
    return np.clip(np.rint(values), -max_symbol, max_symbol).astype(np.int32)


@pytest.mark.parametrize("max_symbol", [1, 3, 7, 127, 2047])
def test_streams_are_equal(max_symbol: int) -> None:
    rng = np.random.default_rng(max_symbol)
    for _ in range(20):
        distributions = rng.choice(DISTRIBUTIONS, int(rng.integers(1, 6)))
        coded = [
            Coded(draw(rng, distribution, max_symbol), int(rng.integers(256)))
            for distribution in distributions
        ]
        shapes = [(len(group.symbols),) for group in coded]
        stream = encode_symbols(coded, forms(shapes), max_symbol)
        found = decode_stream(stream, shapes, max_symbol)
        for (symbols, step_code), group in zip(found, coded, strict=True):
            assert np.array_equal(symbols, group.symbols)
            assert not symbols.any() or step_code == group.step_code


@pytest.mark.parametrize("n_classes", range(1, 7))
def test_grids_are_equal(n_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "nervcodec.coding.contexts._cost_bits", lambda counts: abs(len(counts) - n_classes)
    )
    rng = np.random.default_rng(n_classes)
    for max_symbol in (1, 7, 127):
        shapes = [(1, 2, 4, 3), (4, 2, 5, 7), (9,), (3, 1, 1, 6), (7, 1, 6, 1), (2, 1, 3, 3)]
        keys = [(1,), (1, 3), (), (3,), (4, 1, 2), (1, 1)]
        coded = []
        for shape in shapes:
            values = rng.laplace(0, 1, shape) * np.exp(rng.normal(-0.5, 2, shape[1:]))
            values[0] *= rng.integers(2)
            symbols = np.clip(np.rint(values), -max_symbol, max_symbol).astype(np.int32).ravel()
            coded.append(Coded(symbols, int(rng.integers(256))))
        stream = encode_symbols(coded, list(map(Form, shapes, keys)), max_symbol)
        found = decode_stream(stream, shapes, max_symbol, keys=keys)
        for (symbols, step_code), group in zip(found, coded, strict=True):
            assert np.array_equal(symbols, group.symbols)
            assert not symbols.any() or step_code == group.step_code


@pytest.mark.parametrize(
    "stream", [b"", b"\0\0\0", b"\7" + bytes(8), b"\1\0", b"\2\0\x83\5", b"\2\0\0\x83\5"]
)
def test_illegal_grids_are_refused(stream: bytes) -> None:
    with pytest.raises(ValueError):
        decode_stream(stream, [(2, 1, 2, 2)], 1)


def test_damage_is_found(encoded: Path) -> None:
    data = encoded.read_bytes()
    rng = np.random.default_rng(1)
    positions = [*range(100), *rng.integers(0, len(data), 100).tolist()]
    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError) as caught:
            reference_reader.read(bytes(damaged))
        assert "\n" not in str(caught.value)
    for size in {0, 1, 7, 8, 9, 11, 12, len(data) - 1, *rng.integers(0, len(data), 50).tolist()}:
        with pytest.raises(ValueError):
            reference_reader.read(data[:size])
    with pytest.raises(ValueError):
        reference_reader.read(data + b"\0")
