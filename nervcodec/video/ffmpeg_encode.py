"""FFmpeg through PyAV: frames -> containers, elementary streams and PNG files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nervcodec.errors import ConfigError, OutputError
from nervcodec.format.properties import NO_PROPERTIES, Properties
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.util.files import FRAME_NAME
from nervcodec.video import ffmpeg_decode, ffmpeg_properties, matroska, mp4
from nervcodec.video.ffmpeg_sound_writer import SoundMuxer
from nervcodec.video.frames import Frames
from nervcodec.video.pixel_formats import plane_view

# PyAV is silent from the start, but only until somebody has asked for its log.
av.logging.set_level(None)

MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Encoders with a constant-quality scale, and its end (0 is best).
_LARGEST_CRF = {"libx264": 51, "libx265": 51, "libsvtav1": 63, "libvpx-vp9": 63, "libvpx": 63}
_DEFAULT_CRF = 12
_OPTIONS = {"libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}}
_X265_SILENT = "info=0:log-level=none"
# The muxers of FFmpeg's that write a stream and nothing around it (IVF: twelve bytes a frame, which
# are not counted).
ELEMENTARY = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "obu", "libvpx-vp9": "ivf"}
# How encoders that keep RGB take it: the plane of each byte of a pixel.
_RGB_FORMAT = "bgr0"
_RGB_ORDER = (2, 1, 0, -1)
_ODD_SIZES = ("ffv1", "libvpx-vp9")


class ContainerSink:
    """Open container that takes 4:2:0 frames, or RGB ones; made by encoding()."""

    def __init__(
        self,
        container: OutputContainer,
        stream: VideoStream,
        layout: Layout,
        notes: tuple[str, ...],
        sound: SoundMuxer | None = None,
    ) -> None:
        self.layout: Layout = layout
        self.notes = notes
        self._sound = sound
        self._container = container
        self._stream = stream
        self._n_frames = 0

    def write(self, frames: Frames) -> None:
        context = self._stream.codec_context
        for t in range(frames.n_frames):
            if self.layout == "rgb":
                frame = _packed_frame(frames, t, _RGB_FORMAT, _RGB_ORDER)
            else:
                frame = padded_frame(frames, t, context.width, context.height)
            frame.pts = self._n_frames
            frame.time_base = context.time_base
            self._n_frames += 1
            if self._sound:
                self._sound.mux_until(self._n_frames * context.time_base)
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        if self._sound:
            self._sound.mux_until(None)
        self._container.mux(self._stream.encode(None))
        self._container.close()


class PngSink:
    """Folder that takes RGB frames, one PNG file each, numbered from 1."""

    layout: Layout = "rgb"
    notes: tuple[str, ...] = ()

    def __init__(self, folder: Path, fmt: VideoFormat) -> None:
        self._folder = folder
        self._n_frames = 0
        self._context = _encoder("png", fmt, fmt.width, fmt.height, {})
        self._context.pix_fmt = "rgb24"
        self._context.thread_count = 1  # so that each frame gives its file at once

    def write(self, frames: Frames) -> None:
        for t in range(frames.n_frames):
            frame = _packed_frame(frames, t, "rgb24", (0, 1, 2))
            frame.pts = self._n_frames
            self._n_frames += 1
            (packet,) = self._context.encode(frame)
            (self._folder / FRAME_NAME.format(self._n_frames)).write_bytes(bytes(packet))


def _packed_frame(frames: Frames, t: int, pix_fmt: str, order: tuple[int, ...]) -> VideoFrame:
    """Return frame t as packed RGB; `order` has the plane of each byte of a pixel, -1 for none."""
    frame = VideoFrame(frames.width, frames.height, pix_fmt)
    n_bytes = len(order)
    lines = plane_view(frame, 0, n_bytes)  # [h, w * n_bytes]
    for at, plane in enumerate(order):
        lines[:, at::n_bytes] = 0 if plane < 0 else frames.planes[plane][t]
    return frame


def keeps_rgb(codec: str) -> bool:
    """Return whether an encoder keeps RGB frames without loss, which are else made 4:2:0."""
    return codec == "ffv1"


@contextmanager
def encoding(
    path: Path,
    fmt: VideoFormat,
    *,
    muxer: str,
    codec: str,
    quality: int | None,
    name: str,
    sound: SoundMuxer | None = None,
    properties: Properties = NO_PROPERTIES,
) -> Iterator[ContainerSink]:
    """Open `path` for encoded frames and sound, and finish it when the block ends well.

    Messages call it `name`; what it cannot say of the properties is in the notes.

    Raises:
        ConfigError: an encoder that does not exist, does not fit the container, or refuses the size
            or the quality.
        OutputError: writing failed.
    """
    options = check_encoder(codec, quality)
    options |= ffmpeg_properties.encoder_options(properties, codec)
    even = codec not in _ODD_SIZES
    width, height = (n + (n % 2 if even else 0) for n in (fmt.width, fmt.height))
    padded = (width, height) != (fmt.width, fmt.height)
    notes = sound.notes if sound else ()
    if padded:
        notes = (f"padded to {width}x{height}: {codec} codes even sizes only", *notes)
    container = None
    try:
        container = av.open(
            str(path), "w", format=muxer, container_options=sound.mux_options if sound else {}
        )
        stream = _add_stream(container, fmt, codec, width, height, options, name, sound, properties)
        sink = ContainerSink(container, stream, fmt.layout, notes, sound)
        yield sink
        sink.finish()
        if _needs_geometry(container, fmt, properties):
            ratio = fmt.sample_aspect_ratio
            matroska.write_geometry(path, width, height, ratio, properties.rotation)
        elif properties.matrix:
            mp4.write_display_matrix(path, properties.matrix)
        if sound:
            sound.write_languages(path)
            sink.notes += sound.lost_languages(path)
        sink.notes += _lost_properties(path, fmt, codec, properties)
    except av.FFmpegError as error:
        raise OutputError(f"cannot write {name}: {error.strerror or error}") from error
    finally:
        if container is not None:
            with suppress(
                av.FFmpegError
            ):  # after an error the trailer may be refused too; the first error counts
                container.close()


def _lost_properties(
    path: Path, fmt: VideoFormat, codec: str, properties: Properties
) -> tuple[str, ...]:
    """Return a note on what of colour, geometry and properties a finished file does not say."""
    color = fmt.color
    names = list(ffmpeg_properties.lost_properties(path, properties))
    if color != ColorTags() or fmt.sample_aspect_ratio != 1:
        names[:0] = _lost_tags(path, fmt)
    return (f"{path.suffix} with {codec} cannot say: {', '.join(names)}",) if names else ()


def _lost_tags(path: Path, fmt: VideoFormat) -> list[str]:
    """Return the names of what of the colour and geometry a finished file does not say."""
    color = fmt.color
    with ffmpeg_decode.open_video(path) as video:
        context = video.stream.codec_context
        lost = {
            "matrix": color.matrix not in (2, context.colorspace),
            "primaries": color.primaries not in (2, context.color_primaries),
            "transfer": color.transfer not in (2, context.color_trc),
            "full range": color.full_range is True and context.color_range != 2,
            "chroma location": color.chroma_location
            not in (0, ffmpeg_decode.chroma_location(video)),
            "pixel aspect": (video.stream.sample_aspect_ratio or 1) != fmt.sample_aspect_ratio,
        }
    if fmt.layout == "rgb":
        lost = {"pixel aspect": lost["pixel aspect"]}
    return [name for name, is_lost in lost.items() if is_lost]


def check_encoder(codec: str, quality: int | None) -> dict[str, str]:
    """Return the options for this encoder at this quality (its crf).

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
    sound: SoundMuxer | None = None,
    properties: Properties = NO_PROPERTIES,
) -> VideoStream:
    failure = f"{codec} cannot code {width}x{height} into {name}"
    try:
        if codec == "libx265" and fmt.n_frames < 3:
            # With fewer frames than its reordering delays, libx265 leaves their times unset.
            words = (options.get("x265-params"), "bframes=0")
            options = {**options, "x265-params": ":".join(filter(None, words))}
        stream = container.add_stream(codec, rate=fmt.frame_rate, options=_silent(codec, options))
        assert isinstance(stream, VideoStream)
        _configure(stream.codec_context, fmt, width, height)
        ffmpeg_properties.apply(properties, container, stream.codec_context)
        stream.codec_context.open()
        if _needs_geometry(container, fmt, properties):
            stream.metadata["title"] = matroska.PLACEHOLDER
        if sound:
            sound.add_streams(container)
    except (av.FFmpegError, ValueError) as error:
        raise ConfigError(f"{failure}: {getattr(error, 'strerror', None) or error}") from error
    try:
        container.start_encoding()
    except av.FFmpegError as error:
        if isinstance(error, OSError):  # the disk's fault, not the format's
            raise
        raise ConfigError(f"{failure}: {error.strerror or error}") from error
    return stream


