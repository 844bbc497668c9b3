"""How close decoded frames are to the source's: PSNR by plane, 6:1:1 and RGB, SSIM and MS-SSIM of
luma.

The reference is always the source's own planes, at their bit depth. RGB is our own conversion of
both sides (video.color). Means over frames are means of the frames' decibels, as is usual for
video; the PSNR of the mean error comes out lower or equal and goes by a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nervcodec.format.video_format import ColorTags, Layout
from nervcodec.util.packages import are_installed
from nervcodec.video.color import to_layout
from nervcodec.video.frames import Frames, Plane

if TYPE_CHECKING:
    from torch import Tensor

Float64 = NDArray[np.float64]
# A frame without any error counts as this much in means; the infinite PSNR would leave nothing of
# the others.
CAP_DB = 100.0
# Five scales of an 11x11 window: pytorch-msssim wants more than (11 - 1) * 2**4 pixels a side.
_MS_SSIM_SIDE = 160
_SSIM_SIDE = 11  # its window


@dataclass(frozen=True)
class Quality:
    """Distortion of a video; every `_db` is a mean over frames of their PSNR, capped at 100 dB,
    unless it says worst.

    Attributes:
        n_frames: frames compared.
        y_db, u_db, v_db: PSNR of the source's own planes, of RGB those of its 4:2:0; of gray there
            is no U and V.
        yuv611_db: (6 Y + U + V) / 8 of each frame's PSNRs, Y of gray.
        rgb_db: PSNR of each frame's mean squared error over R, G and B.
        worst_yuv611_db, worst_rgb_db: those of the worst frame.
        worst_frame: number of the frame with the lowest rgb PSNR, from 0.
        ms_ssim: mean over frames of the MS-SSIM of Y, 0 to 1; None where it cannot be measured.
        ms_ssim_reason: why it cannot.
        ssim, ssim_reason: the same for SSIM; both None if it was not asked for.
    """

    n_frames: int
    y_db: float
    u_db: float | None
    v_db: float | None
    yuv611_db: float
    rgb_db: float
    worst_yuv611_db: float
    worst_rgb_db: float
    worst_frame: int
    ms_ssim: float | None
    ms_ssim_reason: str | None
    ssim: float | None = None
    ssim_reason: str | None = None


def frame_mse(ref: Frames, dist: Frames) -> dict[str, Float64]:
    """Return the mean squared error of every frame by plane, 'y', 'u', 'v' or 'r', 'g', 'b', each
    float64 [T].

    Both sides must have the same layout, bit depth and size. Squares are summed as integers, so the
    result is exact.
    """
    assert (ref.layout, ref.bit_depth) == (dist.layout, dist.bit_depth)
    pairs = zip("rgb" if ref.layout == "rgb" else "yuv", ref.planes, dist.planes)
    return {
        name: np.array([_plane_mse(a, b) for a, b in zip(x, y, strict=True)])
        for name, x, y in pairs
    }


def psnr_db(mse: ArrayLike, peak: float = 255) -> Float64:
    """Return the PSNR in dB of mean squared errors of any shape; infinite where the error is 0."""
    error = np.asarray(mse, np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(peak * peak / error))


def frame_rgb_db(ref: Frames, dist: Frames, color: ColorTags) -> Float64:
    """Return the PSNR of every frame's mean squared error over R, G and B, capped at 100 dB, as
    float64 [T].
    """
    rgb = [to_layout(frames, "rgb", color) for frames in (ref, dist)]
    errors = np.mean(list(frame_mse(*rgb).values()), axis=0)
    return np.minimum(psnr_db(errors, ref.peak), CAP_DB)


def joined(parts: Sequence[Quality]) -> Quality:
    """Return the quality of videos that follow each other, of one size and layout."""
    weights = [part.n_frames for part in parts]
    first = parts[0]
    worst = min(range(len(parts)), key=lambda k: parts[k].worst_rgb_db)

    def mean(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if None in values else float(np.average(values, weights=weights))

    means = ("y_db", "u_db", "v_db", "yuv611_db", "rgb_db", "ms_ssim", "ssim")
    return replace(
        first,
        n_frames=sum(weights),
        worst_yuv611_db=min(part.worst_yuv611_db for part in parts),
        worst_rgb_db=parts[worst].worst_rgb_db,
        worst_frame=sum(weights[:worst]) + parts[worst].worst_frame,
        **{name: mean(name) for name in means},
    )


class QualityMeter:
    """Measures a video group by group, keeping only a few numbers a frame.

    Args:
        color: the source's tags, which choose how 4:2:0 becomes RGB and back.
        with_ssim: measure SSIM too.
    """

    def __init__(self, color: ColorTags, *, with_ssim: bool = False) -> None:
        self._color = color
        self._has_ssim = are_installed("torch", "pytorch_msssim")
        self._with_ssim = with_ssim
        self._mse: dict[str, list[float]] = {}
        self._peak = 255
        self._ssim: list[float] = []
        self._ms_ssim: list[float] = []
        self._size = (0, 0)

    def add(self, ref: Frames, dist: Frames, counts: Iterable[int] | None = None) -> None:
        """Compare as many frames of the source and decoded ones, of any layout each, of one size
        and bit depth.

        Args:
            ref, dist: the frames.
            counts: how often each frame counts; None counts each once.
        """
        assert ref.n_frames == dist.n_frames
        for t, n_shown in zip(range(ref.n_frames), repeat(1) if counts is None else counts):
            # Frame by frame, so that conversions never hold more than one.
            self._add_frame(ref[t : t + 1], dist[t : t + 1])
            for values in (*self._mse.values(), self._ssim, self._ms_ssim):
                values.extend(values[-1:] * (n_shown - 1))

    def result(self) -> Quality:
        """Return the quality of all frames added so far, at least one."""
        db = self._db()
        rgb = db["rgb"]
        yuv611 = db["yuv611"]
        assert rgb.size, "no frames were added"
        means = {name: float(values.mean()) for name, values in db.items()}
        return Quality(
            n_frames=rgb.size,
            y_db=means["y"],
            u_db=means.get("u"),
            v_db=means.get("v"),
            yuv611_db=means["yuv611"],
            rgb_db=means["rgb"],
            worst_yuv611_db=float(yuv611.min()),
            worst_rgb_db=float(rgb.min()),
            worst_frame=int(rgb.argmin()),
            ms_ssim=float(np.mean(self._ms_ssim)) if self._ms_ssim else None,
            ms_ssim_reason=self._why_not("MS-SSIM", _MS_SSIM_SIDE + 1),
            ssim=float(np.mean(self._ssim)) if self._ssim else None,
            ssim_reason=self._why_not("SSIM", _SSIM_SIDE) if self._with_ssim else None,
        )

    def pooled_db(self) -> dict[str, float]:
        """Return the PSNR of the mean over frames of the squared error of 'y', 'u', 'v' and 'rgb',
        capped at 100 dB.
        """
        return {
            name: min(float(psnr_db(np.mean(mse), self._peak)), CAP_DB)
            for name, mse in self._mse.items()
        }

    def series(self) -> dict[str, list[float]]:
        """Return every frame's figures: 'psnr_y' .. 'psnr_rgb' in dB, 'ssim' and 'ms_ssim' where
        they were measured.
        """
        psnr = {f"psnr_{name}": values.tolist() for name, values in self._db().items()}
        similarity = {"ssim": self._ssim, "ms_ssim": self._ms_ssim}
        return psnr | {name: list(values) for name, values in similarity.items() if values}

    def _db(self) -> dict[str, Float64]:
        db = {name: np.minimum(psnr_db(mse, self._peak), CAP_DB) for name, mse in self._mse.items()}
        if not db:
            return {"yuv611": np.empty(0), "rgb": np.empty(0)}
        is_gray = "u" not in db
        return db | {"yuv611": db["y"] if is_gray else (6 * db["y"] + db["u"] + db["v"]) / 8}

    def _why_not(self, name: str, side: int) -> str | None:
        """Return why a measure of windows of so many pixels a side was not taken, if it was not."""
        if not self._has_ssim:
            return (
                f"{name} needs torch and pytorch-msssim; `pip install pytorch-msssim` installs both"
            )
        width, height = self._size
        return (
            f"{name} needs {side} pixels a side or more, not {width}x{height}"
            if min(self._size) < side
            else None
        )

    def _add_frame(self, ref: Frames, dist: Frames) -> None:
        own: Layout = "yuv420" if ref.layout == "rgb" else ref.layout
        yuv = [to_layout(frames, own, self._color) for frames in (ref, dist)]
        rgb = [to_layout(frames, "rgb", self._color) for frames in (ref, dist)]
        mse = frame_mse(*yuv)
        mse["rgb"] = np.mean(list(frame_mse(*rgb).values()), axis=0)
        for name, values in mse.items():
            self._mse.setdefault(name, []).append(float(values[0]))
        self._size = ref.width, ref.height
        self._peak = ref.peak
        luma = yuv[0].planes[0][0], yuv[1].planes[0][0]
        if not self._has_ssim:
            return
        if self._with_ssim and min(self._size) >= _SSIM_SIDE:
            self._ssim.append(ssim(*luma, ref.peak))
        if min(self._size) > _MS_SSIM_SIDE:
            self._ms_ssim.append(ms_ssim(*luma, ref.peak))


def ssim(ref: Plane, dist: Plane, peak: int = 255) -> float:
    """Return the SSIM of two planes [h, w] of 11 samples a side or more (Wang et al. 2004, as
    pytorch-msssim has it).
    """
    from pytorch_msssim import ssim as measure

    return float(measure(*_batches(ref, dist), data_range=peak))


def ms_ssim(ref: Plane, dist: Plane, peak: int = 255) -> float:
    """Return the MS-SSIM of two planes [h, w] of more than 160 samples a side (Wang et al. 2003, as
    pytorch-msssim has it).
    """
    from pytorch_msssim import ms_ssim as measure

    return float(measure(*_batches(ref, dist), data_range=peak))


def _batches(*planes: Plane) -> tuple[Tensor, ...]:
    """Return planes [h, w] as float32 [1, 1, h, w]."""
    import torch

    return tuple(torch.from_numpy(plane.astype(np.float32))[None, None] for plane in planes)


def _plane_mse(ref: Plane, dist: Plane) -> float:
    """Return the mean squared error of two planes [h, w]; the sum of 2**28 squares of up to 4095
    fits 64 bits easily.
    """
    difference = np.subtract(ref, dist, dtype=np.int32)
    return float(np.sum(difference * difference, dtype=np.int64) / difference.size)
