"""All metrics of two videos: PSNR, SSIM and MS-SSIM, XPSNR by FFmpeg's filter, VMAF where it is
there.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nervcodec.format.video_format import VideoFormat
from nervcodec.quality.metrics import Quality, QualityMeter
from nervcodec.quality.pairing import pair
from nervcodec.quality.tools import open_tools
from nervcodec.util.files import whole_file
from nervcodec.video.color import to_bit_depth, to_layout
from nervcodec.video.reader import read_all

SCHEMA = "nervcodec.compare/1"


@dataclass(frozen=True)
class Comparison:
    """What two videos differ by.

    Attributes:
        form: of the reference; n_frames are those compared.
        quality: means over frames, see metrics.Quality.
        pooled_db: PSNR of the mean squared error over all frames: 'y', 'u', 'v', 'rgb'.
        xpsnr: FFmpeg's average XPSNR in dB by plane 'y', 'u', 'v' (ITU-T P.910 / Helmrich et al.
            2020); None with the reason where its filter is missing or frames are too small for it.
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
        """Return the object of `nervcodec compare --json` (docs/reference/json.md)."""
        quality = asdict(self.quality)
        psnr = {name: quality[f"{name}_db"] for name in ("y", "u", "v", "yuv611", "rgb")}
        same = ("ssim", "ssim_reason", "ms_ssim", "ms_ssim_reason")
        return {
            "schema": SCHEMA,
            "reference": str(self.reference),
            "distorted": str(self.distorted),
            "width": self.form.width,
            "height": self.form.height,
            "frames": self.form.n_frames,
            "psnr": psnr,
            "psnr_of_mean_mse": self.pooled_db,
            "worst": {"frame": self.quality.worst_frame, "rgb": self.quality.worst_rgb_db},
            **{name: quality[name] for name in same},
            "xpsnr": self.xpsnr,
            "xpsnr_reason": self.xpsnr_reason,
            "vmaf": self.vmaf,
            "vmaf_reason": self.vmaf_reason,
            "notes": self.notes,
            "per_frame": self.per_frame,
        }


def compare(
    reference: str | os.PathLike[str],
    distorted: str | os.PathLike[str],
    *,
    n_frames: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Measure the distorted video against the reference, whose planes, size, bits and tags count.

    Args:
        n_frames: compare the first so many frames; None: all, of which both must have as many.
        on_progress: called with (frames compared, frames in all).
    Raises:
        VideoError: a video that cannot be read.
        ConfigError: different sizes or numbers of frames.
    """
    first_side, second_side, notes = pair(Path(reference), Path(distorted), n_frames)
    form = first_side.form
    meter = QualityMeter(form.color, with_ssim=True)
    with TemporaryDirectory(prefix="nervcodec-") as folder:
        is_yuv = form.layout not in ("rgb", "gray")
        tool_form = form if is_yuv else replace(form, layout="yuv420")
        xpsnr_tool, vmaf_tool = open_tools(Path(folder), tool_form)
        n_done = 0
        is_full = bool(second_side.form.color.full_range)
        for first, second in zip(read_all(*first_side), read_all(*second_side), strict=True):
            second = to_bit_depth(second, form.bit_depth, is_full)
            meter.add(first, second)
            both = [to_layout(frames, tool_form.layout, form.color) for frames in (first, second)]
            for tool in (xpsnr_tool, vmaf_tool):
                tool.add(*both)
            n_done += first.n_frames
            if on_progress:
                on_progress(n_done, form.n_frames)
        xpsnr = xpsnr_tool.result()
        vmaf = vmaf_tool.result()
    return Comparison(
        first_side.path,
        second_side.path,
        form,
        meter.result(),
        meter.pooled_db(),
        xpsnr.mean,
        xpsnr.reason,
        vmaf.mean,
        vmaf.reason,
        meter.series() | xpsnr.per_frame | vmaf.per_frame,
        notes,
    )


def write_csv(comparison: Comparison, path: Path, *, overwrite: bool = False) -> None:
    """Write one row a frame, numbered from 0, one column a figure.

    Raises:
        OutputError: it cannot be written; nothing half written stays.
    """
    with (
        whole_file(path, overwrite=overwrite) as part,
        open(part, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["frame", *comparison.per_frame])
        writer.writerows(
            [number, *values]
            for number, values in enumerate(zip(*comparison.per_frame.values(), strict=True))
        )
