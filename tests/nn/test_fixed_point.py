"""nervcodec.nn.fixed_point: rounding, the precision of layers, tables."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.nn.fixed_point import (
    BOUND,
    FLOAT32_BOUND,
    LIMIT,
    gelu_table,
    integer_layer,
    rounded_shift,
    sample_limit,
    sample_table,
    silu_table,
    to_units,
)

ONE = 1 << 24


@given(st.integers(-(1 << 40), 1 << 40), st.integers(-8, 20))
def test_a_shift_rounds_to_the_nearest(value: int, bits: int) -> None:
    """Halves go up."""
    found = int(rounded_shift(np.array([value]), bits)[0])
    assert found == math.floor(Fraction(value) / Fraction(2) ** bits + Fraction(1, 2))


def test_units_are_exact() -> None:
    """The smallest and the largest values that steps and priors can give."""
    values = np.array([2.0**-24, -(2.0**-23) * 15, 2047 * 15 * 2.0**8, 0.1015625])
    assert to_units(values).tolist() == [1, -30, 2047 * 15 << 32, 1703936]


# --- layers ---


def layer_of(total: float, **changes: int) -> tuple[int, bool]:
    """Bits and narrowness of a layer of one output whose weights' magnitudes add up to a total."""
    weight = np.array([[total * ONE / 2, -total * ONE / 2]]).astype(np.int64)
    layer = integer_layer(weight, None, 9, **changes)
    return layer.weight_bits, layer.is_narrow


@pytest.mark.parametrize(
    ("total", "bits", "is_narrow"),
    [
        (0, 12, True),
        (0.25, 12, True),
        (1920 / 4096, 12, True),  # 8191 * 1920 <= 15 * 2^20 < 8191 * 1921
        (1922 / 4096, 11, True),
        (1920 / 256, 8, True),
        (1922 / 256, 12, False),
        (65544 / 4096, 12, False),  # 8191 * 65544 <= 2^29 < 8191 * 65545
        (65548 / 4096, 11, False),
        (65544 * 16, -4, False),
    ],
)
def test_weights_have_the_bits_that_sums_bear(total: float, bits: int, is_narrow: bool) -> None:
    """By hand: the largest bits of 12 and less, wide sums where narrow ones had less than 8."""
    assert layer_of(total) == (bits, is_narrow)


def test_the_head_takes_wide_sums() -> None:
    """It has 12 bits where other layers have 8, and is narrow only by chance."""
    assert layer_of(1920 / 256, sample_bits=11) == (12, False)
    assert layer_of(0.25, sample_bits=11) == (12, True)


def test_the_head_shifts_to_places_of_samples() -> None:
    """Sums have A + k bits after the point, places F."""
    assert integer_layer(np.array([[ONE]]), None, 9, sample_bits=11).shift == 9 + 12 - 11
    assert integer_layer(np.array([[1 << 44]]), None, 4, sample_bits=15).shift < 0


@given(
    st.integers(1, 6),
    st.integers(1, 40),
    st.integers(0, 47),
    st.integers(0, 47),
    st.integers(4, 10),
    st.sampled_from([None, 11, 13, 15]),
    st.integers(0, 99),
)
def test_no_sum_leaves_its_bound(
    n_outputs: int,
    n_inputs: int,
    weight_bits: int,
    bias_bits: int,
    fraction_bits: int,
    sample_bits: int | None,
    seed: int,
) -> None:
    """However large parameters are, what is summed is within the bounds, rounding included."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-(1 << weight_bits), 1 << weight_bits, (n_outputs, n_inputs))
    bias = rng.integers(-(1 << bias_bits), 1 << bias_bits, n_outputs)
    layer = integer_layer(weight, bias, fraction_bits, sample_bits)
    most = np.abs(layer.bias) + LIMIT * np.abs(layer.weight).sum(axis=1)
    assert most.max() < (1 << 24 if layer.is_narrow else BOUND + (1 << 13))
    assert (most.max() <= FLOAT32_BOUND + layer.half) == layer.is_narrow


# --- tables ---


@pytest.mark.parametrize("bits", range(4, 11))
def test_activations_by_their_identities(bits: int) -> None:
    """GELU(u) - GELU(-u) and SiLU(u) - SiLU(-u) are u; far out they are 0 and u."""
    values = np.arange(-LIMIT, LIMIT + 1)
    for table in (gelu_table(bits), silu_table(bits)):
        assert table.dtype == np.int32 and len(table) == len(values)
        assert np.abs(table - table[::-1] - values).max() <= 1
        assert table[LIMIT] == 0
    if bits < 9:
        assert gelu_table(bits)[[0, -1]].tolist() == [0, LIMIT]
        assert silu_table(bits)[[0, -1]].tolist() == [0, LIMIT]


def test_activations_by_hand() -> None:
    """GELU(1) = 0.841345, GELU(-0.5) = -0.154269, SiLU(1) = 0.731059, SiLU(-2) = -0.238406."""
    gelu, silu = gelu_table(9), silu_table(9)
    assert gelu[LIMIT + 512] == 431 and gelu[LIMIT - 256] == -79
    assert silu[LIMIT + 512] == 374 and silu[LIMIT - 1024] == -122


@pytest.mark.parametrize(("bit_depth", "middle"), [(8, 128), (10, 512), (12, 2048)])
def test_samples(bit_depth: int, middle: int) -> None:
    """They rise from 0 to the peak, the middle is rounded up, and there is no sample without a
    place.
    """
    table = sample_table(bit_depth).astype(int)
    peak = 2 * middle - 1
    assert table[0] == 0 and table[-1] == peak and table[sample_limit(bit_depth)] == middle
    assert set(np.diff(table)) == {0, 1}
