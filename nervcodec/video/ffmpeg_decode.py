"""FFmpeg through PyAV: containers, elementary streams and picture files -> frames."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame as VideoFrame
from av.video.stream import VideoStream

from nervcodec.errors import ConfigError, VideoError
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.video.damage import DamageLog, has_forbidden_bytes
from nervcodec.video.frames import Frames, Planes
from nervcodec.video.pixel_formats import planes_of
from nervcodec.video.rotation import applied_turns, turn
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions, shown

# PyAV is silent from the start, but only until somebody has asked for its log.
av.logging.set_level(None)
FFMPEG_VERSION = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
HINT = "; it is damaged, or no video that FFmpeg knows"
# FFmpeg takes any text file for a film of characters on a terminal.
_TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")
# Formats of nothing but a stream, to which FFmpeg gives times of its own making.
_TIMELESS = frozenset(
    "h264 hevc vvc evc mjpeg mpegvideo m4v vc1 dirac obu cavsvideo avs2 avs3 h261 h263 apv".split()
)
_LOCATIONS = ("left", "center", "topleft", "top", "bottomleft", "bottom")


@dataclass(frozen=True)
class OpenVideo:
    """Opened container and the video stream of it that is coded, with notes on what is not."""

    container: InputContainer
    stream: VideoStream
    notes: tuple[str, ...]

    @property
    def is_timeless(self) -> bool:
        """Return whether the file has no frame times, and FFmpeg invents them."""
        names = self.container.format.name.split(",")
        return any(name in _TIMELESS or name.endswith("_pipe") for name in names)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        # Of what it makes no sense of, FFmpeg says all sorts of things: "Invalid argument",
        # "Input/output error" ...
        is_plain = isinstance(error, (FileNotFoundError, PermissionError, MemoryError))
        hint = HINT if isinstance(error, av.FFmpegError) and not is_plain else ""
        raise VideoError(f"cannot read {shown(path)}: {error.strerror or error}{hint}") from error


@contextmanager
def _log(level: int) -> Iterator[list[tuple[int, str, str]]]:
    """Yield a list to which FFmpeg's messages of this thread are appended.

    Only a decoder without threads of its own may run in it: PyAV's log takes Python's lock.
    """
    av.logging.set_skip_repeated(False)
    av.logging.set_level(level)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(None)


@contextmanager
def open_video(path: Path, wanted: int | None = None) -> Iterator[OpenVideo]:
    """Open a container and choose the video stream that is coded.

    Args:
        path: anything that FFmpeg reads.
        wanted: the number of a video stream, from 0; None for the default one.

    Raises:
        VideoError: it cannot be read, or has no video that can be decoded.
        ConfigError: there is no such stream.
    """
    # The protocol is named because FFmpeg would take one from a name such as `take:2.mp4`.
    with reading(path), av.open(f"file:{path}", metadata_errors="replace") as container:
        stream = _chosen_stream(container, path, wanted)
        if stream.codec_context is None:
            raise VideoError(f"{shown(path)}: its video codec is not supported by this FFmpeg")
        if stream.codec_context.name in _TEXT_CODECS:
            raise VideoError(f"cannot read {shown(path)}: it is text, not video")
        # Of damaged data, frames on several threads make other pictures than one after the other.
        stream.codec_context.thread_count = 1
        yield OpenVideo(container, stream, tuple(_stream_notes(container, stream, wanted)))


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _chosen_stream(container: InputContainer, path: Path, wanted: int | None) -> VideoStream:
    """Return the stream that is wanted, else the default one that is no cover or single picture."""
    streams = container.streams.video
    candidates = [stream for stream in streams if not _is_cover(stream)]
    if not candidates:
        raise VideoError(f"{shown(path)}: there is no video in it")
    if wanted is not None:
        if wanted >= len(streams):
            raise ConfigError(
                f"video stream is {wanted}; legal: 0 to {len(streams) - 1} for {shown(path)}"
            )
        return streams[wanted]

    def rank(stream: VideoStream) -> tuple[bool, bool, bool]:
        is_default = bool(stream.disposition & av.stream.Disposition.default)
        return stream.codec_context is None, _is_still(stream), not is_default

    return min(candidates, key=rank)


def _is_still(stream: VideoStream) -> bool:
    """Return whether a stream says of itself that it is one picture."""
    rate = stream.average_rate
    duration = stream_duration(stream)
    return stream.frames == 1 or bool(rate and duration and duration * rate < Fraction(3, 2))


def stream_duration(stream: VideoStream) -> Fraction | None:
    """Return the seconds that Matroska states of a stream, None for other containers."""
    # By FFmpeg's hand: 00:01:02.345000000.
    text = stream.metadata.get("DURATION", "")
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", text)
    if not match:
        return None
    hours, minutes, seconds = map(Fraction, match.groups())
    return 3600 * hours + 60 * minutes + seconds


def expected_frames(video: OpenVideo) -> int | None:
    """Return about how many frames a stream has by what its file says, None where that is nothing.

    What the file states goes before what its duration makes of it.
    """
    stream = video.stream
    if stream.frames or video.is_timeless or not stream.average_rate:
        return stream.frames or None
    duration = stream_duration(stream)
    if duration is None and stream.duration and stream.time_base:
        duration = stream.duration * stream.time_base
    if duration is None and video.container.duration:
        duration = Fraction(video.container.duration, av.time_base)
    return round(duration * stream.average_rate) or None if duration else None


def _stream_notes(
    container: InputContainer, stream: VideoStream, wanted: int | None
) -> Iterator[str]:
    streams = container.streams.video
    n_covers = sum(map(_is_cover, streams))
    if len(streams) - n_covers > 1 and wanted is None:
        number = next(k for k, other in enumerate(streams) if other.index == stream.index)
        name = stream.codec_context.name
        yield (
            f"video stream {number} of 0 to {len(streams) - 1} is coded ({name}, {stream.width}x"
            f"{stream.height}); --video-stream N takes another one"
        )
    if n_covers and not _is_cover(stream):
        yield f"{n_covers} cover picture{'s' if n_covers > 1 else ''} left out"
    kinds = [other.type for other in container.streams]
    for kind in sorted(set(kinds) - {"video", "audio", "subtitle"}):
        count = kinds.count(kind)
        yield f"{count} {kind} stream{'s' if count > 1 else ''} left out"


def chroma_location(video: OpenVideo) -> int:
    """Return where the chroma samples of a stream lie (ColorTags), 0 where it does not say.

    PyAV does not tell, but FFmpeg's description of a file does.
    """
    av.logging.set_libav_level(av.logging.VERBOSE)
    try:
        with _log(av.logging.INFO):
            description: str = video.container.dumps_format()  # type: ignore[attr-defined]
    finally:
        av.logging.set_libav_level(av.logging.INFO)
    pattern = rf"Stream #0:{video.stream.index}\b.*?: Video: .*?{video.stream.pix_fmt}\(([^)]*)\)"
    match = re.search(pattern, description)
    words = re.split(r", ?", match.group(1)) if match else []
    return next((k for k, name in enumerate(_LOCATIONS, 1) if name in words), 0)


def decoded_frames(
    video: OpenVideo, path: Path, *, salvage: bool, log: DamageLog | None = None
) -> Iterator[VideoFrame]:
    """Yield the frames of a stream in the order of display.

    Packets that the decoder refuses are left out where `salvage` or a log is given.

    Args:
        video, path: an opened source and its name.
        salvage: go on after a packet that cannot be decoded.
        log: takes what is damaged; decoding is watched more closely then.

    Raises:
        VideoError: a packet cannot be decoded.
    """
    context = video.stream.codec_context
    context.copy_opaque = True
    nal_units = _NalUnits(context)
    for index, packet in enumerate(_whole_packets(video, log)):
        if packet.size:
            packet.opaque = index
        try:
            if log is None:
                yield from packet.decode()
                continue
            with _log(av.logging.INFO) as messages:
                frames = packet.decode()
        except av.FFmpegError as error:
            if log is not None:
                log.broken[index] = packet.pts
                log.reason = log.reason or error.strerror or str(error)
            elif not salvage:
                raise VideoError(f"cannot read {shown(path)}: {error.strerror}{HINT}") from error
            continue
        if packet.is_keyframe:
            log.keys.append(index)
        if packet.is_corrupt or _tells_damage(messages) or nal_units.are_damaged(packet):
            log.concealed.add(index)
        for frame in frames:
            source = frame.opaque if isinstance(frame.opaque, int) else index
            log.frames.append(source, frame.pts)
            if frame.is_corrupt:
                log.concealed.add(source)
            yield frame


def _whole_packets(video: OpenVideo, log: DamageLog | None) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of the stream, but for a last one that is cut short, and an empty end."""
    last: Packet[VideoStream] | None = None
    for packet in video.container.demux(video.stream):
        if last is not None:
            if not packet.size and last.is_corrupt:
                if log is not None:
                    log.is_cut = True
            else:
                yield last
        last = packet
    if last is not None:
        yield last


