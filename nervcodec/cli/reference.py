"""The command line as a page: python -m nervcodec.cli.reference > docs/reference/cli.md."""

from __future__ import annotations

import re

import click

from nervcodec.cli.main import cli, commands
from nervcodec.cli.params import HELP_WIDTH

_PROGRAM = "nervcodec "
# What the help of every command ends with.
_EVERYWHERE = re.compile(
    r"(\n(Other|Options):)?(\n +--config .*\n +-v, .*\n +-q, .*)?\n +--version .*\n +-h, --help .*"
)
# The guide has examples, and the head says what -y and --json do.
_LEFT_OUT = re.compile(
    r"\nExamples:\n(  .*\n)+|(\nOptions:)?\n +(-y, --overwrite|--json) .*(?=\n|$)"
)
_HEAD = """# Command line

The help of every command, but its examples (the guide has some). Each also has `--json` (one
JSON object on stdout), `--config`, `-v`, `-q`, `--version` and `-h`; where there is an OUTPUT, `-y`
replaces it. `python -m nervcodec.cli.reference` makes this page.
"""


def reference() -> str:
    """Return the page, in Markdown: a section for each command."""
    sections = [_section(_PROGRAM + name, command) for name, command in commands().items()]
    return "\n".join([_HEAD, *sections])


def _section(name: str, command: click.Command) -> str:
    """Return the help of one command, as the page has it, under its name."""
    settings = {**cli.context_settings, "terminal_width": HELP_WIDTH - 2}
    with click.Context(command, info_name=name, **settings) as context:
        text = _LEFT_OUT.sub("", _EVERYWHERE.sub("", command.get_help(context)))
        text = text.strip().removeprefix("Usage: ").replace(" [OPTIONS]", "", 1)
        return f"## {name.removeprefix(_PROGRAM)}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    print(reference(), end="")
