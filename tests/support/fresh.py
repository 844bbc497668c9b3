"""Commands in a process of their own, with the seconds and the memory that they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import nervcodec

MAX_SECONDS, MAX_BYTES = 2.0, 512 << 20  # what refusing a file may take
# Of a process that imports the package under test.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(nervcodec.__file__).parent.parent)}
_TRIES = 3  # of which one has to be fast enough: other work on the machine is not ours

# A process counts as its own what its parent held when it was started, and this one holds torch: a
# small one starts it.
_STARTER = """
import json, resource, subprocess, sys, time
started = time.monotonic()
command = [sys.executable, "-m", "nervcodec", *sys.argv[1:]]
done = subprocess.run(command, capture_output=True, text=True)
seconds = time.monotonic() - started
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
print(json.dumps([done.returncode, done.stdout, done.stderr, seconds, peak]))
"""


class Fresh(NamedTuple):
    code: int
    out: str
    err: str
    seconds: float
    n_bytes: int


def fresh(folder: Path, *arguments: str) -> Fresh:
    """Runs a command in a folder; again, if it was slow."""
    for _ in range(_TRIES):
        printed = subprocess.run(
            [sys.executable, "-c", _STARTER, *arguments],
            cwd=folder,
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found = Fresh(*json.loads(printed))
        if found.seconds < MAX_SECONDS:
            break
    return found


def run(code: str, *arguments: str) -> str:
    """Runs code in a fresh interpreter and gives its output."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def assert_refused(result: tuple[int, str, str], code: int, message: str = "") -> None:
    """Exit code, one line of error with the message in it, and nothing on stdout. result: code,
    stdout, stderr.
    """
    assert (result[0], result[1]) == (code, ""), result
    assert result[2].startswith("nervcodec: error: ") and message in result[2]
    assert result[2].endswith("\n") and result[2].count("\n") == 1
    assert result[2][:-1].isprintable()


def assert_refused_cheaply(folder: Path, command: list[str], code: int, message: str = "") -> None:
    """The same of a command in a process of its own, which takes little time and memory."""
    found = fresh(folder, *command)
    assert_refused(found[:3], code, message)
    assert found.seconds < MAX_SECONDS and found.n_bytes < MAX_BYTES
