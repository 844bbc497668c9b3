"""What frames take of a segment's grids, in torch (nvpp-format.md sections 5.5 to 5.7).

Decoding in float32 takes the integers' places, too: others would set it furthest off.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.nn.fixed_point import LERP_BITS, Integers
from nervcodec.nn.integer_network import IntegerNetwork, level_scale, resizing_matrix

_ONE = 1 << LERP_BITS


class GridMaps:
    """The grids of a segment as its frames see them.

    Args:
        integers: of the segment.
        device: where.
    """

    def __init__(self, integers: IntegerNetwork, device: torch.device) -> None:
        self._model = integers.model
        self._integers = integers
        self._device = device
        self._grids = [self._keys(torch.from_numpy(grid)).to(device) for grid in integers.grids]
        # Of the frames that were asked for last: all levels need the same.
        self._moves: tuple[tuple[int, ...], Tensor] = ((), torch.empty(0))
        # Resizing of a motion field to the cells of a level, as products along rows and columns.
        self._between = {
            level: [
                self._on_device(resizing_matrix(n, given).astype(np.float64))
                for n, given in zip(self._model.cells(level), self._model.motion)
            ]
            for level in {grid.level for grid in self._model.grids if grid.level}
            if self._model.motion
        }

    def __call__(self, level: int, frames: Sequence[int]) -> Tensor:
        """Return the grids of a level, which has some, in frames.

        Returns:
            float32 [n, C, h, w], integers, which stand for as many units of 2^-fraction_bits.
        """
        numbers = [i for i, grid in enumerate(self._model.grids) if grid.level == level]
        by = self._displacements(level, frames) if level and self._model.motion else None
        maps = [self._map(i, frames, by) for i in numbers]
        return torch.cat(maps, dim=1) if len(maps) > 1 else maps[0]

    def _map(self, number: int, frames: Sequence[int], by: Tensor | None) -> Tensor:
        blend, keys = self._integers.blend(number, frames), self._grids[number]

        def taken(side: int, numbers: Integers) -> Tensor:
            index = self._on_device(numbers)
            return keys[index] if by is None else self._moved(keys, index, by[side])

        value = taken(0, blend.first)
        if blend.weight.any():
            weight = self._on_device(blend.weight).view(-1, 1, 1, 1)
            value = self._blended(value, taken(1, blend.second), weight)
        return self._as_map(value)

    def _on_device(self, values: Integers | NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    def _keys(self, grid: Tensor) -> Tensor:
        """Return a grid's keys as rows of channels, int32 [K, h, w, C]: a place is one row."""
        return grid.permute(0, 2, 3, 1).int().contiguous()

    def _moved(self, keys: Tensor, taken: Tensor, by: Tensor) -> Tensor:
        """Return keys as frames see them, int32 [n, h, w, C].

        Args:
            taken: the key of each frame, int64 [n].
            by: how far cells are moved, one side of _displacements.
        """
        n_keys, height, width, channels = keys.shape
        flat = keys.view(-1, channels)
        x, y = _places(by[:, 0].int(), width, 1), _places(by[:, 1].int(), height, 0)
        row, column = y >> LERP_BITS, x >> LERP_BITS
        down = (row + 1).clamp_(max=height - 1) - row
        right = (column + 1).clamp_(max=width - 1) - column
        corner = (row * width + column).long() + (taken * (height * width)).view(-1, 1, 1)
        below = corner + down * width
        b = (x & _ONE - 1).unsqueeze(-1)
        above, under = (
            lerp(_rows(flat, start), _rows(flat, start + right), b) for start in (corner, below)
        )
        a = (y & _ONE - 1).unsqueeze(-1)
        return rounded_shift(lerp(above, under, a), 2 * LERP_BITS)

    def _blended(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        """Return what frames take of two keys.

        Args:
            weight: of the second one in 256ths, int64 [n, 1, 1, 1].
        """
        return rounded_shift(lerp(first, second, weight.int()), LERP_BITS)

    def _as_map(self, value: Tensor) -> Tensor:
        """Return what frames take of a grid as float32 [n, C, h, w]."""
        return value.float().permute(0, 3, 1, 2)

    def _displacements(self, level: int, frames: Sequence[int]) -> Tensor:
        """Return how far cells of a level are moved in the keys that frames take.

        Returns:
            float64 [2, n, 2, h, w], integers, in 256ths of a cell: in the first and in the second
            key, along rows, then down columns.
        """
        rows, columns = self._between[level]
        if self._moves[0] != tuple(frames):
            moves = self._on_device(self._integers.moves(frames)).double()
            self._moves = tuple(frames), moves
        # Exact in float64: below 2^36, and quotients of two integers are no nearer to the next one
        # than the inverse of their divisor.
        by = rows @ self._moves[1] @ columns.T
        by.mul_(2.0 ** (-2 * LERP_BITS)).add_(0.5).floor_()
        up_to, of_all = level_scale(self._model, level)
        if up_to != of_all:
            by.mul_(2 * up_to).add_(of_all).div_(2 * of_all).floor_()
        return by


class FloatGridMaps(GridMaps):
    """What the integers stand for, in half of the time: taken, blended and rounded in float32, by
    which a few values are a unit off.
    """

    def _keys(self, grid: Tensor) -> Tensor:
        """Return a grid's keys, float32 [K, C, h, w]."""
        return grid.float()

    def _moved(self, keys: Tensor, taken: Tensor, by: Tensor) -> Tensor:
        height, width = keys.shape[2:]
        x, y = _coordinates(by[:, 0].float(), width, 1), _coordinates(by[:, 1].float(), height, 0)
        at = torch.stack([x, y]).permute(1, 2, 3, 0)  # twice as fast as side by side
        value = F.grid_sample(keys[taken], at, padding_mode="border", align_corners=False)
        return value.add_(0.5).floor_()

    def _blended(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        return torch.lerp(first, second, weight / _ONE).add_(0.5).floor_()

    def _as_map(self, value: Tensor) -> Tensor:
        return value.mul_(2.0**-self._integers.fraction_bits)


def _places(by: Tensor, n_cells: int, axis: int) -> Tensor:
    """Return the places along an axis of cells that are moved, within the map.

    Args:
        by: int32 [n, h, w], in 256ths of a cell; places are the same.
    """
    at = _ONE * torch.arange(n_cells, dtype=torch.int32, device=by.device)
    return (by + (at.view(-1, 1) if axis == 0 else at)).clamp_(0, _ONE * (n_cells - 1))


def _coordinates(by: Tensor, n_cells: int, axis: int) -> Tensor:
    """Return the same as F.grid_sample takes them, float32, -1 to 1 from edge to edge."""
    at = (2 * torch.arange(n_cells, device=by.device) + 1) / n_cells - 1
    return torch.add(at.view(-1, 1) if axis == 0 else at, by, alpha=2 / (_ONE * n_cells))


def _rows(flat: Tensor, index: Tensor) -> Tensor:
    """Return rows of [n, C] at an index [..], as [.., C]."""
    return flat.index_select(0, index.flatten()).view(*index.shape, flat.shape[1])


def lerp(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Return (256 - weight) first + weight second; the same integer type."""
    return first * _ONE + weight * (second - first)


def rounded_shift(values: Tensor, bits: int) -> Tensor:
    """Return integers over 2^bits, rounded, halves up; the same integer type."""
    return (values + (1 << bits - 1)) >> bits
