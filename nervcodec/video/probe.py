"""What a source is: one pass over its frames, the exact count, and a note on every assumption.

Containers lie about their number of frames, so each frame is decoded once before any work begins;
that also finds the damaged frame, the one of another size and the one of too many bits while
nothing is lost yet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from nervcodec.errors import ConfigError, VideoError
from nervcodec.format.limits import Limits
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.video import ffmpeg_decode, y4m
from nervcodec.video.ffmpeg_decode import InputContainer, VideoFrame, VideoStream
from nervcodec.video.pixel_formats import PLANAR_8BIT, layout_of
from nervcodec.video.reader import png_files, source_kind

# RGB formats whose 8-bit samples are only reordered.
_SAME_RGB = (
    "rgb24",
    "bgr24",
    "gbrp",
    "rgb0",
    "bgr0",
    "0rgb",
    "0bgr",
    "rgba",
    "bgra",
    "argb",
    "abgr",
    "gbrap",
)
# How a stream's length stands in Matroska, by FFmpeg's hand.
_TIME = re.compile(r"(\d+):(\d\d):(\d\d\.\d+)")


@dataclass(frozen=True)
class SourceProperties:
    """Properties of a source after one pass over it; frame_rate is None where it states none."""

    width: int
    height: int
    n_frames: int
    layout: Layout
    color: ColorTags
    frame_rate: Fraction | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    notes: tuple[str, ...] = ()


def _probe_container(path: Path) -> SourceProperties:
    """Decode the first video stream once: its exact number of frames and all that needs a note.

    Raises:
        VideoError: unreadable, without video, over 8 bits, or a frame of another size.
    """
    with ffmpeg_decode.video_stream(path) as (container, stream):
        timing = _Timing(stream.time_base)
        properties = _probe_frames(_timed(container.decode(stream), timing), str(path), None)
        if not properties.n_frames:
            raise VideoError(f"{path}: the video stream has no frames")
        rate, stream_notes = timing.frame_rate(stream)
        stream_notes += tuple(timing.missing(stream, rate))
        if stream.frames and stream.frames != properties.n_frames:
            stream_notes += (
                f"the file promises {stream.frames} frames, {properties.n_frames} are in it",
            )
        context = stream.codec_context
        return replace(
            properties,
            color=replace(
                properties.color, primaries=context.color_primaries, transfer=context.color_trc
            ),
            frame_rate=rate,
            sample_aspect_ratio=stream.sample_aspect_ratio
            or context.sample_aspect_ratio
            or Fraction(1),
            notes=(*_other_streams(container), *properties.notes, *stream_notes),
        )


def _probe_pictures(files: Sequence[Path]) -> SourceProperties:
    """Decode every PNG of a sequence once; layout is always 'rgb'.

    Raises:
        VideoError: a damaged PNG, one of over 8 bits, or of another size.
    """
    return _probe_frames(map(ffmpeg_decode.decode_png, files), str(files[0].parent), "rgb")


class _Timing:
    """Time stamps of a stream, which tell whether it runs at a constant rate."""

    def __init__(self, time_base: Fraction | None) -> None:
        self.time_base = time_base or Fraction(1, 1000)
        self.last: int | None = None
        self.steps: tuple[int, int] | None = None

    def add(self, pts: int | None) -> None:
        if pts is not None and self.last is not None:
            step = pts - self.last
            low, high = self.steps or (step, step)
            self.steps = (min(low, step), max(high, step))
        self.last = pts if pts is not None else self.last

    def frame_rate(self, stream: VideoStream) -> tuple[Fraction | None, tuple[str, ...]]:
        """Return the stream's rate, and a note where its frames do not keep to it."""
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            return None, ()
        low, high = self.steps or (0, 0)
        # One tick either way is rounding; less than a tenth of a frame cannot be seen.
        if high - low > 1 and (high - low) * self.time_base > Fraction(1, 10) / rate:
            return rate, (
                (
                    "variable frame rate: its frames are coded at their average rate,"
                    f" {float(rate):.3f} fps"
                ),
            )
        # The average of a short or oddly trimmed file can miss the rate it was made at by a hair.
        guess = stream.guessed_rate
        return (guess if guess and abs(guess - rate) * 1000 <= rate else rate), ()

    def missing(self, stream: VideoStream, rate: Fraction | None) -> Iterator[str]:
        """Yield a note where a stream ends before its promised end.

        A Matroska file that was cut still says how long it was.
        """
        duration = _TIME.fullmatch(stream.metadata.get("DURATION", ""))
        if not duration or not rate or self.last is None:
            return
        hours, minutes, seconds = map(Fraction, duration.groups())
        promised, end = 3600 * hours + 60 * minutes + seconds, self.last * self.time_base + 1 / rate
        if promised - end > Fraction(9, 10) / rate:
            yield f"the file promises {float(promised):.2f} s, its frames end at {float(end):.2f} s"


