"""Join .nvpp files and cut them at their segments, with their sound, without fitting or decoding.

Modules that need PyAV are imported where there is sound.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nervcodec.errors import BitstreamError, ConfigError
from nervcodec.format.container import read_bytes, read_file, write_file
from nervcodec.format.file import File
from nervcodec.format.joining import (
    NamedFile,
    joined,
    part_of,
    segments_of,
    shown_by,
    text_notes,
    timed,
)
from nervcodec.format.sound import Sound
from nervcodec.format.times import seconds_of
from nervcodec.util.files import check_output, whole_file

StrPath = str | os.PathLike[str]
_Command = Literal["concat", "split"]


@dataclass(frozen=True)
class JoinReport:
    """A file that was put together of the segments of others.

    Attributes:
        command: that puts a file together so, 'concat' or 'split'.
        sources: the others, as they were given.
        destination: the file.
        n_frames: that it shows.
        n_segments: that it has.
        n_bytes: its size.
        notes: what a user should know.
    """

    command: _Command
    sources: tuple[str, ...]
    destination: str
    n_frames: int
    n_segments: int
    n_bytes: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec concat` or `split --json` (docs/reference/json.md)."""
        return {
            "schema": f"nervcodec.{self.command}/1",
            "inputs": list(self.sources),
            "output": self.destination,
            "frames": self.n_frames,
            "bytes": self.n_bytes,
            "notes": list(self.notes),
        }


def concat(
    sources: Sequence[StrPath], destination: StrPath, *, overwrite: bool = False
) -> JoinReport:
    """Write a file that shows the frames of others, one file after the other.

    Nothing is fitted or decoded. Parts that split() made of one file give that file again. Sound
    is joined packet by packet if all files that have any have the same streams of it; else it is
    left out, with a note.

    Args:
        sources: .nvpp files of one format and network, at least one.
        destination: the file that is written.
        overwrite: replace it if it exists.

    Raises:
        ConfigError: files that differ in format, network or what they say of their picture.
        VideoError: one cannot be read.
        BitstreamError: one is damaged.
        OutputError: the destination cannot be written, exists or is a source.
    """
    names = tuple(os.fspath(source) for source in sources)
    if not names:
        raise ConfigError("number of files is 0; legal: 1 or more")
    _check_output(names, destination, overwrite)
    files = [(name, _read(name)[1]) for name in names]
    contents = joined(files)
    sound, sound_notes = _joined_sound(files)
    notes = [*_unknown_notes(files), *text_notes(files), *sound_notes]
    extras = replace(contents.extras, sound=sound)
    data = write_file(contents.header, contents.segments, extras)
    return _written("concat", data, names, destination, overwrite, notes)


def split(
    source: StrPath,
    destination: StrPath,
    frames: tuple[int, int | None],
    *,
    overwrite: bool = False,
) -> JoinReport:
    """Write a file of some of the segments of another, as they are.

    Nothing is fitted or decoded. Packets of sound go to the part in which they begin.

    Args:
        source: a .nvpp file.
        destination: the file that is written.
        frames: (A, B), the frames A to B-1 as they are shown, counted from 0; both where a segment
            begins, or at the end. None for B is the end.
        overwrite: replace the destination if it exists.

    Raises:
        ConfigError: a range that would cut a segment, with the nearest that would not.
        VideoError: the source cannot be read.
        BitstreamError: it is damaged.
        OutputError: the destination cannot be written, exists or is the source.
    """
    name = os.fspath(source)
    _check_output([name], destination, overwrite)
    data, file = _read(name)
    numbers = segments_of(file, *frames)
    notes: list[str] = []
    if len(numbers) < len(file.segments):
        contents = part_of(file, numbers)
        notes += _unknown_notes([(name, file)])
        extras = replace(contents.extras, sound=_cut_sound(file, numbers))
        data = write_file(contents.header, contents.segments, extras)
    return _written("split", data, (name,), destination, overwrite, notes)


def _check_output(names: Iterable[str], destination: StrPath, overwrite: bool) -> None:
    for name in names:
        check_output(Path(destination), overwrite=overwrite, source=name)


def _read(name: str) -> tuple[bytes, File]:
    """Return the bytes of a file, and what they hold; an error says which file it is."""
    data = read_bytes(name)
    try:
        return data, read_file(data)
    except BitstreamError as error:
        error.args = (f"{name}: {error}",)
        raise


def _written(
    command: _Command,
    data: bytes,
    names: tuple[str, ...],
    destination: StrPath,
    overwrite: bool,
    notes: Iterable[str],
) -> JoinReport:
    """Write a file, and return what it is."""
    file = read_file(data)
    with whole_file(Path(destination), overwrite=overwrite) as path:
        path.write_bytes(data)
    n_frames, n_segments = file.header.format.n_frames, len(file.segments)
    output = os.fspath(destination)
    return JoinReport(command, names, output, n_frames, n_segments, len(data), tuple(notes))


def _unknown_notes(files: Iterable[NamedFile]) -> Iterator[str]:
    """Yield a note on each file of whose sections this version does not know all."""
    for name, file in files:
        if file.n_unknown:
            yield f"{name}: sections of unknown types left out: {file.n_unknown}"


def _joined_sound(files: Sequence[NamedFile]) -> tuple[Sound | None, list[str]]:
    """Return the sound of files that are joined, and notes on what of it is not there."""
    sounds = [file.extras.sound for _, file in files]
    if not any(sounds):
        return None, []
    from nervcodec.video.ffmpeg_sound_joining import join_sounds

    found = join_sounds(sounds, [timed(file).span_s for _, file in files])
    if found is None:
        return None, ["sound and subtitles left out: their streams differ"]
    silent = [name for (name, _), sound in zip(files, sounds) if not sound]
    return found, [f"{name}: it has no sound, and is silent" for name in silent]


def _cut_sound(file: File, numbers: range) -> Sound | None:
    """Return the sound of the segments of a file that have these numbers."""
    if file.extras.sound is None:
        return None
    from nervcodec.video.ffmpeg_sound_joining import cut_sound

    form, times = file.header.format, file.extras.times
    shown = shown_by(file, numbers)
    begin = seconds_of(form, times, 0)
    first, stop = (seconds_of(form, times, at) - begin for at in (shown.start, shown.stop))
    is_last = shown.stop == form.n_frames
    return cut_sound(file.extras.sound, first, None if is_last else stop)
