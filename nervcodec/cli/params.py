"""Options of the command line: how their values are read, and those that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import click

from nervcodec import __version__
from nervcodec.encoder.presets import PRESETS
from nervcodec.format import limits


class Rational(click.ParamType[Fraction]):
    """A rate above 0: a number or a fraction."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fraction:
        try:
            # Neither exponents nor hundreds of digits: 1e999999999 would be computed.
            rate = Fraction(str(value)) if re.fullmatch(r"-?[0-9./]{1,40}", str(value)) else None
        except (ValueError, ZeroDivisionError):
            rate = None
        if rate is None:
            self.fail(f"{value!r} is not a rate; legal: a number or a fraction such as 30000/1001")
        if rate <= 0:
            self.fail(f"{value!r} is not a rate; legal: above 0")
        return rate


class Measure(click.FloatRange):
    """A FloatRange up to a billion, and without nan, which FloatRange lets in."""

    def __init__(self, least: float, *, min_open: bool = False) -> None:
        super().__init__(least, 1e9, min_open=min_open)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number; legal: {self._describe_range()}", param, ctx)
        return number


class Amount(click.ParamType[float]):
    """A number, with k, M or G for thousands, millions, thousand millions."""

    name = "N[k|M|G]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value)
        scale = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}.get(text[-1:], 1)
        try:
            return scale * float(text[:-1] if scale > 1 else text)
        except ValueError:
            self.fail(
                f"{value!r} is not an amount; legal: a number, with k, M or G for thousands,"
                " millions, ..."
            )


class Duration(click.ParamType[float]):
    """Seconds, or hours, minutes and seconds as in 1h30m."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", str(value))
        if not found or not any(found.groups()):
            self.fail(f"{value!r} is not a time; legal: seconds, or such as 90s, 10m, 1h30m")
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        total = 3600 * hours + 60 * minutes + seconds
        if total > 1e9:
            self.fail(f"{value!r} is not a time; legal: up to a billion seconds")
        return total


class FrameRange(click.ParamType[tuple[int, int | None]]):
    """'A:B' -> (A, B), the frames A to B-1; B is None where it is left out."""

    name = "A:B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int | None]:
        first, colon, stop = str(value).partition(":")
        if not colon or not all(re.fullmatch("[0-9]{0,18}", part) for part in (first, stop)):
            self.fail(f"{value!r} is not a range; legal: A:B, the frames A to B-1 counted from 0")
        return int(first or 0), int(stop) if stop else None


def names(_: click.Context, __: click.Parameter, value: Sequence[str]) -> list[str]:
    """'a,b' 'c' -> a, b, c."""
    return [name for part in value for name in part.split(",") if name]


def by_codec(
    _: click.Context, parameter: click.Parameter, value: Sequence[str]
) -> dict[str, list[str]]:
    """'x265=medium,slow' -> {'x265': ['medium', 'slow']}."""
    found: dict[str, list[str]] = {}
    for part in value:
        codec, equals, names = part.partition("=")
        if not equals or not names.strip(","):
            raise click.BadParameter(f"{part!r}; legal: CODEC=VALUE,VALUE ...", param=parameter)
        found.setdefault(codec, []).extend(name for name in names.split(",") if name)
    return found


def _raised_limits(
    _: click.Context, parameter: click.Parameter, value: Sequence[str]
) -> dict[str, int]:
    """'side=20000' -> {'side': 20000}."""
    found = {}
    for part in value:
        name, number = (part.split("=", 1) + [""])[:2]
        if name not in limits.NAMES or not re.fullmatch("[0-9]{1,18}", number) or not int(number):
            raise click.BadParameter(
                f"{part!r}; legal: NAME=N, a whole number above 0 for {', '.join(limits.NAMES)}",
                param=parameter,
            )
        found[name] = int(number)
    return found


def version_option(command: Any) -> Any:
    """--version."""
    return click.version_option(__version__, prog_name="nervcodec", message="%(prog)s %(version)s")(
        command
    )


def limited(command: Any) -> Any:
    """Options of commands that decode strangers' files."""
    for option in reversed(
        (
            click.option(
                "--max-memory",
                type=Measure(0, min_open=True),
                default=4.0,
                show_default=True,
                metavar="GIB",
                help="refuse a file whose decoding would take more memory",
            ),
            click.option(
                "--limit",
                "raised",
                multiple=True,
                callback=_raised_limits,
                metavar="NAME=N",
                help=f"allow a file more than usual: {', '.join(limits.NAMES)} (docs/usage.md)",
            ),
        )
    ):
        command = option(command)
    return command


def limits_of(raised: dict[str, int], max_memory_gib: float) -> limits.Limits:
    """The limits that the options of `limited` ask for."""
    return limits.Limits(**raised, memory=int(max_memory_gib * 2**30))


def device_options(command: Any) -> Any:
    """Where to compute, and on how many threads."""
    for option in reversed(
        (
            click.option(
                "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N"
            ),
            click.option(
                "--threads", type=int, help="CPU threads; part of what makes an encode repeatable"
            ),
        )
    ):
        command = option(command)
    return command


def speed_options(command: Any) -> Any:
    """Options of bench for measuring speed in place of codecs."""
    for option in reversed(
        (
            click.option(
                "--speed",
                is_flag=True,
                help="instead: our training beside plain PyTorch's (docs/performance.md)",
            ),
            click.option(
                "--speed-preset",
                "preset",
                type=click.Choice(list(PRESETS)),
                metavar="NAME",
                default="paper-xs",
                show_default=True,
                help="whose network, batch and rates --speed takes",
            ),
            click.option(
                "--variants",
                multiple=True,
                callback=names,
                metavar="NAME,...",
                help=(
                    "of our training: same-recipe, mse, ours, ours-ssim, preset (default: the first"
                    " three)"
                ),
            ),
            click.option(
                "--steps",
                "n_steps",
                type=click.IntRange(1),
                default=60,
                show_default=True,
                help="of each",
            ),
            click.option(
                "--rounds",
                "n_rounds",
                type=click.IntRange(1),
                default=3,
                show_default=True,
                help="in so many turns",
            ),
            click.option(
                "--floor",
                is_flag=True,
                help="instead: our times beside the least they could be; takes no CLIP",
            ),
            click.option(
                "--cases",
                multiple=True,
                callback=names,
                metavar="PRESET@WxH,...",
                help="networks for --floor (default: paper-xs@1280x720,medium@640x360)",
            ),
            click.option(
                "--device", default="auto", show_default=True, help="of --speed and --floor"
            ),
            click.option(
                "--precision",
                type=click.Choice(["auto", "float32", "bfloat16"]),
                default="auto",
                show_default=True,
                help="of our training in --speed and --floor",
            ),
        )
    ):
        command = option(command)
    return command


def common_options(command: Any) -> Any:
    """Options that encode and decode share."""
    for option in reversed(
        (
            device_options,
            click.option("-y", "--overwrite", is_flag=True, help="replace an existing output"),
            click.option(
                "--json",
                "as_json",
                is_flag=True,
                help="print figures as JSON on stdout, no progress",
            ),
        )
    ):
        command = option(command)
    return version_option(command)
