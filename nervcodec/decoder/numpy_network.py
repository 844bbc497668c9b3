"""The integer network in NumPy (nvpp-format.md section 5): the same samples as nn.exact_network
gives, where there is no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nervcodec.decoder.numpy_layers import (
    Layer,
    Map,
    Table,
    add_resized,
    bands,
    cells,
    clear_border,
    clip,
    new_map,
    rows_of,
)
from nervcodec.format import costs
from nervcodec.format.model_config import MlpStem, ModelConfig, Shots
from nervcodec.nn.fixed_point import (
    LERP_BITS,
    LIMIT,
    gelu_table,
    rounded_shift,
    sample_table,
    silu_table,
)
from nervcodec.nn.integer_network import IntegerNetwork, level_scale, resizing_matrix
from nervcodec.nn.planes import unpack
from nervcodec.util.memory import available_bytes
from nervcodec.util.prefetch import in_threads
from nervcodec.video.frames import Frames

_ONE = 1 << LERP_BITS
Ints = NDArray[np.int32]
Samples = NDArray[np.uint8 | np.uint16]


def reconstruct(
    parameters: NDArray[np.floating],
    model: ModelConfig,
    numbers: range,
    shots: Shots,
    fraction_bits: int,
    n_threads: int,
) -> Iterator[Frames]:
    """Yield the numbered frames of a segment, in the model's colorspace, one at a time.

    Args:
        parameters: [n_parameters], of the segment, exact in float64.
        numbers: of the frames, counted within the segment.
        shots: frames of each of the segment's shots.
        fraction_bits: of the values of feature maps.
        n_threads: frames decoded at once, where the memory suffices.
    """
    free_bytes = available_bytes()
    if free_bytes is not None:
        n_threads = max(1, min(n_threads, free_bytes // (2 * costs.frame_maps_bytes(model))))
    network = NumpyNetwork(IntegerNetwork(parameters, model, shots, fraction_bits))

    def decoded(frame: int) -> Frames:
        return unpack(network([frame]), model)

    yield from in_threads(decoded, numbers, n_threads)


class NumpyNetwork:
    """Decodes frames of a segment. Threads may call it at the same time.

    Args:
        integers: of the segment.
    """

    def __init__(self, integers: IntegerNetwork) -> None:
        model = self.model = integers.model
        self._integers = integers
        self._layers = {name: Layer(layer) for name, layer in integers.layers.items()}
        bits = integers.fraction_bits
        self._gelu, self._silu = (
            Table(values.astype(np.float32)) for values in (gelu_table(bits), silu_table(bits))
        )
        dtype = np.uint8 if model.bit_depth == 8 else np.uint16
        self._samples = Table(sample_table(model.bit_depth).astype(dtype))
        # A last row and column once more, which stand after the edge.
        self._grids = [
            np.pad(grid.astype(np.int32), ((0, 0), (0, 0), (0, 1), (0, 1)), mode="edge")
            for grid in integers.grids
        ]
        self._between = {
            level: tuple(
                resizing_matrix(n, given).astype(np.float64)
                for n, given in zip(model.cells(level), model.motion)
            )
            for level in {grid.level for grid in model.grids if grid.level}
            if model.motion
        }

    def __call__(self, frames: Sequence[int]) -> Samples:
        """Return the samples of frames' planes.

        Args:
            frames: their numbers in the segment.
        Returns:
            uint8 of 8-bit frames, else uint16, [n, n_planes, plane_height, plane_width].
        """
        model = self.model
        shape = len(frames), model.n_planes, model.plane_height, model.plane_width
        made = np.empty(shape, np.uint8 if model.bit_depth == 8 else np.uint16)
        for planes, frame in zip(made, frames, strict=True):
            self._decode(frame, planes)
        return made

    def _decode(self, frame: int, planes: Samples) -> None:
        x = self._stem(frame)
        for number, block in enumerate(self.model.blocks, 1):
            x = self._block(number, x, block.stride)
            self._put_grids(cells(x)[block.width :], number, frame)
        self._head(x, planes)

    def _stem(self, frame: int) -> Map:
        model = self.model
        stem = model.stem
        if isinstance(stem, MlpStem):
            x = self._integers.encoding([frame])[0]
            for name in ("stem.linear1", "stem.linear2"):
                x = self._silu(self._layers[name].linear(x))
            made = new_map(stem.channels, stem.height, stem.width)
            cells(made)[:] = x.reshape(stem.channels, stem.height, stem.width)
            return made
        made = new_map(stem.channels, stem.height, stem.width)
        self._put_grids(cells(made), 0, frame)
        return made

    def _block(self, number: int, x: Map, stride: int) -> Map:
        """Return the map after a block, with room for the grids that are appended."""
        name, parts = f"block{number}", self.model.parts
        if "pw" in parts:
            x = start = self._pointwise(f"{name}.pw", x)
        if "scrb1" in parts:
            x = self._scrb(f"{name}.scrb1", x, np.empty_like(x))
        width = self.model.blocks[number - 1].width
        made = new_map(width + self.model.grid_channels(number), *self.model.cells(number))
        if "scrb2" in parts:
            fine = new_map(width, *self.model.cells(number))
            self._upsampled(f"{name}.ub", x, cells(fine), stride)
            self._scrb(f"{name}.scrb2", fine, made[:width])
        else:
            self._upsampled(f"{name}.ub", x, cells(made)[:width], stride)
        if "skip" in parts:
            add_resized(made[:width], start, stride)
            clip(made[:width])
        return made

    def _pointwise(self, name: str, x: Map) -> Map:
        y = self._layers[name].pointwise(x.reshape(len(x), -1)).astype(np.float32, copy=False)
        made = clip(y).reshape(-1, *x.shape[1:])
        clear_border(made)
        return made

    def _scrb(self, name: str, x: Map, to: Map) -> Map:
        """Return what an SCRB makes of a map, written to another one."""
        depthwise, widening, narrowing = (
            self._layers[f"{name}.{part}"] for part in ("dw", "pw1", "pw2")
        )
        pitch = x.shape[2]
        line, to_line = x.reshape(len(x), -1), to.reshape(len(to), -1)
        for first, stop in bands(x):
            y = clip(depthwise.depthwise(line[:, first * pitch : (stop + 2) * pitch], pitch))
            y = narrowing.pointwise(self._gelu(widening.pointwise(y)))
            inner = slice((first + 1) * pitch + 1, (stop + 1) * pitch - 1)
            y += line[:, inner]
            np.clip(y, -LIMIT, LIMIT, out=to_line[:, inner], casting="same_kind")
        clear_border(to)
        return to

    def _upsampled(self, name: str, x: Map, to: Map, stride: int) -> None:
        """Write silu(ub(x)), its pixels shuffled, to cells [C, h s, w s]."""
        layer = self._layers[name]
        pitch = x.shape[2]
        line = x.reshape(len(x), -1)
        for first, stop in bands(x):
            y = layer.convolution(line[:, first * pitch : (stop + 2) * pitch], pitch)
            y = rows_of(self._silu(y), pitch)
            y = y.reshape(-1, stride, stride, *y.shape[1:])
            band = to[:, first * stride : stop * stride]
            for i in range(stride):
                for j in range(stride):
                    band[:, i::stride, j::stride] = y[:, i, j]

    def _head(self, x: Map, planes: Samples) -> None:
        layer = self._layers["head.conv"]
        height, width = planes.shape[1:]
        pitch = x.shape[2]
        line = x.reshape(len(x), -1)
        for first, stop in bands(x):
            if first >= height:
                break
            y = layer.convolution(line[:, first * pitch : (stop + 2) * pitch], pitch)
            rows = rows_of(self._samples(y), pitch)[:, : height - first, :width]
            planes[:, first:stop] = rows

    # --- grids ---

    def _put_grids(self, to: Map, level: int, frame: int) -> None:
        """Write the grids of a level in a frame to cells [C, h, w]."""
        model = self.model
        if not model.grid_channels(level):
            return
        moves = self._moves(level, frame) if level and model.motion else None
        start = 0
        for number, grid in enumerate(model.grids):
            if grid.level == level:
                to[start : start + grid.channels] = self._grid(number, frame, moves)
                start += grid.channels

    def _grid(self, number: int, frame: int, moves: tuple[Places, Places] | None) -> Ints:
        """Return a grid in a frame, int32 [C, h, w]."""
        blend = self._integers.blend(number, [frame])
        keys, weight = self._grids[number], int(blend.weight[0])

        def key(side: int, taken: int) -> Ints:
            return moves[side](keys[taken]) if moves else keys[taken, :, :-1, :-1]

        value = key(0, int(blend.first[0]))
        if not weight:
            return value
        made = value * (_ONE - weight)
        made += key(1, int(blend.second[0])) * weight
        return _rounded(made, LERP_BITS)

    def _moves(self, level: int, frame: int) -> tuple[Places, Places]:
        """Return where cells of a level lie in the first and in the second key of a frame."""
        rows, columns = self._between[level]
        # Exact in float64: below 2^36.
        resized = (rows @ self._integers.moves([frame])[:, 0].astype(np.float64)) @ columns.T
        by = rounded_shift(resized.astype(np.int64), 2 * LERP_BITS)
        up_to, of_all = level_scale(self.model, level)
        if up_to != of_all:
            left = of_all // up_to
            by = (2 * by + left) // (2 * left)
        first, second = (Places(each) for each in by)
        return first, second


class Places:
    """Where the cells of a map lie in a key of a moving grid.

    Args:
        by: how far they move, in 256ths of a cell, int64 [2, h, w]: along rows, down columns.
    """

    def __init__(self, by: NDArray[np.int64]) -> None:
        height, width = by.shape[1:]
        x, y = by
        x += _ONE * np.arange(width)
        y += _ONE * np.arange(height)[:, None]
        np.clip(x, 0, _ONE * (width - 1), out=x)
        np.clip(y, 0, _ONE * (height - 1), out=y)
        self._corner = (y >> LERP_BITS) * (width + 1) + (x >> LERP_BITS)
        self._below = self._corner + (width + 1)
        self._x, self._y = (
            np.bitwise_and(each, _ONE - 1, dtype=np.int64).astype(np.int32) for each in (x, y)
        )

    def __call__(self, key: Ints) -> Ints:
        """Return a key [C, h + 1, w + 1], its edges doubled, at the places, int32 [C, h, w]."""
        flat = key.reshape(len(key), -1)
        above, under = (
            _lerp(flat.take(at, axis=1), flat[:, 1:].take(at, axis=1, mode="clip"), self._x)
            for at in (self._corner, self._below)
        )
        return _rounded(_lerp(above, under, self._y), 2 * LERP_BITS)


def _lerp(first: Ints, second: Ints, weight: Ints) -> Ints:
    """Return (256 - weight) first + weight second, in place of the second."""
    second -= first
    second *= weight
    first <<= LERP_BITS
    second += first
    return second


def _rounded(values: Ints, bits: int) -> Ints:
    """Return values / 2^bits, rounded to the nearest, halves up; in place."""
    values += 1 << bits - 1
    values >>= bits
    return values