def _tells_damage(messages: Sequence[tuple[int, str, str]]) -> bool:
    return any(
        level <= av.logging.ERROR or text.startswith("concealing") for level, _, text in messages
    )


class _NalUnits:
    """Check of the packets of codecs that are made of NAL units."""

    def __init__(self, context: VideoCodecContext) -> None:
        extradata = context.extradata or b""
        at = {"h264": 4, "hevc": 21, "vvc": 4}.get(context.codec.name)
        self._is_checked = at is not None and context.codec.name != "vvc"
        self._length_bytes = None
        # avcC and hvcC begin with their version, 1; start codes with 0.
        if at is not None and len(extradata) > at and extradata[0] == 1:
            self._length_bytes = (extradata[at] & 3) + 1

    def are_damaged(self, packet: Packet[VideoStream]) -> bool:
        return self._is_checked and has_forbidden_bytes(bytes(packet), self._length_bytes)


def container_frames(
    path: Path, fmt: VideoFormat, options: SourceOptions = DEFAULT_OPTIONS
) -> Generator[Planes, None, None]:
    """Yield the planes of each frame in the layout and bit depth of a format.

    They are views that hold until the next one is asked for.

    Raises:
        VideoError: as probe.
    """
    with open_video(path, options.video_stream) as video:
        for frame in decoded_frames(video, path, salvage=options.salvage):
            yield coded_planes(frame, fmt.layout, fmt.bit_depth, options)


