"""The command line: parse, call, print, exit code. Nothing else knows flags; errors become one line here."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__, console
from .config import COLORSPACES
from .errors import ConfigError, NervCodecError
from .presets import PRESETS

if TYPE_CHECKING:
    from .codec import EncodePlan, EncodeReport

INTERRUPTED = 8


class _Rational(click.ParamType[Fraction]):
    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        try:
            rate = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is not a rate; legal: a number or a fraction such as 30000/1001")
        if rate <= 0:
            self.fail(f"{value!r} is not a rate; legal: above 0")
        return rate


class _FrameRange(click.ParamType[tuple[int, int | None]]):
    name = "A:B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int | None]:
        first, colon, stop = str(value).partition(":")
        if not colon or not all(part == "" or part.isdecimal() for part in (first, stop)):
            self.fail(f"{value!r} is not a range; legal: A:B, the frames A to B-1 counted from 0")
        return int(first or 0), int(stop) if stop else None


def _version(command: Any) -> Any:
    return click.version_option(__version__, prog_name="nervcodec", message="%(prog)s %(version)s")(command)


def _common(command: Any) -> Any:
    """Options that encode and decode share."""
    for option in reversed((
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N"),
        click.option("--threads", type=int, help="CPU threads; part of what makes an encode repeatable"),
        click.option("-y", "--overwrite", is_flag=True, help="replace an existing output"),
        click.option("--json", "as_json", is_flag=True, help="print figures as JSON on stdout, no progress"),
    )):
        command = option(command)
    return _version(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@_version
def cli() -> None:
    """A neural video codec: fits a small network to a video and stores it in a .nvpp file."""


@cli.command()
@click.argument("source", metavar="INPUT")
@click.argument("destination", metavar="OUTPUT.nvpp")
@click.option("--preset", type=click.Choice(list(PRESETS)), default="default", show_default=True,
              help="; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items()))
@click.option("--frames", "n_frames", type=int, help="code only the first so many frames")
@click.option("--epochs", type=int, help="passes over the frames: more is better and slower")
@click.option("--rate-weight", type=float, help="price of a bit: larger gives smaller files (default preset: 0.01)")
@click.option("--prune", type=float, help="share of weights to prune by magnitude (paper-*: 0.4)")
@click.option("--bits", type=int, help="quantize to 2^bits - 1 levels, 2 to 12 (paper-*: 8, ours: 10 as a bound)")
@click.option("--colorspace", type=click.Choice(["auto", *COLORSPACES]), default="auto", show_default=True,
              help="planes the network gives; auto: yuv for 4:2:0 input, rgb for RGB and paper-*")
@click.option("--segment-frames", type=int, help="longest independently decodable segment (default: 150)")
@click.option("--frame-rate", type=_Rational(), help="frames a second of a folder of PNG (default: 25)")
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True,
              help="arithmetic of the fit; auto: bfloat16 where the hardware has it")
@click.option("--seed", type=int, default=0, show_default=True, help="of every random choice")
@click.option("--dry-run", is_flag=True, help="print network, memory and expected time, and stop")
@_common
def encode(source: str, destination: str, *, device: str, threads: int | None, overwrite: bool, as_json: bool,
           precision: str, dry_run: bool, **options: Any) -> None:
    """Encode INPUT (anything FFmpeg reads, or a folder of PNG) into OUTPUT.nvpp."""
    from . import codec
    from .output import check_output
    overwrite = overwrite or dry_run or _asks_to_overwrite(destination)
    check_output(destination, overwrite=overwrite, source=source)
    plan = codec.plan_encode(source, **options)
    from .backends import choose_device, choose_precision, set_threads
    device = choose_device(device)
    plan = codec.with_precision(plan, choose_precision(precision, device))
    set_threads(threads)
    for text in plan.notes:
        console.note(text)
    if dry_run:
        _print_estimate(plan, device, as_json)
        return
    if not as_json:
        print(console.table(console.plan_rows(plan)), flush=True)
    with console.progress_line(as_json, len(plan.lengths)) as line:
        report = codec.encode(
            plan, destination, device=device, overwrite=overwrite, on_progress=line.fitting if line else None,
            on_measure=(lambda n: line.counting("measure", n, plan.format.n_frames)) if line else None)
    print(json.dumps(_report_json(report, destination)) if as_json else console.table(console.report_rows(report)))


def _print_estimate(plan: EncodePlan, device: str, as_json: bool) -> None:
    from . import codec
    seconds, n_bytes = codec.estimate(plan, device)
    if as_json:
        print(json.dumps({"schema": "nervcodec.estimate/1", **_plan_json(plan), "seconds": seconds, "memory": n_bytes}))
    else:
        rows = [("memory", f"about {n_bytes / 2**20:,.0f} MiB"), ("time", f"about {console.duration(seconds)}")]
        print(console.table(console.plan_rows(plan) + rows))


def _plan_json(plan: EncodePlan) -> dict[str, Any]:
    return {"input": os.fspath(plan.source), "width": plan.format.width, "height": plan.format.height,
            "frames": plan.format.n_frames, "frame_rate": str(plan.format.frame_rate), "segments": plan.lengths,
            "parameters": plan.n_parameters, "kmac_per_pixel": plan.kmac_per_pixel,
            "model": asdict(plan.model), "fit": asdict(plan.fit), "notes": plan.notes}


def _report_json(report: EncodeReport, destination: str) -> dict[str, Any]:
    return {"schema": "nervcodec.encode/1", **_plan_json(report.plan), "output": destination,
            "bytes": report.n_bytes, "container_bytes": report.container_bytes, "bpp": report.bpp,
            "kbit_per_s": report.kbit_per_s, "paper_bpp": report.paper_bpp, "sparsity": report.sparsity,
            "entropy_bytes": report.entropy_bytes, "quality": asdict(report.quality), "encode_s": report.encode_s,
            "measure_s": report.measure_s, "rollbacks": report.n_rollbacks, "device": report.device,
            "threads": report.n_threads, "version": __version__}


@cli.command()
@click.argument("source", metavar="INPUT.nvpp")
@click.argument("destination", metavar="OUTPUT")
@click.option("--frames", "frames", type=_FrameRange(), default=":", help="only the frames A to B-1, counted from 0")
@click.option("--codec", help="FFmpeg's encoder for .mp4, .mkv, .mov (default: libx264) and .webm (libvpx-vp9)")
@click.option("--quality", type=int, help="its crf, lower is better (default: 12)")
@click.option("--max-memory", type=click.FloatRange(0, min_open=True), default=4.0, show_default=True,
              help="refuse a file whose decoding would take more GiB of memory")
@_common
def decode(source: str, destination: str, *, frames: tuple[int, int | None], device: str, threads: int | None,
           overwrite: bool, as_json: bool, max_memory: float, **options: Any) -> None:
    """Decode INPUT.nvpp to OUTPUT: .y4m or a folder of PNG (exact), .mp4, .mkv, .mov or .webm."""
    overwrite = overwrite or _asks_to_overwrite(destination)
    from . import codec
    from .backends import choose_device, set_threads
    set_threads(threads)
    with console.progress_line(as_json) as line:
        report = codec.decode(
            source, destination, first=frames[0], stop=frames[1], overwrite=overwrite,
            max_memory=int(max_memory * 2**30), device=choose_device(device),
            on_progress=(lambda n, of: line.counting("decode", n, of)) if line else None, **options)
    for text in report.notes:
        console.note(text)
    if as_json:
        print(json.dumps({"schema": "nervcodec.decode/1", "input": source, "output": destination,
                          "frames": report.n_frames, "seconds": report.seconds, "notes": report.notes}))
    else:
        print(f"{report.n_frames} frames in {report.seconds:.1f} s, {report.n_frames / report.seconds:.1f} frames/s")


@cli.command()
@click.argument("source", metavar="INPUT.nvpp")
@click.option("--json", "as_json", is_flag=True, help="print everything as JSON")
@_version
def info(source: str, *, as_json: bool) -> None:
    """Show what is in a .nvpp file: video, network, where the bytes go, stored quality."""
    from .fileinfo import info as read_info
    found = read_info(source)
    print(json.dumps(found) if as_json else console.table(console.info_rows(found)))


def _asks_to_overwrite(destination: str) -> bool:
    """Asks at a terminal whether an existing output may go; without one the answer is no."""
    if not Path(destination).exists() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(f"{destination} exists already; replace it?", err=True)


def main() -> NoReturn:
    """The console script: runs the command and exits with the code that docs/usage.md gives."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it leaves nothing half written either
    try:
        cli.main(standalone_mode=False)
        sys.stdout.flush()
    except NervCodecError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.exit(_fail("interrupted; nothing was written", INTERRUPTED))
    except click.ClickException as error:
        sys.exit(_fail(error.format_message(), ConfigError.exit_code))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes stdout once more
    sys.exit(0)


def _fail(message: str, code: int) -> int:
    print(f"nervcodec: error: {console.printable(message)}", file=sys.stderr)
    return code
