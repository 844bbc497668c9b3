"""Conversion between layouts and bit depths in float (ITU-T H.273, section 8.3).

Everything that is measured or shown in RGB goes through here, never through swscale, so that the
same planes give the same RGB everywhere. Samples are rounded to the nearest integer, ties to even,
and clipped to 0 ... peak.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nervcodec.format.video_format import SUBSAMPLING, ColorTags, Layout
from nervcodec.video.frames import Frames, Plane, sample_type

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


def to_layout(frames: Frames, layout: Layout, color: ColorTags) -> Frames:
    """Return the frames in this layout, converted only where they have another one.

    Chroma is repeated where it becomes finer (nearest), the mean of its block where it becomes
    coarser (edges replicated), and neutral where gray gets it; each conversion rounds once.
    """
    if frames.layout == layout:
        return frames
    if layout == "rgb":
        return _yuv_to_rgb(frames, resolve_matrix(color, frames.height))
    if frames.layout == "rgb":
        return _rgb_to_yuv(frames, layout, resolve_matrix(color, frames.height))
    if layout == "gray":
        return Frames("gray", frames.planes[:1], frames.bit_depth)
    return _resampled(frames, layout)


def to_bit_depth(frames: Frames, bit_depth: int, full_range: bool) -> Frames:
    """Return the frames with so many bits a sample, converted only where they have others.

    Samples of full range and of RGB are scaled from peak to peak, others by a power of two (H.273
    equations 20 to 22).
    """
    if frames.bit_depth == bit_depth:
        return frames
    peak = (1 << bit_depth) - 1
    is_full = full_range or frames.layout == "rgb"
    scale = peak / frames.peak if is_full else 2.0 ** (bit_depth - frames.bit_depth)
    planes = tuple(
        np.clip(np.rint(plane * np.float32(scale)), 0, peak).astype(sample_type(bit_depth))
        for plane in frames.planes
    )
    return Frames(frames.layout, planes, bit_depth)


def _yuv_to_rgb(frames: Frames, matrix: Matrix) -> Frames:
    depth = frames.bit_depth
    out = Frames.empty("rgb", frames.n_frames, frames.width, frames.height, depth)
    for t in range(frames.n_frames):
        y, *chroma = (plane[t].astype(np.float32) for plane in frames.planes)
        if chroma:
            u, v = (_enlarge(plane, *y.shape) for plane in chroma)
            rgb = _to_rgb(y, u, v, matrix, depth)
        else:
            offset, luma, _ = _scales(matrix, depth)
            rgb = ((y - offset) * (frames.peak / luma),) * 3
        for plane, values in zip(out.planes, rgb):
            plane[t] = _round(values, depth)
    return out


def _rgb_to_yuv(frames: Frames, layout: Layout, matrix: Matrix) -> Frames:
    depth = frames.bit_depth
    out = Frames.empty(layout, frames.n_frames, frames.width, frames.height, depth)
    for t in range(frames.n_frames):
        r, g, b = (plane[t].astype(np.float32) for plane in frames.planes)
        y, u, v = _to_yuv(r, g, b, matrix, depth)
        out.planes[0][t] = _round(y, depth)
        for plane, values in zip(out.planes[1:], (u, v)):
            plane[t] = _round(_shrink(values, *SUBSAMPLING[layout]), depth)
    return out


def _resampled(frames: Frames, layout: Layout) -> Frames:
    """Return 4:2:0, 4:2:2, 4:4:4 or gray frames with chroma of another size."""
    depth = frames.bit_depth
    out = Frames.empty(layout, frames.n_frames, frames.width, frames.height, depth)
    out.planes[0][:] = frames.planes[0]
    if frames.layout == "gray":
        for plane in out.planes[1:]:
            plane[:] = 1 << depth - 1
        return out
    across, down = SUBSAMPLING[layout]
    from_across, from_down = SUBSAMPLING[frames.layout]
    for target, source in zip(out.planes[1:], frames.planes[1:]):
        for t, plane in enumerate(source):
            for axis in (0, 1) if from_down > down else (1,) if from_across > across else ():
                plane = plane.repeat(2, axis=axis)
            plane = plane[: -(-frames.height // min(down, from_down))]
            plane = plane[:, : -(-frames.width // min(across, from_across))]
            shrink = max(1, across // from_across), max(1, down // from_down)
            target[t] = shrink_plane(plane, *shrink)
    return out


def shrink_plane(plane: Plane, across: int, down: int) -> Plane:
    """Return the means of blocks of `down` x `across` samples (1 or 2 each), edges replicated.

    A plane [h, w] becomes [ceil(h / down), ceil(w / across)].
    """
    if across == down == 1:
        return plane
    means = _shrink(plane.astype(np.float32), across, down)
    return np.rint(means).astype(plane.dtype)


def blend(plane: Plane, alpha: Plane, under: int, peak: int = 255) -> Plane:
    """Lay samples of this opacity (0 to peak) over one value, rounded to the nearest, ties up."""
    opacity = alpha.astype(np.uint32)
    values: NDArray[np.uint32] = plane * opacity + under * (peak - opacity)
    return ((2 * values + peak) // (2 * peak)).astype(plane.dtype)


def _scales(matrix: Matrix, depth: int) -> tuple[float, float, float]:
    """Return offset and scale of luma, scale of chroma, in code values (H.273 eq. 26 to 31)."""
    if matrix.full_range:
        peak = float((1 << depth) - 1)
        return 0.0, peak, peak
    unit = 2.0 ** (depth - 8)
    return 16.0 * unit, 219.0 * unit, 224.0 * unit


def _to_rgb(y: Float, u: Float, v: Float, matrix: Matrix, depth: int) -> tuple[Float, Float, Float]:
    kr, kb = matrix.kr, matrix.kb
    offset, luma, chroma = _scales(matrix, depth)
    peak, middle = (1 << depth) - 1, 1 << depth - 1
    y = (y - offset) * (peak / luma)
    cb: Float = (u - middle) * (peak / chroma)
    cr: Float = (v - middle) * (peak / chroma)
    red: Float = y + 2 * (1 - kr) * cr
    kg = 1 - kr - kb
    green: Float = y - (2 * kb * (1 - kb) / kg) * cb - (2 * kr * (1 - kr) / kg) * cr
    blue: Float = y + 2 * (1 - kb) * cb
    return red, green, blue


def _to_yuv(r: Float, g: Float, b: Float, matrix: Matrix, depth: int) -> tuple[Float, Float, Float]:
    kr, kb = matrix.kr, matrix.kb
    offset, luma, chroma = _scales(matrix, depth)
    peak, middle = (1 << depth) - 1, 1 << depth - 1
    y: Float = kr * r + (1 - kr - kb) * g + kb * b
    u: Float = (b - y) / (2 * (1 - kb)) * (chroma / peak) + middle
    v: Float = (r - y) / (2 * (1 - kr)) * (chroma / peak) + middle
    y = y * (luma / peak) + offset
    return y, u, v


def _enlarge(plane: Float, height: int, width: int) -> Float:
    """Repeat the samples of chroma of any size to [h, w]."""
    down, across = (-(-full // size) for full, size in zip((height, width), plane.shape))
    return plane.repeat(down, axis=0)[:height].repeat(across, axis=1)[:, :width]


def _shrink(plane: Float, across: int, down: int) -> Float:
    height, width = plane.shape
    plane = np.pad(plane, ((0, height % down), (0, width % across)), mode="edge")
    # [h, w] -> [h / down, down, w / across, across]
    blocks = plane.reshape(plane.shape[0] // down, down, plane.shape[1] // across, across)
    means: Float = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def _round(values: Float, depth: int) -> Plane:
    return np.clip(np.rint(values), 0, (1 << depth) - 1).astype(sample_type(depth))
