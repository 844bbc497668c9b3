"""YUV4MPEG2 files, read and written here so that planes, frame count and tags are exact.

The format is that of mjpegtools' yuv4mpeg(5): one header line, then for every frame a FRAME line
and the planes. FFmpeg's reader drops a last frame that is cut short, turns the rate F0:0 into 25
and loses the chroma location.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nervcodec.errors import VideoError
from nervcodec.format.video_format import plane_sizes
from nervcodec.video.frames import Frames, Plane, Planes
from nervcodec.video.pixel_formats import PixelFormat, background_samples, lay_over
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions, shown
from nervcodec.video.y4m_header import Header, interlacing_note, parse_header

# Longest header or FRAME line we read; FFmpeg writes at most 128 bytes.
_LINE_BYTES = 4096


def probe(
    path: Path,
    options: SourceOptions = DEFAULT_OPTIONS,
    n_wanted: int | None = None,
    on_frame: Callable[[Header, Callable[[], Planes], int], None] | None = None,
) -> tuple[Header, int, tuple[str, ...]]:
    """Read the header, walk over every frame, and check that the file ends where the last one does.

    Args:
        path: the file.
        options: whether interlaced frames are taken and what is cut short is left out.
        n_wanted: walk no further than this many frames.
        on_frame: called with the header, with what reads the planes of the frame, as read_frames
            yields them, and with the number of frames of its size that the file has room for.

    Returns:
        The header, the number of frames (0 where there are none), and notes on conversions and on
        what is left out.

    Raises:
        VideoError: as parse_header; interlaced frames; a damaged FRAME line or a frame cut short,
            with the number of the frame (from 1).
    """
    notes: list[str] = []
    with _opened(path) as file:
        header = _read_header(file, path)
        notes += interlacing_note(header, shown(path), options)
        notes += [header.chroma_kind.note] if header.chroma_kind.note else []
        room = (os.fstat(file.fileno()).st_size - header.n_bytes) // (header.frame_bytes + 6)
        n_frames = 0
        is_transparent = False
        for number in islice(_walk(file, header, path, options, notes), n_wanted):
            read = partial(_read_planes, file, header, path, number)
            if header.chroma_kind.has_alpha:
                stored = read()
                is_transparent |= bool(stored[3].min() < 255)
                read = partial(tuple, stored)
            if on_frame:
                on_frame(header, partial(_laid, read, header, options), room)
            n_frames = number
    return header, n_frames, (*notes, *([transparency_note(options)] if is_transparent else []))


def _walk(
    file: BinaryIO, header: Header, path: Path, options: SourceOptions, notes: list[str]
) -> Iterator[int]:
    """Yield the number of each frame, from 1, with the file where its samples begin.

    Salvaged, they end before the first one that is damaged, which the notes get.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        number = 1
        while _read_marker(file, path, number):
            end = file.tell() + header.frame_bytes
            if end > size:  # before a seek that may be further than can be
                raise _cut_short(path, number)
            yield number
            file.seek(end)
            number += 1
    except VideoError as error:
        if not options.salvage:
            raise
        notes.append(f"left out: {error}")


def transparency_note(options: SourceOptions) -> str:
    """Return the note on transparent pixels."""
    r, g, b = options.background
    under = f"#{r:02x}{g:02x}{b:02x}" if r or g or b else "black"
    return f"transparent pixels are laid over {under}; --background takes another colour"


def read_frames(
    path: Path, options: SourceOptions = DEFAULT_OPTIONS
) -> Generator[Planes, None, None]:
    """Yield the planes of every frame in the layout and bit depth of its header.

    Raises:
        VideoError: as probe.
    """
    with _opened(path) as file:
        header = _read_header(file, path)
        t = 0
        while _read_marker(file, path, t + 1):
            yield _laid(partial(_read_planes, file, header, path, t + 1), header, options)
            t += 1


def _laid(read: Callable[[], Planes], header: Header, options: SourceOptions) -> Planes:
    """Return the stored planes that are read, laid over the background where there is alpha."""
    planes = read()
    if not header.chroma_kind.has_alpha:
        return planes
    known = PixelFormat(header.layout, header.bit_depth, header.bit_depth)
    under = background_samples(options.background, header.color, header.height, known)
    return lay_over(planes[:3], planes[3], under, known)


def write_frames(file: BinaryIO, frames: Frames) -> None:
    """Append frames to a file that has its header line; 16-bit samples are little-endian."""
    assert frames.layout != "rgb"
    for t in range(frames.n_frames):
        file.write(b"FRAME\n")
        for plane in frames.planes:
            file.write(plane[t].astype(plane.dtype.newbyteorder("<"), copy=False).tobytes())


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    # The consumer of read_frames runs outside this block, so an OSError here is one of reading.
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise VideoError(f"cannot read {shown(path)}: {error.strerror or error}") from error


def _read_header(file: BinaryIO, path: Path) -> Header:
    return parse_header(file.readline(_LINE_BYTES), shown(path))


def _read_marker(file: BinaryIO, path: Path, number: int) -> bool:
    """Read one FRAME line, parameters allowed; False at the end of the file."""
    line = file.readline(_LINE_BYTES)
    if line and not (line.endswith(b"\n") and line.split(b" ")[0].rstrip(b"\n") == b"FRAME"):
        cut = b"FRAME\n".startswith(line)
        reason = (
            "is cut short; the file is incomplete" if cut else "does not begin with a FRAME line"
        )
        raise VideoError(f"{shown(path)}: frame {number} {reason}")
    return bool(line)


def _read_planes(file: BinaryIO, header: Header, path: Path, number: int) -> Planes:
    """Read the planes of a frame, of 4:1:1 with their columns repeated, and alpha as it is.

    Raises:
        VideoError: the file ends within the frame, or a sample exceeds its bit depth.
    """
    data = file.read(header.frame_bytes)
    if len(data) < header.frame_bytes:
        raise _cut_short(path, number)
    samples: Plane = np.frombuffer(data, np.uint8 if header.sample_bytes == 1 else "<u2")
    peak = (1 << header.bit_depth) - 1
    if header.bit_depth > 8 and (most := int(samples.max(initial=0))) > peak:
        raise VideoError(
            f"{shown(path)}: a sample of frame {number} is {most}; legal: 0 to {peak}, as"
            f" C{header.chroma} says"
        )
    planes: list[Plane] = []
    offset = 0
    for height, width in header.plane_shapes:
        planes.append(samples[offset : offset + height * width].reshape(height, width))
        offset += height * width
    if header.chroma_kind.repeat == 1:
        return tuple(planes)
    columns = plane_sizes(header.layout, header.width, header.height)[1][0]
    chroma = (plane.repeat(header.chroma_kind.repeat, axis=1)[:, :columns] for plane in planes[1:])
    return planes[0], *chroma


def _cut_short(path: Path, number: int) -> VideoError:
    return VideoError(f"{shown(path)}: frame {number} is cut short; the file is incomplete")
