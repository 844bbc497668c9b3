"""Steers the price of a bit while a fit runs, so that it ends at the size or the quality that was
asked for.

One fit, not a search: after every epoch a proportional-integral law moves ln(rate weight) by how
far the fit is off. Plain floats; no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nervcodec.training.rate_model import NATS_PER_DB

# When, in shares of a stage, to code the parameters or to decode all frames, to learn how far cheap
# estimates are off.
SIZE_LOOKS = tuple(i / 16 for i in range(2, 16))
PSNR_LOOKS = (0.17, 0.3, 0.5, 0.6, 0.72, 0.8, 0.88, 0.95)
IDLE_LOOKS = (0.2, 0.5, 0.75, 0.95)  # at the size where nothing is steered by it
# A fit that ends beside its target goes on in so many cycles at most, of such a share of its epochs
# each, that begin with such a share of the learning rates: the greater one once steps were made
# finer, which weights have to follow.
SETTLING_CYCLES, SETTLING_SHARE, SETTLING_RATE, REFINING_RATE = 8, 0.05, 0.03, 0.1
_SETTLING_GAIN = 10.0
_LEAST_REFINABLE, _MOST_REFINABLE = -0.03, 0.05
# An error, in ln(bytes), below which a cheaper bit no longer fills a file while weights are
# rounded.
SATURATED = -0.05
_PROPORTIONAL = 0.8
# From here on weights are rounded and learning rates are low: the size hardly feels the price.
_LATE = 0.7
_EARLY, _HALF_WAY = 0.3, 0.5
_MAX_ERROR, _MAX_DRIFT = 1.0, math.log(3000)


def is_due(looks: Sequence[float], before: float, after: float) -> bool:
    """Whether one of the looks lies in the stretch of a stage from `before` (not included) to
    `after`.
    """
    return any(before < look <= after for look in looks)


def size_error(bits: float, target_bits: float) -> float:
    """How much too large a fit is: ln(bits / target)."""
    return math.log(bits / target_bits)


def psnr_error(expected_db: float, target_db: float) -> float:
    """How much better than asked for a fit will be, in what its bytes cost: ln(bytes)."""
    return (expected_db - target_db) * NATS_PER_DB


def is_refinable(error: float) -> bool:
    """Whether moves of single symbols after a fit (refine.py) mend such an error, in ln(bytes)."""
    return _LEAST_REFINABLE <= error <= _MOST_REFINABLE


def settling_factor(error: float) -> float:
    """What the rate weight is multiplied by for the next cycle of settling."""
    return math.exp(_limited(_SETTLING_GAIN * error, math.log(4)))


def usual_gain_db(progress: float) -> float:
    """How much the PSNR of the rounded network still rises after this share of a fit
    (docs/ablation.md, "Steering").

    It leaps where rounding begins: until then weights are fitted to noise. Before, it is nearer to
    the least that clips gain than to the mean: what is too good later can be given up, what is
    missing cannot be bought.
    """
    ahead = _LATE - progress
    return 0.7 + 3.1 * ahead + 2.9 * ahead**2 if ahead >= 0 else 2 * (1 - progress)


@dataclass(frozen=True)
class Law:
    """What depends on the kind of target.

    Attributes:
        start: the share of a stage before which nothing is steered: until then the network takes
            shape, or it shows how fast the PSNR rises.
        late_gain: how much more an error counts once weights are rounded; a PSNR cannot be bought
        any more by then. tolerance: the error, in ln(bytes), that a fit may end with; less than
        what is promised.
        integral: by how much an error of 1 moves ln(price) over a whole stage. A PSNR follows the
        price slowly. slack, settled: the error that may yet come right by itself: so much at the
        start of a stage, shrinking to
            nothing at such a share of it.
    """

    start: float
    late_gain: float
    tolerance: float
    integral: float
    slack: float
    settled: float


SIZE_LAW = Law(start=0.18, late_gain=1.5, tolerance=0.016, integral=50, slack=0.3, settled=0.4)
PSNR_LAW = Law(
    start=_HALF_WAY,
    late_gain=1.0,
    tolerance=0.15 * NATS_PER_DB,
    integral=30,
    slack=0.35,
    settled=0.7,
)


@dataclass
class RateControl:
    """The state of the law; a copy of it is all that a rollback needs.

    Attributes:
        start: the rate weight of the first epoch.
        law: SIZE_LAW or PSNR_LAW.
        weight: the rate weight of the next epoch.
    """

    start: float
    law: Law
    weight: float = 0.0
    _drift: float = 0.0
    _progress: float = 0.0
    _early_db: float | None = None
    _gain_scale: float | None = None

    def __post_init__(self) -> None:
        self.weight = self.weight or self.start

    def state(self) -> dict[str, float | None]:
        """All that changes, by name: RateControl(law=law, **state) goes on from there."""
        return {name: value for name, value in vars(self).items() if name != "law"}

    def observe(self, progress: float, error: float) -> None:
        """Moves the weight after an epoch.

        Args:
            progress: the share of the stage that is done, in (0, 1].
            error: how much too large or too good the fit is, in ln(bytes).
        """
        passed, self._progress = progress - self._progress, progress
        if progress < self.law.start:
            return
        error -= _limited(error, self.law.slack * max(0.0, 1 - progress / self.law.settled))
        error = _limited(error, _MAX_ERROR) * (self.law.late_gain if progress > _LATE else 1.0)
        self._drift = _limited(self._drift + self.law.integral * error * passed, _MAX_DRIFT)
        self.weight = self.start * math.exp(
            _limited(self._drift + _PROPORTIONAL * error, _MAX_DRIFT)
        )

    def expected_db(self, progress: float, psnr_db: float) -> float:
        """The PSNR that a fit will end with if it has so much now.

        Video that a network learns slowly also gains less at the end: what is to come is scaled by
        the root of what came between two moments half-way.
        """
        if self._early_db is None and progress >= _EARLY:
            self._early_db = psnr_db
        if self._gain_scale is None and self._early_db is not None and progress >= _HALF_WAY:
            usual = usual_gain_db(_EARLY) - usual_gain_db(_HALF_WAY)
            self._gain_scale = math.sqrt(min(max((psnr_db - self._early_db) / usual, 0.05), 4.0))
        return psnr_db + usual_gain_db(progress) * (
            1.0 if self._gain_scale is None else self._gain_scale
        )


def _limited(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
