"""nervcodec.bench.experiment: what TOML files say is measured once, kept, and shown as tables."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from nervcodec.bench import experiment
from nervcodec.bench.datasets import write_pattern
from nervcodec.bench.encodes import measure_encode
from nervcodec.bench.experiment import main, run
from nervcodec.bench.experiment_file import Case, Experiment, load_experiment
from nervcodec.bench.measurements import MEASUREMENTS, Measurement
from nervcodec.bench.place import Options, Place
from nervcodec.bench.result_tables import FIELDS, render
from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "bin" / "experiments").glob("*.toml"))
SMALL = """
title = "Small"

[[table]]
name = "one"
title = "First"
measure = "encode"
defaults = {epochs = 2, frames = 2}
columns = [{key = "clip", name = "clip"}, {key = "bytes", name = "bytes", format = ",d"}]
case = [{clip = "a.y4m", each = {crf = [20, 40], seed = [0, 1]}}, {name = "b", clip = "b.y4m"}]

[[table]]
name = "two"
title = "Second"
cases_of = "one"
where = {clip = "a.y4m"}
derive = {function = "spread", group = ["clip"], keys = ["bytes"]}
columns = [{key = "clip", name = "clip"}, {key = "mean bytes", name = "mean"}]
"""


def written(folder: Path, text: str = SMALL) -> Path:
    """Write an experiment and the clips that it names; return its path."""
    for name in ("a.y4m", "b.y4m"):
        write_pattern(folder / name, VideoFormat(32, 24, Fraction(25), 3))
    (folder / "small.toml").write_text(text, "utf-8")
    return folder / "small.toml"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """Put a measurement that takes no time in the place of encodes, in this process."""
    calls: list[Options] = []

    def measure(options: Options, place: Place, stem: Path) -> list[dict[str, Any]]:
        calls.append(options)
        return [{"bytes": 1000 + options.get("crf", 0) + options.get("seed", 0)}]

    legal = MEASUREMENTS["encode"].keys
    monkeypatch.setitem(MEASUREMENTS, "encode", Measurement(measure, legal))
    monkeypatch.setattr(experiment, "ProcessPoolExecutor", Here)
    return calls


class Here:
    """Stands for a pool of processes and calls what it is handed at once."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Here:
        self.value = function(*arguments)
        return self

    def result(self) -> Any:
        return self.value


def ran(folder: Path, patterns: Sequence[str] = (), **changes: Any) -> dict[str, dict[str, Any]]:
    """Run the small experiment, or some of its cases."""
    small = load_experiment(folder / "small.toml")
    place = replace(Place(folder, folder / "out"), **changes)
    place.out.mkdir(exist_ok=True)
    return run(small.only(patterns) if patterns else small, place, "bin/experiment small")


# --- files ---


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
    }  # fmt: skip


def test_results_name_experiments_that_exist() -> None:
    """Every experiment that a table of docs/results gives as its command is there, and its table."""
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


# --- results ---


def test_tables_have_the_schema_of_the_results(tmp_path: Path, counted: list[Options]) -> None:
    """Tables stand in OUT as docs/results has them, with what was measured and what is derived."""
    tables = ran(written(tmp_path).parent)
    for name, table in tables.items():
        assert set(table) == set(FIELDS)
        assert json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8")) == table
    assert tables["one"]["columns"][1] == {"name": "bytes", "unit": "", "format": ",d"}
    assert [row[1] for row in tables["one"]["rows"]] == [1020, 1021, 1040, 1041, 1000]
    assert render(tables["two"]).splitlines()[2:] == ["| a.y4m | 1030.5 |"]


def test_equal_cases_are_measured_once(tmp_path: Path, counted: list[Options]) -> None:
    """Cases that two tables share are measured once, and none of them in a second run."""
    first = ran(written(tmp_path).parent)
    assert len(counted) == 5
    assert ran(tmp_path) == first and len(counted) == 5


def test_what_a_case_depends_on(tmp_path: Path, counted: list[Options]) -> None:
    """Another option, clip, number of threads or source is another case, measured anew."""
    written(tmp_path)
    ran(tmp_path, ["one/b"])
    ran(tmp_path, ["one/b"], n_threads=2)
    write_pattern(tmp_path / "b.y4m", VideoFormat(32, 24, Fraction(25), 2))
    ran(tmp_path, ["one/b"])
    (tmp_path / "small.toml").write_text(SMALL.replace("epochs = 2", "epochs = 3"), "utf-8")
    ran(tmp_path, ["one/b"])
    assert len(counted) == 4
    ran(tmp_path, ["one/b"])
    assert len(counted) == 4


