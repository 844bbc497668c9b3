"""FFmpeg's frame buffers <-> planes; av's types are known here, av itself is not loaded.

Planes are views straight into FFmpeg's buffers wherever they hold 8-bit samples one by one (its
line padding left out); swscale is asked only to unpack the rare formats that are left, never to
change a colour space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nervcodec.errors import VideoError
from nervcodec.format.video_format import Layout
from nervcodec.video.color import shrink_plane
from nervcodec.video.frames import Plane, Planes, chroma_size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# Planar 8-bit formats read without swscale -> how chroma still has to shrink to 4:2:0 (across,
# down).
PLANAR_8BIT = {
    f"{family}{sampling}p": shrink
    for family in ("yuv", "yuvj", "yuva")
    for sampling, shrink in {"420": (1, 1), "422": (1, 2), "440": (2, 1), "444": (2, 2)}.items()
}


def layout_of(frame: VideoFrame) -> Layout:
    """Return the layout that keeps this frame's samples."""
    return "rgb" if frame.format.is_rgb or frame.format.has_palette else "yuv420"


def planes_of(frame: VideoFrame, layout: Layout) -> Planes:
    """Return the planes of a frame in this layout, views that hold as long as the frame does.

    Raises:
        VideoError: a frame that is stored bottom-up.
    """
    return _rgb_planes(frame) if layout == "rgb" else _yuv_planes(frame)


def plane_view(frame: VideoFrame, index: int, channels: int = 1) -> Plane:
    """Return one plane as a view [h, w * channels], without the padding of its lines."""
    plane = frame.planes[index]
    if plane.line_size < 0:
        raise VideoError(f"frames stored bottom-up in {frame.format.name} are not read")
    lines: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width * channels]


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


def _yuv_planes(frame: VideoFrame) -> Planes:
    name = frame.format.name
    if name == "gray":
        small = np.full(chroma_size(frame.width, frame.height)[::-1], 128, np.uint8)
        return plane_view(frame, 0), small, small
    if name not in PLANAR_8BIT:
        # The same range on both sides, so that only the sampling changes.
        full = 2 if frame.color_range == 2 else 1
        frame = frame.reformat(format="yuv420p", src_color_range=full, dst_color_range=full)
    across, down = PLANAR_8BIT.get(name, (1, 1))
    u, v = (shrink_plane(plane_view(frame, k), across, down) for k in (1, 2))
    return plane_view(frame, 0), u, v
