"""nervcodec.training.rate_control: simulated fits are steered to their targets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.training.rate_control import (
    IDLE_LOOKS,
    PSNR_LAW,
    PSNR_LOOKS,
    SETTLING,
    SIZE_LAW,
    SIZE_LOOKS,
    Law,
    RateControl,
    is_due,
    psnr_error,
    size_error,
    usual_gain_db,
)
from nervcodec.training.rate_model import NATS_PER_DB

N_EPOCHS = 60
WEIGHT = 0.01


def simulated(control: RateControl, content: float, elasticity: float, lag: float) -> float:
    """Runs a fit whose error follows content - elasticity * ln(weight / 0.01) with a lag, as a
    share of the fit.

    From 70 % of it on, where weights are rounded, what is settled moves by a tenth of that only.
    """
    error, moved, weight = content, 0.0, WEIGHT
    for epoch in range(N_EPOCHS):
        progress = (epoch + 1) / N_EPOCHS
        moved -= elasticity * (1 if progress <= 0.7 else 0.1) * math.log(control.weight / weight)
        weight = control.weight
        error += (content + moved - error) * min(1, 1 / (lag * N_EPOCHS))
        control.observe(progress, error)
    return error


@given(st.floats(-1.5, 1.5), st.floats(0.35, 0.7), st.floats(0.01, 0.05))
def test_targets_are_met(content: float, elasticity: float, lag: float) -> None:
    """Content that takes 4.5 times more or fewer bits than the usual ends within 2 % of the
    target.
    """
    assert simulated(RateControl(WEIGHT, SIZE_LAW), content, elasticity, lag) == pytest.approx(
        0, abs=0.02
    )


@pytest.mark.parametrize("content", [-50.0, 50.0])
def test_what_cannot_be_reached_has_a_last_price(content: float) -> None:
    """Out of reach, the weight goes the right way and stops within a factor of 10,000 of where it
    began.
    """
    control = RateControl(WEIGHT, SIZE_LAW)
    simulated(control, content, 0.0, 0.05)
    ratio = control.weight / WEIGHT
    assert 1e-4 <= ratio <= 1e4
    assert ratio > 100 if content > 0 else ratio < 0.01


@pytest.mark.parametrize(
    ("law", "before", "after"),
    [(SIZE_LAW, (0.05, 0.1, 0.15), 0.2), (PSNR_LAW, (0.2, 0.3, 0.49), 0.5)],
    ids=["size", "psnr"],
)
def test_the_start_of_a_fit_says_nothing(law: Law, before: tuple[float, ...], after: float) -> None:
    """The weight stays while the network takes shape, and towards a PSNR until half-way, where the
    forecast is made.
    """
    control = RateControl(WEIGHT, law)
    for progress in before:
        control.observe(progress, 1.0)
        assert control.weight == WEIGHT
    control.observe(after, 1.0)
    assert control.weight > WEIGHT


@pytest.mark.parametrize("looks", [SIZE_LOOKS, PSNR_LOOKS, IDLE_LOOKS])
@pytest.mark.parametrize("n_epochs", [1, 3, 40, 1000])
def test_looks_are_few(n_epochs: int, looks: tuple[float, ...]) -> None:
    """However many epochs a fit has, each look happens once, several in one epoch only where epochs
    are few.
    """
    n_due = sum(
        is_due(looks, epoch / n_epochs, (epoch + 1) / n_epochs) for epoch in range(n_epochs)
    )
    assert n_due == (len(looks) if n_epochs >= 40 else min(n_epochs, 3))


def test_errors_count_in_bytes() -> None:
    """Twice the bits are ln 2 too large; a decibel too good counts as what its bytes cost."""
    assert size_error(2000, 1000) == pytest.approx(math.log(2))
    assert psnr_error(31, 30) == pytest.approx(NATS_PER_DB)


def test_gains_shrink_to_nothing() -> None:
    """The PSNR that is still to come falls towards the end of a fit, where it is none."""
    gains = [usual_gain_db(i / 50) for i in range(51)]
    assert gains == sorted(gains, reverse=True) and gains[0] > 1 and gains[-1] == 0


@pytest.mark.parametrize("scale", [0.2, 0.6, 1.0, 2.0])
def test_slow_learners_are_foreseen(scale: float) -> None:
    """Once half-way, what is to come is scaled by the root of what came; the usual is foreseen as
    it is.
    """
    control = RateControl(WEIGHT, PSNR_LAW)
    expected = [
        control.expected_db(i / 50, 30 - scale * usual_gain_db(i / 50)) for i in range(1, 51)
    ]
    off = math.sqrt(scale) - scale
    assert expected[24:] == pytest.approx([30 + off * usual_gain_db(i / 50) for i in range(25, 51)])


@given(st.floats(-1, 1), st.floats(0.1, 0.2))
def test_a_psnr_is_met_without_overshooting(content: float, lag: float) -> None:
    """Where it follows the price after a tenth or two of a fit, an error is mended without as large
    a one beyond.
    """
    control = RateControl(WEIGHT, PSNR_LAW)
    error, errors = content, []
    for i in range(N_EPOCHS):
        control.observe((i + 1) / N_EPOCHS, error)
        moved = 0.5 * math.log(
            control.weight / WEIGHT
        )  # a bit twice as dear takes 29 % of the bytes
        error += (content - moved - error) / (lag * N_EPOCHS)
        errors.append(error)
    assert abs(errors[-1]) <= 0.25 * abs(content) + 0.02
    assert min(errors) * max(errors) >= -0.25 * content**2 - 1e-3


@pytest.mark.parametrize("law", [SIZE_LAW, PSNR_LAW], ids=["size", "psnr"])
def test_each_stage_leaves_less_than_what_is_promised(law: Law) -> None:
    """Final rounding accepts what fitting ends with, and its own end leaves room to the promise."""
    promise = law.promise
    assert 0 < promise.fitted < promise.rounded < promise.promised
    assert law.tolerance == promise.fitted * law.nats_per_unit


@pytest.mark.parametrize(
    ("error", "is_left"), [(-0.031, False), (-0.03, True), (0.05, True), (0.051, False)]
)
def test_settling_leaves_small_errors_to_rdoq(error: float, is_left: bool) -> None:
    """Between 3 % too small and 5 % too large."""
    assert SETTLING.is_left_to_rdoq(error) == is_left
