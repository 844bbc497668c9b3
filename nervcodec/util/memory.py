"""How much memory is left, the most that this process has had, and that it keeps what it frees."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # glibc's malloc.h


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Memory that can be had without swapping, in the machine and in the control group we run in;
    None if unknown.
    """
    found = []
    with suppress(OSError):
        lines = re.findall(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text("ascii"), re.MULTILINE)
        found += [1024 * int(kib) for kib in lines]
    with suppress(OSError, ValueError):  # 'max', where there is no limit
        limit, used = (
            int((group / f"memory.{name}").read_text("ascii")) for name in ("max", "current")
        )
        found.append(limit - used)
    return min(found, default=None)


def peak_bytes() -> int:
    """The most resident memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def keep_freed_memory() -> bool:
    """Has glibc keep freed memory for what is allocated next: up to 1 GiB, in blocks of up to 32
    MiB, for all threads.

    Feature maps come and go; given back each time, their pages are made anew at every layer
    (docs/performance.md). Threads share one heap, since what belongs to a thread's own is given
    back in any case. Where the user tunes malloc, or there is no glibc, nothing happens.

    Returns:
        Whether it does.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    wished = {_ARENA_MAX: 1, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 1 << 30}
    return mallopt is not None and all(mallopt(option, value) for option, value in wished.items())
