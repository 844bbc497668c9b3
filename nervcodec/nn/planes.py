"""Frames <-> the planes that the head gives (nvpp-format.md section 5.10)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format.model_config import ModelConfig
from nervcodec.format.video_format import plane_sizes
from nervcodec.video.frames import Frames


def pack(frames: Frames, model: ModelConfig) -> NDArray[np.uint8 | np.int16]:
    """Return frames in the model's colorspace as [T, n_planes, plane_height, plane_width].

    Of each plane the phases follow each other, its rows before its columns: (even row, even
    column), (even, odd), (odd, even), (odd, odd). A missing last row or column repeats the one
    before.

    Returns:
        uint8 of 8-bit frames, int16 of all others, since torch counts with hardly any uint16.
    """
    packed = []
    for plane, (across, down) in zip(frames.planes, model.phases, strict=True):
        height, width = plane.shape[1:]
        plane = np.pad(plane, ((0, 0), (0, height % down), (0, width % across)), mode="edge")
        packed += [plane[:, i::down, j::across] for i in range(down) for j in range(across)]
    return np.stack(packed, axis=1).astype(np.uint8 if frames.bit_depth == 8 else np.int16)


def unpack(planes: Tensor, model: ModelConfig) -> Frames:
    """Return the frames of planes as from pack, on any device; the inverse of pack."""
    made, start = [], 0
    sizes = plane_sizes(model.colorspace, model.width, model.height)
    for (columns, rows), (across, down) in zip(sizes, model.phases, strict=True):
        n_frames, _, height, width = planes.shape
        plane = planes.new_empty(n_frames, height * down, width * across)
        for i in range(down):
            for j in range(across):
                plane[:, i::down, j::across] = planes[:, start + i * across + j]
        made.append(plane[:, :rows, :columns].contiguous().cpu().numpy())
        start += across * down
    if model.bit_depth > 8:
        made = [plane.view(np.uint16) for plane in made]
    return Frames(model.colorspace, tuple(made), model.bit_depth)


def to_samples(planes: Tensor, model: ModelConfig) -> Tensor:
    """Return planes in [0, 1] as 0..peak: times the peak, rounded (halves to even), clipped.

    Returns:
        uint8 of 8-bit frames, else int16, of the same shape.
    """
    samples = (planes * model.peak).round().clamp(0, model.peak)
    return samples.to(torch.uint8 if model.bit_depth == 8 else torch.int16)
