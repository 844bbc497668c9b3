"""Frames -> .y4m, folders of PNG, containers or standard output, whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from nervcodec.errors import ConfigError, OutputError
from nervcodec.format.properties import NO_PROPERTIES, Properties
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.util.files import check_output, whole_file, whole_folder
from nervcodec.video import (
    ffmpeg_animation,
    ffmpeg_encode,
    ffmpeg_frames,
    ffmpeg_png,
    y4m,
    y4m_header,
)
from nervcodec.video.color import resolve_matrix, to_bit_depth, to_layout
from nervcodec.video.ffmpeg_properties import names_of
from nervcodec.video.ffmpeg_sound_writer import SoundCut, left_out, opened_sound
from nervcodec.video.frames import Frames
from nervcodec.video.pixel_formats import SHOWN
from nervcodec.video.reader import STANDARD

# How .y4m says which field is first.
_INTERLACING = {"unknown": "p", "top": "t", "bottom": "b"}
OutputKind = Literal["y4m", "container", "folder", "stdout", "picture", "animation"]


class _Sink(Protocol):
    layout: Layout
    bit_depth: int
    notes: tuple[str, ...]

    def write(self, frames: Frames) -> None: ...


class _Y4mSink:
    def __init__(self, file: BinaryIO, fmt: VideoFormat, interlacing: str) -> None:
        self.layout = fmt.layout
        self.bit_depth = fmt.bit_depth
        self._file = file
        self.notes: tuple[str, ...] = tuple(_y4m_notes(fmt))
        file.write(y4m_header.header_line(fmt, interlacing))

    def write(self, frames: Frames) -> None:
        y4m.write_frames(self._file, frames)


def _y4m_notes(fmt: VideoFormat) -> Iterator[str]:
    color = fmt.color
    if (color.matrix, color.primaries, color.transfer) != (2, 2, 2):
        yield ".y4m cannot say matrix, primaries and transfer"
    if not y4m_header.says_location(fmt):
        yield ".y4m cannot say this chroma location"


def _lost_times(name: str, fmt: VideoFormat, times: FrameTimes | None) -> Iterator[str]:
    """Yield a note on the frame times that an output without them loses."""
    if times is not None and times.is_variable:
        yield f"{name} has no frame times: written at the average rate, {fmt.frame_rate} fps"
    if times is not None and times.start:
        yield f"{name} cannot say that the video begins at {float(times.start_s):.3f} s"


class Writer:
    """Output that takes frames of any layout and bit depth; made by open_writer().

    Attributes:
        notes: what the output does differently from the frames written, for the user; complete
            when the output is.
    """

    def __init__(self, sink: _Sink, fmt: VideoFormat, notes: Iterable[str] = ()) -> None:
        self._sink = sink
        self._color = fmt.color
        self._conversion = (*_conversion_note(sink, fmt), *notes)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._conversion, *self._sink.notes)

    def write(self, frames: Frames) -> None:
        """Append frames.

        Raises:
            OutputError, OSError: they cannot be written; open_writer turns the latter into the
                former.
        """
        frames = to_layout(frames, self._sink.layout, self._color)
        is_full = bool(self._color.full_range)
        self._sink.write(to_bit_depth(frames, self._sink.bit_depth, is_full))


def output_kind(path: str | Path) -> OutputKind:
    """Return what an output is by its name.

    A name that ends in a slash or has no suffix is a folder of PNG, and so is a folder that exists;
    - is .y4m on standard output.

    Raises:
        ConfigError: any other suffix.
    """
    if str(path) == STANDARD:
        return "stdout"
    suffix = Path(path).suffix.lower()
    if not suffix or str(path).endswith("/") or os.path.isdir(path):
        return "folder"
    if suffix == ".y4m":
        return "y4m"
    if suffix in ffmpeg_encode.MUXERS:
        return "container"
    if suffix in ffmpeg_animation.ANIMATIONS:
        return "animation"
    if suffix == ".png":
        return "picture"
    legal = ", ".join((".y4m", *ffmpeg_encode.MUXERS, *ffmpeg_animation.ANIMATIONS, ".png"))
    raise ConfigError(
        f"no video format goes by {suffix!r}; legal: {legal}, or a name ending in / for a folder"
        " of PNG"
    )


def check_target(
    path: str | Path,
    fmt: VideoFormat,
    *,
    codec: str | None = None,
    quality: int | None = None,
    pixel_format: str | None = None,
    overwrite: bool,
    source: str | Path | None = None,
) -> None:
    """Raise at once whatever open_writer would object to, and for an output that is the source.

    Raises:
        ConfigError, OutputExists, OutputError: as open_writer.
    """
    kind = output_kind(path)
    if kind == "container":
        ffmpeg_encode.check_encoder(codec or default_codec(path, 8), quality, pixel_format)
    elif any(option is not None for option in (codec, quality, pixel_format)):
        lossy = ", ".join(ffmpeg_encode.MUXERS)
        how = "in one way alone" if kind == "animation" else "without loss"
        raise ConfigError(
            f"{path} is written {how}; a codec, a quality or a pixel format goes with {lossy}"
        )
    if kind == "animation":
        ffmpeg_animation.check_animation(Path(path).suffix.lower(), fmt.frame_rate)
    if kind == "picture" and fmt.n_frames != 1:
        raise ConfigError(
            f"{path} is one picture, and there are {fmt.n_frames} frames; --frame N chooses one,"
            " a name ending in / takes all"
        )
    if kind == "stdout":
        if sys.stdout.isatty():
            raise ConfigError("standard output is a terminal; legal for video: a pipe or a file")
        return
    check_output(path, overwrite=overwrite, source=source, folder=kind == "folder")


@contextmanager
def open_writer(
    path: str | Path,
    fmt: VideoFormat,
    *,
    codec: str | None = None,
    quality: int | None = None,
    pixel_format: str | None = None,
    overwrite: bool = False,
    times: FrameTimes | None = None,
    sound: SoundCut | None = None,
    properties: Properties | None = None,
) -> Iterator[Writer]:
    """Open an output for frames of this format; it stands only when the block ends well.

    Args:
        path: .y4m or - (exact), .mp4, .mov, .mkv, .webm (encoded), a folder of PNG or one frame's
            .png (exact RGB and gray), .gif or .webp (for a quick look); see output_kind().
        fmt: size, samples, rate and colour of the frames to come; RGB going into 4:2:0 is converted
            and tagged accordingly.
        codec: FFmpeg's encoder for the encoded ones; see default_codec().
        quality: its crf, 0 (best) to 51 or 63; 12 unless told.
        pixel_format: what it codes, by FFmpeg's name; that of the frames unless told.
        overwrite: whether an earlier output may be replaced.
        times: when each frame is shown, where that is more than the rate says; the encoded ones
            keep it.
        sound: what goes beside the frames into a container.
        properties: what a container says of the picture, where it can.

    Raises:
        InvalidField: the sound is damaged.
        ConfigError: unknown suffix or encoder, a quality off the scale, a codec for an output that
            has none.
        OutputExists, OutputError: the output exists, or cannot be written.
    """
    check_target(
        path, fmt, codec=codec, quality=quality, pixel_format=pixel_format, overwrite=overwrite
    )
    extras = _Extras(times, sound, properties or NO_PROPERTIES)
    with ExitStack() as stack:
        kind = output_kind(path)
        if kind == "folder":
            folder = stack.enter_context(whole_folder(path, overwrite=overwrite))
            yield Writer(ffmpeg_png.PngSink(folder, fmt), fmt, extras.lost("PNG", fmt))
        elif kind == "stdout":
            output = stack.enter_context(_standard_output())
            yield _y4m_writer(output, fmt, extras)
        else:
            part = stack.enter_context(whole_file(path, overwrite=overwrite))
            coding = _Coding(codec or default_codec(path, fmt.bit_depth), quality, pixel_format)
            yield _file_writer(stack, part, Path(path), fmt, coding, extras)


def _file_writer(
    stack: ExitStack,
    part: Path,
    path: Path,
    fmt: VideoFormat,
    coding: _Coding,
    extras: _Extras,
) -> Writer:
    """Return a writer of a file that is made as `part` and stands as `path` in the end."""
    kind, suffix = output_kind(path), path.suffix.lower()
    if kind == "y4m":
        return _y4m_writer(stack.enter_context(open(part, "wb")), fmt, extras)
    if kind == "picture":
        return Writer(ffmpeg_png.PictureSink(part, fmt), fmt)
    if kind == "animation":
        animation = ffmpeg_animation.animating(part, fmt, suffix, str(path))
        return Writer(stack.enter_context(animation), fmt, extras.lost(suffix, fmt))
    muxer = ffmpeg_encode.MUXERS[suffix]
    streams = None
    if extras.sound:
        streams = stack.enter_context(opened_sound(extras.sound, muxer, suffix))
    encoding = ffmpeg_encode.encoding(
        part,
        fmt if coding.keeps_rgb else _without_rgb(fmt),
        muxer=muxer,
        codec=coding.codec,
        quality=coding.quality,
        name=str(path),
        times=extras.times,
        pixel_format=coding.pixel_format,
        sound=streams,
        properties=extras.properties,
    )
    return Writer(stack.enter_context(encoding), fmt)


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Yield standard output for bytes."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still in the buffer would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"cannot write to standard output: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Coding:
    """How a container's frames are coded; see open_writer."""

    codec: str
    quality: int | None
    pixel_format: str | None

    @property
    def keeps_rgb(self) -> bool:
        """Whether the encoder is given R, G and B."""
        if self.pixel_format is not None:
            return ffmpeg_frames.is_rgb_format(self.pixel_format)
        return ffmpeg_frames.keeps_rgb(self.codec)


