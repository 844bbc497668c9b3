"""The same code on a CUDA device: fits as well as on the CPU, and decodes to the same frames within one level."""

import numpy as np
import pytest
import torch

from nervcodec.color import Frames
from nervcodec.config import Block, FitConfig, Grid, ModelConfig
from nervcodec.segment import decode_segment, encode_segment

pytestmark = [pytest.mark.needs_cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

MODEL = ModelConfig(48, 32, "yuv", "grid", 4, 6, (Block(2, 8), Block(2, 8)), grids=(Grid(2, 1), Grid(2, 4)),
                    activation="gelu-tanh", output="linear")


def clip() -> Frames:
    y, x = np.mgrid[:32, :48]
    luma = np.stack([120 + 60 * np.sin(x / 5 + t / 4) * np.cos(y / 6) for t in range(8)]).astype(np.uint8)
    chroma = luma[:, ::2, ::2] // 2 + 60
    return Frames("yuv420", (luma, chroma, 255 - chroma))


def luma_mse(device: str, precision: str) -> float:
    segment, _ = encode_segment(clip(), MODEL, FitConfig(epochs=60, precision=precision), device)
    decoded = Frames.concatenate(list(decode_segment(segment, MODEL)))
    return float(np.square(decoded.planes[0].astype(float) - clip().planes[0]).mean())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_fits_as_well(precision: str) -> None:
    """The error after a fit on the GPU is within 2 dB of that after a fit on the CPU."""
    assert luma_mse("cuda", precision) < 1.6 * luma_mse("cpu", precision)


def test_a_gpu_decodes_to_the_same_frames() -> None:
    """Every sample is within one level of the CPU's."""
    segment, _ = encode_segment(clip(), MODEL, FitConfig(epochs=20))
    on_cpu, on_gpu = (Frames.concatenate(list(decode_segment(segment, MODEL, device=name))) for name in ("cpu", "cuda"))
    for a, b in zip(on_cpu.planes, on_gpu.planes, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
