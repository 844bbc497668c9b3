"""The codec against the reader written from docs/reference/nvpp-format.md alone."""

import itertools
import math
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import reference_reader
from forms import forms

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


def assert_close(found: Sequence[Plane], expected: Sequence[Plane]) -> None:
    assert [plane.shape for plane in found] == [plane.shape for plane in expected]
    error = np.concatenate(
        [
            np.abs(a.astype(int) - b.astype(int)).ravel()
            for a, b in zip(found, expected, strict=True)
        ]
    )
    assert error.max() <= 1
    assert np.mean(error == 0) > 0.99


def decoded_planes(data: bytes) -> list[Plane]:
    """Planes of all frames as the codec decodes them."""
    file = read_file(data)
    batches = [
        frames.planes
        for segment in file.segments
        for frames in decode_segment(segment, file.header.model)
    ]
    return [plane for planes in batches for frame in zip(*planes, strict=True) for plane in frame]


def assert_symbols_equal(data: bytes) -> None:
    file, own = reference_reader.read(data), read_file(data)
    assert len(file.segments) == len(own.segments)
    for i, segment in enumerate(own.segments):
        coded = decode_symbols_of(segment, own.header.model)
        found = reference_reader.groups(file, i)
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
    found = [
        plane
        for i, length in enumerate(lengths)
        for planes in reference_reader.frames(file, i, range(length))
        for plane in planes
    ]
    assert_close(found, decoded_planes(data))
    if file.header["colorspace"] == 1:
        nervcodec("decode", encoded, encoded.with_suffix(".out.y4m"))
        assert_close(
            found,
            [plane for planes in read_y4m(encoded.with_suffix(".out.y4m")) for plane in planes],
        )


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


# Networks that the presets do not give, as header fields, grids and blocks.
DEFAULTS = {name: lowest for name, _, lowest, _ in reference_reader.HEADER} | {
    "matrix": 2,
    "primaries": 2,
    "transfer": 2,
}
NETWORKS: dict[str, tuple[dict[str, int], list[tuple[int, int, int]], list[tuple[int, int]]]] = {
    "mlp rgb all parts": (
        {
            "width": 19,
            "height": 13,
            "layout": 1,
            "colorspace": 0,
            "bits": 4,
            "parts": 15,
            "stem": 0,
            "stem_height": 3,
            "stem_width": 4,
            "stem_hidden": 16,
            "stem_channels": 6,
        },
        [],
        [(3, 5), (2, 4)],
    ),
    "grid yuv lean": (
        {
            "width": 21,
            "height": 15,
            "colorspace": 1,
            "bits": 10,
            "parts": 15,
            "biases": 1,
            "stem": 1,
            "stem_height": 2,
            "stem_width": 3,
        },
        [(2, 2, 0), (2, 4, 1), (3, 3, 0)],
        [(2, 6), (2, 3)],
    ),
    "grid rgb": (
        {
            "width": 20,
            "height": 10,
            "colorspace": 0,
            "bits": 2,
            "parts": 6,
            "biases": 1,
            "stem": 1,
            "stem_height": 2,
            "stem_width": 4,
        },
        [(1, 3, 2), (4, 1, 0), (1, 5, 0), (2, 60, 1)],
        [(1, 4), (5, 6)],
    ),
    "mlp yuv": (
        {
            "width": 13,
            "height": 11,
            "colorspace": 1,
            "bits": 7,
            "stem": 0,
            "stem_height": 1,
            "stem_width": 1,
            "stem_hidden": 9,
            "stem_channels": 4,
        },
        [],
        [(7, 6)],
    ),
    "moving grid yuv": (
        {
            "width": 46,
            "height": 30,
            "motion_height": 2,
            "motion_width": 3,
            "colorspace": 1,
            "bits": 9,
            "parts": 15,
            "biases": 1,
            "stem": 1,
            "stem_height": 3,
            "stem_width": 4,
        },
        [(2, 2, 0), (2, 3, 2), (1, 3, 1), (1, 3, 2)],
        [(3, 4), (2, 5)],
    ),
    "wavelets yuv": (
        {
            "width": 50,
            "height": 34,
            "motion_height": 2,
            "motion_width": 3,
            "wavelet_levels": 3,
            "colorspace": 1,
            "bits": 9,
            "parts": 15,
            "biases": 1,
            "stem": 1,
            "stem_height": 3,
            "stem_width": 5,
        },
        [(2, 2, 0), (2, 3, 2), (1, 3, 1), (1, 3, 2)],
        [(3, 4), (2, 5)],
    ),
}
PRIOR_CRC = zlib.crc32(reference_reader.prior_bytes(1))
OF_PRIOR: dict[str, int] = {
    "width": 37,
    "height": 30,
    "motion_height": 2,
    "motion_width": 2,
    "wavelet_levels": 2,
    "bits": 9,
    "parts": 15,
    "biases": 1,
    "prior": 1,
    "prior_crc": PRIOR_CRC,
    "stem": 1,
    "stem_height": 2,
    "stem_width": 3,
}
GRIDS_OF_PRIOR = [(2, 1, 0), (2, 2, 1), (4, 4, 0), (3, 2, 2), (1, 2, 3)]
NETWORKS |= {
    f"prior {layout}": (
        OF_PRIOR | {"layout": number, "colorspace": colorspace},
        GRIDS_OF_PRIOR,
        [(2, width) for width in widths],
    )
    for layout, number, colorspace, widths in (
        ("yuv420", 0, 1, (16, 16, 16)),
        ("yuv420 wide", 0, 1, (24, 16, 19)),
        ("yuv422", 2, 2, (16, 20, 16)),
        ("yuv444", 3, 3, (17, 18, 19)),
        ("gray", 4, 4, (16, 16, 16)),
    )
}
SHOTS = [[7], [3, 1, 5], [1]]  # of each segment of the random networks
LENGTHS = [sum(shots) for shots in SHOTS]


