"""nervcodec.video.first_pass: what changes in a source, seen while it is probed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from videos import clip, film, format_of, png, y4m

from nervcodec.format.video_format import Layout
from nervcodec.video.first_pass import FirstPass
from nervcodec.video.frames import Frames
from nervcodec.video.geometry import Crop
from nervcodec.video.probe import probe_source
from nervcodec.video.scenes import changes
from nervcodec.video.source import SourceOptions
from nervcodec.video.writer import open_writer

DEFAULTS = SourceOptions()
PART = Crop(20, 16, 4, 2)


def eventful(layout: Layout = "yuv420", bit_depth: int = 8) -> Frames:
    """16 frames of faint noise that moves, with a cut at 9 and repeats at 3, 4 and 12."""
    frames = clip(16, 32, 24, layout, bit_depth)
    for plane in frames.planes:
        noise = plane[0] // 16
        for t in range(16):
            level = frames.peak // (2 if t < 9 else 4)
            plane[t] = plane[t - 1] if t in (3, 4, 12) else np.roll(noise, t, axis=1) + level
    return frames


def written(path: Path, frames: Frames, codec: str | None = None) -> Path:
    """A file of these frames."""
    with open_writer(path, format_of(frames, Fraction(25)), codec=codec) as writer:
        writer.write(frames)
    return path


def gray(folder: Path) -> Path:
    """4:2:0 with the chroma of gray."""
    frames = eventful()
    for plane in frames.planes[1:]:
        plane[:] = 128
    return written(folder / "gray.y4m", frames)


def alpha(folder: Path) -> Path:
    """Frames of a y4m file that are half transparent, each of one sample."""
    return y4m(folder / "alpha.y4m", "W4 H2 F25:1 Ip C444alpha", n_frames=5, frame_bytes=32)


SOURCES: dict[str, Callable[[Path], Path]] = {
    "y4m": lambda folder: written(folder / "a.y4m", eventful()),
    "10 bits": lambda folder: written(folder / "a.y4m", eventful("yuv422", 10)),
    "gray alone": lambda folder: written(folder / "a.y4m", eventful("gray")),
    "gray": gray,
    "flat": lambda folder: y4m(folder / "a.y4m", "W8 H4 F25:1 Ip C444", 12, 96),
    "alpha": alpha,
    "PNG": lambda folder: written(folder / "a", eventful("rgb")),
    "FFV1": lambda folder: written(folder / "a.mkv", eventful(), "ffv1"),
    "H.264": lambda folder: film(folder / "a.mp4"),
}


def both(path: Path, options: SourceOptions, numbers: range, first: int = 0) -> list[object]:
    """What the pass that probes and one of its own say."""
    watch = FirstPass(options, first, begins_anywhere=first == 0)
    form = probe_source(path, options, first_pass=watch).format
    return [watch.changes(form, numbers), changes(path, form, options, numbers)]


@pytest.mark.parametrize("kind", SOURCES)
def test_one_pass_sees_what_two_see(tmp_path: Path, kind: str) -> None:
    """Of the whole source, and of a part that begins where it was said to, or anywhere."""
    path = SOURCES[kind](tmp_path)
    n_frames = probe_source(path).format.n_frames
    for numbers, first in [(range(n_frames), 0), (range(2, n_frames - 1), 0), (range(3, 5), 3)]:
        once, twice = both(path, DEFAULTS, numbers, first)
        assert once == twice and once is not None


@pytest.mark.parametrize(
    "options",
    [
        SourceOptions(crop=PART),
        SourceOptions(scale=(24, 30)),
        SourceOptions(crop=PART, scale=(10, 8)),
    ],
)
@pytest.mark.parametrize("kind", ["y4m", "10 bits", "PNG", "FFV1", "H.264"])
def test_frames_are_seen_as_they_are_coded(
    tmp_path: Path, kind: str, options: SourceOptions
) -> None:
    """What is cropped off or lost by scaling does not count."""
    once, twice = both(SOURCES[kind](tmp_path), options, range(1, 9))
    assert once == twice and once is not None


def test_what_it_sees(tmp_path: Path) -> None:
    """Cuts are counted without repeats, gray and flat frames are known."""
    once, _ = both(SOURCES["y4m"](tmp_path), DEFAULTS, range(16))
    assert once[1:] == ((7,), (3, 4, 12), False, False)  # type: ignore[index]
    assert both(gray(tmp_path), DEFAULTS, range(16))[0][3:] == (True, False)  # type: ignore[index]


def test_a_part_that_was_not_looked_for_is_not_known(tmp_path: Path) -> None:
    """Neither what begins elsewhere nor what leaves frames out nor more than there is."""
    path = SOURCES["y4m"](tmp_path)
    watch = FirstPass(DEFAULTS, 3)
    form = probe_source(path, first_pass=watch).format
    for numbers in (range(2, 9), range(4, 9), range(3, 9, 2), [3, 5, 6], range(3, 17)):
        assert watch.changes(form, numbers) is None
    assert watch.changes(form, range(3, 9)) is not None


def test_pictures_that_turn_out_richer_are_not_known(tmp_path: Path) -> None:
    """A folder that begins with gray and goes on with RGB is coded as RGB; begun with RGB it is
    known.
    """
    for name, formats in (("a", ("gray", "rgb24", "gray")), ("b", ("rgb24", "gray", "rgba"))):
        (tmp_path / name).mkdir()
        for number, pix_fmt in enumerate(formats):
            png(tmp_path / name / f"{number}.png", pix_fmt, value=60 * number)
    assert both(tmp_path / "a", DEFAULTS, range(3))[0] is None
    once, twice = both(tmp_path / "b", DEFAULTS, range(3))
    assert once == twice and once is not None


@pytest.mark.parametrize(
    ("kind", "expected"), [("y4m", 16), ("PNG", 16), ("FFV1", 16), ("H.264", 10)]
)
def test_progress_is_counted(tmp_path: Path, kind: str, expected: int) -> None:
    """Frames rise one by one to those that were expected; with a bound, to that."""
    path = SOURCES[kind](tmp_path)
    for n_frames, n_all in ((None, expected), (4, 4)):
        seen: list[tuple[int, int | None]] = []
        watch = FirstPass(DEFAULTS, on_progress=lambda *at, seen=seen: seen.append(at))
        probe_source(path, n_frames=n_frames, first_pass=watch)
        assert seen == [(n, n_all) for n in range(1, n_all + 1)]


def test_a_stream_without_a_length_is_counted_alone(tmp_path: Path) -> None:
    """An elementary stream does not say how many frames it has."""
    seen: list[tuple[int, int | None]] = []
    watch = FirstPass(DEFAULTS, on_progress=lambda *at: seen.append(at))
    probe_source(film(tmp_path / "a.h264", n_frames=3), first_pass=watch)
    assert seen == [(1, None), (2, None), (3, None)]
