"""docs/reference/json.md: every key that a command prints with --json stands there, in the section
of its command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shell import Shell, write_clip

from nervcodec.bench import roofline
from nervcodec.player.server import PlayerServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "json.md"
SHARED = "Shared objects"
# Objects whose keys are names of other things: packages, arithmetics, modules of a network.
BY_NAME = {"versions": ".*", "ceilings": ".*", "bytes_by_module": r"stem|block\d+|head|container"}


def sections() -> dict[str, str]:
    """The text below each heading of the second level."""
    _, *parts = re.split(r"^## (.+)$", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def documented(name: str) -> set[str]:
    """The names in backticks of a schema's section and of those that it refers to."""
    refers = {"info": ["encode"], "bench": ["compare"]}
    names: set[str] = set()
    for heading, text in sections().items():
        if heading == SHARED or {name, *refers.get(name, [])} & set(heading.split(", ")):
            names |= set(re.findall(r"`([a-z][a-z0-9_]*)`", text))
    return names


def keys(value: Any, skipped: str = "") -> Iterator[str]:
    """Every key in an object, but those of the skipped one."""
    if isinstance(value, list):
        for each in value:
            yield from keys(each, skipped)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key in BY_NAME:
                assert all(re.fullmatch(BY_NAME[key], name) for name in inner), key
                yield from keys(list(inner.values()))
            elif key != skipped:
                yield from keys(inner, skipped)


def check(printed: str, name: str) -> None:
    """The object has the schema, and its section has its keys."""
    found = json.loads(printed)
    assert found.pop("schema") == f"nervcodec.{name}/1"
    assert set(keys(found, skipped="model")) - documented(name) == set()


ENCODE = ("encode", "in.y4m", "new.nvpp", "--epochs", "1", "--json")


def test_the_section_names_are_schemas() -> None:
    """Each heading lists the schemas below it."""
    names = [name for heading in sections() if heading != SHARED for name in heading.split(", ")]
    assert sorted(names) == sorted(
        [
            "estimate",
            "encode",
            "events",
            "info",
            "decode",
            "verify",
            "concat",
            "split",
            "play",
            "export",
            "compare",
            "bench",
            "speed",
            "roofline",
        ]
    )


def test_encode(coded: Shell) -> None:
    """encode, with a plan and without, for a size and for a quality."""
    check(coded(*ENCODE, "--dry-run").out, "estimate")
    check(coded(*ENCODE).out, "encode")
    check(coded(*ENCODE, "-y", "--preset", "paper-xs", "--frames", "1").out, "encode")


def test_events(coded: Shell) -> None:
    """Each line is an event with the keys of its row; the first and the last are there once, and
    each segment ends once.
    """
    command = [*ENCODE[:-1], "--json-lines", "--segment-frames", "3", "-y"]
    events = [json.loads(line) for line in coded(*command).out.splitlines()]
    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.*) \|$", sections()["events"], re.MULTILINE))
    names = [event["event"] for event in events]
    assert names[0] == "started" and names[-1] == "finished"
    assert {*names} == {*rows} and names.count("segment") == 2
    of_total = set(re.findall("`([a-z_]+)`", sections()["events"].split("`total`: ")[1]))
    for event in events:
        name = event.pop("event")
        assert set(event.pop("total", {})) <= of_total
        if name in ("progress", "segment"):
            assert set(event) <= set(re.findall("`([a-z_]+)`", rows[name]))
    assert events[0]["schema"] == "nervcodec.events/1"
    check(json.dumps(events[-1]["report"]), "encode")
    done = [event for event, name in zip(events, names) if name == "segment"]
    assert [event["segment"] for event in done] == [0, 1]
    report = events[-1]["report"]
    assert [event["bytes"] for event in done] == report["segment_bytes"]


def test_the_model(coded: Shell) -> None:
    """The object of the network, in all kinds of it."""
    data = Path(__file__).parents[1] / "data"
    for path in sorted(data.glob("*.nvpp")):
        model = json.loads(coded("info", "--json", str(path)).out)["model"]
        assert set(keys(model)) - documented("info") == set(), path.name


def test_info_decode_and_verify(coded: Shell) -> None:
    """The commands that take a coded file."""
    check(coded("info", "out.nvpp", "--json").out, "info")
    check(coded("decode", "out.nvpp", "out.y4m", "--json").out, "decode")
    check(coded("verify", "out.nvpp", "--json").out, "verify")
    check(coded("split", "out.nvpp", "a.nvpp", "--frames", "0:2", "--json").out, "split")
    check(coded("concat", "a.nvpp", "out.nvpp", "b.nvpp", "--json").out, "concat")


def test_play_and_export(coded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that bring a file to a browser."""
    monkeypatch.setattr(PlayerServer, "wait_for_the_page", lambda _: None)
    check(coded("play", "out.nvpp", "--no-open", "--json").out, "play")
    check(coded("export", "out.nvpp", "out.html", "--json").out, "export")


def test_compare(shell: Shell) -> None:
    """All metrics, at a size at which they can be had."""
    write_clip(shell.folder / "in.y4m", 192, 176, 2)
    check(shell("compare", "in.y4m", "in.y4m", "--json").out, "compare")


def test_bench(shell: Shell) -> None:
    """The results of a benchmark, and the points in its cache."""
    write_clip(shell.folder / "in.y4m")
    options = ("--codecs", "x264", "--presets", "x264=ultrafast", "--points", "1", "--json")
    check(shell("bench", "in.y4m", *options).out, "bench")
    points = list((shell.folder / "bench-out" / "cache").glob("*.json"))
    assert points
    for path in points:
        assert set(keys(json.loads(path.read_text("utf-8")))) - documented("bench") == set()


def test_bench_speed(shell: Shell) -> None:
    """Training beside plain PyTorch's."""
    write_clip(shell.folder / "in.y4m")
    options = ("--preset", "ultrafast", "--steps", "3", "--rounds", "1", "--frames", "2", "--json")
    check(shell("bench", "speed", "in.y4m", *options, "--device", "cpu").out, "speed")


def test_bench_roofline(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and frames beside what the machine allows."""
    for name, value in {"_MEASURE_S": 0, "_STEPS_S": 0, "_SIDES": {"cpu": (16,)}}.items():
        monkeypatch.setattr(roofline, name, value)
    options = ("--cases", "ultrafast@16x12", "--device", "cpu", "--json")
    check(shell("bench", "roofline", *options).out, "roofline")
