"""Training some steps at a time, and what they take: what speed.py and roofline.py time.

Our own fit is the trainer of an encode, so that what is timed is the product's step and nothing
written for the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from nervcodec.errors import ConfigError
from nervcodec.format.model_config import ModelConfig
from nervcodec.nn.arithmetic import Arithmetic
from nervcodec.training.config import FitConfig, Loss
from nervcodec.training.context import TrainingContext
from nervcodec.training.stage import Main
from nervcodec.training.trainer import Trainer

REFERENCE = "reference"
WARMUP_STEPS = 2  # before what is timed: on a GPU the second one is recorded (cuda_graphs.py)


class Steps(Protocol):
    """A training that goes some steps at a time."""

    def run(self, n_steps: int, on_step: Callable[[], object]) -> None:
        """Make the next steps and call on_step after each."""

    def parameters(self) -> Tensor:
        """Return the parameters so far, float32 [n_parameters] on the CPU."""


class OurFit:
    """The first cycle of our own fit, some steps at a time.

    Args:
        model, fit: the configurations.
        target: uint8 [n_frames, n_planes, plane_height, plane_width] on the device to fit on.
    Raises (run):
        FitError: the fit kept diverging.
    """

    def __init__(self, model: ModelConfig, fit: FitConfig, target: Tensor) -> None:
        context = TrainingContext.create(model, fit, target)
        trainer = Trainer(context, stages=[Main(context)])
        self._state = trainer.state
        self._steps = trainer.run()

    def run(self, n_steps: int, on_step: Callable[[], object]) -> None:
        """Make the next steps, at most those that are left, and call on_step after each."""
        for _ in islice(self._steps, n_steps):
            on_step()

    def parameters(self) -> Tensor:
        """Return the parameters so far, not quantized, float32 [n_parameters] on the CPU."""
        return self._state.parameters.detach().to("cpu", copy=True)


class Stopwatch:
    """The seconds of a step over all steps but the first ones.

    On a GPU it waits for their end twice, not at each.
    """

    def __init__(
        self,
        n_warmup: int,
        n_timed: int,
        device: str,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._reads_at = (n_warmup, n_warmup + n_timed)
        self._n_timed = n_timed
        self._device = device
        self._clock = clock
        self._n_done = 0
        self._readings: list[float] = []

    def step(self) -> None:
        """Count a step; called after each."""
        self._n_done += 1
        if self._n_done in self._reads_at:
            if self._device.startswith("cuda"):
                torch.cuda.synchronize(self._device)
            self._readings.append(self._clock())

    @property
    def seconds(self) -> float:
        """Of one timed step, in the mean."""
        start, end = self._readings
        return (end - start) / self._n_timed


def seconds_per_step(steps: Steps, n_warmup: int, n_timed: int, device: str) -> float:
    """Make n_warmup (1 or more) + n_timed steps; return the mean seconds of the latter."""
    watch = Stopwatch(n_warmup, n_timed, device)
    steps.run(n_warmup + n_timed, watch.step)
    return watch.seconds


def settled_seconds(steps: Steps, device: str, budget_s: float = 10.0) -> float:
    """Return the seconds of a step by as many (3 to 100) as take about budget_s.

    Five that come before are left out.
    """
    first = seconds_per_step(steps, WARMUP_STEPS, 1, device)
    return seconds_per_step(
        steps, WARMUP_STEPS, max(3, min(100, int(budget_s / max(first, 1e-6)))), device
    )


def synthetic_target(model: ModelConfig, n_frames: int, device: str = "cpu") -> Tensor:
    """Return noise to time a fit on: a step takes as long with any frames.

    Its type and shape are uint8 [n_frames, n_planes, plane_height, plane_width].
    """
    shape = (n_frames, model.n_planes, model.plane_height, model.plane_width)
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=random, dtype=torch.uint8).to(device)


# --- recipes ---


@dataclass(frozen=True)
class Recipe:
    """How a contestant trains: a summary for people, and its FitConfig from the preset's."""

    summary: str
    fit: Callable[[FitConfig], FitConfig]


def _one_stage(fit: FitConfig) -> FitConfig:
    """Return the fit as one cycle of its epochs, without targets, pruning and rounding."""
    return replace(fit, finetune_epochs=0, prune=0, target_bpp=0, target_psnr=0, round_from=1.0)


def _with_adam(fit: FitConfig, loss: Loss) -> FitConfig:
    return replace(_one_stage(fit), loss=loss, optimizer="adam", rate_weight=0)


def _ours(fit: FitConfig, loss: Loss) -> FitConfig:
    return replace(
        _one_stage(FitConfig()),
        loss=loss,
        rate_weight=0,
        batch_size=fit.batch_size,
        epochs=fit.epochs,
        seed=fit.seed,
    )


RECIPES: Mapping[str, Recipe] = {
    REFERENCE: Recipe(
        "reference.py: torch.nn modules, contiguous maps, Adam as torch has it; the preset's rates",
        lambda fit: _with_adam(fit, "l1+ssim"),
    ),
    "same-recipe": Recipe(
        "our arithmetic; the reference's loss, optimizer and rates",
        lambda fit: _with_adam(fit, "l1+ssim"),
    ),
    "mse": Recipe(
        "our arithmetic and loss; the reference's optimizer and rates",
        lambda fit: _with_adam(fit, "mse"),
    ),
    "ours": Recipe(
        "our arithmetic, loss, optimizer and rates, without a rate term",
        lambda fit: _ours(fit, "mse"),
    ),
    "ours-ssim": Recipe(
        "our arithmetic, optimizer and rates; the reference's loss",
        lambda fit: _ours(fit, "l1+ssim"),
    ),
    "preset": Recipe(
        "what the preset does until it rounds, with its rate term if it has one", _one_stage
    ),
}


def recipe_fit(name: str, fit: FitConfig, precision: Arithmetic) -> FitConfig:
    """Return the FitConfig of a recipe from a preset's.

    Args:
        precision: of all but the reference, which is float32.
    Raises:
        ConfigError: no such recipe.
    """
    if name not in RECIPES:
        raise ConfigError(f"variant is {name!r}; legal: {', '.join(list(RECIPES)[1:])}")
    return replace(RECIPES[name].fit(fit), precision="float32" if name == REFERENCE else precision)
