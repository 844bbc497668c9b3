"""Which frames of a source are coded: of a run of equal ones, the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

from nervcodec.format.repeats import Repeats
from nervcodec.video.scenes import changes
from nervcodec.video.selection import Selection
from nervcodec.video.source import SourceOptions


@dataclass(frozen=True)
class CodedFrames:
    """Frames of a source that are coded, each unlike the one before, and what changes in them.

    Attributes:
        numbers: of the frames in the source.
        repeats: how often each is shown, None where each is shown once.
        temporal_information, cuts, is_gray, is_flat: see video.scenes.ContentChanges.
    """

    numbers: Sequence[int]
    repeats: Repeats | None
    temporal_information: float
    cuts: tuple[int, ...]
    is_gray: bool
    is_flat: bool


def coded_frames(source: Path, selection: Selection, options: SourceOptions) -> CodedFrames:
    """Return the frames that are coded: of a run of equal ones, the first."""
    runs = [(number, sum(1 for _ in run)) for number, run in groupby(selection.numbers)]
    numbers = [number for number, _ in runs]
    content = changes(source, selection.format, options, numbers)
    repeated = set(content.repeats)
    first = [n for n in range(len(runs)) if n not in repeated]
    shown_before = [0, *accumulate(n_shown for _, n_shown in runs)]
    ends = [*first[1:], len(runs)]
    counts = (shown_before[end] - shown_before[n] for n, end in zip(first, ends, strict=True))
    return CodedFrames(
        [numbers[n] for n in first],
        Repeats.of_counts(counts),
        content.temporal_information,
        content.cuts,
        content.is_gray,
        content.is_flat,
    )
