"""Joins clips to videos that are cut, and encodes them with and without their cuts:
docs/benchmarks.md, 'Cuts'.

Every encode is kept in OUT/*.json beside its .nvpp file, so that the same command goes on where it
stopped; bytes are those of the file, decibels those of its decoded frames. Two encodes at a time, a
thread each. Usage: bin/cuts --clips FOLDER [--out FOLDER] [VIDEO ...]
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

from goals import CLIPS, ROOT, table
from rd import arguments_of, replace_block

from nervcodec import Crf, EncodeOptions, EncodePlan, encode, plan
from nervcodec.nn.device import set_threads
from nervcodec.training.rate_model import DEFAULT_CRF, NATS_PER_DB
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.writer import open_writer

Scene = tuple[str, int, int]  # clip, its first frame, how many
VIDEOS: dict[str, tuple[Scene, ...]] = {
    "two heads": (("carphone", 0, 60), ("akiyo", 0, 30)),
    "dialogue": (
        ("carphone", 0, 20),
        ("akiyo", 0, 15),
        ("carphone", 20, 20),
        ("akiyo", 15, 15),
        ("carphone", 40, 20),
    ),
    "swan and runner": (("blackswan", 0, 50), ("parkour", 0, 64)),
    "bunny and street": (("bunny", 0, 66), ("foliage", 0, 49)),
}
PRESETS = {"ultrafast": tuple(VIDEOS), "medium": ("two heads", "dialogue")}
WHOLE, SEGMENTS, SHOTS = "as one shot", "a segment each", "shots"
VARIANTS: dict[str, Callable[[EncodePlan], EncodePlan]] = {
    WHOLE: lambda plan: replace(plan, segments=((plan.format.n_frames,),)),
    SEGMENTS: lambda plan: replace(plan, segments=tuple((length,) for length in plan.segments[0])),
    SHOTS: lambda plan: plan,
}
AT_ONCE = 2


def joined(video: str, clips: Path, out: Path) -> Path:
    """The scenes one after the other as .y4m, cut to the size of the first one (top left)."""
    path, scenes = out / f"{video.replace(' ', '_')}.y4m", VIDEOS[video]
    if not path.exists():
        form, _ = probe(clips / CLIPS[scenes[0][0]])
        form = replace(form, n_frames=sum(length for _, _, length in scenes))
        with open_writer(path, form) as writer:
            for clip, first, length in scenes:
                own, _ = probe(clips / CLIPS[clip])
                frames = next(read_groups(clips / CLIPS[clip], own, [first + length]))[first:]
                sizes = [
                    (form.height, form.width),
                    *[(-(-form.height // 2), -(-form.width // 2))] * 2,
                ]
                y, u, v = (
                    plane[:, :rows, :columns]
                    for plane, (rows, columns) in zip(frames.planes, sizes)
                )
                writer.write(Frames("yuv420", (y, u, v)))
    return path


@dataclass(frozen=True)
class Cell:
    """One encode of the table."""

    video: str
    preset: str
    variant: str
    out: Path

    def point(self) -> tuple[int, float]:
        """(bytes, RGB dB) of the encode, made now or earlier."""
        kept = self.out / f"{self.video}_{self.preset}_{self.variant}.json".replace(" ", "_")
        if not kept.exists():
            set_threads(1)
            varied = VARIANTS[self.variant](
                plan(
                    self.out / f"{self.video.replace(' ', '_')}.y4m",
                    kept.with_suffix(".nvpp"),
                    EncodeOptions(
                        preset=self.preset,
                        target=Crf(DEFAULT_CRF),
                        device="cpu",
                        overwrite=True,
                    ),
                )
            )
            report = encode(varied)
            print(
                f"{kept.stem}, {varied.segments}: {report.n_bytes:,} bytes,"
                f" {report.quality.rgb_db:.2f} dB",
                flush=True,
            )
            kept.write_text(json.dumps([report.n_bytes, report.quality.rgb_db]))
        n_bytes, db = json.loads(kept.read_text("utf-8"))
        return n_bytes, db


def main() -> None:
    given = arguments_of(argparse.ArgumentParser(description=__doc__), VIDEOS, "cuts")
    videos = given.names or list(VIDEOS)
    for video in videos:
        joined(video, given.clips, given.out)
    lines = [(preset, video) for preset, own in PRESETS.items() for video in own if video in videos]
    cells = [
        Cell(video, preset, variant, given.out) for preset, video in lines for variant in VARIANTS
    ]
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        points = iter(pool.map(Cell.point, cells))
        rows = []
        for preset, video in lines:
            found = dict(zip(VARIANTS, points))
            shares = [
                found[SHOTS][0] / n_bytes * math.exp(NATS_PER_DB * (db - found[SHOTS][1]))
                for n_bytes, db in (found[WHOLE], found[SEGMENTS])
            ]
            scenes = ", ".join(f"{clip} {length}" for clip, _, length in VIDEOS[video])
            rows.append(
                [
                    f"{video} ({scenes})",
                    preset,
                    *(f"{n_bytes:,} @ {db:.2f}" for n_bytes, db in found.values()),
                    *(f"{100 * share:.0f} %" for share in shares),
                ]
            )
    heads = [
        "video (frames)",
        "preset",
        *VARIANTS,
        "bytes at equal PSNR, of one shot's",
        "of a segment each's",
    ]
    replace_block(ROOT / "docs" / "benchmarks.md", "cuts", table(heads, rows))


if __name__ == "__main__":
    main()
