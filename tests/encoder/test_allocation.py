"""How a size is shared among segments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from shell import write_clip

from nervcodec.encoder.allocation import (
    AllocationRule,
    SegmentComplexity,
    allocate,
    needs_shares,
    segment_complexity,
    segment_fits,
)
from nervcodec.encoder.fit_plan import FitPlan, plan_fit
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.target import Crf, Psnr, Size
from nervcodec.errors import ConfigError
from nervcodec.format.video_format import LAYOUTS, ColorTags
from nervcodec.video.color import to_layout
from nervcodec.video.frames import Frames

RULE = AllocationRule()
WIDE = (0.0, 1e12)
Complexities = st.lists(
    st.builds(SegmentComplexity, st.integers(1, 10**8), st.floats(1, 1e9)), min_size=1, max_size=20
)


@given(Complexities, st.floats(1, 1e9))
def test_parts_add_up(complexities: list[SegmentComplexity], target: float) -> None:
    """All bits are given away, none twice, and no segment gets less than a sixth or more than four
    times an equal share.
    """
    bits = allocate(complexities, target, [WIDE] * len(complexities))
    assert sum(bits) == pytest.approx(target, rel=1e-9)
    n_pixels = sum(each.n_pixels for each in complexities)
    for part, each in zip(bits, complexities, strict=True):
        equal = target * each.n_pixels / n_pixels
        assert RULE.least * equal * (1 - 1e-9) <= part <= RULE.most * equal * (1 + 1e-9)


@given(Complexities, st.floats(1, 1e9), st.data())
def test_bounds_hold(
    complexities: list[SegmentComplexity], target: float, data: st.DataObject
) -> None:
    """Whatever segments can have is kept to, even where shares then are none of the usual ones."""
    limits = st.tuples(st.floats(0, target), st.floats(0, 3 * target))
    drawn = [data.draw(limits) for _ in complexities]
    bounds = [(least, least + more) for least, more in drawn]
    assume(sum(low for low, _ in bounds) <= target <= sum(high for _, high in bounds))
    bits = allocate(complexities, target, bounds)
    assert sum(bits) == pytest.approx(target, rel=1e-9)
    for part, (low, high) in zip(bits, bounds, strict=True):
        assert low <= part <= high


def test_bits_go_with_a_power_of_the_survey() -> None:
    """Of two segments of one size the one with twice the survey's bits gets 2^0.85 times as many;
    half a segment gets half the bits.
    """
    twice = [SegmentComplexity(100, 10.0), SegmentComplexity(100, 20.0)]
    low, high = allocate(twice, 1000, [WIDE] * 2)
    assert high / low == pytest.approx(2**RULE.exponent)
    assert allocate(
        [SegmentComplexity(100, 10.0), SegmentComplexity(50, 5.0)], 900, [WIDE] * 2
    ) == pytest.approx([600, 300])


def test_a_segment_that_is_full_leaves_its_bits_to_others() -> None:
    """What one network cannot hold goes to the others in their proportion."""
    three = [SegmentComplexity(100, bits) for bits in (10.0, 10.0, 10.0)]
    assert allocate(three, 900, [(0, 100), WIDE, WIDE]) == pytest.approx([100, 400, 400])


def test_what_no_segments_can_hold_is_refused() -> None:
    """A target outside of all bounds is an error that says what is legal."""
    with pytest.raises(ConfigError, match="bits of all segments are 900; legal: 0 to 200"):
        allocate([SegmentComplexity(100, 10.0)] * 2, 900, [(0, 100)] * 2)


def clips(n_frames: int = 6) -> tuple[Frames, Frames]:
    """Return a smooth and a busy clip of 48 x 40."""
    rng = np.random.default_rng(1)
    smooth, busy = (Frames.empty("yuv420", n_frames, 48, 40) for _ in range(2))
    for plane in smooth.planes:
        plane[:] = 120 + np.arange(plane.shape[2]) // 4
    coarse = rng.integers(0, 256, (n_frames, 10, 12))
    busy.planes[0][:] = coarse.repeat(4, axis=1).repeat(4, axis=2)
    for plane in busy.planes[1:]:
        plane[:] = 128
    return smooth, busy


def test_busy_segments_take_more() -> None:
    """The survey finds several times the bits where there is much to see, and the same every
    time.
    """
    smooth, busy = clips()
    surveys = [segment_complexity(each, (6,)) for each in (smooth, busy)]
    assert surveys[1].bits > 2 * surveys[0].bits
    assert surveys[1].n_pixels == 6 * 48 * 40
    assert surveys[1] == segment_complexity(busy, (6,))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_are_surveyed_by_their_luma(layout: str) -> None:
    """Chroma counts nothing, and RGB gives nearly what its luma gives."""
    busy = clips()[1]
    there = to_layout(busy, layout, ColorTags())  # type: ignore[arg-type]
    assert segment_complexity(there, (2, 4)).bits == pytest.approx(
        segment_complexity(busy, (2, 4)).bits, rel=0.02 if layout == "rgb" else 0
    )


@pytest.mark.parametrize(("width", "height", "n_frames"), [(1, 1, 1), (7, 9, 2), (16, 2, 3)])
def test_small_frames_are_surveyed(width: int, height: int, n_frames: int) -> None:
    """Frames may be smaller than a cell of the network."""
    frames = Frames.empty("gray", n_frames, width, height, 10)
    frames.planes[0][:] = 500
    assert segment_complexity(frames, (n_frames,)).bits > 0


@pytest.fixture(name="decided")
def plan_fixture(tmp_path: Path) -> FitPlan:
    """A plan of three segments for a size."""
    write_clip(tmp_path / "in.y4m", n_frames=9)
    return plan_fit(tmp_path / "in.y4m", EncodeOptions(target=Size(900), segment_frames=3))


def test_fits_are_steered_to_shares_of_the_file(decided: FitPlan) -> None:
    """The shares of all fits make the plan's bits, and only the target differs from its fit."""
    assert needs_shares(decided)
    surveys = [
        SegmentComplexity(n * decided.n_coded_pixels // 9, b)
        for n, b in zip(decided.lengths, (100.0, 200.0, 400.0))
    ]
    fits = segment_fits(decided, surveys)
    bits = [fit.target_bpp * each.n_pixels for fit, each in zip(fits, surveys, strict=True)]
    assert sum(bits) == pytest.approx(decided.fit.target_bpp * decided.n_coded_pixels)
    assert bits[0] < bits[1] < bits[2]
    assert [replace(fit, target_bpp=decided.fit.target_bpp) for fit in fits] == [decided.fit] * 3


def test_without_a_survey_shares_are_equal(decided: FitPlan) -> None:
    """Each fit is the plan's."""
    assert segment_fits(decided) == [decided.fit] * 3


@pytest.mark.parametrize(
    "options",
    [
        EncodeOptions(target=Size(900)),  # one segment
        EncodeOptions(target=Crf(30), segment_frames=3),
        EncodeOptions(target=Psnr(25), segment_frames=3),
        EncodeOptions(segment_frames=3),
    ],
)
def test_only_sizes_of_several_segments_need_a_survey(
    tmp_path: Path, options: EncodeOptions
) -> None:
    """One segment has all bits, and a lambda or a PSNR is the same for all segments."""
    write_clip(tmp_path / "in.y4m", n_frames=9)
    decided = plan_fit(tmp_path / "in.y4m", options)
    assert not needs_shares(decided)
    assert set(segment_fits(decided)) == {decided.fit}
