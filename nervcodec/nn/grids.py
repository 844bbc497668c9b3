"""Temporal feature grids: blending between keys, warping along the motion, the inverse Haar
transform.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format.model_config import PE_BASE, PE_LEVELS, Shots


def positional_encoding(n_frames: int) -> NDArray[np.float64]:
    """Return sin and cos of PE_BASE^i * pi * t for i < PE_LEVELS, t = frame / n_frames.

    Returns:
        float64 [n_frames, 2 * PE_LEVELS].
    """
    t = np.arange(n_frames) / n_frames
    angles = t[:, None] * (np.pi * PE_BASE ** np.arange(PE_LEVELS))
    encoding: NDArray[np.float64] = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return encoding


def blend_matrix(n_frames: int, n_keys: int) -> NDArray[np.float64]:
    """Weights of a linear interpolation in time; float64 [n_frames, n_keys], rows sum to 1.

    Key k stands at the middle of the k-th of n_keys equal spans of the shot; before the first and
    after the last middle the nearest key is held.
    """
    position = np.clip((np.arange(n_frames) + 0.5) * n_keys / n_frames - 0.5, 0, n_keys - 1)
    weights: NDArray[np.float64] = np.maximum(
        0.0, 1 - np.abs(position[:, None] - np.arange(n_keys))
    )
    return weights


def key_moments(n_keys: int, n_frames: int) -> NDArray[np.float64]:
    """Weights that give the motion at the keys' moments from that of a shot's frames; float64
    [n_keys, n_frames].

    Key k stands at (k + 1/2) * n_frames / n_keys - 1/2, between two frames or on one.
    """
    moments = (np.arange(n_keys) + 0.5) * n_frames / n_keys - 0.5
    weights: NDArray[np.float64] = np.maximum(
        0.0, 1 - np.abs(moments[:, None] - np.arange(n_frames))
    )
    return weights


def shot_by_shot(
    table: Callable[[int, int], NDArray[np.float64]], rows: Shots, columns: Shots
) -> NDArray[np.float64]:
    """The tables table(rows, columns) of each shot on the diagonal, 0 between shots; [sum(rows),
    sum(columns)].
    """
    found = np.zeros((sum(rows), sum(columns)))
    row, column = 0, 0
    for n_rows, n_columns in zip(rows, columns, strict=True):
        found[row : row + n_rows, column : column + n_columns] = table(n_rows, n_columns)
        row, column = row + n_rows, column + n_columns
    return found


def sides(blend: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """blend_matrix in two parts: the weights of the first key that each frame has, and what is
    left, if anything is.
    """
    is_first = np.arange(blend.shape[1]) == (blend > 0).argmax(axis=1)[:, None]
    parts = [np.where(is_first, blend, 0.0), np.where(is_first, 0.0, blend)]
    return parts if parts[1].any() else parts[:1]


def joined(half: Tensor, details: Tensor, size: tuple[int, int]) -> Tensor:
    """A grid of twice the size from its half and its details; cut to `size`, (rows, columns).

    Args:
        half: [K, C, h, w].
        details: [K, 3 * C, h, w]: of all channels the differences along rows, then those along
            columns, then both.
    Returns:
        [K, C, *size] of the same dtype, differentiable.
    """
    rows, columns, both = details.chunk(3, dim=1)
    above, below = half + columns, half - columns
    right, left = rows + both, rows - both
    quads = torch.stack([above + right, above - right, below + left, below - left], dim=2)
    return F.pixel_shuffle(0.5 * quads.flatten(1, 2), 2)[:, :, : size[0], : size[1]]


def moved(maps: Tensor, by: Tensor) -> Tensor:
    """Each map [T, C, h, w] taken at its places plus `by` [T, 2, h, w] (columns, rows, in cells),
    held at the edges.
    """
    height, width = maps.shape[2:]
    rows = torch.arange(height, device=maps.device).view(-1, 1)
    columns = torch.arange(width, device=maps.device)
    x, y = (2 * (columns + by[:, 0]) + 1) / width - 1, (2 * (rows + by[:, 1]) + 1) / height - 1
    return F.grid_sample(
        maps, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False
    )
