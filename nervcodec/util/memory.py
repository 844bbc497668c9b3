"""How much memory is left, the most that this process has had, and how it keeps what it frees."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

from nervcodec.util.address_space import allowed_resident_bytes

# Options of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Return the bytes that can be had without swapping, in the machine, in the control group we
    run in and under the limit of the address space; None if unknown.
    """
    allowed = allowed_resident_bytes()
    free = [] if allowed is None else [allowed]
    with suppress(OSError):
        lines = re.findall(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text("ascii"), re.MULTILINE)
        free += [1024 * int(kib) for kib in lines]
    with suppress(OSError, ValueError):  # 'max', where there is no limit
        limit, used = (
            int((group / f"memory.{name}").read_text("ascii")) for name in ("max", "current")
        )
        free.append(limit - used)
    return min(free, default=None)


def peak_bytes() -> int:
    """Return the most bytes of resident memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for what is allocated next: up to 1 GiB, in blocks of up to 32
    MiB, for all threads.

    Feature maps come and go; if they are given back each time, their pages are made anew at every
    layer (docs/lab L078, L083, L089). Threads share one heap, since what belongs to a thread's heap
    is given back in any case. Where the user tunes malloc, or there is no glibc, nothing happens.

    Returns:
        Whether it does.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    settings = {_ARENA_MAX: 1, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 1 << 30}
    return mallopt is not None and all(mallopt(name, value) for name, value in settings.items())
