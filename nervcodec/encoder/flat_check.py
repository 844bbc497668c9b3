"""Whether a fit is better than one flat colour, and what takes its place where it is not.

A head that saturates, or grids that the rate term empties before they hold anything, leave a flat
picture (docs/lab L097).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from nervcodec.training.config import FitConfig
from nervcodec.video.frames import Frames, Plane

T = TypeVar("T")
LEAST_STEPS = 200  # fits of fewer steps have not learnt anything yet
MAX_ATTEMPTS = 3
# A fit is better than a flat colour by at least the one, and may be worse by at most the other.
_BETTER_DB = 0.5
_WORSE_DB = 1.0
# A picture that is this good (PSNR in dB) needs no comparison with a flat colour.
_GOOD_DB = 45.0


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a fit of a segment came to.

    Attributes:
        result: what it gives.
        below_db: by how much its error exceeds that of a flat colour; -inf where it is good.
        cost: its mean squared error, of samples in [0, 1], plus lambda times its bits a pixel.
    """

    result: T
    below_db: float
    cost: float

    @property
    def is_learnt(self) -> bool:
        """Whether the picture is better than a flat colour."""
        return self.below_db < -_BETTER_DB

    @property
    def is_legal(self) -> bool:
        """Whether it is hardly worse than a flat colour."""
        return self.below_db <= _WORSE_DB


def errors(frames: Frames, decoded: Iterable[Frames]) -> tuple[float, float]:
    """Return the mean squared errors of decoded frames and of a flat colour, of samples in [0, 1].

    The colour is the mean of all frames; the errors are those of luma, or of R, G and B.

    Args:
        frames: what was coded.
        decoded: the same frames as they are decoded, in groups, of the same layout.
    """
    n_planes = 3 if frames.layout == "rgb" else 1
    planes = frames.planes[:n_planes]
    squares, start = 0, 0
    for group in decoded:
        for plane, other in zip(planes, group.planes):
            part = plane[start : start + group.n_frames]
            difference = np.subtract(part, other, dtype=np.int32)
            squares += int(np.sum(difference * difference, dtype=np.int64))
        start += group.n_frames
    n_samples = sum(plane.size for plane in planes)
    flat = sum(map(_variance, planes)) / n_planes
    return squares / n_samples / frames.peak**2, flat / frames.peak**2


def _variance(plane: Plane) -> float:
    """Return the variance of a plane [T, h, w], frame by frame so that no copy of it is made."""
    sums = [(int(frame.sum(dtype=np.uint64)), _sum_of_squares(frame)) for frame in plane]
    mean = sum(total for total, _ in sums) / plane.size
    return sum(squares for _, squares in sums) / plane.size - mean**2


def _sum_of_squares(frame: Plane) -> int:
    return int(np.square(frame, dtype=np.uint32).sum(dtype=np.uint64))


def outcome_of(
    result: T, frames: Frames, decoded: Iterable[Frames], weighted_bpp: float
) -> Outcome[T]:
    """Return what a fit came to; weighted_bpp is lambda times its bits a pixel."""
    error, flat = errors(frames, decoded)
    least = 10 ** (-_GOOD_DB / 10)
    below = -math.inf if error <= least else 10 * math.log10(error / max(flat, least))
    return Outcome(result, below, error + weighted_bpp)


def next_attempt(fit: FitConfig, attempt: int) -> FitConfig:
    """Return the fit that follows so many others that are flat: of another seed, at a tenth of
    lambda each time or, where a target steers lambda, at half the rates.
    """
    fit = replace(fit, seed=(fit.seed + attempt) % 2**63)
    if fit.rate_weight and not fit.has_target:
        return replace(fit, rate_weight=fit.rate_weight / 10**attempt)
    return replace(
        fit,
        learning_rate=fit.learning_rate / 2**attempt,
        muon_rate=fit.muon_rate / 2**attempt,
    )


def is_enough(outcomes: Sequence[Outcome[T]]) -> bool:
    """Return whether no further fit is tried: the last one has learnt, or two are flat.

    Where two fits are as good as a flat colour, the video may be one at this rate.
    """
    return outcomes[-1].is_learnt or (len(outcomes) > 1 and outcomes[-1].is_legal)


def best(outcomes: Sequence[Outcome[T]]) -> Outcome[T] | None:
    """Return the outcome of the least cost, None where all are worse than a flat colour."""
    legal = [outcome for outcome in outcomes if outcome.is_legal]
    return min(legal, key=lambda outcome: outcome.cost, default=None)
