"""nervcodec.util.threads: how many cores other work leaves idle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nervcodec.util.threads import idle_cores, limit_spinning, n_cores

CORES = sorted(os.sched_getaffinity(0))


def stat(busy: int, idle: int) -> str:
    """What proc(5)'s stat says once each core of ours was so many ticks busy and idle."""
    lines = [f"cpu{core} {busy} 0 0 {idle} 0 0 0 0 0 0" for core in CORES]
    return "\n".join(["cpu 9 9 9 9 9 9 9 9 0 0", *lines, "cpu9999 99 0 0 0 0 0 0 0 0 0", "intr 1"])


@pytest.mark.parametrize(
    ("busy", "idle", "share"), [(0, 20, 1.0), (20, 0, 0.0), (10, 10, 0.5), (0, 0, 1.0)]
)
def test_idle_cores_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int, idle: int, share: float
) -> None:
    """From the ticks that pass, of our own cores alone; all where none pass."""
    path = tmp_path / "stat"
    path.write_text(stat(1000, 500))
    monkeypatch.setattr("time.sleep", lambda _: path.write_text(stat(1000 + busy, 500 + idle)))
    assert idle_cores(path) == round(share * n_cores()) and n_cores() == len(CORES)


def test_without_a_count_all_are_idle(tmp_path: Path) -> None:
    """Where the system does not tell, nothing is held back."""
    assert idle_cores(tmp_path / "none", 0) == n_cores()


def test_the_users_spinning_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set stays, else threads spin for a moment."""
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == "10000"
