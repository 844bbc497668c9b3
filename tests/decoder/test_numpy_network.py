"""nervcodec.decoder.numpy_network: the samples of the torch engine, one by one, over networks of
every kind and over parameters as no encoder writes them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models import GRIDS, MLP
from numpy.typing import NDArray

from nervcodec.decoder import numpy_layers, numpy_network, reconstruct
from nervcodec.decoder.numpy_network import NumpyNetwork
from nervcodec.decoder.reconstruct import exact_decoder
from nervcodec.format.model_config import (
    BIASES,
    COLORSPACES,
    MAX_FRACTION_BITS,
    MIN_FRACTION_BITS,
    PARTS,
    Block,
    Grid,
    GridStem,
    MlpStem,
    ModelConfig,
    Shots,
)
from nervcodec.format.tensors import n_parameters
from nervcodec.nn.integer_network import IntegerNetwork
from nervcodec.video.frames import Frames

CPU = torch.device("cpu")
SUBSETS = [
    (),
    ("pw",),
    ("scrb1",),
    ("scrb2",),
    ("pw", "skip"),
    ("scrb1", "scrb2"),
    ("pw", "scrb2", "skip"),
    PARTS,
]
OF_PRIOR = ModelConfig(
    29,
    23,
    "yuv420",
    GridStem(2, 2, (Grid(2, 1), Grid(4, 2), Grid(2, 2, 1), Grid(3, 2, 2), Grid(1, 2, 3)), 1, 2, 2),
    (Block(2, 24), Block(2, 16), Block(2, 19)),
    biases="lean",
    bits=12,
    prior=1,
)
MOVING = replace(
    GRIDS, stem=GridStem(3, 4, (Grid(2, 4), Grid(1, 3, 1), Grid(2, 3, 2), Grid(2, 3, 1)), 2, 3, 3)
)
ONE = ModelConfig(1, 1, "gray", GridStem(1, 1, (Grid(1, 9),)), (Block(1, 1),), parts=())


def usual(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Parameters as fits leave them, of a size of their own in each network."""
    made: NDArray[np.float64] = (
        np.round(rng.normal(size=n) * rng.choice([0.02, 0.2, 2.0]) * 4096) / 4096
    )
    return made


def hostile(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Zeros, and the largest symbols with steps from tiny to huge."""
    size = 2.0 ** rng.integers(-20, 36)
    made: NDArray[np.float64] = rng.choice([0.0, 1.0, 2047.0], n) * rng.choice([-1, 1], n) * size
    return made


def mixed(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Parameters of all sizes side by side."""
    made: NDArray[np.float64] = rng.choice([-1, 1], n) * 2.0 ** rng.integers(-24, 34, n)
    return made


def random_model(rng: np.random.Generator) -> tuple[ModelConfig, Shots]:
    """A small network of any kind, and the shots of a segment."""

    def pick(values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    blocks = tuple(
        Block(pick((1, 2, 3, 4, 5)), int(rng.integers(1, 9))) for _ in range(rng.integers(1, 4))
    )
    scale = math.prod(block.stride for block in blocks)
    height, width = (int(rng.integers(1, 5 if scale < 30 else 2)) for _ in range(2))
    stem: MlpStem | GridStem = MlpStem(height, width, int(rng.integers(1, 9)), pick((1, 2, 5)))
    if rng.random() < 0.8:
        interval = int(rng.integers(1, 5))
        grids = [Grid(int(rng.integers(1, 4)), int(rng.integers(1, 7)))]
        for level in rng.integers(0, len(blocks) + 1, 3):
            of_level = interval if level else int(rng.integers(1, 5))
            grids.append(Grid(int(rng.integers(1, 4)), of_level, int(level)))
        stem = GridStem(height, width, tuple(grids))
        if any(grid.level for grid in grids) and rng.random() < 0.7:
            motion = int(rng.integers(1, 4)), int(rng.integers(1, 4))
            stem = GridStem(height, width, tuple(grids), *motion, int(rng.integers(0, 4)))
    colorspace = pick(COLORSPACES)
    halves = 1 if colorspace == "rgb" else 2
    columns, rows = (
        max(1, halves * each * scale - int(rng.integers(0, 4))) for each in (width, height)
    )
    model = ModelConfig(
        columns,
        rows,
        colorspace,
        stem,
        blocks,
        parts=pick(SUBSETS),
        biases=pick(BIASES),
        bits=12,
        bit_depth=pick((8, 10, 12)),
    )
    return model, tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 4)))


def assert_same(integers: IntegerNetwork) -> None:
    """Both engines give the same samples of all frames."""
    frames = range(sum(integers.shots))
    with torch.inference_mode():
        expected = exact_decoder(integers, CPU)(frames).numpy()
    found = NumpyNetwork(integers)(frames)
    bits = integers.model.bit_depth
    assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert found.shape == expected.shape
    assert np.array_equal(found, expected.view(found.dtype))


