"""Steers lambda while a fit runs, so that it ends at the size or the quality that was asked for.

One fit, not a search: after every epoch a proportional-integral law moves ln(lambda) by how far the
fit is off. Plain floats; no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from nervcodec.training.rate_model import (
    NATS_PER_DB,
    PSNR_PROMISE,
    SIZE_PROMISE,
    TargetPromise,
)

# When, in shares of a stage, to code the parameters or to decode all frames, to learn how far cheap
# estimates are off.
SIZE_LOOKS = tuple(i / 16 for i in range(2, 16))
PSNR_LOOKS = (0.17, 0.3, 0.5, 0.6, 0.72, 0.8, 0.88, 0.95)
IDLE_LOOKS = (0.2, 0.5, 0.75, 0.95)  # at the size where nothing is steered by it
_PROPORTIONAL = 0.8
_LATE = 0.7  # weights are rounded and learning rates low: the size hardly feels lambda any more
_EARLY, _HALF_WAY = 0.3, 0.5  # between them it shows how fast a PSNR rises
_MAX_ERROR, _MAX_DRIFT = 1.0, math.log(3000)


@dataclass(frozen=True)
class Settling:
    """How a fit goes on that ends beside its target (docs/lab L059, L060, L061, L049).

    Attributes:
        n_cycles: short cycles at most.
        share: their epochs over those of the cycle before.
        rate: learning rates at their start, over those of the cycle before.
        finer_rate: the same once steps were made finer, which weights have to follow.
        gain: how much more ln(lambda) moves than ln(bytes) is off.
        max_factor: of lambda, from one cycle to the next.
        saturated: the error, in ln(bytes), below which a lower lambda no longer fills a file while
            weights are rounded.
        least_for_rdoq, most_for_rdoq: between these errors, in ln(bytes), RDOQ meets the target.
    """

    n_cycles: int = 8
    share: float = 0.05
    rate: float = 0.03
    finer_rate: float = 0.1
    gain: float = 10.0
    max_factor: float = 4.0
    saturated: float = -0.05
    least_for_rdoq: float = -0.03
    most_for_rdoq: float = 0.05

    def is_left_to_rdoq(self, error: float) -> bool:
        """Whether moves of single symbols after a fit (rdoq.py) mend such an error."""
        return self.least_for_rdoq <= error <= self.most_for_rdoq


SETTLING = Settling()


def is_due(looks: Sequence[float], before: float, after: float) -> bool:
    """Return whether one of the looks lies in the stretch of a stage from `before` to `after`.

    `before` itself does not count.
    """
    return any(before < look <= after for look in looks)


def size_error(bits: float, target_bits: float) -> float:
    """Return how much too large a fit is: ln(bits / target)."""
    return math.log(bits / target_bits)


def psnr_error(expected_db: float, target_db: float) -> float:
    """Return how much better than asked for a fit will be, in what its bytes cost: ln(bytes)."""
    return (expected_db - target_db) * NATS_PER_DB


def settling_factor(error: float) -> float:
    """Return what lambda is multiplied by for the next cycle of settling."""
    return math.exp(_limited(SETTLING.gain * error, math.log(SETTLING.max_factor)))


def usual_gain_db(progress: float) -> float:
    """Return how much the PSNR of the rounded network still rises after this share of a fit.

    It leaps where rounding begins: until then weights are fitted to noise. Before, it is nearer to
    the least that clips gain than to the mean: what is too good later can be given up, what is
    missing cannot be bought (docs/lab L051).
    """
    until_late = _LATE - progress
    if until_late >= 0:
        return 0.7 + 3.1 * until_late + 2.9 * until_late**2
    return 2 * (1 - progress)


@dataclass(frozen=True)
class Law:
    """What depends on the kind of target (docs/lab L050, L051).

    Attributes:
        promise: how near to the target each stage ends.
        nats_per_unit: what an error of 1 in the promise's unit is in ln(bytes).
        start: the share of a stage before which nothing is steered: until then the network takes
            shape, or it shows how fast the PSNR rises.
        late_gain: how much more an error counts once weights are rounded; a PSNR cannot be bought
            any more by then.
        integral: by how much an error of 1 moves ln(lambda) over a whole stage. A PSNR follows
            lambda slowly.
        slack: the error at the start of a stage that may yet come right by itself.
        settled: the share of a stage over which that shrinks to nothing.
    """

    promise: TargetPromise
    nats_per_unit: float
    start: float
    late_gain: float
    integral: float
    slack: float
    settled: float

    @property
    def tolerance(self) -> float:
        """The error that settling and RDOQ may end with, in ln(bytes)."""
        return self.promise.fitted * self.nats_per_unit


SIZE_LAW = Law(
    SIZE_PROMISE,
    nats_per_unit=1.0,
    start=0.18,
    late_gain=1.5,
    integral=50,
    slack=0.3,
    settled=0.4,
)
PSNR_LAW = Law(
    PSNR_PROMISE,
    nats_per_unit=NATS_PER_DB,
    start=_HALF_WAY,
    late_gain=1.0,
    integral=30,
    slack=0.35,
    settled=0.7,
)


@dataclass
class RateControl:
    """The state of the law; a copy of it is all that a rollback needs.

    Attributes:
        start: lambda of the first epoch.
        law: SIZE_LAW or PSNR_LAW.
        weight: lambda of the next epoch.
        drift: the integral of the errors, in ln(lambda).
        progress: the share of the stage that was observed.
        early_db: the PSNR at three tenths of the stage.
        gain_scale: how much faster than usual the PSNR rises.
    """

    start: float
    law: Law
    weight: float = 0.0
    drift: float = 0.0
    progress: float = 0.0
    early_db: float | None = None
    gain_scale: float | None = None

    def __post_init__(self) -> None:
        self.weight = self.weight or self.start

    def state_dict(self) -> dict[str, float | None]:
        """Return all that changes, by name: RateControl(law=law, **state) goes on from there."""
        return {
            field.name: getattr(self, field.name) for field in fields(self) if field.name != "law"
        }

    def observe(self, progress: float, error: float) -> None:
        """Move lambda after an epoch.

        Args:
            progress: the share of the stage that is done, in (0, 1].
            error: how much too large or too good the fit is, in ln(bytes).
        """
        passed = progress - self.progress
        self.progress = progress
        if progress < self.law.start:
            return
        error -= _limited(error, self.law.slack * max(0.0, 1 - progress / self.law.settled))
        error = _limited(error, _MAX_ERROR) * (self.law.late_gain if progress > _LATE else 1.0)
        self.drift = _limited(self.drift + self.law.integral * error * passed, _MAX_DRIFT)
        self.weight = self.start * math.exp(
            _limited(self.drift + _PROPORTIONAL * error, _MAX_DRIFT)
        )

    def expected_db(self, progress: float, psnr_db: float) -> float:
        """Return the PSNR that a fit will end with if it has so much now.

        Video that a network learns slowly also gains less at the end: what is to come is scaled by
        the root of what came between two moments half-way.
        """
        if self.early_db is None and progress >= _EARLY:
            self.early_db = psnr_db
        if self.gain_scale is None and self.early_db is not None and progress >= _HALF_WAY:
            usual = usual_gain_db(_EARLY) - usual_gain_db(_HALF_WAY)
            self.gain_scale = math.sqrt(min(max((psnr_db - self.early_db) / usual, 0.05), 4.0))
        scale = 1.0 if self.gain_scale is None else self.gain_scale
        return psnr_db + usual_gain_db(progress) * scale


def _limited(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
