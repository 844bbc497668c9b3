"""nervcodec.format.traffic: layers are those of the network, and the least bytes are counted as the
file says.
"""

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from nervcodec.encoder.presets import PRESETS
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.tensors import DEPTHWISE, GRID, MATRIX, decode_batch, n_parameters, tensors
from nervcodec.format.traffic import Layer, frame_bytes, largest_map, layers, step_bytes
from nervcodec.format.video_format import VideoFormat

# One NeRV block: 2 features -> 3 hidden -> [1, 2, 2] -> [4 x 2, 2, 2] = [2, 4, 4] -> [3, 4, 4].
NERV = ModelConfig(4, 4, "rgb", MlpStem(2, 2, 3, 1), (Block(2, 2),), parts=(), pe_levels=1)
FINER = ModelConfig(
    29,
    23,
    "yuv",
    GridStem(3, 4, (Grid(2, 2), Grid(3, 4), Grid(1, 3, 2))),
    (Block(2, 5), Block(1, 4), Block(2, 3)),
)
FORM = VideoFormat(320, 180, Fraction(25), 20)
MODELS = [
    NERV,
    FINER,
    replace(FINER, parts=("pw", "scrb2", "skip")),
    replace(FINER, parts=("scrb1", "scrb2")),
    *(PRESETS[name].model(FORM, "yuv", (20,)) for name in ("paper-xs", "medium")),
]


def test_layers_of_a_small_network() -> None:
    """Every layer takes the map of the one before."""
    assert list(layers(NERV)) == [Layer(2, 3), Layer(3, 4), Layer(4, 32), Layer(32, 48)]


def test_a_step_of_a_small_network() -> None:
    """Maps 2 x taken + 3 x given, planes four times in float32, frames once, parameters with Adam's
    state.
    """
    maps = (2 * 2 + 3 * 3) + (2 * 3 + 3 * 4) + (2 * 4 + 3 * 32) + 2 * 32
    n = n_parameters(NERV, (1,))
    assert step_bytes(NERV, 1, 1, "float32") == 4 * maps + 4 * 4 * 48 + 48 + 40 * n
    assert step_bytes(NERV, 1, 5, "bfloat16") == 5 * (2 * maps + 4 * 4 * 48 + 48) + 36 * n


def test_a_frame_of_a_small_network() -> None:
    """Maps read and written once, planes as uint8, parameters once a batch."""
    maps = (2 + 3) + (3 + 4) + (4 + 32) + 32
    assert decode_batch(NERV) == 8
    assert frame_bytes(NERV, 1) == 4 * maps + 48 + 4 * n_parameters(NERV, (1,)) // 8


def test_residuals_and_skips_are_read_too() -> None:
    """A block of all parts adds, besides what it convolves, the input of each SCRB, and the skip at
    its small size.
    """
    *_, dw, pw1, last, head = layers(replace(NERV, parts=("pw", "scrb1", "scrb2", "skip")))
    assert (dw, pw1, last, head) == (
        Layer(32, 32),
        Layer(32, 32),
        Layer(32, 32, (32, 8)),
        Layer(32, 48),
    )


@pytest.mark.parametrize("model", MODELS)
def test_layers_are_the_weights(model: ModelConfig) -> None:
    """There is a layer for every weight, with the values that its shape takes and gives at all its
    cells.
    """
    found = [(layer.takes, layer.gives) for layer in layers(model) if layer.takes]
    expected = []
    for weight in tensors(model, (20,)):
        if weight.kind in (MATRIX, DEPTHWISE):
            inputs = weight.shape[0] if weight.kind == DEPTHWISE else weight.shape[1]
            expected.append((inputs * weight.cells, weight.shape[0] * weight.cells))
    assert found == expected


@pytest.mark.parametrize("model", MODELS)
def test_grids_give_maps(model: ModelConfig) -> None:
    """Layers that take nothing give the blended maps of the grids."""
    given = sum(layer.gives for layer in layers(model) if not layer.takes)
    assert given == sum(
        math.prod(grid.shape[1:]) for grid in tensors(model, (20,)) if grid.kind == GRID
    )


def test_the_largest_map() -> None:
    """It is the one with the most values of a frame."""
    assert largest_map(NERV) == 48
    assert largest_map(PRESETS["paper-xs"].model(FORM, "rgb", (20,))) == 80 * 320 * 180
