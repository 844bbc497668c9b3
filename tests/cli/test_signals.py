"""nervcodec.cli: signals end a command with a line and a code, and what was reached is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from shell import Shell, error_line, write_clip

from nervcodec.encoder.resume import Journal, Pace

ENCODE = ("encode", "in.y4m", "out.nvpp", "--epochs", "4")


@pytest.fixture
def signalled(shell: Shell, monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[Shell]:
    """A folder with in.y4m, in which an encode gets a signal after its second checkpoint."""
    write_clip(shell.folder / "in.y4m")
    before = signal.getsignal(number)
    original, n_left = Journal.add_checkpoint, [2]

    def add(journal: Journal, *arguments: Any) -> None:
        original(journal, *arguments)
        n_left[0] -= 1
        if n_left[0] == 0:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Journal, "add_checkpoint", add)
    monkeypatch.setattr(Pace, "is_due", lambda _: True)
    yield shell
    signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_fit_with_a_checkpoint(signalled: Shell, number: int) -> None:
    """Exit 8, one line on how to go on, and no output."""
    result = signalled(*ENCODE)
    assert result.code == 8
    assert result.err.splitlines()[-1].endswith("the same command goes on from there")
    assert not (signalled.folder / "out.nvpp").exists()
    assert (signalled.folder / "out.nvpp.part").is_dir()


@pytest.mark.parametrize("number", [signal.SIGHUP])
def test_nohup_is_heeded(signalled: Shell, number: int) -> None:
    """Where a hang-up is ignored, the encode goes on to its end."""
    signal.signal(number, signal.SIG_IGN)
    assert signalled(*ENCODE).code == 0
    assert (signalled.folder / "out.nvpp").exists()


def test_an_interruption_before_the_fit_says_what_is_kept(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a resumed encode still reads its input does not deny what was reached before."""
    write_clip(shell.folder / "in.y4m")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nervcodec.encoder.survey.probe_source", interrupt)
    result = shell(*ENCODE)
    assert result.code == 8 and "interrupted; nothing was written" in result.err
    (shell.folder / "out.nvpp.part").mkdir()
    (shell.folder / "out.nvpp.part" / "fit-00000").write_bytes(b"reached")
    result = shell(*ENCODE)
    assert result.code == 8 and "is kept in out.nvpp.part, the same command" in error_line(result)
