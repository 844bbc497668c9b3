"""The command line: parse, call, print, exit code. Nothing else knows flags; errors become one line
here.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from nervcodec import __version__
from nervcodec.cli import console
from nervcodec.cli.params import (
    Amount,
    Duration,
    FrameRange,
    Measure,
    Rational,
    by_codec,
    common_options,
    device_options,
    limited,
    limits_of,
    names,
    speed_options,
    version_option,
)
from nervcodec.encoder.presets import PRESETS
from nervcodec.encoder.target import TUNES, Goal
from nervcodec.errors import ConfigError, FramesDiffer, Interrupted, NervCodecError
from nervcodec.format.model_config import COLORSPACES
from nervcodec.training.rate_model import DEFAULT_CRF, MAX_CRF

if TYPE_CHECKING:
    from nervcodec.encoder.encode import EncodeReport
    from nervcodec.encoder.plan import EncodePlan
    from nervcodec.encoder.resume import Pace

_VIDEO_SUFFIXES = (
    ".y4m",
    ".mp4",
    ".mkv",
    ".mov",
    ".webm",
    ".avi",
    ".png",
)  # of what is no output of encode


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
)
@version_option
def cli() -> None:
    """A neural video codec: fits a small network to a video and stores it in a .nvpp file."""


@cli.command()
@click.argument("source", metavar="INPUT")
@click.argument("destination", metavar="OUTPUT.nvpp")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="medium",
    show_default=True,
    help="; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items()),
)
@click.option("--frames", "n_frames", type=int, help="code only the first so many frames")
@click.option(
    "--crf",
    type=float,
    help=f"constant rate factor, 0 (best) to {MAX_CRF:g} (smallest)  [default: {DEFAULT_CRF:g}]",
)
@click.option("--size", type=Amount(), help="bytes of the file, within 2 %")
@click.option("--bitrate", type=Amount(), help="bits a second, within 2 %")
@click.option("--bpp", type=float, help="bits a pixel, within 2 %")
@click.option("--target-psnr", type=float, help="RGB PSNR in dB (mean over frames), within 0.2")
@click.option(
    "--rate-weight", type=float, help="price of a bit itself: what crf stands for (crf 30: 0.01)"
)
@click.option(
    "--tune",
    type=click.Choice(list(TUNES)),
    help="what to be good at: psnr (our presets) or ssim (slower)",
)
@click.option("--epochs", type=int, help="passes over the frames: more is better and slower")
@click.option(
    "--time-budget", type=Duration(), help="as many epochs as fit into this time (90s, 10m, 1h30m)"
)
@click.option("--prune", type=float, help="share of weights to prune by magnitude (paper-*: 0.4)")
@click.option(
    "--bits",
    type=int,
    help="quantize to 2^bits - 1 levels, 2 to 12 (paper-*: 8, ours: 10 as a bound)",
)
@click.option(
    "--colorspace",
    type=click.Choice(["auto", *COLORSPACES]),
    default="auto",
    show_default=True,
    help="planes the network gives; auto: yuv for 4:2:0 input, rgb for RGB and paper-*",
)
@click.option(
    "--segment-frames", type=int, help="longest independently decodable segment (default: 150)"
)
@click.option(
    "--frame-rate", type=Rational(), help="frames a second of a folder of PNG (default: 25)"
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="arithmetic of the fit; auto: bfloat16 where the hardware has it",
)
@click.option("--seed", type=int, default=0, show_default=True, help="of every random choice")
@click.option(
    "--checkpoint-every",
    type=Measure(0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="how much work an interruption may cost",
)
@click.option(
    "--restart", is_flag=True, help="forget what an interrupted encode to OUTPUT has reached"
)
@click.option(
    "--max-memory",
    type=Measure(0, min_open=True),
    metavar="GIB",
    help="refuse a fit that would take more memory (default: what is left)",
)
@click.option("--dry-run", is_flag=True, help="print network, memory and expected time, and stop")
@common_options
def encode(
    source: str,
    destination: str,
    *,
    device: str,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    precision: str,
    dry_run: bool,
    time_budget: float | None,
    restart: bool,
    checkpoint_every: float,
    max_memory: float | None,
    **options: Any,
) -> None:
    """Encode INPUT (anything FFmpeg reads, a folder of PNG, or - for standard input) into
    OUTPUT.nvpp.
    """
    from nervcodec.encoder import encode
    from nervcodec.encoder.plan import check_memory, plan_encode, with_epochs, with_precision
    from nervcodec.encoder.resume import Pace, stored_identity
    from nervcodec.util.files import check_output
    from nervcodec.util.memory import keep_freed_memory
    from nervcodec.video.reader import spooled

    overwrite = overwrite or dry_run or _asks_to_overwrite(destination)
    check_output(destination, overwrite=overwrite, source=source)
    suffix = Path(destination).suffix.lower()
    if suffix in _VIDEO_SUFFIXES:
        raise ConfigError(
            f"output is {destination}; legal: a name without {suffix}, such as OUTPUT.nvpp"
        )
    if time_budget is not None and options["epochs"] is not None:
        raise ConfigError("epochs and a time budget are given; legal: one of them")
    goal = Goal(**{field.name: options.pop(field.name) for field in fields(Goal)})
    keep_freed_memory()
    source = click.get_current_context().with_resource(spooled(source))
    plan = plan_encode(source, goal=goal, **options)
    from nervcodec.nn.device import choose_device, choose_precision, set_threads

    device = choose_device(device)
    plan = with_precision(plan, choose_precision(precision, device))
    set_threads(threads)
    for text in plan.notes:
        console.note(text)
    check_memory(plan, device, None if max_memory is None else max_memory * 2**30)
    begun = None if restart else stored_identity(Path(destination))
    if (
        begun and time_budget is not None
    ):  # what is left of it is as many epochs as it was begun with
        plan, time_budget = (
            with_epochs(plan, begun["fit"]["epochs"], begun["fit"]["finetune_epochs"]),
            None,
        )
    if dry_run or time_budget is not None or not as_json:  # else nobody would see the time
        plan, seconds = _timed(plan, device, time_budget)
        if dry_run:
            _print_estimate(plan, seconds, as_json)
            return
        if not as_json:
            console.show(console.table(console.plan_rows(plan, seconds)))
    pace = Pace(checkpoint_every)
    with _ended_by_signals(pace), console.progress_line(as_json, len(plan.lengths)) as line:
        report = encode.encode(
            plan,
            destination,
            device=device,
            overwrite=overwrite,
            restart=restart,
            pace=pace,
            on_note=console.note,
            on_progress=line.fitting if line else None,
            on_measure=(
                (lambda n: line.counting("measure", n, plan.format.n_frames)) if line else None
            ),
        )
    if report.missed:
        console.note(report.missed)
    console.show(
        json.dumps(_report_json(report, destination))
        if as_json
        else console.table(console.report_rows(report))
    )


@contextmanager
def _ended_by_signals(pace: Pace) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a fit with a checkpoint."""
    heeded = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = [signal.signal(number, lambda *_: pace.end()) for number in heeded]
    try:
        yield
    finally:
        for number, handler in zip(heeded, before):
            signal.signal(number, handler)


