"""What tells decoded frames from others in sixteen bytes, a checksum and three sums
(nvpp-format.md section 6.2).
"""

from __future__ import annotations

import zlib

import numpy as np

from nervcodec.format.file import FrameSums
from nervcodec.video.frames import Frames


class FrameSummer:
    """Adds up the decoded frames of one segment, in order."""

    def __init__(self) -> None:
        self._crc = 0
        self._sums = np.zeros(3, np.uint64)
        self._n_samples = np.zeros(3, np.int64)

    def add(self, frames: Frames) -> None:
        """Add frames in the colorspace of the model: each one's planes one after the other, row by
        row.
        """
        for planes in zip(*frames.planes, strict=True):
            for plane in planes:
                samples = np.ascontiguousarray(plane, plane.dtype.newbyteorder("<"))
                self._crc = zlib.crc32(samples.data, self._crc)
        for k, plane in enumerate(frames.planes):
            self._sums[k] += plane.sum(dtype=np.uint64)
            self._n_samples[k] += plane.size

    def result(self) -> FrameSums:
        """Return checksum and sums of all frames so far, 0 of planes that gray lacks."""
        first, second, third = (int(total) % 2**32 for total in self._sums)
        return FrameSums(self._crc, (first, second, third))

    def drifts(self, stored: FrameSums) -> tuple[float, ...]:
        """Return by how many levels each plane's samples lie above the stored ones, in the mean."""
        decoded = self.result().planes
        differences = [
            (total - stored_total + 2**31) % 2**32 - 2**31
            for total, stored_total in zip(decoded, stored.planes, strict=True)
        ]
        return tuple(
            difference / int(n)
            for difference, n in zip(differences, self._n_samples, strict=True)
            if n
        )
