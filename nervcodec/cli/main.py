"""The command line: commands, signals, exit codes. Errors become one line here."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click

from nervcodec.cli import console
from nervcodec.cli.params import HELP_WIDTH, version_option
from nervcodec.errors import ConfigError, Interrupted, NervCodecError, ResourceError
from nervcodec.util.address_space import out_of_memory
from nervcodec.util.threads import limit_spinning

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _Place(NamedTuple):
    """Where a command is, and the line that help says of it."""

    module: str
    name: str
    summary: str


# Each is imported when it is called, so that a command waits for no other's modules.
_COMMANDS = {
    "encode": _Place("encode", "encode", "Fit a network to a video and write a .nvpp file."),
    "decode": _Place("decode", "decode", "Write a .nvpp file's frames as video or PNG."),
    "info": _Place("info", "info", "Show what is in a .nvpp file."),
    "verify": _Place(
        "info", "verify", "Check that a .nvpp file is whole and decodes as it should."
    ),
    "play": _Place("play", "play", "Play a .nvpp file in a browser."),
    "export": _Place("play", "export", "Write a page that plays a .nvpp file by itself."),
    "concat": _Place("concat", "concat", "Join .nvpp files."),
    "split": _Place("concat", "split", "Write some segments of a .nvpp file as another."),
    "compare": _Place("compare", "compare", "Measure one video against another."),
    "bench": _Place("bench", "bench", "Compare codecs by rate, distortion and time."),
    "bench speed": _Place("bench", "speed", "Time training beside plain PyTorch's."),
    "bench roofline": _Place(
        "bench", "roofline", "Time steps and frames beside what the machine allows."
    ),
    "completion": _Place("completion", "completion", "Print a shell's completion script."),
    "man": _Place("completion", "man", "Print the manual page."),
}


SUMMARIES = {name: place.summary for name, place in _COMMANDS.items()}


class _Group(click.Group):
    """A group that imports a command when it is called. A name may have two words."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which help shows them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name."""
        return command(cmd_name) if cmd_name in _COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name of the command, the command, and what is left of the arguments."""
        two_words = " ".join(args[:2])
        if two_words in _COMMANDS:
            return two_words, command(two_words), args[2:]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands of one word, without loading them, and the program's options."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=summary)
            for name, summary in SUMMARIES.items()
            if name.startswith(incomplete) and " " not in name
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


def command(name: str) -> click.Command:
    """Return the command of a name, such as 'bench speed'.

    Raises:
        KeyError: there is none.
    """
    place = _COMMANDS[name]
    found = getattr(importlib.import_module(f"nervcodec.cli.{place.module}"), place.name)
    assert isinstance(found, click.Command)
    return found


def commands() -> dict[str, click.Command]:
    """Return all commands by name, in the order in which help shows them."""
    return {name: command(name) for name in _COMMANDS}


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
    no_args_is_help=False,
)
@version_option
def cli() -> None:
    """A neural video codec: fits a small network to a video and stores it in a .nvpp file."""


def main() -> NoReturn:
    """Run the command and exit with a code of docs/reference/exit-codes.md."""
    _end_by_signals()
    console.open_streams()
    console.set_level(0)
    limit_spinning()
    try:
        cli.main(prog_name="nervcodec", standalone_mode=False)
        console.show("")  # what click printed by itself may still be on its way
    except NervCodecError as error:
        is_out = isinstance(error.__cause__, MemoryError)
        sys.exit(_fail(str(error), ResourceError.exit_code if is_out else error.exit_code))
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.exit(_fail("interrupted; nothing was written", Interrupted.exit_code))
    except click.ClickException as error:
        sys.exit(_fail(error.format_message(), ConfigError.exit_code))
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        message = out_of_memory(error)
        if message is None:
            raise
        sys.exit(_fail(message, ResourceError.exit_code))
    sys.exit(0)


def _end_by_signals() -> None:
    """Have SIGTERM and SIGHUP end the program as Ctrl-C does, so that they leave nothing half
    written either; a SIGHUP that nohup ignores stays ignored.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _fail(message: str, code: int) -> int:
    console.error(message)
    return code
