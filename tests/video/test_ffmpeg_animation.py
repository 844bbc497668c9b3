"""nervcodec.video.ffmpeg_animation: .gif and .webp for a quick look."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip
from videos import format_of, read

from nervcodec.errors import ConfigError
from nervcodec.video import ffmpeg_animation
from nervcodec.video.writer import check_target, open_writer

SMOOTH = make_clip("rgb", 5, 32, 24)


def written(path: Path, rate: int) -> tuple[str, ...]:
    with open_writer(path, format_of(SMOOTH, Fraction(rate))) as writer:
        writer.write(SMOOTH)
    return writer.notes


def test_a_gif_shows_every_frame_at_its_time(tmp_path: Path) -> None:
    """As many frames as were written, four hundredths of a second apart at 25 frames/s."""
    notes = written(tmp_path / "a.gif", 25)
    with av.open(str(tmp_path / "a.gif")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert notes == (".gif has 256 colours a frame and times in hundredths of a second",)


def test_a_gif_has_a_palette_for_each_frame(tmp_path: Path) -> None:
    """Colours of smooth pictures are met within a few levels, and no pixel is transparent."""
    written(tmp_path / "a.gif", 25)
    shown = read(tmp_path / "a.gif")
    for plane, source in zip(shown.planes, SMOOTH.planes, strict=True):
        assert np.abs(plane.astype(int) - source).mean() < 6


def test_a_webp_holds_its_frames(tmp_path: Path) -> None:
    """An animated .webp has one frame chunk a frame, of 40 ms at 25 frames/s."""
    notes = written(tmp_path / "a.webp", 25)
    data = (tmp_path / "a.webp").read_bytes()
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP" and notes[0].startswith(".webp")
    parts = data.split(b"ANMF")[1:]
    assert [int.from_bytes(part[16:19], "little") for part in parts] == [40] * 5


def test_frames_faster_than_times_tell_are_refused(tmp_path: Path) -> None:
    """Above 100 frames/s two frames of a .gif would have one time."""
    with pytest.raises(ConfigError, match="frame rate is 120; legal for .gif: up to 100"):
        check_target(tmp_path / "a.gif", format_of(SMOOTH, Fraction(120)), overwrite=False)


def test_fast_frames_are_noted(tmp_path: Path) -> None:
    """From 50 frames/s on, players show a .gif slower than it says."""
    assert any("slower" in note for note in written(tmp_path / "a.gif", 60))


def test_a_missing_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FFmpeg lacks the encoder of .webp, it is refused by name."""
    lacking = ffmpeg_animation.ANIMATIONS[".webp"]._replace(codec="libwebp_none")
    monkeypatch.setitem(ffmpeg_animation.ANIMATIONS, ".webp", lacking)
    with pytest.raises(ConfigError, match="encoder 'libwebp_none', which this FFmpeg lacks"):
        check_target(tmp_path / "a.webp", format_of(SMOOTH), overwrite=False)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".y4m"])
def test_only_containers_take_a_pixel_format(suffix: str, tmp_path: Path) -> None:
    """A pixel format for anything else is refused with where it goes."""
    form = format_of(SMOOTH[:1])
    with pytest.raises(ConfigError, match="a pixel format goes with .mp4"):
        check_target(tmp_path / f"a{suffix}", form, pixel_format="yuv444p", overwrite=False)
