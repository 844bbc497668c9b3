"""What the commands show on stderr and stdout: the progress line, notes and the tables of
figures.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from nervcodec.errors import OutputError
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import summary
from nervcodec.util.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from nervcodec.decoder.verify import Verification
    from nervcodec.encoder.encode import EncodeReport
    from nervcodec.encoder.plan import EncodePlan
    from nervcodec.quality.compare import Comparison
    from nervcodec.training.state import Progress

_PLAIN_EVERY_S = 10.0


def note(text: str) -> None:
    """Prints a line on stderr; where that cannot be written there is nobody to tell, and the work
    goes on.
    """
    try:
        print(f"nervcodec: {printable(text)}", file=sys.stderr, flush=True)
    except OSError:
        _mute(sys.stderr)


def show(text: str, stream: TextIO | None = None) -> None:
    """Prints on stdout, or another stream; whoever has stopped reading it (head) has had enough,
    and the work goes on.

    Raises:
        OutputError: it cannot be written.
    """
    stream = stream or sys.stdout
    try:
        print(text, end="\n" if text else "", file=stream, flush=True)
    except BrokenPipeError:
        _mute(stream)
    except OSError as error:
        _mute(stream)
        raise OutputError(f"cannot write to stdout: {error.strerror}") from None


def open_streams() -> None:
    """Opens those of stdin, stdout and stderr that we were started without, before a file gets
    their numbers.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _mute(stream: TextIO) -> None:
    """What is still in a stream goes nowhere, at the latest when the interpreter ends and flushes
    it.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class ProgressLine:
    """One live line where stderr is a terminal, plain lines at most every ten seconds where it is
    not.
    """

    def __init__(self, rich: RichProgress | None, n_segments: int = 1) -> None:
        self._rich, self._n_segments = rich, n_segments
        self._task: TaskID | None = rich.add_task("", total=1.0) if rich else None
        self._last, self._last_stage = 0.0, ""

    def fitting(self, segment: int, progress: Progress) -> None:
        """Shows a fit's progress; the parameters are those of codec.encode's on_progress."""
        psnr = "   --   " if progress.psnr_db is None else f"{progress.psnr_db:5.2f} dB"
        size = "" if progress.n_bytes is None else f"  about {progress.n_bytes:,.0f} bytes"
        part = f"segment {segment + 1}/{self._n_segments} " if self._n_segments > 1 else ""
        text = (
            f"{part}{progress.stage} epoch {progress.epoch}/{progress.n_epochs} "
            f" {progress.frames_fps:6.1f} frames/s  PSNR {psnr}{size}  ETA"
            f" {duration(progress.eta_s)}"
        )
        done = progress.epoch == progress.n_epochs
        self._show(f"{segment}{progress.stage}", text, progress.epoch / progress.n_epochs, done)

    def benching(self, n_done: int, n_all: int, text: str) -> None:
        """Shows which of a benchmark's points comes next."""
        self._show(
            text, f"bench {n_done}/{n_all} points, next: {text}", n_done / max(n_all, 1), True
        )

    def counting(self, stage: str, n_done: int, n_all: int) -> None:
        """Shows how many frames a stage has gone through."""
        self._show(stage, f"{stage} {n_done}/{n_all} frames", n_done / n_all, n_done == n_all)

    def _show(self, stage: str, text: str, share: float, done: bool) -> None:
        if self._rich and self._task is not None:
            self._rich.update(self._task, description=text, completed=share)
        elif done or stage != self._last_stage or time.monotonic() - self._last > _PLAIN_EVERY_S:
            self._last, self._last_stage = time.monotonic(), stage
            note(text)


