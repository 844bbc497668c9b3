"""Integers of one to nine bytes, seven bits in each (nvpp-format.md section 1.2). Standard library
only.
"""

from __future__ import annotations

from nervcodec.errors import InvalidField
from nervcodec.format.reader import Reader

_MOST_BYTES = 9


def write_varint(value: int) -> bytes:
    """Return the bytes of an integer of 0 to 2^63 - 1: low bits first, bit 7 set in all but the
    last.
    """
    assert 0 <= value < 1 << 7 * _MOST_BYTES
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*data, value))


def read_varint(reader: Reader, name: str, low: int, high: int) -> int:
    """Return the integer that stands here.

    Raises:
        Truncated: its bytes end too early.
        InvalidField: it lies outside low to high, or takes more bytes than it needs.
    """
    value = 0
    for n_bytes in range(_MOST_BYTES):
        byte = reader.take(1)[0]
        value |= (byte & 0x7F) << 7 * n_bytes
        if byte <= 0x7F:
            if n_bytes and not byte:
                raise InvalidField(name, value, "no more bytes than it needs")
            if not low <= value <= high:
                raise InvalidField(name, value, f"{low} to {high}")
            return value
    raise InvalidField(name, value, f"at most {_MOST_BYTES} bytes")


def folded(value: int) -> int:
    """Return 0, 1, 2, 3, 4 .. for 0, -1, 1, -2, 2 .., so that small magnitudes are small."""
    return 2 * value if value >= 0 else -2 * value - 1


def unfolded(value: int) -> int:
    """Return the inverse of folded()."""
    return -(value + 1) // 2 if value & 1 else value // 2
