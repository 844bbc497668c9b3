"""nervcodec.encoder.flat_check, and what an encode does with fits that are no better than flat."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from shell import Shell, write_clip

from nervcodec.encoder.flat_check import Outcome, best, errors, is_enough, next_attempt, outcome_of
from nervcodec.training.config import FitConfig
from nervcodec.video.frames import Frames

OPTIONS = ("--preset", "ultrafast", "--epochs", "67", "--threads", "1")


def ramp() -> Frames:
    """Two gray frames of 0 to 200."""
    values = np.linspace(0, 200, 2 * 8 * 8).reshape(2, 8, 8)
    return Frames("gray", (values.astype(np.uint8),))


def level(value: int) -> Frames:
    return Frames("gray", (np.full((2, 8, 8), value, np.uint8),))


def test_errors_are_of_samples_in_0_to_1() -> None:
    """A flat colour's is the variance, black's the mean square, the frames' own is 0."""
    frames = ramp()
    plane = frames.planes[0] / 255
    assert errors(frames, [level(0)]) == pytest.approx((np.square(plane).mean(), plane.var()))
    assert errors(frames, [frames[:1], frames[1:]])[0] == 0


def test_an_outcome_is_compared_with_a_flat_colour() -> None:
    """Black is worse than flat, the mean is as good, and the frames themselves have learnt."""
    frames = ramp()
    mean = round(float(frames.planes[0].mean()))
    black, flat, exact = (
        outcome_of(0, frames, [each], 0.1) for each in (level(0), level(mean), frames)
    )
    assert not black.is_legal and not black.is_learnt
    assert flat.is_legal and not flat.is_learnt
    assert exact.is_learnt and exact.below_db == -math.inf
    assert exact.cost == 0.1


def test_a_good_picture_of_one_colour_has_learnt() -> None:
    """One level off a video of one colour is good; far off it is worse than flat."""
    assert outcome_of(0, level(16), [level(17)], 0).is_learnt
    assert not outcome_of(0, level(16), [level(200)], 0).is_legal


def test_the_best_of_lawful_outcomes_is_chosen() -> None:
    """Among fits that are not worse than flat the least cost counts; there may be none."""
    flat, learnt = Outcome("flat", 0.0, 0.2), Outcome("learnt", -9.0, 0.3)
    worse = Outcome("worse", 3.0, 0.1)
    assert best([worse, flat, learnt]) is flat
    assert best([worse]) is None
    assert [is_enough(each) for each in ([learnt], [flat], [worse, worse], [flat, flat])] == [
        True,
        False,
        False,
        True,
    ]


def test_further_fits_are_slower_or_cheaper() -> None:
    """Without a target a tenth of lambda is tried, with one half the rates; seeds differ."""
    fit = FitConfig(rate_weight=0.01)
    assert next_attempt(fit, 2) == replace(fit, seed=2, rate_weight=0.01 / 100)
    assert next_attempt(replace(fit, seed=2**63 - 1), 1).seed == 0
    steered = replace(fit, target_bpp=0.5)
    slower = next_attempt(steered, 1)
    assert (slower.learning_rate, slower.rate_weight) == (fit.learning_rate / 2, 0.01)


def outcomes(monkeypatch: pytest.MonkeyPatch, *below: float) -> None:
    """Let fits end so many dB below a flat colour, one after the other, and cost ever less."""
    values: Iterator[float] = iter(below)
    costs = iter((3.0, 2.0, 1.0))

    def outcome(
        result: object, _: Frames, decoded: Iterator[Frames], *__: float
    ) -> Outcome[object]:
        assert sum(frames.n_frames for frames in decoded)
        return Outcome(result, next(values), next(costs))

    monkeypatch.setattr("nervcodec.encoder.fit_job.outcome_of", outcome)


def test_another_fit_takes_the_place_of_a_flat_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is that of the second fit, and a note says why."""
    write_clip(shell.folder / "in.y4m")
    assert shell("encode", "in.y4m", "first.nvpp", *OPTIONS).code == 0
    outcomes(monkeypatch, 0.0, -8.0)
    result = shell("encode", "in.y4m", "second.nvpp", *OPTIONS, "--checkpoint-every", "0")
    assert result.code == 0
    assert "the fit is no better than a flat colour" in result.err
    first, second = (shell.folder / f"{name}.nvpp" for name in ("first", "second"))
    assert first.read_bytes() != second.read_bytes()


def test_fits_that_are_all_worse_are_an_error(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three fits there is no file, and the error says so."""
    write_clip(shell.folder / "in.y4m")
    outcomes(monkeypatch, 8.0, 7.0, 6.5)
    result = shell("encode", "in.y4m", "out.nvpp", *OPTIONS)
    assert result.code == 3
    assert "3 fits are worse than a flat colour" in result.err.splitlines()[-1]
    assert not (shell.folder / "out.nvpp").exists()


def test_a_psnr_below_a_flat_colours_may_be_asked_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target PSNR is its own measure: no fit is compared with a flat colour."""
    write_clip(shell.folder / "in.y4m")
    outcomes(monkeypatch)
    assert shell("encode", "in.y4m", "out.nvpp", *OPTIONS, "--target-psnr", "20").code == 0
