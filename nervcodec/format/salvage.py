"""What is whole in a damaged file. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise
from typing import Any

from nervcodec.errors import BitstreamError, InvalidField, Truncated
from nervcodec.format.container import (
    SECTION_OVERHEAD,
    SEGMENT,
    read_header,
    read_index,
    read_section,
    read_segment,
)
from nervcodec.format.extras import EXTRAS, REPEATS, Extras
from nervcodec.format.file import File, Header, Segment
from nervcodec.format.reader import Reader
from nervcodec.format.repeats import Repeats, check_frames
from nervcodec.format.video_format import VideoFormat

_LISTED = 1 << 20


def salvage(data: bytes) -> tuple[File, tuple[range, ...]]:
    """What is whole in a damaged file: a file of its whole segments alone, and the frames that are
    lost.

    Header and index must be whole: the index says which frames a damaged segment has. Where the
    section of repeats is damaged, each coded frame is shown once, and the frames that are missing
    then are counted at the end. Of the sections that may be skipped, damaged ones are absent.

    Raises:
        BitstreamError: no segment is whole, or nothing tells where the segments lie.
    """
    reader = Reader(data, "file")
    header = read_header(reader)
    found: list[Segment | None] = []
    lengths: list[int] = []
    single: dict[str, Any] = {}
    has_repeats = False
    for entry in read_index(reader):
        kind = entry.kind
        start = reader.position
        segment = None
        try:
            payload = read_section(reader, entry)
            if kind == SEGMENT:
                segment = read_segment(payload, len(header.model.blocks) + 2, entry.n_frames)
            elif kind in EXTRAS:
                name, _, read = EXTRAS[kind]
                single[name] = read(bytes(payload))
        except BitstreamError:
            reader.position = min(start + SECTION_OVERHEAD + entry.length, len(data))
        if kind == SEGMENT:
            found.append(segment)
            lengths.append(entry.n_frames)
        has_repeats |= kind == REPEATS
    extras = Extras(**single)
    segments = tuple(segment for segment in found if segment)
    n_shown = header.format.n_frames
    if not segments:
        raise Truncated(f"file: none of its {len(found)} segments is whole")
    if has_repeats and extras.repeats is None:
        if sum(lengths) > n_shown:
            raise InvalidField(
                "n_frames", n_shown, f"{sum(lengths)} or more, those of the segments"
            )
        n_whole = sum(segment.n_frames for segment in segments)
        header = Header(replace(header.format, n_frames=n_whole), header.model)
        whole = File(header, segments, len(data), replace(extras, times=None))
        return whole, (range(n_whole, n_shown),)
    check_frames(extras.repeats, sum(lengths), n_shown)
    coded = [range(*ends) for ends in pairwise(accumulate(lengths, initial=0))]
    parts = _shown(coded, extras.repeats)
    lost = tuple(part for part, segment in zip(parts, found, strict=True) if not segment)
    kept = [part for part, segment in zip(parts, found, strict=True) if segment]
    form = replace(header.format, n_frames=sum(map(len, kept)))
    if lost or extras.times:
        extras = _kept(kept, extras, header.format)
    return File(Header(form, header.model), segments, len(data), extras), lost


def _shown(parts: Sequence[range], repeats: Repeats | None) -> list[range]:
    """Return the shown frames of runs of coded ones."""
    if repeats is None:
        return list(parts)
    return [range(repeats.first_shown(p.start), repeats.first_shown(p.stop)) for p in parts]


def _kept(kept: Sequence[range], extras: Extras, form: VideoFormat) -> Extras:
    """Return the extras of the frames that are kept; their times are what they were.

    Args:
        kept: the shown frames of each whole segment.
        extras, form: of the whole file.
    """
    times = extras.times
    # So many frames are listed here before any limit is looked at.
    if times is not None and times.n_frames in (None, form.n_frames) and form.n_frames <= _LISTED:
        times = times.selected(list(chain.from_iterable(kept)), form)
    else:
        times = None
    repeats = extras.repeats
    if repeats is not None:
        counts = (count for part in kept for count in repeats.within(part.start, part.stop)[1])
        repeats = Repeats.of_counts(counts)
    return replace(extras, times=times, repeats=repeats)
