"""How much a video changes from frame to frame, and where it is cut.

Presets store high motion otherwise than low motion, and networks blend nothing across a cut.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import VideoFormat
from nervcodec.video.frames import Frames, Plane
from nervcodec.video.reader import read_groups
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions

_PICTURE = (18, 32)  # rows and columns, at most, of the small pictures that tell a cut from motion
_MEASURED_FRAMES = 150  # from the first on, of which temporal information is measured
# A scene cut changes a small picture by more than _LEAST levels in the mean, and by more than
# _RATIO times what changes within _NEAR frames of it (docs/lab L074).
_NEAR = 3
_RATIO = 2.0
_LEAST = 4.0


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

    Raises:
        VideoError: damaged, or no longer what probe() saw.
    """
    main = 1 if form.layout == "rgb" else 0
    level = 2.0 ** (form.bit_depth - 8)
    n_frames = form.n_frames if numbers is None else len(numbers)
    groups = read_groups(source, form, [1] * n_frames, options, numbers)
    deviations: list[float] = []
    changed: list[float] = []
    repeats: list[int] = []
    small_before = None
    colours = _ColourCheck()
    for number, (before, after) in enumerate(pairwise(colours.watched(groups)), 1):
        if all(map(np.array_equal, before.planes, after.planes)):
            repeats.append(number)
            deviations.append(0.0)
            changed.append(0.0)
            continue
        first, second = before.planes[main][0], after.planes[main][0]
        small_before = _picture(first) if small_before is None else small_before
        small = _picture(second)
        if len(deviations) < _MEASURED_FRAMES - 1:
            deviations.append(float(np.subtract(second, first, dtype=np.float32).std()) / level)
        changed.append(float(np.abs(small - small_before).mean()) / level)
        small_before = small
    measured = deviations[: _MEASURED_FRAMES - 1]
    information = float(np.median(measured)) if measured else 0.0
    cuts = tuple(cut - bisect(repeats, cut) for cut in find_cuts(changed))
    return ContentChanges(information, cuts, tuple(repeats), colours.is_gray, colours.is_flat)


class _ColourCheck:
    """Check of frames for chroma that is not gray's, and for more than one colour."""

    def __init__(self) -> None:
        self.is_gray = self.is_flat = True

    def watched(self, groups: Iterable[Frames]) -> Iterator[Frames]:
        """Yield the groups as they are."""
        for group in groups:
            neutral = 1 << group.bit_depth - 1
            chroma = group.planes[1:]
            self.is_gray = self.is_gray and group.layout != "rgb"
            self.is_gray = self.is_gray and all((plane == neutral).all() for plane in chroma)
            self.is_flat = self.is_flat and all(np.ptp(plane) == 0 for plane in group.planes)
            yield group


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
        return changed[i] > max(_LEAST, _RATIO * max(near, default=np.inf))

    return tuple(i + 1 for i in range(len(changed)) if stands_out(i))


def _picture(plane: Plane) -> NDArray[np.float32]:
    """Return the means over at most 18 x 32 equal parts of a plane [height, width]."""
    picture: NDArray[np.float32] = plane.astype(np.float32)
    for axis, (size, most) in enumerate(zip(plane.shape, _PICTURE)):
        edges = np.linspace(0, size, min(size, most) + 1).astype(np.int64)
        sizes = np.expand_dims(np.diff(edges), 1 - axis)
        picture = (np.add.reduceat(picture, edges[:-1], axis=axis) / sizes).astype(np.float32)
    return picture
