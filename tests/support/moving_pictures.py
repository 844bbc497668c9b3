"""Pictures in made-up motion, to be searched."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nervcodec.nn.grids import moved

INNER = (..., slice(1, -1), slice(1, -1))  # at the edges keys lack what other frames show


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth noise, float32 [height, width], 0 to 255."""
    noise = torch.rand(
        (1, 1, height // 3 + 2, width // 3 + 2), generator=torch.Generator().manual_seed(seed)
    )
    return (
        255
        * torch.nn.functional.interpolate(
            noise, (height, width), mode="bicubic", align_corners=False
        )[0, 0]
    )


def seen_from(places: Sequence[tuple[float, float]], seed: int = 0) -> Tensor:
    """A camera at places (right, down) over a texture: a frame for each, [T, 64, 96]."""
    picture = texture(200, 300, seed)[None, None]
    ways = [torch.tensor(place).view(1, 2, 1, 1).expand(1, 2, 200, 300) for place in places]
    return torch.stack([moved(picture, way)[0, 0, 60:124, 90:186] for way in ways])


def panned(n_frames: int, right: float, down: float, seed: int = 0) -> Tensor:
    """A camera that moves by so many samples a frame."""
    return seen_from([(t * right, t * down) for t in range(n_frames)], seed)


def vector(right: float, down: float) -> Tensor:
    """The same vector in every cell, [2, 1, 1]."""
    return torch.tensor([right, down]).view(2, 1, 1)
