"""The options that bound what decoding a stranger's file may take."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import click

from nervcodec.cli.params import AnyCommand, option, options
from nervcodec.cli.values import Measure
from nervcodec.format import limits


def limit_options(section: str | None = None) -> Callable[[AnyCommand], AnyCommand]:
    """Return --max-memory and --limit, of commands that decode strangers' files."""
    return options(
        option(
            "--max-memory",
            "max_memory_gib",
            type=Measure(0, min_open=True),
            default=4.0,
            show_default=True,
            metavar="GIB",
            section=section,
            help="refuse a file whose decoding takes more",
        ),
        option(
            "--limit",
            "raised",
            multiple=True,
            callback=_raised_limits,
            metavar="NAME=N",
            section=section,
            help=f"raise a limit: {', '.join(limits.NAMES)}",
        ),
    )


def limits_of(raised: dict[str, int], max_memory_gib: float) -> limits.Limits:
    """Return the limits that the options of limit_options ask for."""
    return limits.Limits(**raised, memory=int(max_memory_gib * 2**30))


def _raised_limits(
    _: click.Context, parameter: click.Parameter, value: Sequence[str]
) -> dict[str, int]:
    """Return the limits by name: 'side=20000' -> {'side': 20000}.

    Raises:
        click.BadParameter: a value of another form, or no such limit.
    """
    raised = {}
    for part in value:
        name, number = (part.split("=", 1) + [""])[:2]
        if name not in limits.NAMES or not re.fullmatch("[0-9]{1,18}", number) or not int(number):
            raise click.BadParameter(
                f"{part!r}; legal: NAME=N, a whole number above 0 for {', '.join(limits.NAMES)}",
                param=parameter,
            )
        raised[name] = int(number)
    return raised
