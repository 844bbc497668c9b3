"""Checks of values against what is legal, with the value and the legal range in the message."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nervcodec.errors import ConfigError

MAX_THREADS = 1024


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless low <= value <= high; nan is outside of every range."""
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}; legal: {low} to {high}")


def check_choice(name: str, value: object, legal: Sequence[object]) -> None:
    """Raise ConfigError unless the value is one of those that are legal."""
    if value not in legal:
        raise ConfigError(f"{name} is {value!r}; legal: {', '.join(map(str, legal))}")


def ceil_div(dividend: int, divisor: int) -> int:
    """Return the quotient, rounded up."""
    return -(-dividend // divisor)


def check_least(name: str, value: int | None, least: int) -> None:
    """Raise ConfigError if there is a value and it is below the least one."""
    if value is not None and value < least:
        raise ConfigError(f"{name} is {value}; legal: {least} or more")


def check_device_name(name: str) -> None:
    """Raise ConfigError unless it is the name of a device, whether that is there or not."""
    if not re.fullmatch("auto|cpu|cuda(:[0-9]{1,9})?", name):
        raise ConfigError(f"device is {name!r}; legal: auto, cpu, cuda, cuda:N")


def check_threads(n_threads: int | None) -> None:
    """Raise ConfigError unless it is a number of threads that torch may be given, or None."""
    if n_threads is not None:
        check_range("threads", n_threads, 1, MAX_THREADS)
