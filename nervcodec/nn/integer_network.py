"""The network of a segment as integers, and what of its grids each frame takes (nvpp-format.md
section 5).

NumPy and the standard library alone: what differs from one decoder to the next is how they
multiply (nn.exact_network with torch, decoder.numpy_network without).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nervcodec.format import tensors
from nervcodec.format.model_config import (
    PE_BASE,
    PE_LEVELS,
    Keys,
    ModelConfig,
    Shots,
)
from nervcodec.format.tensors import MOTIONS, details_name
from nervcodec.nn.fixed_point import (
    LERP_BITS,
    PARAMETER_BITS,
    IntegerLayer,
    Integers,
    clipped,
    integer_layer,
    rounded_shift,
    sample_bits,
    to_units,
)
from nervcodec.nn.prior import prior_vector

ONE = 1 << LERP_BITS
_MOTION_BITS = 12  # of motion and offset, after the point
_MOTION_LIMIT = 1 << 24
_MOVE_LIMIT = 1 << 20  # 256ths of a sample
_LARGE = float(1 << 30)  # beyond what a layer with a legal step or any clipping leaves


@dataclass(frozen=True)
class Blend:
    """What frames take of a grid's keys: (256 - weight) of key `first`, weight of key `second`.

    Attributes:
        first, second: int64 [n], counted within the segment; equal where a frame takes one key.
        weight: int64 [n], 0 to 256.
    """

    first: Integers
    second: Integers
    weight: Integers


class IntegerNetwork:
    """The integers of one segment's network.

    Args:
        parameters: float64 [n_parameters], exact, as from coding.streams.decode_parameters.
        model: the configuration.
        shots: of the segment.
        fraction_bits: of the values of maps.

    Attributes:
        layers: by name, as `block1.ub`.
        grids: of each grid the values of its keys, int64 [keys, channels, rows, columns].
        is_clipped: whether a value of them was clipped, for which fewer fraction bits do.
    """

    def __init__(
        self, parameters: NDArray[np.floating], model: ModelConfig, shots: Shots, fraction_bits: int
    ) -> None:
        self.model = model
        self.shots = shots
        self.fraction_bits = fraction_bits
        self.is_clipped = False
        named = self._units(parameters.astype(np.float64))
        self._motions = [
            np.clip(rounded_shift(named.pop(name), _UNITS_TO_MOTION), -_MOTION_LIMIT, _MOTION_LIMIT)
            for name in MOTIONS
            if name in named
        ]
        self.grids = self._joined_grids(named)
        all_keys = [grid.keys(shots) for grid in model.grids]
        self._blends = [blends(shots, keys) for keys in all_keys]
        moving = [keys for grid, keys in zip(model.grids, all_keys) if grid.level and model.motion]
        self._distances = key_distances(shots, moving[0]) if moving else None
        head_bits = sample_bits(model.bit_depth)
        self.layers: dict[str, IntegerLayer] = {
            name.removesuffix(".weight"): integer_layer(
                units,
                named.get(name.replace("weight", "bias")),
                fraction_bits,
                head_bits if name.startswith("head") else None,
            )
            for name, units in named.items()
            if name.endswith(".weight")
        }

    def _units(self, parameters: NDArray[np.float64]) -> dict[str, Integers]:
        """Return X of all tensors by name, the prior's added."""
        of = tensors.tensors(self.model, self.shots)
        if self.model.prior:
            parameters = parameters + prior_vector(self.model, of)
        units = to_units(np.clip(parameters, -_LARGE, _LARGE))
        parts = np.split(units, np.cumsum([tensor.size for tensor in of])[:-1])
        return {
            tensor.name: part.reshape(tensor.shape) for tensor, part in zip(of, parts, strict=True)
        }

    def _joined_grids(self, named: dict[str, Integers]) -> list[Integers]:
        """Return the values of all grids, halves and details put together (section 5.6)."""
        to_values = PARAMETER_BITS - self.fraction_bits
        joined = []
        for number, grid in enumerate(self.model.grids, 1):
            keys = self._clipped(rounded_shift(named.pop(f"stem.grid{number}"), to_values))
            *finer, _ = self.model.bands(grid.level)
            for n_halvings, size in reversed(list(enumerate(finer, 1))):
                units = named.pop(details_name(number, n_halvings))
                details = self._clipped(rounded_shift(units, to_values))
                keys = self._clipped(unfolded(keys, details, size))
            joined.append(keys)
        return joined

    def _clipped(self, values: Integers) -> Integers:
        within = clipped(values)
        self.is_clipped = self.is_clipped or not np.array_equal(within, values)
        return within

    def layers_as_floats(self) -> dict[str, NDArray[np.float32]]:
        """Return the layers' weights and biases as nn.network takes them: by name, float32."""
        named: dict[str, NDArray[np.float32]] = {}

        def add(name: str, values: Integers, bits: int) -> None:
            named[name] = np.ldexp(values.astype(np.float32), -bits)

        for name, layer in self.layers.items():
            add(f"{name}.weight", layer.weight, layer.weight_bits)
            if layer.has_bias:
                add(f"{name}.bias", layer.bias - layer.half, layer.weight_bits + self.fraction_bits)
        return named

    def encoding(self, frames: Sequence[int]) -> Integers:
        """Return the positional encoding of frames (section 5.4), int64 [n, 2 * PE_LEVELS].

        Whole turns are taken off in integers: of a million frames, some angles are so large that
        float64 rounds them across a half.
        """
        n_frames = sum(self.shots)
        halves = np.array([_half_turns(t, n_frames) for t in frames])
        waves = np.concatenate([np.sin(np.pi * halves), np.cos(np.pi * halves)], axis=1)
        nearest: Integers = np.floor(np.ldexp(waves, self.fraction_bits) + 0.5).astype(np.int64)
        return nearest

    def blend(self, grid: int, frames: Sequence[int]) -> Blend:
        """Return what frames take of a grid, counted from 0 (section 5.5)."""
        first, second, weight = self._blends[grid][:, np.asarray(frames)]
        return Blend(first, second, weight)

    def moves(self, frames: Sequence[int]) -> Integers:
        """Return how far keys move to frames, in 256ths of a sample (section 5.7).

        Returns:
            int64 [2, n, 2, motion_height, motion_width]: P of the first key that each frame takes,
            then of the second one, along rows, then down columns; of a frame that takes one key,
            both are the same.
        """
        assert self._distances is not None
        at = np.asarray(frames)
        n_frames, n_keys, first, second = self._distances[:, at]
        motion, offset = (each[at] for each in self._motions)
        t = n_frames[:, None, None, None]
        moves = []
        for distance in (first, second):
            n = distance[:, None, None, None]
            exact = (8 * motion * n * n_keys[:, None, None, None] + 2 * offset * t + 8 * t) // (
                16 * t
            )
            moves.append(np.where(n == 0, 0, np.clip(exact, -_MOVE_LIMIT, _MOVE_LIMIT)))
        return np.stack(moves)


