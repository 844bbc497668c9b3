"""The player refuses what the specification forbids, with the error and in the words of the
command line.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hostile import CASES, Case, write_all
from player_tool import ask, needs_node

DATA = Path(__file__).parents[1] / "data"
DAMAGED = ("tiny", "gray", "moving_yuv", "shots_yuv", "mlp_rgb")
# What these take is the affair of a reader: tables for each frame, which the player does not keep.
CHEAP = ("bomb-memory-of-tables", "bomb-memory-of-encodings")
# Its message has a number above 2^53, which the player has as the float64 next to it.
ROUNDED = "bomb-multiply-adds-in-the-head"

pytestmark = needs_node


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str] | None]:
    """What the player says of each hostile file."""
    folder = tmp_path_factory.mktemp("hostile")
    write_all(folder)
    answers = ask("refuse", paths=[str(folder / f"{case.name}.nvpp") for case in CASES])
    return {case.name: answer for case, answer in zip(CASES, answers, strict=True)}


def matches(message: str, pattern: str) -> bool:
    """Whether a message is as a pattern has it, in which * alone stands for any text."""
    return fnmatchcase(message, pattern.replace("[", "[[]").replace("?", "[?]"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_files(case: Case, refusals: dict[str, dict[str, str] | None]) -> None:
    """Each is refused by its own error, in one line that says what is wrong."""
    refusal = refusals[case.name]
    if case.name in CHEAP:
        assert refusal is None
        return
    assert refusal is not None
    assert refusal["kind"] == case.error.__name__, refusal
    assert case.name == ROUNDED or matches(refusal["message"], case.message), refusal
    assert "\n" not in refusal["message"]


def assert_harmless(name: str, seed: int, count: int, timeout_s: float) -> None:
    """No damage makes the player hang or stumble."""
    path = str(DATA / f"{name}.nvpp")
    found = ask("damage", timeout_s, path=path, seed=seed, count=count)
    assert found["bugs"] == []
    assert found["slowest_ms"] < 2000
    assert sum(found["kinds"].values()) == count
    assert {"Checksum", "BitstreamError"} <= set(found["kinds"])


@pytest.mark.parametrize("name", DAMAGED)
def test_flipped_bits(name: str) -> None:
    """Flipped bits are refused with an error of the format, whether or not checksums fit."""
    assert_harmless(name, 7, 80, 60.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGED)
def test_many_flipped_bits(name: str) -> None:
    """The same of 10,000 files."""
    assert_harmless(name, 11, 2000, 600.0)
