"""Commands in processes of their own, with their wall seconds and peak memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

from nervcodec.errors import CommandFailed


@dataclass(frozen=True)
class Run:
    """A finished process.

    Attributes:
        seconds: wall time.
        peak_bytes: the most resident memory.
        said: the JSON object that it printed last; empty if it printed none.
    """

    seconds: float
    peak_bytes: int
    said: dict[str, Any]


# Runs a command on the first N CPUs, then tells its wall seconds, peak memory and exit code. It
# stands between because Linux takes what the starting process holds (here torch, half a gigabyte)
# for the peak of what it starts. So it loads as little as it can, and json only once the command
# has ended.
_LAUNCHER = """
import os, sys, time
report, n_cpus, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
os.set_inheritable(report, False)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cpus])
started = time.monotonic()
try:
    pid = os.posix_spawnp(command[0], command, os.environ)
except OSError as error:
    sys.exit(f"cannot start {command[0]}: {error.strerror}")
_, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - started
peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
import json
os.write(report, json.dumps([seconds, peak, os.waitstatus_to_exitcode(status)]).encode())
"""


def run_timed(command: Sequence[str], n_cpus: int, failure: str) -> Run:
    """Run a command to its end on so many CPUs; return its time and peak memory.

    Raises:
        CommandFailed: it cannot be started or exits with another code than 0.
    """
    with TemporaryFile() as out, TemporaryFile() as err, TemporaryFile() as report:
        launcher = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _LAUNCHER,
            str(report.fileno()),
            str(n_cpus),
            *command,
        ]
        process = subprocess.Popen(
            launcher,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, "NERVCODEC_CONFIG": ""},  # figures depend on no file of defaults
            pass_fds=(report.fileno(),),
            start_new_session=True,
        )
        try:
            process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        seconds, peak_bytes, code = json.loads(
            _last_line(report) or f"[0, 0, {process.returncode}]"
        )
        if code:
            how = f"exit {code}" if code > 0 else f"killed by signal {-code}"
            raise CommandFailed(f"{failure}: {how}: {_last_line(err) or _last_line(out)}")
        try:
            said = json.loads(_last_line(out))
        except ValueError:
            said = {}
        return Run(seconds, peak_bytes, said if isinstance(said, dict) else {})


def _last_line(file: Any) -> str:
    """Return the last line of what a process wrote; empty if it wrote none."""
    file.seek(0)
    lines: list[str] = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
