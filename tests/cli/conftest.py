"""Clips that several tests compare."""

from __future__ import annotations

import pytest
from shell import Shell, write_clip


@pytest.fixture
def clips(shell: Shell) -> Shell:
    """A folder with in.y4m and in2.y4m (5 frames of 24 x 18), short.y4m (3 frames) and small.y4m
    (another size).
    """
    for name, size in (
        ("in", (24, 18, 5)),
        ("in2", (24, 18, 5)),
        ("short", (24, 18, 3)),
        ("small", (16, 18, 5)),
    ):
        write_clip(shell.folder / f"{name}.y4m", *size)
    data = bytearray((shell.folder / "in2.y4m").read_bytes())
    data[-1] ^= 8
    (shell.folder / "in2.y4m").write_bytes(data)
    return shell
