"""nervcodec.training.prior_start: a fit with a prior starts at the prior, grids by the analysis."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from clips import MakeClip
from torch import Tensor

from nervcodec.encoder.presets import PRESETS
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.tensors import GRID, KEYED, MOTION, groups
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.nn.integer_network import key_frames
from nervcodec.nn.network import Network
from nervcodec.nn.planes import pack
from nervcodec.training.analysis import Analysis
from nervcodec.training.config import FitConfig
from nervcodec.training.context import Solution, TrainingContext
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.prior_start import analysis_memory_bytes, frames_at_once, prior_start
from nervcodec.training.rate_model import DEFAULT_CRF, rate_weight_of
from nervcodec.training.state import TrainingState
from nervcodec.video.color import to_bit_depth

N_FRAMES = 5
GRIDS = (Grid(2, 1), Grid(4, 2), Grid(2, 2, 1), Grid(3, 2, 2), Grid(1, 2, 3))
MODEL = ModelConfig(
    30,
    21,
    "yuv420",
    GridStem(2, 2, GRIDS, 1, 2, 2),
    (Block(2, 16),) * 3,
    biases="lean",
    bits=12,
    prior=1,
)
WIDE = replace(MODEL, blocks=(Block(2, 19), Block(2, 16), Block(2, 24)))
FIT = FitConfig(epochs=2, rate_weight=rate_weight_of(DEFAULT_CRF))
SHOTS = (3, 2)


def context_of(
    make_clip: MakeClip, model: ModelConfig = MODEL, fit: FitConfig = FIT
) -> TrainingContext:
    """The context of a fit of a small clip."""
    clip = make_clip(model.colorspace, N_FRAMES, model.width, model.height)
    if model.bit_depth != 8:
        clip = to_bit_depth(clip, model.bit_depth, full_range=True)
    return TrainingContext.create(model, fit, torch.from_numpy(pack(clip, model)), shots=SHOTS)


def start_of(context: TrainingContext, seed: int = 0) -> Solution:
    """The start with the random numbers of a seed."""
    generator = torch.Generator().manual_seed(seed)
    return prior_start(context, initial_parameters(context.network, generator, context.target))


def planes_of(context: TrainingContext, flat: Tensor) -> Tensor:
    """The planes of all frames."""
    network: Network = context.network
    with torch.no_grad():
        return network(network.split(flat), torch.arange(N_FRAMES))


def test_weights_start_at_those_of_the_prior(make_clip: MakeClip) -> None:
    """Beside a prior of the same width all weights and biases are 0, and nothing is random."""
    context = context_of(make_clip)
    first, other = (start_of(context, seed).parameters for seed in (0, 1))
    assert torch.equal(first, other)
    for tensor, part in zip(context.network.tensors, torch.split(first, context.network.sizes)):
        assert tensor.kind == MOTION or bool(part.any()) == (tensor.kind == GRID), tensor.name


def test_motion_is_that_of_the_frames(make_clip: MakeClip) -> None:
    """Motion and turn are those of a start without a prior."""
    context = context_of(make_clip)
    usual = initial_parameters(context.network, torch.Generator().manual_seed(0), context.target)
    found = start_of(context).parameters
    for tensor, part, expected in zip(
        context.network.tensors,
        torch.split(found, context.network.sizes),
        torch.split(usual, context.network.sizes),
    ):
        if tensor.kind == MOTION:
            assert torch.equal(part, expected), tensor.name
    assert found[: context.network.sizes[0]].any()


def test_a_wider_network_starts_with_the_same_planes(make_clip: MakeClip) -> None:
    """Channels that the prior lacks start at random, and nothing takes them yet."""
    wide, own = context_of(make_clip, WIDE), context_of(make_clip)
    starts = [start_of(wide, seed).parameters for seed in (0, 1)]
    assert not torch.equal(*starts)
    expected = planes_of(own, start_of(own).parameters)
    for start in starts:
        torch.testing.assert_close(planes_of(wide, start), expected, rtol=0, atol=1e-6)


def test_grids_are_what_the_analysis_says_of_their_keys(make_clip: MakeClip) -> None:
    """The grids of the stem are maps of the frames that their keys stand on, shot by shot."""
    context = context_of(make_clip)
    planes = torch.nn.functional.pad(
        context.target.float() / 255, (0, 1, 0, 5), mode="replicate"
    )  # 11 rows and 15 columns to 16 and 16
    maps = Analysis.load(1).network(planes)
    named = context.network.split(start_of(context).parameters)
    start = 0
    at: list[int] = []
    for n_frames in SHOTS:
        at += (start + key_frames(n_frames, math.ceil(n_frames / 2))).tolist()
        start += n_frames
    assert at == [0, 2, 4]
    for name, level, keys, channels in (
        ("stem.grid1", 0, [0, 1, 2, 3, 4], slice(0, 2)),
        ("stem.grid2", 0, at, slice(2, 6)),
        ("stem.grid3", 1, at, slice(0, 2)),
        ("stem.grid4", 2, at, slice(0, 3)),
        ("stem.grid5", 3, at, slice(0, 1)),
    ):
        expected = maps[3 - level][keys][:, channels]
        torch.testing.assert_close(named[name], expected, rtol=0, atol=1e-5)


def test_grids_are_the_same_however_many_frames_are_analysed_at_once(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames are analysed each by itself."""
    context = context_of(make_clip)
    expected = start_of(context).parameters
    for n_frames in (1, 2, 3):
        monkeypatch.setattr(
            "nervcodec.training.prior_start.frames_at_once", lambda _, n=n_frames: n
        )
        torch.testing.assert_close(start_of(context).parameters, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "n_frames"),
    [
        ((16, 16), 4),
        ((1920, 1080), 4),
        ((2048, 2048), 4),
        ((2048, 2064), 3),
        ((3840, 2160), 2),
        ((4096, 4096), 1),
        ((16384, 16384), 1),
    ],
)
def test_fewer_large_frames_are_analysed_at_once(size: tuple[int, int], n_frames: int) -> None:
    """Up to four have planes of 4,194,304 samples together, or one that has more stands alone; the
    memory is that of so many.
    """
    model = PRESETS["medium"].model(VideoFormat(*size, Fraction(25), 5), "yuv420", (5,))
    n_cells = model.covered_width * model.covered_height
    assert frames_at_once(model) == n_frames
    assert n_frames * n_cells <= 1 << 22 or n_frames == 1
    assert analysis_memory_bytes(model) == 480 * n_frames * n_cells


