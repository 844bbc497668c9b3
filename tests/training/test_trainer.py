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
from nervcodec.training import stage as stage_module
from nervcodec.training.config import FitConfig
from nervcodec.training.optimizers import Optimizer
from nervcodec.training.pruning import magnitude_mask
from nervcodec.training.rate_control import SETTLING_CYCLES, SIZE_LOOKS
from nervcodec.training.soft_quantizer import SoftQuantizer, covering_steps
from nervcodec.training.state import Fitted, Gauges, Progress, silent
from nervcodec.training.trainer import Fitter
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


def fitter_of(
    frames: Frames,
    model: ModelConfig,
    fit: FitConfig,
    on_progress: Callable[[Progress], None] = silent,
) -> Fitter:
    return Fitter(model, fit, torch.from_numpy(pack(frames, model)), on_progress)


def fitted_to(frames: Frames, model: ModelConfig, fit: FitConfig) -> Fitted:
    fitter = fitter_of(frames, model, fit)
    return fitter.overfit(fitter.start())


def psnr_db(fitter: Fitter, fitted: Fitted) -> float:
    """PSNR over all planes of what the fitted and rounded parameters give."""
    quantizer = SoftQuantizer(fitter.sizes, fitter.model.max_symbol, fitted.log_steps)
    with torch.no_grad():
        values, _ = quantizer.rounded(fitted.parameters)
        planes = fitter.network(fitter.network.split(values), torch.arange(fitter.n_frames))
    return -10 * math.log10(float((planes.clamp(0, 1) - fitter.target / 255).square().mean()))


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
    fitter = fitter_of(clip, grid_model, fit)
    start = fitter.start()
    before = psnr_db(fitter, start)
    assert psnr_db(fitter, fitter.overfit(start)) > before + gain_db


def test_bfloat16_lands_near_float32(clip: Frames, grid_model: ModelConfig) -> None:
    """Fitting in bfloat16 takes the same way and ends within a dB of float32, in other
    parameters.
    """
    reached, parameters = [], []
    for precision in ("float32", "bfloat16"):
        fitter = fitter_of(clip, grid_model, replace(PINNED, precision=precision))
        fitted = fitter.overfit(fitter.start())
        assert fitted.parameters.dtype == torch.float32
        reached.append(psnr_db(fitter, fitted))
        parameters.append(fitted.parameters)
    assert abs(reached[0] - reached[1]) < 1
    assert not torch.equal(*parameters)


def test_rate_weight_lowers_the_rate(clip: Frames, grid_model: ModelConfig) -> None:
    """A higher price of bits gives fewer of them."""
    bits = []
    for rate_weight in (1e-3, 0.1):
        fitter = fitter_of(clip, grid_model, replace(PINNED, rate_weight=rate_weight))
        fitted = fitter.overfit(fitter.start())
        quantizer = SoftQuantizer(fitter.sizes, 127, fitted.log_steps)
        bits.append(float(quantizer.rate_bits(quantizer.rounded(fitted.parameters)[1])))
    assert bits[1] < 0.8 * bits[0]


@pytest.mark.parametrize("fit", [QUICK, replace(QUICK, optimizer="adam", rate_weight=0)])
def test_the_same_seed_repeats_a_fit(clip: Frames, grid_model: ModelConfig, fit: FitConfig) -> None:
    """The same seed gives the same parameters and steps, bit for bit."""
    first, second = (fitted_to(clip, grid_model, fit) for _ in range(2))
    assert torch.equal(first.parameters, second.parameters)
    assert torch.equal(first.log_steps, second.log_steps)


def test_another_seed_gives_another_fit(clip: Frames, grid_model: ModelConfig) -> None:
    """The seed changes the parameters."""
    first, second = (
        fitted_to(clip, grid_model, replace(QUICK, seed=seed)).parameters for seed in (0, 1)
    )
    assert not torch.equal(first, second)


# --- steps ---


