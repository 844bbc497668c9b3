"""nervcodec.training.trainer: a fit improves, repeats itself, keeps its mask, survives divergence
and tells how far it is.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nervcodec.coding.quantizer import step_from_code
from nervcodec.errors import FitError
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import tensors
from nervcodec.nn.planes import pack
from nervcodec.training import step as step_module
from nervcodec.training.config import FitConfig, OptimizerName
from nervcodec.training.context import ExactMeasures, Solution, TrainingContext
from nervcodec.training.optimizers import Optimizer
from nervcodec.training.pruning import magnitude_mask
from nervcodec.training.rate_control import SETTLING, SIZE_LOOKS
from nervcodec.training.soft_quantizer import SoftQuantizer, covering_steps
from nervcodec.training.stage import MAX_ROLLBACKS
from nervcodec.training.state import Progress, TrainingState
from nervcodec.training.step import OptimizerStep
from nervcodec.training.trainer import Trainer, all_stages, cycles
from nervcodec.video.frames import Frames

QUICK = FitConfig(epochs=4)
PINNED = FitConfig(
    epochs=60,
    batch_size=2,
    learning_rate=8e-3,
    betas=(0.9, 0.99),
    muon_rate=0.02,
    warmup=0.05,
    rate_weight=0.01,
    initial_step=0.02,
    round_from=0.7,
)  # so that tuned defaults move no figure here


def context_of(frames: Frames, model: ModelConfig, fit: FitConfig) -> TrainingContext:
    return TrainingContext.create(model, fit, torch.from_numpy(pack(frames, model)))


def trainer_of(context: TrainingContext) -> Trainer:
    """A trainer of the stages that make optimizer steps."""
    return Trainer(context, stages=cycles(context))


def fitted(context: TrainingContext) -> TrainingState:
    """The state after those stages."""
    trainer = trainer_of(context)
    for _ in trainer.run():
        pass
    return trainer.state


def reports(context: TrainingContext) -> list[Progress]:
    """What those stages tell."""
    return [progress for progress in trainer_of(context).run() if progress]


def psnr_db(context: TrainingContext, solution: Solution) -> float:
    """PSNR over all planes of what the fitted and rounded parameters give."""
    quantizer = SoftQuantizer(context.sizes, context.model.max_symbol, solution.log_steps)
    with torch.no_grad():
        values, _ = quantizer.rounded(solution.parameters)
        planes = context.network(context.network.split(values), torch.arange(context.n_frames))
    return -10 * math.log10(float((planes.clamp(0, 1) - context.target / 255).square().mean()))


# --- what a fit reaches ---


@pytest.mark.parametrize(
    ("gain_db", "fit"),
    [
        (3.5, PINNED),
        (3.5, replace(PINNED, optimizer="adam")),
        (6, replace(PINNED, rate_weight=0)),
        (6, replace(PINNED, loss="l1+ssim", rate_weight=0)),
    ],
    ids=["default", "adam", "no rate", "l1+ssim"],
)
def test_a_fit_improves(
    clip: Frames, grid_model: ModelConfig, gain_db: float, fit: FitConfig
) -> None:
    """60 epochs bring the rounded network so many dB nearer to the frames than its start."""
    context = context_of(clip, grid_model, fit)
    before = psnr_db(context, TrainingState.start(context).solution())
    assert psnr_db(context, fitted(context).solution()) > before + gain_db


def test_bfloat16_lands_near_float32(clip: Frames, grid_model: ModelConfig) -> None:
    """Fitting in bfloat16 takes the same way and ends within a dB of float32, in other
    parameters.
    """
    reached, parameters = [], []
    for precision in ("float32", "bfloat16"):
        context = context_of(clip, grid_model, replace(PINNED, precision=precision))
        solution = fitted(context).solution()
        assert solution.parameters.dtype == torch.float32
        reached.append(psnr_db(context, solution))
        parameters.append(solution.parameters)
    assert abs(reached[0] - reached[1]) < 1
    assert not torch.equal(*parameters)


def test_rate_weight_lowers_the_rate(clip: Frames, grid_model: ModelConfig) -> None:
    """A higher price of bits gives fewer of them."""
    bits = []
    for rate_weight in (1e-3, 0.1):
        context = context_of(clip, grid_model, replace(PINNED, rate_weight=rate_weight))
        solution = fitted(context).solution()
        quantizer = SoftQuantizer(context.sizes, 127, solution.log_steps)
        bits.append(float(quantizer.rate_bits(quantizer.rounded(solution.parameters)[1])))
    assert bits[1] < 0.8 * bits[0]


@pytest.mark.parametrize("fit", [QUICK, replace(QUICK, optimizer="adam", rate_weight=0)])
def test_the_same_seed_repeats_a_fit(clip: Frames, grid_model: ModelConfig, fit: FitConfig) -> None:
    """The same seed gives the same parameters and steps, bit for bit."""
    first, second = (fitted(context_of(clip, grid_model, fit)) for _ in range(2))
    assert torch.equal(first.parameters, second.parameters)
    assert torch.equal(first.log_steps, second.log_steps)


def test_another_seed_gives_another_fit(clip: Frames, grid_model: ModelConfig) -> None:
    """The seed changes the parameters."""
    first, second = (
        fitted(context_of(clip, grid_model, replace(QUICK, seed=seed))).parameters
        for seed in (0, 1)
    )
    assert not torch.equal(first, second)


# --- steps ---


def test_without_rate_the_steps_cover(clip: Frames, grid_model: ModelConfig) -> None:
    """Fitted without regard to rate, steps are those that cover the tensors where rounding
    begins.
    """
    fit = FitConfig(epochs=10, rate_weight=0, round_from=0.999)
    context = context_of(clip, grid_model, fit)
    seen: list[Tensor] = []

    def spy(values: Tensor, *arguments: Any) -> list[int]:
        seen.append(values.detach().clone())
        return covering_steps(values, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_module, "covering_steps", spy)
        state = fitted(context)
    codes = covering_steps(seen[0], context.sizes, 127, len(context.keys))
    torch.testing.assert_close(
        state.log_steps.exp(), torch.tensor([step_from_code(code) for code in codes])
    )


@pytest.mark.parametrize(("epochs", "round_from"), [(1, 0.9), (4, 0.9), (4, 1.0)])
def test_steps_cover_after_any_number_of_steps(
    clip: Frames, grid_model: ModelConfig, epochs: int, round_from: float
) -> None:
    """Also where rounding would begin after the last step, no parameter is clipped or coded with
    the initial step.
    """
    fit = FitConfig(
        epochs=epochs, batch_size=4, rate_weight=0, round_from=round_from, initial_step=1e-6
    )
    context = context_of(clip, grid_model, fit)
    solution = fitted(context).solution()
    peaks = torch.stack(
        [
            part.abs().max()
            for part in torch.tensor_split(
                solution.parameters, torch.tensor(context.sizes).cumsum(0)[:-1]
            )
        ]
    )
    assert bool((solution.log_steps.exp() * 127 > 0.9 * peaks).all())


def test_steps_are_learned(clip: Frames, grid_model: ModelConfig) -> None:
    """With a rate weight every group's step moves away from where it started."""
    steps = fitted(context_of(clip, grid_model, QUICK)).log_steps.detach()
    assert float((steps - math.log(QUICK.initial_step)).abs().min()) > 1e-3


