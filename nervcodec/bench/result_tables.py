"""Render the tables of docs/results from the raw JSON in docs/results/data.

`python -m nervcodec.bench.result_tables docs/results` writes what data/NAME.json says between the
lines `<!-- table: NAME -->` and `<!-- /table -->` of a page (schema: docs/results/index.md).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from itertools import compress
from pathlib import Path

from nervcodec.errors import ConfigError

FIELDS = ("title", "command", "machine", "date", "commit", "notes", "columns", "rows")
_MARKER = re.compile(r"(?m)^<!-- /?table")
_MARKED = re.compile(r"(?m)^<!-- table: ([\w-]+) -->\n(?:(?!<!-- /?table).*\n)*<!-- /table -->$")


def render(table: Mapping[str, object]) -> str:
    """Return a table's columns that are not hidden as Markdown.

    Null is an empty cell, a bool yes or no; formats are for numbers, which stand to the right.

    Raises:
        ConfigError: a field is missing, a row's length is wrong, or a cell does not fit its format.
    """
    if set(table) != set(FIELDS):
        raise ConfigError(f"fields are {sorted(table)}; legal: {', '.join(FIELDS)}")
    columns = [_column(column) for column in _list(table["columns"])]
    rows = [_list(row) for row in _list(table["rows"])]
    lines = [[head for head, _, _ in columns], ["---"] * len(columns)]
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise ConfigError(f"row {number} has {len(row)} cells; legal: {len(columns)}")
        try:
            lines.append(list(map(_cell, row, (spec for _, spec, _ in columns))))
        except ValueError as error:
            raise ConfigError(f"row {number} does not fit its columns' formats: {error}") from error
    for i, cells in enumerate(zip(*rows, strict=True)):
        if {type(cell) for cell in cells} - {type(None)} <= {int, float}:
            lines[1][i] = "--:"
    shown = [column[2] for column in columns]
    return "\n".join(f"| {' | '.join(compress(line, shown))} |" for line in lines)


def render_pages(folder: Path) -> dict[Path, str]:
    """Return every page of a folder, by its path, with its marked tables rendered anew.

    Raises:
        ConfigError: a table's file is missing or malformed, or a marker has no partner.
    """
    return {page: _render_page(page) for page in sorted(folder.glob("*.md"))}


def _render_page(page: Path) -> str:
    def rendered(marked: re.Match[str]) -> str:
        table = _render_file(page.parent / "data" / f"{marked[1]}.json")
        return f"<!-- table: {marked[1]} -->\n\n{table}\n\n<!-- /table -->"

    text = page.read_text("utf-8")
    if len(_MARKER.findall(text)) != 2 * len(_MARKED.findall(text)):
        raise ConfigError(f"{page}: a table's marker has no partner; legal: table: NAME and /table")
    return _MARKED.sub(rendered, text)


def _render_file(path: Path) -> str:
    try:
        table = json.loads(path.read_text("utf-8"))
        return render(table if isinstance(table, dict) else {})
    except (OSError, ValueError, ConfigError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error


def _list(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise ConfigError(f"columns, rows or a row is {value!r}; legal: a list")


def _column(column: object) -> tuple[str, str, bool]:
    """Return a column's head, its format, and whether a page shows it."""
    values = column if isinstance(column, dict) else {}
    name, unit, spec = (values.get(key, "") for key in ("name", "unit", "format"))
    if not name or not all(isinstance(text, str) for text in (name, unit, spec)):
        raise ConfigError(f"column is {column!r}; legal: an object of texts name, unit, format")
    return _escape(f"{name} ({unit})" if unit else name), spec, values.get("hidden") is not True


def _cell(value: object, spec: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, str):
        return _escape(value or "")
    if not isinstance(value, (int, float)):
        raise ConfigError(f"cell is {value!r}; legal: a number, text, true, false or null")
    return format(value, spec)


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Rewrite the pages of the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Rewrite the tables of a folder's pages.")
    parser.add_argument("folder", type=Path, help="docs/results")
    try:
        for page, text in render_pages(parser.parse_args().folder).items():
            page.write_text(text, "utf-8")
    except ConfigError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
