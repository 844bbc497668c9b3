"""FFmpeg through PyAV: filters that compare two videos."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import av

from nervcodec.format.video_format import VideoFormat
from nervcodec.video.ffmpeg_frames import video_frame
from nervcodec.video.frames import Frames
from nervcodec.video.pixel_formats import format_names


def has_filter(name: str) -> bool:
    """Return whether this FFmpeg has the filter."""
    return name in av.filter.filters_available


class FilterStats:
    """Filter of FFmpeg's that compares two videos and writes its measures into a file.

    Args:
        name: 'xpsnr', 'psnr', 'libvmaf' ...
        options: its options, among them the name of that file.
        fmt: format of both videos; xpsnr takes another filter in time above 32 frames/s.
    """

    def __init__(self, name: str, options: Mapping[str, str], fmt: VideoFormat) -> None:
        self._graph = av.filter.Graph()
        self._pix_fmt = format_names(fmt.layout, fmt.bit_depth)[0]
        self._time_base = 1 / fmt.frame_rate
        self._t = 0
        # PyAV's add_buffer would leave the rate out.
        video = {
            "video_size": f"{fmt.width}x{fmt.height}",
            "pix_fmt": self._pix_fmt,
            "time_base": str(self._time_base),
            "frame_rate": str(fmt.frame_rate),
            "pixel_aspect": "1/1",
        }
        sides = [self._graph.add("buffer", **video) for _ in range(2)]
        compared = self._graph.add(name, **options)
        self._sink = self._graph.add("buffersink")
        for number, side in enumerate(sides):
            side.link_to(compared, 0, number)
        compared.link_to(self._sink)
        self._graph.configure()
        self._sides = sides

    def add(self, first: Frames, second: Frames) -> None:
        """Compare as many frames of both videos, of the layout and bit depth of the format."""
        for t in range(first.n_frames):
            for side, frames in zip(self._sides, (first, second)):
                frame = video_frame(frames, t, frames.width, frames.height, self._pix_fmt)
                frame.pts = self._t
                frame.time_base = self._time_base
                side.push(frame)
            self._t += 1
            self._drain()

    def finish(self) -> None:
        """End both videos; the file is complete when this returns."""
        for side in self._sides:
            side.push(None)
        self._drain()
        del self._sides, self._sink, self._graph  # the filter writes its last lines when it goes

    def _drain(self) -> None:
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                self._sink.pull()
