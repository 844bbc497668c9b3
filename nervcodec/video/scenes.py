"""How much a video changes from frame to frame, and where it is cut.

Presets store high motion otherwise than low motion, and networks blend nothing across a cut.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.video.frames import Plane, Planes
from nervcodec.video.reader import read_groups
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions

_PICTURE = (18, 32)  # rows and columns, at most, of the small pictures that tell a cut from motion
_MEASURED_FRAMES = 150  # from the first on, of which temporal information is measured
# A scene cut changes a small picture by more than _LEAST levels in the mean, and by more than
# _RATIO times what changes within _NEAR frames of it (docs/lab L074).
_NEAR = 3
_RATIO = 2.0
_LEAST = 4.0
# What is kept of a frame: whether it equals the one before, has gray's chroma, is of one colour.
_REPEAT, _GRAY, _FLAT = 1, 2, 4


class ContentChanges(NamedTuple):
    """What changes from frame to frame of a video.

    Attributes:
        temporal_information: how much changes, see changes().
        cuts: the first frames of all shots but the first, counted without the repeats.
        repeats: the frames that equal the one before in every sample.
        is_gray: whether no frame has another chroma than that of gray.
        is_flat: whether all frames are of one colour each.
    """

    temporal_information: float
    cuts: tuple[int, ...]
    repeats: tuple[int, ...]
    is_gray: bool
    is_flat: bool


def changes(
    source: Path,
    form: VideoFormat,
    options: SourceOptions = DEFAULT_OPTIONS,
    numbers: Sequence[int] | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> ContentChanges:
    """Return what changes from frame to frame, in the luma or, of RGB, green.

    Frames that equal the one before are no motion: held pictures make low motion, as in screen
    recordings, whose files come out smaller so. Frames are counted from 0.
    The temporal information (ITU-T P.910, section 7.8), in levels of 8 bits, is that of
    the first 150 frames: the standard deviation over the pixels of what changes from one frame to
    the next; the median over frames in place of P.910's maximum, so that a cut or a flash does not
    count. 0 for a single frame. For the cuts see find_cuts.

    Args:
        source, form, options: a source, its format from probe(), and the options of that.
        numbers: the frames that are looked at, which rise; None for the first form.n_frames.
        on_progress: called with (frames looked at, frames in all).

    Raises:
        VideoError: damaged, or no longer what probe() saw.
    """
    n_frames = form.n_frames if numbers is None else len(numbers)
    survey = ContentSurvey(form.layout, form.bit_depth)
    for group in read_groups(source, form, repeat(1, n_frames), options, numbers):
        survey.add(tuple(plane[0] for plane in group.planes))
        if on_progress:
            on_progress(survey.n_frames, n_frames)
    result = survey.changes(range(n_frames))
    assert result is not None
    return result


class ContentSurvey:
    """What changes from frame to frame, of frames that are added one by one; keeps 9 bytes of each,
    and the last one.

    Args:
        layout, bit_depth: of the frames.
        begins_anywhere: whether changes() may be asked of frames that begin behind the first one.
    """

    def __init__(self, layout: Layout, bit_depth: int, *, begins_anywhere: bool = False) -> None:
        self._layout = layout
        self._neutral = 1 << bit_depth - 1
        self._level = 2.0 ** (bit_depth - 8)
        self._begins_anywhere = begins_anywhere
        # Single precision holds both exactly: they are means of it, divided by powers of two.
        self._deviations = array("f")
        self._changed = array("f")
        self._flags = bytearray()
        self._before: Planes | None = None
        self._picture: NDArray[np.float32] | None = None

    @property
    def n_frames(self) -> int:
        """Frames that were added."""
        return len(self._flags)

    def add(self, planes: Planes) -> None:
        """Take the next frame, planes [h, w] of the same sizes as before.

        They may change afterwards unless they are contiguous.
        """
        planes = tuple(map(np.ascontiguousarray, planes))
        before, self._before = self._before, planes
        is_repeat = before is not None and all(map(np.array_equal, before, planes))
        # A repeat has the colours of the frame before.
        flags = self._flags[-1] if is_repeat else self._colours(planes)
        self._flags.append(flags | _REPEAT if is_repeat else flags & ~_REPEAT)
        deviation = changed = 0.0
        if not is_repeat:
            main = 1 if self._layout == "rgb" else 0
            picture, picture_before = _picture(planes[main]), self._picture
            self._picture = picture
            if before is not None and picture_before is not None:
                changed = float(np.abs(picture - picture_before).mean()) / self._level
                if self._begins_anywhere or self.n_frames <= _MEASURED_FRAMES:
                    moved = np.subtract(planes[main], before[main], dtype=np.float32)
                    deviation = float(moved.std()) / self._level
        self._deviations.append(deviation)
        self._changed.append(changed)

    def _colours(self, planes: Planes) -> int:
        """Return the flags of a frame's colours."""
        is_gray = self._layout != "rgb"
        is_gray = is_gray and all(_is_all(plane, self._neutral) for plane in planes[1:])
        is_flat = all(_is_all(plane, plane[0, 0]) for plane in planes)
        return is_gray * _GRAY | is_flat * _FLAT

    def changes(self, numbers: range) -> ContentChanges | None:
        """Return what changes within consecutive frames, counted from 0; None where that is not
        kept of them.
        """
        begin, end = numbers.start, numbers.stop
        is_kept = self._begins_anywhere or begin == 0
        if not is_kept or numbers.step != 1 or not 0 <= begin < end <= self.n_frames:
            return None
        flags = np.frombuffer(bytes(self._flags), np.uint8)[begin:end]
        repeats: list[int] = (np.flatnonzero(flags[1:] & _REPEAT) + 1).tolist()
        measured = self._deviations[begin + 1 : min(begin + _MEASURED_FRAMES, end)]
        information = float(np.median(measured.tolist())) if measured else 0.0
        cuts = find_cuts(self._changed[begin + 1 : end])
        return ContentChanges(
            information,
            tuple(cut - bisect(repeats, cut) for cut in cuts),
            tuple(repeats),
            bool((flags & _GRAY).all()),
            bool((flags & _FLAT).all()),
        )


