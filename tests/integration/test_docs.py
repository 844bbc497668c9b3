"""Code blocks of README and guide: sh and python blocks run, console lines parse."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from shell import Shell, write_clip

import nervcodec
from nervcodec.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LANGUAGES = {"sh", "python", "console", "text", "toml", "json"}


READ = ("README.md", "docs/index.md", "docs/contributing.md")
FOLDERS = ("guide", "reference", "design")


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code blocks of a page in some languages, in their order."""
    return [code for name, code in _BLOCK.findall(page.read_text("utf-8")) if name in languages]


def commands(code: str) -> Iterator[list[str]]:
    """Yield the words of each nervcodec command in a block, without prompt, comment and pipe."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words[:1] == ["nervcodec"] and (line.startswith("$ ") or "$ " not in code):
            end = next((i for i, word in enumerate(words) if word in ("|", ">", "&&", "2>")), None)
            yield words[1:end]


def name_of(page: Path) -> str:
    """Return a page's path below the root."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_its_language(page: Path) -> None:
    """A block without a language, or of an unknown one, would be checked by nobody."""
    assert {name for name, _ in _BLOCK.findall(page.read_text("utf-8"))} <= _LANGUAGES


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=name_of)
def test_shell_blocks_run(page: Path, shell: Shell) -> None:
    """The sh blocks of a page run in order in one folder with a small input.y4m."""
    write_clip(shell.folder / "input.y4m", 32, 24, 8)
    for line in "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["nervcodec"] and not set(words) & {"|", ">", "<", "&&", ";"}:
            result = shell(*words[1:])
            assert result.code == 0, (line, result.err)
        elif words:
            run_in_bash(line, shell.folder)


def run_in_bash(line: str, folder: Path) -> None:
    """Run a line of shell with nervcodec on the path.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    program = folder / ".bin" / "nervcodec"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nervcodec "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    script = ["bash", "-euo", "pipefail", "-c", line]
    subprocess.run(script, cwd=folder, env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")], ids=name_of)
def test_console_lines_are_commands(page: Path) -> None:
    """Every nervcodec command of a console block parses: its options exist and are legal."""
    for words in (words for code in blocks(page, "console") for words in commands(code)):
        context = cli.make_context("nervcodec", list(words), resilient_parsing=False)
        group: click.Command = cli
        rest = [*context._protected_args, *context.args]
        while isinstance(group, click.Group) and rest:
            name, command, rest = group.resolve_command(context, rest)
            assert command, words
            context = command.make_context(name, list(rest), parent=context)
            group, rest = command, [*context._protected_args, *context.args]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The python blocks of a page run in order as one script beside a small input.y4m."""
    write_clip(tmp_path / "input.y4m", 32, 24, 8)
    monkeypatch.chdir(tmp_path)
    script = compile("\n".join(blocks(page, "python")), name_of(page), "exec")
    exec(script, {"nervcodec": nervcodec})


def test_what_must_be_read_is_short() -> None:
    """README, index, guide, reference, design and contributing are less than 74,000 bytes.

    The specification, which a program that reads the format is written from, has a limit of its
    own in tests/conformance/test_spec.py.
    """
    pages = [ROOT / name for name in READ]
    for folder in FOLDERS:
        pages += (ROOT / "docs" / folder).rglob("*.md")
    pages.remove(ROOT / "docs" / "reference" / "nvpp-format.md")
    assert len(pages) > 20
    assert sum(page.stat().st_size for page in pages) < 74_000
