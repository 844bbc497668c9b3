"""Parameters of the conformance suite's files: random integers, and steps that keep a picture.

Random numbers are integers of NumPy's PCG64 alone, so that every machine draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from reference_streams import buckets

from nervcodec.coding.range_coder import Coded
from nervcodec.coding.streams import segment_of
from nervcodec.format import tensors
from nervcodec.format.file import Segment
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.tensors import BIAS, KEYED, MOTION, Group

Rng = np.random.Generator
Counts = NDArray[np.int64]
# The symbols and the step of a group, given the number of weights that a sum of it has.
Draw = Callable[[Rng, Group, int, ModelConfig], Coded]
# The record of symbols that occur so often, at least one of them; the second one is M.
Record = Callable[[Rng, Counts, int], bytes]

EMPTY = b"\0"
N_CLASSES = range(1, 7)


def heavy_tailed(rng: Rng, size: int, max_symbol: int) -> NDArray[np.int32]:
    """Symbols most of which are small, up to +-max_symbol."""
    magnitudes = rng.integers(0, max_symbol + 1, size) >> rng.integers(
        0, max_symbol.bit_length() + 1, size
    )
    return (magnitudes * (2 * rng.integers(0, 2, size) - 1)).astype(np.int32)


def step_code(step: float) -> int:
    """The code of a step that is about so large."""
    return min(max(int(8 * (math.log2(step) + 20)), 0), 255)


def usual(gain: float = 1.0) -> Draw:
    """Parameters with which values keep their size from layer to layer at a gain of 1."""

    def draw(rng: Rng, group: Group, fan_in: int, model: ModelConfig) -> Coded:
        symbols = heavy_tailed(rng, group.size, model.max_symbol)
        if group.kind == MOTION:  # some samples a frame
            symbols //= 8
        size = 0.7 if group.kind in KEYED else 0.7 * gain
        if group.module == "head":
            size = 0.5 / min(gain, 100)
        if model.prior and group.kind not in KEYED:  # or the head saturates
            size /= 16
        mean_square = float(np.mean(symbols.astype(np.float64) ** 2))
        return Coded(symbols, step_code(size / math.sqrt(fan_in * (1 + mean_square))))

    return draw


def extreme(code: int, sign: int) -> Draw:
    """All symbols at their maxima: positive for sign 1, negative for -1, in turns for 0."""

    def draw(rng: Rng, group: Group, fan_in: int, model: ModelConfig) -> Coded:
        signs = np.full(group.size, sign) if sign else (-1) ** np.arange(group.size)
        return Coded((model.max_symbol * signs).astype(np.int32), code)

    return draw


def far_motion(code: int) -> Draw:
    """Motion and offset of the largest symbols, left and right, and all else as usual."""

    def draw(rng: Rng, group: Group, fan_in: int, model: ModelConfig) -> Coded:
        if group.kind != MOTION:
            return usual()(rng, group, fan_in, model)
        signs = 2 * rng.integers(0, 2, group.size) - 1
        return Coded((model.max_symbol * signs).astype(np.int32), code)

    return draw


def zeros(*names: str) -> Draw:
    """As usual, but zeros for groups whose names end so, which then have no record but 0."""

    def draw(rng: Rng, group: Group, fan_in: int, model: ModelConfig) -> Coded:
        coded = usual()(rng, group, fan_in, model)
        return replace(coded, symbols=coded.symbols * 0) if group.name.endswith(names) else coded

    return draw


def sparse(among: int) -> Draw:
    """As usual, but of weights and biases only about one among so many is not 0."""

    def draw(rng: Rng, group: Group, fan_in: int, model: ModelConfig) -> Coded:
        coded = usual()(rng, group, fan_in, model)
        kept = rng.integers(0, among, group.size) == 0
        return coded if group.kind in KEYED else replace(coded, symbols=coded.symbols * kept)

    return draw


# --- records: any can code any symbols, whatever they cost ---


def geometric(rng: Rng, counts: Counts, max_symbol: int) -> bytes:
    """A geometric record, one in four with a side of no symbols."""
    tails = [int(tail) for tail in rng.integers(0, 64, 2)]
    if not rng.integers(0, 4):
        tails[int(rng.integers(0, 2))] = 64
    return bytes([int(rng.integers(1, 128)), *tails])


def plain(rng: Rng, counts: Counts, max_symbol: int) -> bytes:
    """A plain record."""
    return bytes([int(rng.integers(129, 192))])


def normal(rng: Rng, counts: Counts, max_symbol: int) -> bytes:
    """A normal record."""
    return bytes([int(rng.integers(192, 240))])


def histogram(rng: Rng, counts: Counts, max_symbol: int) -> bytes:
    """A histogram, half of whose buckets are empty, the first or the last one of mass 255."""
    n_buckets = len(buckets(max_symbol))
    codes = rng.integers(0, 256, n_buckets) * rng.integers(0, 2, n_buckets)
    codes[-int(rng.integers(0, 2))] = 255
    return bytes([255, *codes.tolist()])


def mixed(rng: Rng, counts: Counts, max_symbol: int) -> bytes:
    """A record of any kind."""
    kinds = (geometric, plain, normal, histogram)
    return kinds[int(rng.integers(0, 4))](rng, counts, max_symbol)


@contextmanager
def chosen(rng: Rng, record: Record | None, n_classes: int | None) -> Iterator[None]:
    """Have groups coded by such records and in so many classes; None leaves it to the encoder."""

    def fit(counts: Counts, max_symbol: int) -> bytes:
        assert record is not None
        # A class without places must have the record 0.
        return record(rng, counts, max_symbol) if counts.any() else EMPTY

    def cost(counts: Counts) -> float:
        return abs(len(counts) - (n_classes or 0))

    with patch("nervcodec.coding.range_coder.fit_table", fit) if record else _nothing():
        with patch("nervcodec.coding.contexts._cost_bits", cost) if n_classes else _nothing():
            yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def drawn_segment(
    rng: Rng,
    model: ModelConfig,
    shots: Shots,
    draw: Draw,
    record: Record | None = None,
    n_classes: int | None = None,
) -> Segment:
    """A segment of random parameters."""
    of = tensors.tensors(model, shots)
    fan_ins = {tensor.name: math.prod(tensor.shape[1:]) for tensor in of}
    coded = []
    for group in tensors.groups(model, shots):
        fan_in = 4 if group.kind == BIAS else 1 if group.kind in KEYED else fan_ins[group.name]
        coded.append(draw(rng, group, fan_in, model))
    with chosen(rng, record, n_classes):
        return segment_of(coded, model, shots)
