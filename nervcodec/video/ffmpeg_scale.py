"""FFmpeg through PyAV: frames of another size, by its scale filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame

from nervcodec.errors import ConfigError, VideoError
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.video.frames import Frames, Plane, Planes
from nervcodec.video.geometry import Size
from nervcodec.video.pixel_formats import format_names, plane_view

# The exact paths of the filter, which give the same samples on every processor.
_FLAGS = "lanczos+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
# Layouts that the filter takes whole, since it knows where their chroma lies. It would take RGB
# through 4:2:0: of other layouts, each plane is a gray picture.
_WHOLE: tuple[Layout, ...] = ("yuv420", "yuv422")
_LOCATIONS = ("auto", "left", "center", "topleft", "top", "bottomleft", "bottom")


class Scaler:
    """Lanczos scaling of planes, which stay in their layout.

    Args:
        form: of the planes that come.
        size: width and height of those that go.
    Raises:
        ConfigError: FFmpeg cannot scale by so much.
    """

    def __init__(self, form: VideoFormat, size: Size) -> None:
        self._size = size
        self._sizes = (form.width, form.height)
        self._is_whole = form.layout in _WHOLE
        (name,) = format_names(form.layout if self._is_whole else "gray", form.bit_depth)
        location = _LOCATIONS[form.color.chroma_location]
        chroma = {"in_chroma_loc": location, "out_chroma_loc": location}
        self._graph = _Graph(name, self._sizes, size, chroma if self._is_whole else {})

    def scale(self, planes: Planes) -> Planes:
        """Return planes [h, w] at the new size.

        Raises:
            VideoError: they have not the size that was announced, or FFmpeg cannot scale them.
        """
        height, width = planes[0].shape
        if (width, height) != self._sizes:
            raise VideoError(
                f"a frame to scale is {width}x{height}, the first is"
                f" {self._sizes[0]}x{self._sizes[1]}"
            )
        if self._is_whole:
            return tuple(self._graph.scaled(planes))
        return tuple(self._graph.scaled((plane,))[0] for plane in planes)


class _Graph:
    """FFmpeg's scale filter for pictures of one pixel format and size."""

    def __init__(
        self, pixel_format: str, before: Size, after: Size, options: Mapping[str, str]
    ) -> None:
        self._format = pixel_format
        self._samples: str | type[np.uint8] = "<u2" if pixel_format.endswith("le") else np.uint8
        self._before = before
        graph = av.filter.Graph()
        self._source = graph.add(
            "buffer",
            video_size=f"{before[0]}x{before[1]}",
            pix_fmt=pixel_format,
            time_base="1/25",
            pixel_aspect="1/1",
        )
        sized = {"w": str(after[0]), "h": str(after[1]), "flags": _FLAGS}
        scale = graph.add("scale", **sized, **options)
        kept = graph.add("format", pix_fmts=pixel_format)
        self._sink = graph.add("buffersink")
        self._source.link_to(scale)
        scale.link_to(kept)
        kept.link_to(self._sink)
        self._graph = graph
        self._n_frames = 0
        try:
            graph.configure()
        except av.FFmpegError as error:
            raise ConfigError(
                f"scale is {after[0]}x{after[1]}; legal: a size that FFmpeg's filter can make of"
                f" {before[0]}x{before[1]}"
            ) from error

    def scaled(self, planes: Sequence[Plane]) -> list[Plane]:
        """Return the planes of one picture, scaled, as arrays of their own."""
        frame = VideoFrame(*self._before, self._format)
        for k, plane in enumerate(planes):
            plane_view(frame, k, 1, self._samples)[:] = plane
        frame.pts = self._n_frames
        frame.time_base = Fraction(1, 25)
        self._n_frames += 1
        try:
            self._source.push(frame)
            result = self._sink.pull()
        except av.FFmpegError as error:
            raise VideoError(f"FFmpeg cannot scale a frame: {error.strerror or error}") from error
        assert isinstance(result, VideoFrame)
        return [np.array(plane_view(result, k, 1, self._samples)) for k in range(len(planes))]


def scaled_frames(groups: Iterable[Frames], form: VideoFormat, size: Size) -> Iterator[Frames]:
    """Yield groups of frames of this size and chroma location at another width and height."""
    scaler: Scaler | None = None
    for group in groups:
        if scaler is None:
            own = replace(form, layout=group.layout, bit_depth=group.bit_depth)
            scaler = Scaler(own, size)
        scaled = Frames.empty(group.layout, group.n_frames, *size, group.bit_depth)
        for t in range(group.n_frames):
            planes = scaler.scale(tuple(plane[t] for plane in group.planes))
            for target, plane in zip(scaled.planes, planes, strict=True):
                target[t] = plane
        yield scaled