def _is_all(plane: Plane, value: int | np.integer[Any]) -> bool:
    """Return whether a plane [h, w] has no other sample; mostly a look at the last one tells."""
    return bool(plane[-1, -1] == value and (plane == value).all())


def find_cuts(changed: Sequence[float]) -> tuple[int, ...]:
    """Return the frames, counted from 0, that begin a shot, but the first.

    What changes at a cut stands out from what changes within three frames of it by more than twice;
    a flash, a wipe or fast motion does not.

    Args:
        changed: of each frame but the first, by how many levels a small picture of it differs in
            the mean from that of the frame before.
    """

    def stands_out(i: int) -> bool:
        near = [*changed[max(0, i - _NEAR) : i], *changed[i + 1 : i + 1 + _NEAR]]
        return changed[i] > _RATIO * max(near, default=np.inf)

    return tuple(i + 1 for i, change in enumerate(changed) if change > _LEAST and stands_out(i))


def _picture(plane: Plane) -> NDArray[np.float32]:
    """Return the means over at most 18 x 32 equal parts of a plane [height, width]."""
    rows, heights = _parts(plane.shape[0], _PICTURE[0])
    columns, widths = _parts(plane.shape[1], _PICTURE[1])
    sums = np.empty((len(rows), plane.shape[1]), np.uint32)
    for k, (begin, height) in enumerate(zip(rows, heights)):
        np.add.reduce(plane[begin : begin + height], axis=0, dtype=np.uint32, out=sums[k])
    # Single precision holds the sums exactly: a part of the largest plane has less than 2^24.
    means = (sums.astype(np.float32) / heights[:, None]).astype(np.float32)
    return (np.add.reduceat(means, columns, axis=1) / widths).astype(np.float32)


@lru_cache(maxsize=16)
def _parts(size: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the equal parts of an axis begin, and their sizes."""
    edges = np.linspace(0, size, min(size, most) + 1).astype(np.int64)
    return edges[:-1], np.diff(edges)
