"""Parameters <-> symbols: uniform steps, zero exactly zero, differences from key to key.

value = symbol * step, |symbol| <= 2^(bits-1) - 1. A step is an integer mantissa times a power of
two, so that dequantizing is exact in float64 (nvpp-format.md section 4.2).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.model_config import Keys

MANTISSA_BITS = 3
_MIN_EXPONENT = -23
MAX_STEP_CODE = 255


def step_from_code(code: int) -> float:
    """Return the step (8 + code mod 8) * 2^(floor(code / 8) - 23), exact in float64."""
    mantissa = (1 << MANTISSA_BITS) + code % (1 << MANTISSA_BITS)
    return math.ldexp(mantissa, (code >> MANTISSA_BITS) + _MIN_EXPONENT)


def code_from_step(step: float, *, up: bool = False) -> int:
    """Return the code of the nearest step that can be written.

    Args:
        up: return the smallest one that is not below the step instead.
    """
    fraction, exponent = math.frexp(max(step, step_from_code(0)))
    mantissa = fraction * (2 << MANTISSA_BITS)
    mantissa = math.ceil(mantissa) if up else round(mantissa)
    code = (
        ((exponent - 1 - MANTISSA_BITS - _MIN_EXPONENT) << MANTISSA_BITS)
        + mantissa
        - (1 << MANTISSA_BITS)
    )
    return min(code, MAX_STEP_CODE)


def bounds(max_symbol: int, is_keyed: bool) -> tuple[int, int]:
    """Return the least and largest multiple of its step that a parameter may be.

    Of keys they are closer, so that differences too are legal symbols.
    """
    return (-(max_symbol // 2), (max_symbol + 1) // 2) if is_keyed else (-max_symbol, max_symbol)


def quantize(
    values: NDArray[np.floating[Any]], step: float, max_symbol: int, keys: Keys = ()
) -> NDArray[np.int32]:
    """Return the nearest multiples of the step, clipped to `bounds`; of keys their differences.

    Halves go to even.

    Args:
        values: [n]; of keys, n is a multiple of their number.
        keys: how many of them each shot has; the first of a shot is coded as it is, the others as
            their difference from the one before. (): values that belong to no keys.
    Returns:
        int32 [n], within +-max_symbol.
    """
    multiples = np.clip(
        np.rint(values.astype(np.float64) / step), *bounds(max_symbol, bool(keys))
    ).astype(np.int32)
    if not keys:
        return multiples
    return np.concatenate(
        [np.diff(shot, axis=0, prepend=np.int32(0)) for shot in _shots(multiples, keys)]
    ).ravel()


def dequantize(symbols: NDArray[np.int32], step: float, keys: Keys = ()) -> NDArray[np.float64]:
    """Return multiple * step, exact; float64 [n]."""
    multiples = symbols.astype(np.int64)
    if keys:
        multiples = np.concatenate(
            [shot.cumsum(axis=0) for shot in _shots(multiples, keys)]
        ).ravel()
    return multiples.astype(np.float64) * step


def _shots(values: NDArray[Any], keys: Keys) -> list[NDArray[Any]]:
    """Return values [n] as those of each shot, [keys of it, values a key]."""
    return np.split(values.reshape(sum(keys), -1), np.cumsum(keys[:-1]))
