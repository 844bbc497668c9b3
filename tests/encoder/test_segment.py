"""nervcodec.encoder.segment: frames -> a coded segment -> frames, the same from every side."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from clips import MakeClip
from models import GRIDS

from nervcodec.coding.quantizer import bounds, code_from_step, step_from_code
from nervcodec.coding.range_coder import Coded
from nervcodec.coding.streams import (
    decode_parameters,
    decode_symbols_of,
    entropy_bytes,
    segment_of,
)
from nervcodec.decoder.reconstruct import Watch, decode_segment, reconstruct
from nervcodec.encoder.segment import (
    FitSummary,
    encode_segment,
    exact_measures,
    quantized,
    unclipped_frames,
)
from nervcodec.errors import BitstreamError
from nervcodec.format.file import Segment
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import groups, module_names, n_parameters
from nervcodec.format.video_format import ColorTags
from nervcodec.quality.metrics import frame_rgb_db
from nervcodec.training.config import FitConfig
from nervcodec.training.context import Solution
from nervcodec.training.state import Progress
from nervcodec.video.frames import Frames

OURS = FitConfig(epochs=40, learning_rate=8e-3, muon_rate=0.02, rate_weight=1e-3)
PAPER = FitConfig(
    epochs=25,
    finetune_epochs=15,
    learning_rate=8e-3,
    finetune_rate=1,
    loss="l1+ssim",
    optimizer="adam",
    rate_weight=0,
    prune=0.4,
)
QUICK = FitConfig(epochs=2)


@pytest.fixture(scope="module", params=["grid yuv", "mlp rgb pruned 6 bits"])
def case(
    request: pytest.FixtureRequest,
    make_clip: MakeClip,
    grid_model: ModelConfig,
    mlp_model: ModelConfig,
) -> tuple[Frames, ModelConfig, FitConfig]:
    """A clip with a small network and recipe like those of the presets."""
    if request.param == "grid yuv":
        return make_clip("yuv420"), grid_model, OURS
    return make_clip("rgb"), mlp_model, PAPER


@pytest.fixture(scope="module")
def encoded(case: tuple[Frames, ModelConfig, FitConfig]) -> tuple[Segment, FitSummary]:
    """The case's segment, and what its fit says of it."""
    frames, model, fit = case
    return encode_segment(frames, None, model, fit)


def decoded(segment: Segment, model: ModelConfig) -> Frames:
    return Frames.concatenate(list(decode_segment(segment, model)))


def assert_same(one: Frames, other: Frames) -> None:
    assert one.layout == other.layout
    for a, b in zip(one.planes, other.planes):
        np.testing.assert_array_equal(a, b)


# --- round trip ---


def test_a_segment_decodes_to_its_frames(
    case: tuple[Frames, ModelConfig, FitConfig], encoded: tuple[Segment, FitSummary]
) -> None:
    """Decoded frames have the clip's shape and resemble it better than their own mean does."""
    frames, model, _ = case
    found = decoded(encoded[0], model)
    assert (found.layout, found.n_frames, found.width, found.height) == (frames.layout, 4, 16, 12)
    for plane, original in list(zip(found.planes, frames.planes))[
        : 1 if frames.layout == "yuv420" else 3
    ]:
        assert np.square(plane.astype(float) - original).mean() < 0.8 * original.var()


def test_the_same_seed_gives_the_same_bytes(
    case: tuple[Frames, ModelConfig, FitConfig], encoded: tuple[Segment, FitSummary]
) -> None:
    """With the same seed and threads an encode repeats itself to the byte."""
    frames, model, fit = case
    assert encode_segment(frames, None, model, fit) == encoded


def test_symbols_are_within_range(
    case: tuple[Frames, ModelConfig, FitConfig], encoded: tuple[Segment, FitSummary]
) -> None:
    """There is a symbol for every parameter, in the groups' sizes, none beyond the largest."""
    _, model, _ = case
    coded = decode_symbols_of(encoded[0], model)
    assert [len(group.symbols) for group in coded] == [group.size for group in groups(model, (4,))]
    assert max(int(np.abs(group.symbols).max()) for group in coded) <= model.max_symbol


def test_there_is_a_stream_for_every_module(
    case: tuple[Frames, ModelConfig, FitConfig], encoded: tuple[Segment, FitSummary]
) -> None:
    """A segment has its number of frames and one stream a module."""
    _, model, _ = case
    segment, _ = encoded
    assert (segment.n_frames, len(segment.streams)) == (4, len(module_names(model)))


def test_summary_describes_the_symbols(
    case: tuple[Frames, ModelConfig, FitConfig], encoded: tuple[Segment, FitSummary]
) -> None:
    """Sparsity is the share of zeros among the coded symbols; entropy and rollbacks are those of
    this fit.
    """
    _, model, _ = case
    segment, summary = encoded
    coded = decode_symbols_of(segment, model)
    n_zeros = sum(int((group.symbols == 0).sum()) for group in coded)
    assert summary.sparsity == n_zeros / n_parameters(model, (4,))
    assert summary.entropy_bytes == pytest.approx(entropy_bytes(model, (4,), coded))
    assert summary.n_rollbacks == 0