def _timed(plan: EncodePlan, device: str, time_budget: float | None) -> tuple[EncodePlan, float]:
    """The plan, with the epochs that its time budget allows if it has one, and the seconds that it
    will take.
    """
    from nervcodec.encoder.plan import seconds_an_epoch, with_time_budget

    an_epoch = seconds_an_epoch(plan, device)
    plan = plan if time_budget is None else with_time_budget(plan, time_budget, an_epoch)
    return plan, (plan.fit.total_epochs + plan.fit.n_rdoq_passes) * an_epoch


def _print_estimate(plan: EncodePlan, seconds: float, as_json: bool) -> None:
    from nervcodec.encoder.plan import memory_bytes

    n_bytes = memory_bytes(plan)
    if as_json:
        console.show(
            json.dumps(
                {
                    "schema": "nervcodec.estimate/1",
                    **_plan_json(plan),
                    "seconds": seconds,
                    "memory": n_bytes,
                }
            )
        )
    else:
        rows = [*console.plan_rows(plan, seconds), ("memory", f"about {n_bytes / 2**20:,.0f} MiB")]
        console.show(console.table(rows))


def _plan_json(plan: EncodePlan) -> dict[str, Any]:
    return {
        "input": os.fspath(plan.source),
        "width": plan.format.width,
        "height": plan.format.height,
        "frames": plan.format.n_frames,
        "frame_rate": str(plan.format.frame_rate),
        "segments": plan.lengths,
        "shots": plan.segments,
        "parameters": plan.n_parameters,
        "kmac_per_pixel": plan.kmac_per_pixel,
        "model": asdict(plan.model),
        "fit": asdict(plan.fit),
        "notes": plan.notes,
    }


