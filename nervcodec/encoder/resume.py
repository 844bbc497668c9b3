"""What an unfinished encode has so far, in OUTPUT.nvpp.part/, so that the same command goes on
after any end of it.

    lock              held while an encode runs, by the kernel: it goes with the process
    encode.json       what is encoded and how: another input, model or fit does not go on from here
    survey.json       what was learnt of the source by reading it (encoder.survey)
    shares.json       what the bits of a file of a given size are shared among its segments by
    segment-00000     a finished segment: its payload in the .nvpp file, and what became of its fit
    fit-00000         the last checkpoint of the fit of a segment
    fit-00000.before  the one before it

Files but the lock start with the SHA-256 of the rest; segments and checkpoints then have that of
the encode which they are of (what encode.json says), so that where it is lost they are not taken
for another's. Each is written beside its place, synced, read back and renamed; the checkpoint
before the last stays, so that whatever is cut or flipped, there is one to resume from. Only the
process that holds the lock writes here, whichever one fits. Files in the folder that are none of
these are never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from nervcodec.encoder.progress_folder import folder_of, has_progress, written_files
from nervcodec.errors import BitstreamError, ConfigError, OutputError, OutputExists
from nervcodec.format.container import read_segment, write_segment
from nervcodec.format.file import Segment
from nervcodec.util.files import gone_on_error, os_errors, sync, sync_folder

_SHARES = "shares.json"
_SURVEY = "survey.json"
_DIGEST_BYTES = 32
# What is raised by a file that has a good digest and that no encode has written all the same.
_SENSELESS = (ValueError, KeyError, BitstreamError)


def stored_identity(destination: Path) -> dict[str, Any] | None:
    """Return what the unfinished encode to `destination` encodes and how; None if there is none."""
    data = _read(folder_of(destination) / "encode.json")
    with contextlib.suppress(*_SENSELESS):
        identity = None if data is None else json.loads(data)
        return identity if isinstance(identity, dict) else None
    return None


def stored_survey(destination: Path) -> bytes | None:
    """Return what the unfinished encode to `destination` has kept of its source's survey."""
    return _read(folder_of(destination) / _SURVEY)