_UNITS_TO_MOTION = PARAMETER_BITS - _MOTION_BITS


def _half_turns(t: int, n_frames: int) -> list[float]:
    """Return (t / n_frames) PE_BASE^i less whole turns of 2, for each i below PE_LEVELS."""
    base, of = PE_BASE.as_integer_ratio()
    return [t * base**i % (2 * n_frames * of**i) / (n_frames * of**i) for i in range(PE_LEVELS)]


def unfolded(half: Integers, details: Integers, size: tuple[int, int]) -> Integers:
    """Return a grid of twice the size from its half and its details, cut to (rows, columns).

    Args:
        half: [K, C, h, w].
        details: [K, 3 * C, h, w].
    Returns:
        int64 [K, C, *size], yet to be clipped.
    """
    x, y, z = np.split(details, 3, axis=1)
    made = np.empty((*half.shape[:2], 2 * half.shape[2], 2 * half.shape[3]), np.int64)
    for i, j, value in (
        (0, 0, half + x + y + z),
        (0, 1, half - x + y - z),
        (1, 0, half + x - y - z),
        (1, 1, half - x - y + z),
    ):
        made[:, :, i::2, j::2] = rounded_shift(value, 1)
    return made[:, :, : size[0], : size[1]]


def key_frames(n_frames: int, n_keys: int) -> Integers:
    """Return the frames of a shot that keys stand on: the middles of n_keys equal spans.

    Returns:
        int64 [n_keys].
    """
    return np.floor_divide((2 * np.arange(n_keys, dtype=np.int64) + 1) * n_frames, 2 * n_keys)


