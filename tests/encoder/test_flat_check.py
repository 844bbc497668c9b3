"""nervcodec.encoder.flat_check, and what an encode does with fits that end below a flat colour."""

from collections.abc import Iterator

import numpy as np
import pytest
from shell import Shell, write_clip

from nervcodec.encoder.flat_check import decibels_below_flat
from nervcodec.video.frames import Frames

OPTIONS = ("--preset", "ultrafast", "--epochs", "67", "--threads", "1")


def ramp() -> Frames:
    """Two gray frames of 0 to 200."""
    values = np.linspace(0, 200, 2 * 8 * 8).reshape(2, 8, 8)
    return Frames("gray", (values.astype(np.uint8),))


def level(value: int) -> Frames:
    return Frames("gray", (np.full((2, 8, 8), value, np.uint8),))


def test_a_flat_colour_is_the_measure() -> None:
    """The mean colour itself is as good as flat, black 6 dB worse, and the frames far better."""
    frames = ramp()
    mean = round(float(frames.planes[0].mean()))
    assert abs(decibels_below_flat(frames, [level(mean)])) < 0.1
    plane = frames.planes[0].astype(float)
    expected = 10 * np.log10(np.square(plane).mean() / plane.var())
    assert decibels_below_flat(frames, [level(0)]) == pytest.approx(expected)
    assert decibels_below_flat(frames, [frames[:1], frames[1:]]) < -20


def test_flat_videos_are_no_measure_for_good_fits() -> None:
    """One level off a video of one colour is not below it."""
    assert decibels_below_flat(level(16), [level(17)]) == 0
    assert decibels_below_flat(level(16), [level(200)]) > 20


def attempts(monkeypatch: pytest.MonkeyPatch, *below: float) -> None:
    """Let fits end so many dB below a flat colour, one after the other."""
    values: Iterator[float] = iter(below)
    monkeypatch.setattr("nervcodec.encoder.encode.decibels_below_flat", lambda *_: next(values))


def test_a_fit_below_a_flat_colour_begins_anew(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another fit takes its place, with a note; the file is that of the second one."""
    write_clip(shell.folder / "in.y4m")
    assert shell("encode", "in.y4m", "first.nvpp", *OPTIONS).code == 0
    attempts(monkeypatch, 8.0, 0.0)
    result = shell("encode", "in.y4m", "second.nvpp", *OPTIONS, "--checkpoint-every", "0")
    assert result.code == 0
    assert "segment 1: the fit ended 8.0 dB below a flat colour; it begins anew" in result.err
    first, second = (shell.folder / f"{name}.nvpp" for name in ("first", "second"))
    assert first.read_bytes() != second.read_bytes()


def test_an_encode_that_stays_below_a_flat_colour_is_an_error(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three fits there is no file, and the error says how far they were off."""
    write_clip(shell.folder / "in.y4m")
    attempts(monkeypatch, 8.0, 7.0, 6.5)
    result = shell("encode", "in.y4m", "out.nvpp", *OPTIONS)
    assert result.code == 3
    assert "3 fits ended below a flat colour, the last one by 6.5 dB" in result.err.splitlines()[-1]
    assert not (shell.folder / "out.nvpp").exists()
