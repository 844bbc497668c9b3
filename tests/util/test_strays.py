"""nervcodec.util.strays: what a killed process leaves beside its output goes at the next run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fresh import ENVIRONMENT

from nervcodec.util.files import whole_file, whole_folder
from nervcodec.util.strays import held, neighbour

KILLED = """
import os, signal, sys
from nervcodec.util.files import whole_file, whole_folder
whole = whole_folder if sys.argv[2] == "folder" else whole_file
with whole(sys.argv[1], overwrite=True) as part:
    (part / "00000001.png" if part.is_dir() else part).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def strays(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".nervcodec-"))


@pytest.mark.parametrize(("name", "kind"), [("a.nvpp", "file"), ("frames", "folder")])
def test_what_a_killed_process_left_goes(tmp_path: Path, name: str, kind: str) -> None:
    """The next write to the same output removes it, one to another output does not."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / name), kind]
    done = subprocess.run(command, env=ENVIRONMENT)
    assert done.returncode == -signal.SIGKILL and len(strays(tmp_path)) == 1
    with whole_file(tmp_path / "b.nvpp", overwrite=False) as part:
        part.write_bytes(b"other")
    assert len(strays(tmp_path)) == 1
    whole = whole_folder if kind == "folder" else whole_file
    with whole(tmp_path / name, overwrite=False) as part:
        assert strays(tmp_path) == [part.name]
    assert strays(tmp_path) == []


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    """A neighbour that is held is not removed by another write to the same output."""
    with whole_file(tmp_path / "a.nvpp", overwrite=True) as first:
        first.write_bytes(b"first")
        with whole_file(tmp_path / "a.nvpp", overwrite=True) as second:
            second.write_bytes(b"second")
        assert first.read_bytes() == b"first"
    assert (tmp_path / "a.nvpp").read_bytes() == b"first"


def test_files_of_others_stay(tmp_path: Path) -> None:
    """Names that are like ours but are not, and links, are never removed."""
    names = (".nervcodec-notes", ".nervcodec-0123456789abcdef.nvpp", "a.nvpp.bak")
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    link = neighbour(tmp_path / "a.nvpp", ".nvpp")
    link.symlink_to(tmp_path / "a.nvpp.bak")
    with whole_file(tmp_path / "a.nvpp", overwrite=False) as part:
        part.write_bytes(b"new")
    assert {path.name for path in tmp_path.iterdir()} == {*names, link.name, "a.nvpp"}


def test_a_lock_ends_with_its_block(tmp_path: Path) -> None:
    """After `held` a neighbour is a stray like any other."""
    part = neighbour(tmp_path / "a.nvpp", ".nvpp")
    part.write_bytes(b"half")
    with held(part):
        pass
    with whole_file(tmp_path / "a.nvpp", overwrite=False):
        assert not part.exists()
