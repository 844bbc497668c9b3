"""What is whole in a damaged file. Standard library only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nervcodec.errors import BitstreamError, Truncated
from nervcodec.format.container import (
    SECTION_OVERHEAD,
    SEGMENT,
    File,
    Header,
    Segment,
    StoredQuality,
    read_header,
    read_index,
    read_section,
    read_segment,
)
from nervcodec.format.extras import EXTRAS, Extras
from nervcodec.format.reader import Reader


def salvage(data: bytes) -> tuple[File, tuple[range, ...]]:
    """What is whole in a damaged file: a file of its whole segments alone, and the frames that are
    lost.

    Header and index must be whole. Of the sections that may be skipped, damaged ones are absent.
    The frames of several damaged segments are taken to be equal parts, as the encoder makes them.

    Raises:
        BitstreamError: no segment is whole, or nothing tells where the segments lie.
    """
    reader = Reader(data, "file")
    header = read_header(reader)
    found: list[Segment | None] = []
    extras: dict[str, Any] = {}
    for kind, length in read_index(reader):
        start = reader.position
        try:
            payload = read_section(reader, (kind, length))
            segment = (
                read_segment(payload, len(header.model.blocks) + 2) if kind == SEGMENT else None
            )
            if kind in EXTRAS:
                name, _, read = EXTRAS[kind]
                extras[name] = read(payload)
        except BitstreamError:
            segment, reader.position = None, min(start + SECTION_OVERHEAD + length, len(data))
        if kind == SEGMENT:
            found.append(segment)
    segments = tuple(segment for segment in found if segment)
    n_whole, n_damaged = sum(segment.n_frames for segment in segments), found.count(None)
    n_lost = header.format.n_frames - n_whole
    if not segments or (n_lost < n_damaged if n_damaged else n_lost):
        raise Truncated(
            f"file: none of its {len(found)} segments is whole"
            if not segments
            else (
                f"file: {n_whole} frames are whole, which does not fit {header.format.n_frames}"
                " in all"
            )
        )
    lost = iter(
        [n_lost // n_damaged + (i >= n_damaged - n_lost % n_damaged) for i in range(n_damaged)]
    )
    ranges, start = [], 0
    for segment in found:
        stop = start + (segment.n_frames if segment else next(lost))
        ranges += [] if segment else [range(start, stop)]
        start = stop
    whole = Header(replace(header.format, n_frames=n_whole), header.model)
    return File(whole, segments, StoredQuality(), len(data), Extras(**extras)), tuple(ranges)