def test_without_rate_the_steps_cover(clip: Frames, grid_model: ModelConfig) -> None:
    """Fitted without regard to rate, steps are those that cover the tensors where rounding
    begins.
    """
    fitter = fitter_of(clip, grid_model, FitConfig(epochs=10, rate_weight=0, round_from=0.999))
    start = fitter.start()
    seen: list[Tensor] = []

    def spy(values: Tensor, *arguments: Any) -> list[int]:
        seen.append(values.detach().clone())
        return covering_steps(values, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_module, "covering_steps", spy)
        fitted = fitter.overfit(start)
    codes = covering_steps(seen[0], fitter.sizes, 127, len(fitter.keys))
    torch.testing.assert_close(
        fitted.log_steps.exp(), torch.tensor([step_from_code(code) for code in codes])
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
    fitter = fitter_of(clip, grid_model, fit)
    fitted = fitter.overfit(fitter.start())
    peaks = torch.stack(
        [
            part.abs().max()
            for part in torch.tensor_split(
                fitted.parameters, torch.tensor(fitter.sizes).cumsum(0)[:-1]
            )
        ]
    )
    assert bool((fitted.log_steps.exp() * 127 > 0.9 * peaks).all())


def test_steps_are_learned(clip: Frames, grid_model: ModelConfig) -> None:
    """With a rate weight every group's step moves away from where it started."""
    steps = fitted_to(clip, grid_model, QUICK).log_steps
    assert float((steps - math.log(QUICK.initial_step)).abs().min()) > 1e-3


# --- pruning ---


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("rate_weight", [0.0, 0.01])
def test_pruned_weights_stay_zero(
    clip: Frames,
    grid_model: ModelConfig,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    rate_weight: float,
) -> None:
    """Pruned weights are exactly 0 in every step of fine-tuning and after it, while the others
    move.
    """
    fit = FitConfig(
        epochs=3, finetune_epochs=3, prune=0.4, optimizer=optimizer, rate_weight=rate_weight
    )
    fitter = fitter_of(clip, grid_model, fit)
    first = fitter.overfit(fitter.start())
    mask = magnitude_mask(first.parameters, tensors(grid_model, (4,)), 0.4)
    seen: list[Tensor] = []
    original = fitter.network.split

    def spy(flat: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        seen.append(flat)
        return original(flat, dtype)

    monkeypatch.setattr(fitter.network, "split", spy)
    second = fitter.overfit(first, mask)
    assert len(seen) == 6
    assert not any(values[mask == 0].any() for values in (*seen, second.parameters))
    assert float((second.parameters != first.parameters)[mask == 1].float().mean()) > 0.9


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_fine_tuning_has_its_own_rate(
    clip: Frames, grid_model: ModelConfig, optimizer: str
) -> None:
    """finetune_rate scales the second stage's steps: 0 leaves everything where the first stage left
    it.
    """
    fitter = fitter_of(
        clip,
        grid_model,
        FitConfig(epochs=1, finetune_epochs=2, finetune_rate=0, optimizer=optimizer),
    )
    first = fitter.overfit(fitter.start())
    second = fitter.overfit(first)
    assert torch.equal(second.parameters, first.parameters) and torch.equal(
        second.log_steps, first.log_steps
    )


# --- looks at the size ---


@pytest.mark.parametrize(("round_from", "first"), [(0.7, 28), (0.71, 28), (0.74, 30)])
def test_the_size_is_looked_at_as_soon_as_weights_are_rounded(
    clip: Frames, grid_model: ModelConfig, round_from: float, first: int
) -> None:
    """The estimate is corrected after the first two epochs that end with rounded weights, besides
    the regular looks.
    """
    looks: list[int] = []

    def bits(_: Fitted) -> float:
        looks.append(fitter.n_steps_done // -(-fitter.n_frames // 2))
        return 0.5 * fitter.n_pixels

    fit = replace(PINNED, epochs=40, target_bpp=0.5, round_from=round_from)
    fitter = Fitter(
        grid_model,
        fit,
        torch.from_numpy(pack(clip, grid_model)),
        gauges=Gauges(bits, lambda _: 30.0),
    )
    fitter.overfit(fitter.start())
    at_the_end, regular = 40, {math.ceil(40 * look) - 1 for look in SIZE_LOOKS}
    assert looks == sorted(regular | {first, first + 1, at_the_end})


# --- settling ---


@pytest.mark.parametrize(
    ("miss", "n_cycles", "rate", "refinement"),
    [
        (0.0, 0, 0, 0.08),
        (0.015, 0, 0, 0.08),
        (0.06, SETTLING_CYCLES, 0.03, 0.08),
        (-0.1, SETTLING_CYCLES, 0.1, 0.08),
        (0.045, SETTLING_CYCLES // 2, 0.03, 0.08),
        (-0.025, SETTLING_CYCLES // 2, 0.03, 0.08),
        (0.045, SETTLING_CYCLES, 0.03, 0),
    ],
)
def test_a_fit_beside_its_size_goes_on(
    clip: Frames,
    grid_model: ModelConfig,
    miss: float,
    n_cycles: int,
    rate: float,
    refinement: float,
) -> None:
    """After a fit of 40 epochs cycles of 2 follow at a low rate, or a higher one if it is too small
    for its steps.

    Half of them, where refinement can mend what is left.
    """
    fit = replace(PINNED, epochs=40, target_bpp=0.5, refinement=refinement)
    seen: list[Progress] = []
    rates: list[float] = []
    target = torch.from_numpy(pack(clip, grid_model))
    gauges = Gauges(lambda _: math.exp(miss) * 0.5 * fitter.n_pixels, lambda _: 30.0)
    fitter = Fitter(grid_model, fit, target, seen.append, gauges)
    original = Optimizer.step

    def step(optimizer: Optimizer, factor: torch.Tensor | float) -> None:
        rates.append(float(factor))
        original(optimizer, factor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimizer, "step", step)
        fitter.overfit(fitter.start())
    n_steps = -(-len(target) // 2)
    assert len(rates) == (40 + 2 * n_cycles) * n_steps
    for cycle in range(n_cycles):
        own = rates[(40 + 2 * cycle) * n_steps : (42 + 2 * cycle) * n_steps]
        assert own[0] == pytest.approx(rate) and own == sorted(own, reverse=True) and own[-1] > 0
    settling = [progress for progress in seen if progress.stage == "settle"]
    assert bool(settling) == bool(n_cycles)
    assert all(
        0 <= progress.epoch <= progress.n_epochs == 2 * SETTLING_CYCLES for progress in settling
    )


def test_a_fit_that_settles_stops(clip: Frames, grid_model: ModelConfig) -> None:
    """Settling lowers the price where bits are missing, raises it where there are too many, and
    ends at the target.
    """
    errors = iter([-0.1, 0.1, 0.01])
    prices: list[float] = []

    def bits(_: Fitted) -> float:
        if fitter.n_steps_done < 40 * -(-fitter.n_frames // 2):
            return 0.5 * fitter.n_pixels
        prices.append(fitter.rate_weight)
        return math.exp(next(errors)) * 0.5 * fitter.n_pixels

    fit = replace(PINNED, epochs=40, target_bpp=0.5)
    fitter = Fitter(
        grid_model,
        fit,
        torch.from_numpy(pack(clip, grid_model)),
        gauges=Gauges(bits, lambda _: 30.0),
    )
    fitter.overfit(fitter.start())
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
    original = stage_module.Stage._distortion
    calls: list[int] = []

    def distortion(stage: stage_module.Stage, *tensors: Tensor) -> Tensor:
        calls.append(len(calls))
        return original(stage, *tensors) * (bad if is_bad(calls[-1]) else 1)

    patch.setattr(stage_module.Stage, "_distortion", distortion)
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
    fitted = fitted_to(clip, grid_model, QUICK)
    assert fitted.n_rollbacks == 1
    assert len(calls) == (QUICK.epochs + 1) * 2
    assert bool(fitted.parameters.isfinite().all()) and bool(fitted.log_steps.isfinite().all())


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
    assert fitted_to(clip, grid_model, replace(QUICK, batch_size=batch_size)).n_rollbacks == 1


def test_a_rollback_halves_the_rate(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a fit that never works names the last rate, halved at every rollback."""
    patch_distortion(monkeypatch, lambda n: True)
    with pytest.raises(
        FitError, match=f"at a learning rate of {QUICK.learning_rate / 8:g}; try a lower one"
    ):
        fitted_to(clip, grid_model, QUICK)


def test_steady_divergence_gives_up(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit that diverges always is given up after three rollbacks, that is, in its fourth
    attempt.
    """
    calls = patch_distortion(monkeypatch, lambda n: n >= 2)
    with pytest.raises(FitError, match="diverged 4 times, last in epoch 2 of 4"):
        fitted_to(clip, grid_model, QUICK)
    assert len(calls) == 2 * (1 + stage_module.MAX_ROLLBACKS + 1)


# --- progress ---


def test_progress_is_reported(clip: Frames, grid_model: ModelConfig) -> None:
    """Each stage reports every epoch, ascending, with its PSNR; time left ends at 0."""
    reports: list[Progress] = []
    fitter = fitter_of(clip, grid_model, FitConfig(epochs=5, finetune_epochs=3), reports.append)
    fitter.overfit(fitter.overfit(fitter.start()))
    for stage, n_epochs in (("fit", 5), ("finetune", 3)):
        own = [report for report in reports if report.stage == stage]
        assert [report.epoch for report in own] == sorted(report.epoch for report in own)
        assert {report.epoch for report in own} >= set(range(1, n_epochs + 1))
        assert own[-1].psnr_db is not None and 0 < own[-1].psnr_db < 60
    assert reports[-1].eta_s == 0 < reports[0].eta_s
    assert min(report.frames_fps for report in reports) > 0


def test_long_epochs_report_their_steps(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where steps take a second each, every one is reported, with the epochs done so far and the
    time left.
    """
    monkeypatch.setattr(stage_module, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    reports: list[Progress] = []
    fitter = fitter_of(clip, grid_model, FitConfig(epochs=2, batch_size=1), reports.append)
    fitter.overfit(fitter.start())
    assert [report.epoch for report in reports] == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2]
    assert [report.eta_s > 0 for report in reports] == [True] * 8 + [False] * 2
