"""nervcodec.cli: what --help shows, and that docs/reference/cli.md is what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shell import Shell

from nervcodec.cli.main import command, commands
from nervcodec.cli.params import Option
from nervcodec.cli.reference import reference
from nervcodec.encoder.presets import PRESETS

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
COMMANDS = list(commands())


@pytest.fixture
def wide(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    return shell


def test_the_reference_is_current() -> None:
    """docs/reference/cli.md is what `python -m nervcodec.cli.reference` prints."""
    assert DOCUMENT.read_text("utf-8") == reference()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_takes_one_line(wide: Shell, name: str) -> None:
    """No line of help is the second one of an option."""
    out = wide(*name.split(), "--help").out
    options = out[out.index("\n\n", out.index("Usage:") + 1) :]
    assert not re.findall(r"^ {5,}\S.*$", options, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 98


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_takes(name: str) -> None:
    """An option with a value has a metavar, and every one has a text that starts in lower case and
    has no full stop.
    """
    for option in command(name).params:
        if isinstance(option, Option):
            assert option.is_flag or option.metavar
            assert option.help and not option.help.endswith(".") and option.help[:2] != "A "


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        (
            "encode",
            [
                "Examples",
                "Target (at most one)",
                "Time and quality",
                "Input",
                "Output",
                "Several segments at once",
                "Advanced",
                "Other",
            ],
        ),
        ("decode", ["Examples", "Output", "Damaged and large files", "Advanced", "Other"]),
        ("info", ["Options"]),
        ("play", ["Examples", "Options"]),
        ("completion", ["Examples", "Options"]),
        ("bench", ["Examples", "Codecs", "Clips", "Results", "Other"]),
        ("bench speed", ["Examples", "Options"]),
    ],
)
def test_help_has_sections(wide: Shell, name: str, sections: list[str]) -> None:
    """Examples come first, then the options by what they are about."""
    out = wide(*name.split(), "--help").out
    assert re.findall(r"^(\S.*):$", out, re.MULTILINE) == sections


def test_every_example_is_a_command() -> None:
    """The options that examples use exist."""
    for name, found in commands().items():
        for words, _ in getattr(found, "examples", ()):
            used = {word for word in words.split() if word.startswith("--")}
            assert used <= {each for option in found.params for each in option.opts}, name


def test_help_names_the_presets() -> None:
    """The presets that help lists are there."""
    (option,) = (each for each in command("encode").params if each.name == "preset")
    assert isinstance(option, Option) and option.help
    ours, _, sizes = option.help.partition("paper-")
    named = [*re.findall("[a-z]+", ours), *(f"paper-{size}" for size in sizes.split("/"))]
    assert len(named) == 7 and set(named) <= set(PRESETS)
    assert [name for name in PRESETS if name in named] == named


def test_the_program_names_its_commands(shell: Shell) -> None:
    """`nervcodec --help` has a line for each command, which is a sentence."""
    lines = re.findall(r"^  ([a-z ]+?)  +([A-Z].*\.)$", shell("--help").out, re.MULTILINE)
    assert [name for name, _ in lines] == COMMANDS
