"""nervcodec completion and man: what a shell and a reader of manuals are given."""

from __future__ import annotations

import click

from nervcodec.cli import console
from nervcodec.cli.params import Command, version_option

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    examples=[
        ("bash > ~/.local/share/bash-completion/completions/nervcodec", "for bash"),
        ("fish > ~/.config/fish/completions/nervcodec.fish", "for fish"),
    ],
)
@click.argument("shell", type=click.Choice(_SHELLS), metavar="bash|zsh|fish")
@version_option
def completion(shell: str) -> None:
    """Print a script that completes commands, options, their values and files in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    script = found(root, {}, "nervcodec", "_NERVCODEC_COMPLETE")
    # Not source(), which starts bash to ask for its version.
    console.show(script.source_template % script.source_vars())


@click.command(cls=Command, examples=[("> nervcodec.1", "for man -l and packages")])
@version_option
def man() -> None:
    """Print the manual page, in roff."""
    from nervcodec.cli.manual import manual

    console.show(manual().rstrip("\n"))
