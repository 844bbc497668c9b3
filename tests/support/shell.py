"""Commands as a user gives them: they run in this process through main(), as the console script
runs them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from nervcodec.cli.main import main
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups

# An encode of four frames: two segments of two, a step an epoch, a checkpoint after every step.
TWO_SEGMENTS = (
    "encode",
    "in.y4m",
    "out.nvpp",
    "--preset",
    "ultrafast",
    "--bits",
    "2",
    "--epochs",
    "2",
    "--segment-frames",
    "2",
    "--checkpoint-every",
    "0",
)


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Shell:
    """Runs commands in a folder of its own."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._monkeypatch, self._capfd = folder, monkeypatch, capfd
        monkeypatch.chdir(folder)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "no such folder"))

    def __call__(self, *arguments: str) -> Result:
        self._monkeypatch.setattr(sys, "argv", ["nervcodec", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert isinstance(exit_.value.code, int)
        return Result(exit_.value.code, *self._capfd.readouterr())


def write_clip(
    path: Path, width: int = 24, height: int = 18, n_frames: int = 5, rate: str = "30000:1001"
) -> None:
    """A moving gradient as 4:2:0 .y4m."""
    header = f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C420jpeg\n".encode()
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    chroma = np.full(2 * -(-width // 2) * -(-height // 2), 120, np.uint8).tobytes()
    frames = [
        ((5 * x + 7 * y + 3 * t) % 200 + 20).astype(np.uint8).tobytes() + chroma
        for t in range(n_frames)
    ]
    path.write_bytes(header + b"".join(b"FRAME\n" + frame for frame in frames))


def read_frames(path: Path) -> Frames:
    """All frames of a video."""
    form, _ = probe(path)
    return next(read_groups(path, form, [form.n_frames]))


def error_line(result: Result) -> str:
    """The one line of an error; nothing else was printed."""
    lines = result.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nervcodec: error: "), result.err
    return lines[0]