def _report_json(report: EncodeReport, destination: str) -> dict[str, Any]:
    return {
        "schema": "nervcodec.encode/1",
        **_plan_json(report.plan),
        "output": destination,
        "bytes": report.n_bytes,
        "container_bytes": report.container_bytes,
        "bpp": report.bpp,
        "kbit_per_s": report.kbit_per_s,
        "paper_bpp": report.paper_bpp,
        "sparsity": report.sparsity,
        "entropy_bytes": report.entropy_bytes,
        "quality": asdict(report.quality),
        "encode_s": report.encode_s,
        "measure_s": report.measure_s,
        "rollbacks": report.n_rollbacks,
        "device": report.device,
        "threads": report.n_threads,
        "peak_memory": report.peak_memory,
        "target_bytes": report.plan.target_bytes,
        "missed": report.missed,
        "version": __version__,
    }


@cli.command()
@click.argument("source", metavar="INPUT.nvpp")
@click.argument("destination", metavar="OUTPUT")
@click.option(
    "--frames",
    "frames",
    type=FrameRange(),
    default=":",
    help="only the frames A to B-1, counted from 0",
)
@click.option(
    "--codec",
    help="FFmpeg's encoder for .mp4, .mkv, .mov (default: libx264) and .webm (libvpx-vp9)",
)
@click.option("--quality", type=int, help="its crf, lower is better (default: 12)")
@limited
@click.option(
    "--salvage",
    "whole_segments_only",
    is_flag=True,
    help="of a damaged file, decode the segments that are whole, and say which frames are lost",
)
@common_options
def decode(
    source: str,
    destination: str,
    *,
    frames: tuple[int, int | None],
    device: str,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    raised: dict[str, int],
    max_memory: float,
    **options: Any,
) -> None:
    """Decode INPUT.nvpp to OUTPUT: .y4m, - (.y4m on standard output) or a folder of PNG (exact),
    .mp4, .mkv, .mov or .webm.
    """
    from nervcodec.decoder import decode
    from nervcodec.util.memory import keep_freed_memory

    overwrite = overwrite or _asks_to_overwrite(destination)
    keep_freed_memory()
    with console.progress_line(as_json) as line:
        report = decode.decode(
            source,
            destination,
            first=frames[0],
            stop=frames[1],
            overwrite=overwrite,
            device=device,
            n_threads=threads,
            limits=limits_of(raised, max_memory),
            on_progress=(lambda n, of: line.counting("decode", n, of)) if line else None,
            **options,
        )
    for note in report.notes:
        console.note(note)
    if as_json:
        text = json.dumps(
            {
                "schema": "nervcodec.decode/1",
                "input": source,
                "output": destination,
                "frames": report.n_frames,
                "seconds": report.seconds,
                "notes": report.notes,
            }
        )
    else:
        text = (
            f"{report.n_frames} frames in {report.seconds:.1f} s,"
            f" {report.n_frames / report.seconds:.1f} frames/s"
        )
    console.show(text, sys.stderr if destination == "-" else None)


@cli.command()
@click.argument("source", metavar="INPUT.nvpp")
@limited
@device_options
@click.option(
    "--json", "as_json", is_flag=True, help="print figures as JSON on stdout, no progress"
)
@version_option
def verify(
    source: str,
    *,
    device: str,
    threads: int | None,
    as_json: bool,
    raised: dict[str, int],
    max_memory: float,
) -> None:
    """Check INPUT.nvpp: container, streams, and that it decodes to what its encoder saw."""
    from nervcodec.decoder.verify import verify as check
    from nervcodec.util.memory import keep_freed_memory

    keep_freed_memory()
    with console.progress_line(as_json) as line:
        found = check(
            source,
            limits=limits_of(raised, max_memory),
            device=device,
            n_threads=threads,
            on_progress=(lambda n, of: line.counting("verify", n, of)) if line else None,
        )
    if as_json:
        console.show(
            json.dumps(
                {
                    "schema": "nervcodec.verify/1",
                    "input": source,
                    "bytes": found.n_bytes,
                    "device": found.device,
                    "verdict": found.verdict,
                    "worst_drift": found.worst_drift,
                    "segments": [asdict(segment) for segment in found.segments],
                }
            )
        )
    else:
        console.show(console.table(console.verify_rows(found)))
    if found.complaint:
        raise FramesDiffer(found.complaint)


