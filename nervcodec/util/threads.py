"""CPU cores, the threads that run on them, and how these wait for each other."""

from __future__ import annotations

import os
import time
from pathlib import Path

_SPINS = "10000"
_SAMPLE_S = 0.2  # twenty ticks of a core


def limit_spinning() -> None:
    """Have threads spin for a moment only before they sleep, unless the user has set how long.

    That is as fast as for ever, and leaves the cores to other work (docs/lab L079). It counts where
    torch is not loaded yet.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def n_cores() -> int:
    """Return the CPU cores that this process may run on."""
    return len(_own_cores()) or os.cpu_count() or 1


def idle_cores(stat: Path = Path("/proc/stat"), seconds: float = _SAMPLE_S) -> int:
    """Return how many of these cores other work leaves idle just now, as measured for a moment.

    All, where the system does not tell.
    """
    before = _ticks(stat)
    time.sleep(seconds)
    passed = [
        (after[0] - first[0], after[1] - first[1])
        for name, after in _ticks(stat).items()
        if (first := before.get(name))
    ]
    n_ticks = sum(of_all for of_all, _ in passed)
    if not n_ticks:
        return n_cores()
    return round(n_cores() * sum(idle for _, idle in passed) / n_ticks)


def _own_cores() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # where there is no such call
        return set()


def _ticks(stat: Path) -> dict[str, tuple[int, int]]:
    """Return the ticks of each core of ours, all and idle ones, from proc(5)'s stat."""
    try:
        lines = [line.split() for line in stat.read_text("ascii").splitlines()]
    except OSError:
        return {}
    ours = {f"cpu{number}" for number in _own_cores()}
    counts = {name: [int(word) for word in words[:8]] for name, *words in lines if name in ours}
    return {name: (sum(each), each[3] + each[4]) for name, each in counts.items()}
