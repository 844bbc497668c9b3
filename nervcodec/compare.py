"""All metrics of two videos: PSNR, SSIM and MS-SSIM (metrics.py), XPSNR by FFmpeg's filter, VMAF where it is there."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat
from nervcodec.metrics import CAP_DB, Quality, QualityMeter
from nervcodec.util.files import whole_file
from nervcodec.video.color import to_layout
from nervcodec.video.ffmpeg_filter import FilterStats, has_filter
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all
from nervcodec.video.writer import open_writer

SCHEMA = "nervcodec.compare/1"
# FFmpeg's xpsnr divides by its block size, 4 x round(32 sqrt(pixels / (3840 x 2160))), which is 0 below this.
_XPSNR_PIXELS = 2025
_VMAF = "vmaf"  # Netflix's program
Result = tuple[Any, str | None, dict[str, list[float]]]  # the mean or None, why it is None, each frame's figures

_XPSNR_FRAME = re.compile(r"XPSNR y: *(\S+) +XPSNR u: *(\S+) +XPSNR v: *(\S+)")
_XPSNR_MEAN = re.compile(r"XPSNR average.* y: *(\S+) +u: *(\S+) +v: *(\S+)")


@dataclass(frozen=True)
class Comparison:
    """What two videos differ by.

    Attributes:
        form: of the reference; n_frames are those compared.
        quality: means over frames, see metrics.Quality.
        pooled_db: PSNR of the mean squared error over all frames: 'y', 'u', 'v', 'rgb'.
        xpsnr: FFmpeg's average XPSNR in dB by plane 'y', 'u', 'v' (ITU-T P.910 / Helmrich et al. 2020); None with the
            reason where its filter is missing or frames are too small for it.
        vmaf: mean VMAF (0 to 100), or None with the reason.
        per_frame: each frame's figures, by name; all of one length.
        notes: what a reader should know.
    """

    reference: Path
    distorted: Path
    form: VideoFormat
    quality: Quality
    pooled_db: dict[str, float]
    xpsnr: dict[str, float] | None
    xpsnr_reason: str | None
    vmaf: float | None
    vmaf_reason: str | None
    per_frame: dict[str, list[float]]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `nervcodec compare --json` (docs/usage.md)."""
        quality = asdict(self.quality)
        psnr = {name: quality[f"{name}_db"] for name in ("y", "u", "v", "yuv611", "rgb")}
        same = ("ssim", "ssim_reason", "ms_ssim", "ms_ssim_reason")
        return {"schema": SCHEMA, "reference": str(self.reference), "distorted": str(self.distorted),
                "width": self.form.width, "height": self.form.height, "frames": self.form.n_frames, "psnr": psnr,
                "psnr_of_mean_mse": self.pooled_db,
                "worst": {"frame": self.quality.worst_frame, "rgb": self.quality.worst_rgb_db},
                **{name: quality[name] for name in same}, "xpsnr": self.xpsnr, "xpsnr_reason": self.xpsnr_reason,
                "vmaf": self.vmaf, "vmaf_reason": self.vmaf_reason, "notes": self.notes, "per_frame": self.per_frame}


def compare(reference: Path, distorted: Path, *, n_frames: int | None = None,
            on_progress: Callable[[int, int], None] | None = None) -> Comparison:
    """Measures one video against another, whose planes, size and colour tags count.

    Args:
        n_frames: compare the first so many frames; None: all, of which both must have as many.
        on_progress: called with (frames compared, frames in all).
    Raises:
        VideoError: a video that cannot be read.
        ConfigError: different sizes or numbers of frames.
    """
    (ours, _), (theirs, _) = probe(reference), probe(distorted)
    form = replace(ours, n_frames=_common_frames(ours, theirs, n_frames))
    theirs = replace(theirs, n_frames=form.n_frames)
    notes = () if ours.frame_rate == theirs.frame_rate else (
        f"frame rates are {ours.frame_rate} and {theirs.frame_rate}; frames are compared one by one all the same",)
    meter = QualityMeter(form.color, with_ssim=True)
    with TemporaryDirectory(prefix="nervcodec-") as folder:
        tools = _tools(Path(folder), form)
        n_done = 0
        for first, second in zip(read_all(reference, form), read_all(distorted, theirs), strict=True):
            meter.add(first, second)
            pair = [to_layout(frames, "yuv420", form.color) for frames in (first, second)]
            for tool in tools:
                tool.add(*pair)
            n_done += first.n_frames
            if on_progress:
                on_progress(n_done, form.n_frames)
        (xpsnr, xpsnr_reason, by_frame), (vmaf, vmaf_reason, more) = (tool.result() for tool in tools)
    return Comparison(reference, distorted, form, meter.result(), meter.pooled_db(), xpsnr, xpsnr_reason, vmaf,
                      vmaf_reason, meter.series() | by_frame | more, notes)


def write_csv(found: Comparison, path: Path, *, overwrite: bool = False) -> None:
    """One row a frame, numbered from 0, one column a figure.

    Raises:
        OutputError: it cannot be written; nothing half written stays.
    """
    with whole_file(path, overwrite=overwrite) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *found.per_frame])
        writer.writerows([number, *values] for number, values in enumerate(zip(*found.per_frame.values(), strict=True)))


