"""nervcodec.video.geometry and ffmpeg_scale: parts of the picture and other sizes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from videos import clip, format_of, same, write

from nervcodec.errors import ConfigError
from nervcodec.format.video_format import (
    BIT_DEPTHS,
    LAYOUTS,
    SUBSAMPLING,
    ColorTags,
    Layout,
)
from nervcodec.video.ffmpeg_scale import scaled_frames
from nervcodec.video.frames import Frames
from nervcodec.video.geometry import Crop, cropped_format, scaled_format
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all
from nervcodec.video.source import SourceOptions

FORM = format_of(clip())  # 32 x 32


def read_with(path: Path, options: SourceOptions) -> Frames:
    form, _ = probe(path, options)
    return Frames.concatenate(list(read_all(path, form, options)))


@pytest.mark.parametrize(
    ("layout", "crop"),
    [
        ("yuv420", Crop(10, 8, 4, 6)),
        ("yuv420", Crop(7, 5, 2, 0)),
        ("yuv422", Crop(7, 5, 2, 1)),
        ("yuv444", Crop(7, 5, 3, 1)),
        ("gray", Crop(7, 5, 3, 1)),
        ("rgb", Crop(7, 5, 3, 1)),
        ("yuv420", Crop(32, 32, 0, 0)),
    ],
)
def test_a_crop_is_that_part_of_every_plane(layout: Layout, crop: Crop, tmp_path: Path) -> None:
    """Samples of the part are those of the source, chroma from half the offset."""
    frames = clip(2, layout=layout)
    path = tmp_path / ("a.mkv" if layout == "rgb" else "a.y4m")
    write(path, frames, **({"codec": "ffv1"} if layout == "rgb" else {}))
    part = read_with(path, SourceOptions(crop=crop))
    assert (part.width, part.height, part.layout) == (crop.width, crop.height, layout)
    across, down = SUBSAMPLING.get(layout, (1, 1))
    steps = ((1, 1), (across, down), (across, down))
    for plane, whole, (wide, high) in zip(part.planes, frames.planes, steps, strict=False):
        x, y = crop.x // wide, crop.y // high
        height, width = plane.shape[1:]
        assert np.array_equal(plane, whole[:, y : y + height, x : x + width])


@pytest.mark.parametrize(
    ("crop", "words"),
    [
        (Crop(32, 33, 0, 0), "within 32x32"),
        (Crop(31, 8, 2, 0), "X[+]W up to 32"),
        (Crop(8, 8, 3, 2), "an X of 2 or 4$"),
        (Crop(8, 8, 3, 5), "an X of 2 or 4 and Y of 4 or 6$"),
    ],
)
def test_a_crop_that_cannot_be_says_what_can(crop: Crop, words: str) -> None:
    """Parts outside, and offsets within a chroma sample, are refused with the legal ones."""
    with pytest.raises(ConfigError, match=words):
        cropped_format(FORM, crop)


def test_rgb_may_be_cropped_anywhere() -> None:
    """Odd offsets are legal where chroma has all samples."""
    assert cropped_format(replace(FORM, layout="rgb"), Crop(5, 5, 3, 1)).width == 5


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bit_depth", BIT_DEPTHS)
@pytest.mark.parametrize("size", [(16, 16), (64, 48), (7, 33), (1, 1)])
def test_flat_pictures_stay_as_they_are(
    layout: Layout, bit_depth: int, size: tuple[int, int]
) -> None:
    """Every plane of one value has it at every size: neither range nor matrix is touched."""
    frames = Frames.empty(layout, 1, 32, 32, bit_depth)
    values = (0, (1 << bit_depth) - 1, 77)[: len(frames.planes)]
    for plane, value in zip(frames.planes, values, strict=True):
        plane[:] = value
    form = replace(format_of(frames), bit_depth=bit_depth)
    (scaled,) = scaled_frames([frames], form, size)
    assert (scaled.width, scaled.height, scaled.layout) == (*size, layout)
    assert [set(plane.flat) for plane in scaled.planes] == [{value} for value in values]


def test_the_same_size_is_the_same_picture() -> None:
    """Scaling by one changes no sample."""
    frames = clip(2)
    (scaled,) = scaled_frames([frames], FORM, (32, 32))
    assert same(scaled, frames)


def test_chroma_stays_where_it_lies() -> None:
    """A ramp in luma and in chroma of the left location doubles to ramps that still agree."""
    frames = Frames.empty("yuv420", 1, 64, 8)
    frames.planes[0][:] = 2 * np.arange(64)
    frames.planes[1][:] = 4 * np.arange(32)  # the luma of the column it lies on
    frames.planes[2][:] = 128
    form = format_of(frames, color=ColorTags(chroma_location=1))
    (scaled,) = scaled_frames([frames], form, (128, 16))
    luma = scaled.planes[0][0, 8, 40:80:2].astype(int)
    assert np.abs(scaled.planes[1][0, 4, 20:40] - luma).max() <= 1


def test_scaling_keeps_the_shape_of_the_picture() -> None:
    """The pixel aspect takes up what width and height do not share."""
    assert scaled_format(FORM, (16, 16)).sample_aspect_ratio == 1
    assert scaled_format(FORM, (16, 32)).sample_aspect_ratio == 2
    wide = replace(FORM, sample_aspect_ratio=Fraction(4, 3))
    assert scaled_format(wide, (32, 16)).sample_aspect_ratio == Fraction(2, 3)


def test_a_crop_comes_before_the_scale(tmp_path: Path) -> None:
    """A source cropped and scaled is the scaled part, at its size, with a note on the pixels."""
    frames = clip(2)
    write(tmp_path / "a.y4m", frames)
    options = SourceOptions(crop=Crop(16, 8, 2, 4), scale=(8, 8))
    form, notes = probe(tmp_path / "a.y4m", options)
    assert (form.width, form.height) == (8, 8)
    assert form.sample_aspect_ratio == 2
    assert any("pixel aspect of 2:1" in note for note in notes)
    part = read_with(tmp_path / "a.y4m", SourceOptions(crop=options.crop))
    (expected,) = scaled_frames([part], cropped_format(FORM, options.crop), (8, 8))
    assert same(read_with(tmp_path / "a.y4m", options), expected)


@pytest.mark.parametrize(
    ("size", "words"),
    [((0, 8), "width to scale to is 0"), ((8, 99999), "height to scale to is 99999; legal: 1 to")],
)
def test_a_scale_that_cannot_be_says_what_can(size: tuple[int, int], words: str) -> None:
    """Sizes that no frame has are refused with the legal range."""
    with pytest.raises(ConfigError, match=words):
        SourceOptions(scale=size)
