"""Which symbols of a grid share a table: change goes on where the last key changed.

The activity of a place is what the key before in its shot changed around it and, of a wavelet's
details, what the next coarser details hold there. The file says into how many classes a grid's
places fall by it; everything else follows from symbols that are already known (nvpp-format.md
section 4.4). Integers only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.model_config import Keys

Symbols = NDArray[np.int32]
Shape = tuple[int, ...]
# Least activities of the second, third .. class, for one class, two classes and so on.
THRESHOLDS = ((), (6,), (2, 8), (1, 4, 10), (1, 3, 7, 16), (1, 3, 6, 12, 24))


def has_classes(keys: Keys, follows: bool) -> bool:
    """Return whether a group has classes: grids with several keys in a shot, and followers."""
    return follows or any(n_keys > 1 for n_keys in keys)


def activity(symbols: Symbols) -> Symbols:
    """Return the magnitudes around each cell of [.., height, width] summed over 3 x 3 cells.

    The cell's own counts twice.
    """
    magnitudes = np.abs(symbols)
    padded = np.pad(magnitudes, [(0, 0)] * (symbols.ndim - 2) + [(1, 1), (1, 1)])
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    around: Symbols = magnitudes + rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    return around


class Places:
    """The places of one group, [keys, channels, height, width] or [size], in the order in which
    they are coded.

    Args:
        shape, keys: the group's.
        coarser: the symbols [n] of the next coarser details, of half the height and width (rounded
            up), if the group follows them.
    """

    def __init__(self, shape: Shape, keys: Keys = (), coarser: Symbols | None = None) -> None:
        self.shape = shape
        self.has_classes = has_classes(keys, coarser is not None)
        self.n_first = int(
            coarser is None
        )  # tables without classes: one, of the first keys of all shots
        self._starts = frozenset(itertools.accumulate(keys[:-1], initial=0))
        self._bare = self._starts if coarser is None else frozenset()  # keys without classes
        self._above: Symbols | None = None
        if coarser is not None:
            n_keys, n_channels, height, width = shape
            half = activity(coarser.reshape(n_keys, n_channels, -(-height // 2), -(-width // 2)))
            self._above = half.repeat(2, axis=2).repeat(2, axis=3)[:, :, :height, :width]

    def without_classes(self, symbols: Symbols) -> Symbols:
        """Return the symbols that share one table.

        They are those of the first key of each shot, or all of a group without classes.
        """
        return (
            symbols.reshape(self.shape)[sorted(self._bare)].ravel() if self.has_classes else symbols
        )

    def runs(self, symbols: Symbols, n_tables: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield what is coded at once, in scan order: (number of its table, places), none empty.

        Places are those of the flat symbols.

        A run's places depend on the symbols of earlier runs alone: a decoder fills them in as they
        come.

        Args:
            symbols: [n], contiguous.
            n_tables: of the group, 1 if it has no classes.
        """
        if not self.has_classes:
            yield 0, np.arange(symbols.size)
            return
        keys = symbols.reshape(self.shape)
        thresholds = THRESHOLDS[n_tables - self.n_first - 1]
        for key in range(len(keys)):
            if key in self._bare:
                yield 0, np.arange(key * keys[0].size, (key + 1) * keys[0].size)
                continue
            classes = np.searchsorted(thresholds, self._activity(keys, key).ravel(), side="right")
            for number in range(n_tables - self.n_first):
                places = np.flatnonzero(classes == number)
                if places.size:
                    yield self.n_first + number, key * keys[0].size + places

    def _activity(self, keys: Symbols, key: int) -> Symbols:
        """Return the activity of a key's places.

        It comes from the key before in its shot and from the coarser details of the same key.
        """
        before = np.zeros_like(keys[0]) if key in self._starts else activity(keys[key - 1])
        return before if self._above is None else before + self._above[key]

    def best_classes(self, symbols: Symbols, max_symbol: int) -> NDArray[np.int64]:
        """Return how often each symbol occurs in each class.

        Returns:
            int64 [n_classes, 2 * max_symbol + 1].

        The number of classes is the one that costs least by _cost_bits, the fewest if several do.
        """
        keys = symbols.reshape(self.shape)
        with_classes = [key for key in range(len(keys)) if key not in self._bare]
        activities = np.stack([self._activity(keys, key) for key in with_classes])
        highest, n_symbols = THRESHOLDS[-1][-1], 2 * max_symbol + 1
        pairs = np.minimum(activities, highest) * n_symbols + keys[with_classes] + max_symbol
        by_activity = np.bincount(pairs.ravel(), minlength=(highest + 1) * n_symbols).reshape(
            -1, n_symbols
        )
        return min(
            (np.add.reduceat(by_activity, (0, *thresholds)) for thresholds in THRESHOLDS),
            key=_cost_bits,
        )


def _cost_bits(counts: NDArray[np.int64]) -> float:
    """Return about what classes take.

    That is their order-0 entropies, and 3 bytes for a record, but 1 where all symbols are 0.
    """

    def weighed(numbers: NDArray[np.int64]) -> float:
        return float((numbers * np.log2(np.maximum(numbers, 1))).sum())

    totals, zeros = counts.sum(axis=1), counts[:, counts.shape[1] // 2]
    return weighed(totals) - weighed(counts) + float(np.where(zeros == totals, 8, 24).sum())
