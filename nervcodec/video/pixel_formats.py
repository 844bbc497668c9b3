"""FFmpeg's frame buffers <-> planes; av's types are known here, av itself is not loaded.

Planes are views straight into FFmpeg's buffers wherever they hold 8-bit samples one by one (its
line padding left out); swscale is asked only to unpack the rare formats that are left, never to
change a colour space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nervcodec.errors import VideoError
from nervcodec.format.video_format import ColorTags, Layout
from nervcodec.video.color import blend, rgb_to_yuv420, shrink_plane
from nervcodec.video.frames import Frames, Plane, Planes, chroma_size
from nervcodec.video.source import BLACK, Color

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# Planar 8-bit formats read without swscale -> how chroma still has to shrink to 4:2:0 (across,
# down).
_SAMPLINGS = {"420": (1, 1), "422": (1, 2), "440": (2, 1), "444": (2, 2)}
PLANAR_8BIT = {
    f"{family}{sampling}p": shrink
    for family in ("yuv", "yuvj", "yuva")
    for sampling, shrink in _SAMPLINGS.items()
}
# Packed formats that swscale only unpacks, into these.
_UNPACKED = {"yuyv422": "yuv422p", "uyvy422": "yuv422p"}
# Formats with a chroma sample for four columns, which are repeated to two of them.
_QUARTER = ("yuv411p", "yuvj411p")
# RGB formats whose 8-bit samples are only reordered.
SAME_RGB = frozenset("rgb24 bgr24 gbrp rgb0 bgr0 0rgb 0bgr rgba bgra argb abgr gbrap".split())


def layout_of(frame: VideoFrame) -> Layout:
    """Return the layout that keeps this frame's samples."""
    return "rgb" if frame.format.is_rgb or frame.format.has_palette else "yuv420"


def planes_of(frame: VideoFrame, layout: Layout, background: Color = BLACK) -> Planes:
    """Return the planes of a frame in this layout, views that hold as long as the frame does.

    Transparent pixels are laid over the background, an RGB colour.

    Raises:
        VideoError: a frame that is stored bottom-up.
    """
    alpha = alpha_plane(frame)
    if layout == "rgb":
        planes = _rgb_planes(frame)
        if alpha is None:
            return planes
        r, g, b = (blend(plane, alpha, value) for plane, value in zip(planes, background))
        return r, g, b
    return _yuv_planes(frame, alpha, background)


def chroma_shrink(pixel_format: str) -> tuple[int, int] | None:
    """Return how chroma shrinks to 4:2:0, across and down; None where swscale does it."""
    if pixel_format in _QUARTER or pixel_format in _UNPACKED:
        return 1, 2
    return (1, 1) if pixel_format in ("nv12", "nv21") else PLANAR_8BIT.get(pixel_format)


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether the pixel format of a frame can hold transparent pixels."""
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def alpha_plane(frame: VideoFrame) -> Plane | None:
    """Return the opacity [h, w] of the pixels, 0 to 255; None where all of them are opaque."""
    if not has_alpha(frame):
        return None
    name = frame.format.name
    if name.startswith("yuva") or name == "gbrap":
        alpha = plane_view(frame, 3)
    else:
        packed = frame if name == "rgba" else frame.reformat(format="rgba")
        alpha = plane_view(packed, 0, 4)[:, 3::4]
    return None if alpha.min(initial=255) == 255 else alpha


def color_tags(frame: VideoFrame, layout: Layout) -> ColorTags:
    """Return matrix and range; RGB has neither, and 4:2:0 made from it is tagged where made."""
    if layout == "rgb":
        return ColorTags()
    is_full = {1: False, 2: True}.get(frame.color_range)
    return ColorTags(
        matrix=frame.colorspace,
        full_range=True if frame.format.name.startswith("yuvj") else is_full,
    )


def plane_view(frame: VideoFrame, index: int, channels: int = 1) -> Plane:
    """Return one plane as a view [h, w * channels], without the padding of its lines."""
    plane = frame.planes[index]
    if plane.line_size < 0:
        raise VideoError(f"frames stored bottom-up in {frame.format.name} are not read")
    lines: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width * channels]


def background_yuv(background: Color, tags: ColorTags, height: int) -> tuple[int, int, int]:
    """Return an RGB colour as Y, U and V by the tags of a frame of this height."""
    planes = [np.full((1, height, 1), value, np.uint8) for value in background]
    yuv = rgb_to_yuv420(Frames("rgb", (planes[0], planes[1], planes[2])), tags)
    y, u, v = (int(plane.flat[0]) for plane in yuv.planes)
    return y, u, v


def _rgb_planes(frame: VideoFrame) -> Planes:
    name = frame.format.name
    if name == "gray":
        gray = plane_view(frame, 0)
        return gray, gray, gray
    if name in ("gbrp", "gbrap"):
        return plane_view(frame, 2), plane_view(frame, 0), plane_view(frame, 1)
    packed = frame if name == "rgb24" else frame.reformat(format="rgb24")
    pixels = plane_view(packed, 0, 3).reshape(frame.height, frame.width, 3)
    return pixels[..., 0], pixels[..., 1], pixels[..., 2]


def _yuv_planes(frame: VideoFrame, alpha: Plane | None, background: Color) -> Planes:
    name = frame.format.name
    is_interlaced = bool(frame.interlaced_frame)
    if name in ("gray", "ya8"):
        gray = frame if name == "gray" else frame.reformat(format="gray")
        small = np.full(chroma_size(frame.width, frame.height)[::-1], 128, np.uint8)
        planes = (plane_view(gray, 0), small, small)
    else:
        if name not in PLANAR_8BIT and name not in _QUARTER:
            # The same range on both sides, so that only the sampling changes.
            full = 2 if frame.color_range == 2 else 1
            target = _UNPACKED.get(name, "yuv420p")
            frame = frame.reformat(format=target, src_color_range=full, dst_color_range=full)
        planes = (plane_view(frame, 0), plane_view(frame, 1), plane_view(frame, 2))
    if alpha is not None:
        tags = color_tags(frame, "yuv420")
        planes = lay_over(planes, alpha, background_yuv(background, tags, frame.height))
    across, down = chroma_shrink(name) or (1, 1)
    u, v = planes[1:]
    if name in _QUARTER:
        width = chroma_size(frame.width, frame.height)[0]
        u, v = (plane.repeat(2, axis=1)[:, :width] for plane in (u, v))
    u, v = (shrink_plane(plane, across, down, by_fields=is_interlaced) for plane in (u, v))
    return planes[0], u, v


def lay_over(planes: Planes, alpha: Plane, under: tuple[int, int, int]) -> Planes:
    """Lay Y, U and V of this opacity [h, w] over a colour of one Y, U and V.

    A chroma sample is as opaque as the mean of its pixels.
    """
    height, width = planes[1].shape
    # A side of one pixel has as many chroma samples, and is not to be shrunk either.
    small = shrink_plane(alpha, 1 + (width < alpha.shape[1]), 1 + (height < alpha.shape[0]))
    y, u, v = planes
    return blend(y, alpha, under[0]), blend(u, small, under[1]), blend(v, small, under[2])
