"""When the frames of several videos are shown, one video after the other. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce

from nervcodec.format.times import FrameTimes, rate_over
from nervcodec.format.video_format import VideoFormat


@dataclass(frozen=True)
class TimedPart:
    """Format and times of one of the videos; times: None where a constant rate tells."""

    format: VideoFormat
    times: FrameTimes | None

    @property
    def is_explicit(self) -> bool:
        """Whether its frames have times of their own: a single one has its duration."""
        times = self.times
        return times is not None and bool(
            times.steps or (self.format.n_frames == 1 and times.last_duration)
        )

    @property
    def span_s(self) -> Fraction:
        """Seconds from the first frame to the end of the last one."""
        times = self.times
        if times is not None and self.is_explicit and not times.steps:
            return times.last_duration * times.unit
        return times.span_s(self.format) if times else self.format.n_frames / self.format.frame_rate

    def unit(self, is_last: bool) -> Fraction:
        """Return a unit of time in which all its frames begin at whole numbers."""
        if self.times is None:
            return 1 / self.format.frame_rate
        if self.is_explicit or (is_last and self.format.n_frames == 1):
            return self.times.unit
        return _common(self.times.unit, 1 / self.format.frame_rate)

    def steps(self, unit: Fraction) -> Iterator[tuple[int, int]]:
        """Yield (units from one frame to the next, how many such steps)."""
        if self.times is not None and self.is_explicit:
            scale = int(self.times.unit / unit)
            yield from ((step * scale, n_steps) for step, n_steps in self.times.steps)
        elif self.format.n_frames > 1:
            yield int(1 / self.format.frame_rate / unit), self.format.n_frames - 1

    def last_duration(self, unit: Fraction, is_last: bool) -> int:
        """Return the units that its last frame is shown; 0 where nothing follows and nobody
        knows.
        """
        times = self.times
        if times is not None and (self.is_explicit or (is_last and self.format.n_frames == 1)):
            known = times.last_duration * int(times.unit / unit)
            return known if known or is_last else list(self.steps(unit))[-1][0]
        return int(1 / self.format.frame_rate / unit)


def joined_times(parts: Sequence[TimedPart]) -> tuple[Fraction, FrameTimes | None]:
    """Return frame rate and times of videos that are shown one after the other.

    Each begins where the one before ends, and the first one when it did. A constant rate needs no
    times; of several rates the average is returned.

    Args:
        parts: at least one; of one rate, unless one of them has times.

    Raises:
        ConfigError: times that the format cannot hold.
    """
    first, (*before, last) = parts[0], parts
    rates = {part.format.frame_rate for part in parts}
    if not any(part.is_explicit for part in parts):
        return first.format.frame_rate, first.times
    units = [part.unit(is_last=False) for part in before]
    unit = reduce(_common, units, last.unit(is_last=True))
    steps: list[tuple[int, int]] = []
    for part in before:
        for step, n_steps in part.steps(unit):
            _add(steps, step, n_steps)
        _add(steps, part.last_duration(unit, is_last=False), 1)
    for step, n_steps in last.steps(unit):
        _add(steps, step, n_steps)
    start = int(first.times.start_s / unit) if first.times else 0
    times = FrameTimes(unit, start, tuple(steps), last.last_duration(unit, is_last=True))
    form = replace(first.format, n_frames=sum(part.format.n_frames for part in parts))
    rate = rates.pop() if len(rates) == 1 else rate_over(form.n_frames, times.span_s(form))
    return rate, times


def _common(one: Fraction, other: Fraction) -> Fraction:
    """Return the largest unit of which both are multiples."""
    numerator = math.gcd(one.numerator * other.denominator, other.numerator * one.denominator)
    return Fraction(numerator, one.denominator * other.denominator)


def _add(steps: list[tuple[int, int]], step: int, n_steps: int) -> None:
    """Add steps to the end of a list of runs."""
    if steps and steps[-1][0] == step:
        n_steps += steps.pop()[1]
    steps.append((step, n_steps))
