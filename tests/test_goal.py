"""nervcodec.goal: what can be asked for, and the rules that turn it into a price of a bit."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.config import VideoFormat
from nervcodec.errors import ConfigError
from nervcodec.goal import (DEFAULT_CRF, MAX_CRF, Goal, expected_bpp, expected_rate_weight, rate_weight_of,
                            usual_bpp)
from nervcodec.presets import PRESETS

FORM = VideoFormat(320, 180, Fraction(25), 100)  # 4 seconds
N = 5_760_000  # its pixels


def test_size_bitrate_and_bpp_are_one_scale() -> None:
    """72,000 bytes, 144,000 bits a second and 0.1 bits a pixel are the same file of this video."""
    assert {goal.file_bpp(FORM) for goal in (Goal(size=72_000), Goal(bitrate=144_000), Goal(bpp=0.1))} == {0.1}


@pytest.mark.parametrize("goal", [Goal(), Goal(crf=20), Goal(target_psnr=30), Goal(rate_weight=0.1)])
def test_other_goals_have_no_size(goal: Goal) -> None:
    """Only a size, a bitrate and bits a pixel fix the file's size."""
    assert goal.file_bpp(FORM) is None


def test_one_goal_at_a_time() -> None:
    """Two goals are refused by name."""
    with pytest.raises(ConfigError, match="crf and target psnr are given; legal: one of them"):
        Goal(crf=20, target_psnr=30)


@pytest.mark.parametrize("name", ["size", "bitrate", "bpp", "target_psnr"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_goals_are_positive(name: str, value: float) -> None:
    """Nothing, less than nothing and what is no number are refused."""
    with pytest.raises(ConfigError, match=f"{name.replace('_', ' ')} is .*; legal: above 0"):
        Goal(**{name: value})


def test_the_usual_crf_is_the_presets_rate_weight() -> None:
    """Without a goal the presets fit at the price that crf 30 stands for."""
    assert rate_weight_of(DEFAULT_CRF) == pytest.approx(PRESETS["medium"].fit.rate_weight)
    assert Goal().start(FORM, N) is None


@given(st.floats(0, MAX_CRF - 3))
def test_three_more_crf_double_the_price(crf: float) -> None:
    """A bit is twice as dear every three steps."""
    assert rate_weight_of(crf + 3) == pytest.approx(2 * rate_weight_of(crf))


@pytest.mark.parametrize("crf", [-0.1, 63.1, float("nan")])
def test_crf_outside_its_scale(crf: float) -> None:
    """crf lies in 0..63."""
    with pytest.raises(ConfigError, match=r"crf is .*; legal: 0 \(best\) to 63 \(smallest\)"):
        Goal(crf=crf).start(FORM, N)


@given(st.floats(2e-3, 1))
def test_expectations_invert_each_other(bpp: float) -> None:
    """The rate weight expected of a rate is expected to give this rate."""
    assert expected_bpp(expected_rate_weight(bpp, N), N) == pytest.approx(bpp)


def test_starts_stay_on_the_scale() -> None:
    """However absurd the target, the fit starts at a price that a crf stands for."""
    assert expected_rate_weight(1e-9, N) == rate_weight_of(MAX_CRF)
    assert expected_rate_weight(1e9, N) == rate_weight_of(0)


def test_starts_towards_a_target() -> None:
    """The usual rate starts at the usual price, and so does any PSNR up to the usual; higher ones at lower prices."""
    usual = rate_weight_of(DEFAULT_CRF)
    assert Goal(bpp=usual_bpp(N)).start(FORM, N) == pytest.approx(usual)
    assert Goal(target_psnr=30).start(FORM, N) == pytest.approx(usual)
    assert Goal(rate_weight=0.5).start(FORM, N) == 0.5
    assert Goal(target_psnr=20).start(FORM, N) == pytest.approx(usual)
    starts = [Goal(target_psnr=psnr).start(FORM, N) or 0 for psnr in (30, 32, 34)]
    assert starts == sorted(starts, reverse=True) and len(set(starts)) == 3


def test_short_videos_usually_take_more_bits_a_pixel() -> None:
    """The usual rate is that of bunny 320x180 at its 132 frames, and falls as more pixels share a network."""
    assert usual_bpp(132 * 320 * 180) == pytest.approx(0.067, rel=0.01)
    rates = [usual_bpp(n) for n in (1, 10**4, 10**6, 10**8)]
    assert rates == sorted(rates, reverse=True)
