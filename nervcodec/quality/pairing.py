"""What two videos must share to be compared, and notes on what they need not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nervcodec.errors import ConfigError
from nervcodec.format.properties import NO_PROPERTIES
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.video.extras import read_extras
from nervcodec.video.geometry import Crop
from nervcodec.video.probe import probe
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions, shown

_UNKNOWN = 2  # H.273's code point for unspecified


class Side(NamedTuple):
    """One of two videos: how it is read, and its format then."""

    path: Path
    form: VideoFormat
    options: SourceOptions = DEFAULT_OPTIONS


def pair(
    reference: Path, distorted: Path, n_frames: int | None
) -> tuple[Side, Side, tuple[str, ...]]:
    """Return how two videos are read to be compared, and notes on what differs.

    A video that was padded to even sides is cropped to the other one's size.

    Args:
        n_frames: compare the first so many frames; None: all, of which both must have as many.
    Raises:
        VideoError: a video that cannot be read.
        ConfigError: different sizes or numbers of frames.
    """
    probed = [probe(path) for path in (reference, distorted)]
    forms = [form for form, _ in probed]
    crop = _unpadded(forms[0], forms[1])
    sides = []
    notes = [*_tag_notes(forms[0], forms[1]), *_rotation_notes(reference, distorted)]
    for path, form in zip((reference, distorted), forms, strict=True):
        if crop is not None and (form.width, form.height) != (crop.width, crop.height):
            notes.append(
                f"{shown(path)} is {form.width}x{form.height}; its last row or column is taken for"
                f" padding and left out, which leaves {crop.width}x{crop.height}"
            )
            form = replace(form, width=crop.width, height=crop.height)
            sides.append(Side(path, form, SourceOptions(crop=crop)))
        else:
            sides.append(Side(path, form))
    n_common = _common_frames(forms[0], forms[1], n_frames)
    first, second = (side._replace(form=replace(side.form, n_frames=n_common)) for side in sides)
    return first, second, tuple(notes)


def _unpadded(first: VideoFormat, second: VideoFormat) -> Crop | None:
    """Return the part that two videos of equal sizes have, but for padding of one to even sides.

    Raises:
        ConfigError: the sizes differ by more.
    """
    sizes = [(form.width, form.height) for form in (first, second)]
    if sizes[0] == sizes[1]:
        return None
    small, large = sorted(sizes)
    if large != (small[0] + small[0] % 2, small[1] + small[1] % 2):
        raise ConfigError(
            f"sizes are {first.width}x{first.height} and {second.width}x{second.height}; legal:"
            " equal ones, or one padded to even sides"
        )
    return Crop(*small, 0, 0)


def _common_frames(reference: VideoFormat, distorted: VideoFormat, n_frames: int | None) -> int:
    """Return how many frames are compared.

    Raises:
        ConfigError: different numbers of frames, or fewer than n_frames.
    """
    fewest = min(reference.n_frames, distorted.n_frames)
    if n_frames is None and reference.n_frames != distorted.n_frames:
        raise ConfigError(
            f"there are {reference.n_frames} and {distorted.n_frames} frames; legal: equal numbers,"
            f" or --frames N to compare the first N, up to {fewest}"
        )
    if n_frames is not None and not 1 <= n_frames <= fewest:
        raise ConfigError(f"frames is {n_frames}; legal: 1 to {fewest}, which both videos have")
    return fewest if n_frames is None else n_frames


def _tag_notes(reference: VideoFormat, distorted: VideoFormat) -> Iterator[str]:
    if reference.frame_rate != distorted.frame_rate:
        yield (
            f"frame rates are {reference.frame_rate} and {distorted.frame_rate}; frames are"
            " compared one by one all the same"
        )
    if reference.bit_depth != distorted.bit_depth:
        yield (
            f"samples have {reference.bit_depth} and {distorted.bit_depth} bits; they are compared"
            f" at {reference.bit_depth}"
        )
    if reference.layout != distorted.layout:
        return  # RGB has neither matrix nor range
    ranges = [_range_of(form.color) for form in (reference, distorted)]
    if ranges[0] != ranges[1]:
        yield f"ranges are {ranges[0]} and {ranges[1]}; samples are compared as they are"
    for name in ("matrix", "primaries", "transfer"):
        codes = [getattr(form.color, name) for form in (reference, distorted)]
        if codes[0] != codes[1] and _UNKNOWN not in codes:
            yield (f"{name} of H.273 is {codes[0]} and {codes[1]}; the reference's counts for both")


def _range_of(color: ColorTags) -> str:
    return "full" if color.full_range else "limited"


def _rotation_notes(reference: Path, distorted: Path) -> Iterator[str]:
    """Yield a note where players turn only one of two videos, or each its own way."""
    extras = [read_extras(path, DEFAULT_OPTIONS, audio=False)[0] for path in (reference, distorted)]
    first, second = ((each.properties or NO_PROPERTIES).rotation for each in extras)
    if first != second:
        yield "players turn the videos differently; frames are compared as they lie in the files"
