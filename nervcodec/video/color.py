"""Conversion between Y'CbCr 4:2:0 and R'G'B' in float (ITU-T H.273, section 8.3).

Everything that is measured or shown in RGB goes through here, never through swscale, so that the
same planes give the same RGB everywhere. Samples are rounded to the nearest integer, ties to even,
and clipped to 0 ... 255.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import ColorTags
from nervcodec.video.frames import Frames, Plane

Float = NDArray[np.float32]
# (Kr, Kb) of H.273 table 4 by matrix code point; every other code falls back by height, as an
# untagged video does.
_KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


class Matrix(NamedTuple):
    """Relation of Y'CbCr to R'G'B': luma weights, range, and the H.273 code point of both."""

    kr: float
    kb: float
    full_range: bool
    code: int


def resolve_matrix(color: ColorTags, height: int) -> Matrix:
    """Return the matrix and range to convert with.

    They are those tagged, else BT.601 under 720 lines and BT.709 from 720, limited range. Code
    points without fixed Kr and Kb (identity, ICtCp, ...) count as untagged.
    """
    code = color.matrix if color.matrix in _KR_KB else (6 if height < 720 else 1)
    kr, kb = _KR_KB[code]
    return Matrix(kr, kb, bool(color.full_range), code)


def yuv420_to_rgb(frames: Frames, color: ColorTags) -> Frames:
    """Convert to 'rgb' in float32, each chroma sample serving its 2x2 block (nearest)."""
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
    """Convert to 'yuv420', chroma the mean of its 2x2 block (edges replicated), rounded once."""
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
    """Return the frames in this layout, converted only where they have the other one."""
    if frames.layout == layout:
        return frames
    return rgb_to_yuv420(frames, color) if layout == "yuv420" else yuv420_to_rgb(frames, color)


def shrink_plane(plane: Plane, across: int, down: int, *, by_fields: bool = False) -> Plane:
    """Return the means of blocks of `down` x `across` samples (1 or 2 each), edges replicated.

    A plane [h, w] becomes [ceil(h / down), ceil(w / across)]. `by_fields` keeps the two fields of
    an interlaced picture apart: lines are averaged with the next one of their own field.
    """
    if across == down == 1:
        return plane
    if not by_fields or down == 1 or plane.shape[0] < 2:
        return _round(_shrink(plane.astype(np.float32), across, down))
    height, width = (-(-size // by) for size, by in zip(plane.shape, (down, across)))
    shrunk = np.empty((height, width), np.uint8)
    for field in range(2):
        lines = shrink_plane(plane[field::2], across, down)
        shrunk[field::2] = lines[: len(shrunk[field::2])]
    return shrunk


def blend(plane: Plane, alpha: Plane, under: int) -> Plane:
    """Lay samples of this opacity (0 to 255) over one value, rounded to the nearest, ties up."""
    opacity = alpha.astype(np.uint32)
    values: NDArray[np.uint32] = plane * opacity + under * (255 - opacity)
    return ((2 * values + 255) // 510).astype(np.uint8)


def _scales(matrix: Matrix) -> tuple[float, float, float]:
    """Return offset and scale of luma, scale of chroma, in code values (H.273 eq. 26 to 31)."""
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
    """Repeat every sample of chroma [ceil(h / 2), ceil(w / 2)] 2x2 to [h, w]."""
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
