"""Measures the figures of docs/benchmarks.md, section 'Round trips', and prints them as a table.

Every clip is encoded, decoded twice in fresh processes and measured from the decoded .y4m; results
are kept in FOLDER/*.json, so that a stopped run goes on where it was. Usage: bin/figures [--clips
FOLDER] [--out FOLDER] [NAME ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rd import arguments_of

from nervcodec.quality.metrics import QualityMeter
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all, read_groups
from nervcodec.video.writer import open_writer

# name -> (clip, crop to width x height or None, arguments of encode)
CASES: dict[str, tuple[str, tuple[int, int] | None, list[str]]] = {
    "bunny 320x180": ("bunny_320x180.y4m", None, []),
    "carphone": ("lossy_carphone_qcif_176x144.y4m", None, []),
    "bus": ("bus_cif_352x288.y4m", None, []),
    "park_joy": ("park_joy_160x90.y4m", None, []),
    "odd 175x143": (
        "lossy_carphone_qcif_176x144.y4m",
        (175, 143),
        ["--frames", "16", "--preset", "fast"],
    ),
    "1x1": ("park_joy_160x90.y4m", (1, 1), ["--preset", "fast"]),
    "one frame": ("park_joy_160x90.y4m", None, ["--frames", "1"]),
    "two segments": (
        "lossy_carphone_qcif_176x144.y4m",
        None,
        ["--segment-frames", "60", "--preset", "fast"],
    ),
    "rgb head": (
        "lossy_carphone_qcif_176x144.y4m",
        None,
        ["--colorspace", "rgb", "--frames", "16"],
    ),
    "prune 0.4, 6 bits": (
        "lossy_carphone_qcif_176x144.y4m",
        None,
        ["--prune", "0.4", "--bits", "6", "--frames", "16"],
    ),
    "paper-xs 176x144": (
        "lossy_carphone_qcif_176x144.y4m",
        None,
        ["--preset", "paper-xs", "--frames", "8", "--epochs", "30"],
    ),
    "paper-xs 720p": (
        "bunny_1280x720.y4m",
        None,
        ["--preset", "paper-xs", "--frames", "4", "--epochs", "15"],
    ),
}


def run(*arguments: str) -> dict[str, Any]:
    """A nervcodec command in a process of its own; its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "nervcodec", *arguments, "--json"],
        check=True,
        stdout=subprocess.PIPE,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def cropped(clip: Path, size: tuple[int, int], out: Path) -> Path:
    """The clip's top left corner of width x height as .y4m."""
    width, height = size
    form, _ = probe(clip)
    frames = next(read_groups(clip, form, [form.n_frames]))
    rows, columns = -(-height // 2), -(-width // 2)
    y, u, v = frames.planes
    small = Frames("yuv420", (y[:, :height, :width], u[:, :rows, :columns], v[:, :rows, :columns]))
    path = out / f"{clip.stem}_{width}x{height}.y4m"
    with open_writer(path, replace(form, width=width, height=height), overwrite=True) as writer:
        writer.write(small)
    return path


def measured(source: Path, decoded: Path) -> dict[str, float]:
    """PSNR of a decoded .y4m against the first frames of its source."""
    form, _ = probe(decoded)
    reference, _ = probe(source)
    meter = QualityMeter(reference.color)
    for ours, theirs in zip(
        read_all(source, replace(reference, n_frames=form.n_frames)), read_all(decoded, form)
    ):
        meter.add(ours, theirs)
    quality = meter.result()
    return {
        "y_db": quality.y_db,
        "u_db": quality.u_db,
        "v_db": quality.v_db,
        "rgb_db": quality.rgb_db,
    }


def measure_case(name: str, clips: Path, out: Path) -> dict[str, Any]:
    clip, size, arguments = CASES[name]
    source = clips / clip
    if size:
        source = cropped(source, size, out)
    stem = out / name.replace(" ", "_").replace(",", "")
    report = run("encode", "-y", str(source), f"{stem}.nvpp", *arguments)
    hashes = []
    started = time.monotonic()
    for i in (1, 2):
        run("decode", "-y", f"{stem}.nvpp", f"{stem}.{i}.y4m")
        hashes.append(hashlib.sha256(Path(f"{stem}.{i}.y4m").read_bytes()).hexdigest())
    report["decode_s"] = (time.monotonic() - started) / 2
    report["measured"] = measured(source, Path(f"{stem}.1.y4m"))
    report["decodes_identical"] = hashes[0] == hashes[1]
    Path(f"{stem}.2.y4m").unlink()
    return report


def row(name: str, result: dict[str, Any]) -> str:
    quality, again = result["quality"], result["measured"]
    off = max(abs(quality[plane] - again[plane]) for plane in ("y_db", "u_db", "v_db"))
    excess = result["bytes"] - result["container_bytes"] - 1.03 * result["entropy_bytes"]
    fit = result["fit"]
    return (
        f"| {name} | {result['frames']} | {fit['epochs']} + {fit['finetune_epochs']} |"
        f" {result['parameters']:,} | {result['bytes']:,} ({result['container_bytes']}) |"
        f" {result['bpp']:.4f} | {result['paper_bpp']:.4f} | {quality['y_db']:.2f} /"
        f" {quality['u_db']:.2f} / {quality['v_db']:.2f} | {quality['rgb_db']:.2f} |"
        f" {result['encode_s']:.0f} | {result['decode_s']:.1f} | {off:.4f} |"
        f" {'yes' if result['decodes_identical'] else 'NO'} | {excess:+.0f} |"
    )


def main() -> None:
    arguments = arguments_of(argparse.ArgumentParser(description=__doc__), CASES, "figures")
    print(
        "| case | frames | epochs | parameters | bytes (container) | bpp | paper's bpp | PSNR Y / U"
        " / V | RGB | encode s | decode s | off by dB | decodes equal | bytes over 1.03 x entropy |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.names or CASES:
        kept = arguments.out / f"{name.replace(' ', '_').replace(',', '')}.json"
        if not kept.exists():
            result = measure_case(name, arguments.clips, arguments.out)
            kept.write_text(json.dumps(result))
        print(row(name, json.loads(kept.read_text())), flush=True)


if __name__ == "__main__":
    main()
