"""Which symbols of a grid share a table (docs/bitstream.md, 'Contexts'): change goes on where the last key changed.

The activity of a place is what the key before changed around it. The file says into how many classes a grid's places
fall by it; everything else follows from symbols that are already known. Integers only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Least activities of the second, third .. class, for one class, two classes and so on.
THRESHOLDS = ((), (6,), (2, 8), (1, 4, 10), (1, 3, 7, 16), (1, 3, 6, 12, 24))


def has_classes(shape: tuple[int, ...]) -> bool:
    """Whether a group is a grid of several keys, [keys, channels, height, width]."""
    return len(shape) == 4 and shape[0] > 1


def activity(symbols: NDArray[np.int32]) -> NDArray[np.int32]:
    """The magnitudes around each cell of [.., height, width] summed over 3 x 3 cells, its own counted twice."""
    magnitudes = np.abs(symbols)
    padded = np.pad(magnitudes, [(0, 0)] * (symbols.ndim - 2) + [(1, 1), (1, 1)])
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    found: NDArray[np.int32] = magnitudes + rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    return found


def runs(symbols: NDArray[np.int32], shape: tuple[int, ...], n_classes: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """What is coded at once, in coded order: (number of its table, places in the flat symbols), none of it empty.

    A run's places depend on the symbols of earlier runs alone: a decoder fills them in as they come.

    Args:
        symbols: [n], contiguous.
        shape: the group's; a grid's if there are classes.
        n_classes: 0 for a group with one table for all its symbols.
    """
    if not n_classes:
        yield 0, np.arange(symbols.size)
        return
    keys = symbols.reshape(shape)
    key_size = keys[0].size
    yield 0, np.arange(key_size)
    for number, before in enumerate(keys[:-1], 1):
        classes = np.searchsorted(THRESHOLDS[n_classes - 1], activity(before).ravel(), side="right")
        for class_number in range(n_classes):
            places = np.flatnonzero(classes == class_number)
            if places.size:
                yield 1 + class_number, number * key_size + places


def best_classes(symbols: NDArray[np.int32], shape: tuple[int, ...], max_symbol: int) -> NDArray[np.int64]:
    """How often each symbol occurs in each class after the first key, int64 [n_classes, 2 * max_symbol + 1].

    The number of classes is the one that costs least by _cost_bits, the fewest if several do.
    """
    keys = symbols.reshape(shape)
    highest, n_symbols = THRESHOLDS[-1][-1], 2 * max_symbol + 1
    pairs = np.minimum(activity(keys[:-1]), highest) * n_symbols + keys[1:] + max_symbol
    by_activity = np.bincount(pairs.ravel(), minlength=(highest + 1) * n_symbols).reshape(-1, n_symbols)
    return min((np.add.reduceat(by_activity, (0, *thresholds)) for thresholds in THRESHOLDS), key=_cost_bits)


def _cost_bits(counts: NDArray[np.int64]) -> float:
    """About what classes take: their order-0 entropies, and 3 bytes for a record, but 1 where all symbols are 0."""
    def weighed(numbers: NDArray[np.int64]) -> float:
        return float((numbers * np.log2(np.maximum(numbers, 1))).sum())

    totals, zeros = counts.sum(axis=1), counts[:, counts.shape[1] // 2]
    return weighed(totals) - weighed(counts) + float(np.where(zeros == totals, 8, 24).sum())
