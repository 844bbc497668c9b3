"""The integer network in torch (nvpp-format.md section 5): the same samples on every device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format.model_config import MlpStem
from nervcodec.nn.exact_layers import ExactLayer
from nervcodec.nn.fixed_point import (
    LERP_BITS,
    LIMIT,
    gelu_table,
    sample_limit,
    sample_table,
    silu_table,
)
from nervcodec.nn.integer_network import IntegerNetwork, level_scale, resizing, resizing_matrix

_ONE = 1 << LERP_BITS


class ExactNetwork:
    """Decodes frames of a segment, on any device.

    Args:
        integers: of the segment.
        device: where.
        by_products: whether convolutions are sums of matrix products; None for where a library
            may choose an algorithm that is not exact, on a GPU.
        watches: whether to look for values that are clipped, which takes a pass over each map.

    Attributes:
        is_clipped: whether one was seen.
    """

    def __init__(
        self,
        integers: IntegerNetwork,
        device: torch.device,
        by_products: bool | None = None,
        watches: bool = False,
    ) -> None:
        self._watches = watches
        self.is_clipped = watches and integers.is_clipped
        self.model = integers.model
        self._integers = integers
        self._device = device
        is_split = device.type != "cpu" if by_products is None else by_products
        self._layers = {
            name: ExactLayer(layer, device, is_split, name.endswith(".dw"), self._stride_of(name))
            for name, layer in integers.layers.items()
        }
        bits = integers.fraction_bits
        self._gelu = _table(gelu_table(bits), device)
        self._silu = _table(silu_table(bits), device)
        self._samples = _samples(self.model.bit_depth, device)
        # Rows of channels, so that a place of a key is one row.
        self._grids = [
            torch.from_numpy(grid.transpose(0, 2, 3, 1).astype(np.int32)).contiguous().to(device)
            for grid in integers.grids
        ]

    def _stride_of(self, name: str) -> int:
        is_upsampling = name.endswith(".ub")
        number = int(name.removeprefix("block").split(".")[0]) if is_upsampling else 0
        return self.model.blocks[number - 1].stride if is_upsampling else 1

    def __call__(self, frames: Sequence[int]) -> Tensor:
        """Return the samples of frames' planes.

        Args:
            frames: their numbers in the segment.
        Returns:
            uint8 of 8-bit frames, else int16, [n, n_planes, plane_height, plane_width].
        """
        model = self.model
        x = self._stem(frames)
        for number, block in enumerate(model.blocks, 1):
            x = self._block(f"block{number}", x, block.stride)
            if model.grid_channels(number):
                x = torch.cat([x, *self._maps(number, frames)], dim=1)
                x = x.contiguous(memory_format=torch.channels_last)
        y = self._layers["head.conv"](x)[:, :, : model.plane_height, : model.plane_width]
        return _looked_up(y.permute(0, 2, 3, 1), self._samples).permute(0, 3, 1, 2)

    def _stem(self, frames: Sequence[int]) -> Tensor:
        model = self.model
        if isinstance(model.stem, MlpStem):
            x = torch.from_numpy(self._integers.encoding(frames)).float().to(self._device)
            for name in ("stem.linear1", "stem.linear2"):
                x = self._looked_up(self._layers[name](x), self._silu)
            x = x.view(-1, model.stem.channels, model.stem.height, model.stem.width)
        else:
            x = torch.cat(self._maps(0, frames), dim=1)
        return x.contiguous(memory_format=torch.channels_last)

    def _block(self, name: str, x: Tensor, stride: int) -> Tensor:
        parts = self.model.parts
        if "pw" in parts:
            x = start = self._clipped(self._layers[f"{name}.pw"](x))
        if "scrb1" in parts:
            x = self._scrb(f"{name}.scrb1", x)
        y = self._layers[f"{name}.ub"](x).permute(0, 2, 3, 1)
        batch, height, width, _ = y.shape
        y = y.view(batch, height, width, stride, stride, -1).transpose(2, 3)
        y = y.reshape(batch, height * stride, width * stride, -1)
        x = self._looked_up(y, self._silu).permute(0, 3, 1, 2)
        if "scrb2" in parts:
            x = self._scrb(f"{name}.scrb2", x)
        if "skip" in parts:
            x = self._clipped(x.add_(_upsampled(start, stride)))
        return x

    def _scrb(self, name: str, x: Tensor) -> Tensor:
        y = self._layers[f"{name}.pw1"](self._clipped(self._layers[f"{name}.dw"](x)))
        y = self._looked_up(y.permute(0, 2, 3, 1), self._gelu).permute(0, 3, 1, 2)
        return self._clipped(self._layers[f"{name}.pw2"](y).add_(x))

    def _clipped(self, x: Tensor) -> Tensor:
        """Return a map within the limit; changes it."""
        self._watch(x)
        return x.clamp_(-LIMIT, LIMIT)

    def _looked_up(self, x: Tensor, table: Tensor) -> Tensor:
        """Return an activation of a map by its table; changes the map."""
        self._watch(x)
        return _looked_up(x, table)

    def _watch(self, x: Tensor) -> None:
        if self._watches and not self.is_clipped:
            least, most = torch.aminmax(x)
            self.is_clipped = max(-float(least), float(most)) > LIMIT

    # --- grids ---

    def _maps(self, level: int, frames: Sequence[int]) -> list[Tensor]:
        """Return the grids of a level in frames, float32 [n, C, h, w] each."""
        numbers = [i for i, grid in enumerate(self.model.grids) if grid.level == level]
        places = self._places(level, frames) if level and self.model.motion else None
        return [self._map(i, frames, places) for i in numbers]

    def _map(self, number: int, frames: Sequence[int], places: list[_Places] | None) -> Tensor:
        blend = self._integers.blend(number, frames)
        keys = self._grids[number]
        taken = [torch.from_numpy(each).to(self._device) for each in (blend.first, blend.second)]
        first, second = (
            keys[each] if places is None else _moved(keys, each, places[side])
            for side, each in enumerate(taken)
        )
        weight = torch.from_numpy(blend.weight.astype(np.int32)).to(self._device)
        value = first * _ONE + weight.view(-1, 1, 1, 1) * (second - first)
        return _rounded_shift(value, LERP_BITS).float().permute(0, 3, 1, 2)

    def _places(self, level: int, frames: Sequence[int]) -> list[_Places]:
        """Return where cells of a level lie in the first and in the second key of each frame."""
        model = self.model
        height, width = model.cells(level)
        moves = self._integers.moves(frames)
        rows, columns = (
            torch.from_numpy(resizing_matrix(n, given).astype(np.float64)).to(self._device)
            for n, given in zip((height, width), moves.shape[-2:])
        )
        # Exact in float64: below 2^36.
        resized = (rows @ torch.from_numpy(moves).to(self._device, torch.float64)) @ columns.T
        by = (resized * 2.0 ** (-2 * LERP_BITS) + 0.5).floor_().to(torch.int32)
        up_to, of_all = level_scale(model, level)
        if up_to != of_all:
            by = ((2 * up_to * by.long() + of_all) // (2 * of_all)).int()
        return [
            _Places(_positions(side[:, 1], height, 0), _positions(side[:, 0], width, 1))
            for side in by
        ]


@dataclass(frozen=True)
class _Places:
    """Rows and columns in 256ths of a cell, int32 [n, h, w], within the map."""

    y: Tensor
    x: Tensor


def _positions(by: Tensor, n_cells: int, axis: int) -> Tensor:
    """Return the places along an axis of cells that are moved, int32 [n, h, w]."""
    at = _ONE * torch.arange(n_cells, dtype=torch.int32, device=by.device)
    return (by + (at.view(-1, 1) if axis == 0 else at)).clamp_(0, _ONE * (n_cells - 1))


def _moved(keys: Tensor, taken: Tensor, places: _Places) -> Tensor:
    """Return keys as frames see them, int32 [n, h, w, C].

    Args:
        keys: int32 [K, h, w, C].
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
        _lerp(_rows(flat, start), _rows(flat, start + right), b) for start in (corner, below)
    )
    a = (places.y & _ONE - 1).unsqueeze(-1)
    return _rounded_shift(_lerp(above, under, a), 2 * LERP_BITS)


