"""Join .nvpp files and cut them at their segments, without fitting or decoding anything.

Segments, their sums and their quality stay what they are: what was measured goes along with each.
Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from nervcodec.errors import ConfigError
from nervcodec.format.container import read_bytes, read_file, write_file
from nervcodec.format.extras import Extras
from nervcodec.format.fields import HEADER_FIELDS, Rows
from nervcodec.format.file import File, Header, Segment
from nervcodec.format.joined_times import TimedPart, joined_times
from nervcodec.format.properties import NO_PROPERTIES
from nervcodec.format.repeats import Repeats
from nervcodec.util.files import check_output, whole_file

StrPath = str | os.PathLike[str]
_RATE, _FRAMES = "format.frame_rate", "format.n_frames"
_UNLIKE_TEXTS = ("matrix", "field_order", "mastering", "light")


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

    command: Literal["concat", "split"]
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

    Nothing is fitted or decoded. Sound is left out, with a note. Parts that split() made of one
    file give that file again, but for its sound.

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
    files = [read_file(read_bytes(name)) for name in names]
    notes = [note for name, file in zip(names, files) for note in _left_out(name, file)]
    for name, file in zip(names[1:], files[1:]):
        _check_alike((name, file), (names[0], files[0]))
        notes += _text_notes((name, file), (names[0], files[0]))
    _check_rates(names, files)
    parts = [TimedPart(file.header.format, file.extras.times) for file in files]
    rate, times = joined_times(parts)
    n_frames = sum(file.header.format.n_frames for file in files)
    form = replace(files[0].header.format, n_frames=n_frames, frame_rate=rate)
    extras = Extras(_joined_repeats(files), times, None, files[0].extras.properties)
    segments = [segment for file in files for segment in file.segments]
    data = write_file(Header(form, files[0].header.model), segments, extras)
    return _written("concat", data, names, destination, overwrite, notes)


def split(
    source: StrPath,
    destination: StrPath,
    frames: tuple[int, int | None],
    *,
    overwrite: bool = False,
) -> JoinReport:
    """Write a file of some of the segments of another, as they are.

    Nothing is fitted or decoded. Sound is left out, with a note, unless all frames are asked for.

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
    data = read_bytes(name)
    file = read_file(data)
    first, stop = _segments_of(file, *frames)
    if stop - first == len(file.segments):
        return _written("split", data, (name,), destination, overwrite, ())
    notes = _left_out(name, file)
    part = _part(file, first, stop)
    return _written("split", write_file(*part), (name,), destination, overwrite, notes)


def _check_output(names: Iterable[str], destination: StrPath, overwrite: bool) -> None:
    for name in names:
        check_output(Path(destination), overwrite=overwrite, source=name)


