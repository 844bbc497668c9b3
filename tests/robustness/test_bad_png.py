"""Whatever is wrong with a folder of PNG: one line, exit 3, and nothing is lost."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusals import NO_PICTURES, SENSELESS, notes_of, refused
from shell import Shell


def png(width: int = 8, height: int = 6, bits: int = 8, lines: bytes | None = None) -> bytes:
    """A black RGB picture; `lines` in place of its samples."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    lines = bytes((1 + width * 3 * bits // 8) * height) if lines is None else lines
    head = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


BAD_FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda folder: None, NO_PICTURES),
    "no picture": (
        lambda folder: (folder / "a.txt").write_bytes(b"x"),
        NO_PICTURES,
    ),
    "an empty PNG": (
        lambda folder: (folder / "b.png").write_bytes(b""),
        "cannot read in/b.png: it holds no PNG picture",
    ),
    "text": (
        lambda folder: (folder / "b.png").write_text("hello" * 9),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "a PNG cut in its samples": (
        lambda folder: (folder / "b.png").write_bytes(png()[:-20]),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "a PNG without samples": (
        lambda folder: (folder / "b.png").write_bytes(png(lines=b"\0")),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "a flipped bit": (
        lambda folder: (folder / "b.png").write_bytes(png()[:-20] + b"x" + png()[-19:]),
        f"cannot read in/b.png: .*; {SENSELESS}",
    ),
    "a PNG of gigabytes": (
        lambda folder: (folder / "b.png").write_bytes(png(60000, 60000, lines=b"\0")),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "another size": (
        lambda folder: (folder / "b.png").write_bytes(png(6, 8)),
        "in: frame 2 is 6x8, the first is 8x6",
    ),
    "a folder named so": (
        lambda folder: (folder / "b.png").mkdir(),
        "cannot read in/b.png: it is not a file",
    ),
    "a pipe named so": (
        lambda folder: os.mkfifo(folder / "b.png"),
        "cannot read in/b.png: it is not a file",
    ),
    "a broken link": (
        lambda folder: (folder / "b.png").symlink_to("nowhere"),
        "cannot read in/b.png: it is not a file",
    ),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_folders(replaceable: Shell, name: str) -> None:
    """A folder is refused by the picture that is wrong, and nothing in it is waited for."""
    make, message = BAD_FOLDERS[name]
    folder = replaceable.folder / "in"
    folder.mkdir()
    if message != NO_PICTURES:
        (folder / "a.png").write_bytes(png())
    make(folder)
    refused(replaceable, ["encode", "in", "out.nvpp", "-y", "--epochs", "1"], 3, message)


def test_what_else_is_in_a_folder_is_not_read(shell: Shell) -> None:
    """Folders, pipes and broken links beside the pictures are counted and left alone, through a
    whole encode.
    """
    folder = shell.folder / os.fsdecode(b"in\xff")
    (folder / "sub").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("nowhere")
    (folder / os.fsdecode(b"\xff1.png")).write_bytes(png())
    result = shell(
        "encode",
        os.fsdecode(b"in\xff"),
        "out.nvpp",
        "--preset",
        "ultrafast",
        "--epochs",
        "1",
        "--json",
    )
    assert notes_of(result) == [
        "other entries of the folder, left out: 3",
        "a folder of PNG has no frame rate: 25 assumed",
    ]


def test_pictures_of_too_many_columns(replaceable: Shell) -> None:
    """A picture beyond the largest side is refused with the limit."""
    (replaceable.folder / "in").mkdir()
    (replaceable.folder / "in" / "a.png").write_bytes(png(16385, 1))
    refused(
        replaceable,
        ["encode", "in", "out.nvpp", "-y"],
        3,
        "in: frames are 16385x1; up to 16384 a side are read",
    )
