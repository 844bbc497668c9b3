"""nervcodec.motion: how much changes from frame to frame."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nervcodec.color import Frames
from nervcodec.config import VideoFormat
from nervcodec.motion import temporal_information
from nervcodec.video import open_writer


def measured(path: Path, luma: list[np.ndarray], layout: str = "yuv420") -> float:
    """The temporal information of a video whose luma (of RGB: green) is given and whose other planes are noise."""
    frames = Frames.empty(layout, len(luma), luma[0].shape[1], luma[0].shape[0])
    for plane in frames.planes:
        plane[:] = np.random.default_rng(0).integers(0, 256, plane.shape)
    frames.planes[0 if layout == "yuv420" else 1][:] = luma
    form = VideoFormat(frames.width, frames.height, Fraction(25), len(luma), layout)
    with open_writer(path, form) as writer:
        writer.write(frames)
    return temporal_information(path, form)


def checkered(amplitude: int) -> np.ndarray:
    """128 +- amplitude on the squares of a board of 8 x 6."""
    return np.where(np.indices((6, 8)).sum(axis=0) % 2, 128 - amplitude, 128 + amplitude)


@pytest.mark.parametrize(("suffix", "layout"), [(".y4m", "yuv420"), ("", "rgb")])
def test_it_is_the_deviation_of_what_changes(tmp_path: Path, suffix: str, layout: str) -> None:
    """A board whose squares move by 20 up and down has 20, whatever the other planes do."""
    assert measured(tmp_path / f"a{suffix}", [checkered(0), checkered(20)], layout) == 20


def test_a_change_of_brightness_is_none(tmp_path: Path) -> None:
    """What changes everywhere alike has no deviation: a fade is not motion."""
    assert measured(tmp_path / "a.y4m", [checkered(10), checkered(10) + 50]) == 0


def test_a_cut_does_not_count(tmp_path: Path) -> None:
    """The median forgets a cut among many small changes."""
    amplitudes = [0, 2, 0, 2, 0, 100, 98, 100, 98]
    assert measured(tmp_path / "a.y4m", [checkered(amplitude) for amplitude in amplitudes]) == 2


def test_one_frame_has_none(tmp_path: Path) -> None:
    """A single frame does not change."""
    assert measured(tmp_path / "a.y4m", [checkered(90)]) == 0


def test_only_the_first_150_frames_are_read(tmp_path: Path) -> None:
    """What comes later does not matter, so that a long film costs no more."""
    assert measured(tmp_path / "a.y4m", [checkered(0)] * 150 + [checkered(50 * (t % 2)) for t in range(200)]) == 0
