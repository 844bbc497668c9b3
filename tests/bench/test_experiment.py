"""nervcodec.bench.experiment: what TOML files say is measured once, kept, and shown as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from experiments import SMALL, written

from nervcodec.bench import experiment
from nervcodec.bench.datasets import write_pattern
from nervcodec.bench.experiment import main, run
from nervcodec.bench.experiment_file import Experiment, load_experiment
from nervcodec.bench.measurements import MEASUREMENTS, Measurement
from nervcodec.bench.place import Options, Place
from nervcodec.bench.result_tables import FIELDS, render
from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat


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


def test_an_experiment_without_tables(tmp_path: Path) -> None:
    """Nothing to measure gives no tables."""
    assert run(Experiment("none", "None", ()), Place(tmp_path, tmp_path), "") == {}
