"""Picture files as FFmpeg decodes them."""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from nervcodec.errors import VideoError
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.ffmpeg_decode import VideoFrame, coded_planes, reading
from nervcodec.video.frames import Planes
from nervcodec.video.pictures import family_of
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions

_DECODERS = {"PNG": "png", "JPEG": "mjpeg", "TIFF": "tiff", "BMP": "bmp", "WebP": "webp"}
_PICTURE_MAGIC = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8", "mjpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"BM", "bmp"),
    (b"RIFF", "webp"),
)
# So much of a PNG file is searched for chunks before its samples.
_PNG_HEAD_BYTES = 1 << 16


def picture_frames(
    files: Sequence[Path], fmt: VideoFormat, options: SourceOptions = DEFAULT_OPTIONS
) -> Generator[Planes, None, None]:
    """Yield the planes of each picture file in turn; with salvage but those that are damaged."""
    for file in files:
        try:
            frame = decode_picture(file)
        except VideoError:
            if not options.salvage:
                raise
            continue
        yield coded_planes(frame, fmt.layout, fmt.bit_depth, options)


def decode_picture(file: Path) -> VideoFrame:
    """Decode one picture file.

    Raises:
        VideoError: it holds no whole picture.
    """
    with reading(file):
        data = file.read_bytes()
        name = next((name for magic, name in _PICTURE_MAGIC if data.startswith(magic)), None)
        family = family_of(file) or "PNG"
        context = av.CodecContext.create(name or _DECODERS[family], "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1  # otherwise frames come out later
        frames = [*context.decode(av.Packet(data)), *context.decode(None)] if data else []
    if len(frames) != 1:
        raise VideoError(f"cannot read {file}: it holds no {family} picture")
    return frames[0]


def pixel_aspect(file: Path) -> Fraction:
    """Return the width : height of a pixel of a PNG file (its pHYs chunk), 1 where none is said.

    The chunk has pixels a unit across and down, where the unit is the metre; without a unit the
    numbers are the aspect itself, as FFmpeg writes it.
    """
    start = file.read_bytes()[:_PNG_HEAD_BYTES]
    at = start.find(b"pHYs")
    if not start.startswith(b"\x89PNG") or at < 0 or len(start) < at + 13:
        return Fraction(1)
    across, down, unit = struct.unpack(">IIB", start[at + 4 : at + 13])
    if not across or not down:
        return Fraction(1)
    return Fraction(down, across) if unit else Fraction(across, down)
