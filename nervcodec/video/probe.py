"""What a source is: one pass over its frames, the exact count, and a note on every assumption.

Containers lie about their number of frames, so each frame is decoded once before any work begins;
that also finds the damaged frame, the one of another size and the one of a format that is not
coded while nothing is lost yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

from nervcodec.errors import VideoError
from nervcodec.format.limits import Limits
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.video import ffmpeg_decode, ffmpeg_pictures, y4m, y4m_header
from nervcodec.video.damage import DamageLog, ranges
from nervcodec.video.ffmpeg_decode import OpenVideo, VideoFrame
from nervcodec.video.ffmpeg_times import timeline_start
from nervcodec.video.first_pass import FirstPass
from nervcodec.video.frames import Planes
from nervcodec.video.geometry import aspect_notes, cropped_format, scaled_format
from nervcodec.video.inspection import Inspection, SourceProperties
from nervcodec.video.pictures import family_of, picture_files, sequence_notes
from nervcodec.video.rates import (
    ASSUMED_RATE,
    LEGAL_RATES,
    StatedRates,
    frame_times,
    is_rate,
    is_variable,
    rate_of_times,
)
from nervcodec.video.rotation import turned_location
from nervcodec.video.selection import time_notes
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions, shown, source_kind

# Pictures whose samples are of full range wherever they do not say otherwise.
_FULL_RANGE = ("PNG", "TIFF", "BMP")
_SUBSAMPLED = ("yuv420", "yuv422")


@dataclass(frozen=True)
class ProbedSource:
    """A source after one pass over it.

    Attributes:
        format: with the exact number of frames; the rate of frames with times is the average.
        times: when each frame is shown, None where a constant rate tells.
        notes: on every conversion or assumption but the times.
    """

    format: VideoFormat
    times: FrameTimes | None
    notes: tuple[str, ...]


def probe(
    path: str | Path,
    options: SourceOptions = DEFAULT_OPTIONS,
    *,
    frame_rate: Fraction | None = None,
    n_frames: int | None = None,
) -> tuple[VideoFormat, tuple[str, ...]]:
    """Return the format of a source and a note on every conversion or assumption.

    The arguments and errors are those of probe_source.
    """
    source = probe_source(path, options, frame_rate=frame_rate, n_frames=n_frames)
    return source.format, (*source.notes, *time_notes(source.format, source.times))


def probe_source(
    path: str | Path,
    options: SourceOptions = DEFAULT_OPTIONS,
    *,
    frame_rate: Fraction | None = None,
    n_frames: int | None = None,
    first_pass: FirstPass | None = None,
) -> ProbedSource:
    """Read a source through once.

    Args:
        path: a .y4m file (told by its first bytes), a folder of pictures, a pattern such as
            frame_%04d.png, or anything FFmpeg reads.
        options: how it is read.
        frame_rate: the same as in the options.
        n_frames: read no further than so many frames; what is damaged behind them does not matter.
        first_pass: sees every frame.

    Raises:
        VideoError: missing, unreadable, damaged, cut short, empty, of changing size, of a pixel
            format that is not coded, interlaced, without a rate.
        ConfigError: a frame rate, a video stream, a crop or a scale that is none.
    """
    if not os.fspath(path):  # Path would take it for the folder we are in
        raise VideoError("the input has no name; name a file or a folder of pictures")
    if frame_rate is not None:
        options = replace(options, frame_rate=frame_rate)
    path = Path(path)
    kind = source_kind(path)
    probe_kind = {"y4m": _probe_y4m, "pictures": _probe_pictures, "container": _probe_container}
    properties = probe_kind[kind](path, options, n_frames, first_pass)
    if options.strict and properties.damage:
        raise VideoError(f"{shown(path)}: {properties.damage[0]} (refused as --strict asks)")
    rate, rate_notes = _frame_rate(properties, options, path)
    form, shape_notes = _shaped(_format(properties, rate, path), options)
    notes = (*properties.notes, *properties.damage, *rate_notes, *shape_notes)
    times = properties.times if options.frame_rate is None else None
    return ProbedSource(form, times, notes)


def _shaped(form: VideoFormat, options: SourceOptions) -> tuple[VideoFormat, tuple[str, ...]]:
    """Return the format of the part that is coded, at its size, and a note on new pixel shapes.

    Raises:
        ConfigError: a part that is none of these frames, or a size that cannot be made of it.
    """
    part = cropped_format(form, options.crop)
    if options.scale is None:
        return part, ()
    from nervcodec.video.ffmpeg_scale import Scaler

    Scaler(part, options.scale)
    scaled = scaled_format(part, options.scale)
    return scaled, aspect_notes(part, scaled)


def _probe_y4m(
    path: Path, options: SourceOptions, n_wanted: int | None, first_pass: FirstPass | None
) -> SourceProperties:
    def watch(header: y4m_header.Header, planes: Callable[[], Planes], room: int) -> None:
        if first_pass is None or max(header.width, header.height) > Limits().side:
            return  # what is refused in the end need not be read
        first_pass.n_expected = min(room, n_wanted or room)
        location = header.color.chroma_location
        first_pass.add(planes, header.layout, header.bit_depth, location)

    on_frame = watch if first_pass else None
    header, n_frames, notes = y4m.probe(path, options, n_wanted, on_frame)
    return SourceProperties(
        header.width,
        header.height,
        n_frames,
        header.layout,
        header.color,
        header.frame_rate,
        header.sample_aspect_ratio,
        header.bit_depth,
        notes,
    )


def _probe_pictures(
    path: Path, options: SourceOptions, n_wanted: int | None, first_pass: FirstPass | None
) -> SourceProperties:
    """Decode every picture of a sequence once.

    Raises:
        VideoError: a damaged picture, one of another size, or of a format that is not coded.
    """
    files = picture_files(path)
    family = family_of(files[0])
    name = str(path if path.is_dir() else path.parent)
    inspection = Inspection(name, True, options)
    damage: list[str] = []
    watch = _watcher(first_pass, inspection, options, len(files[:n_wanted]))
    for file in files[:n_wanted]:
        try:
            frame = ffmpeg_pictures.decode_picture(file)
        except VideoError as error:
            if not options.salvage:
                raise
            damage.append(f"left out: {error}")
            continue
        inspection.add(frame)
        watch(frame)
    if not inspection.n_frames:
        raise VideoError(f"{path}: none of its {len(files)} pictures can be decoded")
    properties = inspection.result()
    if family in _FULL_RANGE and properties.layout == "gray":
        properties = replace(properties, color=ColorTags(full_range=True))
    notes = (*sequence_notes(path, files), *properties.notes)
    ratio = ffmpeg_pictures.pixel_aspect(files[0])
    return replace(
        properties,
        sample_aspect_ratio=1 / ratio if inspection.turns % 2 else ratio,
        notes=notes,
        damage=tuple(damage),
    )


def _watcher(
    first_pass: FirstPass | None,
    inspection: Inspection,
    options: SourceOptions,
    n_expected: int | None,
    location: int = 0,
) -> Callable[[VideoFrame], None]:
    """Return what shows the frames that were inspected to the first pass."""
    if first_pass is None:
        return lambda _: None
    first_pass.n_expected = n_expected
    add = first_pass.add

    def watch(frame: VideoFrame) -> None:
        layout, bit_depth = inspection.layout, inspection.bit_depth
        at = turned_location(location, inspection.turns) if layout in _SUBSAMPLED else 0
        planes = partial(ffmpeg_decode.coded_planes, frame, layout, bit_depth, options)
        add(planes, layout, bit_depth, at)

    return watch


def _probe_container(
    path: Path, options: SourceOptions, n_wanted: int | None, first_pass: FirstPass | None
) -> SourceProperties:
    """Decode a video stream once: its exact number of frames and all that needs a note.

    Raises:
        VideoError: unreadable, without video, or a frame of another size or format.
    """
    with ffmpeg_decode.open_video(path, options.video_stream) as video:
        log = DamageLog()
        inspection = Inspection(shown(path), False, options)
        frames = ffmpeg_decode.decoded_frames(video, path, salvage=options.salvage, log=log)
        last_duration = 0
        counts = [n for n in (n_wanted, ffmpeg_decode.expected_frames(video)) if n is not None]
        is_scaled = first_pass is not None and options.scale is not None
        location = ffmpeg_decode.chroma_location(video) if is_scaled else 0
        watch = _watcher(first_pass, inspection, options, min(counts, default=None), location)
        for frame in islice(frames, n_wanted):
            inspection.add(frame)
            watch(frame)
            last_duration = frame.duration or 0
        _check_decoded(log, inspection.n_frames, path, options)
        properties = inspection.result()
        context = video.stream.codec_context
        is_subsampled = properties.layout in _SUBSAMPLED
        location = ffmpeg_decode.chroma_location(video) if is_subsampled else 0
        color = replace(
            properties.color,
            primaries=context.color_primaries,
            transfer=context.color_trc,
            chroma_location=turned_location(location, inspection.turns),
        )
        rate, rate_notes = _stream_rate(video, log)
        times = _stream_times(video, log, last_duration)
        if times is None or not times.is_variable:
            rate_notes += _average_notes(video, log, rate, options)
        ratio = video.stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
        is_whole = n_wanted is None
        return replace(
            properties,
            color=color,
            frame_rate=rate,
            sample_aspect_ratio=1 / ratio if inspection.turns % 2 else ratio,
            notes=(*video.notes, *properties.notes, *rate_notes),
            damage=(
                *_damage_notes(log),
                *(_missing_notes(video, log, rate) if is_whole else ()),
            ),
            times=times,
        )


def _check_decoded(log: DamageLog, n_frames: int, path: Path, options: SourceOptions) -> None:
    """Raise for packets that cannot be decoded, unless the frames left are to be salvaged."""
    if not n_frames:
        if log.reason:
            raise VideoError(f"cannot read {shown(path)}: {log.reason}{ffmpeg_decode.HINT}")
        raise VideoError(f"{shown(path)}: the video stream has no frames")
    if log.broken and not options.salvage:
        raise VideoError(
            f"{shown(path)}: {ranges(log.broken_numbers())} cannot be decoded ({log.reason});"
            " --salvage-input codes those that can"
        )


def _stream_rate(video: OpenVideo, log: DamageLog) -> tuple[Fraction | None, tuple[str, ...]]:
    """Return the rate of a stream and notes on it.

    Frame times count first, then what the container or the stream states, then an assumption.
    """
    stream = video.stream
    if video.is_timeless:
        stated = stream.codec_context.framerate
        if stated:
            return stated, ()
        return ASSUMED_RATE, (
            f"there are neither frame times nor a frame rate in it: {ASSUMED_RATE} fps assumed",
        )
    times = log.frames.known_times
    rates = StatedRates(stream.average_rate, stream.guessed_rate)
    return rate_of_times(times, _time_base(video), rates)


def _time_base(video: OpenVideo) -> Fraction:
    return video.stream.time_base or Fraction(1, 1000)


def _stream_times(video: OpenVideo, log: DamageLog, last_duration: int) -> FrameTimes | None:
    """Return when each frame is shown, None where a constant rate tells or nothing does."""
    if video.is_timeless:
        return None
    start_s = timeline_start(video.container)
    times = log.frames.known_times
    if len(times) < len(log.frames):
        return None
    chosen = frame_times(times, _time_base(video), start_s, last_duration)
    # A Matroska file has no duration of a frame but that of a rate, which browsers state as 1000.
    shortest = min((step for step, _ in chosen.steps), default=0) if chosen else 0
    if chosen and "matroska" in video.container.format.name and 2 * last_duration < shortest:
        return replace(chosen, last_duration=0)
    return chosen


def _average_notes(
    video: OpenVideo, log: DamageLog, rate: Fraction | None, options: SourceOptions
) -> tuple[str, ...]:
    """Return a note where the rate varies and the frame times cannot be kept."""
    times = log.frames.known_times
    is_constant = not rate or not is_variable(times)
    if video.is_timeless or is_constant or options.frame_rate is not None:
        return ()
    average = f"its frames are coded at their average rate, {float(rate or 0):.3f} fps"
    return (f"variable frame rate, but times are missing or do not rise: {average}",)


def _damage_notes(log: DamageLog) -> Iterator[str]:
    if log.broken:
        yield f"frames that cannot be decoded, left out: {ranges(log.broken_numbers())}"
    if concealed := log.concealed_numbers():
        yield f"damaged data, concealed by the decoder: {ranges(concealed)} may be wrong"
    if log.is_cut:
        yield "the last frame is cut short and left out"


def _missing_notes(video: OpenVideo, log: DamageLog, rate: Fraction | None) -> Iterator[str]:
    """Yield notes where a stream has fewer frames, or ends earlier, than the file promises."""
    stream = video.stream
    if stream.frames and stream.frames != len(log.frames):
        yield f"the file promises {stream.frames} frames, {len(log.frames)} are in it"
    promised = ffmpeg_decode.stream_duration(stream)
    times = log.frames.known_times
    if promised is None or not rate or not times:
        return
    # A Matroska file that was cut still says how long it was.
    end = times[-1] * _time_base(video) + 1 / rate
    if promised - end > Fraction(9, 10) / rate:
        yield f"the file promises {float(promised):.2f} s, its frames end at {float(end):.2f} s"


def _frame_rate(
    properties: SourceProperties, options: SourceOptions, path: Path
) -> tuple[Fraction, tuple[str, ...]]:
    """Return the rate to code at, and a note where it is not that of the source."""
    stated = properties.frame_rate
    wanted = options.frame_rate
    if wanted is not None and wanted != stated:
        source = f", the source says {stated}" if stated else ""
        return wanted, (f"frame rate {wanted} as asked{source}",)
    if stated is not None:
        return stated, ()
    if source_kind(path) != "pictures":
        raise VideoError(
            f"{shown(path)}: it states no frame rate; 'encode --frame-rate R' gives it one"
        )
    kind = "folder" if path.is_dir() else "sequence"
    family = family_of(picture_files(path)[0])
    return ASSUMED_RATE, (f"a {kind} of {family} has no frame rate: {ASSUMED_RATE} assumed",)


def _format(properties: SourceProperties, rate: Fraction, path: Path) -> VideoFormat:
    width = properties.width
    height = properties.height
    name = shown(path)
    if not properties.n_frames:
        raise VideoError(f"{name}: it has no frames")
    largest = Limits().side
    if max(width, height) > largest:
        raise VideoError(f"{name}: frames are {width}x{height}; up to {largest} a side are read")
    if not is_rate(rate):
        raise VideoError(f"{name}: the frame rate is {rate}; it must be {LEGAL_RATES}")
    return VideoFormat(
        width,
        height,
        rate,
        properties.n_frames,
        properties.layout,
        properties.color,
        properties.sample_aspect_ratio,
        properties.bit_depth,
    )
