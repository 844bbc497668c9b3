"""nervcodec.encoder.target and training.rate_model: what can be asked for, and the rules that turn
it into a lambda.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.encoder.presets import PRESETS
from nervcodec.encoder.target import Bitrate, BitsPerPixel, Crf, Lambda, Psnr, Size, Target
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


def start(target: Target, temporal_information: float = STILL) -> float:
    return target.start_lambda(FORM, N, temporal_information)


def test_size_bitrate_and_bpp_are_one_scale() -> None:
    """72,000 bytes, 144,000 bits a second and 0.1 bits a pixel are the same file of this video."""
    targets = (Size(72_000), Bitrate(144_000), BitsPerPixel(0.1))
    assert {target.file_bpp(FORM) for target in targets} == {0.1}
    assert len({start(target) for target in targets}) == 1


@pytest.mark.parametrize("target", [Crf(20), Psnr(30), Lambda(0.1)])
def test_other_targets_have_no_size(target: Target) -> None:
    """Only a size, a bitrate and bits a pixel fix the file's size."""
    assert target.file_bpp(FORM) is None


def test_one_target_has_a_quality() -> None:
    """Only a PSNR fixes the file's quality."""
    assert Psnr(31.5).psnr_db == 31.5
    others = (Crf(20), Lambda(0.1), Size(1), Bitrate(1), BitsPerPixel(1))
    assert {target.psnr_db for target in others} == {None}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Size, "size"), (Bitrate, "bitrate"), (BitsPerPixel, "bpp"), (Psnr, "target PSNR")],
)
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_targets_are_positive(kind: Callable[[float], Target], name: str, value: float) -> None:
    """Nothing, less than nothing and what is no number are refused."""
    with pytest.raises(ConfigError, match=f"{name} is .*; legal: above 0"):
        kind(value)


@pytest.mark.parametrize("value", [-1.0, 1001.0, float("nan")])
def test_a_lambda_has_a_range(value: float) -> None:
    """The weight of a bit lies in 0..1000."""
    with pytest.raises(ConfigError, match="rate weight is .*; legal: 0 to 1000"):
        Lambda(value)


def test_the_usual_crf_is_the_presets_lambda() -> None:
    """Without a target the presets fit at the lambda that crf 30 stands for."""
    assert rate_weight_of(DEFAULT_CRF) == pytest.approx(PRESETS["medium"].fit.rate_weight)
    assert start(Crf(DEFAULT_CRF)) == rate_weight_of(DEFAULT_CRF)


@given(st.floats(0, MAX_CRF - 3))
def test_three_more_crf_double_lambda(crf: float) -> None:
    """A bit is twice as dear every three steps."""
    assert rate_weight_of(crf + 3) == pytest.approx(2 * rate_weight_of(crf))


@pytest.mark.parametrize("crf", [-0.1, 63.1, float("nan")])
def test_crf_outside_its_scale(crf: float) -> None:
    """crf lies in 0..63."""
    with pytest.raises(ConfigError, match=r"crf is .*; legal: 0 \(best\) to 63 \(smallest\)"):
        Crf(crf)


@given(st.floats(2e-3, 1))
def test_expectations_invert_each_other(bpp: float) -> None:
    """The lambda expected of a rate is expected to give this rate."""
    assert expected_bpp(expected_rate_weight(bpp, N), N) == pytest.approx(bpp)


def test_starts_stay_on_the_scale() -> None:
    """However absurd the target, the fit starts at a lambda that a crf stands for."""
    assert expected_rate_weight(1e-9, N) == rate_weight_of(MAX_CRF)
    assert expected_rate_weight(1e9, N) == rate_weight_of(0)


def test_starts_towards_a_target() -> None:
    """The usual rate and the usual PSNR start at the usual lambda, higher ones at lower ones."""
    usual = rate_weight_of(DEFAULT_CRF)
    assert start(BitsPerPixel(usual_bpp(N))) == pytest.approx(usual)
    assert start(Psnr(usual_db(STILL))) == pytest.approx(usual)
    assert start(Lambda(0.5)) == 0.5
    starts = [start(Psnr(psnr)) for psnr in (20, 25, 29, 30, 32, 34)]
    assert starts == sorted(starts, reverse=True) and len(set(starts)) == 6


def test_a_low_psnr_starts_with_care() -> None:
    """Three decibels less than usual make a bit less dear than three more make it cheap: the video
    may be hard.
    """
    usual = rate_weight_of(DEFAULT_CRF)
    up, down = (math.log(start(Psnr(usual_db(STILL) + db)) / usual) for db in (3, -3))
    assert down == pytest.approx(-0.6 * up)
    assert up == pytest.approx(-2 * 3 * NATS_PER_DB)


def test_high_motion_is_worse_at_the_usual_lambda() -> None:
    """29.5 dB where little changes; e times as much change takes 4 dB."""
    assert usual_db(0) == usual_db(7) == 29.5
    assert usual_db(7 * math.e) == pytest.approx(25.5)
    assert start(Psnr(27), 30.0) < start(Psnr(27), STILL)


def test_short_videos_usually_take_more_bits_a_pixel() -> None:
    """The usual rate is that of bunny 320x180 at its 132 frames, and falls as more pixels share a
    network.
    """
    assert usual_bpp(132 * 320 * 180) == pytest.approx(0.067, rel=0.01)
    rates = [usual_bpp(n) for n in (1, 10**4, 10**6, 10**8)]
    assert rates == sorted(rates, reverse=True)


def test_short_low_motion_video_takes_less_than_usual() -> None:
    """Level from 3 million pixels on, 0.79 of the usual bits for 30 frames of 176 x 144, no less
    below 0.2 million.
    """
    assert [still_share(n) for n in (10**8, 3_000_000)] == [1, 1]
    assert still_share(30 * 176 * 144) == pytest.approx(0.79, abs=0.005)
    assert still_share(1) == still_share(200_000) == pytest.approx(15**-0.17)
