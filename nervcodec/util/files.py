"""Outputs that are written whole or not at all: a temporary neighbour, fsync, rename.

Whatever goes wrong meanwhile (an exception, a full disk, Ctrl-C), the name asked for holds either
what it held before or the complete new content.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nervcodec.errors import OutputError, OutputExists
from nervcodec.util.strays import held, neighbour, remove_strays

# The names of the frames in a folder; a folder that holds anything else is never replaced.
FRAME_NAME = "{:08d}.png"
_FRAME_PATTERN = re.compile(r"[0-9]{8}\.png")


def check_output(
    path: str | Path, *, overwrite: bool, source: str | Path | None = None, folder: bool = False
) -> None:
    """Raise now what would otherwise go wrong after hours of work.

    Args:
        path: where the output shall stand.
        overwrite: whether an output of an earlier run may be replaced.
        source: the input; the output may not be it.
        folder: the output is a folder of frames, not a file.

    Raises:
        OutputExists: the output exists and may not be replaced, or is the input.
        OutputError: it cannot be written there.
    """
    if not os.fspath(path):  # Path would take it for the folder we are in
        raise OutputError("the output has no name; name a file")
    with os_errors(path):
        target = _resolved(path)
        if (
            os.path.exists(path) and not target.exists()
        ):  # a pipe by the name /dev/stdout: nothing can take its place
            raise OutputError(f"cannot write {path}: it is not a regular file; name a file")
        _check_parent(target, path)
        if source is not None:
            _check_source(target, Path(source), path, folder)
        if folder:
            _check_folder(target, path, overwrite)
        else:
            _check_file(target, path, overwrite)


@contextmanager
def whole_file(path: str | Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; on success it becomes `path`, on any
    exception it goes.

    An OSError inside the block counts as a failure to write this output.

    Raises:
        OutputExists, OutputError: as check_output, before any work; OutputError if writing fails.
    """
    check_output(path, overwrite=overwrite)
    target = _resolved(path)
    remove_strays(target)
    part = neighbour(target, target.suffix)
    with os_errors(path), gone_on_error(part):
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        with held(part):
            yield part
            sync(part)
            # Somebody else may have written there in the meantime.
            _check_file(target, path, overwrite)
            os.replace(part, target)
        sync_folder(target.parent)


@contextmanager
def whole_folder(path: str | Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`, on any
    exception it goes.

    An existing folder is replaced only if it is empty, or, with `overwrite`, if it holds nothing
    but frames named as we name them: files of anybody else are never deleted.

    Raises:
        OutputExists, OutputError: as check_output, before any work; OutputError if writing fails.
    """
    check_output(path, overwrite=overwrite, folder=True)
    target = _resolved(path)
    remove_strays(target)
    part = neighbour(target, "")
    with os_errors(path):
        try:
            part.mkdir()
            with held(part):
                yield part
                for file in sorted(part.iterdir()):
                    sync(file)
                sync_folder(part)
                _check_folder(target, path, overwrite)
                _swap_in(part, target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        sync_folder(target.parent)


@contextmanager
def os_errors(path: str | Path) -> Iterator[None]:
    """Turn an OSError within it into an OutputError about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _resolved(path: str | Path) -> Path:
    # Through symbolic links, so that the link stays and its target is replaced.
    return Path(os.path.realpath(path))


def _check_parent(target: Path, path: str | Path) -> None:
    if not target.parent.is_dir():
        named = Path(path).parent
        missing = (
            target.parent if named.is_dir() else named
        )  # a link may point to where there is no folder
        raise OutputError(f"cannot write {path}: there is no folder {missing}; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: the folder {Path(path).parent} is not writable")


def _check_source(target: Path, source: Path, path: str | Path, folder: bool) -> None:
    # os.path.exists, since a source whose very name is impossible is no fault of the output.
    inside = (
        folder
        and os.path.exists(source.parent)
        and target.exists()
        and os.path.samefile(source.parent, target)
    )
    if inside or (os.path.exists(source) and target.exists() and os.path.samefile(source, target)):
        raise OutputExists(f"{path} is the input itself; choose another output")


def _check_file(target: Path, path: str | Path, overwrite: bool) -> None:
    if target.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; name a file")
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise OutputError(f"cannot write {path}: it is not a regular file; name a file")
    if not overwrite:
        raise OutputExists(f"{path} exists already; -y overwrites it")


def _check_folder(target: Path, path: str | Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise OutputExists(
            f"{path} exists already and is not a folder; name a new or an empty folder"
        )
    names = sorted(entry.name for entry in target.iterdir())
    foreign = [name for name in names if not _FRAME_PATTERN.fullmatch(name)]
    if foreign:
        raise OutputExists(
            f"{path} holds other files ({foreign[0]}); name a new or an empty folder"
        )
    if names and not overwrite:
        raise OutputExists(f"{path} exists already; -y overwrites it")


def _swap_in(part: Path, target: Path) -> None:
    if not target.exists():
        os.replace(part, target)
        return
    old = neighbour(target, ".old")
    os.replace(target, old)
    try:
        os.replace(part, target)
    except OSError:
        os.replace(old, target)
        raise
    with contextlib.suppress(OSError):
        for name in filter(_FRAME_PATTERN.fullmatch, os.listdir(old)):
            (old / name).unlink()
        old.rmdir()


@contextmanager
def gone_on_error(part: Path) -> Iterator[None]:
    """Remove the half-written file, whatever is raised within it."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def sync(file: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    handle = os.open(file, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    # Some file systems cannot sync a folder; the rename itself has succeeded by then.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
