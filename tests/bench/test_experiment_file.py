"""nervcodec.bench.experiment_file: what TOML files say, and what is wrong with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from experiments import SMALL, written

from nervcodec.bench.experiment_file import Case, load_experiment
from nervcodec.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "bin" / "experiments").glob("*.toml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_our_experiments_are_legal(path: Path) -> None:
    """Every file of bin/experiments can be read, and names each table and each case once."""
    loaded = load_experiment(path)
    names = [case.name for table in loaded.tables for case in table.cases]
    assert names and len(set(names)) == len(names)
    assert len({table.name for table in loaded.tables}) == len(loaded.tables)


def test_all_that_was_measured_is_there() -> None:
    """The experiments of the older scripts are there."""
    names = {path.stem for path in EXPERIMENTS}
    assert names == {
        "ablation", "beside", "cuts", "decoding", "figures", "goals", "gpu", "growth", "rd",
        "parallel", "shares", "conformance", "exact",
    }  # fmt: skip


def test_results_name_experiments_that_exist() -> None:
    """Every experiment that a table of docs/results gives as its command has that table."""
    for path in (ROOT / "docs" / "results" / "data").glob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        named = re.match(r"bin/experiment (\w+)", content["command"])
        if named:
            loaded = load_experiment(ROOT / "bin" / "experiments" / f"{named[1]}.toml")
            tables = {table.name for table in loaded.tables}
            assert set(re.findall(r"Table: ([\w-]+)", " ".join(content["notes"]))) <= tables


def test_every_combination_is_a_case(tmp_path: Path) -> None:
    """`each` gives a case for each combination, the last list fastest; defaults are for all."""
    first, _ = load_experiment(written(tmp_path)).tables
    assert [case.name for case in first.cases] == [
        "one/a.y4m/20/0",
        "one/a.y4m/20/1",
        "one/a.y4m/40/0",
        "one/a.y4m/40/1",
        "one/b",
    ]
    options = {"epochs": 2, "frames": 2, "clip": "a.y4m", "crf": 20, "seed": 1}
    assert first.cases[1] == Case("one/a.y4m/20/1", "encode", options)


@pytest.mark.parametrize(
    ("pattern", "n_cases"), [("one", 5), ("one/a.y4m", 4), ("one/*/0", 2), ("*/b", 2), ("two", 5)]
)
def test_only_some_cases(tmp_path: Path, pattern: str, n_cases: int) -> None:
    """A pattern stands for the cases that it matches, or whose names begin with it."""
    some = load_experiment(written(tmp_path)).only([pattern])
    assert sum(len(table.cases) for table in some.tables) == n_cases


def test_an_unknown_case(tmp_path: Path) -> None:
    """A pattern that stands for nothing is refused with the legal names."""
    with pytest.raises(ConfigError, match="case is 'three'; legal: one/a.y4m/20/0, "):
        load_experiment(written(tmp_path)).only(["one", "three"])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('title = "Small"', "titel = 1", "keys: unknown titel, no title; legal: notes, plot"),
        (
            'measure = "encode"',
            'measure = "guess"',
            "measure is 'guess'; legal: encode, round-trip",
        ),
        ("epochs = 2", "epoch = 2", "options of encode: unknown epoch; legal: bitrate"),
        ('cases_of = "one"', 'cases_of = "three"', "cases_of is 'three'; legal: a table above two"),
        ('name = "bytes"', 'nam = "bytes"', "keys of a column: unknown nam, no name; legal"),
        ('"spread"', '"mean"', "derive is .*; legal: a function of pivot, shares, gains, spread"),
        ("[[table]]", "[[table]", "small.toml: "),
    ],
)
def test_malformed_experiments(tmp_path: Path, before: str, after: str, message: str) -> None:
    """One line names the file, what is wrong and what would be legal."""
    path = written(tmp_path, SMALL.replace(before, after, 1))
    with pytest.raises(ConfigError, match=message) as error:
        load_experiment(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
