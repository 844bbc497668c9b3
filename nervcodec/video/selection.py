"""Which frames of a source are shown: a part of it, and at a constant rate if that is asked for."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise
from typing import overload

from nervcodec.errors import ConfigError
from nervcodec.format.times import FrameTimes, seconds_of, timed_part
from nervcodec.format.video_format import MAX_FRAMES, VideoFormat

# Times that people type are rounded to a millisecond.
_TYPED = Fraction(1, 2000)


@dataclass(frozen=True)
class Part:
    """Which part of a source is wanted: by numbers of frames, or by time. All of it by default.

    Attributes:
        frames: (A, B), the frames A to B - 1 counted from 0; B None goes to the end.
        seek_s: seconds from the source's start at which the part begins.
        duration_s: seconds that it lasts; None goes to the end.

    Raises:
        ConfigError: an empty range, a negative time, or frames together with a time.
    """

    frames: tuple[int, int | None] = (0, None)
    seek_s: Fraction | None = None
    duration_s: Fraction | None = None

    def __post_init__(self) -> None:
        first, stop = self.frames
        if first < 0 or (stop is not None and stop <= first):
            text = f"{first}:{'' if stop is None else stop}"
            raise ConfigError(f"frames are {text}; legal: A:B with 0 <= A < B")
        if self.seek_s is not None and self.seek_s < 0:
            raise ConfigError(f"seek is {float(self.seek_s):g} s; legal: 0 or more")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ConfigError(f"duration is {float(self.duration_s):g} s; legal: above 0")
        if self.is_timed and self.frames != (0, None):
            raise ConfigError("frames and a time are given; legal: one of them")

    @property
    def is_timed(self) -> bool:
        """Whether it is given by time."""
        return self.seek_s is not None or self.duration_s is not None

    def numbers(self, form: VideoFormat, times: FrameTimes | None) -> range:
        """Return the frames of the part.

        Args:
            form, times: of the whole source.

        Raises:
            ConfigError: the source has no such frames.
        """
        if not self.is_timed:
            first, stop = self.frames
            stop = form.n_frames if stop is None else stop
            if not first < stop <= form.n_frames:
                raise ConfigError(
                    f"frames are {first}:{stop}; legal: A:B with 0 <= A < B <= {form.n_frames},"
                    " the frames of the input"
                )
            return range(first, stop)
        begins = _Begins(form, times)
        seek = self.seek_s or Fraction(0)
        first = bisect_left(begins, seek - _TYPED) if seek else 0
        stop = form.n_frames
        if self.duration_s is not None:
            stop = bisect_left(begins, seek + self.duration_s - _TYPED)
        if first >= form.n_frames:
            raise ConfigError(
                f"seek is {float(seek):g} s; legal: up to {float(begins[-1]):.3f} s, where the"
                " last frame of the input begins"
            )
        return range(first, max(stop, first + 1))


@dataclass(frozen=True)
class Selection:
    """Frames of a source that are shown.

    Attributes:
        numbers: of the source's frames; they rise, and one that is repeated stands several times.
        format: of the frames that are shown.
        times: when they are shown, None where the rate tells.
        span_s: seconds of the source's time at which the first frame begins and the last one ends.
        notes: what a user should know.
    """

    numbers: Sequence[int]
    format: VideoFormat
    times: FrameTimes | None
    span_s: tuple[Fraction, Fraction]
    notes: tuple[str, ...]

    @property
    def distinct(self) -> Sequence[int]:
        """The numbers, each once; a range where they follow each other."""
        if isinstance(self.numbers, range):
            return self.numbers
        distinct = [number for number, _ in groupby(self.numbers)]
        whole = range(distinct[0], distinct[-1] + 1)
        return whole if len(whole) == len(distinct) else distinct


def select(
    form: VideoFormat, times: FrameTimes | None, part: Part, cfr: Fraction | None
) -> Selection:
    """Return the frames that are shown.

    Args:
        form, times: of the whole source.
        part: which part of it.
        cfr: frames a second of a constant rate: at each of its ticks that frame is shown which
            began last, where times are taken to be exact to half of their unit. None keeps all
            frames.

    Raises:
        ConfigError: the source has no such frames, or more would be shown than a file can hold.
    """
    numbers = part.numbers(form, times)
    span_s = (seconds_of(form, times, numbers.start), seconds_of(form, times, numbers.stop))
    chosen, chosen_times = timed_part(form, times, numbers)
    if cfr is None:
        return Selection(numbers, chosen, chosen_times, span_s, time_notes(chosen, chosen_times))
    n_shown = math.ceil((span_s[1] - span_s[0]) * cfr)
    if n_shown > MAX_FRAMES:
        raise ConfigError(f"cfr is {cfr}, which makes {n_shown} frames; legal: {MAX_FRAMES} in all")
    shown = _at_ticks(_Begins(form, times), numbers, cfr, n_shown)
    n_distinct = 1 + sum(after != before for before, after in pairwise(shown))
    note = (
        f"constant {float(cfr):g} fps as asked makes {n_shown} of {len(numbers)} frames:"
        f" {len(numbers) - n_distinct} dropped, {n_shown - n_distinct} repeated"
    )
    chosen = replace(chosen, n_frames=n_shown, frame_rate=cfr)
    offset = FrameTimes(times.unit, times.start) if times and times.start else None
    return Selection(shown, chosen, None if numbers.start else offset, span_s, (note,))


def time_notes(form: VideoFormat, times: FrameTimes | None) -> tuple[str, ...]:
    """Return a note where frames have times of their own."""
    if times is None or not times.is_variable:
        return ()
    mean = f"{float(form.frame_rate):.3f} fps in the mean"
    return (f"variable frame rate, {mean}: the frame times are kept",)


class _Begins(Sequence[Fraction]):
    """The seconds at which each frame begins, of which none are kept."""

    def __init__(self, form: VideoFormat, times: FrameTimes | None) -> None:
        self._n_frames = form.n_frames
        self._rate = form.frame_rate
        self._start = times.start_s if times else Fraction(0)
        self._unit = times.unit if times else Fraction(1)
        self._ticks = array("q", times.ticks(form)) if times and times.is_variable else None
        self.slack = self._unit / 2 if self._ticks else Fraction(0)

    def __len__(self) -> int:
        return self._n_frames

    @overload
    def __getitem__(self, number: int) -> Fraction: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Fraction]: ...
    def __getitem__(self, number: int | slice) -> Fraction | Sequence[Fraction]:
        if isinstance(number, slice):
            return [self[n] for n in range(len(self))[number]]
        number = range(len(self))[number]
        if self._ticks is None:
            return self._start + number / self._rate
        return self._ticks[number] * self._unit


def _at_ticks(begins: _Begins, numbers: range, cfr: Fraction, n_shown: int) -> list[int]:
    """Return the frame that began last at each of so many ticks of a constant rate."""
    shown: list[int] = []
    number, origin = numbers.start, begins[numbers.start] + begins.slack
    for k in range(n_shown):
        tick = origin + k / cfr
        while number + 1 < numbers.stop and begins[number + 1] <= tick:
            number += 1
        shown.append(number)
    return shown
