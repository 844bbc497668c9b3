"""nervcodec encode."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO, get_args

import click

from nervcodec.cli import console
from nervcodec.cli.params import (
    STANDARD,
    Amount,
    ColorParam,
    Command,
    Duration,
    Measure,
    Rational,
    device_options,
    json_option,
    may_overwrite,
    option,
    options,
    output_name,
    overwrite_option,
    readable,
    version_option,
)
from nervcodec.cli.tables import estimate_rows, plan_rows, report_rows
from nervcodec.encoder.options import ColorspaceChoice, EncodeOptions, Precision, Tune
from nervcodec.encoder.presets import PRESETS
from nervcodec.encoder.target import Bitrate, BitsPerPixel, Crf, Lambda, Psnr, Size, Target
from nervcodec.errors import ConfigError
from nervcodec.training.rate_model import DEFAULT_CRF, MAX_CRF

if TYPE_CHECKING:
    from nervcodec.encoder.plan import EncodePlan
    from nervcodec.encoder.report import EncodeReport
    from nervcodec.encoder.resume import Pace

_TARGET = "Target (at most one)"
_TIME = "Time and quality"
_INPUT = "Input"
_OUTPUT = "Output"
_ADVANCED = "Advanced"
_TARGETS: dict[str, Callable[[float], Target]] = {
    "crf": Crf,
    "size": Size,
    "bitrate": Bitrate,
    "bpp": BitsPerPixel,
    "target_psnr": Psnr,
    "rate_weight": Lambda,
}

_target_options = options(
    option(
        "--crf",
        type=float,
        metavar="X",
        section=_TARGET,
        help=f"rate factor, 0 (best) to {MAX_CRF:g} (smallest)  [default: {DEFAULT_CRF:g}]",
    ),
    option(
        "--size",
        type=Amount(),
        metavar="N",
        section=_TARGET,
        help="bytes of the file (64k, 1.5M), met within 2 %",
    ),
    option(
        "--bitrate",
        type=Amount(),
        metavar="N",
        section=_TARGET,
        help="bits a second (100k), met within 2 %",
    ),
    option("--bpp", type=float, metavar="X", section=_TARGET, help="bits a pixel, met within 2 %"),
    option(
        "--target-psnr",
        type=float,
        metavar="DB",
        section=_TARGET,
        help="RGB PSNR, mean over frames, met within 0.2 dB",
    ),
    option(
        "--rate-weight",
        type=float,
        metavar="X",
        section=_TARGET,
        help="lambda, the weight of a bit (crf 30: 0.01)",
    ),
)
_time_options = options(
    option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        metavar="NAME",
        default="medium",
        show_default=True,
        section=_TIME,
        help="ultrafast, fast, medium, slow, veryslow, paper-xs/s/m/l",
    ),
    option(
        "--epochs",
        type=int,
        metavar="N",
        section=_TIME,
        help="passes over the frames: more is better and slower",
    ),
    option(
        "--time-budget",
        "time_budget_s",
        type=Duration(),
        metavar="TIME",
        section=_TIME,
        help="as many epochs as fit (90s, 10m, 1h30m)",
    ),
    option(
        "--tune",
        type=click.Choice(get_args(Tune)),
        metavar="NAME",
        section=_TIME,
        help="be good at psnr, or at ssim (a quarter slower)",
    ),
    option(
        "--dry-run",
        is_flag=True,
        section=_TIME,
        help="print network, memory and expected time, and stop",
    ),
)
_file_options = options(
    option(
        "--frames",
        "n_frames",
        type=int,
        metavar="N",
        section=_INPUT,
        help="code only the first N frames",
    ),
    option(
        "--frame-rate",
        type=Rational(),
        metavar="RATE",
        section=_INPUT,
        help="frames a second, in place of what INPUT says",
    ),
    option(
        "--video-stream",
        type=int,
        metavar="N",
        section=_INPUT,
        help="which video stream, from 0  [default: INPUT's]",
    ),
    option(
        "--background",
        type=ColorParam(),
        metavar="COLOUR",
        default="black",
        show_default=True,
        section=_INPUT,
        help="what lies under transparent pixels (#rrggbb)",
    ),
    option(
        "--autorotate",
        is_flag=True,
        section=_INPUT,
        help="turn frames as players turn them",
    ),
    option(
        "--force-progressive",
        is_flag=True,
        section=_INPUT,
        help="code interlaced frames as they are",
    ),
    option(
        "--strict",
        is_flag=True,
        section=_INPUT,
        help="refuse a damaged or incomplete INPUT",
    ),
    option(
        "--salvage-input",
        is_flag=True,
        section=_INPUT,
        help="code what decodes of a damaged INPUT",
    ),
    option(
        "--colorspace",
        type=click.Choice(get_args(ColorspaceChoice)),
        metavar="NAME",
        default="auto",
        show_default=True,
        section=_INPUT,
        help="code as yuv, rgb or auto (as the input; paper-*: rgb)",
    ),
    overwrite_option(_OUTPUT),
    option(
        "--segment-frames",
        type=int,
        metavar="N",
        section=_OUTPUT,
        help="longest independently decodable segment  [default: 150]",
    ),
    option(
        "--checkpoint-every",
        "checkpoint_every_s",
        type=Measure(0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        section=_OUTPUT,
        help="how much work an interruption may cost",
    ),
    option(
        "--restart",
        is_flag=True,
        section=_OUTPUT,
        help="forget what an interrupted encode has reached",
    ),
    json_option(_OUTPUT),
)
_advanced_options = options(
    option(
        "--bits",
        type=int,
        metavar="N",
        section=_ADVANCED,
        help="2^N - 1 levels at most (paper-*: 8, others: 10 or 12)",
    ),
    option(
        "--prune",
        type=float,
        metavar="R",
        section=_ADVANCED,
        help="share of weights set to zero (paper-*: 0.4)",
    ),
    option(
        "--precision",
        type=click.Choice(get_args(Precision)),
        metavar="NAME",
        default="auto",
        show_default=True,
        section=_ADVANCED,
        help="float32, bfloat16 or auto (bfloat16 in hardware)",
    ),
    option(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        show_default=True,
        section=_ADVANCED,
        help="of every random choice",
    ),
    device_options(_ADVANCED),
    option(
        "--max-memory",
        "max_memory_gib",
        type=Measure(0, min_open=True),
        metavar="GIB",
        section=_ADVANCED,
        help="refuse a fit that takes more  [default: what is left]",
    ),
)


@click.command(
    cls=Command,
    short_help="Fit a network to a video and write a .nvpp file.",
    examples=[
        ("in.y4m out.nvpp", "constant quality, crf 30"),
        ("in.mkv out.nvpp --size 64k", "a file of 64,000 bytes"),
        ("in.mkv out.nvpp --time-budget 10m", "what ten minutes give"),
        ("frames/ out.nvpp --crf 35 --preset slow", "smaller, and slower to encode"),
    ],
)
@click.argument("source", metavar="INPUT")
@click.argument("destination", metavar="OUTPUT.nvpp")
@_target_options
@_time_options
@_file_options
@_advanced_options
@version_option
def encode(
    source: str,
    destination: str,
    *,
    as_json: bool,
    dry_run: bool,
    max_memory_gib: float | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Encode INPUT (anything FFmpeg reads, a folder of PNG, or - for standard input)."""
    target = _chosen_target({name: settings.pop(name) for name in _TARGETS})
    destination = output_name(destination)
    request = EncodeOptions(
        target=target,
        max_memory_bytes=None if max_memory_gib is None else max_memory_gib * 2**30,
        overwrite=dry_run or may_overwrite(destination, overwrite),
        **settings,
    )
    from nervcodec.encoder.plan import check_destination, plan
    from nervcodec.util.memory import keep_freed_memory

    with _writable(destination) as file:
        check_destination(source, file, request)
        keep_freed_memory()
        with readable(source) as path:
            decided = plan(path, file, request)
            for text in decided.notes:
                console.note(text)
            stream = sys.stderr if destination == STANDARD else None
            if dry_run:
                _show_estimate(decided, as_json, stream)
            else:
                _carry_out(decided, as_json, stream)
                if destination == STANDARD:
                    console.show_bytes(Path(file).read_bytes())


