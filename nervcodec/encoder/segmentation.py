"""Where a video is divided into segments, and a segment into shots.

Functions of numbers of frames and scene cuts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from nervcodec.errors import ConfigError
from nervcodec.format.model_config import Shots
from nervcodec.util.validation import ceil_div


@dataclass(frozen=True)
class SegmentRule:
    """How long segments are.

    Attributes:
        longest: frames, unless others are asked for (docs/lab L073).
        shortest_part: of the longest, the shortest is one part in so many (L109).
        most_parts: segments without a cut, at most, where ends at cuts in between would do.
    """

    longest: int = 150
    shortest_part: int = 3
    most_parts: int = 16


_RULE = SegmentRule()
_UNREACHED = 1 << 60  # a cost that no division has


def segment_lengths(
    n_frames: int, at_most: int | None = None, cuts: Sequence[int] = ()
) -> list[int]:
    """Return the frames of each segment, at most `at_most` and, if there are others, at least a
    third of that.

    A segment costs weights of its own, and an end within a shot costs the shot's picture once more.
    So the number of segments and that of ends which are no cuts are together the least; of such
    divisions, that with the fewest segments and then the least sum of squared lengths is taken.
    Without cuts these are the fewest segments, whose sizes differ by at most 1.

    Args:
        cuts: the first frames of the video's shots but the first, which rise.
    Raises:
        ConfigError: at_most is below 1.
    """
    longest = _RULE.longest if at_most is None else at_most
    if longest < 1:
        raise ConfigError(f"segment frames is {longest}; legal: 1 or more")
    if n_frames <= longest:
        return [n_frames]
    ends = _ends_at_cuts(np.array([0, *(c for c in cuts if 0 < c < n_frames), n_frames]), longest)
    return [
        length
        for first, end in pairwise(ends)
        for length in _equal_parts(end - first, ceil_div(end - first, longest))
    ]


def _ends_at_cuts(ends: NDArray[np.int64], longest: int) -> list[int]:
    """Return which ends are of segments: 0, cuts and the last one.

    Dynamic programming over them: between two of those that are taken segments are the fewest equal
    parts, so that all ways to divide a video come down to which ones are taken.

    Args:
        ends: 0, the cuts, and the number of frames, int64 [n].
    """
    costs, squares = np.zeros_like(ends), np.zeros_like(ends)
    before = np.zeros_like(ends)
    for at in range(1, len(ends)):
        near = int(np.searchsorted(ends, ends[at] - _RULE.most_parts * longest))
        for start in (min(near, at - 1), 0):
            way_costs, way_squares = _ways(ends, at, start, longest)
            way_costs += costs[start:at]
            if way_costs.min() < _UNREACHED:
                break
        costs[at] = min(way_costs.min(), _UNREACHED)
        ties = np.flatnonzero(way_costs == way_costs.min())
        way_squares += squares[start:at]
        best = ties[way_squares[ties].argmin()]
        before[at], squares[at] = start + best, way_squares[best]
    taken = [len(ends) - 1]
    while taken[-1]:
        taken.append(int(before[taken[-1]]))
    return [int(ends[index]) for index in reversed(taken)]


def _ways(
    ends: NDArray[np.int64], at: int, start: int, longest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what segments from each end of some to a later one cost, int64 [at - start], and the
    sums of their squared lengths.
    """
    gaps = ends[at] - ends[start:at]
    n_parts = -(-gaps // longest)
    least, n_longer = np.divmod(gaps, n_parts)
    # Segments and ends that are no cuts count alike; segments, which are fewer than frames, next.
    costs = 2 * ends[-1] * (2 * n_parts - 1) + n_parts
    costs[gaps < n_parts * max(1, longest // _RULE.shortest_part)] = _UNREACHED
    return costs, n_parts * least**2 + n_longer * (2 * least + 1)


def _equal_parts(n_frames: int, n_parts: int) -> list[int]:
    """Return numbers of frames that differ by at most 1."""
    ends = [n_frames * i // n_parts for i in range(n_parts + 1)]
    return [after - before for before, after in pairwise(ends)]


def segment_shots(lengths: Iterable[int], cuts: Sequence[int]) -> list[Shots]:
    """Return the shots of each of consecutive segments.

    Args:
        lengths: of the segments in frames.
        cuts: the first frames of the video's shots but the first, which rise.
    """
    segments = []
    for start, end in pairwise(accumulate(lengths, initial=0)):
        inside = cuts[bisect_right(cuts, start) : bisect_left(cuts, end)]
        segments.append(tuple(b - a for a, b in pairwise([start, *inside, end])))
    return segments
