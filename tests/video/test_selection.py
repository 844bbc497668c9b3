"""nervcodec.video.selection: parts of a source, and a constant rate."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nervcodec.errors import ConfigError
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.selection import Part, Selection, select

MS = Fraction(1, 1000)
FORM = VideoFormat(16, 16, Fraction(25), 10)
# Frames at these milliseconds, the last of which lasts 100.
TICKS = [0, 33, 66, 500, 540, 580, 1000]
TIMES = FrameTimes.of_ticks(MS, TICKS, 100)
VARIABLE = VideoFormat(16, 16, Fraction(70, 11), 7)


def seconds(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


def chosen(
    seek: str | None = None, duration: str | None = None, times: FrameTimes | None = None
) -> Selection:
    """The frames from a time on."""
    part = Part(seek_s=seconds(seek), duration_s=seconds(duration))
    return select(VARIABLE if times else FORM, times, part, None)


@pytest.mark.parametrize(
    ("frames", "numbers"), [((0, None), range(10)), ((0, 3), range(3)), ((4, None), range(4, 10))]
)
def test_parts_by_number(frames: tuple[int, int | None], numbers: range) -> None:
    """Frames are counted from 0, and the part ends before its second number."""
    selection = select(FORM, None, Part(frames), None)
    assert selection.numbers == numbers and selection.format.n_frames == len(numbers)
    assert selection.span_s == (Fraction(numbers.start, 25), Fraction(numbers.stop, 25))


@pytest.mark.parametrize(
    ("seek", "duration", "numbers"),
    [
        ("0", None, range(10)),
        ("0.08", None, range(2, 10)),
        ("0.081", None, range(3, 10)),
        (None, "0.12", range(3)),
        (None, "0.121", range(4)),
        ("0.2", "0.08", range(5, 7)),
        ("0.36", "9", range(9, 10)),
        ("0.2", "0.001", range(5, 6)),
    ],
)
def test_parts_by_time(seek: str | None, duration: str | None, numbers: range) -> None:
    """A part has the frames that begin within it, and at least one."""
    assert chosen(seek, duration).numbers == numbers


def test_times_are_those_of_the_frames() -> None:
    """Where frames have times, these tell what lies within a part; its own times begin at 0."""
    selection = chosen("0.5", "0.08", TIMES)
    assert selection.numbers == range(3, 5)
    assert selection.span_s == (Fraction(1, 2), Fraction(29, 50))
    assert selection.times is None and selection.format.frame_rate == 25
    later = chosen("0.54", None, TIMES)
    assert later.times and later.times.ticks(later.format) == [0, 40, 460, 560]
    assert later.notes == ("variable frame rate, 5.357 fps in the mean: the frame times are kept",)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Part((3, 11)), "frames are 3:11; legal: A:B with 0 <= A < B <= 10"),
        (Part((10, None)), "frames are 10:10; legal: A:B with 0 <= A < B <= 10"),
        (Part(seek_s=Fraction(1)), "seek is 1 s; legal: up to 0.360 s, where the last frame"),
    ],
)
def test_parts_that_are_not_there(part: Part, message: str) -> None:
    """A part has frames that the source has."""
    with pytest.raises(ConfigError, match=message):
        select(FORM, None, part, None)


@pytest.mark.parametrize(
    ("cfr", "numbers"),
    [
        (25, list(range(10))),
        (50, [n for n in range(10) for _ in range(2)]),
        (5, [0, 5]),
        (10, [0, 2, 5, 7]),
        (Fraction(75, 2), [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9]),
    ],
)
def test_a_constant_rate_of_a_constant_rate(cfr: Fraction, numbers: list[int]) -> None:
    """At every tick that frame is shown which began last."""
    selection = select(FORM, None, Part(), Fraction(cfr))
    assert list(selection.numbers) == numbers
    assert (selection.format.frame_rate, selection.format.n_frames) == (cfr, len(numbers))


def test_a_constant_rate_of_times() -> None:
    """Ticks fall between the frames' times; frames without one are dropped, gaps are filled."""
    selection = select(VARIABLE, TIMES, Part(), Fraction(10))
    assert selection.numbers == [0, 2, 2, 2, 2, 3, 5, 5, 5, 5, 6]
    assert selection.times is None
    assert selection.notes == (
        "constant 10 fps as asked makes 11 of 7 frames: 2 dropped, 6 repeated",
    )


def test_times_that_are_rounded_drop_nothing() -> None:
    """Half a unit of the time base does not decide: 30 fps in milliseconds stay 30 fps."""
    times = FrameTimes.of_ticks(MS, [0, 33, 67, 100, 133, 167, 200, 300], 33)
    form = VideoFormat(16, 16, Fraction(24), 8)
    assert select(form, times, Part(), Fraction(30)).numbers == [0, 1, 2, 3, 4, 5, 6, 6, 6, 7]


def test_a_constant_rate_of_a_part() -> None:
    """Ticks are counted from the first frame of the part."""
    selection = select(VARIABLE, TIMES, Part((3, 6)), Fraction(20))
    assert selection.numbers == [3, 4, 5, 5, 5, 5, 5, 5, 5, 5]


def test_a_constant_rate_keeps_a_start() -> None:
    """A video that begins late begins late at any rate."""
    selection = select(FORM, FrameTimes(MS, 500), Part(), Fraction(5))
    assert (selection.numbers, selection.times) == ([0, 5], FrameTimes(MS, 500))
