"""Which frames of a source are coded: of a run of equal ones, the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nervcodec.format.repeats import Repeats
from nervcodec.video.scenes import ContentChanges
from nervcodec.video.selection import Selection


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


def coded_frames(selection: Selection, content: ContentChanges) -> CodedFrames:
    """Return the frames that are coded: of a run of equal ones, the first.

    Args:
        selection: the frames that are shown.
        content: what changes within the distinct ones of them.
    """
    numbers = selection.distinct
    repeats = None
    if content.repeats or len(numbers) < len(selection.numbers):
        shown = np.asarray(selection.numbers)
        begins = np.flatnonzero(np.diff(shown, prepend=shown[0] - 1))
        begins = np.delete(begins, np.asarray(content.repeats, np.int64))
        counts = np.diff(begins, append=len(shown))
        numbers, repeats = shown[begins].tolist(), Repeats.of_counts(counts.tolist())
    return CodedFrames(
        numbers,
        repeats,
        content.temporal_information,
        content.cuts,
        content.is_gray,
        content.is_flat,
    )