@dataclass(frozen=True)
class _Extras:
    """What goes into a file besides frames, where it can hold that."""

    times: FrameTimes | None
    sound: SoundCut | None
    properties: Properties

    def lost(self, output: str, fmt: VideoFormat) -> tuple[str, ...]:
        """Return notes for an output that holds nothing but frames."""
        names = ", ".join(names_of(self.properties))
        said = (f"{output} cannot say: {names}",) if names else ()
        silent = (left_out(self.sound.sound, output),) if self.sound else ()
        return (*_lost_times(output, fmt, self.times), *said, *silent)


def _y4m_writer(file: BinaryIO, fmt: VideoFormat, extras: _Extras) -> Writer:
    """Return a writer of .y4m."""
    order = extras.properties.field_order
    said = replace(extras, properties=replace(extras.properties, field_order="unknown"))
    sink = _Y4mSink(file, _without_rgb(fmt), _INTERLACING[order])
    return Writer(sink, fmt, said.lost(".y4m", fmt))


def _without_rgb(fmt: VideoFormat) -> VideoFormat:
    """Return the format, of RGB that of its 4:2:0."""
    return replace(fmt, layout="yuv420", color=tags_420(fmt)) if fmt.layout == "rgb" else fmt


def default_codec(path: str | Path, bit_depth: int) -> str:
    """Return the encoder of a container by its suffix: one that has as many bits a sample.

    libx264 has up to 10, libx265 12; in .webm libvpx-vp9 has 8 and libsvtav1 10.
    """
    if Path(path).suffix.lower() == ".webm":
        return "libvpx-vp9" if bit_depth == 8 else "libsvtav1"
    return "libx265" if bit_depth > 10 else "libx264"


def tags_420(fmt: VideoFormat) -> ColorTags:
    """Return the colour of what is written as 4:2:0: the source's, or for RGB the conversion's."""
    if fmt.layout != "rgb":
        return fmt.color
    matrix = resolve_matrix(fmt.color, fmt.height)
    # The mean of 2x2 lies in their center: location 2.
    return replace(fmt.color, matrix=matrix.code, full_range=matrix.full_range, chroma_location=2)


def _conversion_note(sink: _Sink, fmt: VideoFormat) -> Iterator[str]:
    if sink.layout != fmt.layout:
        matrix = resolve_matrix(fmt.color, fmt.height)
        kind = ""
        if "rgb" in (sink.layout, fmt.layout):
            word = "full" if matrix.full_range else "limited"
            kind = f" (matrix {matrix.code} of H.273, {word} range)"
        yield f"{SHOWN[fmt.layout]} converted to {SHOWN[sink.layout]}{kind}"
    if sink.bit_depth != fmt.bit_depth:
        yield f"{fmt.bit_depth} bits a sample converted to {sink.bit_depth}"
