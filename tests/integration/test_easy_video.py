"""The easiest video there is: black, white, flat, and light letters on pure black."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nervcodec import EncodeOptions, encode, plan
from nervcodec.encoder.report import EncodeReport
from nervcodec.format.video_format import VideoFormat
from nervcodec.quality.metrics import psnr_db
from nervcodec.video.frames import Frames, Plane
from nervcodec.video.writer import open_writer

SIZE = 48, 64  # rows and columns


def encoded(folder: Path, luma: Plane, preset: str, epochs: int) -> EncodeReport:
    """Encode frames [T, *SIZE] of a luma without colour."""
    chroma = np.full((len(luma), SIZE[0] // 2, SIZE[1] // 2), 128, np.uint8)
    form = VideoFormat(SIZE[1], SIZE[0], Fraction(25), len(luma))
    with open_writer(folder / "in.y4m", form, overwrite=True) as writer:
        writer.write(Frames("yuv420", (luma, chroma, chroma)))
    options = EncodeOptions(preset=preset, epochs=epochs, device="cpu", overwrite=True)
    return encode(plan(folder / "in.y4m", folder / "out.nvpp", options))


@pytest.mark.parametrize(
    ("level", "preset"),
    [(0, "ultrafast"), (0, "veryslow"), (16, "ultrafast"), (128, "veryslow"), (255, "ultrafast"),
     (255, "veryslow")],
)  # fmt: skip
def test_a_flat_video_is_exact(tmp_path: Path, level: int, preset: str) -> None:
    """Frames of one level come back with hardly an error, in few bytes, and no fit diverges."""
    report = encoded(tmp_path, np.full((3, *SIZE), level, np.uint8), preset, 60)
    assert report.quality.y_db > 48 and report.n_bytes < 600 and report.n_rollbacks == 0
    assert not report.plan.model.prior


def test_letters_on_black_are_seen(tmp_path: Path) -> None:
    """A terminal's light letters on pure black, RGB, come back far better than their mean colour.

    A head that starts at grey overshoots and saturates: every sample is black, 13 dB.
    """
    frames = np.zeros((12, *SIZE), np.uint8)
    random = np.random.default_rng(7)
    for row in range(5):
        for column in range(9):
            letter = 220 * random.integers(0, 2, (5, 4))
            frames[2 * row :, 8 * row + 2 : 8 * row + 7, 7 * column + 1 : 7 * column + 5] = letter
    form = VideoFormat(SIZE[1], SIZE[0], Fraction(25), len(frames), "rgb")
    with open_writer(tmp_path / "in", form, overwrite=True) as writer:
        writer.write(Frames("rgb", (frames, frames, frames)))
    options = EncodeOptions(preset="ultrafast", device="cpu", precision="float32")
    report = encode(plan(tmp_path / "in", tmp_path / "out.nvpp", options))
    assert report.quality.rgb_db > float(psnr_db(frames.var())) + 8


@pytest.mark.parametrize("epochs", [5, 10])
def test_a_flat_video_needs_few_epochs(tmp_path: Path, epochs: int) -> None:
    """The few steps that one flat frame is left are no divergence, however they overshoot."""
    report = encoded(tmp_path, np.full((9, *SIZE), 16, np.uint8), "ultrafast", epochs)
    assert report.plan.n_coded_frames == 1 and report.quality.y_db > 40
