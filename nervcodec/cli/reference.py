"""The command line as a page: python -m nervcodec.cli.reference > docs/reference/cli.md."""

from __future__ import annotations

import re

import click

from nervcodec.cli.main import cli, commands
from nervcodec.cli.params import HELP_WIDTH

# What the help of every command ends with.
_EVERYWHERE = re.compile(
    r"(\n(Other|Options):)?(\n +--config .*\n +-v, .*\n +-q, .*)?\n +--version .*\n +-h, --help .*"
)
_HEAD = """# Command line

This page is the help of every command; each also has `--config`, `-v`, `-q`, `--version` and `-h`.
`python -m nervcodec.cli.reference` makes it. The guide says more on
[encoding](../guide/encoding.md), [decoding](../guide/decoding.md) and
[benchmarking](../guide/benchmarking.md).
"""


def reference() -> str:
    """Return the page, in Markdown: a section for each command."""
    sections = [_HEAD, _section("nervcodec", cli)]
    sections += [_section(f"nervcodec {name}", command) for name, command in commands().items()]
    return "\n".join(sections)


def _section(name: str, command: click.Command) -> str:
    """Return the help of one command under its name."""
    settings = {**cli.context_settings, "terminal_width": HELP_WIDTH - 2}
    with click.Context(command, info_name=name, **settings) as context:
        text = _EVERYWHERE.sub("", command.get_help(context))
        return f"## {name}\n\n```text\n{text.strip()}\n```\n"


if __name__ == "__main__":
    print(reference(), end="")
