"""When, where and with what figures were measured, as results state it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nervcodec import __version__
from nervcodec.video.ffmpeg_decode import FFMPEG_VERSION


def now() -> str:
    """Return the time in UTC, such as 2026-01-02T03:04:05Z."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit() -> str:
    """Return the short hash of the checkout that this source stands in; empty outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of nervcodec and of what its figures depend on, by name."""
    by_name = {
        "nervcodec": __version__,
        "python": platform.python_version(),
        "ffmpeg": FFMPEG_VERSION,
    }
    for package in ("torch", "numpy", "constriction", "pytorch-msssim", "bjontegaard"):
        try:
            by_name[package] = version(package)
        except PackageNotFoundError:
            by_name[package] = "not installed"
    return by_name


def machine() -> dict[str, Any]:
    """Return CPU, number of cores, memory, GPU (None: there is none) and system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "gpu": _gpu_name(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _cpu_name() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        "unknown",
    )


def _gpu_name() -> str | None:
    """Return the name of the GPU that torch sees, if it sees one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
