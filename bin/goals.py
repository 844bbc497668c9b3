"""Encodes clips towards sizes, crf and PSNRs, against the paper's recipe and for a given time:
docs/benchmarks.md.

Every encode is a process of its own; its report is kept in OUT/*.json beside the .nvpp file, so
that the same command goes on where it stopped. Bytes are those of the file on disk, quality that of
the frames decoded from it. With --at-once 2 two encodes share the CPUs, a thread each: more of them
in an hour, and their times say less. Usage: bin/goals --clips FOLDER [--out FOLDER] [--at-once N]
[PART ...]; parts: sizes, crf, psnr, epochs, spread, paper, points, and gpu, which is made when it
is named and takes a CUDA device.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from rd import arguments_of, replace_block

from nervcodec.training.rate_model import DEFAULT_CRF, NATS_PER_DB, rate_weight_of

ROOT = Path(__file__).resolve().parent.parent
CLIPS = {
    "bunny": "bunny_320x180.y4m",
    "carphone": "lossy_carphone_qcif_176x144.y4m",
    "blackswan": "davis_blackswan_half_416x240.y4m",
    "akiyo": "akiyo_qcif_176x144.y4m",
    "bus": "bus_cif_352x288.y4m",
    "park_joy": "park_joy_160x90.y4m",
    "parkour": "davis_parkour_half_416x240.y4m",
    "foliage": "vid4_foliage_720x480.y4m",
    "bunny 640x360": "bunny_640x360.mkv",
    "bunny 1280x720": "bigbuckbunny.mp4",
}
THREE = ("bunny", "carphone", "blackswan")
SIZES = {
    "bunny": (30_000, 60_000, 120_000),
    "carphone": (12_000, 25_000, 50_000),
    "blackswan": (20_000, 40_000, 80_000),
    "akiyo": (4_000, 8_000, 16_000),
}
PSNRS = {"bunny": (27, 29), "carphone": (29, 31), "blackswan": (22, 23)}
USUAL_SIZES = {
    **{clip: sizes[1] for clip, sizes in SIZES.items()},
    "bus": 25_000,
    "park_joy": 3_500,
    "parkour": 45_000,
    "foliage": 100_000,
    "bunny 640x360": 113_000,
}
CRF = (20, 26, 32, 38, 44)
EPOCHS, SEEDS = (20, 40), range(5)
Job = tuple[str, tuple[str, ...]]  # clip, arguments of encode
Results = dict[Job, dict[str, Any]]
Point = tuple[int, float]  # bytes, RGB dB

FAST = ("--preset", "ultrafast")
JOBS: dict[str, list[Job]] = {
    "sizes": [
        (clip, (*FAST, "--size", str(size))) for clip, sizes in SIZES.items() for size in sizes
    ],
    "crf": [(clip, (*FAST, "--crf", str(crf))) for clip in THREE for crf in CRF],
    "psnr": [
        (clip, (*FAST, "--target-psnr", str(psnr)))
        for clip, psnrs in PSNRS.items()
        for psnr in psnrs
    ],
    "epochs": [
        (clip, ("--size", str(size), "--epochs", str(epochs)))
        for clip, size in USUAL_SIZES.items()
        for epochs in EPOCHS
    ],
    "spread": [(clip, (*FAST, "--seed", str(seed))) for clip in THREE for seed in SEEDS],
    "paper": [(clip, ("--preset", "paper-small")) for clip in THREE],
    "points": [
        ("bunny 640x360", ("--preset", "fast", "--size", "113000")),
        ("bunny", ("--epochs", "1000", "--size", "65500")),
        ("bunny", ("--preset", "slow", "--crf", "34")),
        ("bunny", ("--preset", "veryslow", "--crf", "35")),
        ("carphone", ("--preset", "slow", "--crf", "29")),
        ("carphone", ("--preset", "veryslow", "--crf", "31")),
        ("carphone", ("--epochs", "3000", "--crf", "31")),
        ("carphone", ("--epochs", "3600", "--crf", "31.1")),
    ],
    "gpu": [
        ("bunny 1280x720", ("--device", "cuda", "--size", "348000", "--time-budget", "5m")),
        ("bunny", ("--device", "cuda", "--preset", "veryslow", "--size", "29000")),
        ("bunny 1280x720", ("--device", "cuda", "--size", "143000", "--time-budget", "2m")),
    ],
}
DEFAULT_PARTS = tuple(part for part in JOBS if part != "gpu")


def encoded(job: Job, clips: Path, out: Path, threads: Sequence[str] = ()) -> dict[str, Any]:
    """The report of an encode, made now, with such an option for its threads, or earlier."""
    clip, arguments = job
    stem = out / "_".join([clip, *arguments]).replace("--", "").replace(" ", "_")
    report = stem.with_name(stem.name + ".json")
    if not report.exists():
        command = [
            sys.executable,
            "-m",
            "nervcodec",
            "encode",
            "-y",
            "--json",
            str(clips / CLIPS[clip]),
            f"{stem}.nvpp",
            *arguments,
            *threads,
        ]
        print(" ".join(command[2:]), file=sys.stderr, flush=True)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
        report.write_bytes(done.stdout)
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return {**found, "bytes": Path(f"{stem}.nvpp").stat().st_size}


class Measured:
    """The reports of each part's jobs; those that are not there yet are made when asked for."""

    def __init__(self, clips: Path, out: Path) -> None:
        self.clips, self.out = clips, out

    def __getitem__(self, part: str) -> Results:
        return {job: encoded(job, self.clips, self.out) for job in JOBS[part]}

    def by_clip(self, part: str) -> Iterator[tuple[str, list[Point]]]:
        """(clip, its points), in the order of the jobs."""
        for clip, jobs in groupby(self[part].items(), key=lambda item: item[0][0]):
            yield clip, [(found["bytes"], found["quality"]["rgb_db"]) for _, found in jobs]


