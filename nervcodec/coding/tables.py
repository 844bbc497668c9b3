"""Records <-> integer frequency tables (nvpp-format.md sections 4.1 and 4.3), and the best ones.

A table is computed in integers from its record alone, so no float ever chooses a symbol.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nervcodec.coding.contexts import Symbols
from nervcodec.errors import InvalidField, Truncated

TOTAL_BITS = 24
# First bytes of a record: EMPTY, 1 to 127 the zero odds of a geometric one, _PLAIN + a tail,
# _NORMAL + a width, ...
EMPTY, _PLAIN, _NORMAL, _HISTOGRAM = 0, 128, 191, 255
_QUARTER = (65536, 77936, 92682, 110218)  # 2^16 * 2^(i/4)
_EIGHTH = (65536, 71468, 77936, 84990, 92682, 101070, 110218, 120194)  # 2^16 * 2^(i/8)
_NO_TAIL = 64  # no symbol on that side; codes below it are slopes
_HALVES = (2147483648, 2630870735)  # 2^32 * 2^-1 and 2^32 * 2^-(2^-1/2)
_MAX_WIDTH = 48
_RECORD_BYTES = 4  # of most records, with a step


def read_record(
    stream: bytes, start: int, max_symbol: int, has_step: bool = True
) -> tuple[bytes, bytes, int]:
    """Return the record at `start`: (table bytes, step byte if it has one, position after it).

    Raises:
        Truncated, InvalidField: what is wrong with it.
    """
    kind = stream[start : start + 1]
    if kind == bytes([EMPTY]):
        return kind, b"", start + 1
    after_step = start + 1 + has_step
    end = after_step + _n_parameters(kind, max_symbol)
    if end > len(stream):
        raise Truncated(f"a stream of {len(stream)} bytes ends inside a record")
    table = kind + stream[after_step:end]
    _check_table(table)
    return table, stream[start + 1 : after_step], end


def _n_parameters(kind: bytes, max_symbol: int) -> int:
    """Return the bytes of a record after its first byte and its step."""
    if kind == bytes([_HISTOGRAM]):
        return len(_buckets(max_symbol))
    return 2 if kind < bytes([_PLAIN]) else 0


def _check_table(table: bytes) -> None:
    if table[0] == _HISTOGRAM:
        if not any(table[1:]):
            raise InvalidField("histogram", "all zero", "at least one bucket above 0")
    elif table[0] == _PLAIN or table[0] > _NORMAL + _MAX_WIDTH:
        legal = f"0 to {_PLAIN - 1}, {_PLAIN + 1} to {_NORMAL + _MAX_WIDTH}, or {_HISTOGRAM}"
        raise InvalidField("kind of record", table[0], legal)
    elif table[0] < _PLAIN and (max(table[1:]) > _NO_TAIL or min(table[1:]) == _NO_TAIL):
        raise InvalidField(
            "tails", tuple(table[1:]), f"0 to {_NO_TAIL}, at most one of them {_NO_TAIL}"
        )


# --- tables: record -> integer frequencies of -max_symbol..max_symbol, each >= 1, in all 2^24 ---


def frequencies(table: bytes, max_symbol: int) -> NDArray[np.int64]:
    """Return the frequency table that a record stands for (nvpp-format.md section 4.3).

    Args:
        table: the record without its step: zero odds (1..127) and two tails; 128 + the tail of a
            plain table; 191 + the width of a normal one; or 255 and the histogram's buckets.
    Returns:
        int64 [2 * max_symbol + 1], frequencies of the symbols in ascending order.
    """
    weights, total = _weights(table, max_symbol)
    spare = (1 << TOTAL_BITS) - len(weights)
    counts = np.array([1 + spare * weight // total for weight in weights], np.int64)
    counts[max_symbol] += (1 << TOTAL_BITS) - int(counts.sum())
    return counts


def _weights(table: bytes, max_symbol: int) -> tuple[list[int], int]:
    """Return what frequencies of -max_symbol..max_symbol are in proportion to, and its sum."""
    if table[0] == _HISTOGRAM:
        return _histogram_weights(table[1:], max_symbol)
    if table[0] > _NORMAL:
        return _normal_weights(table[0] - _NORMAL, max_symbol)
    if table[0] > _PLAIN:
        return _plain_weights(table[0] - _PLAIN, max_symbol)
    return _geometric_weights(table[0], table[1], table[2], max_symbol)


def _ratio(code: int) -> int:
    """Return 2^16 * (1 - 2^(-code/4))."""
    return 65536 - (_QUARTER[-code % 4] >> -(-code // 4))


@lru_cache(maxsize=256)
def _tail(code: int, max_symbol: int) -> tuple[list[int], int]:
    """Return weights of 1..max_symbol, each 1 - 2^(-code/4) times the one before, and their sum.

    All are 0 for code 64.
    """
    if code == _NO_TAIL:
        return [0] * max_symbol, 0
    ratio = _ratio(code)
    weights = [1 << 31]
    for _ in range(max_symbol - 1):
        weights.append(weights[-1] * ratio >> 16)
    return weights, sum(weights)


def _geometric_weights(
    zero_odds: int, positive: int, negative: int, max_symbol: int
) -> tuple[list[int], int]:
    (above, n_above), (below, n_below) = _tail(positive, max_symbol), _tail(negative, max_symbol)
    others = n_above + n_below
    zero = (
        others * _QUARTER[zero_odds % 4] << zero_odds // 4
    ) >> 32  # others * 2^((zero_odds - 64) / 4)
    return [*reversed(below), zero, *above], others + zero


def _plain_weights(code: int, max_symbol: int) -> tuple[list[int], int]:
    """Return weights of which both sides fall by the same ratio, as does the step from 0 to 1."""
    side, n_side = _tail(code, max_symbol)
    zero = (1 << 47) // _ratio(code)
    return [*reversed(side), zero, *side], 2 * n_side + zero


@lru_cache(maxsize=64)
def _normal_weights(width: int, max_symbol: int) -> tuple[list[int], int]:
    """Return w(k) = 2^(-k^2 / 2^(width / 2)), by ratios that themselves fall by a ratio."""
    ratio = _HALVES[width % 2]
    for _ in range(width // 2):
        ratio = math.isqrt(ratio << 32)
    fall, weights = ratio * ratio >> 32, [1 << 32]
    for _ in range(max_symbol):
        weights.append(weights[-1] * ratio >> 32)
        ratio = ratio * fall >> 32
    return [*reversed(weights[1:]), *weights], 2 * sum(weights[1:]) + weights[0]


@lru_cache(maxsize=16)
def _buckets(max_symbol: int) -> tuple[tuple[int, int], ...]:
    """Return ranges of magnitudes (first, last): 0 to 4, then every octave in two halves.

    They are cut at max_symbol.
    """
    ranges = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]
    first, half = 5, 2
    while first <= max_symbol:
        for _ in range(2):
            ranges.append((first, first + half - 1))
            first += half
        half *= 2
    return tuple((low, min(high, max_symbol)) for low, high in ranges if low <= max_symbol)


def _histogram_weights(codes: bytes, max_symbol: int) -> tuple[list[int], int]:
    """Return the weights of a histogram: a bucket's code c > 0 gives it 2^((c - 1) / 8).

    Its magnitudes and both signs share that evenly.
    """
    magnitudes: list[int] = []
    for code, (low, high) in zip(codes, _buckets(max_symbol), strict=True):
        mass = (_EIGHTH[(code - 1) % 8] << 16 + (code - 1) // 8) if code else 0
        magnitudes += [mass // ((high - low + 1) * (2 if low else 1))] * (high - low + 1)
    return [*reversed(magnitudes[1:]), *magnitudes], 2 * sum(magnitudes[1:]) + magnitudes[0]


# --- choosing a table (encoder only): floats are allowed here, since the choice is written into the
# record ---


@dataclass(frozen=True, eq=False)
class Used:
    """The symbols that occur, as places in a table, and how often: float64 [number of places]."""

    places: list[int]
    counts: NDArray[np.float64]


def _cost_bits(table: bytes, used: Used, max_symbol: int) -> float:
    """Return what symbols take with a table, but for what rounding adds to F(0)."""
    weights, total = _weights(table, max_symbol)
    scale = ((1 << TOTAL_BITS) - len(weights)) / total
    bits = TOTAL_BITS - np.log2(
        1 + scale * np.array([weights[place] for place in used.places], np.float64)
    )
    return float(used.counts @ bits) + 8 * len(table)


def fit_table(counts: NDArray[np.int64], max_symbol: int) -> bytes:
    """Return the cheapest record, its own bytes counted: empty if all symbols are 0.

    Args:
        counts: how often each symbol of -max_symbol..max_symbol occurs.
    """
    magnitudes = np.abs(np.arange(-max_symbol, max_symbol + 1))
    n_symbols, total = int(counts.sum()), int(counts @ magnitudes)
    if not total:
        return bytes([EMPTY])
    tails = _around(4 * np.log2(total / n_symbols + 1), _NO_TAIL - 1)
    mean_square = int(counts @ np.square(magnitudes)) / n_symbols
    widths = _around(2 * np.log2(2 * math.log(2) * mean_square), _MAX_WIDTH)
    small = [
        *(bytes([_PLAIN + tail]) for tail in tails),
        *(bytes([_NORMAL + width]) for width in widths),
    ]
    places = np.flatnonzero(counts)
    used = Used(places.tolist(), counts[places].astype(np.float64))
    candidates = (
        _fit_histogram(counts, max_symbol),
        _fit_geometric(counts, used, max_symbol),
        *small,
    )
    return min(candidates, key=lambda table: _cost_bits(table, used, max_symbol))


def _around(estimate: float, largest: int) -> range:
    """Return the codes from 1 to largest that are within 4 of an estimate, or of the nearer end."""
    centre = min(max(round(estimate), 1), largest)
    return range(max(centre - 4, 1), min(centre + 4, largest) + 1)


def _fit_histogram(counts: NDArray[np.int64], max_symbol: int) -> bytes:
    magnitudes = counts[max_symbol:].astype(np.float64)
    magnitudes[1:] += counts[:max_symbol][::-1]
    masses = np.array([magnitudes[low : high + 1].sum() for low, high in _buckets(max_symbol)])
    codes = np.where(masses > 0, np.rint(8 * np.log2(np.maximum(masses, 1))) + 1, 0)
    return bytes([_HISTOGRAM]) + np.minimum(codes, 255).astype(np.uint8).tobytes()


def _fit_geometric(counts: NDArray[np.int64], used: Used, max_symbol: int) -> bytes:
    """Return a geometric record: moment estimates, then steps of one in each integer while they
    pay.
    """

    def tail(side: NDArray[np.int64]) -> int:
        if not side.any():
            return _NO_TAIL
        mean = float(side @ np.arange(1, max_symbol + 1)) / int(side.sum())
        return min(int(round(4 * np.log2(mean))), _NO_TAIL - 1)

    zeros = int(counts[max_symbol])
    others = int(counts.sum()) - zeros
    odds = int(np.clip(round(64 + 4 * np.log2(max(zeros, 0.5) / max(others, 0.5))), 1, 127))
    best = bytes([odds, tail(counts[max_symbol + 1 :]), tail(counts[:max_symbol][::-1])])
    best_cost, improved = _cost_bits(best, used, max_symbol), True
    while improved:
        improved = False
        for i, step in [(i, step) for i in range(3) for step in (-1, 1)]:
            value = best[i] + step
            legal = 1 <= value <= 127 if i == 0 else 0 <= value < _NO_TAIL and best[i] != _NO_TAIL
            if legal:
                trial = best[:i] + bytes([value]) + best[i + 1 :]
                cost = _cost_bits(trial, used, max_symbol)
                if cost < best_cost:
                    best, best_cost, improved = trial, cost, True
    return best


def symbol_bits(symbols: Symbols, max_symbol: int) -> NDArray[np.float64]:
    """Return the bits of each symbol by the best table for these symbols, without contexts.

    For an encoder that weighs its symbols. Where all are 0 these take nothing, and any other brings
    a record with it.

    Args:
        symbols: int32 or int64 [n].
    Returns:
        float64 [2 * max_symbol + 1].
    """
    table = fit_table(np.bincount(symbols + max_symbol, minlength=2 * max_symbol + 1), max_symbol)
    if table[0] == EMPTY:
        bits = np.full(2 * max_symbol + 1, 8.0 * _RECORD_BYTES)
        bits[max_symbol] = 0
        return bits
    found: NDArray[np.float64] = TOTAL_BITS - np.log2(frequencies(table, max_symbol))
    return found
