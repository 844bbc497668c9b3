"""When each frame is shown, where that is more than a constant rate says (nvpp-format.md section
2.11). Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise

from nervcodec.errors import InvalidField
from nervcodec.format.reader import Reader
from nervcodec.format.varints import folded, read_varint, unfolded, write_varint
from nervcodec.format.video_format import VideoFormat
from nervcodec.util.validation import check_range

# FFmpeg keeps time bases as ratios of 32-bit integers.
MAX_TERM = 2**31 - 1
MAX_START = 2**53
MAX_STEP = 2**32 - 1


@dataclass(frozen=True)
class FrameTimes:
    """When each frame is shown, in whole units of time.

    Attributes:
        unit: seconds, a fraction of integers up to 2^31 - 1 (FFmpeg's time base).
        start: time of the first frame, 0 to 2^53 units.
        steps: (units from one frame to the next, how many such steps), in runs; empty where frames
            follow each other at the rate of the header.
        last_duration: units that the last frame is shown, 0 where that is not known.

    Raises:
        ConfigError: a value outside its range.
    """

    unit: Fraction
    start: int = 0
    steps: tuple[tuple[int, int], ...] = ()
    last_duration: int = 0

    def __post_init__(self) -> None:
        for term in (self.unit.numerator, self.unit.denominator):
            check_range("term of the time base", term, 1, MAX_TERM)
        check_range("start", self.start, 0, MAX_START)
        check_range("duration of the last frame", self.last_duration, 0, MAX_STEP)
        for step, n_steps in self.steps:
            check_range("step of the frame times", step, 1, MAX_STEP)
            check_range("steps of a run", n_steps, 1, MAX_STEP)

    @staticmethod
    def of_ticks(unit: Fraction, ticks: Sequence[int], last_duration: int = 0) -> FrameTimes:
        """Return the times of frames at these ticks, which must rise."""
        steps = (after - before for before, after in pairwise(ticks))
        runs = tuple((step, sum(1 for _ in run)) for step, run in groupby(steps))
        return FrameTimes(unit, ticks[0], runs, last_duration)

    @property
    def is_variable(self) -> bool:
        """Whether frames have times of their own."""
        return bool(self.steps)

    @property
    def start_s(self) -> Fraction:
        """Seconds from the file's start to the first frame."""
        return self.start * self.unit

    @property
    def n_frames(self) -> int | None:
        """Frames that have times, None where the rate of the header tells."""
        return 1 + sum(n_steps for _, n_steps in self.steps) if self.steps else None

    def span_s(self, form: VideoFormat) -> Fraction:
        """Return the seconds from the first frame to the end of the last one.

        Args:
            form: of the frames.
        """
        if not self.steps:
            return form.n_frames / form.frame_rate
        last = self.last_duration or self.steps[-1][0]
        return (sum(step * n_steps for step, n_steps in self.steps) + last) * self.unit

    def ticks(self, form: VideoFormat) -> list[int]:
        """Return the time of every frame, and the end of the last one, in units.

        Args:
            form: of the frames.
        """
        if not self.steps:
            numbers = range(form.n_frames + 1)
            return [self.start + round(n / form.frame_rate / self.unit) for n in numbers]
        ticks = [self.start]
        for step, n_steps in self.steps:
            ticks += range(ticks[-1] + step, ticks[-1] + step * n_steps + 1, step)
        return [*ticks, ticks[-1] + (self.last_duration or self.steps[-1][0])]

    def selected(self, numbers: Sequence[int], form: VideoFormat) -> FrameTimes:
        """Return the times of some frames.

        They begin at 0, unless the first one is among them.

        Args:
            numbers: of the frames, rising.
            form: of all frames.
        """
        start = self.start if numbers[0] == 0 else 0
        if not self.steps:
            return replace(self, start=start)
        ticks = self.ticks(form)
        times = [ticks[number] - ticks[numbers[0]] + start for number in numbers]
        last = numbers[-1]
        duration = (
            self.last_duration if last == form.n_frames - 1 else ticks[last + 1] - ticks[last]
        )
        return FrameTimes.of_ticks(self.unit, times, duration)


def timed_part(
    form: VideoFormat, times: FrameTimes | None, numbers: range
) -> tuple[VideoFormat, FrameTimes | None]:
    """Return format and times of a part of a video: its rate is the part's own.

    Args:
        form, times: of the whole video.
        numbers: the frames of the part.
    """
    part = replace(form, n_frames=len(numbers))
    if times is None or numbers == range(form.n_frames):
        return part, times
    chosen = times.selected(numbers, form)
    if not times.is_variable:
        return part, chosen if chosen.start else None
    ticks = times.ticks(form)[numbers.start : numbers.stop + 1]
    part = replace(part, frame_rate=average_rate(times.unit, ticks))
    is_constant = len({after - before for before, after in pairwise(ticks)}) == 1
    return part, None if is_constant and not chosen.start else chosen


def average_rate(unit: Fraction, ticks: Sequence[int]) -> Fraction:
    """Return the frames a second of frames at these ticks, the last of which is the end."""
    return rate_over(len(ticks) - 1, (ticks[-1] - ticks[0]) * unit)


def rate_over(n_frames: int, span_s: Fraction) -> Fraction:
    """Return the frames a second of so many frames in so many seconds."""
    rate = n_frames / span_s
    if max(rate.numerator, rate.denominator) <= MAX_TERM:
        return rate
    most = min(10**6, MAX_TERM // (int(rate) + 1))
    return rate.limit_denominator(max(1, most)) or Fraction(1, 10**6)


def seconds_of(form: VideoFormat, times: FrameTimes | None, number: int) -> Fraction:
    """Return when a frame is shown, in seconds from the file's start.

    Args:
        form, times: of the whole video.
        number: 0 to form.n_frames, of which the last is the end of the video.
    """
    if times is None or not times.is_variable:
        return number / form.frame_rate + (times.start_s if times else 0)
    return times.ticks(form)[number] * times.unit


def write_times(times: FrameTimes) -> bytes:
    """Return the payload of the section of frame times."""
    head = (times.unit.numerator, times.unit.denominator, times.start, times.last_duration)
    return b"".join(map(write_varint, (*head, *_run_numbers(times.steps))))


def _run_numbers(steps: Sequence[tuple[int, int]]) -> Iterator[int]:
    before = 0
    for step, n_steps in steps:
        yield 2 * folded(step - before) + (n_steps > 1)
        if n_steps > 1:
            yield n_steps - 2
        before = step


def read_times(payload: bytes) -> FrameTimes:
    """Return the frame times of a payload; the inverse of write_times.

    Raises:
        Truncated, InvalidField: what is wrong with it.
    """
    reader = Reader(payload, "times")
    numerator = read_varint(reader, "time_base_numerator", 1, MAX_TERM)
    denominator = read_varint(reader, "time_base_denominator", 1, MAX_TERM)
    start = read_varint(reader, "start", 0, MAX_START)
    last_duration = read_varint(reader, "last_duration", 0, MAX_STEP)
    steps = []
    step = 0
    while reader.left:
        head = read_varint(reader, "step_change", 0, 4 * MAX_STEP + 3)
        step += unfolded(head >> 1)
        if not 1 <= step <= MAX_STEP:
            raise InvalidField("step", step, f"1 to {MAX_STEP}")
        more = read_varint(reader, "step_run", 0, MAX_STEP - 2) + 1 if head & 1 else 0
        steps.append((step, 1 + more))
    return FrameTimes(Fraction(numerator, denominator), start, tuple(steps), last_duration)


def check_times(times: FrameTimes, n_frames: int) -> None:
    """Raise InvalidField unless the times are those of so many frames."""
    if times.n_frames not in (None, n_frames):
        raise InvalidField("frames with times", times.n_frames, f"{n_frames}, as n_frames says")
