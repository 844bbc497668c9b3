"""Frames <-> the planes that the head gives (nvpp-format.md section 5.9)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format.model_config import ModelConfig
from nervcodec.video.frames import Frames


def pack(frames: Frames, model: ModelConfig) -> NDArray[np.uint8]:
    """Return frames in the model's colorspace as uint8 [T, n_planes, plane_height, plane_width].

    'yuv': the luma phases (even row, even column), (even, odd), (odd, even), (odd, odd), then Cb,
    Cr; an odd frame's missing luma row or column repeats the last one.
    """
    if model.colorspace == "rgb":
        return np.stack(frames.planes, axis=1)
    luma, cb, cr = frames.planes
    height, width = luma.shape[1:]
    luma = np.pad(luma, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return np.stack([luma[:, i::2, j::2] for i in (0, 1) for j in (0, 1)] + [cb, cr], axis=1)


def unpack(planes: Tensor, model: ModelConfig) -> Frames:
    """Return the frames of uint8 planes on any device; the inverse of pack."""
    if model.colorspace == "rgb":
        components = list(planes.unbind(dim=1))
    else:
        n_frames, _, height, width = planes.shape
        luma = planes.new_empty(n_frames, 2 * height, 2 * width)
        for phase in range(4):
            luma[:, phase // 2 :: 2, phase % 2 :: 2] = planes[:, phase]
        components = [luma[:, : model.height, : model.width], planes[:, 4], planes[:, 5]]
    first, second, third = (plane.contiguous().cpu().numpy() for plane in components)
    return Frames("rgb" if model.colorspace == "rgb" else "yuv420", (first, second, third))


def to_uint8(planes: Tensor) -> Tensor:
    """Return planes in [0, 1] as 0..255: times 255, rounded (halves to even), clipped."""
    return (planes * 255).round().clamp(0, 255).to(torch.uint8)