def _written(
    command: Literal["concat", "split"],
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
    n_frames = file.header.format.n_frames
    output = os.fspath(destination)
    n_segments = len(file.segments)
    return JoinReport(command, names, output, n_frames, n_segments, len(data), tuple(notes))


def _left_out(name: str, file: File) -> Iterator[str]:
    """Yield a note on each thing of a file that no joined or cut file has."""
    if file.extras.sound:
        yield f"{name}: sound and subtitles left out"
    if file.n_unknown:
        yield f"{name}: sections of unknown types left out: {file.n_unknown}"


# --- joining ---


def _check_alike(other: tuple[str, File], first: tuple[str, File]) -> None:
    """Raise ConfigError unless two files have one format, network and picture."""
    pairs = zip(_format_values(other[1].header), _format_values(first[1].header))
    for (name, value), (_, wanted) in pairs:
        if value != wanted:
            raise ConfigError(_difference(name, other[0], value, first[0], wanted))
    mine, theirs = (file.extras.properties or NO_PROPERTIES for _, file in (other, first))
    for name in _UNLIKE_TEXTS:
        value, wanted = getattr(mine, name), getattr(theirs, name)
        if value != wanted:
            raise ConfigError(
                _difference(name.replace("_", " "), other[0], value, first[0], wanted)
            )


def _difference(name: str, other: str, value: object, first: str, wanted: object) -> str:
    return f"{other}: {name} is {value}, {wanted} in {first}; legal: files of one format"


def _format_values(header: Header) -> Iterator[tuple[str, object]]:
    """Yield (name, value) of all that files which are joined must share, but for the frame rate.

    What the kind of a stem decides comes after it, so that fields of one kind meet each other.
    """
    for field in HEADER_FIELDS:
        path = field.path.removesuffix(".numerator").removesuffix(".denominator")
        if path and path not in (_RATE, _FRAMES) and field.stem in (None, header.model.stem.kind):
            value: Any = header
            for name in path.split("."):
                value = getattr(value, name)
            is_rows = isinstance(field.codec, Rows)
            shown = [tuple(vars(row).values()) for row in value] if is_rows else value
            yield path.removesuffix(".kind").rpartition(".")[2].replace("_", " "), shown


def _text_notes(other: tuple[str, File], first: tuple[str, File]) -> Iterator[str]:
    """Yield a note on each text of a file that is not the first one's, which is kept."""
    mine, theirs = (
        dict((file.extras.properties or NO_PROPERTIES).texts) for _, file in (other, first)
    )
    for key, text in mine.items():
        if text != theirs.get(key):
            yield f"{other[0]}: {key} left out: {text!r}"


def _check_rates(names: Sequence[str], files: Sequence[File]) -> None:
    """Raise ConfigError where files of constant rates have several."""
    parts = [TimedPart(file.header.format, file.extras.times) for file in files]
    if any(part.is_explicit for part in parts):
        return
    first = files[0].header.format.frame_rate
    for name, file in zip(names, files):
        rate = file.header.format.frame_rate
        if rate != first:
            raise ConfigError(_difference("frame rate", name, rate, names[0], first))


def _joined_repeats(files: Sequence[File]) -> Repeats | None:
    """Return how often each coded frame of all files is shown."""
    runs: list[tuple[int, int]] = []
    for file in files:
        repeats = file.extras.repeats
        for n_coded, n_shown in repeats.runs if repeats else [(file.n_coded_frames, 1)]:
            if runs and runs[-1][1] == n_shown:
                n_coded += runs.pop()[0]
            runs.append((n_coded, n_shown))
    return Repeats(tuple(runs)) if any(n_shown > 1 for _, n_shown in runs) else None


# --- cutting ---


def _segments_of(file: File, first: int, stop: int | None) -> tuple[int, int]:
    """Return the segments first .. stop - 1 that show a range of frames.

    Raises:
        ConfigError: the range is none, or ends within a segment.
    """
    ends = list(accumulate(file.shown_lengths, initial=0))
    last = ends[-1] if stop is None else stop
    places = {end: number for number, end in enumerate(ends)}
    if first < last and first in places and last in places:
        return places[first], places[last]
    wanted = [end for end in (first, last) if end not in places] or [first, last]
    nearest = {near for end in wanted for near in sorted(ends, key=lambda at: abs(at - end))[:3]}
    listed = ", ".join(map(str, sorted(nearest | {0, ends[-1]})))
    raise ConfigError(
        f"frames are {first}:{last}; legal: A:B with A < B among {listed}, where segments begin or"
        " end"
    )


def _part(file: File, first: int, stop: int) -> tuple[Header, tuple[Segment, ...], Extras]:
    """Return header, segments and extras of the segments first .. stop - 1 of a file."""
    ends = list(accumulate(file.shown_lengths, initial=0))
    shown = range(ends[first], ends[stop])
    form, extras = file.header.format, file.extras
    times = extras.times
    if times is not None:
        times = times.selected(shown, form) if times.steps or not first else None
    repeats = extras.repeats
    if repeats is not None:
        repeats = Repeats.of_counts(repeats.within(shown.start, shown.stop)[1])
    header = Header(replace(form, n_frames=len(shown)), file.header.model)
    return header, file.segments[first:stop], Extras(repeats, times, None, extras.properties)
