"""nervcodec bench, bench speed and bench roofline."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click

from nervcodec.cli import console
from nervcodec.cli.params import (
    Command,
    device_options,
    json_option,
    option,
    options,
    version_option,
)
from nervcodec.cli.tables import bench_text, roofline_text, speed_text
from nervcodec.cli.values import by_codec, names
from nervcodec.encoder.presets import PRESETS
from nervcodec.errors import ConfigError, Interrupted
from nervcodec.nn.arithmetic import Precision
from nervcodec.util.packages import need_torch

_CODECS = "Codecs"
_CLIPS = "Clips"
_RESULTS = "Results"

_codec_options = options(
    option(
        "--codecs",
        multiple=True,
        callback=names,
        metavar="NAME,...",
        section=_CODECS,
        help="nervcodec, x264, x265, svtav1, vp9  [default: all five]",
    ),
    option(
        "--presets",
        multiple=True,
        callback=by_codec,
        metavar="CODEC=NAME,...",
        section=_CODECS,
        help="presets of a codec (x265=medium,veryslow/psnr)",
    ),
    option(
        "--points",
        "n_points",
        type=click.IntRange(1, 20),
        metavar="N",
        default=4,
        show_default=True,
        section=_CODECS,
        help="rates a codec, over its usual range",
    ),
    option(
        "--settings",
        multiple=True,
        callback=by_codec,
        metavar="CODEC=VALUE,...",
        section=_CODECS,
        help="the rates themselves: crf; of paper-*: bits; of paper: xs,s,m,l",
    ),
    option(
        "--adapter",
        "tomls",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        section=_CODECS,
        help="a .toml file that adds a codec",
    ),
    option(
        "--encode-options",
        default="",
        metavar="TEXT",
        section=_CODECS,
        help='more options of nervcodec encode ("--epochs 30")',
    ),
    option(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        show_default=True,
        section=_CODECS,
        help="of nervcodec's fits",
    ),
)
_clip_options = options(
    option(
        "--suite",
        type=click.Choice(["bunny", "uvg", "mcl-jcv"]),
        metavar="NAME",
        section=_CLIPS,
        help="bunny, uvg or mcl-jcv, a published set of clips",
    ),
    option(
        "--clips",
        "folder",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        section=_CLIPS,
        help="where the clips of the suite lie",
    ),
    option(
        "--frames",
        "n_frames",
        type=click.IntRange(1),
        metavar="N",
        section=_CLIPS,
        help="only the first N frames of each clip",
    ),
)
_result_options = options(
    option(
        "--anchor",
        metavar="LABEL",
        section=_RESULTS,
        help="the curve of BD-rates' zero  [default: x265 medium, if there]",
    ),
    option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        default=Path("bench-out"),
        show_default=True,
        section=_RESULTS,
        help="results, report, cache; the same again resumes",
    ),
    option(
        "--threads",
        "n_threads",
        type=int,
        metavar="N",
        section=_RESULTS,
        help="CPUs of each codec's process, threads of nervcodec's",
    ),
    json_option(_RESULTS),
)


@click.command(
    cls=Command,
    examples=[
        ("a.y4m b.mkv", "five codecs at four rates"),
        ("a.y4m --settings x265=22,27,32,37", "rates of one's own"),
        ("--suite bunny --presets nervcodec=paper", "the paper's networks"),
    ],
)
@click.argument("clips", metavar="CLIP...", nargs=-1, type=click.Path(path_type=Path))
@_codec_options
@_clip_options
@_result_options
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
    seed: int,
    suite: str | None,
    folder: Path | None,
    n_frames: int | None,
    anchor: str | None,
    out: Path,
    n_threads: int | None,
    as_json: bool,
) -> None:
    """Compare codecs: encode each CLIP at several rates, decode, measure, report."""
    need_torch("benchmarking")
    from nervcodec.bench.adapters import chosen_adapters
    from nervcodec.bench.bdrate import choose_anchor
    from nervcodec.bench.datasets import suite_clips
    from nervcodec.bench.report import write_report
    from nervcodec.bench.runner import Bench, check_folder, open_clip, write_csv
    from nervcodec.nn.device import set_threads

    paths = [*clips, *(suite_clips(suite, folder) if suite else ())]
    if not paths:
        raise ConfigError("no clips; legal: files, folders of PNG, or --suite NAME")
    arguments = [*_words(encode_options), *(("--seed", str(seed)) if seed else ())]
    adapters = chosen_adapters(codecs, presets, tomls, n_points, arguments, settings)
    # A wrong anchor or folder is better known now.
    choose_anchor({adapter.label: adapter.codec for adapter in adapters}, anchor)
    check_folder(out)
    run = Bench(
        [open_clip(path, n_frames) for path in paths],
        adapters,
        out,
        set_threads(n_threads),
        _command_line(),
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
    console.show(json.dumps(results) if as_json else f"{bench_text(results)}\n{report}")


_precision_option = option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    metavar="NAME",
    default="auto",
    show_default=True,
    help="float32, bfloat16 or auto, of our training",
)


@click.command(
    name="bench speed",
    cls=Command,
    examples=[("a.y4m --steps 60 --rounds 3", "steps a second and PSNR of both")],
)
@click.argument(
    "clips", metavar="CLIP...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    metavar="NAME",
    default="paper-xs",
    show_default=True,
    help="whose network, batch and rates are used",
)
@option(
    "--variants",
    multiple=True,
    callback=names,
    metavar="NAME,...",
    help="same-recipe, mse, ours, ours-ssim, preset  [default: the first three]",
)
@option(
    "--steps",
    "n_steps",
    type=click.IntRange(1),
    metavar="N",
    default=60,
    show_default=True,
    help="of each",
)
@option(
    "--rounds",
    "n_rounds",
    type=click.IntRange(1),
    metavar="N",
    default=3,
    show_default=True,
    help="in so many turns",
)
@option(
    "--frames",
    "n_frames",
    type=click.IntRange(1),
    metavar="N",
    help="only the first N frames of each clip  [default: 16]",
)
@option("--seed", type=int, metavar="N", default=0, show_default=True, help="of start and order")
@_precision_option
@device_options()
@json_option()
@version_option
def speed(
    clips: tuple[Path, ...],
    *,
    preset: str,
    variants: list[str],
    n_steps: int,
    n_rounds: int,
    n_frames: int | None,
    seed: int,
    precision: Precision,
    device: str,
    n_threads: int | None,
    as_json: bool,
) -> None:
    """Train one network by plain PyTorch and by nervcodec in turns: steps a second, and PSNR."""
    need_torch("benchmarking")
    from nervcodec.bench.speed import Settings, compare_speed
    from nervcodec.nn.device import choose_device, set_threads

    set_threads(n_threads)
    chosen = Settings(
        preset=preset,
        n_steps=n_steps,
        n_rounds=n_rounds,
        device=choose_device(device),
        precision=precision,
        seed=seed,
    )
    if n_frames:
        chosen = replace(chosen, n_frames=n_frames)
    if variants:
        chosen = replace(chosen, variants=tuple(variants))
    with console.progress_line(as_json) as line:
        results = compare_speed(
            clips, chosen, _command_line(), line.benching if line else lambda *_: None
        )
    console.show(json.dumps(results) if as_json else speed_text(results))


@click.command(
    name="bench roofline",
    cls=Command,
    examples=[("--cases medium@640x360", "one network, at one size")],
)
@option(
    "--cases",
    multiple=True,
    callback=names,
    metavar="PRESET@WxH,...",
    help="networks  [default: paper-xs@1280x720,medium@640x360]",
)
@_precision_option
@device_options()
@json_option()
@version_option
def roofline(
    *, cases: list[str], precision: Precision, device: str, n_threads: int | None, as_json: bool
) -> None:
    """Measure steps and decoded frames against the least time that this machine allows."""
    need_torch("benchmarking")
    from nervcodec.bench.roofline import CASES, measure_roofline
    from nervcodec.nn.device import choose_device, set_threads
    from nervcodec.util.memory import keep_freed_memory

    set_threads(n_threads)
    keep_freed_memory()  # as encode and decode do
    with console.progress_line(as_json) as line:
        results = measure_roofline(
            tuple(cases) or CASES,
            choose_device(device),
            precision,
            _command_line(),
            line.benching if line else lambda *_: None,
        )
    console.show(json.dumps(results) if as_json else roofline_text(results))


def _command_line() -> str:
    """Return the command as a shell would take it."""
    return shlex.join(["nervcodec", *sys.argv[1:]])


def _words(text: str) -> list[str]:
    """Return a command line's words, as a shell takes it apart.

    Raises:
        ConfigError: a quotation that is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"encode options are {text!r}: {error}") from None
