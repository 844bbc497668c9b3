"""nervcodec.nn.exact_network and exact_layers: the same integers, whatever multiplies them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from models import GRIDS, MLP

from nervcodec.decoder.reconstruct import exact_decoder, float_decoder
from nervcodec.errors import DeviceError
from nervcodec.format import tensors
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.nn import exact_layers
from nervcodec.nn.exact_layers import ExactLayer, check_device, expected_sums
from nervcodec.nn.exact_network import ExactNetwork
from nervcodec.nn.fixed_point import LIMIT, integer_layer
from nervcodec.nn.grid_maps import FloatGridMaps, GridMaps
from nervcodec.nn.integer_network import IntegerNetwork

CPU = torch.device("cpu")
MOVING = ModelConfig(
    27,
    21,
    "yuv422",
    GridStem(3, 4, (Grid(2, 2), Grid(2, 2, 1), Grid(1, 2, 2)), 2, 2, wavelet_levels=1),
    (Block(2, 8), Block(3, 6)),
    biases="lean",
    bit_depth=10,
)
MODELS = {"mlp": MLP, "grids": GRIDS, "moving": MOVING, "bare": replace(GRIDS, parts=())}
SHOTS = (3, 8)


def integers_of(model: ModelConfig, scale: float = 0.3, fraction_bits: int = 9) -> IntegerNetwork:
    rng = np.random.default_rng(0)
    size = tensors.n_parameters(model, SHOTS)
    return IntegerNetwork(scale * rng.normal(size=size), model, SHOTS, fraction_bits)


def samples(network: ExactNetwork, batch: int) -> torch.Tensor:
    n_frames = sum(SHOTS)
    parts = [
        network(range(start, min(start + batch, n_frames))) for start in range(0, n_frames, batch)
    ]
    return torch.cat(parts)


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts the number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("threads")
def test_frames_depend_on_nothing_else(name: str) -> None:
    """Not on the threads, the frames at once, nor on what multiplies."""
    integers = integers_of(MODELS[name])
    expected = samples(exact_decoder(integers, CPU), 1)
    assert expected.dtype == (torch.uint8 if MODELS[name].bit_depth == 8 else torch.int16)
    assert expected.float().std() > 10
    for n_threads in (1, 2, 4):
        torch.set_num_threads(n_threads)
        for batch in (3, 8):
            assert torch.equal(samples(exact_decoder(integers, CPU), batch), expected)
    assert torch.equal(samples(ExactNetwork(integers, CPU, by_products=True), 3), expected)


@pytest.mark.parametrize("name", MODELS)
def test_floats_are_near(name: str) -> None:
    """Nearly all samples are within a level of what float32 gives."""
    integers = integers_of(MODELS[name], 0.2)
    exact = samples(exact_decoder(integers, CPU), 4).int()
    off = (exact - float_decoder(integers, CPU)(range(sum(SHOTS))).int()).abs()
    levels = 2.0 ** (MODELS[name].bit_depth - 8)
    assert (off > levels).float().mean() < 0.01 and off.max() <= 4 * levels


@pytest.mark.parametrize("motion", [0.0, 3.0, 1e3])
def test_floats_take_keys_where_integers_do(motion: float) -> None:
    """However far they move, samples are within a level of 8 bits."""
    model = replace(MOVING, bit_depth=8)
    parameters = 0.2 * np.random.default_rng(0).normal(size=tensors.n_parameters(model, SHOTS))
    n_moving = sum(
        tensor.size for tensor in tensors.tensors(model, SHOTS) if tensor.name in tensors.MOTIONS
    )
    parameters[:n_moving] *= 5 * motion
    integers = IntegerNetwork(parameters, model, SHOTS, 9)
    exact = samples(exact_decoder(integers, CPU), 4).int()
    assert exact.float().std() > 5
    assert (exact - float_decoder(integers, CPU)(range(sum(SHOTS))).int()).abs().max() == 1


@pytest.mark.parametrize("motion", [0.0, 3.0, 1e3])
def test_float_maps_are_those_of_the_integers(motion: float) -> None:
    """But for a unit here and there."""
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=tensors.n_parameters(MOVING, SHOTS))
    n_moving = sum(
        tensor.size for tensor in tensors.tensors(MOVING, SHOTS) if tensor.name in tensors.MOTIONS
    )
    parameters[:n_moving] *= motion
    integers = IntegerNetwork(parameters, MOVING, SHOTS, 9)
    frames = range(sum(SHOTS))
    for level in range(3):
        exact = GridMaps(integers, CPU)(level, frames)
        assert torch.equal(exact, exact.round()) and exact.std() > 100
        off = (exact - 512 * FloatGridMaps(integers, CPU)(level, frames)).abs()
        assert off.max() <= 1 and (off > 0).float().mean() < 0.01


@given(
    st.sampled_from([(8, 5, 3), (4, 9, 1), (6, 1, 3)]),
    st.integers(10, 47),
    st.integers(4, 10),
    st.sampled_from([None, 11, 15]),
    st.booleans(),
    st.integers(0, 99),
)
def test_layers_are_exact(
    shape: tuple[int, int, int],
    weight_bits: int,
    fraction_bits: int,
    sample_bits: int | None,
    by_products: bool,
    seed: int,
) -> None:
    """Of any weights, sums are those of int64, until they are clipped."""
    rng = np.random.default_rng(seed)
    n_outputs, n_inputs, kernel = shape
    weight = rng.integers(-(1 << weight_bits), 1 << weight_bits, (*shape, kernel))
    bias = rng.integers(-(1 << weight_bits), 1 << weight_bits, n_outputs)
    layer = integer_layer(weight, bias, fraction_bits, sample_bits)
    x = rng.choice([-LIMIT, LIMIT, -1, 0, 1, 37], (1, n_inputs, 4, 5))
    found = ExactLayer(layer, CPU, by_products)(torch.from_numpy(x).float()).numpy()
    limit = LIMIT if sample_bits is None else 8 << sample_bits
    expected = np.clip(expected_sums(x, layer), -limit, limit)
    np.testing.assert_array_equal(np.clip(found, -limit, limit), expected)


def test_a_device_that_is_not_exact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that multiplies in TensorFloat-32 or bfloat16, however it is told."""

    def rounded(x: torch.Tensor, weight: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
        return F.conv2d(x.bfloat16().float(), weight, *others, **named)

    check_device.cache_clear()
    check_device("cpu")
    check_device.cache_clear()
    monkeypatch.setattr(
        exact_layers, "_convolution", lambda x, w, b: rounded(x, w, b, padding=w.shape[-1] // 2)
    )
    with pytest.raises(DeviceError, match="device cpu: its float32 sums are not exact"):
        check_device("cpu")
    check_device.cache_clear()


def test_clipping_is_seen() -> None:
    """Where it is watched for: with fewer fraction bits the same network is not clipped."""
    assert samples_clip(0.6, 10) and not samples_clip(0.6, 4) and not samples_clip(0.1, 9)
    assert not exact_decoder(integers_of(GRIDS, 0.6, 10), CPU).is_clipped


def samples_clip(scale: float, fraction_bits: int) -> bool:
    network = exact_decoder(integers_of(GRIDS, scale, fraction_bits), CPU, watches=True)
    samples(network, 4)
    return network.is_clipped