# --- pruning ---


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("rate_weight", [0.0, 0.01])
def test_pruned_weights_stay_zero(
    clip: Frames,
    grid_model: ModelConfig,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: OptimizerName,
    rate_weight: float,
) -> None:
    """Pruned weights are exactly 0 in every step of fine-tuning and after it, while the others
    move.
    """
    fit = FitConfig(
        epochs=3, finetune_epochs=3, prune=0.4, optimizer=optimizer, rate_weight=rate_weight
    )
    context = context_of(clip, grid_model, fit)
    trainer, seen, original = trainer_of(context), list[Tensor](), context.network.split

    def spy(flat: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        seen.append(flat)
        return original(flat, dtype)

    steps = trainer.run()
    for _ in itertools.islice(steps, 6):
        pass
    first = trainer.state.solution().parameters.clone()
    mask = magnitude_mask(first, tensors(grid_model, (4,)), 0.4)
    monkeypatch.setattr(context.network, "split", spy)
    for _ in steps:
        pass
    second = trainer.state.solution().parameters
    assert len(seen) == 6
    assert not any(values[mask == 0].any() for values in (*seen, second))
    assert float((second != first)[mask == 1].float().mean()) > 0.9


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_fine_tuning_has_its_own_rate(
    clip: Frames, grid_model: ModelConfig, optimizer: OptimizerName
) -> None:
    """finetune_rate scales the second stage's steps: 0 leaves everything where the first stage left
    it.
    """
    fit = FitConfig(epochs=1, finetune_epochs=2, finetune_rate=0, optimizer=optimizer)
    trainer = trainer_of(context_of(clip, grid_model, fit))
    steps = trainer.run()
    for _ in itertools.islice(steps, 2):
        pass
    first = trainer.state.snapshot()
    assert len(list(steps)) == 4
    second = trainer.state.snapshot()
    assert all(torch.equal(first[name], second[name]) for name in ("parameters", "log_steps"))


# --- looks at the size ---


@pytest.mark.parametrize(("round_from", "first"), [(0.7, 28), (0.71, 28), (0.74, 30)])
def test_the_size_is_looked_at_as_soon_as_weights_are_rounded(
    clip: Frames, grid_model: ModelConfig, round_from: float, first: int
) -> None:
    """The estimate is corrected after the first two epochs that end with rounded weights, besides
    the regular looks.
    """
    looks: list[int] = []

    def bits(_: Solution) -> float:
        looks.append(trainer.state.n_steps_done // context.steps_per_epoch)
        return 0.5 * context.n_pixels

    fit = replace(PINNED, epochs=40, target_bpp=0.5, round_from=round_from)
    measures = ExactMeasures(bits, lambda _: 30.0)
    target = torch.from_numpy(pack(clip, grid_model))
    context = TrainingContext.create(grid_model, fit, target, measures)
    trainer = trainer_of(context)
    for _ in trainer.run():
        pass
    regular = {math.ceil(40 * look) for look in SIZE_LOOKS}
    assert looks == [*sorted(regular | {first + 1, first + 2}), 40]


# --- settling ---


@pytest.mark.parametrize(
    ("miss", "n_cycles", "rate", "rdoq_share"),
    [
        (0.0, 0, 0, 0.08),
        (0.015, 0, 0, 0.08),
        (0.06, SETTLING.n_cycles, 0.03, 0.08),
        (-0.1, SETTLING.n_cycles, 0.1, 0.08),
        (0.045, SETTLING.n_cycles // 2, 0.03, 0.08),
        (-0.025, SETTLING.n_cycles // 2, 0.03, 0.08),
        (0.045, SETTLING.n_cycles, 0.03, 0),
    ],
)
def test_a_fit_beside_its_size_goes_on(
    clip: Frames,
    grid_model: ModelConfig,
    miss: float,
    n_cycles: int,
    rate: float,
    rdoq_share: float,
) -> None:
    """After a fit of 40 epochs cycles of 2 follow at a low rate, or a higher one if it is too small
    for its steps.

    Half of them, where RDOQ can mend what is left.
    """
    fit = replace(PINNED, epochs=40, target_bpp=0.5, rdoq_share=rdoq_share)
    rates: list[float] = []
    measures = ExactMeasures(lambda _: math.exp(miss) * 0.5 * context.n_pixels, lambda _: 30.0)
    target = torch.from_numpy(pack(clip, grid_model))
    context = TrainingContext.create(grid_model, fit, target, measures)
    original = Optimizer.step

    def step(optimizer: Optimizer, factor: torch.Tensor | float) -> None:
        rates.append(float(factor))
        original(optimizer, factor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimizer, "step", step)
        seen = reports(context)
    n_steps = context.steps_per_epoch
    assert len(rates) == (40 + 2 * n_cycles) * n_steps
    for cycle in range(n_cycles):
        own = rates[(40 + 2 * cycle) * n_steps : (42 + 2 * cycle) * n_steps]
        assert own[0] == pytest.approx(rate) and own == sorted(own, reverse=True) and own[-1] > 0
    settling = [progress for progress in seen if progress.stage == "settle"]
    assert bool(settling) == bool(n_cycles)
    assert all(
        0 <= progress.epoch <= progress.n_epochs == 2 * SETTLING.n_cycles for progress in settling
    )


def test_a_fit_that_settles_stops(clip: Frames, grid_model: ModelConfig) -> None:
    """Settling lowers the price where bits are missing, raises it where there are too many, and
    ends at the target.
    """
    errors = iter([-0.1, 0.1, 0.01])
    prices: list[float] = []

    def bits(_: Solution) -> float:
        if not is_settling:
            return 0.5 * context.n_pixels
        prices.append(trainer.state.rate_weight)
        return math.exp(next(errors)) * 0.5 * context.n_pixels

    fit = replace(PINNED, epochs=40, target_bpp=0.5)
    target = torch.from_numpy(pack(clip, grid_model))
    measures = ExactMeasures(bits, lambda _: 30.0)
    context = TrainingContext.create(grid_model, fit, target, measures)
    trainer = trainer_of(context)
    steps, is_settling = trainer.run(), False
    for _ in itertools.islice(steps, 40 * context.steps_per_epoch):
        pass
    is_settling = True
    for _ in steps:
        pass
    assert (
        len(prices) == 3
        and prices[1] < prices[0] < prices[1] * 4
        and prices[2] == pytest.approx(prices[0])
    )


# --- divergence ---


def patch_distortion(
    patch: pytest.MonkeyPatch, is_bad: Callable[[int], bool], bad: float = math.nan
) -> list[int]:
    """Makes the n-th distortion bad wherever is_bad(n); returns a list that grows with every one
    computed.
    """
    original = OptimizerStep.distortion
    calls: list[int] = []

    def distortion(step: OptimizerStep, *tensors: Tensor) -> Tensor:
        calls.append(len(calls))
        return original(step, *tensors) * (bad if is_bad(calls[-1]) else 1)

    patch.setattr(OptimizerStep, "distortion", distortion)
    return calls


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e6])
@pytest.mark.parametrize("step", [2, 3, 5])
def test_one_divergence_is_rolled_back(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch, step: int, bad: float
) -> None:
    """A single bad loss costs one epoch and one rollback, and the fit ends with finite
    parameters.
    """
    calls = patch_distortion(monkeypatch, lambda n: n == step, bad)
    state = fitted(context_of(clip, grid_model, QUICK))
    assert state.n_rollbacks == 1
    assert len(calls) == (QUICK.epochs + 1) * 2
    assert bool(state.parameters.isfinite().all()) and bool(state.log_steps.isfinite().all())


@pytest.mark.parametrize(
    ("bad", "batch_size"), [(math.nan, 2), (math.inf, 2), (math.nan, 4), (math.inf, 4)]
)
def test_a_divergence_in_the_first_epoch_is_rolled_back(
    clip: Frames,
    grid_model: ModelConfig,
    bad: float,
    batch_size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bad loss before there is a best one is a divergence too."""
    patch_distortion(monkeypatch, lambda n: n == 0, bad)
    fit = replace(QUICK, batch_size=batch_size)
    assert fitted(context_of(clip, grid_model, fit)).n_rollbacks == 1


def test_a_rollback_halves_the_rate(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a fit that never works names the last rate, halved at every rollback."""
    patch_distortion(monkeypatch, lambda n: True)
    with pytest.raises(
        FitError, match=f"at a learning rate of {QUICK.learning_rate / 8:g}; try a lower one"
    ):
        fitted(context_of(clip, grid_model, QUICK))


def test_steady_divergence_gives_up(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit that diverges always is given up after three rollbacks, that is, in its fourth
    attempt.
    """
    calls = patch_distortion(monkeypatch, lambda n: n >= 2)
    with pytest.raises(FitError, match="diverged 4 times, last in epoch 2 of 4"):
        fitted(context_of(clip, grid_model, QUICK))
    assert len(calls) == 2 * (1 + MAX_ROLLBACKS + 1)


# --- progress ---


def test_progress_is_reported(clip: Frames, grid_model: ModelConfig) -> None:
    """Each stage reports every epoch, ascending, with its PSNR; time left ends at 0."""
    seen = reports(context_of(clip, grid_model, FitConfig(epochs=5, finetune_epochs=3)))
    for stage, n_epochs in (("fit", 5), ("finetune", 3)):
        own = [report for report in seen if report.stage == stage]
        assert [report.epoch for report in own] == sorted(report.epoch for report in own)
        assert {report.epoch for report in own} >= set(range(1, n_epochs + 1))
        assert own[-1].psnr_db is not None and 0 < own[-1].psnr_db < 60
    assert seen[-1].eta_s == 0 < seen[0].eta_s
    assert min(report.frames_fps for report in seen) > 0


def test_long_epochs_report_their_steps(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where steps take a second each, every one is reported, with the epochs done so far and the
    time left.
    """
    monkeypatch.setattr(step_module, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    seen = reports(context_of(clip, grid_model, FitConfig(epochs=2, batch_size=1)))
    assert [report.epoch for report in seen] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert [report.eta_s > 0 for report in seen] == [True] * 7 + [False]


def test_a_fit_yields_once_a_step(clip: Frames, grid_model: ModelConfig) -> None:
    """A caller that takes n items has made n steps."""
    context = context_of(clip, grid_model, FitConfig(epochs=3, finetune_epochs=2))
    trainer = trainer_of(context)
    n_done = [trainer.state.n_steps_done for _ in trainer.run()]
    assert n_done == list(range(1, 5 * context.steps_per_epoch + 1))


def test_a_pause_leaves_no_mode_switched_on(clip: Frames, grid_model: ModelConfig) -> None:
    """Between two steps the caller's own torch settings hold."""
    next(trainer_of(context_of(clip, grid_model, QUICK)).run())
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_stages_are_peers(clip: Frames, grid_model: ModelConfig) -> None:
    """Which stages a fit has follows from its configuration."""
    target = torch.from_numpy(pack(clip, grid_model))
    measures = ExactMeasures(lambda _: 1.0, lambda _: 30.0)

    def names(fit: FitConfig) -> list[str]:
        context = TrainingContext.create(grid_model, fit, target, measures)
        return [stage.name for stage in all_stages(context)]

    assert names(FitConfig(rate_weight=0)) == ["fit"]
    assert names(FitConfig(finetune_epochs=2, prune=0.2)) == ["fit", "finetune"]
    assert names(FitConfig(target_bpp=1.0)) == ["fit", "settle", "rdoq", "rounding"]
    assert names(FitConfig(target_psnr=30, round_from=1.0)) == ["fit", "rdoq", "rounding"]