def _timed(frames: Iterable[VideoFrame], timing: _Timing) -> Iterator[VideoFrame]:
    for frame in frames:
        timing.add(frame.pts)
        yield frame


def _other_streams(container: InputContainer) -> Iterator[str]:
    kinds = [stream.type for stream in container.streams]
    n_video = kinds.count("video")
    if n_video > 1:
        yield f"only the first of {n_video} video streams is coded"
    for kind in sorted(set(kinds) - {"video"}):
        count = kinds.count(kind)
        yield f"{count} {kind} stream{'s' if count > 1 else ''} left out"


def _probe_frames(
    frames: Iterable[VideoFrame], name: str, layout: Layout | None
) -> SourceProperties:
    """Check every frame; layout None follows the first frame's pixel format.

    Without any frame n_frames is 0.
    """
    first: VideoFrame | None = None
    notes: dict[str, None] = {}
    n_frames = n_interlaced = n_corrupt = 0
    for frame in frames:
        n_frames += 1
        label = f"{name}: frame {n_frames}"
        first = frame if first is None else first
        _check_frame(frame, first, label)
        if not layout and layout_of(frame) != layout_of(first):
            raise VideoError(f"{label} is {frame.format.name}, the first is {first.format.name}")
        notes.update(dict.fromkeys(_frame_notes(frame, layout or layout_of(first))))
        n_interlaced += frame.interlaced_frame
        n_corrupt += frame.is_corrupt
    if first is None:
        return SourceProperties(0, 0, 0, layout or "yuv420", ColorTags())
    if n_interlaced:
        notes[f"interlaced frames, coded as they are without deinterlacing: {n_interlaced}"] = None
    if n_corrupt:
        notes[f"damaged frames in the source: {n_corrupt}"] = None
    layout = layout or layout_of(first)
    return SourceProperties(
        first.width, first.height, n_frames, layout, _tags(first, layout), notes=tuple(notes)
    )


def _check_frame(frame: VideoFrame, first: VideoFrame, label: str) -> None:
    if (frame.width, frame.height) != (first.width, first.height):
        raise VideoError(
            f"{label} is {frame.width}x{frame.height}, the first is {first.width}x{first.height}"
        )
    bits = max(component.bits for component in frame.format.components)
    if bits > 8:
        raise VideoError(
            f"{label} has {bits} bits a sample ({frame.format.name}); 8-bit only in this version"
        )


def _frame_notes(frame: VideoFrame, layout: Layout) -> Iterator[str]:
    name = frame.format.name
    if any(component.is_alpha for component in frame.format.components):
        yield f"{name}: alpha dropped"
    if frame.rotation:
        yield f"the display rotation of {frame.rotation} degrees is not applied"
    if layout == "rgb":
        if name not in _SAME_RGB:
            yield f"{name} converted to RGB"
    elif name == "gray":
        yield "gray converted to 4:2:0 (chroma 128)"
    elif PLANAR_8BIT.get(name) != (1, 1) and name not in ("nv12", "nv21"):
        yield f"{name} converted to 4:2:0"


