"""nervcodec compare."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from nervcodec.cli import console
from nervcodec.cli.params import (
    STANDARD,
    Command,
    json_option,
    may_overwrite,
    option,
    overwrite_option,
    readable,
    version_option,
)
from nervcodec.cli.tables import comparison_rows
from nervcodec.errors import ConfigError


@click.command(
    cls=Command,
    examples=[
        ("in.y4m out.mp4", "all metrics of the decoded video"),
        ("in.y4m out.mp4 --csv frames.csv", "and every frame's"),
    ],
)
@click.argument("reference", metavar="REF", type=click.Path(path_type=Path))
@click.argument("distorted", metavar="DIST", type=click.Path(path_type=Path))
@option("--frames", "n_frames", type=int, metavar="N", help="compare only the first N frames")
@option(
    "--csv",
    "csv_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="write every frame's figures to this file",
)
@overwrite_option()
@json_option()
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
    """Measure DIST against REF: PSNR, SSIM, MS-SSIM, XPSNR, and VMAF where it is installed."""
    from nervcodec.quality.compare import compare as run
    from nervcodec.quality.compare import write_csv
    from nervcodec.util.files import check_output

    if csv_path:
        overwrite = may_overwrite(str(csv_path), overwrite)
        for source in (reference, distorted):
            check_output(csv_path, overwrite=overwrite, source=source)
    if str(reference) == str(distorted) == STANDARD:
        raise ConfigError("REF and DIST are -; legal: one of them")
    with (
        readable(str(reference)) as first,
        readable(str(distorted)) as second,
        console.progress_line(as_json) as line,
    ):
        comparison = run(
            Path(first),
            Path(second),
            n_frames=n_frames,
            on_progress=(lambda n, of: line.counting("compare", n, of)) if line else None,
        )
    comparison = replace(comparison, reference=reference, distorted=distorted)
    for text in comparison.notes:
        console.note(text)
    if csv_path:
        write_csv(comparison, csv_path, overwrite=overwrite)
    console.show(
        json.dumps(comparison.as_json()) if as_json else console.pairs(comparison_rows(comparison))
    )
