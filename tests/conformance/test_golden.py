"""Files written once decode to the same symbols and to the same frames for ever.

`PYTHONPATH=. python tests/conformance/test_golden.py NAME ..` writes files of tests/data anew, with
their frames and the SHA-256 of their symbols in symbols.json; without a NAME it writes all. Only a
change of the format's version, or of the prior, may ask for that.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from nervcodec.coding.streams import decode_symbols_of
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.encoder.segment import encode_segment
from nervcodec.format.container import load, write_file
from nervcodec.format.file import File, Header, StoredQuality
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.video.color import to_bit_depth, to_layout
from nervcodec.video.frames import Frames, Plane

DATA = Path(__file__).parents[1] / "data"
DEEP: dict[str, tuple[Layout, int]] = {
    "gray": ("gray", 8),
    "yuv422_10": ("yuv422", 10),
    "yuv444_12": ("yuv444", 12),
}
PRIORS = ("prior", "prior_wide_yuv422")  # made anew with each new prior too
SYMBOLS: dict[str, str] = json.loads((DATA / "symbols.json").read_text("utf-8"))


def symbols_hash(file: File) -> str:
    """SHA-256 of all symbols as little-endian int32 and all step codes as bytes, in coded order."""
    digest = hashlib.sha256()
    for segment in file.segments:
        for group in decode_symbols_of(segment, file.header.model):
            digest.update(group.symbols.astype("<i4").tobytes() + bytes([group.step_code]))
    return digest.hexdigest()


def decoded(file: File) -> list[Plane]:
    parts = [
        frames for segment in file.segments for frames in decode_segment(segment, file.header.model)
    ]
    return list(Frames.concatenate(parts).planes)


@pytest.mark.parametrize("name", SYMBOLS)
def test_symbols_for_ever(name: str) -> None:
    """The symbols and steps are those that were written."""
    assert symbols_hash(load(DATA / f"{name}.nvpp")) == SYMBOLS[name]


@pytest.mark.parametrize("name", SYMBOLS)
def test_frames_for_ever(name: str) -> None:
    """Every sample is what was decoded when the file was made."""
    planes = decoded(load(DATA / f"{name}.nvpp"))
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as golden:
        for number, plane in enumerate(planes):
            np.testing.assert_array_equal(plane, golden[f"plane{number}"])


def _models() -> dict[str, ModelConfig]:
    grids = (Grid(2, 2), Grid(2, 2, 1), Grid(1, 2, 2))
    blocks = (Block(2, 8), Block(2, 6))
    stems = {
        "grid_yuv": GridStem(3, 4, (Grid(2, 2), Grid(3, 4), Grid(1, 3, 1))),
        "moving_yuv": GridStem(3, 4, grids, 2, 2),
        "wavelets_yuv": GridStem(3, 4, grids, 2, 2, wavelet_levels=2),
        "shots_yuv": GridStem(3, 4, (Grid(2, 1), *grids[1:]), 2, 2, wavelet_levels=1),
    }
    of_prior = GridStem(
        2, 2, (Grid(2, 1), Grid(4, 2), Grid(2, 2, 1), Grid(3, 2, 2), Grid(1, 2, 3)), 1, 1, 2
    )
    narrow = tuple(Block(2, 16) for _ in range(3))
    wide = (Block(2, 24), *narrow[1:])
    priors: list[tuple[str, Layout, tuple[Block, ...]]] = [
        ("prior", "yuv420", narrow),
        ("prior_wide_yuv422", "yuv422", wide),
    ]
    tiny = GridStem(1, 2, (Grid(1, 1),))
    tiny_deep = GridStem(2, 2, (Grid(2, 1),))
    return {
        "tiny": ModelConfig(8, 6, "yuv420", tiny, (Block(3, 2),), parts=(), biases="lean"),
        "mlp_rgb": ModelConfig(27, 21, "rgb", MlpStem(5, 6, 12, 3), (Block(5, 6),), bits=6),
        **{
            name: ModelConfig(27, 21, "yuv420", stem, blocks, biases="lean", bits=12)
            for name, stem in stems.items()
        },
        **{
            name: ModelConfig(9, 7, layout, tiny_deep, (Block(3, 4),), bit_depth=bit_depth)
            for name, (layout, bit_depth) in DEEP.items()
        },
        **{
            name: ModelConfig(32, 32, layout, of_prior, blocks, biases="lean", bits=12, prior=1)
            for name, layout, blocks in priors
        },
    }


def _frames(model: ModelConfig, n_frames: int) -> Frames:
    """A moving pattern in the network's colorspace and size."""
    y, x = np.mgrid[: model.height, : model.width]
    luma = np.stack(
        [120 + 70 * np.sin(x / 4 + t / 3) * np.cos(y / 5) for t in range(n_frames)]
    ).astype(np.uint8)
    if model.colorspace == "rgb":
        return Frames("rgb", (luma, 255 - luma, luma // 2))
    chroma = luma // 2 + 60
    full = Frames("yuv444", (luma, chroma, 255 - chroma))
    deep = to_bit_depth(full, model.bit_depth, full_range=True)
    return to_layout(deep, model.colorspace, ColorTags())


def _write(name: str) -> None:
    torch.manual_seed(0)
    model, fit = _models()[name], FitConfig(epochs=60, rate_weight=1e-4)
    if name == "mlp_rgb":
        fit = FitConfig(epochs=30, finetune_epochs=10, prune=0.3, rate_weight=0, optimizer="adam")
    if name in PRIORS:
        fit = FitConfig(epochs=8, rate_weight=1e-4)
    segments: list[tuple[int, tuple[int, ...] | None]] = [(4, None), (3, None)]
    if name in ("tiny", *DEEP):
        segments = [(2, None)]
    elif name in PRIORS:
        segments = [(5, None)]
    elif name == "shots_yuv":
        segments = [(4, (1, 3)), (3, (2, 1))]
    n_frames = sum(length for length, _ in segments)
    frames, coded, start = _frames(model, n_frames), [], 0
    for length, shots in segments:
        part = frames[start : start + length]
        segment = encode_segment(part, shots, model, fit)[0]
        coded.append(replace(segment, quality=StoredQuality(psnr_y=30.5)))
        start += length
    form = VideoFormat(
        model.width,
        model.height,
        Fraction(30000, 1001),
        n_frames,
        frames.layout,
        bit_depth=frames.bit_depth,
    )
    path = DATA / f"{name}.nvpp"
    path.write_bytes(write_file(Header(form, model), coded))
    file = load(path)
    planes = {f"plane{number}": plane for number, plane in enumerate(decoded(file))}
    np.savez_compressed(DATA / f"{name}.npz", **planes)  # type: ignore[arg-type]
    SYMBOLS[name] = symbols_hash(file)
    (DATA / "symbols.json").write_text(json.dumps(SYMBOLS, indent=2) + "\n", "utf-8")
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    for each in sys.argv[1:] or _models():
        _write(each)
