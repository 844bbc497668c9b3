"""Temporary neighbours of outputs: their names, and those that a killed process has left.

A process holds a lock on its neighbour, by the kernel, for as long as it lives. What nobody holds
any more, and has the name of a neighbour of the same output, may go.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".nervcodec-"


def neighbour(target: Path, suffix: str) -> Path:
    """Return a new name beside an output, of its own."""
    return target.with_name(f"{_PREFIX}{_name_of(target)}{secrets.token_hex(4)}{suffix}")


@contextmanager
def held(part: Path) -> Iterator[None]:
    """Hold the lock on a neighbour that exists, so that nobody takes it for a stray."""
    handle = os.open(part, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # file systems without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def remove_strays(target: Path) -> None:
    """Remove the neighbours of an output that killed processes have left."""
    # Not those with .old: a folder that was to be replaced.
    pattern = re.compile(
        rf"{re.escape(_PREFIX + _name_of(target))}[0-9a-f]{{8}}({re.escape(target.suffix)})?"
    )
    with contextlib.suppress(OSError):
        for name in filter(pattern.fullmatch, os.listdir(target.parent)):
            _remove_unheld(target.with_name(name))


def _remove_unheld(path: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        finally:
            os.close(handle)


def _name_of(target: Path) -> str:
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]
