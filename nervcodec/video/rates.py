"""Frame rates: as people type them, and as the frame times of a stream say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from nervcodec.errors import ConfigError

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
    """Return the rate of frames at these times, and notes where it is not as stated or constant.

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
    # One tick either way is rounding; less than a tenth of a frame cannot be seen.
    jitter = max(steps) - min(steps)
    if jitter > 1 and jitter * time_base > Fraction(1, 10) / measured:
        rate = average if average is not None and is_agreed else _simple(measured)
        note = f"its frames are coded at their average rate, {float(rate):.3f} fps"
        return rate, (f"variable frame rate: {note}",)
    if average is not None and is_agreed:
        # The average of a short or oddly trimmed file can miss the rate it was made at by a hair.
        guess = stated.guessed
        return (guess if guess and abs(guess - average) * 1000 <= average else average), ()
    tolerance = max(1, jitter) * time_base
    rate = _usual_rate(len(steps), span, tolerance, stated.guessed) or _simple(measured)
    if average is None or rate == average:
        return rate, ()
    return rate, (f"the file states {float(average):g} fps, its frame times say {float(rate):g}",)


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