@contextmanager
def progress_line(quiet: bool = False, n_segments: int = 1) -> Iterator[ProgressLine | None]:
    """A ProgressLine on stderr; None if quiet."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield ProgressLine(None, n_segments)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20))
        with Progress(*columns, console=Console(stderr=True), transient=True) as rich:
            yield ProgressLine(rich, n_segments)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {printable(value)}" for name, value in rows)


def db(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f} dB"


def plan_rows(plan: EncodePlan, seconds: float) -> list[tuple[str, str]]:
    """What is going to be done, and in about how many seconds."""
    form = plan.format
    return [
        (
            "input",
            (
                f"{form.width}x{form.height}, {form.n_frames} frames, {form.frame_rate} frames/s,"
                f" {form.layout}"
            ),
        ),
        *_shot_rows(plan.segments),
        ("network", summary(plan.model)),
        (
            "parameters",
            (
                f"{plan.n_parameters:,} in {len(plan.lengths)} segments, {plan.kmac_per_pixel:.2f}"
                " kMAC/pixel"
            ),
        ),
        (
            "fit",
            (
                f"{plan.fit.epochs} + {plan.fit.finetune_epochs} epochs, batch"
                f" {plan.fit.batch_size}, {plan.fit.optimizer}, {plan.fit.precision}, prune"
                f" {plan.fit.prune:g}, {plan.model.bits} bits"
            ),
        ),
        *([("target", f"{plan.target_bytes:,} bytes")] if plan.target_bytes else []),
        *([("target", f"{plan.fit.target_psnr:g} dB RGB")] if plan.fit.target_psnr else []),
        ("time", f"about {duration(seconds)} to fit"),
    ]


def report_rows(report: EncodeReport) -> list[tuple[str, str]]:
    quality = report.quality
    ms_ssim = quality.ms_ssim_reason if quality.ms_ssim is None else f"{quality.ms_ssim:.5f}"
    return [
        ("bytes", f"{report.n_bytes:,} ({report.container_bytes} of them container)"),
        ("rate", f"{report.bpp:.5f} bpp, {report.kbit_per_s:.1f} kbit/s"),
        *(
            []
            if report.plan.fit.rate_weight
            else [
                (
                    "paper's bpp",
                    (
                        f"{report.paper_bpp:.5f} (parameters x (1 - {report.sparsity:.3f}) x bits /"
                        " pixels; not a file size)"
                    ),
                )
            ]
        ),
        ("PSNR Y, U, V", f"{quality.y_db:.2f}, {quality.u_db:.2f}, {quality.v_db:.2f} dB"),
        ("PSNR 6:1:1", f"{quality.yuv611_db:.2f} dB (worst frame {quality.worst_yuv611_db:.2f})"),
        ("PSNR RGB", f"{quality.rgb_db:.2f} dB (worst frame {quality.worst_rgb_db:.2f})"),
        ("MS-SSIM Y", str(ms_ssim)),
        (
            "encode time",
            (
                f"{report.encode_s:.1f} s on {report.device}, {report.n_threads} threads; "
                f"decoded and measured in {report.measure_s:.1f} s"
            ),
        ),
        (
            "peak memory",
            ", ".join(f"{phase} {_memory(peaks)}" for phase, peaks in report.peak_memory.items()),
        ),
        *(
            [
                (
                    "rolled back",
                    (
                        f"{report.n_rollbacks} times: the fit diverged and went on with lower"
                        " learning rates"
                    ),
                )
            ]
            if report.n_rollbacks
            else []
        ),
    ]


def verify_rows(found: Verification) -> list[tuple[str, str]]:
    n_exact = sum(segment.verdict == "exact" for segment in found.segments)
    verdict = {
        "exact": "exact: every decoded sample is the encoder's",
        "near": (
            f"near: a plane's samples differ from the encoder's by at most {found.worst_drift:.2g}"
            " levels in the mean, as float arithmetic may on another device"
        ),
        "unknown": "unknown: the container is whole, but the encoder stored no sums of its frames",
        "differs": "differs",
    }[found.verdict]
    return [
        ("container", f"whole, {found.n_bytes:,} bytes"),
        ("segments", f"{len(found.segments)}, {n_exact} of them exact, on {found.device}"),
        ("verdict", verdict),
    ]


def comparison_rows(found: Comparison) -> list[tuple[str, str]]:
    quality, pooled = found.quality, found.pooled_db
    xpsnr = ", ".join(f"{value:.4f}" for value in (found.xpsnr or {}).values())
    return [
        (
            "videos",
            (
                f"{found.distorted} against {found.reference}:"
                f" {found.form.width}x{found.form.height}, {found.form.n_frames} frames"
            ),
        ),
        ("PSNR Y, U, V", f"{quality.y_db:.4f}, {quality.u_db:.4f}, {quality.v_db:.4f} dB"),
        ("PSNR 6:1:1", f"{quality.yuv611_db:.4f} dB (worst frame {quality.worst_yuv611_db:.4f})"),
        (
            "PSNR RGB",
            (
                f"{quality.rgb_db:.4f} dB (worst frame {quality.worst_rgb_db:.4f}, number"
                f" {quality.worst_frame})"
            ),
        ),
        (
            "of mean MSE",
            (
                f"Y {pooled['y']:.4f}, U {pooled['u']:.4f}, V {pooled['v']:.4f}, RGB"
                f" {pooled['rgb']:.4f} dB"
            ),
        ),
        ("SSIM Y", _or_reason(quality.ssim, quality.ssim_reason)),
        ("MS-SSIM Y", _or_reason(quality.ms_ssim, quality.ms_ssim_reason)),
        ("XPSNR Y, U, V", f"{xpsnr} dB" if found.xpsnr else str(found.xpsnr_reason)),
        ("VMAF", _or_reason(found.vmaf, found.vmaf_reason)),
    ]


def _memory(peaks: Mapping[str, int]) -> str:
    gpu = f" and {peaks['gpu'] / 2**20:,.0f} MiB of the GPU's" if "gpu" in peaks else ""
    return f"{peaks['resident'] / 2**20:,.0f} MiB{gpu}"


def _or_reason(value: float | None, reason: str | None) -> str:
    return str(reason) if value is None else f"{value:.4f}"


def bench_table(results: Mapping[str, Any]) -> str:
    """The points of a benchmark, a line each, under a line of headings for each clip."""
    width = max(
        max(len(point["clip"]), len(f"{point['label']}, {point['setting']}"))
        for point in results["points"]
    )
    lines = []
    for clip in dict.fromkeys(point["clip"] for point in results["points"]):
        lines.append(
            f"{clip:<{width}}{'bytes':>11}{'bpp':>9}{'Y dB':>8}{'RGB dB':>8}"
            f"{'encode s':>10}{'decode s':>10}"
        )
        for point in results["points"]:
            if point["clip"] == clip:
                name, psnr = f"{point['label']}, {point['setting']}", point["psnr"]
                lines.append(
                    f"{name:<{width}}{point['bytes']:>11,}{point['bpp']:>9.4f}{psnr['y']:>8.2f}"
                    f"{psnr['rgb']:>8.2f}{point['encode_s']:>10.1f}{point['decode_s']:>10.2f}"
                )
    return "\n".join(map(printable, lines))


def info_rows(info: dict[str, Any]) -> list[tuple[str, str]]:
    model, quality, color = info["model"], info["quality"], info["color"]
    ranges = {None: "unspecified", False: "limited", True: "full"}
    ms_ssim = "not measured" if quality["ms_ssim"] is None else f"{quality['ms_ssim']:.5f}"
    n_bytes = info["bytes"]
    return [
        (
            "file",
            (
                f"{info['file']}: {n_bytes:,} bytes, {info['bpp']:.5f} bpp,"
                f" {info['kbit_per_s']:.1f} kbit/s"
            ),
        ),
        (
            "video",
            (
                f"{info['width']}x{info['height']}, {info['frames']} frames, {info['frame_rate']}"
                f" frames/s, {info['duration_s']:.2f} s, {info['layout']}, pixel aspect"
                f" {info['sample_aspect_ratio']}"
            ),
        ),
        (
            "colour",
            (
                f"matrix {color['matrix']}, primaries {color['primaries']}, transfer"
                f" {color['transfer']}, range {ranges[color['full_range']]}, chroma location"
                f" {color['chroma_location']} (H.273)"
            ),
        ),
        ("segments", f"{len(info['segments'])}: {_runs(info['segments'])} frames"),
        *_shot_rows(info["shots"]),
        ("network", summary(ModelConfig.from_json(model))),
        (
            "parameters",
            (
                f"{info['parameters']:,}, {info['kmac_per_pixel']:.2f} kMAC/pixel, "
                f"{info['bits_per_parameter']:.2f} bits a parameter"
            ),
        ),
        ("memory", f"about {info['decode_memory'] / 2**20:,.0f} MiB to decode"),
        *(
            (f"  {name}", f"{size:,} bytes, {100 * size / n_bytes:.1f} %")
            for name, size in info["bytes_by_module"].items()
        ),
        ("PSNR Y, U, V", ", ".join(db(quality[f"psnr_{plane}"]) for plane in "yuv")),
        ("PSNR 6:1:1", f"{db(quality['psnr_yuv'])} (worst frame {db(quality['psnr_min'])})"),
        ("PSNR RGB", db(quality["psnr_rgb"])),
        ("MS-SSIM Y", ms_ssim),
        ("fit", "not stored" if quality["epochs"] is None else f"{quality['epochs']:.0f} epochs"),
    ]


def _shot_rows(segments: Sequence[Sequence[int]]) -> list[tuple[str, str]]:
    """How many shots there are, where a segment is cut."""
    lengths = [length for shots in segments for length in shots]
    is_cut = len(lengths) > len(segments)
    return (
        [("shots", f"{len(lengths)} of {min(lengths)} to {max(lengths)} frames")] if is_cut else []
    )


def _runs(lengths: list[int]) -> str:
    """[132, 132, 131] -> '2 x 132, 131'."""
    return ", ".join(
        f"{count} x {length}" if count > 1 else str(length)
        for length, count in Counter(lengths).items()
    )
