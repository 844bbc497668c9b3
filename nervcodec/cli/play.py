"""nervcodec play and export: a file in a browser."""

from __future__ import annotations

import json
import os
import sys

import click

from nervcodec.cli import console
from nervcodec.cli.params import (
    STANDARD,
    Command,
    complete_file,
    json_option,
    may_overwrite,
    option,
    overwrite_option,
    version_option,
)

_STDIN = "/dev/stdin"


@click.command(
    cls=Command,
    examples=[("clip.nvpp", "in the default browser"), ("clip.nvpp --no-open", "in any other")],
)
@click.argument("source", metavar="INPUT.nvpp", shell_complete=complete_file)
@option("--no-open", is_flag=True, help="print the page's address and open no browser")
@json_option()
@version_option
def play(source: str, *, no_open: bool, as_json: bool) -> None:
    """Play INPUT.nvpp in a browser of this machine, until its page is closed."""
    from nervcodec.format.container import read_bytes, read_file
    from nervcodec.player.server import PlayerServer

    video = read_bytes(_readable(source))
    read_file(video)
    with PlayerServer(video, os.path.basename(source)) as server:
        if as_json:
            address = {"schema": "nervcodec.play/1", "input": source, "address": server.url}
            console.show(json.dumps(address))
        else:
            console.show(server.url)
        if not no_open:
            _open(server.url)
        console.note("playing until the page is closed; Ctrl-C ends it too")
        server.wait_for_the_page()


@click.command(cls=Command, examples=[("clip.nvpp clip.html", "a page to send to someone")])
@click.argument("source", metavar="INPUT.nvpp", shell_complete=complete_file)
@click.argument("destination", metavar="OUTPUT.html", shell_complete=complete_file)
@overwrite_option()
@json_option()
@version_option
def export(source: str, destination: str, *, overwrite: bool, as_json: bool) -> None:
    """Write a page that holds INPUT.nvpp and the player, and needs no network."""
    from dataclasses import replace

    from nervcodec.player.export import export as run

    report = run(_readable(source), destination, overwrite=may_overwrite(destination, overwrite))
    report = replace(report, source=source)
    if as_json:
        console.show(json.dumps(report.as_json()))
    elif not console.is_quiet():
        console.show(
            f"{destination}: {report.n_frames} frames, {report.n_bytes:,} bytes,"
            f" {report.n_video_bytes:,} of them in the file"
        )


def _readable(source: str) -> str:
    return _STDIN if source == STANDARD else source


def _open(url: str) -> None:
    """Open a page in the default browser, or say why not."""
    import webbrowser

    if not _has_display():
        console.note("there is no display; open the address in a browser of this machine")
    elif not webbrowser.open(url):
        console.note("no browser was found; open the address in one of this machine")


def _has_display() -> bool:
    """Return whether a browser would have a window: on a terminal alone, webbrowser takes one
    that fills it.
    """
    if sys.platform in ("darwin", "win32", "cygwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