@contextmanager
def _writable(destination: str) -> Iterator[str]:
    """Yield the name of the file to write: for standard output that of a temporary one.

    Raises:
        ConfigError: standard output is a terminal.
    """
    if destination != STANDARD:
        yield destination
        return
    if sys.stdout.isatty():
        raise ConfigError("standard output is a terminal; legal for a .nvpp file: a pipe or a file")
    with TemporaryDirectory(prefix="nervcodec-") as folder:
        yield str(Path(folder, "standard output.nvpp"))


def _chosen_target(values: dict[str, float | None]) -> Target | None:
    """Return the one target that is asked for.

    Raises:
        ConfigError: there are several.
    """
    asked = {name: value for name, value in values.items() if value is not None}
    if len(asked) > 1:
        names = " and ".join(name.replace("_", " ") for name in asked)
        raise ConfigError(f"{names} are given; legal: one of them")
    for name, value in asked.items():
        return _TARGETS[name](value)
    return None


def _show_estimate(plan: EncodePlan, as_json: bool, stream: TextIO | None) -> None:
    text = json.dumps(plan.as_json()) if as_json else console.pairs(estimate_rows(plan))
    console.show(text, stream)


def _carry_out(plan: EncodePlan, as_json: bool, stream: TextIO | None) -> None:
    """Encode, with the plan before it, progress beside it, and the report after it."""
    if not as_json:
        console.show(console.pairs(plan_rows(plan, plan.estimate_seconds())), stream)
    report = _encode(plan, as_json)
    if report.missed:
        console.note(report.missed)
    text = json.dumps(report.as_json()) if as_json else console.pairs(report_rows(report))
    console.show(text, stream)


def _encode(plan: EncodePlan, is_quiet: bool) -> EncodeReport:
    from nervcodec.encoder.encode import encode as run
    from nervcodec.encoder.resume import Pace

    pace = Pace(plan.options.checkpoint_every_s)
    with _ended_by_signals(pace), console.progress_line(is_quiet, len(plan.lengths)) as line:
        return run(
            plan,
            pace=pace,
            on_note=console.note,
            on_progress=line.fitting if line else None,
            on_measure=(
                (lambda n: line.counting("measure", n, plan.format.n_frames)) if line else None
            ),
        )


@contextmanager
def _ended_by_signals(pace: Pace) -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and SIGHUP end a fit with a checkpoint, where they are not ignored."""
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = [signal.signal(number, lambda *_: pace.end()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)
