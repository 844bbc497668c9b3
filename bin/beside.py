"""Prints a .nvpp file's figures beside those of x264 and x265 on the same clip, all measured on the
same planes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from nervcodec.bench.ffmpeg_codecs import CONVENTIONAL, decode, encode
from nervcodec.quality.metrics import QualityMeter
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all


def row(name: str, n_bytes: int, source: Path, decoded: Path, seconds: float | None = None) -> str:
    form, _ = probe(source)
    meter = QualityMeter(form.color)
    for pair in zip(read_all(source, form), read_all(decoded, form), strict=True):
        meter.add(*pair)
    quality = meter.result()
    ms_ssim = "-" if quality.ms_ssim is None else f"{quality.ms_ssim:.4f}"
    took = "-" if seconds is None else f"{seconds:.1f}"
    return (
        f"{name:<22}{n_bytes:>9,}{form.bpp(n_bytes):>9.4f}{form.kbit_per_s(n_bytes):>9.1f}{quality.y_db:>8.2f}"
        f"{quality.u_db:>8.2f}{quality.v_db:>8.2f}{quality.rgb_db:>8.2f}{ms_ssim:>9}{took:>9}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the clip, 4:2:0")
    parser.add_argument("coded", type=Path, help="the .nvpp file")
    parser.add_argument("decoded", type=Path, help="the .y4m file decoded from it")
    parser.add_argument("--crf", default="29")
    given = parser.parse_args()
    print(
        f"{'':<22}{'bytes':>9}{'bpp':>9}{'kbit/s':>9}{'Y dB':>8}{'U dB':>8}{'V dB':>8}"
        f"{'RGB dB':>8}{'MS-SSIM':>9}"
        f"{'encode s':>9}"
    )
    print(row("nervcodec", given.coded.stat().st_size, given.source, given.decoded))
    for name in ("x264", "x265"):
        with TemporaryDirectory() as folder:
            coded, decoded = (
                Path(folder, f"coded{CONVENTIONAL[name].suffix}"),
                Path(folder, "decoded.y4m"),
            )
            n_bytes, seconds = encode(
                name, given.source, coded, {"preset": "medium", "crf": given.crf}
            )
            decode(given.source, coded, decoded)
            print(row(f"{name} medium crf {given.crf}", n_bytes, given.source, decoded, seconds))


if __name__ == "__main__":
    main()
