"""The last bytes of a stream: the shortest that there are, found without a search that an enemy
could make long.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from forms import forms
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nervcodec.coding.contexts import Places
from nervcodec.coding.range_coder import _encode_bytes, _Part, _shortest, decode_symbols

MAX_SECONDS = 10  # for what takes a tenth of one; a search for the length takes hours
# The lowest symbol has the frequency 1 of 2^24, and the range coder's lowest interval.
RECORD = b"\x40\5\4\x40"
TABLE = b"\x40\4\x40"


def by_definition(start: int, extent: int, n_bytes: int) -> bytes:
    """As nvpp-format.md section 4.6 has it: the shortest bytes that stand for a number of the
    interval, of these the lowest.
    """
    for length in range(n_bytes + 1):
        unit = 1 << 8 * (n_bytes - length)
        lowest = -(-start // unit)
        if lowest * unit < start + extent:
            return lowest.to_bytes(length, "big")
    raise AssertionError("no number lies in an empty interval")


@st.composite
def intervals(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """A coder's last interval: (number of shifts, start, extent, a number in it), many starts or
    ends of few bytes.
    """
    n_shifts = draw(st.integers(0, 4))
    n_bits = 8 * (4 * n_shifts + 8)
    extent = draw(st.integers(1, 2**64 - 1) | st.integers(0, 63).map(lambda bit: 1 << bit))
    place = draw(st.integers(0, n_bits - 1))
    start = draw(
        st.integers(0, 2**n_bits - 1)
        | st.integers(0, 255).map(lambda byte: byte << place)
        | st.integers(0, 300).map(lambda short: (1 << place) - short)
        | st.integers(-2, 2).map(lambda more: (1 << place) - extent + more)
    )
    start = max(0, min(start, 2**n_bits - extent))
    return n_shifts, start, extent, start + draw(st.integers(0, extent - 1))


@settings(max_examples=500)
@given(intervals())
@example((0, 0, 1, 0))
@example((2, 0, 2**64 - 1, 5))
@example((2, 2**64 - 1, 1, 2**64 - 1))
@example((2, 2**64 - 1, 2, 2**64))
@example((1, 2**96 - 1, 1, 2**96 - 1))
def test_the_shortest_bytes_are_those_of_the_document(interval: tuple[int, int, int, int]) -> None:
    """Whatever number of the interval the coder gives, with or without its last zeros, the bytes
    are the same.
    """
    n_shifts, start, extent, number = interval
    n_bytes = 4 * n_shifts + 8
    expected = by_definition(start, extent, n_bytes)
    words = number.to_bytes(n_bytes, "big")
    for given_words in (words, words.rstrip(b"\0")):
        assert _shortest(given_words, n_shifts, start % 2**64, extent) == expected


@pytest.mark.parametrize("first", [-127, 90])
def test_many_symbols_from_few_bytes_take_a_moment(first: int) -> None:
    """A million symbols of 24 bits each that a few bytes stand for are legal, and decoded as fast
    as any others.
    """
    symbols = np.full(1_000_000, -127, np.int32)
    symbols[0] = first
    started = time.monotonic()
    data = _encode_bytes([_Part(symbols, Places(symbols.shape), [TABLE])], 127)
    (found,) = decode_symbols(RECORD + data, forms([symbols.shape]), 127)
    assert len(data) <= 8 and time.monotonic() - started < MAX_SECONDS
    np.testing.assert_array_equal(found.symbols, symbols)
