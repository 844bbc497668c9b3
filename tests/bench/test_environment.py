"""nervcodec.bench.environment: when, where and with what figures were measured."""

import re

import pytest

from nervcodec import __version__
from nervcodec.bench import environment
from nervcodec.bench.environment import commit, machine, now, versions


def test_now_is_in_utc() -> None:
    """A time has date, time to the second and Z."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())


def test_versions() -> None:
    """Our version stands beside those of what figures depend on, missing packages among them."""
    assert versions()["nervcodec"] == __version__
    assert all(versions()[name] for name in ("python", "ffmpeg", "torch", "numpy"))


def test_machine() -> None:
    """A machine has a processor, cores and memory."""
    here = machine()
    assert here["cpu"] and here["cores"] >= 1 and here["memory_gib"] > 0


def test_commit() -> None:
    """A commit is a short hash, or empty where the source stands in no checkout."""
    assert re.fullmatch("[0-9a-f]{7,40}|", commit())


def test_commit_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no git, the commit is not known."""
    monkeypatch.setenv("PATH", "")
    assert environment.commit() == ""
