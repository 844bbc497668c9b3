"""Options of the command line: how their values are read, how help shows them, and those that
several commands share.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nervcodec import __version__
from nervcodec.cli.habits import habits, invoke
from nervcodec.errors import ConfigError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from nervcodec.video.geometry import Crop

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])
OTHER = "Other"  # section of options that are in no other
HELP_WIDTH = 100  # columns, where the terminal has as many


# --- help ---


class Option(click.Option):
    """An option that stands in a section of its command's help.

    Args:
        section: its heading; None puts it at the end.
    """

    def __init__(self, *names: Any, section: str | None = None, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what help says in brackets: the default, but not what an error says of a range."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class Command(click.Command):
    """A command whose help has examples before its options, and these in sections.

    Args:
        examples: (arguments after the command's name, what they do), a line each.
    """

    def __init__(
        self, *arguments: Any, examples: Sequence[tuple[str, str]] = (), **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples
        self.params[-1:-1] = habits()  # before --version

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, with more words around it where -v asks for them."""
        return invoke(self, ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the options section by section."""
        if self.examples:
            lines = [(f"{ctx.command_path} {words}", what) for words, what in self.examples]
            with formatter.section("Examples"):
                formatter.write_dl(lines, col_max=formatter.width)
        sections: dict[str | None, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and row is not None:
                sections.setdefault(getattr(parameter, "section", None), []).append(row)
        others = sections.pop(None, [])
        sections[OTHER if sections else "Options"] = others
        for title, rows in sections.items():
            with formatter.section(str(title)):
                formatter.write_dl(rows)


# --- values ---


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


# --- options that commands share ---


def option(*names: str, **settings: Any) -> Callable[[AnyCommand], AnyCommand]:
    """Return a decorator that adds an Option."""
    return click.option(*names, cls=Option, **settings)


def options(
    *decorators: Callable[[AnyCommand], AnyCommand],
) -> Callable[[AnyCommand], AnyCommand]:
    """Return a decorator that adds several options, in their order."""

    def decorated(command: AnyCommand) -> AnyCommand:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorated


version_option = click.version_option(
    __version__, prog_name="nervcodec", message="%(prog)s %(version)s"
)


def json_option(section: str | None = None) -> Callable[[AnyCommand], AnyCommand]:
    """Return --json."""
    text = "print one JSON object on stdout"
    return option("--json", "as_json", is_flag=True, section=section, help=text)


def overwrite_option(section: str | None = None) -> Callable[[AnyCommand], AnyCommand]:
    """Return --overwrite."""
    return option(
        "-y", "--overwrite", is_flag=True, section=section, help="replace an existing output"
    )


def jobs_option(section: str | None, what: str) -> Callable[[AnyCommand], AnyCommand]:
    """Return --jobs; `what` is done at once."""
    return option(
        "--jobs",
        type=JobsParam(),
        metavar="N|auto",
        default="auto",
        show_default=True,
        section=section,
        help=f"segments {what} at once, each by a process",
    )


def device_options(section: str | None = None) -> Callable[[AnyCommand], AnyCommand]:
    """Return --device and --threads."""
    return options(
        option(
            "--device",
            default="auto",
            show_default=True,
            metavar="NAME",
            section=section,
            help="auto, cpu, cuda or cuda:N",
        ),
        option(
            "--threads",
            "n_threads",
            type=int,
            metavar="N",
            section=section,
            help="CPU threads",
        ),
    )


def complete_file(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Have a shell complete the name of a file."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


STANDARD = "-"  # in place of a name: standard input or output


def output_name(destination: str) -> str:
    """Return the name of an output, - for all names of standard output."""
    names = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
    return STANDARD if os.path.abspath(destination) in names else destination


@contextmanager
def readable(source: str) -> Iterator[str]:
    """Yield a name by which an input can be read more than once.

    That is its own, or of a pipe (- and others) a temporary file with what it gives.

    Raises:
        VideoError, OutputError: as video.reader.spooled.
    """
    is_pipe = source == STANDARD or not (
        os.path.isfile(source) or os.path.isdir(source) or not os.path.exists(source)
    )
    if not is_pipe:
        yield source
        return
    from nervcodec.video.reader import spooled

    with spooled(source) as path:
        yield path


def may_overwrite(destination: str, overwrite: bool) -> bool:
    """Return whether an existing output may go; unless -y says so, ask at a terminal, and take a
    silent one for a no.
    """
    if overwrite or not os.path.exists(destination):
        return overwrite
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(f"{destination} exists already; replace it?", err=True)
