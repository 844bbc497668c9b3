"""The last resort of a rate target: rounding biased, and steps moved, until the target is met."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from nervcodec.coding.quantizer import MAX_STEP_CODE, code_from_step, step_from_code
from nervcodec.training.soft_quantizer import writable_steps
from nervcodec.training.state import Fitted

_BIASES = tuple(0.0025 * 1.5**k for k in range(12))


def nearest_to(
    fitted: Fitted,
    sizes: Sequence[int],
    n_keyed: int,
    error_of: Callable[[Fitted], float],
    tolerance: float,
    max_codes: int = 0,
) -> Fitted:
    """The fit with its rounding biased towards or away from zero, so that it meets its target.

    A last resort: a fit bears no change of its rounding, half a decibel for 1 % (docs/ablation.md).
    What changes are the symbols that were least sure, those nearest to a boundary; only where this
    does not suffice all steps become some codes larger or smaller, which rounds everything anew.

    Args:
        sizes: the groups'; n_keyed: how many of the first of them have keys.
        error_of: by how much a fit is too large or too good; it falls as the bias and the steps
            grow.
        tolerance: the error that is good enough.
        max_codes: by how many codes steps may move.
    """
    best, best_error = fitted, error_of(fitted)
    direction = 1 if best_error > 0 else -1
    for codes in range(max_codes + 1):
        stepped = with_steps(fitted, direction * codes)
        for bias in _BIASES:
            if abs(best_error) <= tolerance:
                return best
            trial = biased(stepped, sizes, n_keyed, direction * bias)
            error = error_of(trial)
            if abs(error) < abs(best_error):
                best, best_error = trial, error
    return best


def with_steps(fitted: Fitted, codes: int) -> Fitted:
    """The fit with all steps moved by so many codes."""
    moved = [code_from_step(math.exp(log_step)) + codes for log_step in fitted.log_steps.tolist()]
    steps = [step_from_code(min(max(code, 0), MAX_STEP_CODE)) for code in moved]
    return replace(fitted, log_steps=torch.tensor(steps).log())


def biased(fitted: Fitted, sizes: Sequence[int], n_keyed: int, bias: float) -> Fitted:
    """The fit with the parameters of all groups but grids moved towards zero, at most to it, by a
    share of a step.
    """
    sizes_, steps = torch.tensor(sizes), writable_steps(fitted.log_steps.exp()).cpu()
    steps[:n_keyed] = 0.0
    parameters = fitted.parameters.cpu()
    magnitudes = parameters.abs() - bias * torch.repeat_interleave(steps, sizes_)
    return replace(fitted, parameters=parameters.sign() * magnitudes.clamp_min(0))
