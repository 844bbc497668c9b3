"""The pages of docs/results say what their raw JSON says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from nervcodec.bench.result_tables import FIELDS, main, render, render_pages
from nervcodec.errors import ConfigError

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
FILES = sorted((RESULTS / "data").glob("*.json"))
MARKER = re.compile(r"^<!-- table: (\S+) -->$", re.MULTILINE)
COLUMNS: list[object] = [
    {"name": "clip"},
    {"name": "file", "unit": "bytes", "format": ",d"},
    {"name": "off by", "unit": "%", "format": "+.2f"},
    {"name": "monotone", "unit": ""},
]
ROWS: list[object] = [["a|b", 1234567, -0.5, True], ["two\nlines", None, 1.0, False]]


def a_table(**changes: object) -> dict[str, object]:
    """Return a small table, with some fields changed."""
    return {**dict.fromkeys(FIELDS, ""), "notes": [], "columns": COLUMNS, "rows": ROWS, **changes}


def a_folder(folder: Path, page: str, **tables: object) -> Path:
    """Write one page and its tables as docs/results has them; return the folder."""
    (folder / "data").mkdir()
    (folder / "page.md").write_text(page, "utf-8")
    for name, table in tables.items():
        (folder / "data" / f"{name}.json").write_text(json.dumps(table), "utf-8")
    return folder


def test_pages_say_what_their_data_say() -> None:
    """Every table of every page is what its JSON renders to."""
    pages = render_pages(RESULTS)
    assert {page.name for page in pages} == {path.name for path in RESULTS.glob("*.md")}
    for page, text in pages.items():
        assert text == page.read_text("utf-8"), f"{page}: python -m {main.__module__} docs/results"


def test_every_table_stands_on_a_page_or_in_the_list() -> None:
    """No raw figures are out of a reader's reach, and no page names a table twice."""
    text = "".join(page.read_text("utf-8") for page in sorted(RESULTS.glob("*.md")))
    shown = MARKER.findall(text)
    listed = re.findall(r"\[([\w-]+)\]\(data/\1\.json\)", text)
    assert sorted(shown + listed) == sorted(path.stem for path in FILES)


def test_the_command_of_a_table_stands_above_it() -> None:
    """The last command that a page gives before a table is the one that measured it."""
    for page in RESULTS.glob("*.md"):
        text = page.read_text("utf-8")
        for marker in MARKER.finditer(text):
            table = json.loads((RESULTS / "data" / f"{marker[1]}.json").read_text("utf-8"))
            above = re.findall(r"^Command: `(.*)`$", text[: marker.start()], re.MULTILINE)
            assert above[-1:] == [table["command"]], f"{page.name}: {marker[1]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_table_renders(path: Path) -> None:
    """All files follow the schema, those that no page shows too, and have rows."""
    table = json.loads(path.read_text("utf-8"))
    assert len(render(table).splitlines()) == 2 + len(table["rows"]) > 2
    assert all(isinstance(table[name], str) for name in FIELDS[:5])
    assert all(isinstance(note, str) for note in table["notes"])


def test_render() -> None:
    """Heads have units, numbers their formats and the right side, text its bars escaped."""
    assert render(a_table()).split("\n") == [
        "| clip | file (bytes) | off by (%) | monotone |",
        "| --- | --: | --: | --- |",
        "| a\\|b | 1,234,567 | -0.50 | yes |",
        "| two lines |  | +1.00 | no |",
    ]


def test_a_number_without_a_format_stands_as_it_is() -> None:
    """Integers and floats are not rounded unless a format says so."""
    table = a_table(columns=[{"name": "n"}], rows=[[1500], [0.125]])
    assert render(table) == "| n |\n| --: |\n| 1500 |\n| 0.125 |"


