"""A part of the picture and another size: what --crop and --scale make of a source's frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from nervcodec.errors import ConfigError
from nervcodec.format.limits import Limits
from nervcodec.format.video_format import SUBSAMPLING, VideoFormat
from nervcodec.util.validation import ceil_div, check_range

if TYPE_CHECKING:
    from nervcodec.video.frames import Plane, Planes

Size = tuple[int, int]
MAX_SIDE = Limits().side
_MAX_ASPECT = 65535  # of either number of a pixel aspect


@dataclass(frozen=True)
class Crop:
    """A part of a picture, in luma pixels from its upper left corner.

    Raises:
        ConfigError: a side below 1, or an offset below 0.
    """

    width: int
    height: int
    x: int
    y: int

    def __post_init__(self) -> None:
        check_range("width of the crop", self.width, 1, MAX_SIDE)
        check_range("height of the crop", self.height, 1, MAX_SIDE)
        check_range("x of the crop", self.x, 0, MAX_SIDE - 1)
        check_range("y of the crop", self.y, 0, MAX_SIDE - 1)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.x}+{self.y}"


def check_size(size: Size) -> None:
    """Raise ConfigError unless frames of this width and height are written and read."""
    check_range("width to scale to", size[0], 1, MAX_SIDE)
    check_range("height to scale to", size[1], 1, MAX_SIDE)


def cropped_format(form: VideoFormat, crop: Crop | None) -> VideoFormat:
    """Return the format of the part of frames of this format; None takes all of it.

    Raises:
        ConfigError: it lies outside, or begins within a chroma sample.
    """
    if crop is None:
        return form
    if crop.x + crop.width > form.width or crop.y + crop.height > form.height:
        raise ConfigError(
            f"crop is {crop}; legal: WxH+X+Y within {form.width}x{form.height}, X+W up to"
            f" {form.width} and Y+H up to {form.height}"
        )
    across, down = SUBSAMPLING.get(form.layout, (1, 1))
    if crop.x % across or crop.y % down:
        legal = " and ".join(
            f"{name} of {at - at % step} or {at - at % step + step}"
            for name, at, step in (("X", crop.x, across), ("Y", crop.y, down))
            if at % step
        )
        raise ConfigError(
            f"crop is {crop}; legal: even offsets where chroma has half the samples, such as an"
            f" {legal}"
        )
    return replace(form, width=crop.width, height=crop.height)


def scaled_format(form: VideoFormat, size: Size | None) -> VideoFormat:
    """Return the format of frames scaled to this width and height; None leaves them.

    The pixel aspect changes such that the picture keeps its shape, as with FFmpeg's filter.
    """
    if size is None:
        return form
    width, height = size
    aspect = form.sample_aspect_ratio * Fraction(form.width * height, form.height * width)
    return replace(form, width=width, height=height, sample_aspect_ratio=_stored_aspect(aspect))


def aspect_notes(before: VideoFormat, after: VideoFormat) -> tuple[str, ...]:
    """Return a note where scaling changes the shape of a pixel."""
    aspect = after.sample_aspect_ratio
    if aspect == before.sample_aspect_ratio:
        return ()
    return (
        f"scaled to {after.width}x{after.height} with a pixel aspect of"
        f" {aspect.numerator}:{aspect.denominator}, so that the picture keeps its shape",
    )


def _stored_aspect(aspect: Fraction) -> Fraction:
    """Return the nearest aspect whose numbers a file can hold."""
    aspect = min(max(aspect, Fraction(1, _MAX_ASPECT)), Fraction(_MAX_ASPECT))
    if aspect > 1:
        return 1 / (1 / aspect).limit_denominator(_MAX_ASPECT)
    return aspect.limit_denominator(_MAX_ASPECT)


def cropped(planes: Planes, crop: Crop | None) -> Planes:
    """Return the part of planes [h, w] as views; None takes all of it."""
    if crop is None:
        return planes
    height, width = planes[0].shape
    return tuple(_part(plane, width, height, crop) for plane in planes)


def _part(plane: Plane, width: int, height: int, crop: Crop) -> Plane:
    """Return the part of one plane of a picture of this size."""
    # A picture of one column has as many chroma samples across, and is not to be halved.
    across, down = (ceil_div(width, plane.shape[1]), ceil_div(height, plane.shape[0]))
    x, y = crop.x // across, crop.y // down
    return plane[y : y + ceil_div(crop.height, down), x : x + ceil_div(crop.width, across)]
