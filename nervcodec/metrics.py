"""How close decoded frames are to the source's: PSNR by plane, 6:1:1 and RGB, MS-SSIM, and the rate beside them.

The reference is always the source's own planes. RGB is our own conversion of both sides (color.py). Means over frames
are means of the frames' decibels, as is usual for video; the PSNR of a pooled error would come out lower or equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .color import Frames, Plane, to_layout
from .config import ColorTags

Float64 = NDArray[np.float64]

# A frame without any error counts as this much in means; the infinite PSNR would leave nothing of the others.
CAP_DB = 100.0
# Five scales of an 11x11 window: pytorch-msssim wants more than (11 - 1) * 2**4 pixels a side.
_MS_SSIM_SIDE = 160
_NAMES = {"yuv420": ("y", "u", "v"), "rgb": ("r", "g", "b")}


@dataclass(frozen=True)
class Quality:
    """Distortion of a video; every `_db` is a mean over frames of their PSNR, capped at 100 dB, unless it says worst.

    Attributes:
        n_frames: frames compared.
        y_db, u_db, v_db: PSNR of the 4:2:0 planes.
        yuv611_db: (6 Y + U + V) / 8 of each frame's PSNRs.
        rgb_db: PSNR of each frame's mean squared error over R, G and B.
        worst_yuv611_db, worst_rgb_db: those of the worst frame.
        worst_frame: number of the frame with the lowest rgb PSNR, from 0.
        ms_ssim: mean over frames of the MS-SSIM of Y, 0 to 1; None where it cannot be measured.
        ms_ssim_reason: why it cannot.
    """

    n_frames: int
    y_db: float
    u_db: float
    v_db: float
    yuv611_db: float
    rgb_db: float
    worst_yuv611_db: float
    worst_rgb_db: float
    worst_frame: int
    ms_ssim: float | None
    ms_ssim_reason: str | None


def frame_mse(ref: Frames, dist: Frames) -> dict[str, Float64]:
    """Mean squared error of every frame, by plane: 'y', 'u', 'v' or 'r', 'g', 'b' -> float64 [T].

    Both sides must have the same layout and size. Squares are summed as integers, so the result is exact.
    """
    assert ref.layout == dist.layout
    pairs = zip(_NAMES[ref.layout], ref.planes, dist.planes)
    return {name: np.array([_plane_mse(a, b) for a, b in zip(x, y, strict=True)]) for name, x, y in pairs}


def psnr_db(mse: ArrayLike, peak: float = 255) -> Float64:
    """PSNR in dB of mean squared errors of any shape; infinite where the error is 0."""
    error = np.asarray(mse, np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(peak * peak / error))


class QualityMeter:
    """Measures a video group by group, keeping only a few numbers a frame.

    Args:
        color: the source's tags, which choose how 4:2:0 becomes RGB and back.
    """

    def __init__(self, color: ColorTags) -> None:
        self._color = color
        self._db: dict[str, list[float]] = {name: [] for name in ("y", "u", "v", "rgb")}
        self._ms_ssim: list[float] = []
        self._reason: str | None = None

    def add(self, ref: Frames, dist: Frames) -> None:
        """Compare as many frames of the source and decoded ones, of either layout each, of one size."""
        assert ref.n_frames == dist.n_frames
        for t in range(ref.n_frames):
            # Frame by frame, so that conversions never hold more than one.
            self._add_frame(ref[t : t + 1], dist[t : t + 1])

    def result(self) -> Quality:
        """The quality of all frames added so far, at least one."""
        db = {name: np.array(values) for name, values in self._db.items()}
        yuv611 = (6 * db["y"] + db["u"] + db["v"]) / 8
        rgb = db["rgb"]
        assert rgb.size, "no frames were added"
        means = {f"{name}_db": float(values.mean()) for name, values in db.items()}
        return Quality(
            n_frames=rgb.size,
            **means,
            yuv611_db=float(yuv611.mean()),
            worst_yuv611_db=float(yuv611.min()),
            worst_rgb_db=float(rgb.min()),
            worst_frame=int(rgb.argmin()),
            ms_ssim=None if self._reason else float(np.mean(self._ms_ssim)),
            ms_ssim_reason=self._reason,
        )

    def _add_frame(self, ref: Frames, dist: Frames) -> None:
        yuv = [to_layout(frames, "yuv420", self._color) for frames in (ref, dist)]
        rgb = [to_layout(frames, "rgb", self._color) for frames in (ref, dist)]
        mse = frame_mse(*yuv)
        mse["rgb"] = np.mean(list(frame_mse(*rgb).values()), axis=0)
        for name, values in self._db.items():
            values.append(float(np.minimum(psnr_db(mse[name]), CAP_DB)[0]))
        if min(ref.width, ref.height) <= _MS_SSIM_SIDE:
            self._reason = f"MS-SSIM needs more than {_MS_SSIM_SIDE} pixels a side, not {ref.width}x{ref.height}"
        else:
            self._ms_ssim.append(ms_ssim(yuv[0].planes[0][0], yuv[1].planes[0][0]))


def ms_ssim(ref: Plane, dist: Plane) -> float:
    """MS-SSIM of two planes [h, w] of more than 160 samples a side (Wang et al. 2003, as pytorch-msssim has it)."""
    import torch
    from pytorch_msssim import ms_ssim as measure

    x, y = (torch.from_numpy(plane.astype(np.float32))[None, None] for plane in (ref, dist))
    return float(measure(x, y, data_range=255))


def _plane_mse(ref: Plane, dist: Plane) -> float:
    """The mean squared error of two planes [h, w]; the sum of 2**28 squares of up to 255 fits 64 bits easily."""
    difference = np.subtract(ref, dist, dtype=np.int32)
    return float(np.sum(difference * difference, dtype=np.int64) / difference.size)
