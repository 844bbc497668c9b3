"""FFmpeg through PyAV: frames -> .gif and animated .webp, for a quick look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nervcodec.errors import ConfigError, OutputError
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.video.ffmpeg_frames import video_frame
from nervcodec.video.frames import Frames


class _Animation(NamedTuple):
    """How FFmpeg makes a kind of animation, its time base, and what it cannot hold."""

    codec: str
    pixel_format: str
    time_base: Fraction
    container_options: dict[str, str]
    note: str


ANIMATIONS = {
    ".gif": _Animation(
        "gif",
        "pal8",
        Fraction(1, 100),
        {},
        ".gif has 256 colours a frame and times in hundredths of a second",
    ),
    ".webp": _Animation(
        "libwebp_anim",
        "bgra",
        Fraction(1, 1000),
        {"loop": "0"},
        ".webp is coded with loss, in 8-bit 4:2:0, with times in milliseconds",
    ),
}
# Players take a delay of up to a hundredth of a second for a tenth.
_GIF_PLAYED_RATE = 50


def check_animation(suffix: str, frame_rate: Fraction) -> None:
    """Raise ConfigError where FFmpeg lacks the encoder, or frames come faster than times tell."""
    animation = ANIMATIONS[suffix]
    try:
        av.Codec(animation.codec, "w")
    except ValueError:
        raise ConfigError(
            f"{suffix} takes the encoder {animation.codec!r}, which this FFmpeg lacks; legal:"
            " another output, such as .gif or .mp4"
        ) from None
    fastest = 1 / animation.time_base
    if frame_rate > fastest:
        raise ConfigError(f"the frame rate is {frame_rate}; legal for {suffix}: up to {fastest}")


class AnimationSink:
    """Open animation that takes RGB frames; made by animating()."""

    layout: Layout = "rgb"
    bit_depth = 8

    def __init__(
        self, container: OutputContainer, stream: VideoStream, fmt: VideoFormat, suffix: str
    ) -> None:
        self.notes: tuple[str, ...] = (ANIMATIONS[suffix].note, *_rate_notes(suffix, fmt))
        self._container = container
        self._stream = stream
        self._time_base = 1 / fmt.frame_rate
        self._palettes = _Palettes(fmt) if suffix == ".gif" else None
        self._n_frames = 0

    def write(self, frames: Frames) -> None:
        for t in range(frames.n_frames):
            frame = video_frame(frames, t, frames.width, frames.height, "bgra")
            if self._palettes is not None:
                frame = self._palettes.applied(frame)
            frame.pts = self._n_frames
            frame.time_base = self._time_base
            self._n_frames += 1
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


class _Palettes:
    """FFmpeg's filters that give each frame its own palette: none waits for those to come."""

    def __init__(self, fmt: VideoFormat) -> None:
        graph = av.filter.Graph()
        self._source = graph.add(
            "buffer",
            video_size=f"{fmt.width}x{fmt.height}",
            pix_fmt="bgra",
            time_base="1/100",
            pixel_aspect="1/1",
        )
        split = graph.add("split")
        palette = graph.add("palettegen", stats_mode="single", reserve_transparent="0")
        used = graph.add("paletteuse", new="1")
        self._sink = graph.add("buffersink")
        self._source.link_to(split)
        split.link_to(used, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(used, 0, 1)
        used.link_to(self._sink)
        graph.configure()
        self._graph = graph
        self._n_frames = 0

    def applied(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame in the colours of its palette."""
        frame.pts = self._n_frames
        frame.time_base = Fraction(1, 100)
        self._n_frames += 1
        self._source.push(frame)
        result = self._sink.pull()
        assert isinstance(result, VideoFrame)
        return result


def _rate_notes(suffix: str, fmt: VideoFormat) -> Iterator[str]:
    if suffix == ".gif" and fmt.frame_rate > _GIF_PLAYED_RATE:
        yield f"many players show a .gif of more than {_GIF_PLAYED_RATE} frames/s slower"
    if fmt.sample_aspect_ratio != 1:
        yield f"{suffix} cannot say: pixel aspect"


@contextmanager
def animating(path: Path, fmt: VideoFormat, suffix: str, name: str) -> Iterator[AnimationSink]:
    """Open `path` for an animation of this kind, and finish it when the block ends well.

    Messages call it `name`.

    Raises:
        ConfigError: as check_animation, or a size that the encoder refuses.
        OutputError: writing failed.
    """
    check_animation(suffix, fmt.frame_rate)
    animation = ANIMATIONS[suffix]
    container = None
    try:
        container = av.open(
            str(path), "w", format=suffix[1:], container_options=animation.container_options
        )
        stream = container.add_stream(animation.codec, rate=fmt.frame_rate)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = fmt.width, fmt.height
        context.pix_fmt = animation.pixel_format
        context.time_base = 1 / fmt.frame_rate
        _open(container, stream, fmt, name)
        sink = AnimationSink(container, stream, fmt, suffix)
        yield sink
        sink.finish()
    except av.FFmpegError as error:
        raise OutputError(f"cannot write {name}: {error.strerror or error}") from error
    finally:
        if container is not None:
            with suppress(av.FFmpegError):  # the first error counts
                container.close()


def _open(container: OutputContainer, stream: VideoStream, fmt: VideoFormat, name: str) -> None:
    try:
        stream.codec_context.open()
        container.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (28, 13):  # the disk's fault
            raise
        raise ConfigError(
            f"{stream.codec_context.name} cannot code {fmt.width}x{fmt.height} into {name}:"
            f" {getattr(error, 'strerror', None) or error}"
        ) from error
