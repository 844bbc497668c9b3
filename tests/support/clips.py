"""Small synthetic clips."""

from collections.abc import Callable

import numpy as np

from nervcodec.format.video_format import Layout
from nervcodec.video.frames import Frames

MakeClip = Callable[..., Frames]


def make_clip(
    layout: Layout = "yuv420", n_frames: int = 4, width: int = 16, height: int = 12
) -> Frames:
    """Smooth waves that move."""
    frames = Frames.empty(layout, n_frames, width, height)
    for k, plane in enumerate(frames.planes):
        t, y, x = np.indices(plane.shape)
        plane[:] = np.rint(128 + 80 * np.sin(0.4 * x + 0.7 * t + k) * np.cos(0.5 * y - 0.3 * t))
    return frames
