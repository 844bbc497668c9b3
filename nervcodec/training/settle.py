"""After the cycles of a fit with a target: short cycles at low learning rates until it is met."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from nervcodec.coding.quantizer import code_from_step, step_from_code
from nervcodec.training.context import TrainingContext
from nervcodec.training.optimizers import rate_factor
from nervcodec.training.rate_control import SETTLING, settling_factor
from nervcodec.training.state import Progress, StageName, TrainingState
from nervcodec.training.step import Clock, OptimizerStep, end_epoch, next_batch, progress_of


class Settle:
    """Short cycles with rounded weights, which end where the target is met or RDOQ can meet it.

    Between two of them lambda moves by how far the fit is off (docs/lab L059).

    Args:
        context: of the fit.
        n_epochs: of the learning-rate cycle before it.
    """

    name: StageName = "settle"
    is_exact = False

    def __init__(self, context: TrainingContext, n_epochs: int) -> None:
        self.cycle_epochs = math.ceil(SETTLING.share * n_epochs)
        self.n_epochs = SETTLING.n_cycles * self.cycle_epochs
        self._cycle_steps = self.cycle_epochs * context.steps_per_epoch
        self.epoch = 0
        self._rate = SETTLING.rate  # learning rates at the start of a cycle

    def run(self, context: TrainingContext, state: TrainingState) -> Iterator[Progress | None]:
        """Yield after every step; see TrainingStage."""
        step = OptimizerStep(context, state)
        clock = Clock()
        while self.epoch < self.n_epochs:
            n_cycles, n_into = divmod(self.epoch, self.cycle_epochs)
            number = n_into * context.steps_per_epoch + state.n_batches
            if number == 0:
                error = context.error(state.solution())
                if self._is_enough(context, n_cycles, error):
                    return
                self._correct(context, state, n_cycles, error)
            rate = state.rate_scale * (self._rate * rate_factor(number / self._cycle_steps, 0))
            state.sums += step(next_batch(context, state), rate, is_rounding=True)
            state.n_steps_done += 1
            is_end = state.n_batches == context.steps_per_epoch
            if is_end:
                self._end_epoch(context, state)
            if clock.tick(state) or is_end:
                yield self.progress(context, state)
            else:
                yield None

    def progress(self, context: TrainingContext, state: TrainingState) -> Progress:
        """Return where the stage stands."""
        return progress_of(context, state, self.name, self.epoch, self.n_epochs)

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what the stage keeps besides the state."""
        return {"epoch": self.epoch, "rate": self._rate}, {}

    def load_state_dict(self, numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
        """Take back what state_dict gave."""
        self.epoch = numbers["epoch"]
        self._rate = numbers["rate"]

    def _is_enough(self, context: TrainingContext, n_cycles: int, error: float) -> bool:
        """Whether the target is met, or later cycles leave the rest to RDOQ."""
        if abs(error) <= context.tolerance:
            return True
        return _is_late(n_cycles) and context.fit.uses_rdoq and SETTLING.is_left_to_rdoq(error)

    def _correct(
        self, context: TrainingContext, state: TrainingState, n_cycles: int, error: float
    ) -> None:
        """Move lambda, and make steps finer where no lambda fills the bytes that are left."""
        state.rate_weight *= settling_factor(error)
        limit = 0.0 if _is_late(n_cycles) else SETTLING.saturated
        if context.fit.target_bpp and error < limit:
            self._rate = SETTLING.finer_rate
            codes = [
                max(code_from_step(math.exp(log_step)) - 1, 0)
                for log_step in state.log_steps.tolist()
            ]
            log_steps = torch.tensor([math.log(step_from_code(code)) for code in codes])
            with torch.no_grad():
                state.log_steps.copy_(log_steps)

    def _end_epoch(self, context: TrainingContext, state: TrainingState) -> None:
        distortion, estimated_bytes = end_epoch(context, state)
        if math.isfinite(distortion):
            state.n_bytes = state.bytes_ratio * estimated_bytes
        self.epoch += 1


def _is_late(n_cycles: int) -> bool:
    """Whether half of the cycles have not sufficed."""
    return n_cycles >= SETTLING.n_cycles // 2
