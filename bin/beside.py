"""Prints a .nvpp file's figures beside those of x264 and x265 on the same clip, all measured on the same planes."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from nervcodec.color import Frames
from nervcodec.config import VideoFormat
from nervcodec.metrics import QualityMeter
from nervcodec.video import conventional, probe, read_groups


def read_all(path: str) -> tuple[VideoFormat, Frames]:
    form, _ = probe(path)
    return form, next(read_groups(path, form, [form.n_frames]))


def row(name: str, form: VideoFormat, n_bytes: int, source: Frames, decoded: Frames, seconds: float | None) -> str:
    meter = QualityMeter(form.color)
    meter.add(source, decoded)
    quality = meter.result()
    ms_ssim = "-" if quality.ms_ssim is None else f"{quality.ms_ssim:.4f}"
    took = "-" if seconds is None else f"{seconds:.1f}"
    return (f"{name:<22}{n_bytes:>9,}{form.bpp(n_bytes):>9.4f}{form.kbit_per_s(n_bytes):>9.1f}{quality.y_db:>8.2f}"
            f"{quality.u_db:>8.2f}{quality.v_db:>8.2f}{quality.rgb_db:>8.2f}{ms_ssim:>9}{took:>9}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="the clip")
    parser.add_argument("coded", help="the .nvpp file")
    parser.add_argument("decoded", help="the .y4m file decoded from it")
    parser.add_argument("--crf", type=int, default=29)
    arguments = parser.parse_args()
    form, source = read_all(arguments.source)
    print(f"{'':<22}{'bytes':>9}{'bpp':>9}{'kbit/s':>9}{'Y dB':>8}{'U dB':>8}{'V dB':>8}{'RGB dB':>8}{'MS-SSIM':>9}"
          f"{'encode s':>9}")
    _, decoded = read_all(arguments.decoded)
    print(row("nervcodec", form, Path(arguments.coded).stat().st_size, source, decoded, None))
    for codec, name in (("libx264", "x264"), ("libx265", "x265")):
        started = time.monotonic()
        n_bytes, theirs = conventional(source, form, codec, {"preset": "medium", "crf": str(arguments.crf)})
        print(row(f"{name} medium crf {arguments.crf}", form, n_bytes, source, theirs, time.monotonic() - started))


if __name__ == "__main__":
    main()
