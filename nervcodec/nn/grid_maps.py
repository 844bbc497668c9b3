"""What frames take of a segment's grids, in torch (nvpp-format.md sections 5.5 to 5.7).

Decoding in float32 takes the integers' places, too: others would set it furthest off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
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

    def __call__(self, level: int, frames: Sequence[int]) -> Tensor:
        """Return the grids of a level, which has some, in frames.

        Returns:
            float32 [n, C, h, w], integers in exact arithmetic.
        """
        numbers = [i for i, grid in enumerate(self._model.grids) if grid.level == level]
        places = self._places(level, frames) if level and self._model.motion else None
        return torch.cat([self._map(i, frames, places) for i in numbers], dim=1)

    def _map(self, number: int, frames: Sequence[int], places: list[_Places] | None) -> Tensor:
        blend = self._integers.blend(number, frames)
        keys = self._grids[number]
        first, second = (
            keys[taken] if places is None else self._moved(keys, taken, places[side])
            for side, taken in enumerate(map(self._on_device, (blend.first, blend.second)))
        )
        return self._blended(first, second, self._on_device(blend.weight).view(-1, 1, 1, 1))

    def _on_device(self, values: Integers) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    def _keys(self, grid: Tensor) -> Tensor:
        """Return a grid's keys as rows of channels, int32 [K, h, w, C]: a place is one row."""
        return grid.permute(0, 2, 3, 1).int().contiguous()

    def _moved(self, keys: Tensor, taken: Tensor, places: _Places) -> Tensor:
        """Return keys as frames see them, int32 [n, h, w, C].

        Args:
            taken: the key of each frame, int64 [n].
            places: of the cells, in the keys.
        """
        n_keys, height, width, channels = keys.shape
        flat = keys.view(-1, channels)
        row, column = places.y >> LERP_BITS, places.x >> LERP_BITS
        down = (row + 1).clamp_(max=height - 1) - row
        right = (column + 1).clamp_(max=width - 1) - column
        corner = (row * width + column).long() + (taken * (height * width)).view(-1, 1, 1)
        below = corner + down * width
        b = (places.x & _ONE - 1).unsqueeze(-1)
        above, under = (
            lerp(_rows(flat, start), _rows(flat, start + right), b) for start in (corner, below)
        )
        a = (places.y & _ONE - 1).unsqueeze(-1)
        return rounded_shift(lerp(above, under, a), 2 * LERP_BITS)

    def _blended(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        """Return what frames take of two keys, float32 [n, C, h, w].

        Args:
            weight: of the second one in 256ths, int64 [n, 1, 1, 1].
        """
        value = rounded_shift(lerp(first, second, weight.int()), LERP_BITS)
        return value.float().permute(0, 3, 1, 2)

    def _places(self, level: int, frames: Sequence[int]) -> list[_Places]:
        """Return where cells of a level lie in the first and in the second key of each frame."""
        model = self._model
        height, width = model.cells(level)
        moves = self._integers.moves(frames)
        rows, columns = (
            torch.from_numpy(resizing_matrix(n, given).astype(np.float64)).to(self._device)
            for n, given in zip((height, width), moves.shape[-2:])
        )
        # Exact in float64: below 2^36, and quotients of two integers are no nearer to the next one
        # than the inverse of their divisor.
        by = (rows @ torch.from_numpy(moves).to(self._device, torch.float64)) @ columns.T
        by.mul_(2.0 ** (-2 * LERP_BITS)).add_(0.5).floor_()
        up_to, of_all = level_scale(model, level)
        if up_to != of_all:
            by.mul_(2 * up_to).add_(of_all).div_(2 * of_all).floor_()
        by = by.int()
        return [
            _Places(_positions(side[:, 1], height, 0), _positions(side[:, 0], width, 1))
            for side in by
        ]


class FloatGridMaps(GridMaps):
    """The same to a unit, in half of the time: taken and blended in float32 at the same
    places with the same weights, and not rounded.
    """

    def _keys(self, grid: Tensor) -> Tensor:
        """Return a grid's keys, float32 [K, C, h, w]."""
        return grid.float()

    def _moved(self, keys: Tensor, taken: Tensor, places: _Places) -> Tensor:
        height, width = keys.shape[2:]
        x, y = ((2 / _ONE * at + 1) / n - 1 for at, n in ((places.x, width), (places.y, height)))
        at = torch.stack([x, y], dim=-1)
        return F.grid_sample(keys[taken], at, padding_mode="border", align_corners=False)

    def _blended(self, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
        return torch.lerp(first, second, weight / _ONE)


@dataclass(frozen=True)
class _Places:
    """Rows and columns in 256ths of a cell, int32 [n, h, w], within the map."""

    y: Tensor
    x: Tensor


def _positions(by: Tensor, n_cells: int, axis: int) -> Tensor:
    """Return the places along an axis of cells that are moved, int32 [n, h, w]."""
    at = _ONE * torch.arange(n_cells, dtype=torch.int32, device=by.device)
    return (by + (at.view(-1, 1) if axis == 0 else at)).clamp_(0, _ONE * (n_cells - 1))


def _rows(flat: Tensor, index: Tensor) -> Tensor:
    """Return rows of [n, C] at an index [..], as [.., C]."""
    return flat.index_select(0, index.flatten()).view(*index.shape, flat.shape[1])


def lerp(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Return (256 - weight) first + weight second; the same integer type."""
    return first * _ONE + weight * (second - first)


def rounded_shift(values: Tensor, bits: int) -> Tensor:
    """Return integers over 2^bits, rounded, halves up; the same integer type."""
    return (values + (1 << bits - 1)) >> bits