def table(heads: list[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *([str(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def points_row(points: Iterable[Point]) -> list[str]:
    return [f"{n_bytes:,} @ {db:.2f}" for n_bytes, db in points]


def sizes_table(measured: Measured) -> str:
    rows = []
    for (clip, (*_, size)), found in measured["sizes"].items():
        rows.append(
            (
                clip,
                f"{int(size):,}",
                f"{found['bytes']:,}",
                f"{100 * (found['bytes'] / int(size) - 1):+.2f} %",
                f"{found['quality']['rgb_db']:.2f}",
                f"{found['encode_s']:.0f}",
            )
        )
    return table(["clip", "--size", "bytes", "off by", "RGB dB", "encode s"], rows)


def crf_table(measured: Measured) -> str:
    rows = []
    for clip, points in measured.by_clip("crf"):
        falls = all(a[0] > b[0] and a[1] > b[1] for a, b in zip(points, points[1:]))
        rows.append([clip, *points_row(points), "yes" if falls else "no"])
    return table(["clip", *(f"crf {crf}" for crf in CRF), "monotone"], rows)


def psnr_table(measured: Measured) -> str:
    rows = []
    for (clip, (*_, psnr)), found in measured["psnr"].items():
        db = found["quality"]["rgb_db"]
        rows.append(
            (
                clip,
                psnr,
                f"{db:.2f}",
                f"{db - float(psnr):+.2f}",
                f"{found['bytes']:,}",
                f"{found['encode_s']:.0f}",
            )
        )
    return table(["clip", "--target-psnr", "RGB dB", "off by", "bytes", "encode s"], rows)


def epochs_table(measured: Measured) -> str:
    rows = ([clip, *points_row(points)] for clip, points in measured.by_clip("epochs"))
    return table(["clip", *(f"{epochs} epochs" for epochs in EPOCHS)], rows)


def spread_table(measured: Measured) -> str:
    """The seeds, and how far what the fits minimise differs: distortion + rate weight * bits per
    pixel.
    """
    losses: dict[str, list[float]] = {clip: [] for clip in THREE}
    for (clip, _), found in measured["spread"].items():
        loss = 10 ** (-found["quality"]["rgb_db"] / 10) + rate_weight_of(DEFAULT_CRF) * found["bpp"]
        losses[clip].append(-10 * math.log10(loss))
    rows = (
        [clip, *points_row(points), f"{statistics.stdev(losses[clip]):.3f}"]
        for clip, points in measured.by_clip("spread")
    )
    return table(["clip", *(f"seed {seed}" for seed in SEEDS), "deviation of the loss, dB"], rows)


def bytes_at(curve: list[Point], psnr_db: float) -> float:
    """Bytes at a PSNR, log bytes linear in dB between points; below the curve its least bytes,
    above it no number.
    """
    curve = sorted(curve, key=lambda point: point[1])
    for (low, low_db), (high, high_db) in zip(curve, curve[1:]):
        if psnr_db <= high_db:
            share = max(0.0, (psnr_db - low_db) / (high_db - low_db))
            return math.exp((1 - share) * math.log(low) + share * math.log(high))
    return math.nan


def paper_table(measured: Measured) -> str:
    """The paper's recipe beside our curve of part crf and our points within a decibel, carried to
    the former's PSNR.
    """
    curves, rows = dict(measured.by_clip("crf")), []
    for (clip, _), theirs in measured["paper"].items():
        db = theirs["quality"]["rgb_db"]
        paper = [clip, f"{theirs['parameters']:,}", f"{theirs['bytes']:,}", f"{db:.2f}"]
        found = [(f"`{' '.join(FAST)}`, between two crf", "", bytes_at(curves[clip], db))]
        for (which, arguments), point in measured["points"].items():
            n_bytes, our_db = point["bytes"], point["quality"]["rgb_db"]
            if which == clip and abs(db - our_db) <= 1:
                found.append(
                    (
                        f"`{' '.join(arguments)}`",
                        *points_row([(n_bytes, our_db)]),
                        n_bytes * math.exp(NATS_PER_DB * (db - our_db)),
                    )
                )
        for options, point_text, n_bytes in sorted(found, key=lambda each: each[2]):
            rows.append(
                [
                    *paper,
                    options,
                    point_text,
                    f"{n_bytes:,.0f}",
                    f"{100 * n_bytes / theirs['bytes']:.1f} %",
                ]
            )
            paper = [""] * len(paper)
    return table(
        [
            "clip",
            "its parameters",
            "its bytes",
            "its RGB dB",
            "ours",
            "bytes @ RGB dB",
            "about, at its PSNR",
            "share of its bytes",
        ],
        rows,
    )


def points_table(measured: Measured, part: str = "points") -> str:
    rows = []
    for (clip, arguments), found in measured[part].items():
        rows.append(
            (
                clip,
                f"`{' '.join(arguments)}`",
                f"{found['bytes']:,}",
                f"{found['bpp']:.4f}",
                f"{found['quality']['y_db']:.2f}",
                f"{found['quality']['rgb_db']:.2f}",
                f"{found['encode_s'] / 60:.1f}",
                f"{found['kmac_per_pixel']:.2f}",
            )
        )
    return table(
        ["clip", "options", "bytes", "bpp", "Y dB", "RGB dB", "encode min", "kMAC/pixel"], rows
    )


TABLES: dict[str, Callable[[Measured], str]] = {
    "sizes": sizes_table,
    "crf": crf_table,
    "psnr": psnr_table,
    "epochs": epochs_table,
    "spread": spread_table,
    "paper": paper_table,
    "points": points_table,
    "gpu": partial(points_table, part="gpu"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--at-once", type=int, default=1, help="encodes at a time, a thread each if more than one"
    )
    given = arguments_of(parser, JOBS, "goals", "all but gpu")
    clips, out, parts = given.clips.resolve(), given.out.resolve(), given.names or DEFAULT_PARTS
    if given.at_once > 1:
        with ThreadPoolExecutor(given.at_once) as pool:
            list(
                pool.map(
                    lambda job: encoded(job, clips, out, ("--threads", "1")),
                    (job for part in parts for job in JOBS[part]),
                )
            )
    measured = Measured(clips, out)
    for part in parts:
        replace_block(ROOT / "docs" / "benchmarks.md", part, TABLES[part](measured))


if __name__ == "__main__":
    main()