def test_a_failed_case_leaves_those_before_it(
    tmp_path: Path, counted: list[Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a case fails, those before it are kept and the run goes on from there."""
    before = MEASUREMENTS["encode"]

    def fails(options: Options, place: Place, stem: Path) -> list[dict[str, Any]]:
        if options["clip"] == "b.y4m":
            raise ConfigError("no")
        return before.measure(options, place, stem)

    monkeypatch.setitem(MEASUREMENTS, "encode", replace(before, measure=fails))
    with pytest.raises(ConfigError, match="^no$"):
        ran(written(tmp_path).parent)
    assert len(counted) == 4
    monkeypatch.setitem(MEASUREMENTS, "encode", before)
    ran(tmp_path)
    assert len(counted) == 5


def test_a_clip_that_is_missing(tmp_path: Path, counted: list[Options]) -> None:
    """A clip that is not in the folder is named before anything is measured."""
    written(tmp_path)
    (tmp_path / "b.y4m").unlink()
    with pytest.raises(ConfigError, match="'b.y4m' is not in .*; legal: --clips FOLDER has it"):
        ran(tmp_path)
    assert not counted


# --- the command, end to end ---

REAL = """
title = "Real"

[videos.joined]
scenes = [["a.y4m", 0, 2], ["b.y4m", 1, 1]]
crop = [30, 23]

[[table]]
name = "real"
title = "Two small cases"
columns = [
    {key = "name", name = "codec"},
    {key = "frames", name = "frames"},
    {key = "bytes", name = "bytes", format = ",d"},
    {key = "rgb_db", name = "RGB", unit = "dB", format = ".2f"},
]
case = [
    {name = "ours", measure = "encode", clip = "joined", preset = "ultrafast", epochs = 2},
    {name = "x264", measure = "codec", clip = "joined", codec = "x264", crf = 30, frames = 2},
]
"""


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An encode and another codec's are measured in processes of their own and printed."""
    written(tmp_path, REAL)
    arguments = ["--folder", str(tmp_path), "small", "--clips", str(tmp_path)]
    main([*arguments, "--out", str(tmp_path / "out"), "--threads", "1"])
    printed = capsys.readouterr()
    assert printed.err.splitlines() == ["real/ours", "real/x264"]
    table = json.loads((tmp_path / "out" / "real.json").read_text("utf-8"))
    assert [row[:2] for row in table["rows"]] == [["ours", 3], ["x264", 2]]
    assert all(row[2] > 0 and row[3] > 10 for row in table["rows"])
    assert (
        render(table) in printed.out and table["command"] == "bin/experiment small --clips FOLDER"
    )


def test_the_command_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name it lists experiments, with --list the cases of one; nothing is measured."""
    written(tmp_path, REAL)
    main(["--folder", str(tmp_path)])
    main(["--folder", str(tmp_path), "small", "--list"])
    assert capsys.readouterr().out.splitlines() == ["small        Real", "real/ours", "real/x264"]


def test_the_command_fails_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error is one line and its exit code."""
    with pytest.raises(SystemExit, match="^2$"):
        main(["--folder", str(tmp_path), "none"])
    assert capsys.readouterr().err.startswith("nervcodec: error: experiment ")


# --- measurements ---


def test_changes_of_the_network(tmp_path: Path) -> None:
    """A change or field that does not exist is refused with what is legal."""
    written(tmp_path)
    place = Place(tmp_path, tmp_path)
    for options, message in (
        ({"change": "more"}, "change is 'more'; legal: none, still grids"),
        ({"shots": "many"}, "shots is 'many'; legal: cuts, one, segments"),
        ({"fit": {"colour": 1}}, "network or fit: .*colour.*; legal: fields that they have"),
    ):
        with pytest.raises(ConfigError, match=message):
            measure_encode({"clip": "a.y4m", **options}, place, tmp_path / "x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "options", "facts"),
    [
        ("round-trip", {"clip": "a.y4m", "epochs": 2, "crf": 30}, {"decodes_equal": True}),
        ("encode", {"clip": "a.y4m", "epochs": 2, "change": "stem grids alone"}, {"frames": 3}),
        ("decode", {"preset": "medium", "crf": 30, "size": "32x24", "frames": 2}, {}),
        ("startup", {"arguments": ["--help"], "repeats": 1}, {"command": "`nervcodec --help`"}),
        ("memory", {"frames": 6, "size": "32x24", "segment_frames": 5}, {}),
        ("step", {"network": "medium", "size": "32x24", "budget_s": 0.1}, {"batch": 2}),
        ("roofline", {"cases": ["medium@16x12"]}, {"kind": "machine"}),
        ("speed", {"clip": "a.y4m", "preset": "medium", "frames": 2, "steps": 6, "rounds": 1},
         {"variant": "reference", "is_as_good": True}),
        ("bench", {"clips": ["a.y4m"], "codecs": ["x264"], "points": 2},
         {"kind": "point", "clip": "a.y4m", "codec": "x264"}),
    ],
)  # fmt: skip
def test_measurements(
    tmp_path: Path, measure: str, options: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Each measurement gives rows of plain figures; its options are legal ones."""
    written(tmp_path)
    assert set(options) <= MEASUREMENTS[measure].keys
    rows = MEASUREMENTS[measure].measure(options, Place(tmp_path, tmp_path), tmp_path / "case")
    assert facts.items() <= rows[0].items()
    assert all(isinstance(v, str | int | float | None) for row in rows for v in row.values())


def test_an_experiment_without_tables(tmp_path: Path) -> None:
    """Nothing to measure gives no tables."""
    assert run(Experiment("none", "None", ()), Place(tmp_path, tmp_path), "") == {}
