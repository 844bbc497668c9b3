"""The command line: commands, signals, exit codes. Errors become one line here."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from nervcodec.cli import console
from nervcodec.cli.bench import bench, roofline, speed
from nervcodec.cli.compare import compare
from nervcodec.cli.decode import decode
from nervcodec.cli.encode import encode
from nervcodec.cli.info import info, verify
from nervcodec.cli.params import HELP_WIDTH, version_option
from nervcodec.errors import ConfigError, Interrupted, NervCodecError


class _Group(click.Group):
    """A group whose commands' names may have two words, such as 'bench speed'."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name of the command, the command, and what is left of the arguments."""
        two_words = " ".join(args[:2])
        if two_words in self.commands:
            return two_words, self.commands[two_words], args[2:]
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which help shows them."""
        return list(self.commands)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
    no_args_is_help=False,
)
@version_option
def cli() -> None:
    """A neural video codec: fits a small network to a video and stores it in a .nvpp file."""


for command in (encode, decode, info, verify, compare, bench, speed, roofline):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command and exit with a code of docs/reference/exit-codes.md."""
    _end_by_signals()
    console.open_streams()
    # OpenMP's threads spin while they wait for each other: a moment of it is as fast as for ever,
    # and leaves the cores to other work (docs/lab L079). Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        cli.main(prog_name="nervcodec", standalone_mode=False)
        console.show("")  # what click printed by itself may still be on its way
    except NervCodecError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.exit(_fail("interrupted; nothing was written", Interrupted.exit_code))
    except click.ClickException as error:
        sys.exit(_fail(error.format_message(), ConfigError.exit_code))
    sys.exit(0)


def _end_by_signals() -> None:
    """Have SIGTERM and SIGHUP end the program as Ctrl-C does, so that they leave nothing half
    written either; a SIGHUP that nohup ignores stays ignored.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _fail(message: str, code: int) -> int:
    console.note(f"error: {message}")
    return code
