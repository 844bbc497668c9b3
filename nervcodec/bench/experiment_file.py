"""TOML files that describe experiments: their tables, and the cases that these show.

Keys of a file: title, notes, plot ('growth'), [videos.NAME] (datasets.make_video) and [[table]].
Keys of a table: those of the class Table, and for its cases measure (one of MEASUREMENTS),
[[table.case]] with options of that measurement and perhaps a name and a measure of its own,
defaults (options of all cases), each (lists of options, whose combinations are a case each, in a
table or in a case), or cases_of (a table above that has the same cases).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from nervcodec.bench.adapters import load_toml
from nervcodec.bench.derived import DERIVED, Row
from nervcodec.bench.measurements import MEASUREMENTS
from nervcodec.bench.place import Options
from nervcodec.errors import ConfigError

_FILE_KEYS = {"title", "notes", "videos", "table", "plot"}
_TABLE_KEYS = {
    "name", "title", "notes", "measure", "columns", "case", "cases_of", "defaults", "each",
    "where", "derive", "x",
}  # fmt: skip
_COLUMN_KEYS = {"key", "name", "unit", "format", "hidden"}


@dataclass(frozen=True)
class Case:
    """One measurement: TABLE/... is its name, `measure` one of MEASUREMENTS."""

    name: str
    measure: str
    options: Options

    @property
    def sources(self) -> list[str]:
        """Return the names of the videos and files that it reads."""
        names = [self.options[key] for key in ("clip", "file") if key in self.options]
        return [str(name) for name in [*names, *self.options.get("clips", ())]]


@dataclass(frozen=True)
class Table:
    """A table of an experiment.

    Attributes:
        columns: key (of a row), name, and perhaps unit, format and hidden, as docs/results has.
        cases: what is measured; their rows stand in this order.
        where: values that a case's row must have to stand in the table.
        derive: `function`, one of DERIVED, with its arguments; empty: a row is what was measured.
        x: key of a row's place on the axis of the experiment's plot.
    """

    name: str
    title: str
    columns: tuple[Mapping[str, Any], ...]
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    derive: Mapping[str, Any] = field(default_factory=dict)
    x: str = ""

    def rows(self, measured: Sequence[Row]) -> list[Row]:
        """Return the table's rows from those that its cases gave."""
        rows = [row for row in measured if self.where.items() <= row.items()]
        if not self.derive:
            return rows
        arguments = dict(self.derive)
        return DERIVED[arguments.pop("function")](rows, **arguments)


@dataclass(frozen=True)
class Experiment:
    """What a TOML file describes. videos: sources that are made from clips, by their names."""

    name: str
    title: str
    tables: tuple[Table, ...]
    videos: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    plot: str = ""

    def only(self, patterns: Sequence[str]) -> Experiment:
        """Return the experiment with the cases that a pattern (`TABLE`, `TABLE/a/*`) stands for.

        Raises:
            ConfigError: a pattern stands for no case.
        """
        names = [case.name for table in self.tables for case in table.cases]
        for pattern in patterns:
            if not any(_matches(name, pattern) for name in names):
                raise ConfigError(f"case is {pattern!r}; legal: {', '.join(names)}")
        tables = []
        for table in self.tables:
            cases = [case for case in table.cases if any(_matches(case.name, p) for p in patterns)]
            if cases:
                tables.append(replace(table, cases=tuple(cases)))
        return replace(self, tables=tuple(tables))


def _matches(name: str, pattern: str) -> bool:
    """Return whether a pattern stands for a case, or for what its name begins with."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}/*")


# --- reading ---


def load_experiment(path: Path) -> Experiment:
    """Read an experiment.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or of no use.
    """
    try:
        content = load_toml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"experiment {path}: {error}") from None
    try:
        _check_keys("keys", content, _FILE_KEYS, {"title", "table"})
        return Experiment(
            path.stem,
            content["title"],
            tuple(_tables(content["table"])),
            content.get("videos", {}),
            tuple(content.get("notes", ())),
            content.get("plot", ""),
        )
    except ConfigError as error:
        raise ConfigError(f"experiment {path}: {error}") from None


def _tables(entries: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Yield the tables, in their order."""
    cases: dict[str, tuple[Case, ...]] = {}
    for entry in entries:
        _check_keys("keys of a table", entry, _TABLE_KEYS, {"name", "title", "columns"})
        for column in entry["columns"]:
            _check_keys("keys of a column", column, _COLUMN_KEYS, {"key", "name"})
        derive = entry.get("derive", {})
        if derive and derive.get("function") not in DERIVED:
            raise ConfigError(f"derive is {derive}; legal: a function of {', '.join(DERIVED)}")
        shared = entry.get("cases_of")
        if shared is not None and shared not in cases:
            raise ConfigError(f"cases_of is {shared!r}; legal: a table above {entry['name']}")
        name = entry["name"]
        if shared is None:
            cases[name] = tuple(_cases(entry))
        else:
            cases[name] = tuple(
                replace(case, name=name + case.name[len(shared) :]) for case in cases[shared]
            )
        yield Table(
            name,
            entry["title"],
            tuple(entry["columns"]),
            cases[name],
            tuple(entry.get("notes", ())),
            entry.get("where", {}),
            derive,
            entry.get("x", ""),
        )


def _cases(table: Mapping[str, Any]) -> Iterator[Case]:
    """Yield a case for each combination of what `each` lists, the last list fastest."""
    for entry in table.get("case", ({},)):
        each = {**table.get("each", {}), **entry.get("each", {})}
        fixed = {**table.get("defaults", {}), **{k: v for k, v in entry.items() if k != "each"}}
        for values in product(*each.values()):
            options = {**fixed, **dict(zip(each, values, strict=True))}
            measure = options.pop("measure", table.get("measure", ""))
            if measure not in MEASUREMENTS:
                raise ConfigError(f"measure is {measure!r}; legal: {', '.join(MEASUREMENTS)}")
            legal = {"name", *MEASUREMENTS[measure].keys}
            _check_keys(f"options of {measure}", options, legal, set())
            parts = [options["name"]] if "name" in options else []
            if not parts and "clip" in fixed:
                parts.append(fixed["clip"])
            yield Case("/".join(map(str, [table["name"], *parts, *values])), measure, options)


def _check_keys(what: str, entry: Mapping[str, Any], legal: set[str], needed: set[str]) -> None:
    unknown = sorted(set(entry) - legal)
    missing = sorted(needed - set(entry))
    if unknown or missing:
        faults = [*(f"unknown {key}" for key in unknown), *(f"no {key}" for key in missing)]
        raise ConfigError(f"{what}: {', '.join(faults)}; legal: {', '.join(sorted(legal))}")
