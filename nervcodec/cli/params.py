"""Options of the command line: how help shows them, and those that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nervcodec import __version__
from nervcodec.cli.habits import habits, invoke
from nervcodec.cli.values import JobsParam

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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


def device_options(
    section: str | None = None, threads: str = "CPU threads"
) -> Callable[[AnyCommand], AnyCommand]:
    """Return --device and --threads.

    Args:
        threads: what the latter are.
    """
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
            help=threads,
        ),
    )


def engine_option(section: str | None = None) -> Callable[[AnyCommand], AnyCommand]:
    """Return --engine."""
    return option(
        "--engine",
        default="auto",
        show_default=True,
        metavar="NAME",
        section=section,
        help="torch, numpy, or auto: torch if it is installed",
    )


def decoding_device_options(section: str | None = None) -> Callable[[AnyCommand], AnyCommand]:
    """Return --device and --threads of what decodes."""
    return device_options(section, "CPU threads; with numpy, frames decoded at once")


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
