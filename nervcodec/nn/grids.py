"""Temporal feature grids: blending between keys, warping along the motion, inverse Haar transform.

nvpp-format.md sections 5.3 to 5.6 specify all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format.model_config import PE_BASE, PE_LEVELS, ModelConfig, Shots
from nervcodec.format.tensors import MOTION_UNIT, details_name

Parameters = Mapping[str, Tensor]


def table(values: NDArray[np.float64], device: torch.device) -> Tensor:
    """Return a constant table as float32 on a device."""
    return torch.from_numpy(values.astype(np.float32)).to(device)


class TemporalGrids:
    """The grids of a segment: what of them each frame has.

    Args:
        model: the network's configuration.
        shots: the segment's.
        device: where the constant tables live.
    """

    def __init__(self, model: ModelConfig, shots: Shots, device: torch.device) -> None:
        self._model = model
        keys = [grid.keys(shots) for grid in model.grids]
        blends = [shot_by_shot(straight_blend, shots, each) for each in keys]
        self._blends = [table(blend, device) for blend in blends]
        moving = [i for i, grid in enumerate(model.grids) if grid.level and model.motion]
        self._sides = {i: [table(side, device) for side in sides(blends[i])] for i in moving}
        self._distances = {
            i: [table(d, device) for d in distances(shots, keys[i], sides(blends[i]))]
            for i in moving
        }
        # Bilinear interpolation of a motion field to the cells of a level, as products along rows
        # and columns: on a GPU F.interpolate's gradient, summed into so few cells, takes as long as
        # all the rest of a step.
        motion = model.motion or (0, 0)
        self._between = {
            level: [
                table(blend_matrix(size, n), device) for size, n in zip(model.cells(level), motion)
            ]
            for level in {model.grids[i].level for i in moving}
        }

    def put_together(self, named: dict[str, Tensor]) -> None:
        """Replace, in place, the halves and details of each grid by the grid."""
        for number, grid in enumerate(self._model.grids, 1):
            *finer, _ = self._model.bands(grid.level)
            for n_halvings, size in reversed(list(enumerate(finer, 1))):
                details = named.pop(details_name(number, n_halvings))
                named[f"stem.grid{number}"] = joined(named[f"stem.grid{number}"], details, size)

    def maps(self, parameters: Parameters, frames: Tensor, level: int) -> Tensor:
        """Return the grids of a level, which has some, in frames int64 [B]; [B, C, h, w]."""
        moves = level and self._model.motion
        each = (
            self._moved(parameters, frames, level)
            if moves
            else self._still(parameters, frames, level)
        )
        return torch.cat(list(each), dim=1)

    def _of_level(self, level: int) -> list[int]:
        return [i for i, grid in enumerate(self._model.grids) if grid.level == level]

    def _still(self, parameters: Parameters, frames: Tensor, level: int) -> Iterator[Tensor]:
        """Yield each blended grid of a level.

        Keys [K, C, h, w] are blended by a product with weights [B, K], since indexing is not
        deterministic.
        """
        for i in self._of_level(level):
            keys = parameters[f"stem.grid{i + 1}"]
            weights = self._blends[i][frames].to(keys.dtype)
            yield (weights @ keys.reshape(len(keys), -1)).view(len(frames), *keys.shape[1:])

    def _moved(self, parameters: Parameters, frames: Tensor, level: int) -> Iterator[Tensor]:
        """Yield each grid of a level, keys moved from their moments to the frames', then blended.

        Float32. The keys before and after a frame are taken by products with weights [B, K], as in
        _still.
        """
        motion, turn = parameters["stem.motion"], parameters["stem.turn"]
        u = motion.flatten(1).index_select(0, frames)
        e = turn.flatten(1).index_select(0, frames)
        rows, columns = self._between[level]
        unit = MOTION_UNIT * len(rows) / self._model.covered_height  # in cells, in both directions

        def taken(keys: Tensor, weights: Tensor, by: Tensor) -> Tensor:
            by = by.view(-1, *motion.shape[1:])
            return moved(
                (weights @ keys.flatten(1)).view(-1, *keys.shape[1:]),
                unit * (rows @ by @ columns.T),
            )

        for i in self._of_level(level):
            keys = parameters[f"stem.grid{i + 1}"].float()
            parts = [
                taken(keys, side[frames], (u if n == 0 else u + e) * d[frames][:, None])
                for n, (side, d) in enumerate(zip(self._sides[i], self._distances[i]))
            ]
            yield parts[0] + parts[1] if len(parts) > 1 else parts[0]


def key_frames(n_frames: int, n_keys: int) -> NDArray[np.int64]:
    return (2 * np.arange(n_keys) + 1) * n_frames // (2 * n_keys)


def straight_blend(n_frames: int, n_keys: int) -> NDArray[np.float64]:
    at = key_frames(n_frames, n_keys)
    return np.stack([np.interp(np.arange(n_frames), at, row) for row in np.eye(n_keys)], axis=1)


def distances(shots, keys, parts):
    at = np.concatenate([key_frames(n, k) + s for k, n, s in zip(keys, shots, np.cumsum([0, *shots[:-1]]))])
    pace = np.concatenate([np.full(n, n / k) for k, n in zip(keys, shots)])
    t = np.arange(sum(shots))
    out = []
    for part in parts:
        k = (part > 0).argmax(axis=1)
        out.append(np.where((part > 0).any(axis=1), (t - at[k]) / pace, 0.0))
    return out


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
    """Return weights of a linear interpolation in time; float64 [n_frames, n_keys], rows sum to 1.

    Key k stands at the middle of the k-th of n_keys equal spans of the shot; before the first and
    after the last middle the nearest key is held.
    """
    position = np.clip((np.arange(n_frames) + 0.5) * n_keys / n_frames - 0.5, 0, n_keys - 1)
    weights: NDArray[np.float64] = np.maximum(
        0.0, 1 - np.abs(position[:, None] - np.arange(n_keys))
    )
    return weights


def key_moments(n_keys: int, n_frames: int) -> NDArray[np.float64]:
    """Return weights that give the motion at the keys' moments from that of a shot's frames.

    Returns:
        float64 [n_keys, n_frames].

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
    """Return the tables of all shots on the diagonal, 0 between shots; [sum(rows), sum(columns)].

    Args:
        table: makes that of a shot from its rows and columns.
    """
    diagonal = np.zeros((sum(rows), sum(columns)))
    row, column = 0, 0
    for n_rows, n_columns in zip(rows, columns, strict=True):
        diagonal[row : row + n_rows, column : column + n_columns] = table(n_rows, n_columns)
        row, column = row + n_rows, column + n_columns
    return diagonal


def sides(blend: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return blend_matrix in two parts: each frame's first key, and what is left, if any."""
    is_first = np.arange(blend.shape[1]) == (blend > 0).argmax(axis=1)[:, None]
    parts = [np.where(is_first, blend, 0.0), np.where(is_first, 0.0, blend)]
    return parts if parts[1].any() else parts[:1]


def joined(half: Tensor, details: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a grid of twice the size from its half and its details, cut to (rows, columns).

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
    """Return each map [T, C, h, w] taken at its places plus `by` [T, 2, h, w].

    `by` is (columns, rows) in cells; maps are held at the edges.
    """
    height, width = maps.shape[2:]
    rows = torch.arange(height, device=maps.device).view(-1, 1)
    columns = torch.arange(width, device=maps.device)
    x, y = (2 * (columns + by[:, 0]) + 1) / width - 1, (2 * (rows + by[:, 1]) + 1) / height - 1
    return F.grid_sample(
        maps, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False
    )
