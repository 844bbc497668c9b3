"""Encodes three clips at three rates with one thing changed at a time: what each part of network
and fit is worth.

Preset ultrafast, one seed, the first FRAMES frames. Every result is kept in OUT/*.json, so that the
same command goes on where it stopped. What is compared is what a fit minimises, distortion + rate
weight x bits a pixel, measured on the decoded file. Two encodes at a time, a thread each. Usage:
bin/ablation --clips FOLDER [--out FOLDER] [VARIANT ...]
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from goals import CLIPS, ROOT, THREE, table
from rd import arguments_of, replace_block

from nervcodec import Goal, encode, plan_encode
from nervcodec.encoder.plan import EncodePlan
from nervcodec.format.model_config import ModelConfig
from nervcodec.nn.device import choose_precision, set_threads
from nervcodec.training.rate_model import rate_weight_of

CRF = (24, 30, 36)
FRAMES, AT_ONCE = 32, 2
Change = Callable[[EncodePlan], EncodePlan]


def fit(**changes: object) -> Change:
    return lambda plan: replace(plan, fit=replace(plan.fit, **changes))  # type: ignore[arg-type]


def model(change: Callable[[ModelConfig], ModelConfig]) -> Change:
    return lambda plan: replace(plan, model=change(plan.model))


def without(part: str) -> Change:
    return model(
        lambda network: replace(
            network, parts=tuple(other for other in network.parts if other != part)
        )
    )


def with_stem(network: ModelConfig, **changes: object) -> ModelConfig:
    """The network with other values of its stem."""
    return replace(network, stem=replace(network.stem, **changes))  # type: ignore[arg-type]


def still(network: ModelConfig) -> ModelConfig:
    """Finer grids that do not follow the motion."""
    return with_stem(network, motion_height=0, motion_width=0, wavelet_levels=0)


def stem_alone(network: ModelConfig) -> ModelConfig:
    """No finer grids."""
    return with_stem(still(network), grids=tuple(grid for grid in network.grids if grid.level == 0))


def slow_grids(network: ModelConfig) -> ModelConfig:
    """The stem's grids all with a key every eight frames."""
    return with_stem(
        network,
        grids=tuple(
            replace(grid, interval=max(grid.interval, 1 if grid.level else 8))
            for grid in network.grids
        ),
    )


PLAIN = "as it is"
VARIANTS: dict[str, Change] = {
    PLAIN: lambda plan: plan,
    "seed 1": fit(seed=1),
    "no wavelets": model(lambda network: with_stem(network, wavelet_levels=0)),
    "no motion": model(still),
    "no finer grid": model(stem_alone),
    "no stem grid with a key a frame": model(slow_grids),
    "no first SCRB": without("scrb1"),
    "no second SCRB": without("scrb2"),
    "no skip": without("skip"),
    "Adam in place of Muon": fit(optimizer="adam"),
    "batch 4": fit(batch_size=4),
    "rounding from 85 %": fit(round_from=0.85),
    "initial step 0.05": fit(initial_step=0.05),
    "chroma weighed as luma": fit(chroma_weights=(0.25, 0.25)),
}


@dataclass(frozen=True)
class Cell:
    """One encode of the table."""

    clip: str
    crf: int
    variant: str
    clips: Path
    out: Path

    def loss_db(self) -> float:
        """Distortion + rate weight * bits a pixel of the encode, made now or earlier, in -10
        log10.
        """
        kept = self.out / f"{self.clip}_{self.crf}_{self.variant}.json".replace(" ", "_").replace(
            "%", ""
        )
        if not kept.exists():
            set_threads(1)
            plan = VARIANTS[self.variant](
                plan_encode(
                    self.clips / CLIPS[self.clip],
                    preset="ultrafast",
                    goal=Goal(crf=self.crf),
                    n_frames=FRAMES,
                    precision=choose_precision("auto", "cpu"),
                )
            )
            report = encode(plan, kept.with_suffix(".nvpp"), overwrite=True)
            print(
                f"{self.clip} crf {self.crf} {self.variant}: {report.n_bytes:,} bytes, "
                f"{report.quality.rgb_db:.2f} dB",
                flush=True,
            )
            kept.write_text(
                json.dumps(
                    {"bpp": report.bpp, "rgb_db": report.quality.rgb_db, "bytes": report.n_bytes}
                )
            )
        found = json.loads(kept.read_text("utf-8"))
        return -10 * math.log10(
            10 ** (-found["rgb_db"] / 10) + rate_weight_of(self.crf) * found["bpp"]
        )


def main() -> None:
    given = arguments_of(argparse.ArgumentParser(description=__doc__), VARIANTS, "ablation")
    variants = [PLAIN, *(name for name in given.names or VARIANTS if name != PLAIN)]
    columns = [(clip, crf) for clip in THREE for crf in CRF]
    cells = [
        Cell(*column, variant, given.clips, given.out) for variant in variants for column in columns
    ]
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        losses = iter(pool.map(Cell.loss_db, cells))
        plain, *others = [[next(losses) for _ in columns] for _ in variants]
    rows = [[PLAIN, *(f"{loss:.2f}" for loss in plain), ""]]
    for variant, found in zip(variants[1:], others, strict=True):
        gains = [loss - before for loss, before in zip(found, plain, strict=True)]
        rows.append(
            [variant, *(f"{gain:+.2f}" for gain in gains), f"{sum(gains) / len(gains):+.2f}"]
        )
    heads = ["", *(f"{clip} {crf}" for clip, crf in columns), "mean"]
    replace_block(ROOT / "docs" / "ablation.md", "ablation", table(heads, rows))


if __name__ == "__main__":
    main()
