"""The manual page of section 1, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from nervcodec import __version__
from nervcodec.cli.main import SUMMARIES, cli, commands
from nervcodec.cli.params import OTHER

Rows = tuple[tuple[str, str], ...]
_EXIT_CODES = (
    ("0", "done"),
    ("1", "a bug of nervcodec"),
    ("2", "an option or a combination that cannot work, a missing package or CUDA device"),
    ("3", "unreadable or unsupported video, a fit that keeps diverging"),
    ("4", "a damaged or foreign .nvpp file"),
    ("5", "more memory, or larger frames, than there is or is allowed"),
    ("6", "output that cannot be written"),
    ("7", "output that exists, is the input, or is being written"),
    ("8", "stopped from outside; the same command goes on"),
)
_FILES = (
    (
        "~/.config/nervcodec/config.toml",
        'Defaults of options, a table for each command ([encode], then preset = "fast");'
        " $XDG_CONFIG_HOME takes the place of ~/.config, $NERVCODEC_CONFIG that of the whole name,"
        " and none is read where it is empty.",
    ),
    ("OUTPUT.nvpp.part/", "What an interrupted encode has reached; the same command goes on."),
)


def manual() -> str:
    """Return the page in roff, with the man macros."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH NERVCODEC 1 "" "nervcodec {_escaped(__version__)}" "User Commands"'
    yield ".SH NAME"
    yield r"nervcodec \- a neural video codec"
    yield ".SH SYNOPSIS"
    found = commands()
    for name, command in found.items():
        with _context(name, command) as context:
            pieces = " ".join(command.collect_usage_pieces(context))
            yield f".B nervcodec {_escaped(name)}"
            yield _text(pieces)
            yield ".br"
    yield ".SH DESCRIPTION"
    yield _text(cli.help or "")
    yield ".SH COMMANDS"
    for name, command in found.items():
        yield f".SS {_escaped(name)}"
        yield _text(command.help or SUMMARIES[name])
        yield from _options(name, command, _shared(found))
        yield from _examples(name, command)
    yield ".SH ALL COMMANDS"
    yield _text("Every command takes these as well.")
    yield from _described(_shared(found))
    yield ".SH FILES"
    yield from _described(_FILES)
    yield ".SH EXIT STATUS"
    yield from _described(_EXIT_CODES)


def _options(name: str, command: click.Command, shared: Rows) -> Iterator[str]:
    """Yield the options of a command but for those that all have."""
    for title, rows in _records(name, command).items():
        yield from _described(tuple(row for row in rows if row not in shared), title)


def _shared(found: Mapping[str, click.Command]) -> Rows:
    """Return the options that all commands have: all that those without others have."""
    return tuple(_records("man", found["man"])[OTHER])


def _records(name: str, command: click.Command) -> dict[str, list[tuple[str, str]]]:
    """Return (option, what it does) by section of help."""
    with _context(name, command) as context:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None and isinstance(parameter, click.Option):
                title = getattr(parameter, "section", None) or OTHER
                sections.setdefault(title, []).append(record)
        return sections


def _context(name: str, command: click.Command) -> click.Context:
    # A command keeps the option of help that its first context gives it.
    return click.Context(command, info_name=f"nervcodec {name}", **cli.context_settings)


def _examples(name: str, command: click.Command) -> Iterator[str]:
    for words, what in getattr(command, "examples", ()):
        yield ".TP"
        yield f"Example: {_escaped(f'nervcodec {name} {words}')}"
        yield _text(what)


def _described(rows: Rows, title: str | None = None) -> Iterator[str]:
    """Yield terms in bold with their texts under them."""
    if title and title != OTHER and rows:
        yield ".PP"
        yield f".I {_escaped(title)}"
    for term, text in rows:
        yield ".TP"
        yield f".B {_escaped(term)}"
        yield _text(text)


def _text(text: str) -> str:
    """Return a paragraph of running text: no line of it is taken for a macro."""
    line = _escaped(" ".join(text.split()))
    return rf"\&{line}" if line.startswith((".", "'")) else line


def _escaped(text: str) -> str:
    """Return text that roff prints as it is."""
    return text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace('"', r"\(dq")
