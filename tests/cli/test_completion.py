"""nervcodec completion and man."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from shell import Shell, error_line

from nervcodec.cli.main import commands


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: Shell, name: str) -> None:
    """Each shell gets a script that asks nervcodec in that shell's form."""
    result = shell("completion", name)
    assert (result.code, result.err) == (0, "")
    assert f"_NERVCODEC_COMPLETE={name}_complete" in result.out


def test_the_script_of_bash_is_one_of_bash(shell: Shell) -> None:
    """bash takes it, and has a function for nervcodec then."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    script = f"{shell('completion', 'bash').out}\ncomplete -p nervcodec"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "_nervcodec_completion" in done.stdout


def test_another_shell_is_refused(shell: Shell) -> None:
    """The line names the shells that there are."""
    result = shell("completion", "tcsh")
    assert result.code == 2 and "'bash', 'zsh', 'fish'" in error_line(result)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("nervcodec ver", ["plain,verify"]),
        ("nervcodec encode --time", ["plain,--time-budget"]),
        ("nervcodec encode --preset ve", ["plain,veryslow"]),
        ("nervcodec decode a", ["file,a"]),
        ("nervcodec completion f", ["plain,fish"]),
    ],
)
def test_words_are_completed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: str, found: list[str]
) -> None:
    """Commands, options, their values and files are completed."""
    monkeypatch.setenv("_NERVCODEC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    assert shell().out.split() == found


def test_the_manual_has_every_command_and_option(shell: Shell) -> None:
    """Each command has a section, each of its options an entry."""
    page = shell("man").out.replace(r"\-", "-")
    assert re.findall(r"^\.SS (.*)$", page, re.MULTILINE) == list(commands())
    for command in commands().values():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert any(f"{name}" in page for name in parameter.opts)


def test_no_text_of_the_manual_is_a_macro(shell: Shell) -> None:
    """Every line that begins with a dot is one of our macros."""
    lines = [line for line in shell("man").out.splitlines() if line.startswith((".", "'"))]
    assert {line.split()[0] for line in lines} == {
        *(".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".br"),
    }


@pytest.mark.parametrize("linter", [("man", "-l", "--warnings"), ("mandoc", "-T", "lint")])
def test_the_manual_is_in_order(shell: Shell, tmp_path: Path, linter: tuple[str, ...]) -> None:
    """man and mandoc have nothing to complain of, where they are there."""
    if shutil.which(linter[0]) is None:
        pytest.skip(f"there is no {linter[0]}")
    page = tmp_path / "nervcodec.1"
    page.write_text(shell("man").out)
    done = subprocess.run([*linter, str(page)], capture_output=True, text=True)
    said = done.stderr if linter[0] == "man" else done.stdout
    serious = [line for line in said.splitlines() if "STYLE" not in line and "date" not in line]
    assert serious == []