def coded_planes(
    frame: VideoFrame, layout: Layout, bit_depth: int, options: SourceOptions
) -> Planes:
    """Return the planes [h, w] of a frame in this layout and bit depth, turned as it asks.

    They are views that hold as long as the frame does.

    Raises:
        VideoError: as planes_of.
    """
    planes = planes_of(frame, layout, bit_depth, options.background)
    return turn(planes, applied_turns(frame.rotation, autorotate=options.autorotate))


def read_elementary(path: Path, fmt: VideoFormat) -> Iterator[Frames]:
    """Yield the decoded frames of a file of write_elementary, cropped to the size of `fmt`.

    Raises:
        VideoError: it cannot be decoded, or gives another number of frames than `fmt` has.
    """
    n_frames = 0
    with open_video(path) as video:
        # What an encoder has just written is whole, so that threads change nothing.
        video.stream.codec_context.thread_count = 0
        video.stream.thread_type = "AUTO"
        for frame in decoded_frames(video, path, salvage=False):
            frames = Frames.empty(fmt.layout, 1, fmt.width, fmt.height, fmt.bit_depth)
            planes = planes_of(frame, fmt.layout, fmt.bit_depth)
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
    with open_video(path) as video:
        if not video.stream.codec_context.codec.lossy:
            return None
        return sum(packet.size for packet in video.container.demux(video.stream))
