"""Bytes as text of a page: seven bits a character of ASCII, a seventh longer than the bytes.

A character that pages, scripts or editors mind stands, with the seven bits after it, in one of two
bytes of UTF-8, so that it costs nothing. unpack.js reads it.
"""

from __future__ import annotations

import re

# What HTML, a quoted string of JavaScript or an editor would take for more than a character.
MINDED = "\0\b\n\v\f\r\x1a\x1b\"&'<\\\x7f"
_ALONE = len(MINDED) + 1  # of the last seven bits, which none follow
_PAIRS = re.compile(f"([{re.escape(MINDED)}])(.?)", re.DOTALL)


def as_text(data: bytes) -> str:
    """Return bytes as text without line ends, quotes, backslashes and less-than signs.

    Args:
        data: any bytes.
    Returns:
        characters below 2048; ceil(8 n / 7) bytes of UTF-8, or one more, of n bytes.
    """
    n_symbols = -(-8 * len(data) // 7)
    padded = data + bytes(-len(data) % 7)
    columns = [b"", *(padded[i::7] for i in range(7)), b""]
    symbols = bytearray(len(padded) // 7 * 8)
    for k in range(8):
        before = columns[k].translate(bytes(value << 7 - k & 127 for value in range(256)))
        after = columns[k + 1].translate(bytes(value >> k + 1 for value in range(256)))
        symbols[k::8] = _united(before, after, len(padded) // 7)
    return _PAIRS.sub(_pair, symbols[:n_symbols].decode("latin-1"))


def _united(before: bytes, after: bytes, size: int) -> bytes:
    """Return the bits of both, byte by byte."""
    return (int.from_bytes(before, "big") | int.from_bytes(after, "big")).to_bytes(size, "big")


def _pair(match: re.Match[str]) -> str:
    """Return the character of a minded one and of what follows it, if anything does."""
    minded, following = match.groups()
    if not following:
        return chr(_ALONE << 7 | ord(minded))
    return chr(MINDED.index(minded) + 1 << 7 | ord(following))
