"""Symbols <-> bytes: range coding with integer frequency tables (docs/bitstream.md, 'Streams').

One stream holds all groups of a module: first the records of each group (its step and the few integers that give its
tables: one, or of a grid one for each class of contexts.py), then the range coder's bytes. A table is computed in
integers from its record alone, so no float ever chooses a symbol. The only import of constriction, whose coder is exact
for integer frequencies that sum to 2^24.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import constriction
import numpy as np
from numpy.typing import NDArray

from .contexts import THRESHOLDS, Places, Shape, Symbols, has_classes
from .errors import BitstreamError, InvalidField, Truncated

TOTAL_BITS = 24
# First bytes of a record: _EMPTY, 1 to 127 the zero odds of a geometric one, _PLAIN + a tail, _NORMAL + a width, ...
_EMPTY, _PLAIN, _NORMAL, _HISTOGRAM = 0, 128, 191, 255
_QUARTER = (65536, 77936, 92682, 110218)  # 2^16 * 2^(i/4)
_EIGHTH = (65536, 71468, 77936, 84990, 92682, 101070, 110218, 120194)  # 2^16 * 2^(i/8)
_NO_TAIL = 64  # no symbol on that side; codes below it are slopes
_HALVES = (2147483648, 2630870735)  # 2^32 * 2^-1 and 2^32 * 2^-(2^-1/2)
_MAX_WIDTH = 48
_RECORD_BYTES = 4  # of most records, with a step


@dataclass(frozen=True)
class Coded:
    """The symbols of one group with the code (0..255) of their quantization step."""

    symbols: Symbols
    step_code: int


@dataclass(frozen=True, eq=False)
class _Part:
    """The symbols of one group, the order in which they are coded and their tables."""

    symbols: Symbols
    places: Places
    tables: list[bytes]


def encode_symbols(groups: Sequence[Coded], shapes: Sequence[Shape], max_symbol: int,
                   followers: Collection[int] = ()) -> bytes:
    """Codes the groups of one module, whose symbols lie in -max_symbol..max_symbol, into one stream.

    Args:
        shapes: the groups'; those of four dimensions are grids, [keys, channels, height, width].
        followers: the groups (from 0) that follow the one before them, the next coarser details.
    """
    parts: list[_Part] = []
    for number, (group, shape) in enumerate(zip(groups, shapes, strict=True)):
        places = Places(shape, parts[-1].symbols if number in followers else None)
        parts.append(_Part(group.symbols, places, _fit_tables(group.symbols, places, max_symbol)))
    records = [_records(part, group.step_code) for part, group in zip(parts, groups)]
    return b"".join(records) + _encode_bytes(parts, max_symbol)


def decode_symbols(stream: bytes, shapes: Sequence[Shape], max_symbol: int,
                   followers: Collection[int] = ()) -> list[Coded]:
    """The inverse of encode_symbols.

    Raises:
        Truncated: the stream ends inside its records.
        InvalidField: a record that no encoder writes.
        BitstreamError: bytes that an encoder of these symbols would not have written.
    """
    records, position = [], 0
    for number, shape in enumerate(shapes):
        tables, step_code, position = _read_records(stream, position, shape, max_symbol, number in followers)
        records.append((tables, step_code))
    coded = stream[position:]
    words = np.frombuffer(coded + bytes(8 + -len(coded) % 4), ">u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    parts: list[_Part] = []
    try:
        for number, (shape, (tables, _)) in enumerate(zip(shapes, records)):
            places = Places(shape, parts[-1].symbols if number in followers else None)
            parts.append(_Part(_decode_group(decoder, places, tables, max_symbol), places, tables))
    except AssertionError as error:
        raise BitstreamError(f"the range decoder met an impossible state: {error}") from None
    if coded != _encode_bytes(parts, max_symbol):
        raise BitstreamError("a stream's bytes are not those of its symbols")
    return [Coded(part.symbols, step_code) for part, (_, step_code) in zip(parts, records)]


def _encode_bytes(parts: Iterable[_Part], max_symbol: int) -> bytes:
    """The range coder's bytes of groups; what has an empty table leaves no trace."""
    encoder = constriction.stream.queue.RangeEncoder()
    for part in parts:
        for number, run in part.places.runs(part.symbols, len(part.tables)):
            if part.tables[number][0] != _EMPTY:
                encoder.encode(part.symbols[run] + np.int32(max_symbol), _model(part.tables[number], max_symbol))
    n_shifts, (low, extent) = encoder.pos()
    return _shortest(encoder.get_compressed().astype(">u4").tobytes(), n_shifts, low, extent)


