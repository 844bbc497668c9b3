"""Files written once decode to the same symbols for ever and to the same frames within one level.

`python tests/test_golden.py NAME ..` writes files of tests/data anew, which only a change of the
format's version may ask for.
"""

from __future__ import annotations

import hashlib
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from nervcodec.coding.streams import decode_symbols_of
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.encoder.segment import encode_segment
from nervcodec.format.container import File, Header, StoredQuality, load, write_file
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.video.frames import Frames

DATA = Path(__file__).parents[1] / "data"
SYMBOLS = {
    "grid_yuv": "bccc0ba98a0a561511965ac1363143defad84307a0747c1248fc89a29f634eba",
    "moving_yuv": "779d99196c1a0382fece39b271d3df01bf5abdc952036f8f767ae6a06de2a15b",
    "wavelets_yuv": "0b1923f729e492715f209692eadaaf705dac3127abefc3ac38176c0dcebb0534",
    "shots_yuv": "27ccc7a3422026db82a41d624654eecbc31c45fb83de0f00aa282ed5024e56f0",
    "mlp_rgb": "82068117415c16ce923193e11ed762e7d6186887a647c1938f08de912f1f3065",
}


def symbols_hash(file: File) -> str:
    """SHA-256 of all symbols as little-endian int32 and all step codes as bytes, in coded order."""
    digest = hashlib.sha256()
    for segment in file.segments:
        for group in decode_symbols_of(segment, file.header.model):
            digest.update(group.symbols.astype("<i4").tobytes() + bytes([group.step_code]))
    return digest.hexdigest()


def decoded(file: File) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    parts = [
        frames for segment in file.segments for frames in decode_segment(segment, file.header.model)
    ]
    return list(Frames.concatenate(parts).planes)


@pytest.mark.parametrize("name", SYMBOLS)
def test_symbols_for_ever(name: str) -> None:
    """The symbols and steps are those that were written."""
    assert symbols_hash(load(DATA / f"{name}.nvpp")) == SYMBOLS[name]


@pytest.mark.parametrize("name", SYMBOLS)
def test_frames_within_one_level(name: str) -> None:
    """Every sample is within one level of what was decoded when the file was made."""
    planes = decoded(load(DATA / f"{name}.nvpp"))
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as golden:
        for number, plane in enumerate(planes):
            expected = golden[f"plane{number}"]
            assert plane.shape == expected.shape
            assert np.abs(plane.astype(int) - expected).max() <= 1


def _write(names: list[str]) -> None:
    torch.manual_seed(0)
    DATA.mkdir(exist_ok=True)
    y, x = np.mgrid[:21, :27]
    luma = np.stack([(120 + 70 * np.sin(x / 4 + t / 3) * np.cos(y / 5)) for t in range(7)]).astype(
        np.uint8
    )
    chroma = luma[:, ::2, ::2] // 2 + 60
    models = {
        "grid_yuv": ModelConfig(
            27,
            21,
            "yuv",
            GridStem(3, 4, (Grid(2, 2), Grid(3, 4), Grid(1, 3, 1))),
            (Block(2, 8), Block(2, 6)),
            biases="lean",
            pe_levels=4,
            pe_base_q8=512,
            activation="gelu-tanh",
            output="linear",
        ),
        "moving_yuv": ModelConfig(
            27,
            21,
            "yuv",
            GridStem(
                3, 4, (Grid(2, 2), Grid(2, 2, 1), Grid(1, 4, 2)), motion_height=2, motion_width=2
            ),
            (Block(2, 8), Block(2, 6)),
            biases="lean",
            output="linear",
            bits=12,
        ),
        "wavelets_yuv": ModelConfig(
            27,
            21,
            "yuv",
            GridStem(
                3,
                4,
                (Grid(2, 2), Grid(2, 2, 1), Grid(1, 4, 2)),
                motion_height=2,
                motion_width=2,
                wavelet_levels=2,
            ),
            (Block(2, 8), Block(2, 6)),
            biases="lean",
            output="linear",
            bits=12,
        ),
        "shots_yuv": ModelConfig(
            27,
            21,
            "yuv",
            GridStem(
                3,
                4,
                (Grid(2, 1), Grid(2, 2, 1), Grid(1, 4, 2)),
                motion_height=2,
                motion_width=2,
                wavelet_levels=1,
            ),
            (Block(2, 8), Block(2, 6)),
            biases="lean",
            output="linear",
            bits=12,
        ),
        "mlp_rgb": ModelConfig(27, 21, "rgb", MlpStem(5, 6, 12, 3), (Block(5, 6),), bits=6),
    }
    fits = {
        **{name: FitConfig(epochs=40) for name in models},
        "mlp_rgb": FitConfig(
            epochs=30, finetune_epochs=10, prune=0.3, rate_weight=0, optimizer="adam"
        ),
    }
    for name in names:
        model = models[name]
        frames = Frames("rgb", (luma, 255 - luma, luma // 2))
        if model.colorspace == "yuv":
            frames = Frames("yuv420", (luma, chroma, 255 - chroma))
        form = VideoFormat(27, 21, Fraction(30000, 1001), 7, frames.layout)
        shots = {"shots_yuv": ((1, 3), (2, 1))}.get(name, (None, None))
        segments = [
            encode_segment(part, own, model, fits[name])[0]
            for part, own in zip((frames[:4], frames[4:]), shots)
        ]
        path = DATA / f"{name}.nvpp"
        path.write_bytes(write_file(Header(form, model), segments, StoredQuality(psnr_y=30.5)))
        file = load(path)
        planes = {f"plane{number}": plane for number, plane in enumerate(decoded(file))}
        np.savez_compressed(DATA / f"{name}.npz", **planes)  # type: ignore[arg-type]
        print(f'    "{name}": "{symbols_hash(file)}",', path.stat().st_size, "bytes")


if __name__ == "__main__":
    _write(sys.argv[1:])
