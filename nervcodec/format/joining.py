"""Join what .nvpp files hold and cut it at its segments, without fitting or decoding anything.

Segments, their MD5 and their quality stay what they are: what was measured goes along with each.
Sound is left to video.joining, which reads and writes the files. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from nervcodec.errors import ConfigError
from nervcodec.format.extras import Extras
from nervcodec.format.fields import HEADER_FIELDS, Rows
from nervcodec.format.file import File, Header, Segment
from nervcodec.format.joined_times import TimedPart, joined_times
from nervcodec.format.properties import NO_PROPERTIES
from nervcodec.format.repeats import Repeats

_RATE, _FRAMES = "format.frame_rate", "format.n_frames"
_OF_PICTURE = ("matrix", "field_order", "mastering", "light")
NamedFile = tuple[str, File]


@dataclass(frozen=True)
class Contents:
    """What a file is written of: its picture, and all else but sound."""

    header: Header
    segments: tuple[Segment, ...]
    extras: Extras


# --- joining ---


def joined(files: Sequence[NamedFile]) -> Contents:
    """Return the frames of files, one file after the other.

    Args:
        files: at least one, with the names that errors have.

    Raises:
        ConfigError: they differ in format, network or what they say of their picture, or are too
            many for one file.
    """
    for other in files[1:]:
        _check_alike(other, files[0])
    _check_rates(files)
    first = files[0][1]
    rate, times = joined_times([timed(file) for _, file in files])
    n_frames = sum(file.header.format.n_frames for _, file in files)
    form = replace(first.header.format, n_frames=n_frames, frame_rate=rate)
    segments = tuple(segment for _, file in files for segment in file.segments)
    extras = Extras(_joined_repeats(files), times, None, first.extras.properties)
    return Contents(Header(form, first.header.model), segments, extras)


def timed(file: File) -> TimedPart:
    """Return format and times of a file."""
    return TimedPart(file.header.format, file.extras.times)


def text_notes(files: Sequence[NamedFile]) -> Iterator[str]:
    """Yield a note on each text of a file that is not the first one's, which is kept."""
    (_, kept), *others = (
        (name, dict((file.extras.properties or NO_PROPERTIES).texts)) for name, file in files
    )
    for name, texts in others:
        for key, text in texts.items():
            if text != kept.get(key):
                yield f"{name}: {key} left out: {text!r}"


def _check_alike(other: NamedFile, first: NamedFile) -> None:
    """Raise ConfigError unless two files have one format, network and picture."""
    pairs = zip(_format_values(other[1].header), _format_values(first[1].header))
    for (name, value), (_, wanted) in pairs:
        if value != wanted:
            raise ConfigError(_difference(name, other[0], value, first[0], wanted))
    mine, theirs = (file.extras.properties or NO_PROPERTIES for _, file in (other, first))
    for name in _OF_PICTURE:
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


def _check_rates(files: Sequence[NamedFile]) -> None:
    """Raise ConfigError where files of constant rates have several."""
    if any(timed(file).is_explicit for _, file in files):
        return
    (first, kept), *others = files
    for name, file in others:
        rate, wanted = file.header.format.frame_rate, kept.header.format.frame_rate
        if rate != wanted:
            raise ConfigError(_difference("frame rate", name, rate, first, wanted))


def _joined_repeats(files: Sequence[NamedFile]) -> Repeats | None:
    """Return how often each coded frame of all files is shown."""
    runs: list[tuple[int, int]] = []
    for _, file in files:
        repeats = file.extras.repeats
        for n_coded, n_shown in repeats.runs if repeats else [(file.n_coded_frames, 1)]:
            if runs and runs[-1][1] == n_shown:
                n_coded += runs.pop()[0]
            runs.append((n_coded, n_shown))
    return Repeats(tuple(runs)) if any(n_shown > 1 for _, n_shown in runs) else None


# --- cutting ---


def segments_of(file: File, first: int, stop: int | None) -> range:
    """Return the numbers of the segments that show the frames first .. stop - 1.

    Args:
        stop: None for the end.

    Raises:
        ConfigError: the range is none, or ends within a segment.
    """
    ends = list(accumulate(file.shown_lengths, initial=0))
    last = ends[-1] if stop is None else stop
    places = {end: number for number, end in enumerate(ends)}
    if first < last and first in places and last in places:
        return range(places[first], places[last])
    wanted = [end for end in (first, last) if end not in places] or [first, last]
    nearest = {near for end in wanted for near in sorted(ends, key=lambda at: abs(at - end))[:3]}
    listed = ", ".join(map(str, sorted(nearest | {0, ends[-1]})))
    raise ConfigError(
        f"frames are {first}:{last}; legal: A:B with A < B among {listed}, where segments begin or"
        " end"
    )


def part_of(file: File, numbers: range) -> Contents:
    """Return the segments of a file that have these numbers, and what goes with them.

    The frame rate of a part is that of the whole, of which it is the average if frames have times.
    """
    shown = shown_by(file, numbers)
    form, extras = file.header.format, file.extras
    times = extras.times
    if times is not None:
        times = times.selected(shown, form) if times.steps or not numbers.start else None
    repeats = extras.repeats
    if repeats is not None:
        repeats = Repeats.of_counts(repeats.within(shown.start, shown.stop)[1])
    header = Header(replace(form, n_frames=len(shown)), file.header.model)
    segments = file.segments[numbers.start : numbers.stop]
    return Contents(header, segments, Extras(repeats, times, None, extras.properties))


def shown_by(file: File, numbers: range) -> range:
    """Return the frames that the segments of these numbers show."""
    ends = list(accumulate(file.shown_lengths, initial=0))
    return range(ends[numbers.start], ends[numbers.stop])
