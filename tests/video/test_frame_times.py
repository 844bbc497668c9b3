"""Frame times of sources, and in the containers that are written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from videos import clip, film, format_of, y4m

from nervcodec.format.times import FrameTimes
from nervcodec.video.probe import probe_source
from nervcodec.video.reader import read_groups
from nervcodec.video.source import SourceOptions
from nervcodec.video.writer import open_writer

MS = Fraction(1, 1000)
TICKS = [0, 33, 66, 500, 541, 580, 1000]
IRREGULAR = FrameTimes.of_ticks(MS, TICKS, 150)
LATE = FrameTimes(Fraction(1, 90000), 45000)
CODECS = [
    (".mp4", "libx264"),
    (".mp4", "libx265"),
    (".mp4", "libsvtav1"),
    (".mov", "libx264"),
    (".mkv", "libx264"),
    (".mkv", "libx265"),
    (".mkv", "ffv1"),
    (".webm", "libvpx-vp9"),
]


def written(path: Path, times: FrameTimes, codec: str | None = None) -> tuple[str, ...]:
    """Write seven frames of noise at these times; return the notes."""
    frames = clip(7, 64, 48)
    with open_writer(path, format_of(frames, Fraction(7)), codec=codec, times=times) as writer:
        writer.write(frames[:3])
        writer.write(frames[3:])
    return writer.notes


def shown(path: Path) -> tuple[list[Fraction], Fraction]:
    """The seconds at which frames are shown, and how long the last one is."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(frame.pts, frame.duration) for frame in container.decode(stream)]
        assert stream.time_base
        times = [time * stream.time_base for time, _ in frames if time is not None]
        return times, frames[-1][1] * stream.time_base


@pytest.mark.parametrize(("suffix", "codec"), CODECS)
def test_times_come_back(tmp_path: Path, suffix: str, codec: str) -> None:
    """Every frame is shown when it was, and the last one for as long, whether the encoder reorders
    frames or not.
    """
    assert written(tmp_path / f"a{suffix}", IRREGULAR, codec) == ()
    assert shown(tmp_path / f"a{suffix}") == ([tick * MS for tick in TICKS], 150 * MS)
    source = probe_source(tmp_path / f"a{suffix}")
    assert source.times and source.times.ticks(source.format)[-1] * source.times.unit == 1150 * MS


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_times_of_any_unit_are_exact(tmp_path: Path, suffix: str) -> None:
    """MP4 and MOV take the time base of the source."""
    ticks = [0, 3003, 6007, 9009, 15001, 18018, 27027]
    unit = Fraction(1, 90000)
    written(tmp_path / f"a{suffix}", FrameTimes.of_ticks(unit, ticks, 2999))
    assert shown(tmp_path / f"a{suffix}") == ([tick * unit for tick in ticks], 2999 * unit)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_late_start_comes_back(tmp_path: Path, suffix: str) -> None:
    """Frames of a constant rate begin when they did."""
    assert written(tmp_path / f"a{suffix}", LATE) == ()
    times, _ = shown(tmp_path / f"a{suffix}")
    assert [round(time * 1000) for time in times] == [500, 643, 786, 929, 1071, 1214, 1357]
    source = probe_source(tmp_path / f"a{suffix}")
    assert source.times
    assert source.times == FrameTimes(source.times.unit, 500 * MS // source.times.unit)


@pytest.mark.parametrize(("name", "form"), [("a.y4m", ".y4m"), ("frames", "PNG")])
def test_others_get_the_average(tmp_path: Path, name: str, form: str) -> None:
    """Y4M and PNG have no times: a note says so, of irregular ones and of a start."""
    late = FrameTimes.of_ticks(MS, [tick + 250 for tick in TICKS])
    notes = written(tmp_path / name, late)
    assert notes[-2:] == (
        f"{form} has no frame times: written at the average rate, 7 fps",
        f"{form} cannot say that the video begins at 0.250 s",
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_times_of_a_source_are_read(tmp_path: Path, suffix: str) -> None:
    """A source's irregular times are kept, with a note of none but probe()'s callers."""
    codec = "libvpx" if suffix == ".webm" else "libx264"
    path = film(tmp_path / f"a{suffix}", codec, n_frames=7, times=TICKS)
    source = probe_source(path)
    assert source.times and source.notes == ()
    ticks = source.times.ticks(source.format)[:-1]
    assert [tick * source.times.unit for tick in ticks] == [tick * MS for tick in TICKS]


def test_a_frame_rate_in_place_of_times(tmp_path: Path) -> None:
    """--frame-rate drops the times of a source."""
    path = film(tmp_path / "a.mp4", n_frames=7, times=TICKS)
    source = probe_source(path, SourceOptions(frame_rate=Fraction(25)))
    assert source.times is None and source.format.frame_rate == 25
    assert all("variable" not in note for note in source.notes)


def test_broadcasts_begin_at_their_first_stream(tmp_path: Path) -> None:
    """An MPEG transport stream, whose times begin anywhere, begins at 0."""
    path = film(tmp_path / "a.ts", n_frames=4)
    with av.open(str(path)) as container:
        assert container.start_time and container.start_time > 0
    assert probe_source(path).times is None


def test_numbered_frames_are_read(tmp_path: Path) -> None:
    """Frames are skipped up to those that are asked for."""
    path = y4m(tmp_path / "a.y4m", n_frames=9)
    fmt = probe_source(path).format
    groups = read_groups(path, fmt, [2, 1], numbers=[1, 4, 8])
    assert [int(value) for group in groups for value in group.planes[0][:, 0, 0]] == [1, 4, 8]
