"""nervcodec.nn.integer_network: keys in time, motion and wavelets by hand and beside floats."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from nervcodec.format import tensors
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.tensors import n_parameters
from nervcodec.nn.fixed_point import rounded_shift
from nervcodec.nn.grids import TemporalGrids, blend_matrix, distances, interpolation, joined
from nervcodec.nn.integer_network import (
    IntegerNetwork,
    blends,
    key_distances,
    level_scale,
    resizing,
    resizing_matrix,
    unfolded,
)

MOVING = ModelConfig(
    27,
    21,
    "yuv420",
    GridStem(3, 4, (Grid(2, 2), Grid(2, 2, 1), Grid(1, 2, 2)), 2, 2, wavelet_levels=2),
    (Block(2, 8), Block(2, 6)),
    biases="lean",
    bits=12,
)


def network_of(values: dict[str, float], shots: tuple[int, ...] = (4,)) -> IntegerNetwork:
    """A moving network whose named tensors are constant, all others 0."""
    parts = [
        np.full(tensor.size, values.get(tensor.name, 0.0))
        for tensor in tensors.tensors(MOVING, shots)
    ]
    return IntegerNetwork(np.concatenate(parts), MOVING, shots, 9)


def test_blends_of_the_specification() -> None:
    """Three keys of ten frames, on frames 1, 5 and 8 (section 5.5)."""
    first, second, weight = blends((10,), (3,))
    assert first.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert second.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert weight.tolist() == [0, 0, 64, 128, 192, 0, 85, 171, 0, 0]


@pytest.mark.parametrize(("shots", "keys"), [((10,), (3,)), ((1, 7, 2), (1, 3, 2)), ((40,), (40,))])
def test_blends_are_those_of_a_fit(shots: tuple[int, ...], keys: tuple[int, ...]) -> None:
    """They differ by less than a 256th from the float weights."""
    first, second, weight = blends(shots, keys)
    found = np.zeros((sum(shots), sum(keys)))
    frames = np.arange(sum(shots))
    found[frames, first] = 256 - weight
    found[frames, second] += np.where(first == second, 0, weight)
    row, column = 0, 0
    for n_frames, n_keys in zip(shots, keys, strict=True):
        part = found[row : row + n_frames, column : column + n_keys]
        assert np.abs(part / 256 - blend_matrix(n_frames, n_keys)).max() <= 1 / 512
        row, column = row + n_frames, column + n_keys


def test_distances_are_those_of_a_fit() -> None:
    """Frames from both keys, times keys over frames of the shot."""
    shots, keys = (1, 7, 12), (1, 3, 2)
    n_frames, n_keys, first, second = key_distances(shots, keys)
    expected = distances(shots, keys)
    np.testing.assert_allclose(first * n_keys / n_frames, expected[0])
    blend_first, blend_second, _ = blends(shots, keys)
    is_between = blend_first != blend_second
    np.testing.assert_allclose((second * n_keys / n_frames)[is_between], expected[1][is_between])


@pytest.mark.parametrize(("n_cells", "n_given"), [(1, 1), (8, 4), (9, 4), (3, 7), (15, 5), (5, 1)])
def test_resizing_is_linear(n_cells: int, n_given: int) -> None:
    """Weights add up to 256 and are those of a linear interpolation, to half a 256th."""
    matrix = resizing_matrix(n_cells, n_given)
    assert matrix.sum(axis=1).tolist() == [256] * n_cells and matrix.min() >= 0
    np.testing.assert_allclose(matrix / 256, interpolation(n_cells, n_given), atol=0.501 / 256)
    first, second, weight = resizing(n_cells, n_given)
    assert 0 <= first.min() and second.max() < n_given and 0 <= weight.min() <= weight.max() <= 256


def test_doubling_takes_quarters() -> None:
    """Of two values (section 5.1): the first, 3/4 and 1/4, 1/4 and 3/4, the second."""
    assert resizing_matrix(4, 2).tolist() == [[256, 0], [192, 64], [64, 192], [0, 256]]


def test_wavelets_by_hand() -> None:
    """One cell: its half is 7, differences along rows, columns and both are 2, 1 and 4."""
    half, details = np.full((1, 1, 1, 1), 7), np.array([2, 1, 4]).reshape(1, 3, 1, 1)
    assert unfolded(half, details, (2, 2)).tolist() == [[[[7, 1], [2, 4]]]]
    assert unfolded(half, details, (1, 2)).tolist() == [[[[7, 1]]]]


def test_wavelets_are_those_of_a_fit() -> None:
    """To the half that is rounded."""
    rng = np.random.default_rng(0)
    half, details = rng.integers(-999, 999, (2, 3, 4, 5)), rng.integers(-999, 999, (2, 9, 4, 5))
    expected = joined(torch.from_numpy(half).double(), torch.from_numpy(details).double(), (7, 9))
    found = unfolded(half, details, (7, 9))
    np.testing.assert_array_equal(found, np.floor(expected.numpy() + 0.5))


def test_moves_by_hand() -> None:
    """Four frames have keys on frames 1 and 3: frame 0 lies a frame before its key, half a mean
    distance; a motion of 1/2 then is 2 samples, an offset of 1/4 half a sample.
    """
    network = network_of({"stem.motion": 0.5, "stem.offset": 0.25})
    first, second = network.moves([0, 1, 2])
    assert first.shape == (3, 2, 2, 2)
    assert (first[0] == -2 * 256 + 128).all() and (second[0] == first[0]).all()
    assert (first[1] == 0).all()
    assert (first[2] == 2 * 256 + 128).all() and (second[2] == -2 * 256 + 128).all()


def test_moves_are_limited() -> None:
    """At 4,096 samples, however large motions are."""
    assert (network_of({"stem.motion": 1e6}).moves([2])[0] == 1 << 20).all()


def test_grids_are_clipped_and_that_is_known() -> None:
    """Values beyond 8191 / 512 are."""
    assert not network_of({"stem.grid1": 8191 / 512}).is_clipped
    network = network_of({"stem.grid1": 16.0, "stem.grid2": -3.0})
    assert network.is_clipped and network.grids[0].max() == 8191
    names = ("stem.grid2", "stem.grid2_details2", "stem.grid2_details1")
    assert not network_of(dict.fromkeys(names, 6.0)).is_clipped  # 15 at most: (2 * 9 + 12) / 2
    assert network_of(dict.fromkeys(names, 7.0)).is_clipped


def test_still_grids_are_those_of_a_fit() -> None:
    """To the rounding of values and weights."""
    rng = np.random.default_rng(0)
    size = tensors.n_parameters(MOVING, (5,))
    network = IntegerNetwork(rng.normal(size=size), MOVING, (5,), 9)
    grids = TemporalGrids(MOVING, (5,), torch.device("cpu"))
    named = {"stem.grid1": torch.from_numpy(network.grids[0] / 512).float()}
    expected = grids.maps(named, torch.arange(5), 0).numpy()
    blend = network.blend(0, range(5))
    first, second = (network.grids[0][each] for each in (blend.first, blend.second))
    weight = blend.weight[:, None, None, None]
    found = rounded_shift((256 - weight) * first + weight * second, 8)
    np.testing.assert_allclose(found / 512, expected, atol=1 / 512 + np.ptp(expected) / 512)


def test_scales() -> None:
    """Of the strides up to a level, and of all."""
    assert [level_scale(MOVING, level) for level in range(3)] == [(1, 4), (2, 4), (4, 4)]


def test_encoding_takes_whole_turns_off_exactly() -> None:
    """Of a million frames, an angle of 4596 half turns lies 2e-10 above a half: it goes up."""
    model = ModelConfig(2, 2, "yuv420", MlpStem(1, 1, 1, 1), (Block(1, 1),))
    network = IntegerNetwork(np.zeros(n_parameters(model, (1,))), model, (10**6,), 10)
    encoded = network.encoding([0, 954578])
    assert encoded[0].tolist() == [0] * 40 + [1024] * 40
    turns = Fraction(954578 * 5**38, 10**6 * 4**38) % 2
    exact = 1024 * math.sin(math.pi * float(turns))
    assert 1e-10 < exact - 394.5 < 3e-10
    assert encoded[1, 38] == 395
