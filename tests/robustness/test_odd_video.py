"""Odd video and odd names that must work, and what is said of what is converted or missing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from refusals import add_frames, contents, notes_of, y4m
from shell import Shell, write_clip

from nervcodec.video.probe import probe

NOTED: dict[str, tuple[str, Callable[[Path], Any], list[str]]] = {
    "4:1:1": (
        "in.y4m",
        lambda path: path.write_bytes(y4m("W8 H6 F25:1 C411", 3, 72)),
        ["4:1:1 coded as 4:2:2 (columns repeated)"],
    ),
    "gray": (
        "in.nut",
        lambda path: add_frames(path, "ffv1", "gray16le"),
        ["16-bit gray coded at 12 bits"],
    ),
    "alpha": (
        "in.nut",
        lambda path: add_frames(path, "ffv1", "yuva420p"),
        ["transparent pixels are laid over black; --background takes another colour"],
    ),
    "a palette": (
        "in.nut",
        lambda path: add_frames(path, "rawvideo", "pal8"),
        [
            "transparent pixels are laid over black; --background takes another colour",
            "pal8 converted to RGB",
        ],
    ),
    "mkv that lost its end": (
        "in.mkv",
        lambda path: path.write_bytes(add_frames(path, n_frames=6)[:-300]),
        ["the file promises 0.24 s, its frames end at 0.08 s"],
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_is_converted_or_missing_is_said(shell: Shell, name: str) -> None:
    """What can be read but is not coded as it is gets a note, and the encode goes on."""
    file, make, notes = NOTED[name]
    make(shell.folder / file)
    assert notes_of(shell("encode", file, "out.nvpp", "--dry-run")) == notes
    assert list(contents(shell.folder)) == [file]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (3, 5)])
def test_the_oddest_sizes(shell: Shell, width: int, height: int) -> None:
    """A clip of one pixel, of one column or of odd sides goes there and back with its size and
    number of frames.
    """
    write_clip(shell.folder / "in.y4m", width, height, 2)
    assert shell("encode", "in.y4m", "out.nvpp", "--epochs", "1", "--json").code == 0
    assert shell("decode", "out.nvpp", "back.y4m").code == 0
    form = probe(shell.folder / "back.y4m")[0]
    assert (form.width, form.height, form.n_frames) == (width, height, 2)


@pytest.fixture
def names(shell: Shell) -> Iterator[list[str]]:
    """Names that a shell, a terminal, a format string or FFmpeg's protocols would take for
    something else.
    """
    yield [
        "a b",
        "ünï ☃",
        "./-x",
        "new\nline",
        "\x1b[31mred",
        "take:2",
        "%d",
        "a'b\"",
        "[red]",
        os.fsdecode(b"\xff"),
    ]


def test_the_oddest_names(shell: Shell, names: list[str], coded_bytes: bytes) -> None:
    """Input and output may have any name that the system takes; what is printed of it has no
    control character.
    """
    for name in names:
        write_clip(shell.folder / f"{name}.y4m", 8, 6, 2)
        assert (
            json.loads(shell("encode", f"{name}.y4m", f"{name}.nvpp", "--dry-run", "--json").out)[
                "frames"
            ]
            == 2
        )
        (shell.folder / f"{name}.nvpp").write_bytes(coded_bytes)
        assert shell("decode", f"{name}.nvpp", f"{name}.mkv").code == 0
        assert probe(shell.folder / f"{name}.mkv")[0].n_frames == 3
        result = shell("info", f"{name}.nvpp")
        assert result.code == 0 and result.err == ""
        assert all(line.isprintable() for line in result.out.splitlines())
    n_rows = len(shell("info", f"{names[0]}.nvpp").out.splitlines())
    assert len(shell("info", "new\nline.nvpp").out.splitlines()) == n_rows


def test_an_encode_to_an_odd_name(tiny_clip: Shell) -> None:
    """A whole encode under a name with spaces, a line feed and an escape sequence leaves that one
    file.
    """
    assert tiny_clip("encode", "in.y4m", "a b\n\x1b[31m.nvpp", "--epochs", "1", "--json").code == 0
    assert list(contents(tiny_clip.folder)) == ["a b\n\x1b[31m.nvpp", "in.y4m"]