def packed(table: list[reference_reader.Field], values: dict[str, int]) -> bytes:
    return b"".join(values[name].to_bytes(size, "little") for name, size, _, _ in table)


def checked(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def assemble(fields: bytes, sections: list[tuple[int, bytes]]) -> bytes:
    """A file of these header fields and sections."""
    heads = [bytes([kind]) + len(payload).to_bytes(4, "little") for kind, payload in sections]
    data = checked(reference_reader.MAGIC + b"\1\0" + len(fields).to_bytes(2, "little") + fields)
    entries = [
        head + (payload[:4] or b"\1\0\0\0" if kind == 1 else b"")
        for head, (kind, payload) in zip(heads, sections, strict=True)
    ]
    data += checked(len(heads).to_bytes(4, "little") + b"".join(entries))
    return data + b"".join(
        checked(head + payload) for head, (_, payload) in zip(heads, sections, strict=True)
    )


def header_fields(
    header: dict[str, int], grids: list[tuple[int, int, int]], blocks: list[tuple[int, int]]
) -> bytes:
    of_grids = (
        bytes([channels]) + interval.to_bytes(2, "little") + bytes([level])
        for channels, interval, level in grids
    )
    of_blocks = (bytes([stride]) + width.to_bytes(2, "little") for stride, width in blocks)
    return packed(reference_reader.HEADER, header) + b"".join([*of_grids, *of_blocks])


def random_file(name: str) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Header fields and sections of a network of NETWORKS with random parameters."""
    rng = np.random.default_rng(len(name))
    changes, grids, blocks = NETWORKS[name]
    header = (
        DEFAULTS
        | changes
        | {"n_frames": sum(LENGTHS), "n_grids": len(grids), "n_blocks": len(blocks)}
    )
    file = reference_reader.File(header, grids, blocks)
    sections = [(129, bytes(32)), (200, b"skip me")]
    for shots in SHOTS:
        cuts = list(itertools.accumulate(shots[:-1]))
        payload = struct.pack(f"<IH48x{len(cuts)}I", sum(shots), len(cuts), *cuts)
        for module, weights, biases in reference_reader.tensors(file, shots):
            coded, shapes = [], []
            for tensor, shape in [
                *weights,
                *([("biases", (sum(shape[0] for _, shape in biases),))] if biases else []),
            ]:
                is_keyed = tensor.startswith(("grid", "motion", "offset"))
                fan_in = 1 if is_keyed else 4 if tensor == "biases" else math.prod(shape[1:])
                symbols = np.rint(rng.laplace(0, file.max_symbol / 3, math.prod(shape)))
                symbols = np.clip(symbols, -file.max_symbol, file.max_symbol).astype(np.int32)
                if tensor in ("motion", "offset"):  # some samples a frame
                    symbols = np.rint(symbols / 8).astype(np.int32)
                step = (0.5 if module == "head" else 1.5) / math.sqrt(
                    fan_in * (1 + np.mean(symbols**2))
                )
                if header["prior"] and not is_keyed:  # or the head saturates
                    step /= 16
                coded.append(Coded(symbols, int(8 * (math.log2(step) + 20))))
                shapes.append(shape if is_keyed else (symbols.size,))
            if module == "block1":
                coded[0].symbols[:] = 0 if name.startswith("mlp yuv") else coded[0].symbols
            keys = [
                tuple(reference_reader.keys_of(file, shots, tensor)) if len(shape) == 4 else ()
                for (tensor, _), shape in zip([*weights, ("biases", ())], shapes)
            ]
            follows = [
                all("details" in tensor for tensor, _ in weights[max(number - 1, 0) : number + 1])
                for number in range(len(shapes))
            ]
            stream = encode_symbols(coded, list(map(Form, shapes, keys, follows)), file.max_symbol)
            payload += len(stream).to_bytes(4, "little") + stream
        sections.append((1, payload))
    return header_fields(header, grids, blocks), sections


@pytest.mark.parametrize(
    "name", ["gray", "yuv422_10", "yuv444_12", "mlp_rgb", "prior", "prior_wide_yuv422"]
)
def test_every_layout_agrees(name: str) -> None:
    """Gray, 4:2:2, 4:4:4 and RGB, of 8, 10 and 12 bits and with priors, are the same planes."""
    data = (DATA / f"{name}.nvpp").read_bytes()
    file = reference_reader.read(data)
    found = [
        plane
        for i, segment in enumerate(file.segments)
        for planes in reference_reader.frames(file, i, range(segment.n_frames))
        for plane in planes
    ]
    assert_close(found, decoded_planes(data))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_random_networks_agree(name: str) -> None:
    data = assemble(*random_file(name))
    file = reference_reader.read(data)
    assert_symbols_equal(data)
    found = [
        plane
        for i, length in enumerate(LENGTHS)
        for planes in reference_reader.frames(file, i, range(length))
        for plane in planes
    ]
    assert np.std(np.concatenate([plane.ravel() for plane in found])) > 10
    assert_close(found, decoded_planes(data))


# Of the frames of LENGTHS: repeats and times, and how often and when the frames are shown.
N_CODED = sum(LENGTHS)
REPEATS = bytes([1, 3, N_CODED - 1, 1])
TIMES = bytes([1, 0x99, 1, 7, 9, 2 * 2 * 40, 1, 2 * 5 + 1, N_CODED - 2])


def timed_file(*sections: tuple[int, bytes], n_frames: int = N_CODED + 2) -> bytes:
    """The bytes of a file of N_CODED frames with other sections."""
    changes, grids, blocks = NETWORKS["grid rgb"]
    counts = {"n_frames": n_frames, "n_grids": len(grids), "n_blocks": len(blocks)}
    fields = header_fields(DEFAULTS | changes | counts, grids, blocks)
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
    changes, grids, blocks = NETWORKS[name]
    header = (
        DEFAULTS
        | changes
        | {"n_frames": sum(LENGTHS), "n_grids": len(grids), "n_blocks": len(blocks)}
    )
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
        reference_reader.decode_stream(stream, [(3,)], 1)


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
        found = reference_reader.decode_stream(stream, shapes, max_symbol)
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
        found = reference_reader.decode_stream(stream, shapes, max_symbol, keys=keys)
        for (symbols, step_code), group in zip(found, coded, strict=True):
            assert np.array_equal(symbols, group.symbols)
            assert not symbols.any() or step_code == group.step_code


@pytest.mark.parametrize(
    "stream", [b"", b"\0\0\0", b"\7" + bytes(8), b"\1\0", b"\2\0\x83\5", b"\2\0\0\x83\5"]
)
def test_illegal_grids_are_refused(stream: bytes) -> None:
    with pytest.raises(ValueError):
        reference_reader.decode_stream(stream, [(2, 1, 2, 2)], 1)


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
