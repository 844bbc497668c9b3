"""nervcodec.format.times: when frames are shown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.errors import ConfigError
from nervcodec.format.times import (
    FrameTimes,
    read_times,
    seconds_of,
    timed_part,
    write_times,
)
from nervcodec.format.video_format import VideoFormat

MS = Fraction(1, 1000)
FORM = VideoFormat(16, 16, Fraction(25), 5)
TICKS = [500, 540, 580, 700, 740]
TIMES = FrameTimes.of_ticks(MS, TICKS, 60)


@given(
    st.lists(st.sampled_from([1, 33, 34, 3003, 2**32 - 1]), min_size=1, max_size=40),
    st.fractions(min_value=Fraction(1, 10**6), max_value=10, max_denominator=10**6),
    st.integers(0, 2**53),
    st.integers(0, 2**32 - 1),
)
def test_times_come_back(steps: list[int], unit: Fraction, start: int, last: int) -> None:
    """Times are the same after writing and reading."""
    times = FrameTimes.of_ticks(unit, list(accumulate(steps, initial=start)), last)
    form = replace(FORM, n_frames=len(steps) + 1)
    assert read_times(write_times(times)) == times
    assert times.ticks(form)[:-1] == list(accumulate(steps, initial=start))
    assert times.ticks(form)[-1] - times.ticks(form)[-2] == (last or steps[-1])


def test_a_gap_takes_a_few_bytes() -> None:
    """An hour of constant rate with one dropped frame takes 20 bytes, a jitter of some units one
    byte a frame.
    """
    gap = FrameTimes(Fraction(1, 90000), 0, ((3000, 60_000), (6000, 1), (3000, 48_000)))
    jitter = [3000 + (7 * n) % 13 for n in range(1000)]
    assert len(write_times(gap)) <= 20
    assert len(write_times(FrameTimes.of_ticks(MS, list(accumulate(jitter))))) < 1020


def test_a_start_alone_follows_the_rate() -> None:
    """Without steps, frames follow the first one at the rate of the header."""
    times = FrameTimes(MS, 500)
    form = replace(FORM, frame_rate=Fraction(24))
    assert times.ticks(form) == [500, 542, 583, 625, 667, 708]
    assert not times.is_variable and read_times(write_times(times)) == times


def test_a_part_begins_at_zero() -> None:
    """Frames of the middle keep their distances, and the last one how long it was shown."""
    form, times = timed_part(FORM, TIMES, range(1, 4))
    assert times and times.ticks(form) == [0, 40, 160, 200]
    assert form.n_frames == 3 and form.frame_rate == 15


def test_a_part_from_the_beginning_keeps_the_start() -> None:
    """The first frames are as late as they were."""
    form, times = timed_part(FORM, TIMES, range(4))
    assert times and times.ticks(form) == [500, 540, 580, 700, 740]


def test_a_regular_part_needs_no_times() -> None:
    """Where the part has a constant rate, that is its rate."""
    _, times = timed_part(FORM, TIMES, range(1, 3))
    assert times == FrameTimes(MS, 0, ((40, 1),), 120)  # the second one is shown for longer
    steady = FrameTimes.of_ticks(MS, [0, 40, 80, 120, 1000], 40)
    form, times = timed_part(replace(FORM, frame_rate=Fraction(99)), steady, range(1, 3))
    assert times is None and form.frame_rate == 25


def test_the_whole_is_as_it_was() -> None:
    """All frames keep format and times."""
    assert timed_part(FORM, TIMES, range(5)) == (FORM, TIMES)


def test_seconds_of_a_frame() -> None:
    """Frames and the end have a time, with frame times or a rate."""
    assert [float(seconds_of(FORM, TIMES, n)) for n in (0, 3, 5)] == [0.5, 0.7, 0.8]
    assert [seconds_of(FORM, None, n) for n in (0, 5)] == [0, Fraction(1, 5)]
    assert seconds_of(FORM, FrameTimes(MS, 500), 1) == Fraction(27, 50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": Fraction(2**31)}, "term of the time base is 2147483648; legal: 1 to 2147483647"),
        ({"start": -1}, "start is -1; legal: 0 to "),
        ({"last_duration": 2**32}, "duration of the last frame is 4294967296; legal: 0 to"),
        ({"steps": ((0, 1),)}, "step of the frame times is 0; legal: 1 to"),
        ({"steps": ((1, 0),)}, "steps of a run is 0; legal: 1 to"),
    ],
)
def test_times_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    """Every value lies in its range."""
    with pytest.raises(ConfigError, match=message):
        replace(TIMES, **changes)
