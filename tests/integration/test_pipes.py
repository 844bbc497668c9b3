"""Video on standard input and output, as a shell's pipes give and take it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Shell, write_clip


def run(
    folder: Path, *arguments: str, stdin: bytes = b"", stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "nervcodec", *arguments],
        cwd=folder,
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_what_goes_in_by_a_pipe_is_what_goes_in_by_name(shell: Shell) -> None:
    """The same clip on standard input gives the same file, and leaves no temporary one."""
    write_clip(shell.folder / "in.y4m")
    spool = shell.folder / "spool"
    spool.mkdir()
    options = ("--epochs", "1", "--threads", "1", "--json")
    assert shell("encode", "in.y4m", "named.nvpp", *options).code == 0
    done = subprocess.run(
        [sys.executable, "-m", "nervcodec", "encode", "-", "piped.nvpp", *options],
        cwd=shell.folder,
        input=(shell.folder / "in.y4m").read_bytes(),
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(spool)},
    )
    assert done.returncode == 0 and json.loads(done.stdout)["frames"] == 5
    assert (shell.folder / "piped.nvpp").read_bytes() == (shell.folder / "named.nvpp").read_bytes()
    assert list(spool.iterdir()) == []


def test_what_comes_out_by_a_pipe_is_what_comes_out_by_name(coded: Shell) -> None:
    """Standard output has the .y4m and nothing else; the figures are on stderr."""
    assert coded("decode", "out.nvpp", "out.y4m").code == 0
    done = run(coded.folder, "decode", "out.nvpp", "-", "--json")
    assert (done.returncode, done.stdout) == (0, (coded.folder / "out.y4m").read_bytes())
    assert json.loads(done.stderr)["frames"] == 5


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_a_redirection(coded: Shell) -> None:
    """Standard output that takes no more is one line and exit 6."""
    with open("/dev/full", "wb") as full:
        done = run(coded.folder, "decode", "out.nvpp", "-", stdout=full.fileno())
    assert done.returncode == 6
    assert done.stderr.splitlines()[-1] == (
        b"nervcodec: error: cannot write to standard output: No space left on device"
    )


def test_a_reader_that_leaves_early(coded: Shell) -> None:
    """A pipe that is closed in mid-video is one line and exit 6: the video is not all there."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run(coded.folder, "decode", "out.nvpp", "-", stdout=writer)
    os.close(writer)
    assert done.returncode == 6
    assert (
        done.stderr.splitlines()[-1]
        == b"nervcodec: error: cannot write to standard output: Broken pipe"
    )


def test_nothing_on_standard_input_is_an_empty_file(tmp_path: Path) -> None:
    """Empty input is refused as an empty file is."""
    done = run(tmp_path, "encode", "-", "out.nvpp")
    assert (
        done.returncode == 3
        and b"the file is empty" in done.stderr
        and list(tmp_path.iterdir()) == []
    )


@pytest.mark.parametrize("options", [["--codec", "ffv1"], ["--quality", "3"]], ids=" ".join)
def test_a_pipe_takes_no_codec(coded: Shell, options: list[str]) -> None:
    """What goes to standard output is not encoded."""
    result = coded("decode", "out.nvpp", "-", *options)
    assert result.code == 2 and "- is written without loss" in result.err