@pytest.mark.parametrize("seed", range(120))
def test_random_networks(seed: int) -> None:
    """Stems, grids, wavelets, strides, parts, layouts, bit depths and sizes of all kinds, with
    parameters of all kinds and any number of bits after the point.
    """
    rng = np.random.default_rng(seed)
    model, shots = random_model(rng)
    draw = (usual, usual, hostile, mixed)[seed % 4]
    bits = int(rng.integers(MIN_FRACTION_BITS, MAX_FRACTION_BITS + 1))
    assert_same(IntegerNetwork(draw(rng, n_parameters(model, shots)), model, shots, bits))


@pytest.mark.parametrize("draw", [usual, hostile, mixed])
@pytest.mark.parametrize(
    ("model", "shots"),
    [
        (MLP, (5,)),
        (GRIDS, (1,)),
        (MOVING, (4, 1, 3)),
        (OF_PRIOR, (5, 2)),
        (replace(OF_PRIOR, colorspace="yuv444", bit_depth=10), (3,)),
        (replace(OF_PRIOR, colorspace="gray", bit_depth=12), (3,)),
        (ONE, (2,)),
        (replace(MOVING, blocks=(Block(3, 6), Block(1, 3))), (7,)),
        (replace(MOVING, blocks=(Block(16, 3), Block(1, 2))), (3,)),
        (replace(MLP, blocks=(Block(7, 3), Block(1, 2))), (3,)),
    ],
    ids=["mlp", "one key", "moving", "prior", "444", "gray", "1x1", "3", "16", "7"],
)
def test_networks_of_each_kind(model: ModelConfig, shots: Shots, draw: Any) -> None:
    """Those of the format's parts, each with usual parameters and with others."""
    rng = np.random.default_rng(7)
    for _ in range(3):
        assert_same(IntegerNetwork(draw(rng, n_parameters(model, shots)), model, shots, 9))


def test_layers_in_both_precisions() -> None:
    """The networks of these tests have layers whose sums need float64, and others."""
    rng = np.random.default_rng(0)
    narrow = set()
    for draw in (usual, usual, usual, hostile):
        integers = IntegerNetwork(draw(rng, n_parameters(GRIDS, (2,))), GRIDS, (2,), 9)
        narrow |= {(name[-3:], layer.is_narrow) for name, layer in integers.layers.items()}
    assert {(".ub", True), (".ub", False), (".dw", True), (".dw", False)} <= narrow


@pytest.mark.parametrize("n_cells", [1, 40, 1 << 30])
def test_bands_do_not_count(monkeypatch: pytest.MonkeyPatch, n_cells: int) -> None:
    """A map in bands of a row each, of some rows and in one give the same samples."""
    monkeypatch.setattr(numpy_layers, "_BAND_CELLS", n_cells)
    rng = np.random.default_rng(1)
    for model in (OF_PRIOR, MLP):
        assert_same(IntegerNetwork(usual(rng, n_parameters(model, (4,))), model, (4,), 9))


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("numbers", [range(9), range(2, 3), range(5, 9)])
def test_frames_do_not_depend_on_others(numbers: range, n_threads: int) -> None:
    """Ranges and numbers of threads give what torch gives of each frame, planes put together."""
    model, shots = replace(OF_PRIOR, bit_depth=10), (4, 5)
    parameters = usual(np.random.default_rng(2), n_parameters(model, shots))
    expected = Frames.concatenate(
        list(reconstruct.reconstruct(parameters, model, range(9), shots, fraction_bits=9))
    )[numbers.start : numbers.stop]
    parts = list(
        numpy_network.reconstruct(parameters, model, numbers, shots, 9, n_threads=n_threads)
    )
    found = Frames.concatenate(parts)
    assert (found.layout, found.bit_depth) == (expected.layout, expected.bit_depth)
    for plane, of_torch in zip(found.planes, expected.planes, strict=True):
        assert plane.dtype == of_torch.dtype == np.uint16
        assert np.array_equal(plane, of_torch)


def test_several_frames_at_once() -> None:
    """A batch is its frames, in any order, twice the same too."""
    integers = IntegerNetwork(
        usual(np.random.default_rng(3), n_parameters(MOVING, (6,))), MOVING, (6,), 9
    )
    network = NumpyNetwork(integers)
    batch = network([4, 0, 4])
    assert np.array_equal(batch, np.concatenate([network([4]), network([0]), network([4])]))


@pytest.mark.parametrize(("n_bytes", "n_at_once"), [(1, 1), (1 << 40, 4), (None, 4)])
def test_no_more_at_once_than_memory_holds(
    monkeypatch: pytest.MonkeyPatch, n_bytes: int | None, n_at_once: int
) -> None:
    """Frames are decoded one by one where there is too little for several."""
    asked = []

    def in_threads(work: Any, items: range, n_threads: int) -> list[Frames]:
        asked.append(n_threads)
        return [work(item) for item in items]

    monkeypatch.setattr(numpy_network, "available_bytes", lambda: n_bytes)
    monkeypatch.setattr(numpy_network, "in_threads", in_threads)
    parameters = np.zeros(n_parameters(MLP, (2,)))
    assert len(list(numpy_network.reconstruct(parameters, MLP, range(2), (2,), 9, 4))) == 2
    assert asked == [n_at_once]
