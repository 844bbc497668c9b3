"""nervcodec concat and split: files of the segments of others, without fitting anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nervcodec.cli import console
from nervcodec.cli.params import (
    Command,
    complete_file,
    json_option,
    may_overwrite,
    option,
    overwrite_option,
    version_option,
)
from nervcodec.cli.values import FrameRange

if TYPE_CHECKING:
    from nervcodec.video.joining import JoinReport


@click.command(cls=Command, examples=[("a.nvpp b.nvpp whole.nvpp", "b's frames after a's")])
@click.argument(
    "sources", metavar="INPUT.nvpp...", nargs=-1, required=True, shell_complete=complete_file
)
@click.argument("destination", metavar="OUTPUT.nvpp", shell_complete=complete_file)
@overwrite_option()
@json_option()
@version_option
def concat(sources: tuple[str, ...], destination: str, *, overwrite: bool, as_json: bool) -> None:
    """Join files of one format and network: their segments, one file after the other."""
    from nervcodec.video.joining import concat as run

    overwrite = may_overwrite(destination, overwrite)
    _show(run(sources, destination, overwrite=overwrite), as_json)


@click.command(
    cls=Command,
    examples=[("whole.nvpp a.nvpp --frames 0:250", "where a segment begins at frame 250")],
)
@click.argument("source", metavar="INPUT.nvpp", shell_complete=complete_file)
@click.argument("destination", metavar="OUTPUT.nvpp", shell_complete=complete_file)
@option(
    "--frames",
    type=FrameRange(),
    metavar="A:B",
    required=True,
    help="the frames A to B-1, both where segments begin or end",
)
@overwrite_option()
@json_option()
@version_option
def split(
    source: str,
    destination: str,
    *,
    frames: tuple[int, int | None],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write some segments of INPUT.nvpp as a file of their own."""
    from nervcodec.video.joining import split as run

    overwrite = may_overwrite(destination, overwrite)
    _show(run(source, destination, frames, overwrite=overwrite), as_json)


def _show(report: JoinReport, as_json: bool) -> None:
    for note in report.notes:
        console.note(note)
    if as_json:
        console.show(json.dumps(report.as_json()))
    elif not console.is_quiet():
        console.show(
            f"{report.destination}: {report.n_frames} frames, segments: {report.n_segments},"
            f" {report.n_bytes:,} bytes"
        )
