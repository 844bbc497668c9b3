"""Layers of the integer network in NumPy, on maps with a border (nvpp-format.md sections 5.2 and
5.8).

A map is an array [C, h + 2, w + 2] whose first and last rows and columns are a border of zeros. Its
cells, row after row, are a line in which every neighbour of a cell stands at a fixed distance, so
that a convolution takes slices of the line and copies nothing into place. A band, some rows of a
map, is worked on through all layers of a part before the next one, while it is in the cache.

Integers stand in float32 where all sums of a layer are below 2^24, else in float64: both are exact
in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nervcodec.nn.fixed_point import LERP_BITS, LIMIT, IntegerLayer
from nervcodec.nn.integer_network import resizing

Map = NDArray[np.float32]
Values = NDArray[Any]  # float32, or float64 where a layer's sums need it
_BAND_CELLS = 4096
_ONE = 1 << LERP_BITS


def new_map(channels: int, height: int, width: int) -> Map:
    """Return a map of unknown cells and a border of zeros."""
    made = np.empty((channels, height + 2, width + 2), np.float32)
    clear_border(made)
    return made


def cells(x: Map) -> Map:
    """Return what of a map [C, h + 2, w + 2] is not border, a view [C, h, w]."""
    return x[:, 1:-1, 1:-1]


def clear_border(x: Map) -> None:
    """Set the border of a map to zero."""
    x[:, 0] = x[:, -1] = 0
    x[:, :, 0] = x[:, :, -1] = 0


def bands(x: Map) -> Iterator[tuple[int, int]]:
    """Yield (first row, row after the last) of each band of a map, border not counted."""
    height, pitch = x.shape[1] - 2, x.shape[2]
    n_rows = max(1, _BAND_CELLS // pitch)
    for first in range(0, height, n_rows):
        yield first, min(first + n_rows, height)


class Layer:
    """A convolution or a linear layer.

    Args:
        layer: its integers. Weights are scaled, so that sums need no shift but the floor.
    """

    def __init__(self, layer: IntegerLayer) -> None:
        dtype = np.float32 if layer.is_narrow else np.float64
        weight, self.bias = (
            np.ldexp(values.astype(np.float64), -layer.shift).astype(dtype)
            for values in (layer.weight, layer.bias)
        )
        self.n_outputs = len(weight)
        self._dtype = dtype
        if weight.ndim == 2:
            self._matrix = weight
            return
        self.bias = self.bias[:, None]
        by_place = np.moveaxis(weight, 1, 3)  # [out, k, k, in]
        self._sums_after = weight.shape[0] < weight.shape[1]
        if self._sums_after:
            by_place = np.moveaxis(by_place, 0, 2)  # [k, k, out, in]
            self._matrix = np.ascontiguousarray(by_place.reshape(-1, weight.shape[1]))
        else:
            self._matrix = np.ascontiguousarray(by_place.reshape(len(weight), -1))

    def linear(self, x: Values) -> Values:
        """Return the shifted sums of values [in], as [out]."""
        made: Values = np.floor(self._matrix @ x.astype(self._dtype) + self.bias)
        return made

    def pointwise(self, line: Values) -> Values:
        """Return the shifted sums of a 1 x 1 kernel at cells [in, n], as [out, n]."""
        return self._shifted(self._matrix @ self._typed(line))

    def depthwise(self, line: Values, pitch: int) -> Values:
        """Return the shifted sums of a 3 x 3 kernel for each channel by itself.

        Args:
            line: some rows of a map and those around them, [C, (rows + 2) * pitch].
            pitch: cells from one row to the next.
        Returns:
            [C, rows * pitch - 2]: all cells from the first row's to the last one's, those of the
            border between them too.
        """
        line = self._typed(line)
        total = part = None
        for number, shifted in enumerate(_neighbours(line, pitch)):
            weight = self._matrix[:, number : number + 1]
            if total is None:
                total = shifted * weight
                part = np.empty_like(total)
            else:
                total += np.multiply(shifted, weight, out=part)
        assert total is not None
        return self._shifted(total)

    def convolution(self, line: Values, pitch: int) -> Values:
        """Return the shifted sums of a 3 x 3 kernel; else as depthwise."""
        line = self._typed(line)
        if self._sums_after:
            return self._shifted(self._sum_of_products(self._matrix @ line, pitch))
        gathered = np.concatenate(list(_neighbours(line, pitch)))
        return self._shifted(self._matrix @ gathered)

    def _sum_of_products(self, products: Values, pitch: int) -> Values:
        n = self.n_outputs
        parts = _neighbours(products, pitch)
        total = next(parts)[:n].copy()
        for number, part in enumerate(parts, 1):
            total += part[number * n : (number + 1) * n]
        return total

    def _typed(self, values: Values) -> Values:
        return values.astype(self._dtype, copy=False)

    def _shifted(self, sums: Values) -> Values:
        sums += self.bias
        return np.floor(sums, out=sums)


def _neighbours(line: Values, pitch: int) -> Iterator[Values]:
    """Yield the cells at each place of a 3 x 3 kernel, [C, rows * pitch - 2] each."""
    n = line.shape[1] - 2 * pitch - 2
    for start in (0, pitch, 2 * pitch):
        for at in range(start, start + 3):
            yield line[:, at : at + n]


def rows_of(line: NDArray[Any], pitch: int) -> NDArray[Any]:
    """Return cells [C, rows * pitch - 2] as [C, rows, pitch - 2], those of the border left out."""
    n_rows = (line.shape[1] + 2) // pitch
    strides = line.strides[0], pitch * line.itemsize, line.itemsize
    return np.lib.stride_tricks.as_strided(line, (len(line), n_rows, pitch - 2), strides)


class Table:
    """A function of integers, given by its values from -limit to limit.

    Args:
        values: [2 * limit + 1].
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self._limit = len(values) // 2

    def __call__(self, places: Values) -> NDArray[Any]:
        """Return the values at integers in floats, clipped to the table; changes the integers."""
        places += self._limit
        return self._values.take(places.astype(np.intp), mode="clip")


