"""Symbols <-> bytes: range coding with integer frequency tables (nvpp-format.md section 4).

One stream holds all groups of a module: first the records of each group (its step and the few
integers that give its tables, tables.py: one, or of a grid one for each class of contexts.py),
then the range coder's bytes. The only import of constriction, whose coder is exact for integer
frequencies that sum to 2^24.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import constriction
import numpy as np

from nervcodec.coding.contexts import THRESHOLDS, Places, Shape, Symbols, has_classes
from nervcodec.coding.tables import EMPTY, fit_table, frequencies, read_record
from nervcodec.errors import BitstreamError, InvalidField, Truncated
from nervcodec.format.model_config import Keys


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


class Form(NamedTuple):
    """What a stream does not say of a group.

    Attributes:
        shape: of its symbols; a grid's is [keys, channels, height, width].
        keys: of each shot, of a grid.
        follows: whether its contexts go by the group before it, the next coarser details.
    """

    shape: Shape
    keys: Keys = ()
    follows: bool = False


def encode_symbols(groups: Sequence[Coded], forms: Sequence[Form], max_symbol: int) -> bytes:
    """Return the stream of the groups of one module.

    Args:
        groups: their symbols lie in -max_symbol..max_symbol.
        forms: of the groups.
    """
    parts: list[_Part] = []
    for group, form in zip(groups, forms, strict=True):
        places = Places(form.shape, form.keys, parts[-1].symbols if form.follows else None)
        parts.append(_Part(group.symbols, places, _fit_tables(group.symbols, places, max_symbol)))
    records = [_records(part, group.step_code) for part, group in zip(parts, groups)]
    return b"".join(records) + _encode_bytes(parts, max_symbol)


def decode_symbols(stream: bytes, forms: Sequence[Form], max_symbol: int) -> list[Coded]:
    """Return the groups of a stream; the inverse of encode_symbols.

    Raises:
        Truncated: the stream ends inside its records.
        InvalidField: a record that no encoder writes.
        BitstreamError: bytes that an encoder of these symbols would not have written.
    """
    records, position = [], 0
    for form in forms:
        tables, step_code, position = _read_records(stream, position, form, max_symbol)
        records.append((tables, step_code))
    coded = stream[position:]
    words = np.frombuffer(coded + bytes(8 + -len(coded) % 4), ">u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    parts: list[_Part] = []
    try:
        for form, (tables, _) in zip(forms, records):
            places = Places(form.shape, form.keys, parts[-1].symbols if form.follows else None)
            parts.append(_Part(_decode_group(decoder, places, tables, max_symbol), places, tables))
    except AssertionError as error:
        raise BitstreamError(f"the range decoder met an impossible state: {error}") from None
    if coded != _encode_bytes(parts, max_symbol):
        raise BitstreamError("a stream's bytes are not those of its symbols")
    return [Coded(part.symbols, step_code) for part, (_, step_code) in zip(parts, records)]


def _encode_bytes(parts: Iterable[_Part], max_symbol: int) -> bytes:
    """Return the range coder's bytes of groups; what has an empty table leaves no trace."""
    encoder = constriction.stream.queue.RangeEncoder()
    for part in parts:
        for number, run in part.places.runs(part.symbols, len(part.tables)):
            if part.tables[number][0] != EMPTY:
                encoder.encode(
                    part.symbols[run] + np.int32(max_symbol),
                    _model(part.tables[number], max_symbol),
                )
    n_shifts, (low, extent) = encoder.pos()
    return _shortest(encoder.get_compressed().astype(">u4").tobytes(), n_shifts, low, extent)


def _shortest(words: bytes, n_shifts: int, low: int, extent: int) -> bytes:
    """Return the shortest bytes that name a number of the coder's last interval.

    nvpp-format.md section 4.6.

    Args:
        words: a number in the interval, as the coder gives it: up to seven bytes longer than need
            be.
        n_shifts, low, extent: the coder's state; low is known modulo 2^64 only.
    """
    n_bytes = 4 * n_shifts + 8
    number = int.from_bytes(words, "big") << 8 * (n_bytes - len(words))
    start = number - (number - low) % (1 << 64)
    if not start:
        return b""
    # A multiple of a unit lies in the interval where what comes before it and its end differ by
    # whole units. No search: in a stream that an enemy wrote there may be as many lengths to try as
    # it has bytes.
    unit = 8 * ((((start - 1) ^ (start + extent - 1)).bit_length() - 1) // 8)
    return (-(-start >> unit)).to_bytes(n_bytes - unit // 8, "big")


def _decode_group(
    decoder: constriction.stream.queue.RangeDecoder,
    places: Places,
    tables: list[bytes],
    max_symbol: int,
) -> Symbols:
    symbols = np.zeros(math.prod(places.shape), np.int32)
    unused = {number for number, table in enumerate(tables) if table[0] != EMPTY}
    for number, run in places.runs(symbols, len(tables)):
        if tables[number][0] != EMPTY:
            symbols[run] = decoder.decode(_model(tables[number], max_symbol), run.size) - np.int32(
                max_symbol
            )
            unused.discard(number)
    if unused:
        raise BitstreamError("a class without symbols has a table")
    return symbols


def _records(part: _Part, step_code: int) -> bytes:
    """Return the records of a group; the step stands in the first one that is not empty."""
    written = bytes([len(part.tables) - part.places.n_first] if part.places.has_classes else [])
    step = bytes([step_code])
    for table in part.tables:
        if table[0] == EMPTY:
            written += table
        else:
            written, step = written + table[:1] + step + table[1:], b""
    return written


def _read_records(
    stream: bytes, start: int, form: Form, max_symbol: int
) -> tuple[list[bytes], int, int]:
    """Return the records of a group at `start`: (tables, step code or 0, position after them).

    Raises:
        Truncated, InvalidField: what is wrong with them.
    """
    n_tables, position = 1, start
    if has_classes(form.keys, form.follows):
        if start == len(stream):
            raise Truncated(f"a stream of {len(stream)} bytes ends before a grid's records")
        n_tables, position = stream[start] + (not form.follows), start + 1
        if not 1 <= stream[start] <= len(THRESHOLDS):
            raise InvalidField("number of classes", stream[start], f"1 to {len(THRESHOLDS)}")
    tables, step = [], b""
    for _ in range(n_tables):
        table, own_step, position = read_record(stream, position, max_symbol, has_step=not step)
        tables.append(table)
        step = step or own_step
    return tables, step[0] if step else 0, position


@lru_cache(maxsize=64)
def _model(table: bytes, max_symbol: int) -> constriction.stream.model.Categorical:
    weights = (frequencies(table, max_symbol) - 1).astype(np.float64)
    return constriction.stream.model.Categorical(weights, perfect=False)


def _fit_tables(symbols: Symbols, places: Places, max_symbol: int) -> list[bytes]:
    """Return the tables of a group, in the order of Places."""
    own = places.without_classes(symbols)
    first = [np.bincount(own + max_symbol, minlength=2 * max_symbol + 1)] if own.size else []
    classes = places.best_classes(symbols, max_symbol) if places.has_classes else ()
    return [fit_table(counts, max_symbol) for counts in (*first, *classes)]
