"""Tensors <-> symbols and steps, and the differentiable stand-ins for both that the fit uses.

Uniform, symmetric, zero exactly zero: value = symbol * step, |symbol| <= 2^(bits-1) - 1; the symbols of grids are
differences from one key to the next (`lag`), so that what stands still costs next to nothing. A step is an integer
mantissa times a power of two (docs/bitstream.md, 'Steps'), so that dequantizing is exact in float64 and rounds once to
float32. The rate estimate is the entropy of a discretised Laplace density of each group's own mean magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_MANTISSA_BITS = 3
_MIN_EXPONENT = -23
MAX_STEP_CODE = 255


def step_from_code(code: int) -> float:
    """The step (8 + code mod 8) * 2^(floor(code / 8) - 23), exact in float64."""
    mantissa = (1 << _MANTISSA_BITS) + code % (1 << _MANTISSA_BITS)
    return math.ldexp(mantissa, (code >> _MANTISSA_BITS) + _MIN_EXPONENT)


def code_from_step(step: float, *, up: bool = False) -> int:
    """The code of the nearest step that can be written, or with `up` of the smallest one not below it."""
    fraction, exponent = math.frexp(max(step, step_from_code(0)))
    mantissa = fraction * (2 << _MANTISSA_BITS)
    mantissa = math.ceil(mantissa) if up else round(mantissa)
    code = ((exponent - 1 - _MANTISSA_BITS - _MIN_EXPONENT) << _MANTISSA_BITS) + mantissa - (1 << _MANTISSA_BITS)
    return min(code, MAX_STEP_CODE)


def writable_steps(steps: torch.Tensor) -> torch.Tensor:
    """The steps (float32, positive) with their mantissas rounded to the bits that a step code holds."""
    spare = 23 - _MANTISSA_BITS
    bits = steps.detach().view(torch.int32)
    return ((bits + (1 << spare - 1)) >> spare << spare).view(torch.float32)


def bounds(max_symbol: int, lag: int) -> tuple[int, int]:
    """Least and largest multiple of its step that a parameter may be, so that differences too are legal symbols."""
    return (-(max_symbol // 2), (max_symbol + 1) // 2) if lag else (-max_symbol, max_symbol)


def quantize(values: NDArray[np.float32], step: float, max_symbol: int, lag: int = 0) -> NDArray[np.int32]:
    """Nearest multiples of the step (halves to even), clipped to `bounds`; with a lag their differences.

    Args:
        values: [n]; with a lag, n is a multiple of it.
        lag: value i is coded as its difference from value i - lag, the first `lag` values as they are; 0: all are.
    Returns:
        int32 [n], within +-max_symbol.
    """
    multiples = np.clip(np.rint(values.astype(np.float64) / step), *bounds(max_symbol, lag)).astype(np.int32)
    return np.diff(multiples.reshape(-1, lag), axis=0, prepend=np.int32(0)).ravel() if lag else multiples


def dequantize(symbols: NDArray[np.int32], step: float, lag: int = 0) -> NDArray[np.float32]:
    """The inverse: multiple * step, computed in float64 and rounded once; float32 [n]."""
    multiples = symbols.reshape(-1, lag).cumsum(axis=0, dtype=np.int64).ravel() if lag else symbols
    return (multiples.astype(np.float64) * step).astype(np.float32)


class _Spread(torch.autograd.Function):
    """[n_groups] -> [n_parameters]; sums a group's gradients four times as fast as the backward of indexing."""

    @staticmethod
    def forward(ctx: Any, per_group: torch.Tensor, group: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        ctx.sizes = sizes
        return per_group.index_select(0, group)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return torch.segment_reduce(gradient, "sum", lengths=ctx.sizes, unsafe=True), None, None


class SoftQuantizer:
    """Quantization as the fit sees it: additive noise or straight-through rounding, with one step a group.

    Args:
        sizes: numbers of parameters of the groups, in the order of the flat parameter vector.
        max_symbol: largest magnitude of a symbol.
        log_steps: natural logarithms of the steps, float32 [n_groups]; a leaf if the steps are learned.
        lags: of the first groups (see quantize); the others have none.
    """

    def __init__(self, sizes: Sequence[int], max_symbol: int, log_steps: torch.Tensor,
                 lags: Sequence[int] = ()) -> None:
        device = log_steps.device
        self._lagged = list(zip(sizes, lags))
        self.log_steps = log_steps
        self.max_symbol = max_symbol
        self._sizes = torch.tensor(sizes, device=device)
        self._group = torch.repeat_interleave(torch.arange(len(sizes), device=device), self._sizes)

    def _spread(self, per_group: torch.Tensor) -> torch.Tensor:
        """[n_groups] -> [n_parameters]."""
        spread: torch.Tensor = _Spread.apply(per_group, self._group, self._sizes)  # type: ignore[no-untyped-call]
        return spread

    def noisy(self, values: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(values, symbols) clipped, with noise, uniform in [-1/2, 1/2), in place of rounding; both [n_parameters].

        A difference carries the noise of one value, not of two: where a grid stands still it is to cost nothing.
        """
        step = self._spread(self.log_steps.exp())
        scaled = self._clipped(values / step)
        return (scaled + noise) * step, self._differences(scaled) + noise

    def rounded(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(values, symbols): values rounded and clipped, by steps that can be written, are what the decoder will see.

        The gradient passes straight through the rounding of the values; the steps get none and stay as they are. The
        symbols are not rounded, so that their rate pulls those that round to zero towards it: left alone they drift
        over the boundary, and files grow (docs/ablation.md).
        """
        step = self._spread(writable_steps(self.log_steps.exp()))
        scaled = self._clipped(values / step)
        multiples = scaled + (scaled.round() - scaled).detach()
        return multiples * step, self._differences(scaled)

    def _clipped(self, scaled: torch.Tensor) -> torch.Tensor:
        low, high = bounds(self.max_symbol, 0)
        if not self._lagged:
            return scaled.clamp(low, high)
        n_lagged = sum(size for size, _ in self._lagged)
        return torch.cat([scaled[:n_lagged].clamp(*bounds(self.max_symbol, 1)), scaled[n_lagged:].clamp(low, high)])

    def _differences(self, multiples: torch.Tensor) -> torch.Tensor:
        """Symbols as they are coded, [n_parameters]."""
        parts, start = [], 0
        for size, lag in self._lagged:
            group = multiples[start:start + size]
            parts += [group[:lag], group[lag:] - group[:-lag]]
            start += size
        return torch.cat([*parts, multiples[start:]]) if parts else multiples

    def rate_bits(self, symbols: torch.Tensor) -> torch.Tensor:
        """Estimated size in bits of symbols (or of noisy ones), a differentiable scalar.

        -log2 of the mass that a Laplace density of each group's mean magnitude puts on [s - 1/2, s + 1/2].
        """
        magnitude = symbols.abs()
        sums = torch.segment_reduce(magnitude, "sum", lengths=self._sizes, unsafe=True)
        inverse = 1 / (sums / self._sizes).clamp_min(0.05)
        spread = self._spread(inverse)
        tail = magnitude * spread - self._spread(torch.log(torch.sinh(inverse / 2)))
        centre = 1 - self._spread(torch.exp(-inverse / 2)) * torch.cosh(magnitude.clamp(max=0.5) * spread)
        nats = torch.where(magnitude > 0.5, tail, -torch.log(centre.clamp_min(1e-9)))
        return nats.sum() / math.log(2)


def covering_steps(values: torch.Tensor, sizes: Sequence[int], max_symbol: int,
                   lags: Sequence[int] = ()) -> list[int]:
    """Step codes that just cover each group's largest magnitude: the plain b-bit quantizer, 2^b - 1 levels."""
    peaks = [float(group.abs().max()) for group in torch.split(values.detach(), list(sizes))]
    limits = [max(max_symbol // 2, 1)] * len(lags) + [max_symbol] * (len(sizes) - len(lags))
    return [code_from_step(peak / limit, up=True) for peak, limit in zip(peaks, limits, strict=True)]
