"""Quantization as training sees it: noise or straight-through rounding, learned steps, a rate.

The rate estimate is the entropy of a discretised Laplace density of each group's own mean
magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from nervcodec.coding.quantizer import MANTISSA_BITS, bounds, code_from_step
from nervcodec.format.model_config import Keys

_LEAST_MAGNITUDE = 0.05  # of a group's symbols in the mean, for its estimated rate


def writable_steps(steps: torch.Tensor) -> torch.Tensor:
    """Return steps (float32, positive) with mantissas rounded to the bits that a step code holds
    (nvpp-format.md section 4.2).
    """
    spare = 23 - MANTISSA_BITS
    bits = steps.detach().view(torch.int32)
    return ((bits + (1 << spare - 1)) >> spare << spare).view(torch.float32)


class SoftQuantizer:
    """Quantization as a fit sees it: noise or straight-through rounding, with one step a group.

    Args:
        sizes: numbers of parameters of the groups, in the order of the flat parameter vector.
        max_symbol: largest magnitude of a symbol.
        log_steps: natural logarithms of the steps, float32 [n_groups]; a leaf if the steps are
            learned.
        keys: of the first groups (see quantize); the others have none.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        max_symbol: int,
        log_steps: torch.Tensor,
        keys: Sequence[Keys] = (),
    ) -> None:
        device = log_steps.device
        # (values, values a key) of each shot of each group of keys
        self._lagged = [
            (n_keys * (size // sum(keys_of_shots)), size // sum(keys_of_shots))
            for size, keys_of_shots in zip(sizes, keys)
            for n_keys in keys_of_shots
        ]
        self.log_steps = log_steps
        self.max_symbol = max_symbol
        self.sizes = torch.tensor(sizes, device=device)
        self._group = torch.repeat_interleave(torch.arange(len(sizes), device=device), self.sizes)

    def noisy(self, values: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (values, symbols) clipped, with noise in place of rounding; both [n_parameters].

        A difference carries the noise of one value, not of two: where a grid stands still it is to
        cost nothing.

        Args:
            noise: uniform in [-1/2, 1/2), [n_parameters].
        """
        noised: tuple[torch.Tensor, torch.Tensor] = _Quantize.apply(  # type: ignore[no-untyped-call]
            values, self.log_steps, noise, self
        )
        return noised

    def rounded(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (values, symbols), both [n_parameters]: the values are what the decoder will see.

        They are rounded and clipped, by steps that can be written. The gradient passes straight
        through the rounding of the values; the steps get none and stay as they are. The symbols are
        not rounded, so that their rate pulls those that round to zero towards it: left alone they
        drift over the boundary, and files grow (docs/lab L037).
        """
        rounded: tuple[torch.Tensor, torch.Tensor] = _Quantize.apply(  # type: ignore[no-untyped-call]
            values, self.log_steps, None, self
        )
        return rounded

    def per_parameter(self, per_group: torch.Tensor) -> torch.Tensor:
        """Return the group's value for each parameter: [n_groups] -> [n_parameters]."""
        return per_group.index_select(0, self._group)

    def group_sums(self, per_parameter: torch.Tensor) -> torch.Tensor:
        """Return the sum over each group: [n_parameters] -> [n_groups]."""
        return torch.segment_reduce(per_parameter, "sum", lengths=self.sizes, unsafe=True)

    def clip_(self, scaled: torch.Tensor) -> None:
        """Clip multiples of the steps [n_parameters] in place, so that they can be coded."""
        n_lagged = sum(size for size, _ in self._lagged)
        scaled[:n_lagged].clamp_(*bounds(self.max_symbol, True))
        scaled[n_lagged:].clamp_(*bounds(self.max_symbol, False))

    def differences(self, multiples: torch.Tensor) -> torch.Tensor:
        """Return symbols as they are coded, [n_parameters]: of keys their differences."""
        symbols, start = multiples.clone(), 0
        for size, lag in self._lagged:
            symbols[start + lag : start + size] -= multiples[start : start + size - lag]
            start += size
        return symbols

    def differences_backward(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient by the multiples from that by their differences, [n_parameters]."""
        by_multiple, start = gradient.clone(), 0
        for size, lag in self._lagged:
            by_multiple[start : start + size - lag] -= gradient[start + lag : start + size]
            start += size
        return by_multiple

    def rate_bits(self, symbols: torch.Tensor) -> torch.Tensor:
        """Return the estimated bits of symbols (or of noisy ones), a differentiable scalar.

        They are -log2 of the mass that a Laplace density of each group's mean magnitude puts on
        [s - 1/2, s + 1/2].
        """
        bits: torch.Tensor = _LaplaceBits.apply(symbols, self)  # type: ignore[no-untyped-call]
        return bits


class _Quantize(torch.autograd.Function):
    """SoftQuantizer.noisy, or .rounded without noise.

    By hand it takes half the time of automatic differentiation.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        log_steps: torch.Tensor,
        noise: torch.Tensor | None,
        quantizer: SoftQuantizer,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        steps = log_steps.exp()
        step = quantizer.per_parameter(steps if noise is not None else writable_steps(steps))
        scaled = values / step
        multiples = scaled.clone()
        quantizer.clip_(multiples)
        is_inside = multiples == scaled
        symbols = quantizer.differences(multiples)
        if noise is not None:
            symbols += noise
            multiples += noise
        else:
            multiples.round_()
        result = multiples.mul_(step)
        ctx.quantizer = quantizer
        ctx.has_noise = noise is not None
        ctx.save_for_backward(step, scaled, is_inside, result)
        return result, symbols

    @staticmethod
    def backward(
        ctx: Any, by_value: torch.Tensor, by_symbol: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        step, scaled, is_inside, result = ctx.saved_tensors
        by_scaled = (
            ctx.quantizer.differences_backward(by_symbol).addcmul_(by_value, step).mul_(is_inside)
        )
        by_log_step = None
        if ctx.has_noise:
            by_log_step = ctx.quantizer.group_sums(
                (by_value * result).addcmul_(by_scaled, scaled, value=-1)
            )
        return by_scaled / step, by_log_step, None, None


class _LaplaceBits(torch.autograd.Function):
    """The bits of symbols [n_parameters] under Laplace densities of the groups' mean magnitudes.

    By hand, with its gradient, at a third of what automatic differentiation takes. With the inverse
    scale r and the magnitude m = min(|s|, 1/2), the mass on [s - 1/2, s + 1/2] is p(m) exp(-r (|s|
    - m)), and with a = expm1(r (m - 1/2)), b = expm1(-r (m + 1/2)) it is p(m) = -(a + b) / 2; its
    slopes follow from a and b.
    """

    @staticmethod
    def forward(ctx: Any, symbols: torch.Tensor, quantizer: SoftQuantizer) -> torch.Tensor:
        magnitude = symbols.abs()
        mean = quantizer.group_sums(magnitude) / quantizer.sizes
        inverse = 1 / mean.clamp_min(_LEAST_MAGNITUDE)
        rate = quantizer.per_parameter(inverse)
        inner = magnitude.clamp_max(0.5)
        outer = magnitude - inner
        a = torch.expm1((inner - 0.5).mul_(rate))
        b = torch.expm1((inner + 0.5).mul_(-rate))
        twice_mass = (a + b).neg_().clamp_min_(2e-9)
        slope = a.sub_(b).div_(twice_mass)
        nats = outer.mul(rate).sub_(torch.log(twice_mass / 2)).sum()
        by_rate = outer.add_(0.5).addcmul_(inner, slope).sub_(1 / twice_mass)
        through_mean = quantizer.group_sums(by_rate) * -inverse.square() / quantizer.sizes
        through_mean *= mean >= _LEAST_MAGNITUDE
        by_magnitude = slope.mul_(rate).add_(quantizer.per_parameter(through_mean))
        ctx.save_for_backward(by_magnitude.mul_(symbols.sign()))
        return nats / math.log(2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (by_symbol,) = ctx.saved_tensors
        return by_symbol * (gradient / math.log(2)), None


def covering_steps(
    values: torch.Tensor, sizes: Sequence[int], max_symbol: int, n_keyed: int = 0
) -> list[int]:
    """Return the step codes that just cover each group's largest magnitude.

    That is the plain b-bit quantizer of 2^b - 1 levels.

    Args:
        values: [n_parameters].
        sizes: the groups'; n_keyed: how many of the first of them have keys.
    """
    peaks = [float(group.abs().max()) for group in torch.split(values.detach(), list(sizes))]
    limits = [max(max_symbol // 2, 1)] * n_keyed + [max_symbol] * (len(sizes) - n_keyed)
    return [
        code_from_step(peak / limit, up=True) for peak, limit in zip(peaks, limits, strict=True)
    ]
