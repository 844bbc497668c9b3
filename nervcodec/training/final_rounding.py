"""The last resort towards a target: rounding biased, and steps moved, until it is met."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nervcodec.coding.quantizer import MAX_STEP_CODE, code_from_step, step_from_code
from nervcodec.training.context import Solution, TrainingContext
from nervcodec.training.rate_model import PSNR_PROMISE, SIZE_PROMISE
from nervcodec.training.soft_quantizer import writable_steps
from nervcodec.training.state import Progress, StageName, Ticks, TrainingState

# Shares of a step by which rounding is biased; the least that does is taken.
_BIASES = tuple(0.0025 * 1.5**k for k in range(12))
_MAX_CODES = 4  # by how many codes steps move towards a size; towards a PSNR they stay


class FinalRounding:
    """The stage that meets the target where the others have not; needs measures alone."""

    name: StageName = "rounding"
    is_exact = True

    def run(self, context: TrainingContext, state: TrainingState) -> Iterator[Progress | None]:
        """Yield after each trial; the state changes at the end. See TrainingStage."""
        fit, measures = context.fit, context.measures
        assert measures
        if fit.target_bpp:
            n_bits = fit.target_bpp * context.n_pixels
            tolerance, max_codes = SIZE_PROMISE.rounded, _MAX_CODES

            def error_of(solution: Solution) -> float:
                return measures.bits(solution) / n_bits - 1
        else:
            tolerance, max_codes = PSNR_PROMISE.rounded, 0

            def error_of(solution: Solution) -> float:
                return measures.rgb_db(solution) - fit.target_psnr

        n_keyed = len(context.keys)
        start = state.solution()
        state.set_solution(
            (yield from nearest_to(start, context.sizes, n_keyed, error_of, tolerance, max_codes))
        )

    def progress(self, context: TrainingContext, state: TrainingState) -> Progress:
        """Return where the stage stands: it has no epochs."""
        return Progress(self.name, 0, 1, 0.0, state.psnr_db, 0.0, state.n_bytes)

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return nothing: the stage is made again as a whole."""
        return {}, {}

    def load_state_dict(self, numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
        """Do nothing."""


def nearest_to(
    start: Solution,
    sizes: Sequence[int],
    n_keyed: int,
    error_of: Callable[[Solution], float],
    tolerance: float,
    max_codes: int = 0,
) -> Ticks[Solution]:
    """Return a solution with its rounding biased towards or away from zero, to meet a target.

    A last resort: a fit bears no change of its rounding, half a decibel for 1 % (docs/lab L057).
    What changes are the symbols that were least sure, those nearest to a boundary; only where this
    does not suffice all steps become some codes larger or smaller, which rounds everything anew.
    It yields after each trial.

    Args:
        start: what is rounded.
        sizes: the groups'.
        n_keyed: how many of the first groups have keys.
        error_of: by how much a solution is too large or too good; it falls as the bias and the
            steps grow.
        tolerance: the error that is good enough.
        max_codes: by how many codes steps may move.
    Returns:
        The first solution within the tolerance, else the nearest one.
    """
    best = start
    best_error = error_of(start)
    direction = 1 if best_error > 0 else -1
    for codes in range(max_codes + 1):
        stepped = with_steps(start, direction * codes)
        for bias in _BIASES:
            if abs(best_error) <= tolerance:
                return best
            trial = biased(stepped, sizes, n_keyed, direction * bias)
            error = error_of(trial)
            if abs(error) < abs(best_error):
                best, best_error = trial, error
            yield None
    return best


def with_steps(solution: Solution, codes: int) -> Solution:
    """Return the solution with all steps moved by so many codes."""
    moved = [code_from_step(math.exp(log_step)) + codes for log_step in solution.log_steps.tolist()]
    steps = [step_from_code(min(max(code, 0), MAX_STEP_CODE)) for code in moved]
    return replace(solution, log_steps=torch.tensor(steps).log())


def biased(solution: Solution, sizes: Sequence[int], n_keyed: int, bias: float) -> Solution:
    """Return the solution with parameters moved towards zero, at most to it, by a share of a step.

    Those of grids, the first n_keyed groups, stay.
    """
    steps = writable_steps(solution.log_steps.exp()).cpu()
    steps[:n_keyed] = 0.0
    parameters = solution.parameters.cpu()
    magnitudes = parameters.abs() - bias * torch.repeat_interleave(steps, torch.tensor(sizes))
    return replace(solution, parameters=parameters.sign() * magnitudes.clamp_min(0))
