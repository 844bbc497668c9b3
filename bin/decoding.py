"""Times decoding and starting up as whole processes, and writes the tables of docs/performance.md.

A network takes as long whatever its parameters are, so files are made of random ones, without a
fit. Decoding writes .y4m to standard output, which goes to /dev/null; memory is the process's peak
beside the estimate that decoders print. Usage: bin/decoding [--out FOLDER]; about 10 minutes on two
CPU cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from goals import ROOT, table
from rd import replace_block

from nervcodec import info
from nervcodec.coding.quantizer import code_from_step, quantize, step_from_code
from nervcodec.coding.range_coder import Coded
from nervcodec.coding.streams import segment_of
from nervcodec.encoder.presets import preset_named
from nervcodec.encoder.sizing import ContentStatistics
from nervcodec.format import tensors
from nervcodec.format.container import Header, StoredQuality, write_file
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.network import Network
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.rate_model import expected_bpp, rate_weight_of, usual_bpp
from nervcodec.video.frames import Frames
from nervcodec.video.writer import open_writer

SIZES = ((640, 360), (1280, 720), (1920, 1080))
CASES = (
    ("medium", 24.0),
    ("medium", 30.0),
    ("medium", 36.0),
    ("paper-xs", None),
    ("paper-s", None),
)
STEP = 0.02


def random_file(
    path: Path, preset: str, crf: float | None, size: tuple[int, int], n_frames: int
) -> None:
    """A file of one segment whose network is that of a preset at a crf, with random parameters."""
    form = VideoFormat(*size, Fraction(25), n_frames)
    n_pixels = n_frames * size[0] * size[1]
    rate = expected_bpp(rate_weight_of(crf), n_pixels) / usual_bpp(n_pixels) if crf else 1.0
    chosen = preset_named(preset)
    model = chosen.model(form, chosen.colorspace or "yuv", (n_frames,), ContentStatistics(rate))
    coded = coded_of(model, n_frames)
    path.write_bytes(
        write_file(Header(form, model), [segment_of(coded, model, (n_frames,))], StoredQuality())
    )


def coded_of(model: ModelConfig, n_frames: int) -> list[Coded]:
    network = Network(model, (n_frames,), torch.device("cpu"))
    values = initial_parameters(network, torch.Generator().manual_seed(0)).numpy()
    code, coded, start = code_from_step(STEP), [], 0
    for group in tensors.groups(model, (n_frames,)):
        own = values[start : start + group.size]
        coded.append(Coded(quantize(own, step_from_code(code), model.max_symbol, group.keys), code))
        start += group.size
    return coded


def run(*arguments: str) -> tuple[float, int, str]:
    """(seconds, peak bytes, stderr) of a command of ours as a process; its standard output is
    thrown away.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "nervcodec", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, errors
    return time.perf_counter() - started, usage.ru_maxrss * 1024, errors


def decode_row(preset: str, crf: float | None, size: tuple[int, int], out: Path) -> list[str]:
    """A row of the table; made once, then read."""
    kept = out / f"{preset}_{crf}_{size[1]}.json"
    if not kept.exists():
        path = kept.with_suffix(".nvpp")
        n_frames = max(2, (60 if crf else 3) * 640 * 360 // (size[0] * size[1]))
        random_file(path, preset, crf, size, n_frames)
        runs = [run("decode", "--json", "--max-memory", "16", str(path), "-") for _ in range(3)]
        seconds = [json.loads(errors)["seconds"] for _, _, errors in runs]
        about = info(path)
        kept.write_text(
            json.dumps(
                {
                    "kmac": about["kmac_per_pixel"],
                    "fps": n_frames / statistics.median(seconds),
                    "frames": n_frames,
                    "process_s": statistics.median(each[0] for each in runs),
                    "peak": max(each[1] for each in runs),
                    "estimate": about["decode_memory"],
                }
            )
        )
    found = json.loads(kept.read_text("utf-8"))
    name = preset if crf is None else f"ours, crf {crf:g}"
    return [
        f"{size[0]}x{size[1]}",
        name,
        f"{found['kmac']:.2f}",
        str(found["frames"]),
        f"{found['fps']:.1f}",
        f"{found['process_s']:.1f}",
        f"{found['peak'] / 2**20:,.0f}",
        f"{found['estimate'] / 2**20:,.0f}",
        f"{found['peak'] / found['estimate']:.2f}",
    ]


def startup_rows(out: Path) -> list[list[str]]:
    """Seconds of short commands, medians of five."""
    path = out / "one.nvpp"
    random_file(path, "medium", 30.0, (64, 48), 1)
    torch_s = statistics.median(timed([sys.executable, "-c", "import torch"]) for _ in range(5))
    rows = []
    for arguments in (
        ["--help"],
        ["encode", "--help"],
        ["info", str(path)],
        ["decode", str(path), "-"],
    ):
        seconds = statistics.median(run(*arguments)[0] for _ in range(5))
        name = " ".join(arguments).replace(str(path), "FILE")
        rows.append(
            [
                f"`nervcodec {name}`",
                f"{seconds:.2f}",
                f"{seconds - torch_s:.2f}" if arguments[0] == "decode" else "",
            ]
        )
    return rows


def growth_rows(out: Path) -> list[list[str]]:
    """Peak memory of encode and decode for a clip and for ten times as many frames, in segments of
    five.
    """
    rows, clip, coded = [], out / "long.y4m", out / "long.nvpp"
    for n_frames in (10, 100):
        write_clip(clip, n_frames)
        encode = run(
            "encode",
            "-y",
            "--segment-frames",
            "5",
            "--epochs",
            "1",
            "--restart",
            str(clip),
            str(coded),
        )
        rows.append(
            [
                str(n_frames),
                f"{encode[1] / 2**20:,.0f}",
                f"{run('decode', str(coded), '-')[1] / 2**20:,.0f}",
            ]
        )
    few, many = ([float(cell.replace(",", "")) for cell in row[1:]] for row in rows)
    return [
        *rows,
        ["ratio", *(f"{after / before:.3f}" for before, after in zip(few, many, strict=True))],
    ]


def write_clip(path: Path, n_frames: int) -> None:
    """A moving pattern of 1280x720 as .y4m."""
    y, x = np.mgrid[:720, :1280].astype(np.float32)
    form = VideoFormat(1280, 720, Fraction(25), n_frames)
    with open_writer(path, form, overwrite=True) as writer:
        for t in range(n_frames):
            luma = (128 + 80 * np.sin((x + 3 * t) / 37) * np.cos((y - 2 * t) / 23)).astype(
                np.uint8
            )[None]
            writer.write(Frames("yuv420", (luma, luma[:, ::2, ::2], luma[:, 1::2, 1::2])))


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-out/decoding"))
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    heads = [
        "size",
        "network",
        "kMAC/pixel",
        "frames",
        "frames/s",
        "whole process s",
        "peak MiB",
        "estimate MiB",
        "peak / estimate",
    ]
    rows = [decode_row(preset, crf, size, out) for size in SIZES for preset, crf in CASES]
    replace_block(ROOT / "docs" / "performance.md", "decoding", table(heads, rows))
    replace_block(
        ROOT / "docs" / "performance.md",
        "startup",
        table(["command", "seconds", "over `import torch`"], startup_rows(out)),
    )
    replace_block(
        ROOT / "docs" / "performance.md",
        "memory",
        table(["frames of 1280x720", "encode MiB", "decode MiB"], growth_rows(out)),
    )


if __name__ == "__main__":
    main()
