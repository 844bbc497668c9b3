"""Measures what training costs and writes the tables of docs/performance.md and docs/growth.svg.

Parts: speed (our training beside the reference path), quality (seconds to the PSNR of the paper's
recipe), floor (beside the machine's own speeds), and how seconds a step grow with pixels, frames
and width. Every run and point is kept in OUT/*/*.json, so that the same command goes on where it
stopped. With --try everything is tiny and written into a copy of the document in OUT. Nothing else
should run. Usage: bin/growth --clips FOLDER [--out FOLDER] [--threads N] [--device D] [--try] [PART
...]
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from rd import replace_block

from nervcodec.bench.environment import machine, versions
from nervcodec.bench.plots import growth
from nervcodec.bench.roofline import floor_text
from nervcodec.bench.speed import speed_text
from nervcodec.bench.stepping import OurFit, recipe_fit, settled_seconds, synthetic_target
from nervcodec.encoder.presets import preset_named
from nervcodec.format.costs import macs_per_frame
from nervcodec.format.model_config import Block, ModelConfig
from nervcodec.format.tensors import n_parameters
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.device import choose_device, choose_precision, device_label, set_threads
from nervcodec.util.text import aligned

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
NETWORKS = ("paper-xs", "medium")
SIZES = ((160, 90), (320, 180), (640, 360), (1280, 720))
LENGTHS = (8, 30, 75, 150, 300)
FACTORS = (0.5, 0.71, 1, 1.41, 2)
N_FRAMES = 132  # what networks are sized for, as long as bunny
GROWTH = ("pixels", "frames", "width")
PARTS = ("speed", "quality", "floor", *GROWTH)
# name -> (clip, arguments of bench --speed)
SPEEDS = {
    "paper-xs 320x180": (
        "bunny_320x180.y4m",
        ["--frames", "16", "--steps", "128", "--rounds", "3"],
    ),
    "medium 320x180": (
        "bunny_320x180.y4m",
        [
            "--speed-preset",
            "medium",
            "--frames",
            "16",
            "--steps",
            "480",
            "--rounds",
            "3",
            "--variants",
            "same-recipe,mse,ours,preset",
        ],
    ),
    "paper-xs 640x360": ("bunny_640x360.mkv", ["--frames", "8", "--steps", "32", "--rounds", "3"]),
}
# Time to quality: clip, arguments of bench --speed, epochs of the paper's recipe, and of ours until
# one is as good.
QUALITY = (
    "lossy_carphone_qcif_176x144.y4m",
    ["--speed-preset", "paper-small", "--rounds", "1"],
    12,
    300,
    (10, 20, 40, 80),
)
TRY_SPEED = ["--speed-preset", "small-nervpp", "--frames", "2", "--steps", "6", "--rounds", "2"]
TRY_CASES = "small-nervpp@48x32,medium@48x32"


@dataclass(frozen=True)
class Point:
    """A network to time on so many frames: what it stands at on its part's axis, as a number and as
    people say it.
    """

    part: str
    network: str
    x: float
    label: str
    model: ModelConfig
    n_frames: int


def sized(network: str, width: int, height: int) -> ModelConfig:
    preset = preset_named(network)
    return preset.model(
        VideoFormat(width, height, Fraction(25), N_FRAMES), preset.colorspace or "yuv", (N_FRAMES,)
    )


def widened(model: ModelConfig, factor: float) -> ModelConfig:
    return replace(
        model,
        blocks=tuple(Block(block.stride, round(factor * block.width)) for block in model.blocks),
    )


def points(part: str) -> Iterator[Point]:
    """One thing grows at a time: frame size by the preset's own rule, length and width from 132
    frames of 320x180.
    """
    for network in NETWORKS:
        base = sized(network, 320, 180)
        if part == "pixels":
            for width, height in SIZES:
                yield Point(
                    part,
                    network,
                    width * height,
                    f"{width}x{height}",
                    sized(network, width, height),
                    N_FRAMES,
                )
        elif part == "frames":
            yield from (Point(part, network, n, str(n), base, n) for n in LENGTHS)
        else:
            yield from (
                Point(part, network, by, f"x {by:g}", widened(base, by), N_FRAMES) for by in FACTORS
            )


def tiny(point: Point) -> Point:
    """A point that takes no time, for --try."""
    return replace(point, model=sized("small-nervpp", 32, 24), n_frames=min(point.n_frames, 8))


def kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a measurement gave, now or earlier."""
    if not path.exists():
        print(path.stem, file=sys.stderr, flush=True)
        path.write_text(json.dumps(measure()), "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def measured(point: Point, device: str, budget_s: float) -> dict[str, Any]:
    fit = recipe_fit("preset", preset_named(point.network).fit, choose_precision("auto", device))
    target = synthetic_target(point.model, point.n_frames, device)
    seconds = settled_seconds(
        OurFit(point.model, replace(fit, epochs=200), target), device, budget_s
    )
    return {
        "part": point.part,
        "network": point.network,
        "x": point.x,
        "label": point.label,
        "batch": fit.batch_size,
        "parameters": n_parameters(point.model, (point.n_frames,)),
        "seconds": seconds,
        "macs": 3 * fit.batch_size * macs_per_frame(point.model),
        "machine": machine(),
        "versions": versions(),
    }


def growth_table(part: str, found: Sequence[dict[str, Any]]) -> str:
    """A row a point; the exponents are those of time and multiply-adds from the point before to
    this one.
    """
    rows: list[list[str]] = []
    for before, point in zip([None, *found], found):
        exponents = ["", ""]
        if before and before["network"] == point["network"]:
            steps = math.log(point["x"] / before["x"])
            exponents = [
                f"{math.log(point[name] / before[name]) / steps:.2f}"
                for name in ("seconds", "macs")
            ]
        rows.append(
            [
                point["network"],
                point["label"],
                f"{point['parameters']:,}",
                f"{point['macs'] / 1e9:.3g}",
                f"{1000 * point['seconds']:.1f}",
                f"{point['macs'] / point['seconds'] / 1e9:.1f}",
                *exponents,
            ]
        )
    return aligned(
        [
            "network",
            part,
            "parameters",
            "GMAC a step",
            "ms a step",
            "GMAC/s",
            "exponent of time",
            "of multiply-adds",
        ],
        rows,
        n_texts=2,
    )


class Measurements:
    """The parts, with what the command line says."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.device, self.n_threads = (
            given,
            choose_device(given.device),
            set_threads(given.threads),
        )
        self.out = (
            given.out
            / f"{self.device}, {self.n_threads} threads{', tiny' * given.tiny}".replace(":", "-")
        )
        self.out.mkdir(parents=True, exist_ok=True)
        self.document = DOCUMENT
        if given.tiny:
            self.document = self.out / "performance.md"
            shutil.copy(DOCUMENT, self.document)

    def bench(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The JSON of a `nervcodec bench`, in a process of its own."""
        command = [
            sys.executable,
            "-m",
            "nervcodec",
            "bench",
            *arguments,
            "--device",
            self.device,
            "--threads",
            str(self.n_threads),
            "--json",
        ]
        found: dict[str, Any] = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        )
        return found

    def speed(self) -> str:
        parts = []
        for name, (clip, arguments) in SPEEDS.items():
            command = [
                "--speed",
                str(self.given.clips / clip),
                *arguments,
                *(TRY_SPEED if self.given.tiny else []),
            ]
            parts.append(
                speed_text(kept(self.out / f"speed {name}.json", partial(self.bench, command)))
            )
        return "\n\n".join(parts) + "\n"

    def quality(self) -> str:
        """Seconds to the PSNR that the paper's recipe ends with after its epochs on the same
        network.
        """
        clip, arguments, n_frames, n_epochs, tries = QUALITY
        command = ["--speed", str(self.given.clips / clip), *arguments]
        rows: list[list[str]] = []
        base: dict[str, float] = {}
        for epochs, variants in (
            (n_epochs, "same-recipe"),
            *((epochs, "ours") for epochs in tries),
        ):
            epochs, frames = (4, 2) if self.given.tiny else (epochs, n_frames)
            steps = [
                "--frames",
                str(frames),
                "--steps",
                str(epochs * frames),
                "--variants",
                variants,
            ]
            path = self.out / f"quality {variants} {epochs}.json"
            run = kept(path, partial(self.bench, [*command, *steps]))["runs"][0]
            for variant in run["variants"] if not rows else run["variants"][1:]:
                seconds = run["steps"] / variant["steps_per_s"]["median"]
                base = base or {"seconds": seconds, "db": variant["psnr_rgb"]}
                rows.append(
                    [
                        variant["name"],
                        variant["optimizer"],
                        variant["loss"],
                        str(epochs),
                        f"{seconds:.1f}",
                        f"{variant['psnr_rgb']:.2f}",
                        f"{100 * seconds / base['seconds']:.0f} %",
                    ]
                )
            if variants == "ours" and run["variants"][1]["psnr_rgb"] >= base["db"]:
                break
        return (
            aligned(
                [
                    "training",
                    "optimizer",
                    "loss",
                    "epochs",
                    "seconds",
                    "RGB dB",
                    "of the reference's time",
                ],
                rows,
                n_texts=3,
            )
            + "\n"
        )

    def floor(self) -> str:
        cases = ["--cases", TRY_CASES] if self.given.tiny else []
        return (
            floor_text(kept(self.out / "floor.json", partial(self.bench, ["--floor", *cases])))
            + "\n"
        )

    def grown(self, part: str) -> list[dict[str, Any]]:
        found = []
        for point in points(part):
            path = self.out / f"{part} {point.network} {point.label}.json"
            timed, budget_s = (tiny(point), 0.1) if self.given.tiny else (point, 10.0)
            found.append(kept(path, partial(measured, timed, self.device, budget_s)))
        return found

    def write(self, parts: Sequence[str]) -> None:
        """Measures and writes the parts, and the plot where there is all of it."""
        grown: list[dict[str, Any]] = []
        for part in parts:
            if part in GROWTH:
                found = self.grown(part)
                grown += found
                where = (
                    f"{device_label(self.device)}, threads: {self.n_threads}, torch"
                    f" {found[0]['versions']['torch']}"
                )
                replace_block(self.document, part, f"{where}\n\n{growth_table(part, found)}\n")
            else:
                measure = {"speed": self.speed, "quality": self.quality, "floor": self.floor}[part]
                replace_block(self.document, part, measure())
        if set(GROWTH) <= set(parts):
            self.document.with_name("growth.svg").write_text(growth(grown), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; default: all")
    parser.add_argument(
        "--clips",
        type=Path,
        default=Path(),
        help="folder with the clips named in SPEEDS, for speed",
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out/growth"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--try", dest="tiny", action="store_true", help="tiny networks, and docs/ left alone"
    )
    given = parser.parse_args()
    unknown = sorted(set(given.parts) - set(PARTS))
    if unknown:
        parser.error(f"part is {unknown[0]}; legal: {', '.join(PARTS)}")
    Measurements(given).write(given.parts or PARTS)


if __name__ == "__main__":
    main()