def _tags(frame: VideoFrame, layout: Layout) -> ColorTags:
    """Return matrix and range; RGB has neither, and 4:2:0 made from it is tagged where made."""
    if layout == "rgb":
        return ColorTags()
    full_range = (
        True if frame.format.name.startswith("yuvj") else {1: False, 2: True}.get(frame.color_range)
    )
    return ColorTags(matrix=frame.colorspace, full_range=full_range)


# FFmpeg keeps rates as ratios of 32-bit integers.
_LARGEST_TERM = 2**31 - 1
_RATES = "a positive ratio of 32-bit integers"
_PNG_FRAME_RATE = Fraction(25)


def probe(
    path: str | Path, *, frame_rate: Fraction | None = None
) -> tuple[VideoFormat, tuple[str, ...]]:
    """Read a source through once.

    Return its format, with an exact frame count, and a note on every conversion or assumption.

    Args:
        path: a .y4m file (told by its first bytes), a folder of PNG files, or anything FFmpeg
            reads.
        frame_rate: frames a second, instead of what the source says.

    Raises:
        VideoError: missing, unreadable, damaged, cut short, empty, over 8 bits, of changing size,
            without a rate.
        ConfigError: a frame rate that is none.
    """
    if not os.fspath(path):  # Path would take it for the folder we are in
        raise VideoError("the input has no name; name a file or a folder of PNG")
    if frame_rate is not None and not _is_rate(frame_rate):
        raise ConfigError(f"frame rate is {frame_rate}; legal: {_RATES}")
    path = Path(path)
    properties = {"y4m": _probe_y4m, "folder": _probe_folder, "container": _probe_container}[
        source_kind(path)
    ](path)
    notes = list(properties.notes)
    rate = properties.frame_rate
    if frame_rate is not None and frame_rate != rate:
        notes.append(
            f"frame rate {frame_rate} as asked" + (f", the source says {rate}" if rate else "")
        )
        rate = frame_rate
    elif rate is None and path.is_dir():
        rate = _PNG_FRAME_RATE
        notes.append(f"a folder of PNG has no frame rate: {rate} assumed")
    if rate is None:
        raise VideoError(f"{path}: it states no frame rate; 'encode --frame-rate R' gives it one")
    return _format(properties, rate, path), tuple(notes)


def _probe_y4m(path: Path) -> SourceProperties:
    header, n_frames, notes = y4m.probe(path)
    size, ratio = (header.width, header.height), header.sample_aspect_ratio
    return SourceProperties(
        *size, n_frames, "yuv420", header.color, header.frame_rate, ratio, notes
    )


def _probe_folder(path: Path) -> SourceProperties:
    files = png_files(path)
    if not files:
        raise VideoError(f"{path}: there are no .png files in this folder")
    properties = _probe_pictures(files)
    n_other = sum(not name.name.startswith(".") for name in path.iterdir()) - len(files)
    others = (f"other entries of the folder, left out: {n_other}",) if n_other else ()
    return replace(properties, notes=(*others, *properties.notes))


def _format(properties: SourceProperties, rate: Fraction, path: Path) -> VideoFormat:
    width, height = properties.width, properties.height
    if not properties.n_frames:
        raise VideoError(f"{path}: it has no frames")
    largest = Limits().side
    if max(width, height) > largest:
        raise VideoError(f"{path}: frames are {width}x{height}; up to {largest} a side are read")
    if not _is_rate(rate):
        raise VideoError(f"{path}: the frame rate is {rate}; it must be {_RATES}")
    ratio = properties.sample_aspect_ratio
    return VideoFormat(
        width, height, rate, properties.n_frames, properties.layout, properties.color, ratio
    )


def _is_rate(rate: Fraction) -> bool:
    return rate > 0 and max(rate.numerator, rate.denominator) <= _LARGEST_TERM
