"""nervcodec.training.rate_model: what can be asked for, and the rules that turn it into a price of
a bit.
"""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.encoder.presets import PRESETS
from nervcodec.encoder.target import Goal
from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.rate_model import (
    DEFAULT_CRF,
    MAX_CRF,
    NATS_PER_DB,
    expected_bpp,
    expected_rate_weight,
    rate_weight_of,
    still_share,
    usual_bpp,
    usual_db,
)

FORM = VideoFormat(320, 180, Fraction(25), 100)  # 4 seconds
N = 5_760_000  # its pixels
STILL = 5.0  # temporal information of a video that hardly moves


def test_size_bitrate_and_bpp_are_one_scale() -> None:
    """72,000 bytes, 144,000 bits a second and 0.1 bits a pixel are the same file of this video."""
    assert {
        goal.file_bpp(FORM) for goal in (Goal(size=72_000), Goal(bitrate=144_000), Goal(bpp=0.1))
    } == {0.1}


@pytest.mark.parametrize(
    "goal", [Goal(), Goal(crf=20), Goal(target_psnr=30), Goal(rate_weight=0.1)]
)
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
    assert Goal().start(FORM, N, STILL) is None


@given(st.floats(0, MAX_CRF - 3))
def test_three_more_crf_double_the_price(crf: float) -> None:
    """A bit is twice as dear every three steps."""
    assert rate_weight_of(crf + 3) == pytest.approx(2 * rate_weight_of(crf))


@pytest.mark.parametrize("crf", [-0.1, 63.1, float("nan")])
def test_crf_outside_its_scale(crf: float) -> None:
    """crf lies in 0..63."""
    with pytest.raises(ConfigError, match=r"crf is .*; legal: 0 \(best\) to 63 \(smallest\)"):
        Goal(crf=crf)


@given(st.floats(2e-3, 1))
def test_expectations_invert_each_other(bpp: float) -> None:
    """The rate weight expected of a rate is expected to give this rate."""
    assert expected_bpp(expected_rate_weight(bpp, N), N) == pytest.approx(bpp)


def test_starts_stay_on_the_scale() -> None:
    """However absurd the target, the fit starts at a price that a crf stands for."""
    assert expected_rate_weight(1e-9, N) == rate_weight_of(MAX_CRF)
    assert expected_rate_weight(1e9, N) == rate_weight_of(0)


def test_starts_towards_a_target() -> None:
    """The usual rate and the usual PSNR start at the usual price, higher ones at lower prices."""
    usual = rate_weight_of(DEFAULT_CRF)
    assert Goal(bpp=usual_bpp(N)).start(FORM, N, STILL) == pytest.approx(usual)
    assert Goal(target_psnr=usual_db(STILL)).start(FORM, N, STILL) == pytest.approx(usual)
    assert Goal(rate_weight=0.5).start(FORM, N, STILL) == 0.5
    starts = [
        Goal(target_psnr=psnr).start(FORM, N, STILL) or 0 for psnr in (20, 25, 29, 30, 32, 34)
    ]
    assert starts == sorted(starts, reverse=True) and len(set(starts)) == 6


def test_a_low_psnr_starts_with_care() -> None:
    """Three decibels less than usual make a bit less dear than three more make it cheap: the video
    may be hard.
    """
    usual = rate_weight_of(DEFAULT_CRF)
    up, down = (
        math.log((Goal(target_psnr=usual_db(STILL) + db).start(FORM, N, STILL) or 0) / usual)
        for db in (3, -3)
    )
    assert down == pytest.approx(-0.6 * up)
    assert up == pytest.approx(-2 * 3 * NATS_PER_DB)


def test_lively_video_is_worse_at_the_usual_price() -> None:
    """29.5 dB where little changes; e times as much change takes 4 dB."""
    assert usual_db(0) == usual_db(7) == 29.5
    assert usual_db(7 * math.e) == pytest.approx(25.5)
    lively = Goal(target_psnr=27).start(FORM, N, 30.0) or 0
    assert lively < (Goal(target_psnr=27).start(FORM, N, STILL) or 0)


def test_short_videos_usually_take_more_bits_a_pixel() -> None:
    """The usual rate is that of bunny 320x180 at its 132 frames, and falls as more pixels share a
    network.
    """
    assert usual_bpp(132 * 320 * 180) == pytest.approx(0.067, rel=0.01)
    rates = [usual_bpp(n) for n in (1, 10**4, 10**6, 10**8)]
    assert rates == sorted(rates, reverse=True)


def test_short_still_video_takes_less_than_usual() -> None:
    """Level from 3 million pixels on, 0.79 of the usual bits for 30 frames of 176 x 144, no less
    below 0.2 million.
    """
    assert [still_share(n) for n in (10**8, 3_000_000)] == [1, 1]
    assert still_share(30 * 176 * 144) == pytest.approx(0.79, abs=0.005)
    assert still_share(1) == still_share(200_000) == pytest.approx(15**-0.17)
