"""Run the experiments that TOML files describe, and write tables in the schema of docs/results.

A file has a title and tables; a table has columns and cases, each measured by a function of
nervcodec.bench.measurements in a process of its own. What a case gives stands as JSON under a hash
of all that it depends on: the same command goes on where it stopped, and nothing stale is used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from nervcodec.bench.derived import Row
from nervcodec.bench.environment import commit, machine, now, versions
from nervcodec.bench.experiment_file import Case, Experiment, Table, load_experiment
from nervcodec.bench.fingerprint import content_hash, measuring_digest
from nervcodec.bench.measurements import MEASUREMENTS
from nervcodec.bench.place import Place
from nervcodec.bench.plots import growth
from nervcodec.bench.result_tables import render
from nervcodec.errors import NervCodecError
from nervcodec.util.files import whole_file
from nervcodec.util.threads import limit_spinning

SCHEMA = "nervcodec.experiment-case/1"
OnProgress = Callable[[str], None]
# --- measuring ---


def run(
    experiment: Experiment,
    place: Place,
    command: str,
    at_once: int = 1,
    on_progress: OnProgress = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Measure the cases that are not there yet; write OUT/TABLE.json and return the tables by name.

    Args:
        place: where clips are and results go.
        command: as the tables state it.
        at_once: cases measured at a time.
        on_progress: called with a case's name before it is measured.
    Raises:
        NervCodecError: a case failed; those before it are kept.
    """
    cases = {case.name: case for table in experiment.tables for case in table.cases}
    keys = {name: case_key(case, place) for name, case in cases.items()}
    unique: dict[str, Case] = {}
    for name, key in keys.items():
        unique.setdefault(key, cases[name])
    with ThreadPoolExecutor(at_once) as pool:
        contents = pool.map(
            lambda key: kept_case(key, unique[key], place, on_progress), list(unique)
        )
        results = dict(zip(unique, contents, strict=True))
    tables = {}
    for table in experiment.tables:
        parts = [results[keys[case.name]] for case in table.cases]
        tables[table.name] = _result(experiment, table, parts, place, command)
        _write_json(place.out / f"{table.name}.json", tables[table.name])
    if experiment.plot == "growth":
        points = [
            {**row, "part": table.name, "x": row[table.x]}
            for table in experiment.tables
            if table.x
            for case in table.cases
            for row in results[keys[case.name]]["rows"]
        ]
        with whole_file(place.out / "growth.svg", overwrite=True) as part:
            part.write_text(growth(points), "utf-8")
    return tables


def case_key(case: Case, place: Place) -> str:
    """Return a hash of all that a case's figures depend on."""
    here = machine()
    parts = [
        SCHEMA,
        case.measure,
        case.options,
        [content_hash(place.source(name)) for name in case.sources],
        place.device,
        place.n_threads,
        [here[name] for name in ("cpu", "cores", "gpu")],
        versions(),
        measuring_digest(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def kept_case(key: str, case: Case, place: Place, on_progress: OnProgress) -> dict[str, Any]:
    """Return what a case gave, measured now in a process of its own, or earlier."""
    path = place.out / "cases" / f"{key}.json"
    if not path.exists():
        on_progress(case.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows = pool.submit(measure_case, case, place, path.with_suffix("")).result()
        content = {"schema": SCHEMA, "name": case.name, "created": now(), "machine": machine()}
        _write_json(path, {**content, "options": case.options, "rows": rows})
    return cast(dict[str, Any], json.loads(path.read_text("utf-8")))


def measure_case(case: Case, place: Place, stem: Path) -> list[Row]:
    """Return the rows of a case, each with its options; files that it keeps begin with `stem`."""
    rows = MEASUREMENTS[case.measure].measure(case.options, place, stem)
    return [{**case.options, **row} for row in rows]


def _result(
    experiment: Experiment,
    table: Table,
    parts: Sequence[Mapping[str, Any]],
    place: Place,
    command: str,
) -> dict[str, Any]:
    """Return a table as docs/results/index.md describes it."""
    here = machine()
    rows = table.rows([row for part in parts for row in part["rows"]])
    keys = [column["key"] for column in table.columns]
    columns = [
        {"unit": "", **{name: value for name, value in column.items() if name != "key"}}
        for column in table.columns
    ]
    torch = versions()["torch"]
    return {
        "title": table.title,
        "command": command,
        "machine": (
            f"{here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['system']},"
            f" torch {torch} ({place.device}), {place.n_threads} threads"
        ),
        "date": ", ".join(sorted({part["created"][:10] for part in parts})),
        "commit": commit(),
        "notes": [*experiment.notes, *table.notes],
        "columns": columns,
        "rows": [[row.get(key) for key in keys] for row in rows],
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole_file(path, overwrite=True) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False), "utf-8")


# --- the command ---


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; an error is one line and its exit code (docs/reference/exit-codes.md)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    limit_spinning()
    try:
        if options.name is None:
            _list_experiments(options.folder)
        else:
            _main(options)
    except NervCodecError as error:
        print(f"nervcodec: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "bin/experiment", description="Measure an experiment and print its tables as Markdown."
    )
    parser.add_argument("--folder", type=Path, default=Path(), help=argparse.SUPPRESS)
    parser.add_argument("name", nargs="?", metavar="NAME", help="the experiment; none: list them")
    parser.add_argument("--clips", type=Path, default=Path(), help="folder with the clips")
    parser.add_argument("--out", type=Path, help="folder for results (demo-out/NAME)")
    parser.add_argument("--only", metavar="CASE,...", help="tables or cases, as --list names them")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--device", default="cpu", help="where fits run: auto, cpu, cuda (cpu)")
    parser.add_argument("--threads", type=int, help="CPU threads of a case (all CPUs)")
    parser.add_argument("--at-once", type=int, default=1, help="cases at a time (1)")
    return parser


def _list_experiments(folder: Path) -> None:
    """Print names and titles of a folder's experiments."""
    for path in sorted(folder.glob("*.toml")):
        print(f"{path.stem:<12} {load_experiment(path).title}")


def _main(options: argparse.Namespace) -> None:
    """List or run the experiment that the command line names."""
    experiment = load_experiment(options.folder / f"{options.name}.toml")
    if options.only:
        experiment = experiment.only(options.only.split(","))
    if options.list:
        print("\n".join(case.name for table in experiment.tables for case in table.cases))
        return
    out = (options.out or Path("demo-out") / options.name).resolve()
    out.mkdir(parents=True, exist_ok=True)
    place = Place(
        options.clips.resolve(),
        out,
        options.device,
        options.threads or (os.cpu_count() or 1) // options.at_once or 1,
        experiment.videos,
    )
    command = f"bin/experiment {options.name} --clips FOLDER"
    if options.device != "cpu":
        command += f" --device {options.device}"
    tables = run(
        experiment, place, command, options.at_once, lambda name: print(name, file=sys.stderr)
    )
    for name, table in tables.items():
        print(f"## {table['title']}\n\n{render(table)}\n\n{out / name}.json\n")


if __name__ == "__main__":
    main()
