"""nervcodec.training.rdoq: fewer bits and a better picture at the same price, and near a target
where there is one.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from nervcodec.coding.quantizer import bounds
from nervcodec.coding.tables import symbol_bits
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.encoder.segment import _gauges, encode_segment
from nervcodec.format import tensors
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.video_format import ColorTags
from nervcodec.nn.planes import pack
from nervcodec.quality.metrics import frame_rgb_db
from nervcodec.training.config import FitConfig
from nervcodec.training.final_rounding import nearest_to
from nervcodec.training.rdoq import REFINE, Refiner
from nervcodec.training.state import Checkpoint, Fitted, Gauges, Progress
from nervcodec.training.trainer import Fitter
from nervcodec.video.frames import Frames

MODEL = ModelConfig(
    24,
    16,
    "yuv",
    GridStem(3, 4, (Grid(2, 1), Grid(2, 4, 1)), motion_height=2, motion_width=2),
    (Block(2, 6), Block(2, 4)),
    biases="lean",
    bits=10,
)
FIT = FitConfig(epochs=150, rate_weight=0.002)


class Case(NamedTuple):
    fitter: Fitter
    fitted: Fitted

    def refiner(self) -> Refiner:
        return Refiner(self.fitter, self.fitted)


@pytest.fixture(scope="module")
def frames(make_clip: Callable[..., Frames]) -> Frames:
    return make_clip("yuv420", 6, 24, 16)


@pytest.fixture(scope="module")
def case(frames: Frames) -> Case:
    fitter = Fitter(MODEL, FIT, torch.from_numpy(pack(frames, MODEL)))
    return Case(fitter, fitter.overfit(fitter.start()))


def distortion(fitter: Fitter, values: Tensor) -> Tensor:
    """What a fit minimises besides bits, of all frames at once; differentiable."""
    output = fitter.network(fitter.network.split(values), torch.arange(fitter.n_frames))
    return (output - fitter.target / 255).square().mean(dim=(0, 2, 3)) @ fitter.plane_weights


def size_and_db(frames: Frames, fit: FitConfig) -> tuple[int, float]:
    """Bytes and RGB PSNR of a segment as it is coded."""
    segment, _ = encode_segment(frames, None, MODEL, fit)
    decoded = Frames.concatenate(list(decode_segment(segment, MODEL)))
    return sum(map(len, segment.streams)), float(frame_rgb_db(frames, decoded, ColorTags()).mean())


# --- what it gains ---


def test_the_loss_falls(case: Case) -> None:
    """Distortion + price x bits, both of all symbols as they are coded, falls by more than two per
    cent.
    """
    refiner = case.refiner()
    before = refiner._state(refiner.multiples)
    refined = refiner.run()
    after = refiner._state(refined.parameters / refiner.steps)
    weight = FIT.rate_weight / case.fitter.n_pixels
    assert after.distortion + weight * after.bits < 0.98 * (
        before.distortion + weight * before.bits
    )
    assert distortion(case.fitter, refined.parameters).item() == pytest.approx(
        after.distortion, rel=1e-4
    )


def test_refined_parameters_are_multiples_of_their_steps(case: Case) -> None:
    """What comes out is what a decoder gets, within the range of symbols, and the same each
    time.
    """
    refiner, again = case.refiner(), case.refiner()
    refined = refiner.run()
    multiples = refined.parameters / refiner.steps
    assert torch.equal(multiples, multiples.round())
    n_keyed = sum(
        group.size for group in tensors.groups(MODEL, (case.fitter.n_frames,)) if group.keys
    )
    low, high = bounds(MODEL.max_symbol, True)
    assert low <= multiples[:n_keyed].min() and multiples[:n_keyed].max() <= high
    assert torch.equal(refined.log_steps, case.fitted.log_steps)
    assert torch.equal(again.run().parameters, refined.parameters)


def test_files_get_smaller_at_no_cost(frames: Frames) -> None:
    """By the coded streams and the decoded frames: a better picture in fewer bytes."""
    n_bytes, db = size_and_db(frames, FIT)
    more_bytes, fewer_db = size_and_db(frames, replace(FIT, refinement=0))
    assert n_bytes <= more_bytes and db > fewer_db + 0.1


@pytest.mark.parametrize(
    "fit", [replace(FIT, target_bpp=1.5), replace(FIT, target_psnr=27.0)], ids=["size", "psnr"]
)
def test_a_target_stays_met(frames: Frames, fit: FitConfig) -> None:
    """What is gained goes into quality at the same size, or into bytes at the same quality."""
    n_bytes, db = size_and_db(frames, fit)
    plain_bytes, plain_db = size_and_db(frames, replace(fit, refinement=0))
    if fit.target_bpp:
        wanted = fit.target_bpp * 6 * 24 * 16 / 8
        assert abs(n_bytes / wanted - 1) < 0.02 and abs(plain_bytes / wanted - 1) < 0.02
        assert db > plain_db
    else:
        assert abs(db - 27) < 0.2 and abs(plain_db - 27) < 0.2
        assert n_bytes < plain_bytes


@pytest.mark.parametrize("miss", [0.04, -0.025])
def test_a_target_is_met_after_any_fit(case: Case, frames: Frames, miss: float) -> None:
    """A short fit of another size gets as many passes as it takes, and loses less than by a biased
    rounding.
    """
    gauges = _gauges(frames, (frames.n_frames,), MODEL, ColorTags(), "cpu")
    target_bpp = gauges.bits(case.fitted) * math.exp(-miss) / case.fitter.n_pixels
    fit = replace(FIT, epochs=20, target_bpp=target_bpp)
    fitter = Fitter(MODEL, fit, torch.from_numpy(pack(frames, MODEL)), gauges=gauges)
    assert fit.n_refinements == 0 and fitter.error(case.fitted) == pytest.approx(miss)
    refiner = Refiner(fitter, case.fitted)
    refined = refiner.run()
    assert abs(fitter.error(refined)) <= fitter.law.tolerance and 0 < refiner.n_done <= 24
    rounded = nearest_to(
        case.fitted, fitter.sizes, len(fitter.keys), fitter.error, fitter.law.tolerance, 4
    )
    assert decoded_distortion(fitter, refined) < 0.9 * decoded_distortion(fitter, rounded)


def decoded_distortion(fitter: Fitter, fitted: Fitted) -> float:
    """The distortion by parameters as a decoder gets them."""
    refiner = Refiner(fitter, fitted)
    return float(distortion(fitter, refiner.multiples * refiner.steps))


def test_a_short_fit_that_is_near_its_target_stays_as_it_is(case: Case, frames: Frames) -> None:
    """And so does one without a target."""
    target = torch.from_numpy(pack(frames, MODEL))
    gauges = Gauges(lambda _: 1.01 * case.fitter.n_pixels, lambda _: 30.0)
    for fit in (replace(FIT, epochs=20), replace(FIT, epochs=20, target_bpp=1.0)):
        assert Refiner(Fitter(MODEL, fit, target, gauges=gauges), case.fitted).run() is case.fitted


# --- what it goes by ---


def test_slopes_are_those_of_the_distortion(case: Case) -> None:
    """The slope by a multiple is the derivative by its parameter times the step."""
    refiner = case.refiner()
    values = (refiner.multiples * refiner.steps).requires_grad_()
    (expected,) = torch.autograd.grad(distortion(case.fitter, values), values)
    state = refiner._state(refiner.multiples)
    torch.testing.assert_close(state.slopes, expected * refiner.steps, rtol=1e-3, atol=1e-8)
    assert state.distortion == pytest.approx(distortion(case.fitter, values).item(), rel=1e-5)


def test_curvatures_are_the_gauss_newton_diagonal(case: Case) -> None:
    """Samples tend to the sum over all outputs of 2 x weight x (derivative by the multiple)
    squared.
    """
    refiner = case.refiner()
    values = refiner.multiples * refiner.steps
    output = case.fitter.network(
        case.fitter.network.split(values), torch.arange(case.fitter.n_frames)
    )
    jacobian = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        lambda v: case.fitter.network(
            case.fitter.network.split(v), torch.arange(case.fitter.n_frames)
        ),
        values,
    )
    weights = 2 * case.fitter.plane_weights.view(1, -1, 1, 1) / (output.numel() / output.shape[1])
    exact = (weights.unsqueeze(-1) * jacobian.square()).sum(
        dim=(0, 1, 2, 3)
    ) * refiner.steps.square()
    refiner._sample_curvature(60.0)
    sampled = refiner.curvature_sum / refiner.n_samples
    assert float(sampled.sum()) == pytest.approx(float(exact.sum()), rel=0.03)
    large = exact > exact.mean()
    assert float((sampled[large] / exact[large] - 1).abs().mean()) < 0.2


def test_bits_of_a_move_are_what_it_adds(case: Case) -> None:
    """With tables held, a step of one multiple changes its symbol and, in a grid, that of the next
    key.
    """
    refiner = case.refiner()
    top, sizes = MODEL.max_symbol, case.fitter.sizes

    def symbols(multiples: Tensor) -> list[np.ndarray]:
        return np.split(
            refiner.quantizer.differences(multiples).long().numpy(), np.cumsum(sizes[:-1])
        )

    tables = [symbol_bits(own, top) for own in symbols(refiner.multiples)]

    def bits(multiples: Tensor) -> float:
        return sum(float(table[own + top].sum()) for table, own in zip(tables, symbols(multiples)))

    state = refiner._state(refiner.multiples)
    assert state.bits == pytest.approx(bits(refiner.multiples), rel=1e-6)
    for place in range(0, len(refiner.multiples), 37):
        for step, more in ((1, state.up_bits), (-1, state.down_bits)):
            moved = refiner.multiples.clone()
            moved[place] += step
            assert float(more[place]) == pytest.approx(bits(moved) - state.bits, abs=2e-3)


def test_no_move_leaves_the_range(case: Case) -> None:
    """At the end of its range a multiple cannot go on, however much that would pay."""
    refiner = case.refiner()
    refiner._sample_curvature(1.0)
    refiner.damping = 0.0
    state = refiner._state(refiner.multiples)
    n_keyed = sum(
        group.size for group in tensors.groups(MODEL, (case.fitter.n_frames,)) if group.keys
    )
    low, high = bounds(MODEL.max_symbol, True)
    at_the_end = torch.where(
        torch.arange(len(state.multiples)) < n_keyed, float(high), float(MODEL.max_symbol)
    )
    upwards = replace(state, multiples=at_the_end, slopes=torch.full_like(state.slopes, -1e9))
    assert not refiner._moves(upwards).any()
    downwards = replace(upwards, slopes=-upwards.slopes)
    assert torch.equal(refiner._moves(downwards), torch.full_like(at_the_end, -1))


def test_harmful_moves_are_left_out_next_time(case: Case) -> None:
    """Of a worse trial only what did no harm is tried again, more carefully, and the harm is
    remembered.
    """
    refiner = case.refiner()
    refiner.n_samples, refiner.bit_weight = 1.0, 0.0
    state = refiner._state(refiner.multiples)
    moves = torch.zeros_like(state.multiples)
    moves[:2] = 1
    slopes, later = torch.zeros_like(moves), torch.zeros_like(moves)
    slopes[0] = slopes[1] = -1.0
    later[0], later[1] = -0.5, 3.0
    before = refiner.damping
    worse = replace(state, slopes=later, distortion=state.distortion + 1)
    assert not refiner._is_better(replace(state, slopes=slopes), worse, moves)
    assert refiner.left.nonzero().tolist() == [[0]] and refiner.damping > before
    assert 3 < float(refiner.met[1]) <= 4 and not refiner.met[0]
    better = replace(worse, distortion=state.distortion - 1)
    assert refiner._is_better(replace(state, slopes=slopes), better, moves)
    assert not refiner.left.any() and refiner.damping < 1.3 * before


# --- when, and how it goes on ---


@pytest.mark.parametrize(
    ("fit", "n_passes"),
    [
        (FitConfig(epochs=1500), 120),
        (FitConfig(epochs=300), 24),
        (FitConfig(epochs=90), 7),
        (FitConfig(epochs=88), 7),
        (FitConfig(epochs=87), 0),
        (FitConfig(epochs=1500, loss="l1+ssim"), 0),
        (FitConfig(epochs=1500, rate_weight=0), 0),
        (FitConfig(epochs=1500, finetune_epochs=10, prune=0.2), 0),
        (FitConfig(epochs=1500, refinement=0), 0),
    ],
)
def test_how_many_passes(fit: FitConfig, n_passes: int) -> None:
    """A share of the epochs; none after short fits, and where there is no price of bits, a mask or
    another loss.
    """
    assert fit.n_refinements == n_passes


class _Often:
    """A keeper of every seventh checkpoint."""

    def __init__(self) -> None:
        self.kept: list[Checkpoint] = []
        self._n_asked = 0

    def is_due(self) -> bool:
        self._n_asked += 1
        return self._n_asked % 7 == 0

    def keep(self, checkpoint: Checkpoint) -> None:
        self.kept.append(checkpoint)


@pytest.mark.parametrize("fit", [FIT, replace(FIT, target_bpp=1.5)], ids=["crf", "size"])
def test_a_refinement_goes_on_from_any_pass(frames: Frames, fit: FitConfig) -> None:
    """Whichever checkpoint it goes on from, the same streams come out; the fit before it is not
    made again.
    """
    keeper, seen = _Often(), list[Progress]()
    whole, _ = encode_segment(frames, None, MODEL, fit, keeper=keeper, on_progress=seen.append)
    kept = [checkpoint for checkpoint in keeper.kept if checkpoint.progress.stage == REFINE]
    assert len({checkpoint.progress.epoch for checkpoint in kept}) > 5
    reports = [progress for progress in seen if progress.stage == REFINE]
    assert [progress.epoch for progress in reports] == list(range(1, 13)) and reports[-1].eta_s == 0
    assert all(math.isfinite(progress.psnr_db or math.inf) for progress in reports)
    for checkpoint in kept[::4]:
        again: list[Progress] = []
        segment, _ = encode_segment(
            frames, None, MODEL, fit, checkpoint=checkpoint, on_progress=again.append
        )
        assert segment.streams == whole.streams
        assert {progress.stage for progress in again} == {REFINE}