@pytest.mark.parametrize("layout", ["yuv422", "yuv444", "gray"])
def test_other_layouts_start_as_420(make_clip: MakeClip, layout: Layout) -> None:
    """Weights are 0 too, and grids are those of 4:2:0 with the means of chroma's phases, or with
    mid-grey.
    """
    model = replace(MODEL, colorspace=layout)
    found = context_of(make_clip, model)
    planes = found.target.float()
    n_phases = (model.n_planes - 4) // 2
    chroma = [planes[:, start : start + n_phases] for start in (4, 4 + n_phases)]
    means = [
        each.mean(dim=1) if n_phases else torch.full_like(planes[:, 0], 128) for each in chroma
    ]
    as_420 = torch.cat([planes[:, :4], torch.stack(means, dim=1)], dim=1).round().byte()
    expected = start_of(TrainingContext.create(MODEL, FIT, as_420, shots=SHOTS)).parameters
    n_keyed = sum(tensor.size for tensor in found.network.tensors if tensor.kind in KEYED)
    start = start_of(found).parameters
    torch.testing.assert_close(start[:n_keyed], expected[:n_keyed], rtol=0, atol=0.05)
    assert not start[n_keyed:].any()


def test_deep_samples_start_as_those_of_8_bits(make_clip: MakeClip) -> None:
    """The same frames with two bits more give the same grids within what a level is."""
    found, expected = (
        start_of(context_of(make_clip, replace(MODEL, bit_depth=bits))).parameters
        for bits in (10, 8)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)


def test_steps_are_those_of_the_lambda(make_clip: MakeClip) -> None:
    """Grids have the prior's steps for the fit's lambda, all others the usual one."""
    fit = replace(FIT, rate_weight=math.e * FIT.rate_weight)
    context, analysis = context_of(make_clip, fit=fit), Analysis.load(1)
    found = start_of(context).log_steps.tolist()
    for group, log_step in zip(groups(MODEL, SHOTS), found, strict=True):
        expected = math.log(fit.initial_step)
        if group.kind == GRID:
            expected = analysis.log_step(group.name, 1.0)
        assert log_step == pytest.approx(expected), group.name


@pytest.mark.parametrize("rate_weight", [0.0, 1e-30, 1000.0])
def test_any_lambda_has_steps(make_clip: MakeClip, rate_weight: float) -> None:
    """No rate term, or one beyond all rate factors, has the steps of the nearest of them."""
    context = context_of(make_clip, fit=replace(FIT, rate_weight=rate_weight))
    found = start_of(context).log_steps
    assert found.isfinite().all() and float(found.abs().max()) < 20


def test_grids_of_another_family_have_usual_steps(make_clip: MakeClip) -> None:
    """Networks that the prior is for may divide levels in other ways; what has no step of its own
    has the usual one.
    """
    stem = GridStem(2, 2, (Grid(6, 1), Grid(2, 2, 1), Grid(3, 2, 2), Grid(1, 2, 3)), 1, 2, 4)
    context = context_of(make_clip, replace(MODEL, stem=stem))
    steps = dict(zip((g.name for g in groups(context.model, SHOTS)), start_of(context).log_steps))
    assert float(steps["stem.grid4_details4"]) == pytest.approx(math.log(FIT.initial_step))


def test_a_fit_begins_there(make_clip: MakeClip) -> None:
    """The state of a fit with a prior has these parameters and steps."""
    context = context_of(make_clip)
    state, expected = TrainingState.start(context), start_of(context)
    torch.testing.assert_close(state.parameters.detach(), expected.parameters)
    torch.testing.assert_close(state.log_steps.detach(), expected.log_steps)


def test_the_start_is_near_the_frames(make_clip: MakeClip) -> None:
    """It is nearer to the frames than mid-grey is."""
    context = context_of(make_clip)
    target = context.target / 255
    found = planes_of(context, start_of(context).parameters)
    assert float((found - target).square().mean()) < float((0.5 - target).square().mean())
