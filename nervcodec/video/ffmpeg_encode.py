"""FFmpeg through PyAV: frames -> containers."""

from __future__ import annotations

import os
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from nervcodec.errors import ConfigError, OutputError
from nervcodec.format.properties import NO_PROPERTIES, Properties
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import SUBSAMPLING, ColorTags, Layout, VideoFormat
from nervcodec.video import ffmpeg_decode, ffmpeg_properties, matroska, mp4
from nervcodec.video.ffmpeg_frames import (
    coded_format,
    encoder_formats,
    keeps_rgb,
    video_frame,
)
from nervcodec.video.ffmpeg_sound_writer import SoundMuxer
from nervcodec.video.frames import Frames
from nervcodec.video.pixel_formats import nearest_format

# PyAV is silent from the start, but only until somebody has asked for its log.
av.logging.set_level(None)

MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Encoders with a constant-quality scale, and its end (0 is best).
_LARGEST_CRF = {"libx264": 51, "libx265": 51, "libsvtav1": 63, "libvpx-vp9": 63, "libvpx": 63}
_DEFAULT_CRF = 12
_OPTIONS = {"libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}}
# Where frames are reordered, MP4 cannot say how long the last one is shown, but for constant rates.
_IN_ORDER = {"libx264": {"bf": "0"}, "libx265": {"x265-params": "bframes=0"}}
_MOST_TICKS = 2**62
_X265_SILENT = "info=0:log-level=none"
_ODD_SIZES = ("ffv1", "libvpx-vp9")


class ContainerSink:
    """Open container that takes frames of one layout and bit depth; made by encoding().

    Args:
        container, stream: what is written to.
        fmt: of the frames.
        notes: what the user should know.
        ticks: of each frame and of the end in the time base of the stream's codec; None numbers the
            frames.
    """

    def __init__(
        self,
        container: OutputContainer,
        stream: VideoStream,
        fmt: VideoFormat,
        notes: tuple[str, ...],
        pix_fmt: str,
        ticks: Sequence[int] | None = None,
        sound: SoundMuxer | None = None,
    ) -> None:
        self._ticks = ticks
        self._pix_fmt = pix_fmt
        self.layout: Layout = fmt.layout
        self.bit_depth = fmt.bit_depth
        self.notes = notes
        self._sound = sound
        self._container = container
        self._stream = stream
        self._n_frames = 0

    def write(self, frames: Frames) -> None:
        context = self._stream.codec_context
        for t in range(frames.n_frames):
            frame = video_frame(frames, t, context.width, context.height, self._pix_fmt)
            frame.pts = self._ticks[self._n_frames] if self._ticks else self._n_frames
            frame.time_base = context.time_base
            self._n_frames += 1
            if self._sound:
                end = self._ticks[self._n_frames] if self._ticks else self._n_frames
                self._sound.mux_until(end * context.time_base)
            self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        if self._sound:
            self._sound.mux_until(None)
        self._mux(self._stream.encode(None))
        self._container.close()

    def _mux(self, packets: Sequence[Packet[VideoStream]]) -> None:
        """Write packets; each is told how long its frame is shown, which some encoders forget."""
        if self._ticks:
            for packet in packets:
                at = bisect(self._ticks, packet.pts or 0)
                if 0 < at < len(self._ticks):
                    packet.duration = self._ticks[at] - self._ticks[at - 1]
        self._container.mux(packets)


@contextmanager
def encoding(
    path: Path,
    fmt: VideoFormat,
    *,
    muxer: str,
    codec: str,
    quality: int | None,
    name: str,
    times: FrameTimes | None = None,
    pixel_format: str | None = None,
    sound: SoundMuxer | None = None,
    properties: Properties = NO_PROPERTIES,
) -> Iterator[ContainerSink]:
    """Open `path` for encoded frames and sound, and finish it when the block ends well.

    Messages call it `name`. Frames are shown at `times`, None at the constant rate of the format.
    The encoder is given `pixel_format`, None for the nearest to the frames' own. What the file
    cannot say of the properties is in the notes.

    Raises:
        ConfigError: an encoder that does not exist, does not fit the container, or refuses the size
            or the quality.
        OutputError: writing failed.
    """
    options = check_encoder(codec, quality, pixel_format)
    _add_options(options, ffmpeg_properties.encoder_options(properties, codec))
    pix_fmt, fmt = coded_format(fmt, codec, pixel_format)
    width, height = coded_size(fmt, codec)
    padded = (width, height) != (fmt.width, fmt.height)
    notes = sound.notes if sound else ()
    if padded:
        notes = (f"padded to {width}x{height}: {codec} codes even sizes only", *notes)
    container = None
    try:
        container = av.open(
            str(path), "w", format=muxer, container_options=sound.mux_options if sound else {}
        )
        unit, ticks = _clock(fmt, times, muxer)
        if times and times.is_variable and muxer in ("mp4", "mov"):
            _add_options(options, _IN_ORDER.get(codec, {}))
        stream = add_stream(
            container, fmt, codec, pix_fmt, width, height, options, name, unit, sound, properties
        )
        sink = ContainerSink(container, stream, fmt, notes, pix_fmt, ticks, sound)
        yield sink
        sink.finish()
        _write_geometry(path, container, (width, height), fmt, properties)
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


def _write_geometry(
    path: Path,
    container: OutputContainer,
    size: tuple[int, int],
    fmt: VideoFormat,
    properties: Properties,
) -> None:
    """Say in a complete file what FFmpeg's muxers are not asked for: pixel aspect and rotation."""
    if _needs_geometry(container, fmt, properties):
        matroska.write_geometry(path, *size, fmt.sample_aspect_ratio, properties.rotation)
    elif properties.matrix:
        mp4.write_display_matrix(path, properties.matrix)


def coded_size(fmt: VideoFormat, codec: str) -> tuple[int, int]:
    """Return the frames' size, made even where chroma is subsampled and the encoder asks for it."""
    across, down = SUBSAMPLING.get(fmt.layout, (1, 1))
    if codec in _ODD_SIZES:
        across = down = 1
    return fmt.width + -fmt.width % across, fmt.height + -fmt.height % down


def _add_options(options: dict[str, str], more: Mapping[str, str]) -> None:
    """Add options for an encoder; lists of parameters, as of libx265, are joined."""
    for name, value in more.items():
        is_list = name.endswith("-params") and name in options
        options[name] = f"{options[name]}:{value}" if is_list else value


def _clock(
    fmt: VideoFormat, times: FrameTimes | None, muxer: str
) -> tuple[Fraction, list[int] | None]:
    """Return the time base of an encoder, and the ticks of each frame and of the end.

    None for the latter at a constant rate, where frames are numbered.
    """
    if times is None:
        return 1 / fmt.frame_rate, None
    ticks = times.ticks(fmt)
    if muxer in ("matroska", "webm"):
        # They count milliseconds, and not every encoder takes finer units.
        rounded = [round(tick * times.unit * 1000) for tick in ticks]
        is_rising = all(before < after for before, after in pairwise(rounded))
        if is_rising and rounded[-1] < _MOST_TICKS:
            return Fraction(1, 1000), rounded
    return times.unit, ticks


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


def check_encoder(
    codec: str, quality: int | None, pixel_format: str | None = None
) -> dict[str, str]:
    """Return the options for this encoder at this quality (its crf).

    Raises:
        ConfigError: no such encoder of video, a quality off its scale, or a pixel format that it
            does not take.
    """
    known = f"legal: {', '.join(_LARGEST_CRF)}, ffv1 and others that FFmpeg has"
    try:
        encoder = av.Codec(codec, "w")
    except ValueError:
        raise ConfigError(f"there is no encoder {codec!r}; {known}") from None
    formats = encoder_formats(codec)
    layout: Layout = "rgb" if keeps_rgb(codec) else "yuv420"
    if encoder.type != "video" or nearest_format(layout, 8, formats) is None:
        raise ConfigError(f"the encoder {codec!r} codes none of our pixel formats; {known}")
    if pixel_format is not None and pixel_format not in formats:
        raise ConfigError(
            f"pixel format is {pixel_format!r}; legal for {codec}: {', '.join(formats)}"
        )
    largest = _LARGEST_CRF.get(codec)
    if largest is None:
        if quality is not None:
            raise ConfigError(f"the encoder {codec!r} has no quality scale; leave the quality out")
        return {}
    quality = _DEFAULT_CRF if quality is None else quality
    if not 0 <= quality <= largest:
        raise ConfigError(f"quality is {quality}; legal for {codec}: 0 (best) to {largest}")
    return {**_OPTIONS.get(codec, {}), "crf": str(quality)}


def add_stream(
    container: OutputContainer,
    fmt: VideoFormat,
    codec: str,
    pix_fmt: str,
    width: int,
    height: int,
    options: dict[str, str],
    name: str,
    time_base: Fraction | None = None,
    sound: SoundMuxer | None = None,
    properties: Properties = NO_PROPERTIES,
) -> VideoStream:
    """Add a stream of video to a container, with its sound, and begin both.

    Args:
        fmt, pix_fmt, width, height: of the frames that the encoder is given.
        options: the encoder's; changed where its frames ask for it.
        name: of the container, for messages.
        time_base: seconds a tick of the frames' times; None counts frames.

    Raises:
        ConfigError: the encoder does not fit the container, or refuses the size or an option.
    """
    failure = f"{codec} cannot code {width}x{height} into {name}"
    try:
        if codec == "libx265" and fmt.n_frames < 3:
            # With fewer frames than its reordering delays, libx265 leaves their times unset.
            _add_options(options, {"x265-params": "bframes=0"})
        stream = container.add_stream(codec, rate=fmt.frame_rate, options=_silent(codec, options))
        assert isinstance(stream, VideoStream)
        configure(stream.codec_context, fmt, width, height)
        stream.codec_context.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base or 1 / fmt.frame_rate
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
    silent = dict(options)
    if codec == "libx265":
        _add_options(silent, {"x265-params": _X265_SILENT})
    return silent


def configure(context: VideoCodecContext, fmt: VideoFormat, width: int, height: int) -> None:
    """Tell an encoder of size, rate and colour of its frames."""
    color = fmt.color
    context.width = width
    context.height = height
    context.framerate = fmt.frame_rate
    context.time_base = 1 / fmt.frame_rate
    context.sample_aspect_ratio = fmt.sample_aspect_ratio
    context.colorspace = color.matrix
    context.color_primaries = color.primaries
    context.color_trc = color.transfer
    context.color_range = {None: 0, False: 1, True: 2}[color.full_range]
    context.options = {**context.options, "chroma_sample_location": str(color.chroma_location)}