def _surrounding(n_frames: int, n_keys: int) -> tuple[Integers, Integers, Integers]:
    """Return the frames of keys, and the first and second key that each frame of a shot takes."""
    at, frames = key_frames(n_frames, n_keys), np.arange(n_frames)
    first = np.maximum(np.searchsorted(at, frames, side="right") - 1, 0)
    is_between = (frames > at[first]) & (first + 1 < n_keys)
    return at, first, np.where(is_between, np.minimum(first + 1, n_keys - 1), first)


def blends(shots: Shots, keys: Keys) -> Integers:
    """Return the keys that frames take of a grid, and the weight of the second one in 256ths.

    Returns:
        int64 [3, frames]: first key, second key, weight.
    """
    parts, start = [], 0
    for n_frames, n_keys in zip(shots, keys, strict=True):
        at, first, second = _surrounding(n_frames, n_keys)
        apart = np.maximum(at[second] - at[first], 1)
        weight = (ONE * np.maximum(np.arange(n_frames) - at[first], 0) + apart // 2) // apart
        parts.append(
            np.stack([start + first, start + second, np.where(second == first, 0, weight)])
        )
        start += n_keys
    return np.concatenate(parts, axis=1)


def key_distances(shots: Shots, keys: Keys) -> Integers:
    """Return how far frames are from the keys that they take.

    Returns:
        int64 [4, frames]: frames and keys of the frame's shot, frames from the first and from the
        second key; negative before a key.
    """
    parts = []
    for n_frames, n_keys in zip(shots, keys, strict=True):
        at, first, second = _surrounding(n_frames, n_keys)
        frames = np.arange(n_frames)
        both = [np.full(n_frames, n_frames), np.full(n_frames, n_keys)]
        parts.append(np.stack([*both, frames - at[first], frames - at[second]]))
    return np.concatenate(parts, axis=1)


def resizing(n_cells: int, n_given: int) -> tuple[Integers, Integers, Integers]:
    """Return how a line of n_given values is resized to n_cells (section 5.1).

    Returns:
        int64 [n_cells] each: the value before each cell, the one after it, and its weight in
            256ths.
    """
    place = np.maximum((2 * np.arange(n_cells, dtype=np.int64) + 1) * n_given - n_cells, 0)
    first, rest = np.divmod(place, 2 * n_cells)
    weight = (ONE * rest + n_cells) // (2 * n_cells)
    return first, np.minimum(first + 1, n_given - 1), weight


def resizing_matrix(n_cells: int, n_given: int) -> Integers:
    """Return resizing as a matrix of weights in 256ths, int64 [n_cells, n_given]."""
    first, second, weight = resizing(n_cells, n_given)
    matrix = np.zeros((n_cells, n_given), np.int64)
    cells = np.arange(n_cells)
    np.add.at(matrix, (cells, first), ONE - weight)
    np.add.at(matrix, (cells, second), weight)
    return matrix


def level_scale(model: ModelConfig, level: int) -> tuple[int, int]:
    """Return S_l and S, the products of the strides up to a level and of all strides."""
    return math.prod(block.stride for block in model.blocks[:level]), model.scale
