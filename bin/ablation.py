"""Encodes three clips at three rates with one thing changed at a time: what each part of network and fit is worth.

Preset ultrafast, one seed. Every result is kept in OUT/*.json, so that the same command goes on where it stopped. What
is compared is what a fit minimises, distortion + rate weight x bits a pixel, measured on the decoded file.
Usage: bin/ablation --clips FOLDER [--out FOLDER] [VARIANT ...]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from goals import CLIPS, ROOT, THREE, table
from rd import replace_block

from nervcodec import Goal, encode, plan_encode
from nervcodec.backends import choose_precision
from nervcodec.config import ModelConfig
from nervcodec.goal import rate_weight_of
from nervcodec.plan import EncodePlan

CRF = (24, 30, 36)
Change = Callable[[EncodePlan], EncodePlan]


def fit(**changes: object) -> Change:
    return lambda plan: replace(plan, fit=replace(plan.fit, **changes))  # type: ignore[arg-type]


def model(change: Callable[[ModelConfig], ModelConfig]) -> Change:
    return lambda plan: replace(plan, model=change(plan.model))


def without(part: str) -> Change:
    return model(lambda network: replace(network, parts=tuple(other for other in network.parts if other != part)))


def finer_grids(network: ModelConfig) -> ModelConfig:
    return replace(network, grids=tuple(grid for grid in network.grids if grid.level == 0))


def slow_grids(network: ModelConfig) -> ModelConfig:
    """The stem's grids all with a key every eight frames."""
    return replace(network, grids=tuple(replace(grid, interval=max(grid.interval, 1 if grid.level else 8))
                                        for grid in network.grids))


VARIANTS: dict[str, Change] = {
    "as it is": lambda plan: plan,
    "seed 1": fit(seed=1),
    "no finer grid": model(finer_grids),
    "no stem grid with a key a frame": model(slow_grids),
    "no first SCRB": without("scrb1"),
    "no second SCRB": without("scrb2"),
    "no skip": without("skip"),
    "tanh at the head": model(lambda network: replace(network, output="tanh")),
    "Adam in place of Muon": fit(optimizer="adam"),
    "batch 4": fit(batch_size=4),
    "rounding from 85 %": fit(round_from=0.85),
    "initial step 0.05": fit(initial_step=0.05),
    "chroma weighed as luma": fit(chroma_weights=(0.25, 0.25)),
}


def loss_db(clip: str, crf: int, variant: str, clips: Path, out: Path) -> float:
    """Distortion + rate weight * bits a pixel of an encode, made now or earlier, in -10 log10."""
    kept = out / f"{clip}_{crf}_{variant}.json".replace(" ", "_").replace("%", "")
    if not kept.exists():
        plan = VARIANTS[variant](plan_encode(clips / CLIPS[clip], preset="ultrafast", goal=Goal(crf=crf),
                                             precision=choose_precision("auto", "cpu")))
        report = encode(plan, kept.with_suffix(".nvpp"), overwrite=True)
        print(f"{clip} crf {crf} {variant}: {report.n_bytes:,} bytes, {report.quality.rgb_db:.2f} dB", flush=True)
        kept.write_text(json.dumps({"bpp": report.bpp, "rgb_db": report.quality.rgb_db, "bytes": report.n_bytes}))
    found = json.loads(kept.read_text("utf-8"))
    return -10 * math.log10(10 ** (-found["rgb_db"] / 10) + rate_weight_of(crf) * found["bpp"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", help=f"some of {', '.join(VARIANTS)}; default: all")
    parser.add_argument("--clips", type=Path, required=True, help="folder with the clips named in bin/goals.py")
    parser.add_argument("--out", type=Path, default=Path("demo-out/ablation"))
    given = parser.parse_args()
    unknown = sorted(set(given.variants) - set(VARIANTS))
    if unknown:
        parser.error(f"variant is {unknown[0]}; legal: {', '.join(VARIANTS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    cells = [(clip, crf) for clip in THREE for crf in CRF]
    plain = {cell: loss_db(*cell, "as it is", given.clips, given.out) for cell in cells}
    rows = [["as it is", *(f"{plain[cell]:.2f}" for cell in cells), ""]]
    for variant in given.variants or list(VARIANTS)[1:]:
        gains = [loss_db(*cell, variant, given.clips, given.out) - plain[cell] for cell in cells]
        rows.append([variant, *(f"{gain:+.2f}" for gain in gains), f"{sum(gains) / len(gains):+.2f}"])
    heads = ["", *(f"{clip} {crf}" for clip, crf in cells), "mean"]
    replace_block(ROOT / "docs" / "ablation.md", "ablation", table(heads, rows))


if __name__ == "__main__":
    main()
