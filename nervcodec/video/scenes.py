"""How much a video changes from frame to frame, and where it is cut.

Presets store high motion otherwise than low motion, and networks blend nothing across a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import VideoFormat
from nervcodec.video.frames import Plane
from nervcodec.video.reader import read_groups
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions

_PICTURE = (18, 32)  # rows and columns, at most, of the small pictures that tell a cut from motion
_MEASURED_FRAMES = 150  # from the first on, of which temporal information is measured
# A scene cut changes a small picture by more than _LEAST levels in the mean, and by more than
# _RATIO times what changes within _NEAR frames of it (docs/lab L074).
_NEAR = 3
_RATIO = 2.0
_LEAST = 4.0


def changes(
    source: Path, form: VideoFormat, options: SourceOptions = DEFAULT_OPTIONS
) -> tuple[float, tuple[int, ...]]:
    """Return (temporal information, cuts) of a video, from its luma or, of RGB, green.

    The temporal information (ITU-T P.910, section 7.8), in levels of 8 bits, is that of
    the first 150 frames: the standard deviation over the pixels of what changes from one frame to
    the next; the median over frames in place of P.910's maximum, so that a cut or a flash does not
    count. 0 for a single frame. The cuts are the first frames of all shots but the first, see
    find_cuts.

    Raises:
        VideoError: damaged, or no longer what probe() saw.
    """
    main = 1 if form.layout == "rgb" else 0
    level = 2.0 ** (form.bit_depth - 8)
    groups = read_groups(source, form, [1] * form.n_frames, options)
    planes = (group.planes[main][0] for group in groups)
    deviations: list[float] = []
    changed: list[float] = []
    for (before, small_before), (after, small) in pairwise(
        (plane, _picture(plane)) for plane in planes
    ):
        if len(deviations) < _MEASURED_FRAMES - 1:
            deviations.append(float(np.subtract(after, before, dtype=np.float32).std()) / level)
        changed.append(float(np.abs(small - small_before).mean()) / level)
    return float(np.median(deviations)) if deviations else 0.0, find_cuts(changed)


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
