"""nervcodec.cli.values: values as people write them."""

from __future__ import annotations

import pytest

from nervcodec.cli import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5s", 1.5), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661)],
)
def test_times(text: str, seconds: float) -> None:
    """A time is in seconds, or in hours, minutes and seconds."""
    assert values.Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "amount"), [("65600", 65600), ("64k", 64e3), ("1.5M", 1.5e6), ("2G", 2e9)]
)
def test_amounts(text: str, amount: float) -> None:
    """An amount is a number, or one of thousands, millions and so on."""
    assert values.Amount().convert(text, None, None) == amount
