"""The field tables of docs/bitstream.md are those of bitstream.py. `python tests/test_spec.py`
prints them anew.
"""

from pathlib import Path

import pytest

from nervcodec.format.fields import FIELD_TABLES, Field

DOCUMENT = Path(__file__).parents[2] / "docs" / "bitstream.md"


def rendered(fields: tuple[Field, ...]) -> str:
    """A table of fields as Markdown."""
    lines = ["| field | type | legal | unit | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| {field.name} | {field.type} | {field.low} to {field.high} | {field.unit} |"
        f" {field.meaning} |"
        for field in fields
    ]
    return "\n".join(lines)


@pytest.mark.parametrize("name", FIELD_TABLES)
def test_the_document_has_the_table(name: str) -> None:
    """Every table of fields stands in the document word for word."""
    assert rendered(FIELD_TABLES[name]) in DOCUMENT.read_text("utf-8")


if __name__ == "__main__":
    print("\n\n".join(f"{name}\n\n{rendered(fields)}" for name, fields in FIELD_TABLES.items()))
