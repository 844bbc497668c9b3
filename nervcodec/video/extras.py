"""What a source has besides its frames: sound, and what it says of its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from nervcodec.errors import VideoError
from nervcodec.format.extras import Extras
from nervcodec.format.properties import FieldOrder, Properties
from nervcodec.video import ffmpeg_decode, ffmpeg_pictures, ffmpeg_properties, y4m_header
from nervcodec.video.ffmpeg_decode import VideoFrame
from nervcodec.video.ffmpeg_sound import read_sound
from nervcodec.video.pictures import picture_files
from nervcodec.video.rotation import applied_turns
from nervcodec.video.source import SourceOptions, shown, source_kind

_Y4M_ORDERS: Mapping[str, FieldOrder] = {"t": "top", "b": "bottom"}
_MAX_LINE = 1 << 16


def read_extras(
    path: Path,
    options: SourceOptions,
    *,
    audio: bool = True,
    first: Fraction = Fraction(0),
    stop: Fraction | None = None,
) -> tuple[Extras, tuple[str, ...]]:
    """Return what a source has besides its frames, and notes on what of it is left out.

    Args:
        path: a source that probe() takes.
        options: how it is read.
        audio: whether sound and text subtitles are wanted.
        first: seconds after the source's first frame at which the frames that are coded begin.
        stop: those at which they end, None for the end of the sound.

    Raises:
        VideoError: it cannot be read.
    """
    kind = source_kind(path)
    if kind == "y4m":
        return _extras(Properties(field_order=_y4m_order(path))), ()
    if kind == "pictures":
        frame = _first_picture(path, options)
        return _extras(_as_coded(ffmpeg_properties.of_frame(frame), frame, options)), ()
    with ffmpeg_decode.open_video(path, options.video_stream) as video:
        frame = next(ffmpeg_decode.decoded_frames(video, path, salvage=True))
        properties, notes = ffmpeg_properties.of_video(video, frame)
        start = (frame.pts or 0) * (video.stream.time_base or Fraction(1))
        rate = video.stream.average_rate
    extras = _extras(_as_coded(properties, frame, options))
    if not audio:
        return extras, notes
    length = None if stop is None else stop - first
    sound, sound_notes = read_sound(path, start + first, length, is_part=first > 0)
    if sound and options.frame_rate not in (None, rate):
        sound_notes += (f"frame rate {options.frame_rate} as asked: sound keeps its own speed",)
    return replace(extras, sound=sound), (*notes, *sound_notes)


def _extras(properties: Properties) -> Extras:
    return Extras(properties=None if properties == Properties() else properties)


def _first_picture(path: Path, options: SourceOptions) -> VideoFrame:
    """Return the first picture of a sequence, with salvage the first that can be decoded.

    Raises:
        VideoError: there is none.
    """
    files = picture_files(path)
    for file in files:
        try:
            return ffmpeg_pictures.decode_picture(file)
        except VideoError:
            if not options.salvage:
                raise
    raise VideoError(f"{path}: none of its {len(files)} pictures can be decoded")


def _y4m_order(path: Path) -> FieldOrder:
    with open(path, "rb") as file:
        header = y4m_header.parse_header(file.readline(_MAX_LINE), shown(path))
    return _Y4M_ORDERS.get(header.interlacing, "unknown")


def _as_coded(properties: Properties, frame: VideoFrame, options: SourceOptions) -> Properties:
    """Return the properties of frames as they are coded: turned ones need no matrix any more."""
    is_turned = applied_turns(frame.rotation, autorotate=options.autorotate)
    return replace(properties, matrix=None) if is_turned else properties