def _rows(flat: Tensor, index: Tensor) -> Tensor:
    """Return rows of [n, C] at an index [..], as [.., C]."""
    return flat.index_select(0, index.flatten()).view(*index.shape, flat.shape[1])


def _lerp(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Return (256 - weight) first + weight second; the same integer type."""
    return first * _ONE + weight * (second - first)


def _rounded_shift(values: Tensor, bits: int) -> Tensor:
    return (values + (1 << bits - 1)) >> bits


# --- maps ---


def _table(values: NDArray[np.int32], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)


def _samples(bit_depth: int, device: torch.device) -> Tensor:
    """Return the samples' table, uint8 of 8-bit frames, else int16."""
    values = sample_table(bit_depth).astype(np.uint8 if bit_depth == 8 else np.int16)
    assert len(values) == 2 * sample_limit(bit_depth) + 1
    return torch.from_numpy(values).to(device)


def _looked_up(values: Tensor, table: Tensor) -> Tensor:
    """Return the table's entries at integers in float32, 0 being its middle; changes them."""
    limit = len(table) // 2
    index = values.clamp_(-limit, limit).add_(limit).to(torch.int32)
    return table.index_select(0, index.reshape(-1)).view(index.shape)


def _upsampled(x: Tensor, stride: int) -> Tensor:
    """Return a map resized by a stride, rounded (section 5.8), float32 [B, C, h s, w s]."""
    if stride & (stride - 1) == 0 and stride <= 16:
        # Weights are multiples of 1 / (2 s), so that the sums of these too are exact.
        scaled = F.interpolate(
            x + 0.5, scale_factor=float(stride), mode="bilinear", align_corners=False
        )
        return scaled.floor_()
    values = x.permute(0, 2, 3, 1).int()
    for axis in (1, 2):
        n = values.shape[axis]
        first, second, weight = (
            torch.from_numpy(each).to(x.device) for each in resizing(stride * n, n)
        )
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        values = _lerp(
            values.index_select(axis, first),
            values.index_select(axis, second),
            weight.int().view(shape),
        )
    return _rounded_shift(values, 2 * LERP_BITS).float().permute(0, 3, 1, 2)