def _needs_geometry(container: OutputContainer, fmt: VideoFormat, properties: Properties) -> bool:
    is_plain = fmt.sample_aspect_ratio == 1 and properties.rotation == (0, False)
    return container.format.name in ("matroska", "webm") and not is_plain


def _silent(codec: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the options, with those that keep libx265 from writing to stderr; silence SVT-AV1."""
    os.environ.setdefault("SVT_LOG", "0")
    if codec != "libx265":
        return dict(options)
    parameters = options.get("x265-params")
    silent = f"{parameters}:{_X265_SILENT}" if parameters else _X265_SILENT
    return {**options, "x265-params": silent}


def _configure(context: VideoCodecContext, fmt: VideoFormat, width: int, height: int) -> None:
    color = fmt.color
    context.width = width
    context.height = height
    context.pix_fmt = _RGB_FORMAT if fmt.layout == "rgb" else "yuv420p"
    context.framerate = fmt.frame_rate
    context.time_base = 1 / fmt.frame_rate
    context.sample_aspect_ratio = fmt.sample_aspect_ratio
    context.colorspace = color.matrix
    context.color_primaries = color.primaries
    context.color_trc = color.transfer
    context.color_range = {None: 0, False: 1, True: 2}[color.full_range]
    context.options = {**context.options, "chroma_sample_location": str(color.chroma_location)}


def _encoder(
    codec: str, fmt: VideoFormat, width: int, height: int, options: Mapping[str, str]
) -> VideoCodecContext:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.options = _silent(codec, options)
    _configure(context, fmt, width, height)
    return context


def padded_frame(frames: Frames, t: int, width: int, height: int) -> VideoFrame:
    """Return frame t as yuv420p of this size, which may exceed it by one; edges are replicated."""
    frame = VideoFrame(width, height, "yuv420p")
    for k, plane in enumerate(frames.planes):
        out = plane_view(frame, k)
        pad = ((0, out.shape[0] - plane.shape[1]), (0, out.shape[1] - plane.shape[2]))
        out[:] = np.pad(plane[t], pad, mode="edge")
    return frame


# --- Elementary streams ---


def write_elementary(
    path: Path, groups: Iterable[Frames], fmt: VideoFormat, codec: str, options: Mapping[str, str]
) -> int:
    """Code frames with an encoder of FFmpeg's into a file of nothing but its stream.

    Args:
        path: the suffix is that of ELEMENTARY[codec].
        groups: the frames, 4:2:0; odd sizes are padded to even ones by repeating the last row or
            column.
        fmt: size, rate and colour of these frames.
        options: the encoder's, such as {'preset': 'medium', 'crf': '29'}.

    Returns:
        Bytes of the stream: the sum of its packets.

    Raises:
        ConfigError: no such encoder, or one that refuses the options or the size.
    """
    check_encoder(codec, None)
    width, height = (n + n % 2 for n in (fmt.width, fmt.height))
    fmt = replace(fmt, layout="yuv420")
    n_bytes = 0
    t = 0
    try:
        with av.open(f"file:{path}", "w", format=ELEMENTARY[codec]) as container:
            stream = _add_stream(container, fmt, codec, width, height, dict(options), path.name)
            if unknown := stream.codec_context.options:
                raise ConfigError(f"{codec} has no option {', '.join(unknown)}")
            for frames in groups:
                for k in range(frames.n_frames):
                    frame = padded_frame(frames, k, width, height)
                    frame.pts = t
                    frame.time_base = stream.codec_context.time_base
                    t += 1
                    n_bytes += _mux(container, stream.encode(frame))
            return n_bytes + _mux(container, stream.encode(None))
    except av.FFmpegError as error:
        settings = ", ".join(f"{key}={value}" for key, value in options.items())
        raise ConfigError(
            f"{codec} ({settings}) cannot code {width}x{height}: {error.strerror or error}"
        ) from error


def _mux(container: OutputContainer, packets: Sequence[Packet[VideoStream]]) -> int:
    """Write the packets; return their bytes."""
    n_bytes = sum(packet.size for packet in packets)
    container.mux(packets)
    return n_bytes
