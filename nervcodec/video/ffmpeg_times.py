"""Times of a container as FFmpeg has them."""

from __future__ import annotations

from fractions import Fraction

from av.container import InputContainer

# FFmpeg's units of the times of a container.
_SECOND = 1_000_000
_ZERO_BASED = frozenset(("mp4", "matroska", "nut", "gif"))


def timeline_start(container: InputContainer) -> Fraction:
    """Return the time that is a file's start, in seconds of its streams' times.

    It is 0 where the format says so; times of broadcasts begin anywhere, and count from the first
    stream's.
    """
    if _ZERO_BASED.intersection(container.format.name.split(",")):
        return Fraction(0)
    return max(Fraction(0), Fraction(container.start_time or 0, _SECOND))