def clip(values: Values) -> Values:
    """Return values within +-LIMIT, in place."""
    return np.clip(values, -LIMIT, LIMIT, out=values)


def add_resized(x: Map, start: Map, stride: int) -> None:
    """Add to a map another one resized by a stride and rounded (section 5.8).

    Args:
        x: [C, h s + 2, w s + 2].
        start: [C, h + 2, w + 2]; its border is set to the cells next to it.
    """
    to_all = cells(x)
    if stride == 1:
        to_all += cells(start)
        return
    start[:, 0], start[:, -1] = start[:, 1], start[:, -2]
    start[:, :, 0], start[:, :, -1] = start[:, :, 1], start[:, :, -2]
    # Weights are multiples of 1 / (2 s), so that the sums of these are exact in float32.
    is_narrow = stride & (stride - 1) == 0 and stride <= 16
    source = start if is_narrow else start.astype(np.float64)
    phases = _phases(stride)
    across = [_between(source, 2, *phase) for phase in phases]
    for i, phase in enumerate(phases):
        for j, columns in enumerate(across):
            value = _between(columns, 1, *phase)
            value += 0.5
            to_all[:, i::stride, j::stride] += np.floor(value, out=value)


def _phases(stride: int) -> list[tuple[int, float]]:
    """Return of each phase of resized cells how far before a cell it begins, and its weight."""
    first, _, weight = resizing(3 * stride, 3)
    middle = slice(stride, 2 * stride)
    return [(int(at), int(w) / _ONE) for at, w in zip(first[middle], weight[middle], strict=True)]


def _between(x: Values, axis: int, start: int, weight: float) -> Values:
    """Return x at cells start.. and the ones after them, in proportion, without its border."""
    n = x.shape[axis] - 2
    before, after = (x[(slice(None),) * axis + (slice(at, at + n),)] for at in (start, start + 1))
    made: Values = after - before
    made *= weight
    made += before
    return made
