"""What tells decoded frames from others in sixteen bytes (nvpp-format.md section 6.2): a checksum
and three sums.
"""

from __future__ import annotations

import zlib

import numpy as np

from nervcodec.format.container import FrameSums
from nervcodec.video.frames import Frames


class FrameSummer:
    """Adds up the decoded frames of one segment, in order."""

    def __init__(self) -> None:
        self._crc, self._sums, self._n_samples = 0, np.zeros(3, np.uint64), np.zeros(3, np.int64)

    def add(self, frames: Frames) -> None:
        """Frames in the colorspace of the model: each one's planes one after the other, row by
        row.
        """
        for planes in zip(*frames.planes, strict=True):
            for plane in planes:
                self._crc = zlib.crc32(np.ascontiguousarray(plane).data, self._crc)
        self._sums += np.array([plane.sum(dtype=np.uint64) for plane in frames.planes], np.uint64)
        self._n_samples += [plane.size for plane in frames.planes]

    def result(self) -> FrameSums:
        first, second, third = (int(total) % 2**32 for total in self._sums)
        return FrameSums(self._crc, (first, second, third))

    def drifts(self, stored: FrameSums) -> tuple[float, ...]:
        """By how many levels each plane's samples lie above the stored ones, in the mean."""
        found = self.result().planes
        off = [
            (ours - theirs + 2**31) % 2**32 - 2**31
            for ours, theirs in zip(found, stored.planes, strict=True)
        ]
        return tuple(
            difference / int(n) for difference, n in zip(off, self._n_samples, strict=True)
        )
