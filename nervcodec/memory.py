"""How much memory is left, and the most that this process has had."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path


def available_bytes(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory that can be had without swapping, in the machine and in the control group we run in; None if unknown."""
    found = []
    with suppress(OSError):
        lines = re.findall(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text("ascii"), re.MULTILINE)
        found += [1024 * int(kib) for kib in lines]
    with suppress(OSError, ValueError):  # 'max', where there is no limit
        limit, used = (int((group / f"memory.{name}").read_text("ascii")) for name in ("max", "current"))
        found.append(limit - used)
    return min(found, default=None)


def peak_bytes() -> int:
    """The most resident memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
