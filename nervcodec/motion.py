"""How much a video changes from frame to frame: what moves is stored otherwise than what stands still (presets.py)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from .color import Plane
from .config import VideoFormat
from .presets import MAX_SEGMENT_FRAMES
from .video import read_groups


def temporal_information(source: Path, form: VideoFormat) -> float:
    """The temporal information (ITU-T P.910, section 7.8) of the first 150 frames, in sample values of 0 to 255.

    The standard deviation over the pixels of what luma (of RGB: green) changes from one frame to the next; the median
    over frames in place of P.910's maximum, so that a cut or a flash does not count. 0 for a single frame.

    Raises:
        VideoError: damaged, or no longer what probe() saw.
    """
    n_frames = min(form.n_frames, MAX_SEGMENT_FRAMES)
    main = 0 if form.layout == "yuv420" else 1
    frames = (group.planes[main][0] for group in read_groups(source, form, [1] * n_frames))
    changes = [_change(before, after) for before, after in pairwise(frames)]
    return float(np.median(changes)) if changes else 0.0


def _change(before: Plane, after: Plane) -> float:
    return float(np.subtract(after, before, dtype=np.float32).std())
