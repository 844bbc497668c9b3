"""The integer network in torch (nvpp-format.md section 5): the same samples on every device."""

from __future__ import annotations

from collections.abc import Sequence

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
from nervcodec.nn.grid_maps import GridMaps, lerp, rounded_shift
from nervcodec.nn.integer_network import IntegerNetwork, resizing


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
        self._maps = GridMaps(integers, device)

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
                x = torch.cat([x, self._maps(number, frames)], dim=1)
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
            x = self._maps(0, frames)
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
        values = lerp(
            values.index_select(axis, first),
            values.index_select(axis, second),
            weight.int().view(shape),
        )
    return rounded_shift(values, 2 * LERP_BITS).float().permute(0, 3, 1, 2)
