"""nervcodec.bench.speed and nervcodec.bench.roofline: what stands in their results follows from
what was measured.
"""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median
from typing import Any

import pytest
from shell import Shell, write_clip

from nervcodec.bench import roofline as floor
from nervcodec.bench import speed
from nervcodec.bench.roofline import RooflinePoint, measure_roofline, parse_case
from nervcodec.bench.speed import Settings, compare_speed
from nervcodec.bench.stepping import RECIPES
from nervcodec.cli.tables import roofline_text, speed_text
from nervcodec.errors import ConfigError, FitError, VideoError

SETTINGS = Settings(
    preset="ultrafast",
    variants=("same-recipe", "ours"),
    n_steps=10,
    n_frames=4,
    n_rounds=2,
    precision="float32",
)


@pytest.fixture
def clip(shell: Shell) -> Shell:
    """A folder with in.y4m, 5 frames of 24x18."""
    write_clip(shell.folder / "in.y4m")
    return shell


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the settings give of that clip."""
    path = tmp_path_factory.mktemp("speed") / "in.y4m"
    write_clip(path)
    return compare_speed([path], SETTINGS, "a command")


def by_name(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variant["name"]: variant for variant in run["variants"]}


# --- speed ---


def test_figures_follow_from_the_rounds(results: dict[str, Any]) -> None:
    """Steps a second and ratios are those of each round's seconds, and every variant has as many
    rounds.
    """
    assert (results["schema"], results["command"], results["rounds"]) == (
        "nervcodec.speed/1",
        "a command",
        2,
    )
    (run,) = results["runs"]
    variants = by_name(run)
    assert list(variants) == ["reference", "same-recipe", "ours"]
    for variant in variants.values():
        seconds, theirs = variant["seconds_per_step"], variants["reference"]["seconds_per_step"]
        ratios = [a / b for a, b in zip(theirs, seconds, strict=True)]
        assert len(seconds) == 2 and min(seconds) > 0
        assert variant["ratio"] == {
            "min": min(ratios),
            "median": median(ratios),
            "max": max(ratios),
        }
        assert variant["steps_per_s"]["max"] == 1 / min(seconds)
        assert variant["is_as_good"] == (
            variant["psnr_rgb"] >= variants["reference"]["psnr_rgb"] - 0.1
        )


def test_steps_are_whole_passes(clip: Shell) -> None:
    """Nine steps on four frames, two at a time, become five passes of two."""
    (run,) = compare_speed([clip.folder / "in.y4m"], replace(SETTINGS, n_steps=9))["runs"]
    assert (run["frames"], run["batch"], run["steps"]) == (4, 2, 10)


def test_frames_are_those_of_the_clip_at_most(clip: Shell) -> None:
    """A hundred frames of a clip of five are five."""
    settings = replace(SETTINGS, variants=(), n_frames=100, n_steps=7, n_rounds=1)
    (run,) = compare_speed([clip.folder / "in.y4m"], settings)["runs"]
    assert (run["frames"], run["steps"], list(by_name(run))) == (5, 9, ["reference"])


def test_the_same_recipe_learns_the_same(results: dict[str, Any]) -> None:
    """In float32 our arithmetic with the reference's recipe reaches its PSNR to a hundredth of a
    decibel.
    """
    (run,) = results["runs"]
    found, expected = (by_name(run)[name] for name in ("same-recipe", "reference"))
    assert abs(found["psnr_rgb"] - expected["psnr_rgb"]) < 0.01
    assert abs(found["psnr_y"] - expected["psnr_y"]) < 0.01


def test_what_was_used_is_stated(clip: Shell) -> None:
    """Arithmetic, layout, optimizer, loss and rate term of every variant are in the results."""
    settings = Settings(
        preset="medium",
        variants=tuple(list(RECIPES)[1:]),
        n_steps=3,
        n_frames=2,
        n_rounds=1,
        precision="bfloat16",
    )
    variants = by_name(compare_speed([clip.folder / "in.y4m"], settings)["runs"][0])
    stated = {
        name: (
            variant["precision"],
            variant["layout"],
            variant["optimizer"],
            variant["loss"],
            variant["rate_weight"],
        )
        for name, variant in variants.items()
    }
    assert stated == {
        "reference": ("float32", "contiguous", "Adam", "l1+ssim", 0),
        "same-recipe": ("bfloat16", "channels last", "fused Adam", "l1+ssim", 0),
        "mse": ("bfloat16", "channels last", "fused Adam", "mse", 0),
        "ours": ("bfloat16", "channels last", "Muon, fused Adam", "mse", 0),
        "ours-ssim": ("bfloat16", "channels last", "Muon, fused Adam", "l1+ssim", 0),
        "preset": ("bfloat16", "channels last", "Muon, fused Adam", "mse", 0.01),
    }


def test_speed_prints_a_row_a_variant(clip: Shell) -> None:
    """bench speed prints what was run, then a table; progress goes to stderr."""
    arguments = [
        "bench",
        "speed",
        "in.y4m",
        "--preset",
        "ultrafast",
        "--steps",
        "6",
        "--frames",
        "2",
        "--rounds",
        "2",
        "--variants",
        "same-recipe",
        "--device",
        "cpu",
    ]
    result = clip(*arguments)
    title, _, heads, _, *rows = result.out.splitlines()
    assert result.code == 0
    assert title.startswith("in, 24x18, 2 frames: ultrafast, ")
    assert "batch 2, 6 steps in 2 rounds; cpu, 1 thread, torch" in title
    assert [row.split()[1] for row in (heads, *rows)] == ["variant", "reference", "same-recipe"]
    assert "next: in, round 2/2, same-recipe" in result.err


def test_speed_as_json_is_the_table(clip: Shell) -> None:
    """bench speed --json prints one object, which gives the same text."""
    result = clip(
        "bench",
        "speed",
        "in.y4m",
        "--preset",
        "ultrafast",
        "--steps",
        "4",
        "--frames",
        "2",
        "--rounds",
        "1",
        "--variants",
        "mse",
        "--seed",
        "3",
        "--json",
        "--device",
        "cpu",
    )
    found = json.loads(result.out)
    assert (result.code, result.err, found["seed"], found["threads"], found["device"]) == (
        0,
        "",
        3,
        1,
        "cpu",
    )
    assert found["command"].startswith("nervcodec bench speed in.y4m")
    assert f"{by_name(found['runs'][0])['mse']['psnr_rgb']:.2f}" in speed_text(found)


def test_a_training_that_fails_says_why(clip: Shell) -> None:
    """What a contestant's process raises is raised here, and a process that has ended is an error
    too.
    """
    plan = speed._plan(clip.folder / "in.y4m", SETTINGS)
    (clip.folder / "in.y4m").unlink()
    contestant = speed._contestant(plan, SETTINGS, "ours")
    with pytest.raises(VideoError, match="in.y4m"):
        contestant.run_round(5)
    with pytest.raises(FitError, match="the process that trains 'ours' has ended"):
        contestant.run_round(5)
    contestant.close()
    assert contestant.process.exitcode == 0


def test_a_contestant_ends_when_it_is_closed(clip: Shell) -> None:
    """Nothing trains on after a bench that was stopped."""
    contestant = speed._contestant(
        speed._plan(clip.folder / "in.y4m", SETTINGS), SETTINGS, "reference"
    )
    contestant.run_round(4)
    contestant.close()
    assert not contestant.process.is_alive()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["speed"], "Missing argument 'CLIP...'"),
        (["roofline", "in.y4m"], "Got unexpected extra argument (in.y4m)"),
        (["speed", "--cases", "medium@16x12"], "No such option"),
        (["speed", "in.y4m", "--variants", "fast"], "variant is 'fast'; legal: same-recipe, "),
        (
            ["speed", "in.y4m", "--steps", "6", "--frames", "2"],
            "steps are 6 in 3 rounds; legal: rounds of more than 2",
        ),
        (["roofline", "--cases", "medium"], "case is 'medium'; legal: PRESET@WIDTHxHEIGHT"),
    ],
)
def test_what_cannot_be_timed_is_an_error(clip: Shell, arguments: list[str], said: str) -> None:
    """A wrong use is one line that names it, exit 2, before anything is trained."""
    result = clip("bench", *arguments, "--device", "cpu")
    assert (result.code, result.out) == (2, "")
    assert said in result.err.splitlines()[-1]


# --- floor ---


def test_least_time_is_the_longer_one() -> None:
    """10 multiply-adds at 5 operations a second take 4 s, 30 bytes at 3 a second 10 s; 20 s are
    twice that.
    """
    work = RooflinePoint(
        "case", "step", "float32", 1, macs=10, n_bytes=30, flops=5, bytes_per_s=3, seconds=20
    )
    assert (work.compute_s, work.memory_s, work.least_s, work.ratio) == (4, 10, 10, 2)


def test_a_floor_has_steps_and_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case gives a step by the preset's recipe, one by ours and a frame decoded in both ways;
    the table has a row for each.
    """
    for name, value in {"_MEASURE_S": 0, "_STEPS_S": 0, "_SIDES": {"cpu": (16,)}}.items():
        monkeypatch.setattr(floor, name, value)
    results = measure_roofline(("medium@16x12", "small-nervpp@16x12"), precision="float32")
    works = results["works"]
    assert results["schema"] == "nervcodec.roofline/1"
    assert list(results["ceilings"]) == ["float32", "bfloat16"]
    assert [(work["case"], work["what"], work["batch"]) for work in works] == [
        (case, what, batch)
        for case in ("medium@16x12", "small-nervpp@16x12")
        for what, batch in (
            ("step, recipe preset", 2),
            ("step, recipe ours", 2),
            ("decoded frame", 8),
            ("decoded frame, --fast", 8),
        )
    ]
    for work in works:
        assert work["ratio"] == work["seconds"] / max(work["compute_s"], work["memory_s"]) > 0
    text = roofline_text(results)
    assert text.count("| medium@16x12 ") == text.count("| small-nervpp@16x12 ") == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "medium",
        "medium@",
        "medium@16",
        "medium@16x",
        "none@16x12",
        "medium@-1x12",
        "medium@16x12x3",
    ],
)
def test_wrong_cases_are_refused(text: str) -> None:
    """Whatever is not PRESET@WIDTHxHEIGHT is named in the error."""
    with pytest.raises(ConfigError, match="case is "):
        parse_case(text)
