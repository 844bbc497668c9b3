"""How many epochs of a plan fit into a time, by timing some of its steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

from nervcodec.encoder.fit_plan import FitPlan, source_frames
from nervcodec.errors import ConfigError
from nervcodec.training.config import MAX_EPOCHS

_TIME_RESERVE = 0.9  # of a time budget, since speed varies
AnyPlan = TypeVar("AnyPlan", bound=FitPlan)


def with_epochs(plan: AnyPlan, n_epochs: int, n_finetune: int) -> AnyPlan:
    """Return the plan with other numbers of epochs."""
    return replace(plan, fit=replace(plan.fit, epochs=n_epochs, finetune_epochs=n_finetune))


def with_time_budget(plan: AnyPlan, seconds: float, seconds_per_epoch: float) -> AnyPlan:
    """Return the plan with as many epochs, in their proportion, as fit into so many seconds.

    Raises:
        ConfigError: not even one does.
    """
    n_finetune = plan.fit.finetune_epochs
    n_passes = int(min(_TIME_RESERVE * seconds / seconds_per_epoch, MAX_EPOCHS))
    n_epochs = n_passes - with_epochs(plan, max(n_passes, 1), n_finetune).fit.n_rdoq_passes
    n_second = n_epochs * n_finetune // plan.fit.total_epochs
    if n_finetune:
        n_second = max(n_second, 1)
    if n_epochs <= n_second:
        least = math.ceil((n_second + 1) * seconds_per_epoch / _TIME_RESERVE)
        raise ConfigError(
            f"time budget is {seconds:g} s; legal: at least {least} s, for an epoch of each stage"
            " here"
        )
    return with_epochs(plan, n_epochs - n_second, n_second)


def seconds_per_epoch(plan: FitPlan, device: str) -> float:
    """Return the seconds that an epoch over all segments takes, by timing some steps of the first
    one.
    """
    from nervcodec.encoder.cost import seconds_per_step

    frames = next(source_frames(plan, plan.lengths[:1]))
    n_steps = sum(-(-length // plan.fit.batch_size) for length in plan.lengths)
    return n_steps * seconds_per_step(frames, plan.model, plan.fit, device)
