"""Checks of values against what is legal, with the value and the legal range in the message."""

from __future__ import annotations

from nervcodec.errors import ConfigError


def check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}; legal: {low} to {high}")


def check_choice(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ConfigError(f"{name} is {value!r}; legal: {', '.join(legal)}")


def ceil_div(dividend: int, divisor: int) -> int:
    """Return the quotient, rounded up."""
    return -(-dividend // divisor)