def test_hidden_columns_stand_in_the_data_alone() -> None:
    """A hidden column is checked but not shown."""
    hidden = {"name": "seconds", "format": ".1f", "hidden": True}
    table = a_table(columns=[{"name": "n"}, hidden], rows=[[1, 2.0]])
    assert render(table) == "| n |\n| --: |\n| 1 |"
    with pytest.raises(ConfigError, match="^row 1 has 1 cells; legal: 2$"):
        render({**table, "rows": [[1]]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, r"fields are \[.*'extra'.*\]; legal: title, command"),
        ({"rows": 3}, "columns, rows or a row is 3; legal: a list"),
        ({"rows": [3]}, "columns, rows or a row is 3; legal: a list"),
        ({"rows": [["a", 1, 2.0]]}, "row 1 has 3 cells; legal: 4"),
        ({"rows": [["a", 1.5, 2.0, True]]}, "row 1 does not fit its columns' formats: .*'d'"),
        ({"rows": [["a", [1], 2.0, True]]}, r"cell is \[1\]; legal: a number, text"),
        ({"columns": ["clip"]}, "column is 'clip'; legal: an object"),
        ({"columns": [{"unit": "s"}]}, "column is {'unit': 's'}; legal: an object"),
        ({"columns": [{"name": "n", "format": 2}]}, "column is {.*}; legal: an object"),
    ],
)
def test_malformed_tables(changes: dict[str, object], message: str) -> None:
    """One line says what is wrong and what would be legal."""
    with pytest.raises(ConfigError, match=message) as error:
        render(a_table(**changes))
    assert "\n" not in str(error.value)


def test_a_missing_field() -> None:
    """A table without one of its fields is refused."""
    table = a_table()
    del table["machine"]
    with pytest.raises(ConfigError, match="fields are .*; legal: .*machine"):
        render(table)


def test_render_pages(tmp_path: Path) -> None:
    """What stands between two markers is replaced, everything else kept."""
    page = "# T\n\n<!-- table: x -->\nold\n<!-- /table -->\n\n`<!-- /table -->`\n"
    folder = a_folder(tmp_path, page, x=a_table(columns=[{"name": "n"}], rows=[[1]]))
    shown = "<!-- table: x -->\n\n| n |\n| --: |\n| 1 |\n\n<!-- /table -->"
    expected = f"# T\n\n{shown}\n\n`<!-- /table -->`\n"
    assert render_pages(folder) == {folder / "page.md": expected}


@pytest.mark.parametrize(
    "page",
    [
        "<!-- table: x -->\n",
        "<!-- /table -->\n",
        "<!-- table: x -->\n<!-- table: x -->\n<!-- /table -->\n",
        "<!-- table: ../x -->\n<!-- /table -->\n",
    ],
)
def test_markers_without_a_partner(tmp_path: Path, page: str) -> None:
    """A marker that is not one of a pair is refused, so that no text is lost."""
    with pytest.raises(ConfigError, match="marker has no partner"):
        render_pages(a_folder(tmp_path, page, x=a_table()))


@pytest.mark.parametrize("text", [None, "{", "[]", "\xff"])
def test_missing_and_malformed_files(tmp_path: Path, text: str | None) -> None:
    """The message names the file."""
    folder = a_folder(tmp_path, "<!-- table: x -->\n<!-- /table -->\n")
    if text is not None:
        (folder / "data" / "x.json").write_text(text, "latin-1")
    with pytest.raises(ConfigError, match=r"x\.json: ") as error:
        render_pages(folder)
    assert "\n" not in str(error.value)


def test_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command rewrites the pages, and ends with code 2 and a line on what it cannot render."""
    folder = a_folder(tmp_path, "<!-- table: x -->\n<!-- /table -->\n", x=a_table())
    monkeypatch.setattr(sys, "argv", ["result_tables", str(folder)])
    main()
    assert "| a\\|b | 1,234,567 |" in (folder / "page.md").read_text("utf-8")
    (folder / "data" / "x.json").unlink()
    with pytest.raises(SystemExit, match="^2$"):
        main()
    assert re.search(r"error: .*x\.json: .*No such file.*$", capsys.readouterr().err)