def _common_frames(ours: VideoFormat, theirs: VideoFormat, n_frames: int | None) -> int:
    if (ours.width, ours.height) != (theirs.width, theirs.height):
        raise ConfigError(f"sizes are {ours.width}x{ours.height} and {theirs.width}x{theirs.height}; legal: equal ones")
    fewest = min(ours.n_frames, theirs.n_frames)
    if n_frames is None and ours.n_frames != theirs.n_frames:
        raise ConfigError(f"there are {ours.n_frames} and {theirs.n_frames} frames; legal: equal numbers, or "
                          f"--frames N to compare the first N, up to {fewest}")
    if n_frames is not None and not 1 <= n_frames <= fewest:
        raise ConfigError(f"frames is {n_frames}; legal: 1 to {fewest}, which both videos have")
    return fewest if n_frames is None else n_frames


def _tools(folder: Path, form: VideoFormat) -> tuple[_Tool, _Tool]:
    """What measures XPSNR and what measures VMAF; their files go into the folder."""
    xpsnr: _Tool = _Missing("this FFmpeg has no filter xpsnr")
    if form.width * form.height < _XPSNR_PIXELS:
        xpsnr = _Missing(f"XPSNR needs {_XPSNR_PIXELS} pixels a frame or more, not {form.width}x{form.height}")
    elif has_filter("xpsnr"):
        xpsnr = _Xpsnr(folder, form)
    program = shutil.which(_VMAF)
    if has_filter("libvmaf"):
        return xpsnr, _VmafFilter(folder, form)
    if program:
        return xpsnr, _VmafProgram(folder, form, program)
    return xpsnr, _Missing("there is neither FFmpeg's filter libvmaf nor a program vmaf")


def tools_here() -> list[str]:
    """Names of what measures XPSNR and VMAF here."""
    return [name for name in ("xpsnr", "libvmaf") if has_filter(name)] + ([_VMAF] if shutil.which(_VMAF) else [])


class _Tool(Protocol):
    def add(self, reference: Frames, distorted: Frames) -> None: ...

    def result(self) -> Result: ...


class _Missing:
    """Stands in for a metric that cannot be measured here."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def add(self, reference: Frames, distorted: Frames) -> None:
        pass

    def result(self) -> Result:
        return None, self._reason, {}


class _Xpsnr:
    """FFmpeg's filter 'xpsnr'."""

    def __init__(self, folder: Path, form: VideoFormat) -> None:
        self._log = folder / "xpsnr.txt"
        self._stats = FilterStats("xpsnr", {"stats_file": str(self._log)}, form)

    def add(self, reference: Frames, distorted: Frames) -> None:
        self._stats.add(reference, distorted)

    def result(self) -> Result:
        self._stats.finish()
        text = self._log.read_text("utf-8")
        mean = _XPSNR_MEAN.search(text)
        assert mean, "FFmpeg's xpsnr wrote no average"
        frames = [[_capped(value) for value in found] for found in _XPSNR_FRAME.findall(text)]
        series = {f"xpsnr_{plane}": [frame[k] for frame in frames] for k, plane in enumerate("yuv")}
        return dict(zip("yuv", map(_capped, mean.groups()))), None, series


def _capped(text: str) -> float:
    """Decibels as FFmpeg prints them; equal frames are 'inf', which counts as 100."""
    return min(float(text), CAP_DB)


class _VmafFilter:
    """FFmpeg's filter 'libvmaf'."""

    def __init__(self, folder: Path, form: VideoFormat) -> None:
        self._log = folder / "vmaf.json"
        self._stats = FilterStats("libvmaf", {"log_path": str(self._log), "log_fmt": "json"}, form)

    def add(self, reference: Frames, distorted: Frames) -> None:
        self._stats.add(distorted, reference)  # it takes the distorted video first

    def result(self) -> Result:
        self._stats.finish()
        return _vmaf_result(self._log)


class _VmafProgram:
    """Netflix's program 'vmaf', which is given both videos as .y4m."""

    def __init__(self, folder: Path, form: VideoFormat, program: str) -> None:
        self._program, self._log = program, folder / "vmaf.json"
        self._paths = [folder / "reference.y4m", folder / "distorted.y4m"]
        self._open = ExitStack()
        self._writers = [self._open.enter_context(open_writer(path, replace(form, layout="yuv420"), overwrite=True))
                         for path in self._paths]

    def add(self, reference: Frames, distorted: Frames) -> None:
        for writer, frames in zip(self._writers, (reference, distorted)):
            writer.write(frames)

    def result(self) -> Result:
        self._open.close()
        reference, distorted = map(str, self._paths)
        command = [self._program, "-r", reference, "-d", distorted, "--json", "-o", str(self._log)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode:
            return None, f"{self._program} failed with exit {done.returncode}", {}
        return _vmaf_result(self._log)


def _vmaf_result(log: Path) -> Result:
    scores = [frame["metrics"]["vmaf"] for frame in json.loads(log.read_text("utf-8"))["frames"]]
    return sum(scores) / len(scores), None, {"vmaf": scores}
