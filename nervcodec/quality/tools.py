"""XPSNR by FFmpeg's filter and VMAF where it is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from nervcodec.format.video_format import VideoFormat
from nervcodec.quality.metrics import CAP_DB
from nervcodec.video.ffmpeg_filter import FilterStats, has_filter
from nervcodec.video.frames import Frames
from nervcodec.video.writer import open_writer

# FFmpeg's xpsnr divides by its block size, 4 x round(32 sqrt(pixels / (3840 x 2160))), which is 0
# below this.
_XPSNR_PIXELS = 2025
_VMAF = "vmaf"  # Netflix's program
_XPSNR_FRAME = re.compile(r"XPSNR y: *(\S+) +XPSNR u: *(\S+) +XPSNR v: *(\S+)")
_XPSNR_MEAN = re.compile(r"XPSNR average.* y: *(\S+) +u: *(\S+) +v: *(\S+)")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Measured(Generic[Value]):
    """What a tool has measured.

    Attributes:
        mean: over frames; None where it cannot be measured.
        reason: why it cannot.
        per_frame: each frame's figures, by name.
    """

    mean: Value | None
    reason: str | None
    per_frame: dict[str, list[float]]


class Tool(Protocol[Value]):
    """What measures a video frame by frame."""

    def add(self, reference: Frames, distorted: Frames) -> None:
        """Add the next frames, in the layout of the format."""

    def result(self) -> Measured[Value]:
        """Return what was measured of all frames so far; ends the measurement."""


def open_tools(folder: Path, form: VideoFormat) -> tuple[Tool[dict[str, float]], Tool[float]]:
    """Return what measures XPSNR and what measures VMAF; their files go into the folder."""
    xpsnr: Tool[dict[str, float]] = _Missing("this FFmpeg has no filter xpsnr")
    if form.width * form.height < _XPSNR_PIXELS:
        xpsnr = _Missing(
            f"XPSNR needs {_XPSNR_PIXELS} pixels a frame or more, not {form.width}x{form.height}"
        )
    elif has_filter("xpsnr"):
        xpsnr = _Xpsnr(folder, form)
    program = shutil.which(_VMAF)
    if has_filter("libvmaf"):
        return xpsnr, _VmafFilter(folder, form)
    if program:
        return xpsnr, _VmafProgram(folder, form, program)
    return xpsnr, _Missing("there is neither FFmpeg's filter libvmaf nor a program vmaf")


def tools_here() -> list[str]:
    """Return the names of what measures XPSNR and VMAF here."""
    return [name for name in ("xpsnr", "libvmaf") if has_filter(name)] + (
        [_VMAF] if shutil.which(_VMAF) else []
    )


class _Missing(Generic[Value]):
    """A stand-in for a metric that cannot be measured here."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def add(self, reference: Frames, distorted: Frames) -> None:
        pass

    def result(self) -> Measured[Value]:
        return Measured(None, self._reason, {})


class _Xpsnr:
    """FFmpeg's filter 'xpsnr'."""

    def __init__(self, folder: Path, form: VideoFormat) -> None:
        self._log = folder / "xpsnr.txt"
        self._stats = FilterStats("xpsnr", {"stats_file": str(self._log)}, form)

    def add(self, reference: Frames, distorted: Frames) -> None:
        self._stats.add(reference, distorted)

    def result(self) -> Measured[dict[str, float]]:
        self._stats.finish()
        text = self._log.read_text("utf-8")
        mean = _XPSNR_MEAN.search(text)
        assert mean, "FFmpeg's xpsnr wrote no average"
        frames = [[_capped(value) for value in values] for values in _XPSNR_FRAME.findall(text)]
        series = {f"xpsnr_{plane}": [frame[k] for frame in frames] for k, plane in enumerate("yuv")}
        return Measured(dict(zip("yuv", map(_capped, mean.groups()))), None, series)


def _capped(text: str) -> float:
    """Return decibels as FFmpeg prints them; equal frames are 'inf', which counts as 100."""
    return min(float(text), CAP_DB)


class _VmafFilter:
    """FFmpeg's filter 'libvmaf'."""

    def __init__(self, folder: Path, form: VideoFormat) -> None:
        self._log = folder / "vmaf.json"
        self._stats = FilterStats("libvmaf", {"log_path": str(self._log), "log_fmt": "json"}, form)

    def add(self, reference: Frames, distorted: Frames) -> None:
        self._stats.add(distorted, reference)  # it takes the distorted video first

    def result(self) -> Measured[float]:
        self._stats.finish()
        return _vmaf_result(self._log)


class _VmafProgram:
    """Netflix's program 'vmaf', which is given both videos as .y4m."""

    def __init__(self, folder: Path, form: VideoFormat, program: str) -> None:
        self._program = program
        self._log = folder / "vmaf.json"
        self._paths = [folder / "reference.y4m", folder / "distorted.y4m"]
        self._open = ExitStack()
        self._writers = [
            self._open.enter_context(open_writer(path, form, overwrite=True))
            for path in self._paths
        ]

    def add(self, reference: Frames, distorted: Frames) -> None:
        for writer, frames in zip(self._writers, (reference, distorted)):
            writer.write(frames)

    def result(self) -> Measured[float]:
        self._open.close()
        reference, distorted = map(str, self._paths)
        command = [self._program, "-r", reference, "-d", distorted, "--json", "-o", str(self._log)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if done.returncode:
            return Measured(None, f"{self._program} failed with exit {done.returncode}", {})
        return _vmaf_result(self._log)


def _vmaf_result(log: Path) -> Measured[float]:
    scores = [frame["metrics"]["vmaf"] for frame in json.loads(log.read_text("utf-8"))["frames"]]
    return Measured(sum(scores) / len(scores), None, {"vmaf": scores})
