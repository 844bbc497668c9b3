"""Streams that are full, closed or read no further: the work is done all the same, or it is one
line.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest
from fresh import ENVIRONMENT
from shell import Shell, write_clip

from nervcodec.format.container import load

ENCODE = ("encode", "in.y4m", "out.nvpp", "--preset", "ultrafast", "--bits", "2", "--epochs", "1")


def unread() -> TextIO:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w")


def full() -> TextIO:
    return open("/dev/full", "w")


@pytest.fixture
def clip(shell: Shell) -> Shell:
    write_clip(shell.folder / "in.y4m", 8, 6, 2)
    return shell


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("stdout", unread),
        ("stderr", unread),
        ("stderr", full),
        *((name, lambda: None) for name in ("stdin", "stdout", "stderr")),
    ],
    ids=["unread stdout", "unread stderr", "full stderr", "no stdin", "no stdout", "no stderr"],
)
@pytest.mark.parametrize("json", [[], ["--json"]], ids=["table", "json"])
def test_an_encode_is_done_though_nobody_listens(
    clip: Shell,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    stream: Callable[[], TextIO | None],
    json: list[str],
) -> None:
    """Where a stream has no other end, the encode goes on to its end, and decode and info do their
    work.
    """
    for command in (
        [*ENCODE, *json],
        ["info", "out.nvpp", *json],
        ["decode", "out.nvpp", "back.y4m", *json],
    ):
        with monkeypatch.context() as patch:
            patch.setattr(sys, name, stream())
            result = clip(*command)
            if (opened := getattr(sys, name)) is not None:
                opened.close()
        assert result.code == 0 and "Traceback" not in result.err
    assert load(clip.folder / "out.nvpp").header.format.n_frames == 2
    assert sorted(path.name for path in clip.folder.iterdir()) == ["back.y4m", "in.y4m", "out.nvpp"]


def test_a_full_stdout_is_one_line(clip: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that cannot be written are exit 6 and one line; a file that is done by then stays."""
    for command in ([*ENCODE, "--json"], ["info", "out.nvpp"], ["verify", "out.nvpp", "--json"]):
        with monkeypatch.context() as patch, full() as stream:
            patch.setattr(sys, "stdout", stream)
            result = clip(*command)
        assert (result.code, result.err.splitlines()) == (
            6,
            ["nervcodec: error: cannot write to stdout: No space left on device"],
        )
    assert load(clip.folder / "out.nvpp").header.format.n_frames == 2


def test_an_error_though_nobody_listens(clip: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error has its code even where its line cannot be written."""
    with monkeypatch.context() as patch, full() as stream:
        patch.setattr(sys, "stderr", stream)
        assert clip("encode", "in.y4m", "nowhere/out.nvpp").code == 6


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path, small_file: bytes) -> None:
    """Where output is ASCII alone, a name with other letters is escaped, in answers and errors."""
    (tmp_path / "ü.nvpp").write_bytes(small_file)
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    for name, code, stream in (("ü.nvpp", 0, "stdout"), ("ö.nvpp", 3, "stderr")):
        done = subprocess.run(
            [sys.executable, "-m", "nervcodec", "info", name],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code
        assert ascii(name)[1:-1] in getattr(done, stream)