class Journal:
    """What an encode has reached; a context, within which no other encode to the same output can
    begin.

    Args:
        destination: the encode's output.
        identity: all that its bytes depend on, JSON-ready.
        restart: forget what was reached.
        survey: of the source, kept for the same command after an interruption.
    Raises:
        OutputExists: another encode to `destination` is running, or a file has the folder's name.
        ConfigError: what was reached belongs to another identity; says what differs.
        OutputError: nothing can be written there.
    """

    def __init__(
        self,
        destination: Path,
        identity: Mapping[str, Any],
        *,
        restart: bool = False,
        survey: bytes | None = None,
    ) -> None:
        self.folder = folder_of(destination)
        self._destination = destination
        self._is_removed = False
        if os.path.lexists(self.folder) and not self.folder.is_dir():
            raise OutputExists(
                f"{self.folder} is not a folder, and the encode needs one of that name; move it"
                " away"
            )
        with os_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
            try:
                self._lock = _locked(self.folder / "lock", destination)
            except OSError:
                _remove_empty(self.folder)
                raise
        try:
            self._begin(json.loads(json.dumps(identity)), restart, survey)
        except BaseException:
            if not self.has_progress and stored_identity(destination) is None:
                self.remove()
            self._lock.close()
            raise

    def _begin(self, identity: dict[str, Any], restart: bool, survey: bytes | None) -> None:
        self._name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()
        if restart:
            with os_errors(self.folder):
                for file in written_files(self.folder):
                    if file.name != "lock":
                        file.unlink()
        stored = stored_identity(self._destination)
        if stored is not None and stored != identity:
            name, old, new = next(_differences(stored, identity, ""))
            raise ConfigError(
                f"{self.folder} holds an unfinished encode with another {name} ({old!r}, now"
                f" {new!r}); give what it was begun with, or --restart to begin anew"
            )
        if survey is not None and survey != stored_survey(self._destination):
            self._write(_SURVEY, survey)
        if stored is None:
            self._write("encode.json", json.dumps(identity).encode())

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the folder; it stays where there is something to go on from."""
        if not self._is_removed and not self.has_progress:
            self.remove()
        self._lock.close()

    @property
    def has_progress(self) -> bool:
        """Whether there is anything to go on from."""
        return has_progress(self.folder)

    def remove(self) -> None:
        """Remove all that was reached: from here on the folder may be another encode's."""
        self._is_removed = True
        for file in written_files(self.folder):
            with contextlib.suppress(OSError):
                file.unlink()
        _remove_empty(self.folder)

    def add_segment(self, number: int, segment: Segment, summary: Mapping[str, Any]) -> None:
        """Keep a finished segment; the checkpoints of its fit go."""
        head = json.dumps(summary).encode()
        self._keep(
            _segment_name(number), len(head).to_bytes(4, "little") + head + write_segment(segment)
        )
        with os_errors(self.folder):
            for name in (_fit_name(number), _before(_fit_name(number))):
                (self.folder / name).unlink(missing_ok=True)

    def segment(self, number: int, n_streams: int) -> tuple[Segment, dict[str, Any]] | None:
        """Return a finished segment and its summary; None if it is not there or damaged."""
        data = self._kept(_segment_name(number))
        with contextlib.suppress(*_SENSELESS):
            if data is not None:
                end = 4 + int.from_bytes(data[:4], "little")
                return read_segment(data[end:], n_streams), json.loads(data[4:end])
        return None

    def add_complexities(self, complexities: Sequence[Mapping[str, Any]]) -> None:
        """Keep what the bits of a size are shared among the segments by."""
        self._keep(_SHARES, json.dumps(complexities).encode())

    def complexities(self) -> list[dict[str, Any]] | None:
        """Return what add_complexities kept; None if it is not there or damaged."""
        data = self._kept(_SHARES)
        return None if data is None else list(json.loads(data))

    def add_checkpoint(self, number: int, state: bytes) -> None:
        """Keep a checkpoint of the fit of a segment, and the one before it."""
        name = _fit_name(number)
        self._keep(name, state, _before(name))

    def checkpoint(self, number: int) -> bytes | None:
        """Return the last checkpoint of a segment's fit that is whole; None if there is none."""
        name = _fit_name(number)
        state = self._kept(name)
        return self._kept(_before(name)) if state is None else state

    def _keep(self, name: str, data: bytes, keep_as: str | None = None) -> None:
        """Write what is of this encode alone."""
        self._write(name, self._name + data, keep_as)

    def _kept(self, name: str) -> bytes | None:
        """Return what _keep() wrote; None if it is missing, damaged or of another encode."""
        data = _read(self.folder / name)
        return data[_DIGEST_BYTES:] if data is not None and data.startswith(self._name) else None

    def _write(self, name: str, data: bytes, keep_as: str | None = None) -> None:
        """Put a file in place, whole or not at all; the one that was there goes on as `keep_as`."""
        path = self.folder / name
        part = self.folder / f"{name}.new"
        with os_errors(path), gone_on_error(part):
            part.write_bytes(hashlib.sha256(data).digest() + data)
            sync(part)
            if _read(part) != data:
                raise OutputError(f"cannot write {path}: it reads back as something else")
            if keep_as is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(path, self.folder / keep_as)
            os.replace(part, path)
            sync_folder(self.folder)


class Pace:
    """When a fit's checkpoints are taken: so many seconds apart, and when it is to end.

    Attributes:
        is_fitting: whether somebody asks is_due again and again.
        is_ending: whether the fit is to end after its next checkpoint.
    """

    def __init__(self, every_s: float = 60.0) -> None:
        self.every_s = every_s
        self.is_fitting = False
        self.is_ending = False
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Return whether a checkpoint is to be taken now."""
        return self.is_ending or time.monotonic() - self._last >= self.every_s

    def taken(self) -> None:
        """Say that a checkpoint has been taken."""
        self._last = time.monotonic()

    def end(self) -> None:
        """End a fit after its next step, with a checkpoint; at once where there is none, or when
        asked twice.

        Raises:
            KeyboardInterrupt: in the latter cases.
        """
        if self.is_ending or not self.is_fitting:
            raise KeyboardInterrupt
        self.is_ending = True


def _segment_name(number: int) -> str:
    return f"segment-{number:05d}"


def _fit_name(number: int) -> str:
    return f"fit-{number:05d}"


def _before(name: str) -> str:
    """Return the name of what a file held before."""
    return f"{name}.before"


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # others have put something there
        folder.rmdir()


def _locked(path: Path, destination: Path) -> BinaryIO:
    """Return the lock, held until it is closed.

    Raises:
        OutputExists: another encode holds it.
    """
    lock = open(path, "wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
            raise BlockingIOError  # whoever held it has removed the folder
    except (BlockingIOError, FileNotFoundError):
        lock.close()
        raise OutputExists(
            f"{destination} is being written by another encode; wait for it or choose another"
            " output"
        ) from None
    return lock


def _read(path: Path) -> bytes | None:
    """Return what follows the digest; None if the file is missing or not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, rest = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return rest if hashlib.sha256(rest).digest() == digest else None


def _differences(old: Any, new: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, old, new) of whatever differs between two JSON values, in the order of
    the new one.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
    elif old != new:
        yield name, old, new