def test_pruning_shows_in_the_symbols(make_clip: MakeClip, mlp_model: ModelConfig) -> None:
    """Of the symbols of the pruned kinds at least the pruned share is zero."""
    segment, _ = encode_segment(make_clip("rgb"), None, mlp_model, PAPER)
    pruned = [
        group.symbols
        for group, form in zip(decode_symbols_of(segment, mlp_model), groups(mlp_model, (4,)))
        if form.module != "head" and form.kind in ("matrix", "depthwise")
    ]
    symbols = np.concatenate(pruned)
    assert int((symbols == 0).sum()) >= int(0.4 * symbols.size)


# --- decoding in parts ---


@pytest.fixture(scope="module")
def long_segment(make_clip: MakeClip, grid_model: ModelConfig) -> Segment:
    """19 frames: more than two batches."""
    return encode_segment(make_clip("yuv420", 19), None, grid_model, QUICK)[0]


@pytest.mark.parametrize(
    ("first", "stop"), [(0, 1), (3, 4), (7, 9), (8, 16), (5, 19), (18, 19), (0, 19), (11, 19)]
)
def test_a_range_is_that_of_the_whole(
    long_segment: Segment, grid_model: ModelConfig, first: int, stop: int
) -> None:
    """Frames of a range are identical to the same frames of a whole decode."""
    parts = reconstruct(
        decode_parameters(long_segment, grid_model), grid_model, range(first, stop), (19,)
    )
    assert_same(Frames.concatenate(list(parts)), decoded(long_segment, grid_model)[first:stop])


def test_frames_come_in_batches(long_segment: Segment, grid_model: ModelConfig) -> None:
    """Frames are given out a batch at a time, so that a long segment needs no more memory than a
    short one.
    """
    assert [part.n_frames for part in decode_segment(long_segment, grid_model)] == [8, 8, 3]


def test_decoding_leaves_no_mode_switched_on(
    long_segment: Segment, grid_model: ModelConfig
) -> None:
    """Between two batches the caller's own torch settings hold."""
    parts = decode_segment(long_segment, grid_model)
    next(parts)
    modes = torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled()
    assert len(list(parts)) == 2
    assert modes == (False, False)


def test_damaged_streams_are_refused(long_segment: Segment, grid_model: ModelConfig) -> None:
    """A stream that no encoder writes is a BitstreamError when the decode starts."""
    broken = Segment((19,), (*long_segment.streams[:-1], b"\x80" + long_segment.streams[-1][1:]))
    with pytest.raises(BitstreamError):
        decoded(broken, grid_model)


# --- parts ---


def test_quantized_uses_steps_that_can_be_written(grid_model: ModelConfig) -> None:
    """Every group is rounded with the very step whose code is stored."""
    n, n_groups = n_parameters(grid_model, (4,)), len(groups(grid_model, (4,)))
    generator = torch.Generator().manual_seed(0)
    values, log_steps = (
        torch.randn(n, generator=generator),
        -3 + torch.rand(n_groups, generator=generator),
    )
    coded = quantized(Solution(values, log_steps), grid_model, (4,))
    start = 0
    for form, group, log_step in zip(
        groups(grid_model, (4,)), coded, log_steps.tolist(), strict=True
    ):
        step = step_from_code(group.step_code)
        own = values[start : start + len(group.symbols)].double().numpy()
        assert abs(step / np.exp(log_step) - 1) <= 1 / 16
        multiples = np.clip(np.rint(own / step), *bounds(127, bool(form.keys)))
        found = group.symbols.reshape(form.shape).cumsum(0).ravel() if form.keys else group.symbols
        np.testing.assert_array_equal(found, multiples)
        start += len(group.symbols)


