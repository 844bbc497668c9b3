"""The stages of a fit: what each of them is, and the learning-rate cycles that come first.

In a cycle the learning rate warms up and falls along a cosine; in the last one the forward pass
rounds the weights from `round_from` on. With a rate term the loss is distortion + lambda *
estimated bits per pixel, every group's step is learned, and uniform noise stands in for the
rounding until then. Towards a target lambda is steered (rate_control.py).
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from nervcodec.errors import FitError
from nervcodec.training.context import TrainingContext
from nervcodec.training.optimizers import peak_factor, rate_factor
from nervcodec.training.pruning import magnitude_mask
from nervcodec.training.rate_control import (
    IDLE_LOOKS,
    PSNR_LOOKS,
    SIZE_LOOKS,
    RateControl,
    is_due,
    psnr_error,
    size_error,
)
from nervcodec.training.state import (
    Progress,
    StageName,
    TrainingState,
    copied,
    with_prefix,
    without_prefix,
)
from nervcodec.training.step import Clock, OptimizerStep, cover, end_epoch, next_batch, progress_of

MAX_ROLLBACKS = 3
_DIVERGENCE = 10.0  # a distortion this many times the best since the warm-up (10 dB) is one
# In the first steps of a cycle momentum builds up, and one flat frame is left for some of them.
_FIRST_STEPS = 20
_FIRST_INVISIBLE = 1e-3
_INVISIBLE = 1e-5  # a distortion (50 dB) below which a best one sets no example (docs/lab L097)
_CHEAP_BITS = 1000  # a distortion that is worth no more bits sets none either (docs/lab L103)


class TrainingStage(Protocol):
    """One of the peers that a fit goes through.

    Attributes:
        name: the stage's.
        is_exact: whether it computes as a decoder does.
    """

    name: StageName
    is_exact: bool

    def run(self, context: TrainingContext, state: TrainingState) -> Iterator[Progress | None]:
        """Yield after every optimizer step or batch, None where there is nothing new to tell.

        Between two yields the state and state_dict are all that the stage needs to go on. What
        state_dict gives may be where a pass over the frames began.

        Raises:
            FitError: the fit kept diverging.
        """

    def progress(self, context: TrainingContext, state: TrainingState) -> Progress:
        """Return where the stage stands."""

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what the stage keeps besides the state: numbers, JSON-ready, and CPU tensors."""

    def load_state_dict(self, numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
        """Take back what state_dict gave, for run to go on from there."""


@dataclass(frozen=True)
class Schedule:
    """The steps of a learning-rate cycle.

    Attributes:
        n_epochs: its passes over the frames.
        steps_per_epoch: optimizer steps of each.
        warmup: share of the steps during which the learning rate rises.
        round_from: the step from which on weights are rounded; n_steps if none are.
    """

    n_epochs: int
    steps_per_epoch: int
    warmup: float
    round_from: int

    @classmethod
    def of(cls, context: TrainingContext, n_epochs: int, *, is_last: bool) -> Schedule:
        """Return the schedule of a cycle; only the last one of a fit rounds."""
        n_steps = n_epochs * context.steps_per_epoch
        first_rounded = math.ceil(context.fit.round_from * n_steps) if is_last else n_steps
        return cls(n_epochs, context.steps_per_epoch, context.fit.warmup, first_rounded)

    @property
    def n_steps(self) -> int:
        """Steps of the whole cycle."""
        return self.n_epochs * self.steps_per_epoch

    @property
    def rounds(self) -> bool:
        """Whether the cycle ends with rounded weights."""
        return self.round_from < self.n_steps

    def rate(self, step: int) -> float:
        """Return what a step's learning rates are multiplied by."""
        return rate_factor(step / self.n_steps, self.warmup)


class _Cycle:
    """A learning-rate cycle, epoch by epoch, that can fall back to the end of its last good epoch.

    Args:
        context: of the fit.
        name: of the stage.
        schedule: its steps.
        rate_scale: its learning rates over the configured ones.
        prune: the share of weights that it sets to zero at its start.
    """

    is_exact = False

    def __init__(
        self,
        context: TrainingContext,
        name: StageName,
        schedule: Schedule,
        rate_scale: float,
        prune: float = 0.0,
    ) -> None:
        self.name = name
        self.schedule = schedule
        self._rate_scale = rate_scale
        self._prune = prune
        self._law = context.law
        self.epoch = 0
        self._is_begun = False
        self._best = math.inf  # the least distortion of an epoch
        self._was_rounding = False
        self._rgb_gap_db = 0.0  # between the PSNR of all decoded frames and that of training
        self._control: RateControl | None = None
        self._good: dict[str, Tensor] = {}  # the state's snapshot after the last good epoch
        self._good_control: RateControl | None = None

    def run(self, context: TrainingContext, state: TrainingState) -> Iterator[Progress | None]:
        """Yield after every step; see TrainingStage."""
        if not self._is_begun:
            self._begin(context, state)
        schedule, has_rate = self.schedule, context.fit.rate_weight > 0
        step = OptimizerStep(context, state)
        clock = Clock()
        while self.epoch < schedule.n_epochs:
            number = self.epoch * schedule.steps_per_epoch + state.n_batches
            if number == schedule.round_from and not has_rate:
                cover(context, state)
            rate = state.rate_scale * schedule.rate(number)
            state.sums += step(next_batch(context, state), rate, number >= schedule.round_from)
            state.n_steps_done += 1
            is_end = state.n_batches == schedule.steps_per_epoch
            if is_end:
                self._end_epoch(context, state, step)
            if clock.tick(state) or is_end:
                yield self.progress(context, state)
            else:
                yield None
        if not schedule.rounds and not has_rate:
            cover(context, state)

    def progress(self, context: TrainingContext, state: TrainingState) -> Progress:
        """Return where the stage stands."""
        return progress_of(context, state, self.name, self.epoch, self.schedule.n_epochs)

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what the stage keeps besides the state."""
        numbers = {
            "epoch": self.epoch,
            "best": self._best,
            "was_rounding": self._was_rounding,
            "rgb_gap_db": self._rgb_gap_db,
            "control": self._control.state_dict() if self._control else None,
            "good_control": self._good_control.state_dict() if self._good_control else None,
        }
        return numbers, copied(with_prefix("good.", self._good))

    def load_state_dict(self, numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
        """Take back what state_dict gave."""
        self.epoch = numbers["epoch"]
        self._best = numbers["best"]
        self._was_rounding = numbers["was_rounding"]
        self._rgb_gap_db = numbers["rgb_gap_db"]
        self._control = self._restored(numbers["control"])
        self._good_control = self._restored(numbers["good_control"])
        self._good = without_prefix("good.", arrays)
        self._is_begun = True

    def _restored(self, control: Mapping[str, Any] | None) -> RateControl | None:
        return RateControl(law=self._law, **control) if self._law and control else None

    def _begin(self, context: TrainingContext, state: TrainingState) -> None:
        self._is_begun = True
        if self._prune:
            state.mask = magnitude_mask(state.parameters, context.network.tensors, self._prune)
        peak = peak_factor(self.schedule.n_steps, context.fit.rate_fall)
        state.begin_cycle(context, self._rate_scale * peak)
        if self._law:
            self._control = RateControl(state.rate_weight, self._law)
        self._keep(state)

    def _keep(self, state: TrainingState) -> None:
        """Remember where to fall back to."""
        self._good = state.snapshot()
        self._good_control = copy.copy(self._control)

    def _end_epoch(
        self, context: TrainingContext, state: TrainingState, step: OptimizerStep
    ) -> None:
        """Measure and steer; go on to the next epoch, or fall back after a divergence."""
        schedule, n_done = self.schedule, self.epoch + 1
        distortion, estimated_bytes = end_epoch(context, state)
        if context.fit.rate_weight and math.isfinite(distortion):
            state.n_bytes = self._corrected(context, state, estimated_bytes)
            if self._control:
                self._steer(context, state, self._control)
        is_rounding = n_done * schedule.steps_per_epoch > schedule.round_from
        is_warming_up = self.epoch < schedule.warmup * schedule.n_epochs
        if is_rounding != self._was_rounding or is_warming_up:
            # A restart at the full rate and the first rounding may cost what they like.
            self._best = math.inf
        is_first = n_done * schedule.steps_per_epoch <= _FIRST_STEPS
        worth = state.rate_weight * _CHEAP_BITS / context.n_pixels
        least = max(_FIRST_INVISIBLE if is_first else _INVISIBLE, worth)
        limit = min(max(self._best, least) * _DIVERGENCE, sys.float_info.max)
        if not distortion <= limit:  # also true for NaN
            self._roll_back(context, state, step)
            return
        self._best = min(self._best, distortion)
        self._was_rounding = is_rounding
        self._keep(state)
        self.epoch = n_done

    def _roll_back(
        self, context: TrainingContext, state: TrainingState, step: OptimizerStep
    ) -> None:
        if state.n_rollbacks == MAX_ROLLBACKS:
            rate = state.rate_scale * context.fit.learning_rate
            raise FitError(
                f"the fit diverged {MAX_ROLLBACKS + 1} times, last in epoch {self.epoch + 1} of "
                f"{self.schedule.n_epochs} at a learning rate of {rate:g}; try a lower one"
            )
        state.n_rollbacks += 1
        state.rate_scale /= 2
        state.restore(self._good)
        step.forget()
        self._control = copy.copy(self._good_control)
        if self._control:
            state.rate_weight = self._control.weight

    def _corrected(
        self, context: TrainingContext, state: TrainingState, estimated_bytes: float
    ) -> float:
        """Return the parameters' bytes, from the estimate of the epoch that ends."""
        # The estimate is looked at after the first two epochs that round (docs/lab L058).
        first_rounded = self.schedule.round_from // self.schedule.steps_per_epoch
        is_new_to_rounding = self.epoch - first_rounded in (0, 1)
        looks = SIZE_LOOKS if context.fit.target_bpp else IDLE_LOOKS
        if context.measures and (is_new_to_rounding or self._is_due(looks)):
            bits = context.measures.bits(state.solution())
            state.bytes_ratio = bits / (8 * estimated_bytes)
        return state.bytes_ratio * estimated_bytes

    def _steer(self, context: TrainingContext, state: TrainingState, control: RateControl) -> None:
        """Set lambda for the next epoch."""
        fit, progress = context.fit, (self.epoch + 1) / self.schedule.n_epochs
        if fit.target_bpp:
            assert state.n_bytes is not None
            error = size_error(8 * state.n_bytes, fit.target_bpp * context.n_pixels)
        else:
            assert context.measures
            psnr_db = state.psnr_db or math.inf
            if self._is_due(PSNR_LOOKS):
                self._rgb_gap_db = context.measures.rgb_db(state.solution()) - psnr_db
            expected_db = control.expected_db(progress, psnr_db + self._rgb_gap_db)
            error = psnr_error(expected_db, fit.target_psnr)
        control.observe(progress, error)
        state.rate_weight = control.weight

    def _is_due(self, looks: tuple[float, ...]) -> bool:
        """Whether one of the looks lies in the epoch that ends."""
        n_epochs = self.schedule.n_epochs
        return is_due(looks, self.epoch / n_epochs, (self.epoch + 1) / n_epochs)


class Main(_Cycle):
    """The first cycle, from random or shared weights."""

    def __init__(self, context: TrainingContext) -> None:
        fit = context.fit
        schedule = Schedule.of(context, fit.epochs, is_last=not fit.finetune_epochs)
        super().__init__(context, "fit", schedule, 1.0)


class FineTune(_Cycle):
    """The second cycle, with other learning rates and after pruning."""

    def __init__(self, context: TrainingContext) -> None:
        fit = context.fit
        schedule = Schedule.of(context, fit.finetune_epochs, is_last=True)
        super().__init__(context, "finetune", schedule, fit.finetune_rate, fit.prune)
