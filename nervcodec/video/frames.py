"""Frames of 8-bit samples in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import Layout

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]


def chroma_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the chroma planes of a 4:2:0 picture: halves, rounded up."""
    return (width + 1) // 2, (height + 1) // 2


@dataclass(frozen=True, eq=False)
class Frames:
    """Run of frames in memory.

    Attributes:
        layout: 'yuv420' (Y, U, V) or 'rgb' (R, G, B).
        planes: three uint8 arrays [T, h, w]; in yuv420 the last two are [T, ceil(h / 2), ceil(w /
            2)].
    """

    layout: Layout
    planes: Planes

    def __post_init__(self) -> None:
        assert self.layout in ("yuv420", "rgb"), self.layout
        assert all(plane.dtype == np.uint8 and plane.ndim == 3 for plane in self.planes)
        width, height = (
            (self.width, self.height)
            if self.layout == "rgb"
            else chroma_size(self.width, self.height)
        )
        assert self.planes[1].shape == self.planes[2].shape == (self.n_frames, height, width), (
            "plane sizes disagree"
        )

    @property
    def n_frames(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[2])

    def __getitem__(self, index: slice) -> Frames:
        """Return the frames of a slice, as views."""
        first, second, third = self.planes
        return Frames(self.layout, (first[index], second[index], third[index]))

    @staticmethod
    def concatenate(parts: Sequence[Frames]) -> Frames:
        """Join all parts, one after the other; they must agree in layout and size."""
        assert parts and all(part.layout == parts[0].layout for part in parts)
        first, second, third = (
            np.concatenate([part.planes[k] for part in parts]) for k in range(3)
        )
        return Frames(parts[0].layout, (first, second, third))

    @staticmethod
    def empty(layout: Layout, n_frames: int, width: int, height: int) -> Frames:
        """Return frames whose samples are yet to be written."""
        small = (width, height) if layout == "rgb" else chroma_size(width, height)
        first, second, third = (
            np.empty((n_frames, h, w), np.uint8) for w, h in ((width, height), small, small)
        )
        return Frames(layout, (first, second, third))
