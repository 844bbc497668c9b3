"""Layers of the integer network in torch, and whether a device computes them exactly
(nvpp-format.md section 5.2).

Integers stand in float32, whose sums are exact below 2^24 in any order. Where a layer's sums may be
larger, its input is split in two and each part multiplied by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.errors import DeviceError
from nervcodec.nn.fixed_point import LIMIT, IntegerLayer, integer_layer

_LOW_BITS = 7  # of a value that is split in two
Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class ExactLayer:
    """A layer on a device: takes a map of integers, gives one, both float32.

    Weights are scaled, so that sums need no shift but the floor.

    Args:
        layer: its integers.
        device: where.
        by_products: whether convolutions are sums of matrix products.
        is_depthwise: whether each channel is convolved by itself.
        stride: of the pixel shuffle that follows: outputs are ordered so that it moves whole
            pixels.
    """

    def __init__(
        self,
        layer: IntegerLayer,
        device: torch.device,
        by_products: bool,
        is_depthwise: bool = False,
        stride: int = 1,
    ) -> None:
        weight, bias, shift = layer.weight, layer.bias, layer.shift
        if stride > 1:
            weight, bias = (_reordered(each, stride) for each in (weight, bias))
        self._product = _product_of(weight.ndim, is_depthwise, by_products)
        self._shift = shift
        self._is_narrow = layer.is_narrow

        def tensor(values: NDArray[np.int64], bits: int) -> Tensor:
            scaled = torch.from_numpy(np.ldexp(values.astype(np.float32), -bits)).to(device)
            is_map = scaled.dim() == 4
            return scaled.contiguous(memory_format=torch.channels_last) if is_map else scaled

        if layer.is_narrow:
            self._parts = [(tensor(weight, shift), tensor(bias, shift))]
            return
        low = self._low_shift = min(shift, _LOW_BITS)
        rest = shift - low
        # floor((high 2^7 + low) / 2^shift) = floor((high 2^(7 - l) + floor(low / 2^l)) / 2^rest)
        self._rest_scale = 2.0**-rest
        high_bits = rest - (_LOW_BITS - low)
        self._parts = [
            (tensor(weight, low), tensor(bias & (1 << _LOW_BITS) - 1, low)),
            (tensor(weight, high_bits), tensor(bias >> _LOW_BITS, high_bits)),
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the shifted sums of a map, [B, out, h, w] or [B, out]."""
        if self._is_narrow:
            return self._product(x, *self._parts[0]).floor_()
        high = (x * 2.0**-_LOW_BITS).floor_()
        low = torch.add(x, high, alpha=-(2.0**_LOW_BITS))
        lower = self._product(low, *self._parts[0]).floor_()
        sums = self._product(high, *self._parts[1])
        return sums.add_(lower, alpha=self._rest_scale).floor_()


def _reordered(values: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
    """Return outputs [C s s, ..] as [s s C, ..]."""
    return np.swapaxes(values.reshape(-1, stride**2, *values.shape[1:]), 0, 1).reshape(values.shape)


def _product_of(n_axes: int, is_depthwise: bool, by_products: bool) -> Product:
    """Return what multiplies a map with weights and adds a bias."""
    if n_axes == 2:
        return F.linear
    if by_products:
        return depthwise_by_products if is_depthwise else convolution_by_products
    return _depthwise if is_depthwise else _convolution


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def _depthwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1])


def convolution_by_products(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return a convolution to the same size as a sum of matrix products, [B, out, h, w]."""
    made = _sum_of_shifts(x, weight, lambda part, each: part @ each.T)
    return made if bias is None else made.add_(bias.view(-1, 1, 1))


def depthwise_by_products(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return a convolution of each channel by itself as a sum of products, [B, C, h, w]."""
    made = _sum_of_shifts(x, weight, lambda part, each: part * each.squeeze(1))
    return made if bias is None else made.add_(bias.view(-1, 1, 1))


def _sum_of_shifts(
    x: Tensor, weight: Tensor, product: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return the sum over the places of a kernel [out, in, k, k] of what a product gives."""
    kernel = weight.shape[-1]
    edge = kernel // 2
    height, width = x.shape[2:]
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, edge, edge, edge, edge))
    parts = (
        product(padded[:, i : i + height, j : j + width], weight[:, :, i, j])
        for i in range(kernel)
        for j in range(kernel)
    )
    total = next(parts)
    for part in parts:
        total += part
    return total.permute(0, 3, 1, 2)


# --- self-test ---


@lru_cache(maxsize=8)
def check_device(device: str) -> None:
    """Compare products on a device with integers, once in a process.

    Raises:
        DeviceError: float32 sums below 2^24 are not exact there.
    """
    rng = np.random.default_rng(0)
    where = torch.device(device)
    for out, inputs, kernel in ((64, 16, 3), (6, 17, 3), (16, 16, 1)):
        x = rng.integers(-LIMIT, LIMIT + 1, (1, inputs, 9, 14))
        weight = rng.integers(-(1 << 21), 1 << 21, (out, inputs, kernel, kernel))
        for is_head in (False, True):
            layer = integer_layer(weight, None, 9, 11 if is_head else None)
            found = ExactLayer(layer, where, by_products=where.type != "cpu")(
                torch.from_numpy(x).float().to(where)
            )
            expected = expected_sums(x, layer)
            if not np.array_equal(found.cpu().numpy().astype(np.int64), expected):
                raise DeviceError(
                    f"device {device}: its float32 sums are not exact, as decoding needs them;"
                    " another --device or --engine numpy decodes, --fast near enough"
                )


def expected_sums(x: NDArray[np.int64], layer: IntegerLayer) -> NDArray[np.int64]:
    """Return what a layer gives, in int64."""
    kernel = layer.weight.shape[-1]
    edge = kernel // 2
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    total = np.zeros((1, len(layer.weight), height, width), np.int64)
    for i in range(kernel):
        for j in range(kernel):
            part = padded[:, :, i : i + height, j : j + width]
            total += np.einsum("oc,bchw->bohw", layer.weight[:, :, i, j], part)
    total += layer.bias[:, None, None]
    return total >> layer.shift if layer.shift > 0 else total << -layer.shift
