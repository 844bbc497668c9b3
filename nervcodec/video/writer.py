"""Frames -> .y4m, folders of PNG, containers or standard output, whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from nervcodec.errors import ConfigError, OutputError
from nervcodec.format.properties import NO_PROPERTIES, Properties
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.util.files import check_output, whole_file, whole_folder
from nervcodec.video import ffmpeg_encode, y4m
from nervcodec.video.color import resolve_matrix, to_layout
from nervcodec.video.ffmpeg_properties import names_of
from nervcodec.video.ffmpeg_sound_writer import SoundCut, left_out, opened_sound
from nervcodec.video.frames import Frames
from nervcodec.video.reader import STANDARD

# How .y4m says which field is first.
_INTERLACING = {"unknown": "p", "top": "t", "bottom": "b"}
OutputKind = Literal["y4m", "container", "folder", "stdout"]


class _Sink(Protocol):
    layout: Layout
    notes: tuple[str, ...]

    def write(self, frames: Frames) -> None: ...


class _Y4mSink:
    layout: Layout = "yuv420"

    def __init__(self, file: BinaryIO, fmt: VideoFormat, interlacing: str) -> None:
        self._file = file
        self.notes: tuple[str, ...] = tuple(_y4m_notes(fmt))
        file.write(y4m.header_line(fmt, interlacing))

    def write(self, frames: Frames) -> None:
        y4m.write_frames(self._file, frames)


def _y4m_notes(fmt: VideoFormat) -> Iterator[str]:
    color = fmt.color
    if fmt.layout == "yuv420" and (color.matrix, color.primaries, color.transfer) != (2, 2, 2):
        yield ".y4m cannot say matrix, primaries and transfer"
    if color.chroma_location > 3:
        yield ".y4m cannot say this chroma location (top or bottom): written as 420jpeg"


class Writer:
    """Output that takes frames of either layout; made by open_writer().

    Attributes:
        notes: what the output does differently from the frames written, for the user; complete
            when the output is.
    """

    def __init__(self, sink: _Sink, fmt: VideoFormat, notes: tuple[str, ...] = ()) -> None:
        self._sink = sink
        self._notes = notes
        self._color = fmt.color
        self._conversion = tuple(_conversion_note(sink, fmt))

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self._conversion, *self._sink.notes, *self._notes)

    def write(self, frames: Frames) -> None:
        """Append frames.

        Raises:
            OutputError, OSError: they cannot be written; open_writer turns the latter into the
                former.
        """
        self._sink.write(to_layout(frames, self._sink.layout, self._color))


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
    legal = ", ".join((".y4m", *ffmpeg_encode.MUXERS))
    raise ConfigError(
        f"no video format goes by {suffix!r}; legal: {legal}, or a name ending in / for a folder"
        " of PNG"
    )


def check_target(
    path: str | Path,
    *,
    codec: str | None = None,
    quality: int | None = None,
    overwrite: bool,
    source: str | Path | None = None,
) -> None:
    """Raise at once whatever open_writer would object to, and for an output that is the source.

    Raises:
        ConfigError, OutputExists, OutputError: as open_writer.
    """
    kind = output_kind(path)
    if kind == "container":
        ffmpeg_encode.check_encoder(codec or _default_codec(path), quality)
    elif codec is not None or quality is not None:
        lossy = ", ".join(ffmpeg_encode.MUXERS)
        raise ConfigError(f"{path} is written without loss; a codec or a quality goes with {lossy}")
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
    overwrite: bool = False,
    sound: SoundCut | None = None,
    properties: Properties | None = None,
) -> Iterator[Writer]:
    """Open an output for frames of this format; it stands only when the block ends well.

    Args:
        path: .y4m or - (exact), .mp4, .mov, .mkv, .webm (encoded) or a folder of PNG (exact RGB);
            see output_kind().
        fmt: size, rate and colour of the frames to come; RGB going into 4:2:0 is converted and
            tagged accordingly.
        codec: FFmpeg's encoder for the encoded ones; libx264 unless told, in .webm libvpx-vp9.
        quality: its crf, 0 (best) to 51 or 63; 12 unless told.
        overwrite: whether an earlier output may be replaced.
        sound: what goes beside the frames into a container.
        properties: what a container says of the picture, where it can.

    Raises:
        InvalidField: the sound is damaged.
        ConfigError: unknown suffix or encoder, a quality off the scale, a codec for an output that
            has none.
        OutputExists, OutputError: the output exists, or cannot be written.
    """
    check_target(path, codec=codec, quality=quality, overwrite=overwrite)
    kind = output_kind(path)
    properties = properties or NO_PROPERTIES
    with ExitStack() as stack:
        if kind == "folder":
            folder = stack.enter_context(whole_folder(path, overwrite=overwrite))
            lost = _lost("PNG", sound, properties)
            yield Writer(ffmpeg_encode.PngSink(folder, fmt), fmt, lost)
            return
        tagged = replace(fmt, color=tags_420(fmt))
        if kind == "stdout":
            output = stack.enter_context(_standard_output())
            yield _y4m_writer(output, tagged, fmt, sound, properties)
            return
        part = stack.enter_context(whole_file(path, overwrite=overwrite))
        if kind == "y4m":
            file = stack.enter_context(open(part, "wb"))
            yield _y4m_writer(file, tagged, fmt, sound, properties)
            return
        muxer = ffmpeg_encode.MUXERS[Path(path).suffix.lower()]
        codec = codec or _default_codec(path)
        streams = None
        if sound:
            streams = stack.enter_context(opened_sound(sound, muxer, Path(path).suffix))
        is_rgb = fmt.layout == "rgb" and ffmpeg_encode.keeps_rgb(codec)
        coded = fmt if is_rgb else replace(tagged, layout="yuv420")
        encoding = ffmpeg_encode.encoding(
            part,
            coded,
            muxer=muxer,
            codec=codec,
            quality=quality,
            name=str(path),
            sound=streams,
            properties=properties,
        )
        yield Writer(stack.enter_context(encoding), fmt)


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


def _y4m_writer(
    file: BinaryIO,
    tagged: VideoFormat,
    fmt: VideoFormat,
    sound: SoundCut | None,
    properties: Properties,
) -> Writer:
    """Return a writer of .y4m, whose colour is that of `tagged`."""
    order = properties.field_order
    lost = _lost(".y4m", sound, replace(properties, field_order="unknown"))
    return Writer(_Y4mSink(file, tagged, _INTERLACING[order]), fmt, lost)


def _lost(output: str, sound: SoundCut | None, properties: Properties) -> tuple[str, ...]:
    """Return notes on sound and properties for an output that has neither."""
    names = ", ".join(names_of(properties))
    said = (f"{output} cannot say: {names}",) if names else ()
    return (*said, *((left_out(sound.sound, output),) if sound else ()))


def _default_codec(path: str | Path) -> str:
    return "libvpx-vp9" if Path(path).suffix.lower() == ".webm" else "libx264"


def tags_420(fmt: VideoFormat) -> ColorTags:
    """Return the colour of what is written as 4:2:0: the source's, or for RGB the conversion's."""
    if fmt.layout == "yuv420":
        return fmt.color
    matrix = resolve_matrix(fmt.color, fmt.height)
    # The mean of 2x2 lies in their center: location 2.
    return replace(fmt.color, matrix=matrix.code, full_range=matrix.full_range, chroma_location=2)


def _conversion_note(sink: _Sink, fmt: VideoFormat) -> Iterator[str]:
    if sink.layout != fmt.layout:
        matrix = resolve_matrix(fmt.color, fmt.height)
        kind = f"matrix {matrix.code} of H.273, {'full' if matrix.full_range else 'limited'} range"
        yield (
            f"RGB converted to 4:2:0 ({kind})"
            if fmt.layout == "rgb"
            else f"4:2:0 converted to RGB ({kind})"
        )
