"""Quarter turns of frames, for video that a phone recorded held upright."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nervcodec.video.frames import Plane, Planes

# Where chroma lies (ColorTags) -> where it lies after so many quarter turns counterclockwise. What
# would lie at the right has no name.
_TURNED: tuple[Mapping[int, int], ...] = (
    {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6},
    {1: 6, 2: 2, 3: 5, 4: 1},
    {2: 2, 4: 6, 6: 4},
    {1: 4, 2: 2, 5: 3, 6: 1},
)


def quarter_turns(degrees: float) -> int | None:
    """Return the quarter turns, 0 to 3, of an angle; None where it is no multiple of 90."""
    turns = round(degrees / 90)
    return turns % 4 if abs(degrees - 90 * turns) < 1 else None


def applied_turns(degrees: float, *, autorotate: bool) -> int:
    """Return the quarter turns that frames of this display rotation are given."""
    return (quarter_turns(degrees) or 0) if autorotate else 0


def turn(planes: Planes, turns: int) -> Planes:
    """Return the planes [h, w] turned counterclockwise, as views."""
    return tuple(_turned(plane, turns) for plane in planes)


def turned_location(location: int, turns: int) -> int:
    """Return where chroma lies in turned frames (ColorTags), 0 where that has no name."""
    return _TURNED[turns].get(location, 0)


def _turned(plane: Plane, turns: int) -> Plane:
    return np.rot90(plane, turns) if turns else plane
