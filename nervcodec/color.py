"""Frames of 8-bit samples, and our own float conversion between Y'CbCr 4:2:0 and R'G'B' (ITU-T H.273, section 8.3).

Everything that is measured or shown in RGB goes through here, never through swscale, so that the same planes give
the same RGB everywhere. Samples are rounded to the nearest integer, ties to even, and clipped to 0 ... 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import ColorTags

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
Float = NDArray[np.float32]

# (Kr, Kb) of H.273 table 4 by matrix code point; every other code falls back by height, as an untagged video does.
_KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def chroma_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the chroma planes of a 4:2:0 picture: halves, rounded up."""
    return (width + 1) // 2, (height + 1) // 2


@dataclass(frozen=True, eq=False)
class Frames:
    """A run of frames in memory.

    Attributes:
        layout: 'yuv420' (Y, U, V) or 'rgb' (R, G, B).
        planes: three uint8 arrays [T, h, w]; in yuv420 the last two are [T, ceil(h / 2), ceil(w / 2)].
    """

    layout: str
    planes: Planes

    def __post_init__(self) -> None:
        assert self.layout in ("yuv420", "rgb"), self.layout
        assert all(plane.dtype == np.uint8 and plane.ndim == 3 for plane in self.planes)
        width, height = (self.width, self.height) if self.layout == "rgb" else chroma_size(self.width, self.height)
        assert self.planes[1].shape == self.planes[2].shape == (self.n_frames, height, width), "plane sizes disagree"

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
        """The frames of a slice, as views."""
        first, second, third = self.planes
        return Frames(self.layout, (first[index], second[index], third[index]))

    @staticmethod
    def concatenate(parts: Sequence[Frames]) -> Frames:
        """All parts, one after the other; they must agree in layout and size."""
        assert parts and all(part.layout == parts[0].layout for part in parts)
        first, second, third = (np.concatenate([part.planes[k] for part in parts]) for k in range(3))
        return Frames(parts[0].layout, (first, second, third))

    @staticmethod
    def empty(layout: str, n_frames: int, width: int, height: int) -> Frames:
        """Frames whose samples are yet to be written."""
        small = (width, height) if layout == "rgb" else chroma_size(width, height)
        first, second, third = (np.empty((n_frames, h, w), np.uint8) for w, h in ((width, height), small, small))
        return Frames(layout, (first, second, third))


class Matrix(NamedTuple):
    """How Y'CbCr relates to R'G'B': luma weights, range, and the H.273 code point they stand for."""

    kr: float
    kb: float
    full_range: bool
    code: int


def resolve_matrix(color: ColorTags, height: int) -> Matrix:
    """The matrix and range to convert with: those tagged, else BT.601 under 720 lines, BT.709 from 720; limited range.

    Code points without fixed Kr and Kb (identity, ICtCp, ...) count as untagged.
    """
    code = color.matrix if color.matrix in _KR_KB else (6 if height < 720 else 1)
    kr, kb = _KR_KB[code]
    return Matrix(kr, kb, bool(color.full_range), code)


def yuv420_to_rgb(frames: Frames, color: ColorTags) -> Frames:
    """Convert to 'rgb', each chroma sample serving its 2x2 block (nearest); one frame at a time, in float32."""
    assert frames.layout == "yuv420"
    matrix = resolve_matrix(color, frames.height)
    out = Frames.empty("rgb", frames.n_frames, frames.width, frames.height)
    for t in range(frames.n_frames):
        y, u, v = (plane[t].astype(np.float32) for plane in frames.planes)
        rgb = _to_rgb(y, _enlarge(u, *y.shape), _enlarge(v, *y.shape), matrix)
        for plane, values in zip(out.planes, rgb):
            plane[t] = _round(values)
    return out


def rgb_to_yuv420(frames: Frames, color: ColorTags) -> Frames:
    """Convert to 'yuv420', chroma the mean of its 2x2 block (edges replicated), rounded once; a frame at a time."""
    assert frames.layout == "rgb"
    matrix = resolve_matrix(color, frames.height)
    out = Frames.empty("yuv420", frames.n_frames, frames.width, frames.height)
    for t in range(frames.n_frames):
        r, g, b = (plane[t].astype(np.float32) for plane in frames.planes)
        y, u, v = _to_yuv(r, g, b, matrix)
        out.planes[0][t] = _round(y)
        out.planes[1][t] = _round(_shrink(u, 2, 2))
        out.planes[2][t] = _round(_shrink(v, 2, 2))
    return out


def to_layout(frames: Frames, layout: str, color: ColorTags) -> Frames:
    """The frames in the layout asked for, converted only where they have the other one."""
    if frames.layout == layout:
        return frames
    return rgb_to_yuv420(frames, color) if layout == "yuv420" else yuv420_to_rgb(frames, color)


def shrink_plane(plane: Plane, across: int, down: int) -> Plane:
    """The means of blocks of `down` x `across` samples (1 or 2 each), edges replicated: [h, w] -> ceil halves."""
    return plane if across == down == 1 else _round(_shrink(plane.astype(np.float32), across, down))


def _scales(matrix: Matrix) -> tuple[float, float, float]:
    """Offset and scale of luma, scale of chroma, in code values (H.273 equations 26 to 31)."""
    return (0.0, 255.0, 255.0) if matrix.full_range else (16.0, 219.0, 224.0)


def _to_rgb(y: Float, u: Float, v: Float, matrix: Matrix) -> tuple[Float, Float, Float]:
    kr, kb = matrix.kr, matrix.kb
    offset, luma, chroma = _scales(matrix)
    y = (y - offset) * (255 / luma)
    cb: Float = (u - 128) * (255 / chroma)
    cr: Float = (v - 128) * (255 / chroma)
    red: Float = y + 2 * (1 - kr) * cr
    kg = 1 - kr - kb
    green: Float = y - (2 * kb * (1 - kb) / kg) * cb - (2 * kr * (1 - kr) / kg) * cr
    blue: Float = y + 2 * (1 - kb) * cb
    return red, green, blue


def _to_yuv(r: Float, g: Float, b: Float, matrix: Matrix) -> tuple[Float, Float, Float]:
    kr, kb = matrix.kr, matrix.kb
    offset, luma, chroma = _scales(matrix)
    y: Float = kr * r + (1 - kr - kb) * g + kb * b
    u: Float = (b - y) / (2 * (1 - kb)) * (chroma / 255) + 128
    v: Float = (r - y) / (2 * (1 - kr)) * (chroma / 255) + 128
    y = y * (luma / 255) + offset
    return y, u, v


def _enlarge(plane: Float, height: int, width: int) -> Float:
    """Chroma [ceil(h / 2), ceil(w / 2)] -> [h, w], every sample repeated 2x2."""
    return plane.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width]


def _shrink(plane: Float, across: int, down: int) -> Float:
    height, width = plane.shape
    plane = np.pad(plane, ((0, height % down), (0, width % across)), mode="edge")
    # [h, w] -> [h / down, down, w / across, across]
    blocks = plane.reshape(plane.shape[0] // down, down, plane.shape[1] // across, across)
    means: Float = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def _round(values: Float) -> Plane:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
