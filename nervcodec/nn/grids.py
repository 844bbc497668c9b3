"""Temporal feature grids: blending between keys, warping along the motion, inverse Haar transform.

What nvpp-format.md, sections 5.4 to 5.7, specifies in integers, in floats as a fit needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format.model_config import PE_BASE, PE_LEVELS, Keys, ModelConfig, Shots
from nervcodec.format.tensors import MOTION_UNIT, MOTIONS, OFFSET_UNIT, details_name
from nervcodec.nn.integer_network import key_frames

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
        blends = [shot_by_shot(blend_matrix, shots, each) for each in keys]
        self._blends = [table(blend, device) for blend in blends]
        self._sides: list[Tensor] = []
        self._distances: list[Tensor] = []
        moving = [i for i, grid in enumerate(model.grids) if grid.level and model.motion]
        if moving:
            parts = sides(blends[moving[0]])
            self._sides = [table(side, device) for side in parts]
            self._distances = [table(each, device) for each in distances(shots, keys[moving[0]])]
        # Bilinear interpolation of a motion field to the cells of a level, as products along rows
        # and columns: on a GPU F.interpolate's gradient, summed into so few cells, takes as long as
        # all the rest of a step.
        motion = model.motion or (0, 0)
        self._between = {
            level: [
                table(interpolation(size, n), device) for size, n in zip(model.cells(level), motion)
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
        """Yield each grid of a level, keys moved to the frames, then blended.

        Float32. The keys before and after a frame are taken by products with weights [B, K], as in
        _still.
        """
        motion, offset = (parameters[name].index_select(0, frames) for name in MOTIONS)
        rows, columns = self._between[level]
        scale = len(rows) / self._model.covered_height  # samples to cells, in both directions
        moves = []
        for distances in self._distances:
            far = distances[frames].view(-1, 1, 1, 1)
            move = MOTION_UNIT * far * motion + OFFSET_UNIT * (far != 0) * offset
            moves.append(scale * (rows @ move @ columns.T))
        for i in self._of_level(level):
            keys = parameters[f"stem.grid{i + 1}"].float()
            parts = [
                moved((side[frames] @ keys.flatten(1)).view(-1, *keys.shape[1:]), move)
                for side, move in zip(self._sides, moves)
            ]
            yield parts[0] + parts[1] if len(parts) > 1 else parts[0]


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

    Before the first and after the last key the nearest one is held.
    """
    frames, keys = np.arange(n_frames), np.arange(n_keys)
    place = np.interp(frames, key_frames(n_frames, n_keys), keys)
    first = place.astype(np.int64)
    weights = np.zeros((n_frames, n_keys))  # untouched memory but for two values a row
    weights[frames, np.minimum(first + 1, n_keys - 1)] = place - first
    weights[frames, first] = 1 - (place - first)
    return weights


def interpolation(n_cells: int, n_given: int) -> NDArray[np.float64]:
    """Return weights of a linear interpolation in space; float64 [n_cells, n_given].

    Both are the middles of equal spans; at the ends the nearest value is held.
    """
    position = np.clip((np.arange(n_cells) + 0.5) * n_given / n_cells - 0.5, 0, n_given - 1)
    weights: NDArray[np.float64] = np.maximum(
        0.0, 1 - np.abs(position[:, None] - np.arange(n_given))
    )
    return weights


def distances(shots: Shots, keys: Keys) -> NDArray[np.float64]:
    """Return how far frames are from the keys of `sides`, in mean distances of a shot's keys.

    Returns:
        float64 [2, sum(shots)]: of the first key that a frame takes, and of the second one, 0
        where there is none; negative before a key.
    """
    parts = []
    for n_frames, n_keys in zip(shots, keys, strict=True):
        at, frames = key_frames(n_frames, n_keys), np.arange(n_frames)
        first = np.clip(np.searchsorted(at, frames, side="right") - 1, 0, n_keys - 1)
        second = np.minimum(first + 1, n_keys - 1)
        is_between = (frames > at[first]) & (second > first)
        far = np.stack([frames - at[first], np.where(is_between, frames - at[second], 0)])
        parts.append(far * (n_keys / n_frames))
    return np.concatenate(parts, axis=1)


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
