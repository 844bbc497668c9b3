"""FFmpeg through PyAV: frames -> PNG files."""

from __future__ import annotations

from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.util.files import FRAME_NAME
from nervcodec.video.ffmpeg_encode import configure
from nervcodec.video.ffmpeg_frames import video_frame
from nervcodec.video.frames import Frames


class PngSink:
    """Folder that takes RGB or gray frames, one PNG file each, numbered from 1.

    Samples of more than 8 bits are scaled to 16, from which they come back exactly.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, folder: Path, fmt: VideoFormat) -> None:
        # The samples of PNG are of full range.
        is_gray = fmt.layout == "gray" and bool(fmt.color.full_range)
        self.layout: Layout = "gray" if is_gray else "rgb"
        self.bit_depth = fmt.bit_depth
        self._folder = folder
        self._n_frames = 0
        context = av.CodecContext.create("png", "w")
        assert isinstance(context, VideoCodecContext)
        configure(context, fmt, fmt.width, fmt.height)
        self._context = context
        names = ("gray", "gray16be") if is_gray else ("rgb24", "rgb48be")
        self._pix_fmt = self._context.pix_fmt = names[fmt.bit_depth > 8]
        self._context.thread_count = 1  # so that each frame gives its file at once

    def write(self, frames: Frames) -> None:
        for t in range(frames.n_frames):
            frame = video_frame(frames, t, frames.width, frames.height, self._pix_fmt)
            frame.pts = self._n_frames
            self._n_frames += 1
            (packet,) = self._context.encode(frame)
            self._path(self._n_frames).write_bytes(bytes(packet))

    def _path(self, number: int) -> Path:
        """Return the file of a frame, counted from 1."""
        return self._folder / FRAME_NAME.format(number)


class PictureSink(PngSink):
    """PNG file of one frame."""

    def __init__(self, file: Path, fmt: VideoFormat) -> None:
        super().__init__(file.parent, fmt)
        self._file = file

    def _path(self, number: int) -> Path:
        return self._file
