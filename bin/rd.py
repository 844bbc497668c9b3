"""Benches codecs side by side and writes the tables and the plots of docs/benchmarks.md and
README.md from the results.

Two calls of `nervcodec bench`, both resumable: our default against x264, x265 and SVT-AV1, and
NeRV++ against NeRV and against itself without each of its parts. Usage: bin/rd [codecs] [nerv]
--clips FOLDER [--out FOLDER] [--threads N]; FOLDER holds the clips of CLIPS.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from nervcodec.bench.report import markdown

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("bunny_320x180.y4m", "lossy_carphone_qcif_176x144.y4m", "davis_blackswan_half_416x240.y4m")
SMALL = ("nervpp", "nerv", "no-scrb1", "no-scrb2", "no-skip")
# name -> (curve that the others are compared with, arguments of bench)
BENCHES = {
    "codecs": (
        "x265 medium",
        [
            "--codecs",
            "nervcodec,x264,x265,svtav1",
            "--presets",
            "x264=medium,veryslow",
            "--presets",
            "x265=medium,veryslow",
            "--presets",
            "svtav1=4",
            "--points",
            "4",
        ],
    ),
    "nerv": (
        "nervcodec small-nerv --epochs 30",
        [
            "--codecs",
            "nervcodec",
            "--presets",
            "nervcodec=" + ",".join(f"small-{name}" for name in SMALL),
            "--points",
            "1",
            "--encode-options",
            "--epochs 30",
        ],
    ),
}


def run(name: str, clips: Path, out: Path, threads: int | None) -> None:
    anchor, arguments = BENCHES[name]
    if threads is not None:
        arguments = [*arguments, "--threads", str(threads)]
    command = [
        sys.executable,
        "-m",
        "nervcodec",
        "bench",
        *(str(clips / clip) for clip in CLIPS),
        *arguments,
    ]
    subprocess.run([*command, "--anchor", anchor, "--out", str(out / name)], check=True)


def picture(report: Path, path: Path) -> None:
    """The top of a report as Chromium shows it, PNG; left as it is where there is no Chromium."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        print(f"no chromium here: {path} stays as it is", file=sys.stderr)
        return
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--window-size=1250,2300",
    ]
    subprocess.run(
        [browser, *options, f"--screenshot={path}", report.resolve().as_uri()],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def replace_block(document: Path, name: str, text: str) -> None:
    """Puts the text between the lines <!-- NAME --> and <!-- /NAME --> of a document."""
    before, begin, rest = document.read_text("utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not begin or not end:
        sys.exit(f"{document} has no block {name}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def arguments_of(
    parser: argparse.ArgumentParser, legal: Collection[str], out: str, default: str = "all"
) -> argparse.Namespace:
    """What the command line says: `names`, some of the legal ones or none; `clips` and `out`, a
    folder that is made.
    """
    listed = ", ".join(legal)
    parser.add_argument(
        "names", nargs="*", help=f"some of {listed}; default: {default}".replace("%", "%%")
    )
    parser.add_argument(
        "--clips",
        type=Path,
        required=True,
        help="folder with the clips, by the names they have here",
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out") / out)
    given = parser.parse_args()
    for name in given.names:
        if name not in legal:
            parser.error(f"there is no {name}; legal: {listed}")
    given.out.mkdir(parents=True, exist_ok=True)
    return given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, help="CPUs of each codec; default: all")
    arguments = arguments_of(parser, BENCHES, "rd")
    for name in arguments.names or BENCHES:
        anchor, _ = BENCHES[name]
        run(name, arguments.clips, arguments.out, arguments.threads)
        results = json.loads((arguments.out / name / "results.json").read_text("utf-8"))
        replace_block(ROOT / "docs" / "benchmarks.md", name, markdown(results, anchor))
    codecs = arguments.out / "codecs"
    shutil.copy(codecs / "rd.svg", ROOT / "docs" / "rd.svg")
    picture(codecs / "report.html", ROOT / "docs" / "report.png")


if __name__ == "__main__":
    main()
