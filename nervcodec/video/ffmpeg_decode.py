"""FFmpeg through PyAV: containers, elementary streams and PNG files -> frames."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer as InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame as VideoFrame
from av.video.stream import VideoStream as VideoStream

from nervcodec.errors import VideoError
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.video.frames import Frames, Planes
from nervcodec.video.pixel_formats import planes_of

# PyAV is silent from the start, but only until somebody has asked for its log.
av.logging.set_level(None)
FFMPEG_VERSION = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
_HINT = "; it is damaged, or no video that FFmpeg knows"
# FFmpeg takes any text file for a film of characters on a terminal.
_TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")


def container_frames(path: Path, layout: Layout) -> Generator[Planes, None, None]:
    """Yield the planes of each frame: views that hold until the next one is asked for.

    Raises:
        VideoError: as probe.
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
        # Of what it makes no sense of, FFmpeg says all sorts of things: "Invalid argument",
        # "Input/output error" ...
        is_plain = isinstance(error, (FileNotFoundError, PermissionError, MemoryError))
        hint = _HINT if isinstance(error, av.FFmpegError) and not is_plain else ""
        raise VideoError(f"cannot read {path}: {error.strerror or error}{hint}") from error


@contextmanager
def video_stream(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a container; yield it and its first video stream that is no attached picture.

    Raises:
        VideoError: it cannot be read, or has no video that can be decoded.
    """
    # The protocol is named because FFmpeg would take one from a name such as `take:2.mp4`.
    with _reading(path), av.open(f"file:{path}", metadata_errors="replace") as container:
        streams = [
            s
            for s in container.streams.video
            if not s.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise VideoError(f"{path}: there is no video in it")
        if streams[0].codec_context is not None and streams[0].codec_context.name in _TEXT_CODECS:
            raise VideoError(f"cannot read {path}: it is text, not video")
        if streams[0].codec_context is None:
            raise VideoError(f"{path}: its video codec is not supported by this FFmpeg")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def decode_png(file: Path) -> VideoFrame:
    """Decode one PNG file.

    Raises:
        VideoError: it holds no whole picture.
    """
    with _reading(file):
        context = av.CodecContext.create("png", "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1  # otherwise frames come out later
        data = file.read_bytes()
        frames = [*context.decode(av.Packet(data)), *context.decode(None)] if data else []
    if len(frames) != 1:
        raise VideoError(f"cannot read {file}: it holds no PNG picture")
    return frames[0]


def read_elementary(path: Path, fmt: VideoFormat) -> Iterator[Frames]:
    """Yield the decoded frames of a file of write_elementary, cropped to the size of `fmt`.

    Raises:
        VideoError: it cannot be decoded, or gives another number of frames than `fmt` has.
    """
    n_frames = 0
    for planes in container_frames(path, "yuv420"):
        frames = Frames.empty("yuv420", 1, fmt.width, fmt.height)
        for target, plane in zip(frames.planes, planes, strict=True):
            target[0] = plane[: target.shape[1], : target.shape[2]]
        n_frames += 1
        yield frames
    if n_frames != fmt.n_frames:
        raise VideoError(f"{path} decodes to {n_frames} frames of {fmt.n_frames}")


def lossy_bytes(path: Path) -> int | None:
    """Return the bytes of a video stream of a lossy codec (or one that can be, as H.264).

    None for any other.
    """
    with video_stream(path) as (container, stream):
        if not stream.codec_context.codec.lossy:
            return None
        return sum(packet.size for packet in container.demux(stream))
