"""nervcodec.encoder.plan: what is decided before a fit starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nervcodec.encoder import plan as plan_module
from nervcodec.encoder.plan import EncodePlan, memory_bytes, plan_encode, with_time_budget
from nervcodec.encoder.target import Goal
from nervcodec.errors import ConfigError
from nervcodec.format.container import Header, Segment, StoredQuality, write_file
from nervcodec.format.tensors import groups
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import expected_bpp, rate_weight_of, still_share


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 gray frames of 64 x 48."""
    path = tmp_path_factory.mktemp("clips") / "gray.y4m"
    path.write_bytes(
        b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\n" + 20 * (b"FRAME\n" + bytes(64 * 48 * 3 // 2))
    )
    return path


def test_without_a_goal_it_is_the_preset(source: Path) -> None:
    """Without a goal nothing is steered, and the price is the preset's, that of crf 30."""
    plan = plan_encode(source)
    assert (plan.fit.target_bpp, plan.fit.target_psnr, plan.target_bytes) == (0, 0, None)
    assert plan.fit.rate_weight == pytest.approx(rate_weight_of(30))
    assert plan == plan_encode(source, goal=Goal(crf=30))


@pytest.mark.parametrize("segment_frames", [None, 7])
@pytest.mark.parametrize("goal", [Goal(size=3000), Goal(bitrate=30_000), Goal(bpp=0.390625)])
def test_a_size_counts_the_whole_file(source: Path, goal: Goal, segment_frames: int | None) -> None:
    """Streams of the bits a pixel that the fit is steered to, with all around them, make a file of
    this size.
    """
    plan = plan_encode(source, goal=goal, segment_frames=segment_frames)
    streams = plan.fit.target_bpp * plan.format.n_pixels / 8
    n_modules = 2 + len(plan.model.blocks)
    segments = [Segment((length,), (b"\0" * 10,) * n_modules) for length in plan.lengths]
    data = write_file(Header(plan.format, plan.model), segments, StoredQuality())
    assert streams + len(data) - 10 * n_modules * len(segments) == pytest.approx(3000, abs=0.1)
    assert plan.target_bytes == 3000


