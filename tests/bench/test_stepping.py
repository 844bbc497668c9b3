"""nervcodec.bench.stepping: a fit in rounds is the fit at once, and only the steps after the
warm-up are timed.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from nervcodec.bench.stepping import (
    RECIPES,
    REFERENCE,
    OurFit,
    Stopwatch,
    recipe_fit,
    seconds_per_step,
    settled_seconds,
    synthetic_target,
)
from nervcodec.encoder.presets import PRESETS
from nervcodec.errors import ConfigError
from nervcodec.format.model_config import ModelConfig
from nervcodec.nn.planes import pack
from nervcodec.training.config import FitConfig
from nervcodec.training.context import TrainingContext
from nervcodec.training.trainer import Trainer, cycles
from nervcodec.video.frames import Frames


class Counted:
    """A training that only counts its steps, by the calls to run."""

    def __init__(self) -> None:
        self.rounds: list[int] = []

    def run(self, n_steps: int, on_step: Callable[[], object]) -> None:
        self.rounds.append(n_steps)
        for _ in range(n_steps):
            on_step()

    def parameters(self) -> torch.Tensor:
        return torch.empty(0)


@pytest.mark.parametrize(
    "fit",
    [FitConfig(epochs=4), FitConfig(epochs=4, optimizer="adam", rate_weight=0)],
    ids=["default", "adam"],
)
def test_rounds_are_the_fit_itself(clip: Frames, grid_model: ModelConfig, fit: FitConfig) -> None:
    """Stopped and taken up twice, amid an epoch and at its end, the fit gives bit for bit what it
    gives at once.
    """
    target = torch.from_numpy(pack(clip, grid_model))
    context = TrainingContext.create(grid_model, fit, target)
    whole, parts = Trainer(context, stages=cycles(context)), OurFit(grid_model, fit, target)
    done: list[None] = []
    for n_steps in (3, 1, 4):
        parts.run(n_steps, lambda: done.append(None))
    assert len(done) == 8 == len(list(whole.run()))
    assert torch.equal(parts.parameters(), whole.state.parameters)


def test_warm_up_is_not_timed() -> None:
    """The clock is read after the last step of the warm-up and after the last of all; a step takes
    their difference.
    """
    now = [0.0]
    watch = Stopwatch(2, 4, "cpu", clock=lambda: now[0])
    for seconds in (100, 10, 1, 2, 3, 4):
        now[0] += seconds
        watch.step()
    assert watch.seconds == 10 / 4


def test_a_round_has_warm_up_and_timed_steps() -> None:
    """All of them are made in one go."""
    steps = Counted()
    assert seconds_per_step(steps, 2, 5, "cpu") >= 0
    assert steps.rounds == [7]


def test_steps_without_length_are_timed_a_hundred_times() -> None:
    """A hundred steps are the most that are timed, however short they are."""
    steps = Counted()
    settled_seconds(steps, "cpu")
    assert steps.rounds == [3, 102]


def test_steps_past_the_budget_are_timed_thrice() -> None:
    """Three steps are the least that are timed, however long they are."""
    steps = Counted()
    settled_seconds(steps, "cpu", budget_s=0)
    assert steps.rounds == [3, 5]


def test_noise_has_the_shape_of_frames(grid_model: ModelConfig) -> None:
    """uint8 planes of every value, the same each time."""
    target = synthetic_target(grid_model, 40)
    assert target.shape == (40, 6, 6, 8) and target.dtype == torch.uint8
    assert len(set(target.flatten().tolist())) == 256
    assert torch.equal(target, synthetic_target(grid_model, 40))


# --- recipes ---

PAPER, OURS = PRESETS["paper-xs"].fit, PRESETS["medium"].fit


def test_the_same_recipe_differs_in_precision_alone() -> None:
    """What the reference does and what 'same-recipe' does are equal but for the arithmetic."""
    for fit in (PAPER, OURS):
        reference, same = (recipe_fit(name, fit, "bfloat16") for name in (REFERENCE, "same-recipe"))
        assert (reference.precision, same.precision) == ("float32", "bfloat16")
        assert replace(reference, precision="bfloat16") == same
        assert (same.loss, same.optimizer, same.rate_weight) == ("l1+ssim", "adam", 0)


def test_the_reference_has_the_presets_rates() -> None:
    """Learning rate, betas, warm-up, clipping, batch and seed of the reference are the preset's."""
    for fit in (PAPER, OURS):
        found = recipe_fit(REFERENCE, fit, "float32")
        for name in (
            "learning_rate",
            "betas",
            "warmup",
            "max_gradient",
            "batch_size",
            "seed",
            "epochs",
        ):
            assert getattr(found, name) == getattr(fit, name)


def test_ours_is_the_default_recipe_without_rate() -> None:
    """'ours' is FitConfig's defaults but for rate, rounding, and the preset's batch and epochs."""
    for fit in (PAPER, OURS):
        assert recipe_fit("ours", fit, "bfloat16") == FitConfig(
            rate_weight=0,
            round_from=1.0,
            precision="bfloat16",
            batch_size=fit.batch_size,
            epochs=fit.epochs,
        )


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_rounds_or_prunes(name: str) -> None:
    """Every recipe is one stage with exact weights."""
    for fit in (PAPER, OURS):
        found = recipe_fit(name, fit, "float32")
        assert (found.finetune_epochs, found.prune, found.round_from, found.has_target) == (
            0,
            0,
            1.0,
            False,
        )


def test_an_unknown_recipe_is_an_error() -> None:
    """The error names the recipes that can stand beside the reference."""
    with pytest.raises(
        ConfigError, match="variant is 'fast'; legal: same-recipe, mse, ours, ours-ssim, preset"
    ):
        recipe_fit("fast", PAPER, "float32")
