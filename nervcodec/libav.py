"""FFmpeg through PyAV, for survey.py and video.py: every container, codec and PNG; the only import of av.

What lies in the buffers of its frames is the business of buffers.py.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer as InputContainer
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame as VideoFrame
from av.video.stream import VideoStream as VideoStream

from nervcodec.buffers import plane_view, planes_of
from nervcodec.color import Frames, Planes
from nervcodec.errors import ConfigError, OutputError, VideoError
from nervcodec.format.video_format import VideoFormat
from nervcodec.util.files import FRAME_NAME

# PyAV is silent from the start, but only until somebody has asked for its log.
av.logging.set_level(None)

FFMPEG_VERSION = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Encoders with a constant-quality scale, and its end (0 is best).
_LARGEST_CRF = {"libx264": 51, "libx265": 51, "libsvtav1": 63, "libvpx-vp9": 63, "libvpx": 63}
_DEFAULT_CRF = 12
_OPTIONS = {"libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}}
_X265_SILENT = "info=0:log-level=none"
# The muxers of FFmpeg's that write a stream and nothing around it (IVF: twelve bytes a frame, which are not counted).
ELEMENTARY = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "obu", "libvpx-vp9": "ivf"}
_ODD_SIZES = ("ffv1", "libvpx-vp9")
_HINT = "; it is damaged, or no video that FFmpeg knows"
# FFmpeg takes any text file for a film of characters on a terminal.
_TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")


def container_frames(path: Path, layout: str) -> Generator[Planes, None, None]:
    """Yield the planes of each frame: views that hold until the next one is asked for.

    Raises:
        VideoError: as survey_container.
    """
    with video_stream(path) as (container, stream):
        for frame in container.decode(stream):
            yield planes_of(frame, layout)


def png_frames(files: Sequence[Path]) -> Generator[Planes, None, None]:
    """Yield R, G, B of each PNG file in turn."""
    for file in files:
        yield planes_of(decode_png(file), "rgb")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        # Of what it makes no sense of, FFmpeg says all sorts of things: "Invalid argument", "Input/output error" ...
        is_plain = isinstance(error, (FileNotFoundError, PermissionError, MemoryError))
        hint = _HINT if isinstance(error, av.FFmpegError) and not is_plain else ""
        raise VideoError(f"cannot read {path}: {error.strerror or error}{hint}") from error


@contextmanager
def video_stream(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    # The protocol is named because FFmpeg would take one from a name such as `take:2.mp4`.
    with _reading(path), av.open(f"file:{path}", metadata_errors="replace") as container:
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise VideoError(f"{path}: there is no video in it")
        if streams[0].codec_context is not None and streams[0].codec_context.name in _TEXT_CODECS:
            raise VideoError(f"cannot read {path}: it is text, not video")
        if streams[0].codec_context is None:
            raise VideoError(f"{path}: its video codec is not supported by this FFmpeg")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def decode_png(file: Path) -> VideoFrame:
    with _reading(file):
        context = av.CodecContext.create("png", "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1  # otherwise frames come out later
        data = file.read_bytes()
        frames = [*context.decode(av.Packet(data)), *context.decode(None)] if data else []
    if len(frames) != 1:
        raise VideoError(f"cannot read {file}: it holds no PNG picture")
    return frames[0]


# Frames -> FFmpeg ---------------------------------------------------------------------------------------------------


class ContainerSink:
    """An open container that takes 4:2:0 frames; made by encoding()."""

    layout = "yuv420"

    def __init__(self, container: OutputContainer, stream: VideoStream, notes: tuple[str, ...]) -> None:
        self.notes = notes
        self._container, self._stream, self._n_frames = container, stream, 0

    def write(self, frames: Frames) -> None:
        context = self._stream.codec_context
        for t in range(frames.n_frames):
            frame = _padded_frame(frames, t, context.width, context.height)
            frame.pts, frame.time_base = self._n_frames, context.time_base
            self._n_frames += 1
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


class PngSink:
    """A folder that takes RGB frames, one PNG file each, numbered from 1."""

    layout = "rgb"
    notes: tuple[str, ...] = ()

    def __init__(self, folder: Path, fmt: VideoFormat) -> None:
        self._folder, self._n_frames = folder, 0
        self._context = _encoder("png", fmt, fmt.width, fmt.height, {})
        self._context.pix_fmt = "rgb24"
        self._context.thread_count = 1  # so that each frame gives its file at once

    def write(self, frames: Frames) -> None:
        for t in range(frames.n_frames):
            frame = VideoFrame(frames.width, frames.height, "rgb24")
            lines = plane_view(frame, 0, 3)  # [h, w * 3]
            for k, plane in enumerate(frames.planes):
                lines[:, k::3] = plane[t]
            frame.pts = self._n_frames
            self._n_frames += 1
            (packet,) = self._context.encode(frame)
            (self._folder / FRAME_NAME.format(self._n_frames)).write_bytes(bytes(packet))


@contextmanager
def encoding(
    path: Path, fmt: VideoFormat, *, muxer: str, codec: str, quality: int | None, name: str
) -> Iterator[ContainerSink]:
    """Open `path` for encoded frames, and finish it when the block ends well; `name` is its name in messages.

    Raises:
        ConfigError: an encoder that does not exist, does not fit the container, or refuses the size or the quality.
        OutputError: writing failed.
    """
    options = check_encoder(codec, quality)
    even = codec not in _ODD_SIZES
    width, height = (n + (n % 2 if even else 0) for n in (fmt.width, fmt.height))
    padded = (width, height) != (fmt.width, fmt.height)
    notes = (f"padded to {width}x{height}: {codec} codes even sizes only",) if padded else ()
    container = None
    try:
        container = av.open(str(path), "w", format=muxer)
        stream = _add_stream(container, fmt, codec, width, height, options, name)
        sink = ContainerSink(container, stream, notes)
        yield sink
        sink.finish()
    except av.FFmpegError as error:
        raise OutputError(f"cannot write {name}: {error.strerror or error}") from error
    finally:
        if container is not None:
            with suppress(av.FFmpegError):  # after an error the trailer may be refused too; the first error counts
                container.close()


def check_encoder(codec: str, quality: int | None) -> dict[str, str]:
    """The options for this encoder at this quality (its crf).

    Raises:
        ConfigError: no such encoder of 8-bit 4:2:0, or a quality off its scale.
    """
    known = f"legal: {', '.join(_LARGEST_CRF)}, ffv1 and others that FFmpeg has"
    try:
        encoder = av.Codec(codec, "w")
    except ValueError:
        raise ConfigError(f"there is no encoder {codec!r}; {known}") from None
    if encoder.type != "video" or "yuv420p" not in [f.name for f in encoder.video_formats or ()]:
        raise ConfigError(f"the encoder {codec!r} does not code 8-bit 4:2:0 video; {known}")
    largest = _LARGEST_CRF.get(codec)
    if largest is None:
        if quality is not None:
            raise ConfigError(f"the encoder {codec!r} has no quality scale; leave the quality out")
        return {}
    quality = _DEFAULT_CRF if quality is None else quality
    if not 0 <= quality <= largest:
        raise ConfigError(f"quality is {quality}; legal for {codec}: 0 (best) to {largest}")
    return {**_OPTIONS.get(codec, {}), "crf": str(quality)}


def _add_stream(
    container: OutputContainer,
    fmt: VideoFormat,
    codec: str,
    width: int,
    height: int,
    options: dict[str, str],
    name: str,
) -> VideoStream:
    failure = f"{codec} cannot code {width}x{height} into {name}"
    try:
        stream = container.add_stream(codec, rate=fmt.frame_rate, options=_silent(codec, options))
        assert isinstance(stream, VideoStream)
        _configure(stream.codec_context, fmt, width, height)
        stream.codec_context.open()
    except (av.FFmpegError, ValueError) as error:
        raise ConfigError(f"{failure}: {getattr(error, 'strerror', None) or error}") from error
    try:
        container.start_encoding()
    except av.FFmpegError as error:
        if isinstance(error, OSError):  # the disk's fault, not the format's
            raise
        raise ConfigError(f"{failure}: {error.strerror or error}") from error
    return stream


def _silent(codec: str, options: Mapping[str, str]) -> dict[str, str]:
    """The options, with which the two encoders that would write to stderr themselves do not."""
    os.environ.setdefault("SVT_LOG", "0")
    if codec != "libx265":
        return dict(options)
    given = options.get("x265-params")
    return {**options, "x265-params": f"{given}:{_X265_SILENT}" if given else _X265_SILENT}


def _configure(context: VideoCodecContext, fmt: VideoFormat, width: int, height: int) -> None:
    color = fmt.color
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = fmt.frame_rate, 1 / fmt.frame_rate
    context.sample_aspect_ratio = fmt.sample_aspect_ratio
    context.colorspace, context.color_primaries, context.color_trc = color.matrix, color.primaries, color.transfer
    context.color_range = {None: 0, False: 1, True: 2}[color.full_range]
    context.options = {**context.options, "chroma_sample_location": str(color.chroma_location)}


def _encoder(codec: str, fmt: VideoFormat, width: int, height: int, options: Mapping[str, str]) -> VideoCodecContext:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.options = _silent(codec, options)
    _configure(context, fmt, width, height)
    return context


def _padded_frame(frames: Frames, t: int, width: int, height: int) -> VideoFrame:
    """Frame t as yuv420p of this size, which may exceed it by one: edges are replicated."""
    frame = VideoFrame(width, height, "yuv420p")
    for k, plane in enumerate(frames.planes):
        out = plane_view(frame, k)
        pad = ((0, out.shape[0] - plane.shape[1]), (0, out.shape[1] - plane.shape[2]))
        out[:] = np.pad(plane[t], pad, mode="edge")
    return frame


# Elementary streams -------------------------------------------------------------------------------------------------


def write_elementary(
    path: Path, groups: Iterable[Frames], fmt: VideoFormat, codec: str, options: Mapping[str, str]
) -> int:
    """Code frames with an encoder of FFmpeg's into a file that holds nothing but its stream, headers once.

    Args:
        path: the suffix is that of ELEMENTARY[codec].
        groups: the frames, 4:2:0; odd sizes are padded to even ones by repeating the last row or column.
        fmt: size, rate and colour of these frames.
        options: the encoder's, such as {'preset': 'medium', 'crf': '29'}.

    Returns:
        Bytes of the stream: the sum of its packets.

    Raises:
        ConfigError: no such encoder, or one that refuses the options or the size.
    """
    check_encoder(codec, None)
    width, height = (n + n % 2 for n in (fmt.width, fmt.height))
    n_bytes, t = 0, 0
    try:
        with av.open(f"file:{path}", "w", format=ELEMENTARY[codec]) as container:
            stream = _add_stream(container, fmt, codec, width, height, dict(options), path.name)
            if unknown := stream.codec_context.options:
                raise ConfigError(f"{codec} has no option {', '.join(unknown)}")
            for frames in groups:
                for k in range(frames.n_frames):
                    frame = _padded_frame(frames, k, width, height)
                    frame.pts, frame.time_base, t = t, stream.codec_context.time_base, t + 1
                    n_bytes += _mux(container, stream.encode(frame))
            return n_bytes + _mux(container, stream.encode(None))
    except av.FFmpegError as error:
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        raise ConfigError(f"{codec} ({given}) cannot code {width}x{height}: {error.strerror or error}") from error


def _mux(container: OutputContainer, packets: Sequence[Packet[VideoStream]]) -> int:
    """Writes the packets; returns their bytes."""
    n_bytes = sum(packet.size for packet in packets)
    container.mux(packets)
    return n_bytes


def read_elementary(path: Path, fmt: VideoFormat) -> Iterator[Frames]:
    """The decoded frames of a file of write_elementary, one at a time, cropped to the size of `fmt`.

    Raises:
        VideoError: it cannot be decoded, or gives another number of frames than `fmt` has.
    """
    n_frames = 0
    for planes in container_frames(path, "yuv420"):
        frames = Frames.empty("yuv420", 1, fmt.width, fmt.height)
        for target, plane in zip(frames.planes, planes, strict=True):
            target[0] = plane[:target.shape[1], :target.shape[2]]
        n_frames += 1
        yield frames
    if n_frames != fmt.n_frames:
        raise VideoError(f"{path} decodes to {n_frames} frames of {fmt.n_frames}")


def lossy_bytes(path: Path) -> int | None:
    """Bytes of the video stream of a source whose codec is a lossy one (or can be, as H.264); None for any other."""
    with video_stream(path) as (container, stream):
        if not stream.codec_context.codec.lossy:
            return None
        return sum(packet.size for packet in container.demux(stream))


# Metrics ------------------------------------------------------------------------------------------------------------


def has_filter(name: str) -> bool:
    """Whether this FFmpeg has the filter."""
    return name in av.filter.filters_available


class FilterStats:
    """A filter of FFmpeg's that compares two videos and writes what it finds into a file.

    Args:
        name: 'xpsnr', 'psnr', 'libvmaf' ...
        options: its options, among them the name of that file.
        fmt: size and rate of both videos; xpsnr takes another filter in time above 32 frames/s.
    """

    def __init__(self, name: str, options: Mapping[str, str], fmt: VideoFormat) -> None:
        self._graph, self._time_base, self._t = av.filter.Graph(), 1 / fmt.frame_rate, 0
        # PyAV's add_buffer would leave the rate out.
        video = {"video_size": f"{fmt.width}x{fmt.height}", "pix_fmt": "yuv420p", "time_base": str(self._time_base),
                 "frame_rate": str(fmt.frame_rate), "pixel_aspect": "1/1"}
        sides = [self._graph.add("buffer", **video) for _ in range(2)]
        compared, self._sink = self._graph.add(name, **options), self._graph.add("buffersink")
        for number, side in enumerate(sides):
            side.link_to(compared, 0, number)
        compared.link_to(self._sink)
        self._graph.configure()
        self._sides = sides

    def add(self, first: Frames, second: Frames) -> None:
        """Compare as many 4:2:0 frames of both videos."""
        for t in range(first.n_frames):
            for side, frames in zip(self._sides, (first, second)):
                frame = _padded_frame(frames, t, frames.width, frames.height)
                frame.pts, frame.time_base = self._t, self._time_base
                side.push(frame)
            self._t += 1
            self._drain()

    def finish(self) -> None:
        """After the last frame: the file is complete when this returns."""
        for side in self._sides:
            side.push(None)
        self._drain()
        del self._sides, self._sink, self._graph  # the filter writes its last lines when it goes

    def _drain(self) -> None:
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                self._sink.pull()
