"""nervcodec.video.scenes: how much changes from frame to frame, and cuts."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.video.frames import Frames
from nervcodec.video.scenes import changes, find_cuts
from nervcodec.video.writer import open_writer


def measured(
    path: Path, luma: list[np.ndarray], layout: Layout = "yuv420"
) -> tuple[float, tuple[int, ...]]:
    """Temporal information and cuts of a video whose luma (of RGB: green) is given and whose other
    planes are noise.
    """
    frames = Frames.empty(layout, len(luma), luma[0].shape[1], luma[0].shape[0])
    for plane in frames.planes:
        plane[:] = np.random.default_rng(0).integers(0, 256, plane.shape)
    frames.planes[0 if layout == "yuv420" else 1][:] = luma
    form = VideoFormat(frames.width, frames.height, Fraction(25), len(luma), layout)
    with open_writer(path, form) as writer:
        writer.write(frames)
    return changes(path, form)[:2]


def checkered(amplitude: int) -> np.ndarray:
    """128 +- amplitude on the squares of a board of 8 x 6."""
    return np.where(np.indices((6, 8)).sum(axis=0) % 2, 128 - amplitude, 128 + amplitude)


@pytest.mark.parametrize(("suffix", "layout"), [(".y4m", "yuv420"), ("", "rgb")])
def test_it_is_the_deviation_of_what_changes(tmp_path: Path, suffix: str, layout: Layout) -> None:
    """A board whose squares move by 20 up and down has 20, whatever the other planes do."""
    assert measured(tmp_path / f"a{suffix}", [checkered(0), checkered(20)], layout) == (20, ())


def test_a_change_of_brightness_is_none(tmp_path: Path) -> None:
    """What changes everywhere alike has no deviation: a fade is not motion."""
    assert measured(tmp_path / "a.y4m", [checkered(10), checkered(10) + 50])[0] == 0


def test_a_cut_does_not_count(tmp_path: Path) -> None:
    """The median forgets a cut among many small changes."""
    amplitudes = [0, 2, 0, 2, 0, 100, 98, 100, 98]
    assert measured(tmp_path / "a.y4m", [checkered(amplitude) for amplitude in amplitudes])[0] == 2


def test_one_frame_has_none(tmp_path: Path) -> None:
    """A single frame does not change."""
    assert measured(tmp_path / "a.y4m", [checkered(90)]) == (0, ())


def test_only_the_first_150_frames_count(tmp_path: Path) -> None:
    """How lively a film is is told by its beginning."""
    assert (
        measured(
            tmp_path / "a.y4m", [checkered(0)] * 150 + [checkered(50 * (t % 2)) for t in range(200)]
        )[0]
        == 0
    )


# --- cuts ---


@pytest.mark.parametrize(("suffix", "layout"), [(".y4m", "yuv420"), ("", "rgb")])
def test_a_cut_begins_a_shot(tmp_path: Path, suffix: str, layout: Layout) -> None:
    """The first frame of another scene is found, whatever the other planes do, and wherever in the
    film it stands.
    """
    scenes = [checkered(10), 200 - checkered(60)]
    luma = [scenes[0]] * 5 + [scenes[1]] * 4 + [scenes[0]] * 160 + [scenes[1]]
    assert measured(tmp_path / f"a{suffix}", luma, layout)[1] == (5, 9, 169)


def test_what_changes_all_the_time_is_no_cut(tmp_path: Path) -> None:
    """Neither frames that have nothing in common, nor a flash of one frame, nor a fade."""
    rng = np.random.default_rng(0)
    assert measured(tmp_path / "a.y4m", [rng.integers(0, 256, (6, 8)) for _ in range(9)])[1] == ()
    assert measured(tmp_path / "b.y4m", [checkered(9) + 90 * (t == 5) for t in range(9)])[1] == ()
    assert measured(tmp_path / "c.y4m", [checkered(9) + 10 * t for t in range(9)])[1] == ()


@pytest.mark.parametrize(
    ("changed", "cuts"),
    [
        ([], ()),
        ([99.0], ()),
        ([0.0, 9.0], (2,)),
        ([9.0, 0.0], (1,)),
        ([0.0, 4.0, 0.0], ()),
        ([5.0, 10.0, 5.0], ()),
        ([5.0, 10.1, 5.0], (2,)),
        ([9.0, 1, 1, 1, 9], (1, 5)),
        ([1.0, 1, 9, 1, 1, 9, 1], ()),
        ([1.0, 9, 1, 1, 1, 9], (2, 6)),
    ],
)
def test_a_cut_stands_out(changed: list[float], cuts: tuple[int, ...]) -> None:
    """More than 4 levels, and more than twice what the three changes before and after it are."""
    assert find_cuts(changed) == cuts


# --- repeats ---


def film(
    path: Path, levels: list[int], chroma: list[int] | None = None
) -> tuple[Path, VideoFormat]:
    """A video of boards of these amplitudes, and of chroma of these levels."""
    frames = Frames.empty("yuv420", len(levels), 8, 6)
    frames.planes[0][:] = [checkered(level) for level in levels]
    for plane in frames.planes[1:]:
        plane[:] = np.reshape(chroma or [128] * len(levels), (-1, 1, 1))
    form = VideoFormat(8, 6, Fraction(25), len(levels))
    with open_writer(path, form) as writer:
        writer.write(frames)
    return path, form


def test_equal_neighbours_are_repeats(tmp_path: Path) -> None:
    """A frame that equals the one before in every plane repeats it; others do not, nor does one
    that was shown earlier.
    """
    path, form = film(tmp_path / "a.y4m", [0, 0, 0, 2, 0, 0], [9, 9, 9, 9, 9, 8])
    assert changes(path, form).repeats == (1, 2)


def test_repeats_are_no_motion(tmp_path: Path) -> None:
    """Held frames count as frames without any change, and do not hide cuts."""
    path, form = film(tmp_path / "a.y4m", [0] * 9 + [20] * 9 + [0] * 9)
    assert changes(path, form).temporal_information == 0
    frames = [np.full((6, 8), 16)] * 5 + [np.full((6, 8), 200)] * 5 + [np.full((6, 8), 90)] * 5
    same = Frames.empty("yuv420", len(frames), 8, 6)
    for plane in same.planes:
        plane[:] = 128
    same.planes[0][:] = frames
    with open_writer(tmp_path / "b.y4m", VideoFormat(8, 6, Fraction(25), 15)) as writer:
        writer.write(same)
    found = changes(tmp_path / "b.y4m", VideoFormat(8, 6, Fraction(25), 15))
    assert found.cuts == (1, 2) and len(found.repeats) == 12


def test_only_the_numbered_frames_are_looked_at(tmp_path: Path) -> None:
    """Frames that are left out change nothing: those beside them are neighbours."""
    path, form = film(tmp_path / "a.y4m", [0, 90, 0, 20, 20])
    assert changes(path, form, numbers=[0, 2, 3])[:3] == (10, (1,), (1,))


@pytest.mark.parametrize("plane", [None, 0, 1, 2])
def test_frames_of_one_colour_each_are_flat(tmp_path: Path, plane: int | None) -> None:
    """Colours may change in time; one other sample of one plane of the last frame is enough not to
    be flat.
    """
    frames = Frames.empty("yuv420", 3, 8, 6)
    for values in frames.planes:
        values[:] = np.array([20, 90, 200]).reshape(3, 1, 1)
    if plane is not None:
        frames.planes[plane][2, -1, -1] += 1
    form = VideoFormat(8, 6, Fraction(25), 3)
    with open_writer(tmp_path / "a.y4m", form) as writer:
        writer.write(frames)
    assert changes(tmp_path / "a.y4m", form).is_flat == (plane is None)