@cli.command()
@click.argument("source", metavar="INPUT.nvpp")
@click.option("--json", "as_json", is_flag=True, help="print everything as JSON")
@version_option
def info(source: str, *, as_json: bool) -> None:
    """Show what is in a .nvpp file: video, network, where the bytes go, stored quality."""
    from nervcodec.format.info import info as read_info

    found = read_info(source)
    console.show(json.dumps(found) if as_json else console.table(console.info_rows(found)))


@cli.command()
@click.argument("reference", metavar="REF", type=click.Path(path_type=Path))
@click.argument("distorted", metavar="DIST", type=click.Path(path_type=Path))
@click.option("--frames", "n_frames", type=int, help="compare only the first so many frames")
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(path_type=Path),
    help="write every frame's figures to this file",
)
@click.option("-y", "--overwrite", is_flag=True, help="replace an existing file")
@click.option("--json", "as_json", is_flag=True, help="print everything as JSON")
@version_option
def compare(
    reference: Path,
    distorted: Path,
    *,
    n_frames: int | None,
    csv_path: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure the video DIST against REF: PSNR, SSIM, MS-SSIM, XPSNR, and VMAF where it can be
    had.
    """
    from nervcodec.quality.compare import compare as measure
    from nervcodec.quality.compare import write_csv
    from nervcodec.util.files import check_output

    if csv_path:
        overwrite = overwrite or _asks_to_overwrite(str(csv_path))
        for source in (reference, distorted):
            check_output(csv_path, overwrite=overwrite, source=source)
    with console.progress_line(as_json) as line:
        found = measure(
            reference,
            distorted,
            n_frames=n_frames,
            on_progress=(lambda n, of: line.counting("compare", n, of)) if line else None,
        )
    for text in found.notes:
        console.note(text)
    if csv_path:
        write_csv(found, csv_path, overwrite=overwrite)
    console.show(
        json.dumps(found.as_json()) if as_json else console.table(console.comparison_rows(found))
    )


@cli.command()
@click.argument("clips", metavar="CLIP...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--codecs",
    multiple=True,
    callback=names,
    help="nervcodec, x264, x265, svtav1, vp9 (default: all five)",
)
@click.option(
    "--presets",
    multiple=True,
    callback=by_codec,
    metavar="CODEC=NAME,...",
    help="presets of a codec, with a tuning after a slash (x265=medium,veryslow/psnr)",
)
@click.option(
    "--points",
    "n_points",
    type=click.IntRange(1, 20),
    default=4,
    show_default=True,
    help="rates a codec",
)
@click.option(
    "--settings",
    multiple=True,
    callback=by_codec,
    metavar="CODEC=VALUE,...",
    help="the settings themselves: crf, or nervcodec's rate weight (x265=22,27,32,37)",
)
@click.option(
    "--adapter",
    "tomls",
    multiple=True,
    type=click.Path(path_type=Path),
    help="a .toml file that adds a codec (docs/usage.md)",
)
@click.option(
    "--encode-options",
    default="",
    metavar="TEXT",
    help='more options of nervcodec encode ("--epochs 30")',
)
@click.option(
    "--suite", type=click.Choice(["bunny", "uvg", "mcl-jcv"]), help="a published set of clips"
)
@click.option(
    "--clips", "folder", type=click.Path(path_type=Path), help="where the clips of the suite lie"
)
@click.option(
    "--frames",
    "n_frames",
    type=click.IntRange(1),
    help="only the first so many frames of each clip",
)
@click.option(
    "--anchor", help="the curve that BD-rates are against (default: x265 medium, if there)"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("bench-out"),
    show_default=True,
    help="folder of results, report and cache; the same again goes on where it stopped",
)
@click.option(
    "--threads", type=int, help="CPUs that each codec's process may use, and nervcodec's threads"
)
@click.option("--seed", type=int, default=0, show_default=True, help="of nervcodec's fits")
@click.option("--json", "as_json", is_flag=True, help="print results.json on stdout")
@speed_options
@version_option
def bench(
    clips: tuple[Path, ...],
    *,
    codecs: list[str],
    presets: dict[str, list[str]],
    n_points: int,
    settings: dict[str, list[str]],
    tomls: tuple[Path, ...],
    encode_options: str,
    suite: str | None,
    folder: Path | None,
    n_frames: int | None,
    anchor: str | None,
    out: Path,
    threads: int | None,
    seed: int,
    as_json: bool,
    **speed_options: Any,
) -> None:
    """Compare codecs: encode each CLIP at several rates, decode, measure; results and report go to
    --out.
    """
    if speed_options["speed"] or speed_options["floor"]:
        _bench_speed(clips, n_frames, threads, seed, as_json, **speed_options)
        return
    from nervcodec.bench.adapters import chosen_adapters
    from nervcodec.bench.bdrate import choose_anchor
    from nervcodec.bench.datasets import suite_clips
    from nervcodec.bench.report import write_report
    from nervcodec.bench.runner import Bench, check_folder, open_clip, write_csv
    from nervcodec.nn.device import set_threads

    paths = [*clips, *(suite_clips(suite, folder) if suite else ())]
    if not paths:
        raise ConfigError("no clips; legal: files, folders of PNG, or --suite NAME")
    options = [*_words(encode_options), *(("--seed", str(seed)) if seed else ())]
    adapters = chosen_adapters(codecs, presets, tomls, n_points, options, settings)
    choose_anchor(
        {adapter.label: adapter.codec for adapter in adapters}, anchor
    )  # a wrong one is better known now
    check_folder(out)
    run = Bench(
        [open_clip(path, n_frames) for path in paths],
        adapters,
        out,
        set_threads(threads),
        shlex.join(["nervcodec", *sys.argv[1:]]),
        seed,
    )
    try:
        with console.progress_line(as_json) as line:
            results = run.run(line.benching if line else lambda *_: None)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; all points so far are in {out}, the same command goes on"
        ) from None
    write_csv(results, out / "results.csv")
    report = write_report(out, anchor)
    console.show(json.dumps(results) if as_json else console.bench_table(results) + f"\n{report}")


def _bench_speed(
    clips: tuple[Path, ...],
    n_frames: int | None,
    threads: int | None,
    seed: int,
    as_json: bool,
    *,
    speed: bool,
    floor: bool,
    cases: list[str],
    device: str,
    variants: list[str],
    **settings: Any,
) -> None:
    """Prints our training beside plain PyTorch's, or our times beside the least that they could
    be.
    """
    from nervcodec.bench.roofline import CASES, floor_text, measure_floor
    from nervcodec.bench.speed import Settings, compare_speed, speed_text
    from nervcodec.nn.device import choose_device, set_threads
    from nervcodec.util.memory import keep_freed_memory

    if speed == floor or bool(clips) != speed:
        raise ConfigError(
            f"{len(clips)} clips are given; legal: --speed with clips, or --floor without"
        )
    set_threads(threads)
    device, command = choose_device(device), shlex.join(["nervcodec", *sys.argv[1:]])
    with console.progress_line(as_json) as line:
        on_progress = line.benching if line else lambda *_: None
        if floor:
            keep_freed_memory()  # as encode and decode do
            results = measure_floor(
                tuple(cases) or CASES, device, settings["precision"], command, on_progress
            )
        else:
            chosen = Settings(device=device, seed=seed, **settings)
            chosen = replace(chosen, n_frames=n_frames) if n_frames else chosen
            chosen = replace(chosen, variants=tuple(variants)) if variants else chosen
            results = compare_speed(clips, chosen, command, on_progress)
    console.show(json.dumps(results) if as_json else (floor_text if floor else speed_text)(results))


def _words(text: str) -> list[str]:
    """A command line's words, as a shell takes it apart."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"encode options are {text!r}: {error}") from None


def _asks_to_overwrite(destination: str) -> bool:
    """Asks at a terminal whether an existing output may go; without one the answer is no."""
    if not os.path.exists(destination) or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(f"{destination} exists already; replace it?", err=True)


def main() -> NoReturn:
    """The console script: runs the command and exits with the code that docs/usage.md gives."""
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that it leaves nothing half written either
    console.open_streams()
    # OpenMP's threads spin while they wait for each other: a moment of it is as fast as for ever,
    # and leaves the cores to other work (docs/ablation.md). Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        cli.main(standalone_mode=False)
        console.show("")  # what click printed by itself may still be on its way
    except NervCodecError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.exit(_fail("interrupted; nothing was written", Interrupted.exit_code))
    except click.ClickException as error:
        sys.exit(_fail(error.format_message(), ConfigError.exit_code))
    sys.exit(0)


def _fail(message: str, code: int) -> int:
    console.note(f"error: {message}")
    return code
