"""nervcodec decode."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import click

from nervcodec.cli import console
from nervcodec.cli.config import without_overridden
from nervcodec.cli.limit_options import limit_options, limits_of
from nervcodec.cli.params import (
    STANDARD,
    Command,
    complete_file,
    decoding_device_options,
    engine_option,
    jobs_option,
    json_option,
    may_overwrite,
    option,
    output_name,
    overwrite_option,
    readable,
    version_option,
)
from nervcodec.cli.values import FrameRange, SizeParam
from nervcodec.decoder.engines import limit_blas

_OUTPUT = "Output"
_TRUST = "Damaged and large files"
_ADVANCED = "Advanced"


@click.command(
    cls=Command,
    examples=[
        ("in.nvpp out.y4m", "the decoded planes, exact"),
        ("in.nvpp out.mp4", "for a player, by libx264"),
        ("in.nvpp frames/", "a folder of PNG"),
        ("in.nvpp one.png --frame 12", "one frame"),
        ("in.nvpp look.gif", "for a quick look; .webp too"),
        ("- - < in.nvpp | ffplay -", "from standard input to .y4m on standard output"),
    ],
)
@click.argument("source", metavar="INPUT.nvpp", shell_complete=complete_file)
@click.argument("destination", metavar="OUTPUT", shell_complete=complete_file)
@option(
    "--frames",
    type=FrameRange(),
    metavar="A:B",
    default=":",
    section=_OUTPUT,
    help="only the frames A to B-1, counted from 0",
)
@option(
    "--frame",
    type=int,
    metavar="N",
    section=_OUTPUT,
    help="this frame alone, counted from 0; to a .png too",
)
@option(
    "--scale",
    type=SizeParam(),
    metavar="WxH",
    section=_OUTPUT,
    help="scale frames to this size, by FFmpeg's filter",
)
@option(
    "--codec",
    metavar="NAME",
    section=_OUTPUT,
    help="FFmpeg's encoder  [default: libx264; .webm: libvpx-vp9]",
)
@option(
    "--quality",
    type=int,
    metavar="CRF",
    section=_OUTPUT,
    help="its crf, lower is better  [default: 12]",
)
@option(
    "--pixel-format",
    metavar="NAME",
    section=_OUTPUT,
    help="what it codes (yuv444p, gbrp)  [default: as the frames]",
)
@option(
    "--no-audio",
    "audio",
    is_flag=True,
    flag_value=False,
    default=True,
    section=_OUTPUT,
    help="leave out sound and subtitles",
)
@overwrite_option(_OUTPUT)
@json_option(_OUTPUT)
@option(
    "--salvage",
    is_flag=True,
    section=_TRUST,
    help="decode what is whole of a damaged file, say what is lost",
)
@limit_options(_TRUST)
@jobs_option(_ADVANCED, "decoded")
@engine_option(_ADVANCED)
@option(
    "--fast",
    is_flag=True,
    section=_ADVANCED,
    help="in float32, samples of 8 bits within a level; torch only",
)
@decoding_device_options(_ADVANCED)
@version_option
def decode(
    source: str,
    destination: str,
    *,
    overwrite: bool,
    as_json: bool,
    raised: dict[str, int],
    max_memory_gib: float,
    **settings: Any,
) -> None:
    """Decode INPUT.nvpp to .y4m, .mp4, .mkv, .mov, .webm, .gif, .webp, PNG, or - (.y4m)."""
    limit_blas(settings["engine"])
    from nervcodec.decoder.decode import ALL_FRAMES, DecodeOptions
    from nervcodec.decoder.decode import decode as run
    from nervcodec.util.memory import keep_freed_memory

    settings = without_overridden(
        click.get_current_context(), settings, {"frame": None, "frames": ALL_FRAMES}
    )
    destination = output_name(destination)
    request = DecodeOptions(
        limits=limits_of(raised, max_memory_gib),
        overwrite=may_overwrite(destination, overwrite),
        **settings,
    )
    keep_freed_memory()
    with readable(source) as path, console.progress_line(as_json) as line:
        report = run(
            path,
            destination,
            request,
            on_progress=(lambda n, of: line.counting("decode", n, of)) if line else None,
        )
    for note in report.notes:
        console.note(note)
    text = (
        f"{report.n_frames} frames in {report.seconds:.1f} s,"
        f" {report.n_frames / report.seconds:.1f} frames/s"
    )
    stream = sys.stderr if destination == STANDARD else None
    report = replace(report, source=source)
    if as_json or not console.is_quiet():
        console.show(json.dumps(report.as_json()) if as_json else text, stream)
