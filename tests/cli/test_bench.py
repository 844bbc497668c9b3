"""nervcodec bench: what a user sees of it, and what is wrong with compare or bench."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import Shell, error_line


def test_bench_writes_results_and_report(clips: Shell) -> None:
    """bench leaves results.json, results.csv and report.html, prints the points, and the same again
    measures none.
    """
    command = [
        "bench",
        "in.y4m",
        "--codecs",
        "x264",
        "--presets",
        "x264=ultrafast",
        "--settings",
        "x264=20,40",
        "--out",
        "found",
        "--threads",
        "1",
        "--seed",
        "4",
    ]
    result = clips(*command)
    assert result.code == 0, result.err
    assert [line.split(", ")[0] for line in result.out.splitlines()[1:3]] == ["x264 ultrafast"] * 2
    assert result.out.splitlines()[-1] == str(Path("found", "report.html"))
    assert (
        "nervcodec: bench 1/2 points, next: in, x264 ultrafast, crf 40" in result.err.splitlines()
    )
    names = {path.name for path in (clips.folder / "found").iterdir()}
    assert {"results.json", "results.csv", "report.html", "cache", "crops"} <= names
    assert not any(name.startswith("bench-") for name in names)
    again = clips(*command, "--json")
    found = json.loads(again.out)
    assert (again.code, again.err, found["schema"], found["seed"]) == (
        0,
        "",
        "nervcodec.bench/1",
        4,
    )
    assert found == json.loads((clips.folder / "found" / "results.json").read_text())
    assert found["command"] == "nervcodec " + " ".join([*command, "--json"])
    assert [point["setting"] for point in found["points"]] == ["crf 20", "crf 40"]
    assert len((clips.folder / "found" / "results.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compare", "in.y4m"], 2, "DIST"),
        (["compare", "in.y4m", "none.y4m"], 3, "none.y4m"),
        (["compare", "in.y4m", "small.y4m"], 2, "sizes are 24x18 and 16x18"),
        (["compare", "in.y4m", "short.y4m"], 2, "there are 5 and 3 frames; legal: equal numbers"),
        (["compare", "in.y4m", "in2.y4m", "--frames", "6"], 2, "frames is 6; legal: 1 to 5"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "nowhere/a.csv"], 6, "nowhere"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "short.y4m"], 7, "-y"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "in.y4m", "-y"], 7, "is the input itself"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "in2.y4m", "-y"], 7, "is the input itself"),
        (["bench"], 2, "no clips; legal: files, folders of PNG, or --suite NAME"),
        (["bench", "none.y4m"], 3, "none.y4m"),
        (
            ["bench", "in.y4m", "--codecs", "x264,h266"],
            2,
            "codec is 'h266'; legal: nervcodec, x264",
        ),
        (["bench", "in.y4m", "--presets", "x264"], 2, "'x264'; legal: CODEC=VALUE,VALUE"),
        (["bench", "in.y4m", "--settings", "x264=,"], 2, "'x264=,'; legal: CODEC=VALUE,VALUE"),
        (
            ["bench", "in.y4m", "--presets", "svtav1=medium"],
            2,
            "preset of svtav1 is 'medium'; legal: 0, 1, 2",
        ),
        (
            ["bench", "in.y4m", "--codecs", "x264", "--settings", "x265=3"],
            2,
            "settings for 'x265'; legal: x264",
        ),
        (["bench", "in.y4m", "--points", "0"], 2, "points"),
        (["bench", "in.y4m", "--frames", "0"], 2, "frames"),
        (["bench", "in.y4m", "--threads", "0"], 2, "threads is 0"),
        (["bench", "in.y4m", "--encode-options", "'--epochs 1"], 2, "No closing quotation"),
        (["bench", "in.y4m", "--adapter", "none.toml"], 2, "none.toml"),
        (
            ["bench", "in.y4m", "--anchor", "x266"],
            2,
            "anchor is 'x266'; legal: nervcodec medium, x264 medium",
        ),
        (["bench", "in.y4m", "--out", "in2.y4m"], 2, "out is in2.y4m: File exists"),
        (["bench", "--suite", "uvg"], 2, "suite uvg needs the folder of its clips"),
        (["bench", "--suite", "uvg", "--clips", "."], 2, "lacks Beauty, Bosphorus"),
        (["bench", "--suite", "cats"], 2, "cats"),
        (["bench", "in.y4m", "in.y4m"], 2, "clips are in, in; legal: each name once"),
    ],
)
def test_bad_comparisons_are_one_line_and_a_code(
    clips: Shell, arguments: list[str], code: int, words: str
) -> None:
    """Whatever is wrong with compare or bench: one line that names it, the right exit code, and no
    file changes.
    """
    before = {path.name: path.read_bytes() for path in clips.folder.iterdir()}
    result = clips(*arguments)
    assert result.code == code and result.out == ""
    assert words in error_line(result)
    after = {path.name: path.read_bytes() for path in clips.folder.iterdir() if path.is_file()}
    assert after == before
    assert not list(clips.folder.glob("bench-out/*"))


def test_a_codec_that_fails_is_the_errors_line(clips: Shell) -> None:
    """A codec's failure exits 3 with what it said last, and the folder for results stays free of
    its remains.
    """
    result = clips(
        "bench", "in.y4m", "--codecs", "x264", "--settings", "x264=loud", "--points", "1", "--json"
    )
    assert result.code == 3
    assert error_line(result).startswith(
        "nervcodec: error: x264 medium could not encode in: exit 2: nervcodec: error:"
    )
    assert list((clips.folder / "bench-out").rglob("*")) == [clips.folder / "bench-out" / "cache"]
