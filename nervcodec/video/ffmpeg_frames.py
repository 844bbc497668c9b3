"""FFmpeg through PyAV: frames as an encoder takes them."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
from av.video.frame import VideoFrame

from nervcodec.format.video_format import ColorTags, Layout, VideoFormat, plane_sizes
from nervcodec.video.frames import Frames, Plane
from nervcodec.video.pixel_formats import (
    format_names,
    nearest_format,
    pixel_format,
    plane_view,
    reformatted,
)

# Packed formats: the plane of each sample of a pixel, -1 for none; and those of more than 8 bits
# -> their samples.
_PACKED = {"bgr0": (2, 1, 0, -1), "bgra": (2, 1, 0, -1), "rgb24": (0, 1, 2), "rgb48be": (0, 1, 2)}
_PACKED_TYPES = {"rgb48be": ">u2"}
_RGB_ENCODERS = ("ffv1", "libx264rgb")


def video_frame(frames: Frames, t: int, width: int, height: int, pix_fmt: str) -> VideoFrame:
    """Return frame t in a pixel format of its layout, of a size that may exceed it by one.

    Edges are replicated. 16-bit formats get the samples scaled from peak to peak; an alpha plane
    gets opaque.
    """
    layout, depth = frames.layout, frames.bit_depth
    is_held = pix_fmt in _PACKED or pix_fmt in (*format_names(layout, depth), "gray16be")
    if not (is_held or pix_fmt.startswith("yuvj")):
        frame = video_frame(frames, t, width, height, format_names(layout, depth)[0])
        return reformatted(frame, pix_fmt)
    frame = VideoFrame(width, height, pix_fmt)
    bits = frame.format.components[0].bits
    sizes = plane_sizes(layout, width, height)
    planes = [_padded(plane[t], size) for plane, size in zip(frames.planes, sizes, strict=True)]
    if bits == 16:
        planes = [np.rint(plane * (65535 / frames.peak)).astype(np.uint16) for plane in planes]
    if order := _PACKED.get(pix_fmt):
        # [h, w * samples of a pixel]
        lines = plane_view(frame, 0, len(order), _PACKED_TYPES.get(pix_fmt, np.uint8))
        for at, k in enumerate(order):
            lines[:, at :: len(order)] = 255 if k < 0 else planes[k]
        return frame
    dtype = np.uint8 if bits == 8 else ">u2" if frame.format.is_big_endian else "<u2"
    places = (2, 0, 1) if pix_fmt.startswith("gbrp") else range(len(planes))
    for place, plane in zip(places, planes):
        plane_view(frame, place, 1, dtype)[:] = plane
    return frame


def _padded(plane: Plane, size: tuple[int, int]) -> Plane:
    """Return a plane [h, w] with so many columns and rows, its edges replicated."""
    columns, rows = size
    if plane.shape == (rows, columns):
        return plane
    return np.pad(plane, ((0, rows - plane.shape[0]), (0, columns - plane.shape[1])), mode="edge")


def keeps_rgb(codec: str) -> bool:
    """Return whether an encoder is given RGB frames as they are; for others they become 4:2:0."""
    return codec in _RGB_ENCODERS


def is_rgb_format(name: str) -> bool:
    """Return whether a pixel format holds R, G and B."""
    known = pixel_format(name)
    return known is not None and known.layout == "rgb"


def encoder_formats(codec: str) -> list[str]:
    """Return the pixel formats of an encoder that hold a layout and bit depth of ours."""
    names = [each.name for each in av.Codec(codec, "w").video_formats or () if each.components]
    return [name for name in names if (known := pixel_format(name)) and not known.change]


def coded_format(
    fmt: VideoFormat, codec: str, wanted: str | None = None
) -> tuple[str, VideoFormat]:
    """Return the pixel format that an encoder is given, and the format of frames that go into it.

    Args:
        fmt: of the frames.
        codec: an encoder that check_encoder() takes.
        wanted: one of its pixel formats; None for the nearest to the frames' own.
    """
    known = wanted and pixel_format(wanted)
    if wanted and known:
        found: tuple[str, Layout, int] | None = wanted, known.layout, known.bit_depth
    else:
        found = nearest_format(fmt.layout, fmt.bit_depth, encoder_formats(codec))
    assert found is not None, "check_encoder has seen to it"
    name, layout, bit_depth = found
    color = ColorTags() if layout == "rgb" else fmt.color
    return name, replace(fmt, layout=layout, bit_depth=bit_depth, color=color)
