"""nervcodec.format.varints: integers of one to nine bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.errors import InvalidField, Truncated
from nervcodec.format.reader import Reader
from nervcodec.format.varints import folded, read_varint, unfolded, write_varint

MOST = 2**63 - 1


@given(st.integers(0, MOST))
def test_integers_come_back(value: int) -> None:
    """What is written is read again, with the bytes that it needs and no others."""
    data = write_varint(value)
    reader = Reader(data + b"x", "test")
    assert read_varint(reader, "value", 0, MOST) == value and reader.left == 1
    assert len(data) == max(1, -(-value.bit_length() // 7))


@given(st.integers(-MOST // 2, MOST // 2))
def test_signs_come_back(value: int) -> None:
    """A folded integer is not negative, at most twice as large, and unfolds to what it was."""
    assert unfolded(folded(value)) == value
    assert 0 <= folded(value) <= 2 * abs(value)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Truncated),
        (b"\x80", Truncated),
        (b"\x80\x00", InvalidField),
        (b"\xff" * 9 + b"\x01", InvalidField),
        (b"\x0b", InvalidField),
    ],
)
def test_others_are_refused(data: bytes, error: type[Exception]) -> None:
    """What is cut, longer than needed, longer than nine bytes or too large is an error."""
    with pytest.raises(error):
        read_varint(Reader(data, "test"), "value", 0, 10)
