"""Integers that stand for fractions: rounding, clipping, layers and tables (nvpp-format.md sections
5.1 and 5.2).

NumPy and the standard library alone: every decoder takes its integers from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

LIMIT = 8191  # the largest magnitude of a feature map's value
PARAMETER_BITS = 24  # a parameter is a multiple of 2^-PARAMETER_BITS
LERP_BITS = 8  # of an interpolation's weights
FLOAT32_BOUND = 15 << 20  # sums up to here are exact in float32, rounding included
BOUND = 1 << 29
_MOST_WEIGHT_BITS = 12
_LEAST_NARROW_BITS = 8


def rounded_shift(values: Integers, bits: int) -> Integers:
    """Return rs(values, bits): values / 2^bits, rounded to the nearest integer, halves up."""
    if bits <= 0:
        return values << -bits
    return np.right_shift(values + (1 << bits - 1), bits)


def clipped(values: Integers) -> Integers:
    """Return values within +-LIMIT."""
    return np.clip(values, -LIMIT, LIMIT)


def to_units(parameters: NDArray[np.float64]) -> Integers:
    """Return X: parameters, exact multiples of 2^-24 below 2^39, times 2^24."""
    units: Integers = np.ldexp(parameters, PARAMETER_BITS).astype(np.int64)
    return units


@dataclass(frozen=True)
class IntegerLayer:
    """A convolution or a linear layer in integers.

    Attributes:
        weight: int64 [out, in, k, k] or [out, in].
        bias: int64 [out], with the half that makes a shift round to the nearest.
        has_bias: whether there is one besides that half.
        weight_bits: bits of the weights after the point.
        shift: bits by which sums are shifted down to values of a map or, of the head, to places of
            the samples' table; negative ones shift up.
        is_narrow: whether all sums are exact in float32, in any order.
    """

    weight: Integers
    bias: Integers
    has_bias: bool
    weight_bits: int
    shift: int
    is_narrow: bool

    @property
    def half(self) -> int:
        """What the bias has besides its own."""
        return 1 << self.shift - 1 if self.shift > 0 else 0


def integer_layer(
    weight: Integers, bias: Integers | None, fraction_bits: int, sample_bits: int | None = None
) -> IntegerLayer:
    """Return a layer whose weights have as many bits as its sums' bounds allow.

    Args:
        weight: X of the weights, int64 [out, in, k, k] or [out, in].
        bias: X of the biases, int64 [out]; None without them.
        fraction_bits: of the values of maps.
        sample_bits: of the head, bits after the point of the places in the samples' table.
    """
    has_bias = bias is not None
    if bias is None:
        bias = np.zeros(len(weight), np.int64)
    bits, is_narrow = _most_bits(weight, bias, fraction_bits, FLOAT32_BOUND), True
    if bits < _LEAST_NARROW_BITS or sample_bits is not None:
        bits = _most_bits(weight, bias, fraction_bits, BOUND)
        is_narrow = _fits(weight, bias, fraction_bits, bits, FLOAT32_BOUND)
    shift = bits if sample_bits is None else fraction_bits + bits - sample_bits
    weights = rounded_shift(weight, PARAMETER_BITS - bits)
    biases = rounded_shift(bias, PARAMETER_BITS - fraction_bits - bits)
    layer = IntegerLayer(weights, biases, has_bias, bits, shift, is_narrow)
    return replace(layer, bias=biases + layer.half)


def _most_bits(weight: Integers, bias: Integers, fraction_bits: int, bound: int) -> int:
    """Return the most bits of weights with which no sum exceeds a bound."""
    bits = _MOST_WEIGHT_BITS
    while not _fits(weight, bias, fraction_bits, bits, bound):
        bits -= 1
    return bits


def _fits(weight: Integers, bias: Integers, fraction_bits: int, bits: int, bound: int) -> bool:
    weights = np.abs(rounded_shift(weight, PARAMETER_BITS - bits))
    biases = np.abs(rounded_shift(bias, PARAMETER_BITS - fraction_bits - bits))
    sums = weights.reshape(len(weights), -1).sum(axis=1)
    return bool((sums <= (bound - biases) // LIMIT).all())


# --- tables ---


@lru_cache(maxsize=8)
def gelu_table(fraction_bits: int) -> NDArray[np.int32]:
    """Return gelu(v) for v from -LIMIT to LIMIT, int32 [2 * LIMIT + 1]."""
    return _nearest(
        [u * (1 + math.erf(u / math.sqrt(2))) / 2 for u in _places(fraction_bits)], fraction_bits
    )


@lru_cache(maxsize=8)
def silu_table(fraction_bits: int) -> NDArray[np.int32]:
    """Return silu(v) for v from -LIMIT to LIMIT, int32 [2 * LIMIT + 1]."""
    return _nearest([u / (1 + math.exp(-u)) for u in _places(fraction_bits)], fraction_bits)


def _places(fraction_bits: int) -> list[float]:
    return [math.ldexp(v, -fraction_bits) for v in range(-LIMIT, LIMIT + 1)]


def _nearest(values: list[float], fraction_bits: int) -> NDArray[np.int32]:
    """Return values in units of 2^-fraction_bits, rounded to the nearest integer, halves up."""
    nearest: NDArray[np.int32] = np.floor(np.ldexp(values, fraction_bits) + 0.5).astype(np.int32)
    return nearest


def sample_bits(bit_depth: int) -> int:
    """Return the bits after the point of the places in the samples' table."""
    return bit_depth + 3


def sample_limit(bit_depth: int) -> int:
    """Return the largest magnitude of a place in the samples' table."""
    return 8 << sample_bits(bit_depth)


@lru_cache(maxsize=4)
def sample_table(bit_depth: int) -> NDArray[np.uint16]:
    """Return the sample of each place v from -sample_limit to sample_limit, uint16."""
    limit = sample_limit(bit_depth)
    places = np.ldexp(np.arange(-limit, limit + 1, dtype=np.float64), -sample_bits(bit_depth))
    peak = (1 << bit_depth) - 1
    return np.floor(peak * (np.tanh(places) + 1) / 2 + 0.5).astype(np.uint16)
