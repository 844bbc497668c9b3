"""nervcodec.util.memory: what the system says of memory, and what is refused by it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Shell, write_clip

import nervcodec
from nervcodec.util.memory import available_bytes, keep_freed_memory, peak_bytes


def test_the_scarcer_of_machine_and_group_counts(tmp_path: Path) -> None:
    """What is available is MemAvailable, or what the control group has left if that is less."""
    (tmp_path / "meminfo").write_text("MemTotal:  900 kB\nMemAvailable:    500 kB\n")
    assert available_bytes(tmp_path / "meminfo", tmp_path) == 500 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("3000\n")
    assert available_bytes(tmp_path / "meminfo", tmp_path) == 500 * 1024
    (tmp_path / "memory.max").write_text("10000\n")
    assert (
        available_bytes(tmp_path / "meminfo", tmp_path)
        == available_bytes(tmp_path / "none", tmp_path)
        == 7000
    )


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    """A system without these files has an unknown amount of memory."""
    (tmp_path / "meminfo").write_text("MemTotal:  900 kB\n")
    assert available_bytes(tmp_path / "meminfo", tmp_path) is None


def test_the_peak_holds_what_was_held() -> None:
    """After 64 MiB were filled the peak is at least so much."""
    assert len(b"x" * (64 << 20)) == 64 << 20 <= peak_bytes()


FAULTS = """
import resource, sys
from threading import Thread
from nervcodec.util.memory import keep_freed_memory

def work():
    for _ in range(5):
        maps = [b"x" * (20 << 20) for _ in range(4)]
        del maps

def threaded():
    thread = Thread(target=work)
    thread.start()
    thread.join()

kept = sys.argv[1:] == ["keep"] and keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
threaded()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc")
def test_freed_memory_is_used_again() -> None:
    """80 MiB filled ten times over, half of them on another thread, have their pages made once and
    not ten times.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_"))
    }
    environment["PYTHONPATH"] = str(Path(nervcodec.__file__).parent.parent)
    (without, given), (with_it, kept) = (
        map(
            int,
            subprocess.run(
                [sys.executable, "-c", FAULTS, *mode],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split(),
        )
        for mode in ((), ("keep",))
    )
    assert (without, with_it) == (0, 1) and 4 * kept < given


def test_the_users_tuning_of_malloc_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a setting of malloc in the environment nothing is set."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert not keep_freed_memory()


@pytest.mark.parametrize(
    "options", [["--max-memory", "0.1"], ["--max-memory", "0.1", "--dry-run"]], ids=" ".join
)
def test_a_fit_that_does_not_fit_is_refused(shell: Shell, options: list[str]) -> None:
    """Exit 5 with the estimate and what is allowed, and nothing is begun."""
    write_clip(shell.folder / "in.y4m")
    result = shell("encode", "in.y4m", "out.nvpp", *options)
    assert (result.code, result.out) == (5, "")
    assert "the fit takes about " in result.err
    assert (
        "MiB of memory, more than the 102 MiB that are allowed; --max-memory allows more"
        in result.err
    )
    assert [path.name for path in shell.folder.iterdir()] == ["in.y4m"]


def test_what_is_left_is_the_limit(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unasked, what the machine has left is the limit; where that is unknown there is none."""
    write_clip(shell.folder / "in.y4m")
    monkeypatch.setattr("nervcodec.nn.device.available_bytes", lambda: 50 << 20)
    refused = shell("encode", "in.y4m", "out.nvpp", "--dry-run")
    assert refused.code == 5 and "more than the 50 MiB that are left" in refused.err
    assert shell("encode", "in.y4m", "out.nvpp", "--dry-run", "--max-memory", "2").code == 0
    monkeypatch.setattr("nervcodec.nn.device.available_bytes", lambda: None)
    assert shell("encode", "in.y4m", "out.nvpp", "--dry-run").code == 0


def test_the_report_has_the_peaks(shell: Shell) -> None:
    """The peaks of the phases grow from one to the next, and stand in text and JSON."""
    write_clip(shell.folder / "in.y4m")
    result = shell("encode", "in.y4m", "out.nvpp", "--epochs", "1", "--json")
    peaks = json.loads(result.out)["peak_memory"]
    assert 50 << 20 < peaks["fit"]["resident"] <= peaks["measure"]["resident"] <= peak_bytes()
    text = shell("encode", "-y", "in.y4m", "out.nvpp", "--epochs", "1")
    assert "peak memory" in text.out and "MiB, measure " in text.out
