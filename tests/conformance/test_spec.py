"""The field tables and the hex dump of docs/reference/nvpp-format.md are those of the code.

`python tests/conformance/test_spec.py` writes them anew.
"""

import re
from pathlib import Path

import pytest
from hexdump import annotated

from nervcodec.format.extra_fields import EXTRA_TABLES
from nervcodec.format.fields import FIELD_TABLES, Field

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "nvpp-format.md"
TABLES = FIELD_TABLES | EXTRA_TABLES
DATA = Path(__file__).parents[1] / "data"
HEAD = "| field | type | legal | unit | meaning |\n|---|---|---|---|---|\n"
TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n)+")
DUMP = re.compile(r"<!-- hexdump: (\w+\.nvpp) -->\n(?:```\n[^`]*```\n)?<!-- /hexdump -->\n")


def legal(field: Field) -> str:
    """The legal range of a field; 'any' if its type has no other values."""
    if (field.low, field.high) == (0, 256**field.n_bytes - 1):
        return "any"
    return str(field.low) if field.low == field.high else f"{field.low} to {field.high}"


def rendered(fields: tuple[Field, ...]) -> str:
    """A table of fields as Markdown."""
    return HEAD + "".join(
        f"| {field.name} | {field.type} | {legal(field)} | {field.unit} | {field.meaning} |\n"
        for field in fields
    )


def with_tables_and_dumps(text: str) -> str:
    """The document with its tables, in their order, and its dumps made anew."""
    tables = iter(TABLES.values())
    text = TABLE.sub(lambda _: rendered(next(tables)), text)
    assert not list(tables), "the document has fewer tables than the code"

    def dump(match: re.Match[str]) -> str:
        lines = annotated((DATA / match[1]).read_bytes())
        return f"<!-- hexdump: {match[1]} -->\n```\n{lines}\n```\n<!-- /hexdump -->\n"

    return DUMP.sub(dump, text)


@pytest.mark.parametrize("name", TABLES)
def test_the_document_has_the_table(name: str) -> None:
    """Every table of fields stands in the document word for word."""
    assert rendered(TABLES[name]) in DOCUMENT.read_text("utf-8")


def test_the_document_is_current() -> None:
    """Tables stand in their order and the appendix has the bytes of the golden file."""
    text = DOCUMENT.read_text("utf-8")
    assert DUMP.search(text)
    assert with_tables_and_dumps(text) == text


def test_the_document_is_short() -> None:
    """It is read in one sitting: less than 36 KB."""
    assert DOCUMENT.stat().st_size < 36_000


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables_and_dumps(DOCUMENT.read_text("utf-8")), "utf-8")