def _shortest(words: bytes, n_shifts: int, low: int, extent: int) -> bytes:
    """The shortest bytes that name a number of the coder's last interval (docs/bitstream.md, 'Range decoder').

    Args:
        words: a number in the interval, as the coder gives it: up to seven bytes longer than need be.
        n_shifts, low, extent: the coder's state; low is known modulo 2^64 only.
    """
    n_bytes = 4 * n_shifts + 8
    number = int.from_bytes(words, "big") << 8 * (n_bytes - len(words))
    start = number - (number - low) % (1 << 64)
    if not start:
        return b""
    # A multiple of a unit lies in the interval where what comes before it and its end differ by whole units. No search:
    # in a stream that an enemy wrote there may be as many lengths to try as it has bytes.
    unit = 8 * ((((start - 1) ^ (start + extent - 1)).bit_length() - 1) // 8)
    return (-(-start >> unit)).to_bytes(n_bytes - unit // 8, "big")


def _decode_group(decoder: constriction.stream.queue.RangeDecoder, places: Places, tables: list[bytes],
                  max_symbol: int) -> Symbols:
    symbols = np.zeros(math.prod(places.shape), np.int32)
    unused = {number for number, table in enumerate(tables) if table[0] != _EMPTY}
    for number, run in places.runs(symbols, len(tables)):
        if tables[number][0] != _EMPTY:
            symbols[run] = decoder.decode(_model(tables[number], max_symbol), run.size) - np.int32(max_symbol)
            unused.discard(number)
    if unused:
        raise BitstreamError("a class without symbols has a table")
    return symbols


def symbol_bits(symbols: Symbols, max_symbol: int) -> NDArray[np.float64]:
    """What each symbol of -max_symbol..max_symbol takes by the best table for these symbols, without contexts.

    For an encoder that weighs its symbols. Where all are 0 these take nothing, and any other brings a record with it.

    Args:
        symbols: int32 or int64 [n].
    Returns:
        float64 [2 * max_symbol + 1].
    """
    table = _fit_table(np.bincount(symbols + max_symbol, minlength=2 * max_symbol + 1), max_symbol)
    if table[0] == _EMPTY:
        bits = np.full(2 * max_symbol + 1, 8.0 * _RECORD_BYTES)
        bits[max_symbol] = 0
        return bits
    found: NDArray[np.float64] = TOTAL_BITS - np.log2(frequencies(table, max_symbol))
    return found


def _records(part: _Part, step_code: int) -> bytes:
    """The records of a group; the step stands in the first one that is not empty."""
    written = bytes([len(part.tables) - part.places.n_first] if part.places.has_classes else [])
    step = bytes([step_code])
    for table in part.tables:
        if table[0] == _EMPTY:
            written += table
        else:
            written, step = written + table[:1] + step + table[1:], b""
    return written


def _read_records(stream: bytes, start: int, shape: Shape, max_symbol: int,
                  follows: bool) -> tuple[list[bytes], int, int]:
    """The records of a group at `start`: (their tables, the step code or 0, the position after them)."""
    n_tables, position = 1, start
    if has_classes(shape, follows):
        if start == len(stream):
            raise Truncated(f"a stream of {len(stream)} bytes ends before a grid's records")
        n_tables, position = stream[start] + (not follows), start + 1
        if not 1 <= stream[start] <= len(THRESHOLDS):
            raise InvalidField("number of classes", stream[start], f"1 to {len(THRESHOLDS)}")
    tables, step = [], b""
    for _ in range(n_tables):
        table, found, position = _read_record(stream, position, max_symbol, has_step=not step)
        tables.append(table)
        step = step or found
    return tables, step[0] if step else 0, position


def _read_record(stream: bytes, start: int, max_symbol: int, has_step: bool = True) -> tuple[bytes, bytes, int]:
    """The record at `start`: (its table bytes, its step byte if it has one, the position after it)."""
    kind = stream[start:start + 1]
    if kind == bytes([_EMPTY]):
        return kind, b"", start + 1
    after_step = start + 1 + has_step
    end = after_step + _n_parameters(kind, max_symbol)
    if end > len(stream):
        raise Truncated(f"a stream of {len(stream)} bytes ends inside a record")
    table = kind + stream[after_step:end]
    _check_table(table)
    return table, stream[start + 1:after_step], end


def _n_parameters(kind: bytes, max_symbol: int) -> int:
    """Bytes of a record after its first byte and its step."""
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
        raise InvalidField("tails", tuple(table[1:]), f"0 to {_NO_TAIL}, at most one of them {_NO_TAIL}")


@lru_cache(maxsize=64)
def _model(table: bytes, max_symbol: int) -> constriction.stream.model.Categorical:
    weights = (frequencies(table, max_symbol) - 1).astype(np.float64)
    return constriction.stream.model.Categorical(weights, perfect=False)


# --- tables: record -> integer frequencies of -max_symbol..max_symbol, each >= 1, in all 2^24 ---


def frequencies(table: bytes, max_symbol: int) -> NDArray[np.int64]:
    """The frequency table that a record stands for (docs/bitstream.md, 'Tables').

    Args:
        table: the record without its step: zero odds (1..127) and two tails; 128 + the tail of a plain table; 191 +
            the width of a normal one; or 255 and the histogram's buckets.
    Returns:
        int64 [2 * max_symbol + 1], frequencies of the symbols in ascending order.
    """
    weights, total = _weights(table, max_symbol)
    spare = (1 << TOTAL_BITS) - len(weights)
    counts = np.array([1 + spare * weight // total for weight in weights], np.int64)
    counts[max_symbol] += (1 << TOTAL_BITS) - int(counts.sum())
    return counts


def _weights(table: bytes, max_symbol: int) -> tuple[list[int], int]:
    """What the frequencies of -max_symbol..max_symbol are in proportion to, and its sum."""
    if table[0] == _HISTOGRAM:
        return _histogram_weights(table[1:], max_symbol)
    if table[0] > _NORMAL:
        return _normal_weights(table[0] - _NORMAL, max_symbol)
    if table[0] > _PLAIN:
        return _plain_weights(table[0] - _PLAIN, max_symbol)
    return _geometric_weights(table[0], table[1], table[2], max_symbol)


def _ratio(code: int) -> int:
    """2^16 * (1 - 2^(-code/4))."""
    return 65536 - (_QUARTER[-code % 4] >> -(-code // 4))


@lru_cache(maxsize=256)
def _tail(code: int, max_symbol: int) -> tuple[list[int], int]:
    """Weights of 1..max_symbol, each 1 - 2^(-code/4) times the one before, and their sum; all 0 for code 64."""
    if code == _NO_TAIL:
        return [0] * max_symbol, 0
    ratio = _ratio(code)
    weights = [1 << 31]
    for _ in range(max_symbol - 1):
        weights.append(weights[-1] * ratio >> 16)
    return weights, sum(weights)


def _geometric_weights(zero_odds: int, positive: int, negative: int, max_symbol: int) -> tuple[list[int], int]:
    (above, n_above), (below, n_below) = _tail(positive, max_symbol), _tail(negative, max_symbol)
    others = n_above + n_below
    zero = (others * _QUARTER[zero_odds % 4] << zero_odds // 4) >> 32  # others * 2^((zero_odds - 64) / 4)
    return [*reversed(below), zero, *above], others + zero


def _plain_weights(code: int, max_symbol: int) -> tuple[list[int], int]:
    """Both sides fall by the same ratio, and so does the step from 0 to 1."""
    side, n_side = _tail(code, max_symbol)
    zero = (1 << 47) // _ratio(code)
    return [*reversed(side), zero, *side], 2 * n_side + zero


@lru_cache(maxsize=64)
def _normal_weights(width: int, max_symbol: int) -> tuple[list[int], int]:
    """w(k) = 2^(-k^2 / 2^(width / 2)), as the product of ratios that themselves fall by a ratio."""
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
    """Ranges of magnitudes (first, last): 0, 1, 2, 3, 4, then every octave in two halves, cut at max_symbol."""
    ranges = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]
    first, half = 5, 2
    while first <= max_symbol:
        for _ in range(2):
            ranges.append((first, first + half - 1))
            first += half
        half *= 2
    return tuple((low, min(high, max_symbol)) for low, high in ranges if low <= max_symbol)


def _histogram_weights(codes: bytes, max_symbol: int) -> tuple[list[int], int]:
    """A bucket's code c > 0 gives it the weight 2^((c - 1) / 8), shared evenly by its magnitudes and both signs."""
    magnitudes: list[int] = []
    for code, (low, high) in zip(codes, _buckets(max_symbol), strict=True):
        mass = (_EIGHTH[(code - 1) % 8] << 16 + (code - 1) // 8) if code else 0
        magnitudes += [mass // ((high - low + 1) * (2 if low else 1))] * (high - low + 1)
    return [*reversed(magnitudes[1:]), *magnitudes], 2 * sum(magnitudes[1:]) + magnitudes[0]


# --- choosing a table (encoder only): floats are allowed here, since the choice is written into the record ---


@dataclass(frozen=True, eq=False)
class Used:
    """The symbols that occur, as places in a table, and how often: float64 [number of places]."""

    places: list[int]
    counts: NDArray[np.float64]


def _cost_bits(table: bytes, used: Used, max_symbol: int) -> float:
    """What symbols take with a table, but for what rounding adds to F(0)."""
    weights, total = _weights(table, max_symbol)
    scale = ((1 << TOTAL_BITS) - len(weights)) / total
    bits = TOTAL_BITS - np.log2(1 + scale * np.array([weights[place] for place in used.places], np.float64))
    return float(used.counts @ bits) + 8 * len(table)


def _fit_tables(symbols: Symbols, places: Places, max_symbol: int) -> list[bytes]:
    """The tables of a group, in the order of Places."""
    own = symbols[:places.n_without_classes]
    first = [np.bincount(own + max_symbol, minlength=2 * max_symbol + 1)] if own.size else []
    classes = places.best_classes(symbols, max_symbol) if places.has_classes else ()
    return [_fit_table(counts, max_symbol) for counts in (*first, *classes)]


def _fit_table(counts: NDArray[np.int64], max_symbol: int) -> bytes:
    """The cheapest record: empty if all symbols are 0, else the best of each kind, its own bytes counted.

    Args:
        counts: how often each symbol of -max_symbol..max_symbol occurs.
    """
    magnitudes = np.abs(np.arange(-max_symbol, max_symbol + 1))
    n_symbols, total = int(counts.sum()), int(counts @ magnitudes)
    if not total:
        return bytes([_EMPTY])
    tails = _around(4 * np.log2(total / n_symbols + 1), _NO_TAIL - 1)
    mean_square = int(counts @ np.square(magnitudes)) / n_symbols
    widths = _around(2 * np.log2(2 * math.log(2) * mean_square), _MAX_WIDTH)
    small = [*(bytes([_PLAIN + tail]) for tail in tails), *(bytes([_NORMAL + width]) for width in widths)]
    places = np.flatnonzero(counts)
    used = Used(places.tolist(), counts[places].astype(np.float64))
    candidates = (_fit_histogram(counts, max_symbol), _fit_geometric(counts, used, max_symbol), *small)
    return min(candidates, key=lambda table: _cost_bits(table, used, max_symbol))


def _around(estimate: float, largest: int) -> range:
    """The codes from 1 to largest that are within 4 of an estimate, or of the nearer end."""
    centre = min(max(round(estimate), 1), largest)
    return range(max(centre - 4, 1), min(centre + 4, largest) + 1)


def _fit_histogram(counts: NDArray[np.int64], max_symbol: int) -> bytes:
    magnitudes = counts[max_symbol:].astype(np.float64)
    magnitudes[1:] += counts[:max_symbol][::-1]
    masses = np.array([magnitudes[low:high + 1].sum() for low, high in _buckets(max_symbol)])
    codes = np.where(masses > 0, np.rint(8 * np.log2(np.maximum(masses, 1))) + 1, 0)
    return bytes([_HISTOGRAM]) + np.minimum(codes, 255).astype(np.uint8).tobytes()


def _fit_geometric(counts: NDArray[np.int64], used: Used, max_symbol: int) -> bytes:
    """Moment estimates, then steps of one in each integer while they pay."""
    def tail(side: NDArray[np.int64]) -> int:
        if not side.any():
            return _NO_TAIL
        mean = float(side @ np.arange(1, max_symbol + 1)) / int(side.sum())
        return min(int(round(4 * np.log2(mean))), _NO_TAIL - 1)

    zeros = int(counts[max_symbol])
    others = int(counts.sum()) - zeros
    odds = int(np.clip(round(64 + 4 * np.log2(max(zeros, 0.5) / max(others, 0.5))), 1, 127))
    best = bytes([odds, tail(counts[max_symbol + 1:]), tail(counts[:max_symbol][::-1])])
    best_cost, improved = _cost_bits(best, used, max_symbol), True
    while improved:
        improved = False
        for i, step in [(i, step) for i in range(3) for step in (-1, 1)]:
            value = best[i] + step
            legal = 1 <= value <= 127 if i == 0 else 0 <= value < _NO_TAIL and best[i] != _NO_TAIL
            if legal:
                trial = best[:i] + bytes([value]) + best[i + 1:]
                cost = _cost_bits(trial, used, max_symbol)
                if cost < best_cost:
                    best, best_cost, improved = trial, cost, True
    return best
