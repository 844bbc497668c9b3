"""Frames <-> the planes that the head gives (nvpp-format.md section 5.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def unpack(planes: NDArray[Any], model: ModelConfig) -> Frames:
    """Return the frames of planes as from pack; the inverse of pack."""
    return frames_of(
        interleaved(planes, model, lambda *shape: np.empty(shape, planes.dtype)), model
    )


def interleaved(planes: Any, model: ModelConfig, empty: Callable[..., Any]) -> list[Any]:
    """Return each plane of frames, its phases put together; in NumPy or torch.

    Args:
        planes: an array or a tensor [T, n_planes, plane_height, plane_width].
        empty: makes another one of the type, of a shape.
    Returns:
        [T, rows, columns] each.
    """
    made, start = [], 0
    sizes = plane_sizes(model.colorspace, model.width, model.height)
    for (columns, rows), (across, down) in zip(sizes, model.phases, strict=True):
        n_frames, _, height, width = planes.shape
        plane = empty(n_frames, height * down, width * across)
        for i in range(down):
            for j in range(across):
                plane[:, i::down, j::across] = planes[:, start + i * across + j]
        made.append(plane[:, :rows, :columns])
        start += across * down
    return made


def frames_of(planes: list[NDArray[Any]], model: ModelConfig) -> Frames:
    """Return the frames of planes [T, rows, columns] each; int16 becomes uint16."""
    made = [np.ascontiguousarray(plane) for plane in planes]
    if model.bit_depth > 8:
        made = [plane.view(np.uint16) for plane in made]
    return Frames(model.colorspace, tuple(made), model.bit_depth)
