"""A made-up results.json of two clips and two codecs at four rates each, with tiny pictures."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

CLIPS = ("river", "still life")
LABELS = ("nervcodec medium", "x265 medium")
CEILING = 0.25


def results() -> dict[str, Any]:
    return {
        "schema": "nervcodec.bench/1",
        "command": "nervcodec bench river.mp4 'still life.y4m'",
        "created": "2025-01-02T03:04:05Z",
        "versions": {"nervcodec": "0.1.0", "ffmpeg": "7.1"},
        "machine": {
            "cpu": "Some CPU",
            "cores": 2,
            "memory_gib": 7.8,
            "gpu": None,
            "system": "Linux 6 x86_64",
        },
        "threads": 2,
        "seed": 5,
        "clips": [_clip(CLIPS[0], CEILING), _clip(CLIPS[1], None)],
        "points": [point(clip, label, k) for clip in CLIPS for label in LABELS for k in range(4)],
        "crops": [_crop(clip, which) for clip in CLIPS for which in ("worst", "median")],
    }


def _clip(name: str, ceiling_bpp: float | None) -> dict[str, Any]:
    note = "the source itself is a stream of this rate: points above it say nothing about codecs"
    return {
        "name": name,
        "sha256": "ab" * 32,
        "width": 320,
        "height": 180,
        "frames": 3,
        "frame_rate": "25",
        "note": note if ceiling_bpp else None,
        "ceiling_bpp": ceiling_bpp,
    }


def point(clip: str, label: str, k: int) -> dict[str, Any]:
    """Number k of a curve: our bytes are 0.9 of x265's, PSNR rises by 2 dB a step."""
    codec, variant = label.split()
    ours = codec == "nervcodec"
    n_bytes, rgb = (900 if ours else 1000) * 2**k + CLIPS.index(clip), 30.0 + 2 * k
    quality = {"y": rgb + 1, "u": rgb + 9, "v": rgb + 10, "yuv611": rgb + 2, "rgb": rgb}
    return {
        "clip": clip,
        "codec": codec,
        "variant": variant,
        "label": label,
        "setting": f"rate weight {0.04 / 2**k:g}" if ours else f"crf {35 - 3 * k}",
        "bytes": n_bytes,
        "counted": "whole file" if ours else "elementary stream",
        "bpp": 8 * n_bytes / (3 * 320 * 180),
        "kbit_per_s": 8 * n_bytes / 1000 / (3 / 25),
        "psnr": quality,
        "psnr_of_mean_mse": quality,
        "ssim": 0.9 + k / 100,
        "ssim_reason": None,
        "ms_ssim": 0.95 + k / 100,
        "ms_ssim_reason": None,
        "xpsnr": {"y": rgb + 0.5, "u": rgb, "v": rgb},
        "xpsnr_reason": None,
        "vmaf": None,
        "vmaf_reason": "no vmaf here",
        "per_frame": {"psnr_rgb": [rgb - 1, rgb + 1, rgb]},
        "encode_s": 60.0 if ours else 1.5 + k,
        "encode_process_s": 61.0,
        "decode_s": 0.5,
        "decode_process_s": 0.75,
        "encode_peak_bytes": 512 * 2**20,
        "decode_peak_bytes": 256 * 2**20,
        "parameters": 1000 if ours else None,
        "kmac_per_pixel": 12.5 if ours else None,
        "version": "0.1.0 (abc)" if ours else "8.0",
        "file": "0123.bin",
    }


def _crop(clip: str, which: str) -> dict[str, Any]:
    shown = [point(clip, label, 2) for label in LABELS]
    images = [
        {"label": "source", "setting": None, "bytes": None, "psnr_rgb": None},
        *(
            {
                "label": each["label"],
                "setting": each["setting"],
                "bytes": each["bytes"],
                "psnr_rgb": 33.25,
            }
            for each in shown
        ),
    ]
    return {
        "clip": clip,
        "which": which,
        "frame": 1,
        "box": [4, 6, 16, 12],
        "note": f"{which} frame of ours",
        "images": [
            {**image, "file": f"crops/{clip}-{which}-{i}.png"} for i, image in enumerate(images)
        ],
    }


def write(folder: Path, content: dict[str, Any]) -> None:
    """Writes results.json and the pictures that it names."""
    (folder / "results.json").write_text(json.dumps(content), "utf-8")
    (folder / "crops").mkdir()
    for shade, image in enumerate(image for crop in content["crops"] for image in crop["images"]):
        (folder / image["file"]).write_bytes(png(16 * shade))


def png(shade: int) -> bytes:
    """A picture of 16x12 pixels of rising red and green."""
    rows = b"".join(
        b"\0" + b"".join(bytes((16 * x, 20 * y, shade)) for x in range(16)) for y in range(12)
    )
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 16, 12, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
