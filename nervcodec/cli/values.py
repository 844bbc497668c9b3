"""How the values of options are read: sizes, times, rates, colours, parts of a video."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from nervcodec.errors import ConfigError

if TYPE_CHECKING:
    from nervcodec.video.geometry import Crop


class Rational(click.ParamType[Fraction]):
    """A rate above 0: a number, of NTSC as people round it, or a fraction."""

    name = "RATE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fraction:
        from nervcodec.video.rates import as_rate

        try:
            return as_rate(value)
        except ConfigError as error:
            self.fail(str(error))


class ColorParam(click.ParamType[tuple[int, int, int]]):
    """A colour: a name or #rrggbb."""

    name = "COLOUR"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        if isinstance(value, tuple):
            return value
        from nervcodec.video.source import as_color

        try:
            return as_color(str(value))
        except ConfigError as error:
            self.fail(str(error))


class SizeParam(click.ParamType[tuple[int, int]]):
    """'WxH' -> (W, H)."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", str(value))
        if not match:
            self.fail(f"{value!r} is not a size; legal: WxH in pixels, such as 640x360")
        return int(match[1]), int(match[2])


class CropParam(click.ParamType[Any]):
    """'WxH+X+Y' -> Crop."""

    name = "WxH+X+Y"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Crop:
        match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})\+([0-9]{1,9})\+([0-9]{1,9})", str(value))
        if not match:
            self.fail(f"{value!r} is not a part; legal: WxH+X+Y in pixels, such as 640x360+0+60")
        from nervcodec.video.geometry import Crop

        return Crop(*map(int, match.groups()))


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
        match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", str(value))
        if not match or not any(match.groups()):
            self.fail(f"{value!r} is not a time; legal: seconds, or such as 90s, 10m, 1h30m")
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
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


class FramePart(FrameRange):
    """'A:B' as a FrameRange, and 'N' -> (0, N)."""

    name = "N|A:B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int | None]:
        text = str(value)
        return super().convert(text if ":" in text else f":{text}", param, ctx)


class JobsParam(click.ParamType[int | str]):
    """A number of jobs, or 'auto'."""

    name = "N|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        text = str(value)
        if text == "auto":
            return text
        if not re.fullmatch(r"\d{1,6}", text):
            self.fail(f"{text!r} is no number of jobs; legal: 1 or more, or auto")
        return int(text)


class Timestamp(click.ParamType[Fraction]):
    """Seconds of a video, exact: 90, 90.5, 1:30.5 or 0:01:30.5."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fraction:
        text = str(value)
        if not re.fullmatch(r"(?:(?:\d{1,6}:)?\d{1,6}:)?\d{1,9}(?:\.\d{1,9})?", text):
            self.fail(f"{text!r} is not a time; legal: seconds, or [[HH:]MM:]SS[.mmm]")
        seconds = Fraction(0)
        for part in text.split(":"):
            seconds = 60 * seconds + Fraction(part)
        return seconds


def names(_: click.Context, __: click.Parameter, value: Sequence[str]) -> list[str]:
    """Return the names of all values: 'a,b' 'c' -> a, b, c."""
    return [name for part in value for name in part.split(",") if name]


def by_codec(
    _: click.Context, parameter: click.Parameter, value: Sequence[str]
) -> dict[str, list[str]]:
    """Return the names of each codec: 'x265=medium,slow' -> {'x265': ['medium', 'slow']}.

    Raises:
        click.BadParameter: a value of another form.
    """
    chosen: dict[str, list[str]] = {}
    for part in value:
        codec, equals, names = part.partition("=")
        if not equals or not names.strip(","):
            raise click.BadParameter(f"{part!r}; legal: CODEC=VALUE,VALUE ...", param=parameter)
        chosen.setdefault(codec, []).extend(name for name in names.split(",") if name)
    return chosen
