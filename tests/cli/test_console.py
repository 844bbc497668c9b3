"""nervcodec.cli.console: what long work says of itself."""

from __future__ import annotations

import pytest

from nervcodec.cli.console import late_count, set_level


class Clock:
    """A clock that is set by hand, in place of the module time."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock, where as much is said as usual."""
    set_level(0)
    made = Clock()
    monkeypatch.setattr("nervcodec.cli.console.time", made)
    return made


@pytest.mark.parametrize(
    ("n_all", "shown"),
    [
        (100, ["survey 20/100 frames", "survey 100/100 frames"]),
        (90, ["survey 20/90 frames", "survey 90/90 frames"]),
        (None, ["survey 20 frames"]),
        (19, ["survey 20 frames"]),
    ],
)
def test_a_count_is_shown_once_it_is_late(
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    n_all: int | None,
    shown: list[str],
) -> None:
    """After two seconds, then every ten, and at the end; where more come than were expected, or
    nobody knows how many, their number alone.
    """
    with late_count("survey") as count:
        for n_done in range(1, 101):
            clock.now_s = n_done / 10
            count(n_done, n_all)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"nervcodec: {text}" for text in shown]


def test_a_count_that_is_not_late_is_not_shown(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is said of what takes less than two seconds, nor where nothing is to be said."""
    for is_quiet, end_s in ((False, 1.9), (True, 99.0)):
        clock.now_s = 0.0
        with late_count("survey", is_quiet) as count:
            clock.now_s = end_s
            count(1, 1)
    assert capsys.readouterr().err == ""


def test_a_long_count_is_shown_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where stderr is no terminal."""
    with late_count("survey") as count:
        for n_done in range(1, 31):
            clock.now_s = n_done
            count(n_done, 900)
    numbers = [line.split()[2] for line in capsys.readouterr().err.splitlines()]
    assert numbers == ["2/900", "13/900", "24/900"]
