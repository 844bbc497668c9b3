"""Frames of samples in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import BIT_DEPTHS, LAYOUTS, Layout, plane_sizes

Plane = NDArray[np.uint8 | np.uint16]
Planes = tuple[Plane, ...]


def sample_type(bit_depth: int) -> type[np.uint8 | np.uint16]:
    """Return the dtype of samples: uint8 of 8 bits, uint16 of more."""
    return np.uint8 if bit_depth == 8 else np.uint16


@dataclass(frozen=True, eq=False)
class Frames:
    """Run of frames in memory.

    Attributes:
        layout: see VideoFormat.
        planes: one array of gray, else three, uint8 [T, h, w] or, of more than 8 bits, uint16; the
            sizes are those of plane_sizes.
        bit_depth: bits of a sample, 8, 10 or 12.
    """

    layout: Layout
    planes: Planes
    bit_depth: int = 8

    def __post_init__(self) -> None:
        assert self.layout in LAYOUTS, self.layout
        assert self.bit_depth in BIT_DEPTHS, self.bit_depth
        dtype = sample_type(self.bit_depth)
        assert all(plane.dtype == dtype and plane.ndim == 3 for plane in self.planes)
        sizes = plane_sizes(self.layout, self.width, self.height)
        shapes = [(self.n_frames, rows, columns) for columns, rows in sizes]
        assert [plane.shape for plane in self.planes] == shapes, "plane sizes disagree"

    @property
    def n_frames(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[2])

    @property
    def peak(self) -> int:
        """The largest sample."""
        return (1 << self.bit_depth) - 1

    def __getitem__(self, index: slice) -> Frames:
        """Return the frames of a slice, as views."""
        return Frames(self.layout, tuple(plane[index] for plane in self.planes), self.bit_depth)

    @staticmethod
    def concatenate(parts: Sequence[Frames]) -> Frames:
        """Join all parts, one after the other; they must agree in layout, size and bit depth."""
        first = parts[0]
        assert all(
            (part.layout, part.bit_depth) == (first.layout, first.bit_depth) for part in parts
        )
        joined = (np.concatenate(planes) for planes in zip(*(part.planes for part in parts)))
        return Frames(first.layout, tuple(joined), first.bit_depth)

    @staticmethod
    def empty(layout: Layout, n_frames: int, width: int, height: int, bit_depth: int = 8) -> Frames:
        """Return frames whose samples are yet to be written."""
        dtype = sample_type(bit_depth)
        sizes = plane_sizes(layout, width, height)
        planes = tuple(np.empty((n_frames, rows, columns), dtype) for columns, rows in sizes)
        return Frames(layout, planes, bit_depth)
