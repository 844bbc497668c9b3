"""nervcodec info and verify: what a file says of itself, and whether it still holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click

from nervcodec.cli import console
from nervcodec.cli.limit_options import limit_options, limits_of
from nervcodec.cli.params import (
    Command,
    complete_file,
    decoding_device_options,
    engine_option,
    jobs_option,
    json_option,
    option,
    readable,
    version_option,
)
from nervcodec.cli.tables import info_rows, verdict_text, verify_rows
from nervcodec.decoder.engines import EngineChoice, limit_blas
from nervcodec.errors import FramesDiffer

if TYPE_CHECKING:
    from nervcodec.decoder.verify import Verification


@click.command(cls=Command)
@click.argument("source", metavar="INPUT.nvpp", shell_complete=complete_file)
@json_option()
@version_option
def info(source: str, *, as_json: bool) -> None:
    """Show what is in a file: video, network, where the bytes go, stored quality."""
    from nervcodec.format.info import info as read_info

    with readable(source) as path:
        contents = replace(read_info(path), path=source)
    console.show(json.dumps(contents.as_json()) if as_json else console.pairs(info_rows(contents)))


@click.command(cls=Command)
@click.argument("source", metavar="INPUT.nvpp", shell_complete=complete_file)
@option(
    "--framemd5",
    "each_frame",
    is_flag=True,
    help="print each frame's MD5 as ffmpeg does, by one job",
)
@limit_options()
@jobs_option(None, "decoded")
@engine_option()
@decoding_device_options()
@json_option()
@version_option
def verify(
    source: str,
    *,
    each_frame: bool,
    jobs: int | Literal["auto"],
    engine: EngineChoice,
    device: str,
    n_threads: int | None,
    as_json: bool,
    raised: dict[str, int],
    max_memory_gib: float,
) -> None:
    """Check that INPUT.nvpp is whole and decodes to what its encoder saw."""
    limit_blas(engine)
    from nervcodec.decoder.verify import verify as run
    from nervcodec.util.memory import keep_freed_memory

    keep_freed_memory()
    with readable(source) as path, console.progress_line(as_json) as line:
        verification = run(
            path,
            limits=limits_of(raised, max_memory_gib),
            engine=engine,
            device=device,
            n_threads=n_threads,
            jobs=jobs,
            each_frame=each_frame,
            on_progress=(lambda n, of: line.counting("verify", n, of)) if line else None,
        )
    verification = replace(verification, source=source)
    _show(verification, as_json)
    if verification.complaint:
        raise FramesDiffer(verification.complaint)


def _show(verification: Verification, as_json: bool) -> None:
    """Print a verification; with the MD5 of each frame all else goes to stderr."""
    if as_json:
        console.show(json.dumps(verification.as_json()))
    elif verification.frames is None:
        console.show(console.pairs(verify_rows(verification)))
    else:
        console.show(verification.frames.text())
        console.note(f"{verdict_text(verification)}; MD5 of all shown frames: {verification.md5}")
