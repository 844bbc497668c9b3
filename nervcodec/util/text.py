"""Text for people: control characters escaped, rows of cells as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """Return the text with control characters escaped: names come from files and command lines."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], n_texts: int = 1) -> str:
    """Return the Markdown table of the rows, with its columns padded; the first n_texts columns are
    set to the left, the others to the right.
    """
    lines = [[printable(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(3, *(len(line[k]) for line in lines)) for k in range(len(heads))]
    rule = [
        "-" * width if k < n_texts else "-" * (width - 1) + ":" for k, width in enumerate(widths)
    ]
    first, *others = (
        [
            cell.ljust(width) if k < n_texts else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths))
        ]
        for line in lines
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in [first, rule, *others])
