"""Frame rates: as people type them, and as the frame times of a stream say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from nervcodec.errors import ConfigError
from nervcodec.format.times import FrameTimes

# FFmpeg keeps rates as ratios of 32-bit integers.
_LARGEST_TERM = 2**31 - 1
LEGAL_RATES = "a positive ratio of 32-bit integers"
# What FFmpeg too takes where a source has no rate at all.
ASSUMED_RATE = Fraction(25)
_NTSC_BASES = (12, 15, 24, 30, 48, 60, 90, 96, 120, 240)
_LARGEST_INTEGER = 1000


def is_rate(rate: Fraction) -> bool:
    """Return whether a rate is above 0 and a ratio that FFmpeg can hold."""
    return rate > 0 and max(rate.numerator, rate.denominator) <= _LARGEST_TERM


def as_rate(value: str | float | Fraction) -> Fraction:
    """Return the frames a second that a text or number stands for.

    '30000/1001' and '25' are taken as they are. A decimal number of at least two decimals that is
    a rounded NTSC rate means that rate: 23.98, 23.976 and 23.976023976 are 24000/1001.

    Raises:
        ConfigError: it is no rate.
    """
    text = str(value).strip()
    # Neither exponents nor hundreds of digits: 1e999999999 would be computed.
    if not re.fullmatch(r"-?[0-9./]{1,40}", text):
        raise ConfigError(
            f"{text!r} is not a rate; legal: a number or a fraction such as 30000/1001"
        )
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"{text!r} is not a rate; legal: a number or a fraction such as 30000/1001"
        ) from None
    if rate <= 0:
        raise ConfigError(f"{text!r} is not a rate; legal: above 0")
    n_decimals = len(text.partition(".")[2])
    return next((r for r in _ntsc_rates() if _rounds_to(r, rate, n_decimals)), rate)


def _ntsc_rates() -> list[Fraction]:
    return [Fraction(base * 1000, 1001) for base in _NTSC_BASES]


def _rounds_to(exact: Fraction, rate: Fraction, n_decimals: int) -> bool:
    return n_decimals >= 2 and abs(exact - rate) * 10**n_decimals <= Fraction(1, 2)


@dataclass(frozen=True)
class StatedRates:
    """Rates that FFmpeg states of a stream: of a container, and guessed by FFmpeg."""

    average: Fraction | None
    guessed: Fraction | None


def rate_of_times(
    times: Sequence[int], time_base: Fraction, stated: StatedRates
) -> tuple[Fraction | None, tuple[str, ...]]:
    """Return the rate of frames at these times, and a note where it is not as stated.

    Where it is not constant (is_variable), it is the average.

    What the stream states is taken where its frame times agree with it; else the frame times
    count. None where there is neither.

    Args:
        times: of all frames in the order of display, in units of time_base.
        time_base: seconds a unit.
        stated: rates that the stream states.
    """
    average = stated.average or stated.guessed
    steps = [after - before for before, after in pairwise(times)]
    span = (times[-1] - times[0]) * time_base if steps else Fraction(0)
    if span <= 0:  # one frame, or no times that could tell
        return average, ()
    measured = Fraction(len(steps)) / span
    is_agreed = average is not None and _lasts_as_long(average, times, steps, time_base)
    if is_variable(times):
        return average if average is not None and is_agreed else _simple(measured), ()
    if average is not None and is_agreed:
        # The average of a short or oddly trimmed file can miss the rate it was made at by a hair.
        guess = stated.guessed
        return (guess if guess and abs(guess - average) * 1000 <= average else average), ()
    tolerance = max(1, max(steps) - min(steps)) * time_base
    rate = _usual_rate(len(steps), span, tolerance, stated.guessed) or _simple(measured)
    if average is None or rate == average:
        return rate, ()
    return rate, (f"the file states {float(average):g} fps, its frame times say {float(rate):g}",)


def is_variable(times: Sequence[int]) -> bool:
    """Return whether it can be seen that frames at these times have no constant rate.

    One unit either way is rounding; less than a tenth of a frame cannot be seen.
    """
    steps = [after - before for before, after in pairwise(times)]
    span = times[-1] - times[0] if steps else 0
    jitter = max(steps, default=0) - min(steps, default=0)
    return span > 0 and jitter > 1 and 10 * jitter * len(steps) > span


def _is_irregular(times: Sequence[int]) -> bool:
    """Return whether frames at these times have no constant rate, but for rounding to the unit."""
    steps = [after - before for before, after in pairwise(times)]
    if max(steps, default=0) - min(steps, default=0) > 1:
        return True
    n_steps, span = len(steps), times[-1] - times[0]
    drifts = (abs((time - times[0]) * n_steps - n * span) for n, time in enumerate(times))
    return max(drifts) > n_steps


def frame_times(
    times: Sequence[int | None],
    time_base: Fraction,
    start_s: Fraction,
    last_duration: int,
) -> FrameTimes | None:
    """Return the times of frames that have no constant rate, or begin later than the file.

    None for all others, and where times are missing or do not rise.

    Args:
        times: of all frames in the order of display, in units of time_base.
        time_base: seconds a unit.
        start_s: time that is the file's start.
        last_duration: of the last frame, in units; 0 where that is not known.
    """
    ticks = [time for time in times if time is not None]
    if not ticks or len(ticks) < len(times):
        return None
    start = max(0, ticks[0] - round(start_s / time_base))
    if not _is_irregular(ticks):
        return FrameTimes(time_base, start) if start else None
    if any(after <= before for before, after in pairwise(ticks)):
        return None
    shifted = [tick - ticks[0] + start for tick in ticks]
    return FrameTimes.of_ticks(time_base, shifted, last_duration)


def _lasts_as_long(
    rate: Fraction, times: Sequence[int], steps: Sequence[int], time_base: Fraction
) -> bool:
    """Return whether at this rate the last frame would last about as long as some other one."""
    last = len(times) / rate / time_base - (times[-1] - times[0])
    return min(steps) - 1 <= last <= max(steps) + 1 and last > 0


def _usual_rate(
    n_steps: int, span: Fraction, tolerance: Fraction, guess: Fraction | None
) -> Fraction | None:
    """Return the guess, an integer or an NTSC rate that these frame times fit, if any."""
    nearest = round(n_steps / span)
    integers = [Fraction(nearest)] if 1 <= nearest <= _LARGEST_INTEGER else []
    candidates = [*([guess] if guess else []), *integers, *_ntsc_rates()]
    return next((r for r in candidates if abs(n_steps / r - span) <= tolerance), None)


def _simple(rate: Fraction) -> Fraction:
    return rate if is_rate(rate) else rate.limit_denominator(10**6)