def test_entropy_counts_every_tensor_alone(mlp_model: ModelConfig) -> None:
    """Symbols that are constant within every tensor have no entropy; one fair bit a symbol is an
    eighth of a byte.
    """
    forms = groups(mlp_model, (4,))
    constant = [Coded(np.full(form.size, i % 5, np.int32), 0) for i, form in enumerate(forms)]
    assert entropy_bytes(mlp_model, (4,), constant) == 0
    halves = [Coded(group.symbols.copy(), 0) for group in constant]
    n_first = forms[0].size
    halves[0].symbols[: n_first // 2] = 9
    assert n_first % 2 == 0 and entropy_bytes(mlp_model, (4,), halves) == pytest.approx(n_first / 8)


def test_work_can_be_sent_to_another_process(make_clip: MakeClip, grid_model: ModelConfig) -> None:
    """The functions, their arguments and their results survive pickling, and give the same
    afterwards.
    """
    work = partial(encode_segment, model=grid_model, fit=QUICK, device="cpu")
    remote, frames = pickle.loads(pickle.dumps((work, make_clip())))
    assert pickle.loads(pickle.dumps(remote(frames, None))) == work(make_clip(), None)
    assert pickle.loads(pickle.dumps(decode_segment)) is decode_segment


# --- targets ---


@pytest.fixture(scope="module")
def steered(make_clip: MakeClip, grid_model: ModelConfig) -> dict[float, Segment]:
    """Twelve frames as segments of so many bits a pixel, of which the network can hardly take up
    the most.
    """
    frames, fit = make_clip("yuv420", 12), replace(OURS, epochs=80)
    return {
        bpp: encode_segment(frames, None, grid_model, replace(fit, target_bpp=bpp))[0]
        for bpp in (3.0, 4.0)
    }


@pytest.mark.parametrize("bpp", [3.0, 4.0])
def test_a_size_is_met(steered: dict[float, Segment], bpp: float) -> None:
    """Streams take the bits a pixel that were asked for, within 2 %."""
    segment = steered[bpp]
    assert 8 * sum(map(len, segment.streams)) / (12 * 16 * 12) == pytest.approx(bpp, rel=0.02)


def test_the_progress_shows_the_size(make_clip: MakeClip, grid_model: ModelConfig) -> None:
    """Towards the end the size that the progress shows is within 1 % of that of the coded
    streams.
    """
    seen: list[Progress] = []
    fit = replace(OURS, epochs=80)
    segment, _ = encode_segment(
        make_clip("yuv420", 12), None, grid_model, fit, on_progress=seen.append
    )
    assert seen[-1].n_bytes == pytest.approx(sum(map(len, segment.streams)), rel=0.01)


@pytest.mark.parametrize(("rate_weight", "epochs"), [(3e-3, 80), (1e-3, 87)])
def test_a_psnr_is_met(
    make_clip: MakeClip, grid_model: ModelConfig, rate_weight: float, epochs: int
) -> None:
    """Decoded frames have the RGB PSNR that was asked for, within 0.2 dB; unsteered they
    had 22.9 and 24.1 dB.
    """
    frames = make_clip("yuv420", 12)
    fit = replace(OURS, rate_weight=rate_weight, epochs=epochs, target_psnr=23.5)
    segment, _ = encode_segment(frames, None, grid_model, fit)
    found = frame_rgb_db(frames, decoded(segment, grid_model), ColorTags())
    assert float(found.mean()) == pytest.approx(23.5, abs=0.2)


def test_more_bytes_never_make_a_worse_picture(
    make_clip: MakeClip, grid_model: ModelConfig, steered: dict[float, Segment]
) -> None:
    """A network that can hardly take up a size settles with finer steps: the size is met, and the
    picture is better.
    """
    frames = make_clip("yuv420", 12)
    lower, higher = (
        frame_rgb_db(frames, decoded(steered[bpp], grid_model), ColorTags()).mean()
        for bpp in (3.0, 4.0)
    )
    assert higher > lower + 0.5


def test_a_psnr_counts_shown_frames(make_clip: MakeClip, grid_model: ModelConfig) -> None:
    """What a target PSNR is compared with is a mean in which a frame counts as often as it is
    shown.
    """
    frames = make_clip()
    steps = torch.full((len(groups(grid_model, (4,))),), -4.0)
    parameters = torch.linspace(-1, 1, n_parameters(grid_model, (4,)))
    solution = Solution(parameters, steps)
    segment = segment_of(quantized(solution, grid_model, (4,)), grid_model, (4,))
    decoded = Frames.concatenate(list(decode_segment(segment, grid_model)))
    each = frame_rgb_db(frames, decoded, ColorTags())
    measures = exact_measures(frames, (4,), grid_model, ColorTags(), "cpu", [1, 7, 1, 1])
    assert measures.rgb_db(solution) == pytest.approx((each.sum() + 6 * each[1]) / 10)
    assert measures.rgb_db(solution) != pytest.approx(each.mean())


# --- range of feature maps ---


def test_feature_maps_are_not_clipped() -> None:
    """A segment whose feature maps are too large for the usual fraction bits gets as many as they
    bear; others keep the usual ones.
    """
    rng = np.random.default_rng(0)
    for step, bits in ((0.01, 9), (0.1, 6)):
        coded = [
            Coded(rng.integers(-9, 10, group.size).astype(np.int32), code_from_step(step))
            for group in groups(GRIDS, (3,))
        ]
        segment, frames = unclipped_frames(segment_of(coded, GRIDS, (3,)), GRIDS)
        watches = [Watch(), Watch()]
        finer = replace(segment, fraction_bits=segment.fraction_bits + 1)
        for each, watch in zip((segment, finer), watches, strict=True):
            list(decode_segment(each, GRIDS, watch=watch))
        assert sum(part.n_frames for part in frames) == 3
        assert segment.fraction_bits == bits and not watches[0].is_clipped
        assert bits == 9 or watches[1].is_clipped