def test_segments_are_cut_where_the_video_is(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """Each cut stands in its segment, one between two segments in none, and the paper's networks
    know of none.
    """
    monkeypatch.setattr(plan_module, "changes", lambda *_: (1.0, (3, 10, 11)))
    assert plan_encode(source).segments == ((3, 7, 1, 9),)
    assert plan_encode(source, segment_frames=10).segments == ((3, 7), (1, 9))
    assert plan_encode(source, segment_frames=10, n_frames=11).segments == ((3, 2), (5, 1))
    assert plan_encode(source, preset="paper-xs").segments == ((20,),)


def test_larger_files_get_larger_networks(source: Path) -> None:
    """Networks grow with the rate, however it is asked for."""
    for goals in (
        [Goal(size=size) for size in (1000, 4000, 16_000)],
        [Goal(crf=crf) for crf in (45, 30, 15)],
        [Goal(target_psnr=psnr) for psnr in (30, 33, 36)],
    ):
        sizes = [plan_encode(source, goal=goal).n_parameters for goal in goals]
        assert sizes == sorted(sizes) and len(set(sizes)) == 3


@pytest.mark.parametrize(("information", "share"), [(12.0, still_share(20 * 64 * 48)), (12.1, 1.0)])
@pytest.mark.parametrize("crf", [18, 24])
def test_a_size_gets_the_network_of_its_crf(
    monkeypatch: pytest.MonkeyPatch, source: Path, crf: float, information: float, share: float
) -> None:
    """Short still video takes fewer bits than the rule says of a crf: so many get its network, as
    many a larger one.
    """
    monkeypatch.setattr(plan_module, "changes", lambda *_: (information, ()))
    bpp = expected_bpp(rate_weight_of(crf), 20 * 64 * 48)
    by_crf, by_share, by_rule = (
        plan_encode(source, goal=goal).n_parameters
        for goal in (Goal(crf=crf), Goal(bpp=share * bpp), Goal(bpp=bpp))
    )
    assert by_crf == by_share and (by_rule > by_crf) == (share < 1)


@pytest.mark.parametrize("size", [1.0, 100.0, 10e6])
def test_absurd_sizes_are_refused(source: Path, size: float) -> None:
    """A file smaller than its container and records, or larger than the network can fill, is
    refused beforehand.
    """
    with pytest.raises(
        ConfigError, match=f"size is {size:,.0f} bytes; legal: [0-9]+ to [0-9,]+ for this video"
    ):
        plan_encode(source, goal=Goal(size=size))


def test_the_least_size_is_legal(source: Path) -> None:
    """The bounds in the message are themselves legal."""
    with pytest.raises(ConfigError) as refusal:
        plan_encode(source, goal=Goal(size=1))
    least = int(str(refusal.value).split("legal: ")[1].split(" ")[0])
    plan = plan_encode(source, goal=Goal(size=least))
    assert plan.fit.target_bpp * plan.format.n_pixels / 8 == pytest.approx(
        len(groups(plan.model, (20,)))
    )


def test_recipes_without_a_rate_have_no_goal(source: Path) -> None:
    """The paper's recipe has no price of a bit, so there is nothing to steer."""
    with pytest.raises(
        ConfigError, match="preset is 'paper-xs', which has no rate to steer; legal .*: ultrafast, "
    ):
        plan_encode(source, preset="paper-xs", goal=Goal(size=5000))


@pytest.fixture
def plan(source: Path) -> EncodePlan:
    return plan_encode(source)


def test_a_time_budget_is_not_exceeded(plan: EncodePlan) -> None:
    """As many epochs as fit into the time, with a tenth to spare."""
    assert with_time_budget(plan, 100, seconds_an_epoch=2).fit.epochs == 45


def test_a_time_budget_leaves_time_to_refine(plan: EncodePlan) -> None:
    """Long fits are refined with as many passes as there are epochs left for."""
    fit = with_time_budget(plan, 1000, seconds_an_epoch=1).fit
    assert fit.n_rdoq_passes > 50 and 850 < fit.epochs + fit.n_rdoq_passes <= 900


def test_a_time_budget_keeps_the_stages_proportion(plan: EncodePlan) -> None:
    """Fine-tuning keeps its share of the epochs."""
    two_stages = replace(plan, fit=replace(plan.fit, epochs=30, finetune_epochs=10))
    fit = with_time_budget(two_stages, 80, seconds_an_epoch=1).fit
    assert (fit.epochs, fit.finetune_epochs) == (54, 18)


@pytest.mark.parametrize("fit", [FitConfig(), FitConfig(epochs=30, finetune_epochs=10)])
def test_too_short_a_time_is_refused(plan: EncodePlan, fit: FitConfig) -> None:
    """Less time than one epoch a stage takes is refused with the least that would do, which then
    does.
    """
    longer = replace(plan, fit=fit)
    with pytest.raises(ConfigError, match=r"time budget is 1 s; legal: at least \d+ s") as refusal:
        with_time_budget(longer, 1, seconds_an_epoch=1)
    least = float(str(refusal.value).split("at least ")[1].split(" ")[0])
    assert with_time_budget(longer, least, seconds_an_epoch=1).fit.epochs >= 1


def test_time_and_memory_of_a_plan(plan: EncodePlan) -> None:
    """An epoch over two segments takes as many steps as both have; memory is at least that of the
    interpreter.
    """
    halves = replace(plan, segments=((10,), (4, 5)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nervcodec.encoder.cost.seconds_per_step", lambda *_: 0.5)
        assert plan_module.seconds_an_epoch(halves) == 5.0
    assert memory_bytes(plan) > 300 << 20
