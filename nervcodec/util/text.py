"""Text for people."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with control characters escaped: names come from files and command lines."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
