"""Sources -> frames: .y4m files, sequences of pictures, and everything else through FFmpeg.

probe() has read the source through once; read_groups() then hands out one group of frames at a
time.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nervcodec.errors import VideoError
from nervcodec.format.video_format import VideoFormat
from nervcodec.util.files import os_errors
from nervcodec.video import ffmpeg_decode, ffmpeg_pictures, y4m
from nervcodec.video.frames import Frames, Planes
from nervcodec.video.geometry import cropped
from nervcodec.video.pictures import picture_files
from nervcodec.video.source import (
    DEFAULT_OPTIONS,
    SourceOptions,
    forget,
    show_as,
    shown,
    source_kind,
)

if TYPE_CHECKING:
    from nervcodec.video.ffmpeg_scale import Scaler

STANDARD = "-"  # in place of a name: standard input or output
STANDARD_INPUT = "standard input"  # its name in messages
_GROUP = 8


def read_groups(
    path: str | Path,
    fmt: VideoFormat,
    lengths: Iterable[int],
    options: SourceOptions = DEFAULT_OPTIONS,
    numbers: Iterable[int] | None = None,
) -> Iterator[Frames]:
    """Yield frames in consecutive groups, each read when it is asked for.

    Args:
        path, fmt, options: a source, its format from probe(), and the options of that.
        lengths: frames in each group; together at most fmt.n_frames.
        numbers: of the frames to read, which rise; None reads all from the first on.

    Raises:
        VideoError: damaged, or no longer what probe() saw.
    """
    path = Path(path)
    with closing(_frames(path, fmt, options)) as frames:
        n_read = 0
        wanted = iter(count() if numbers is None else numbers)
        for length in lengths:
            group = Frames.empty(fmt.layout, length, fmt.width, fmt.height, fmt.bit_depth)
            for t in range(length):
                number = next(wanted)
                planes = next(islice(frames, number - n_read, None), None)
                _fill(group, t, planes, f"{shown(path)}: frame {number + 1}")
                n_read = number + 1
            yield group
            del group  # the consumer may be done with it while we read on


def read_all(
    path: str | Path, fmt: VideoFormat, options: SourceOptions = DEFAULT_OPTIONS
) -> Iterator[Frames]:
    """Yield all fmt.n_frames frames in order, some at a time; raises as read_groups."""
    lengths = [min(_GROUP, fmt.n_frames - start) for start in range(0, fmt.n_frames, _GROUP)]
    return read_groups(path, fmt, lengths, options)


def source_files(path: Path) -> list[Path]:
    """Return the files whose bytes a source's frames come from.

    They are the source itself, or the files of a sequence of pictures.

    Raises:
        VideoError: as probe.
    """
    return picture_files(path) if source_kind(path) == "pictures" else [path]


def _frames(path: Path, fmt: VideoFormat, options: SourceOptions) -> Generator[Planes, None, None]:
    """Yield the planes of each frame, cropped and scaled as the options ask."""
    shaper = Shaper(options)
    with closing(_whole_frames(path, fmt, options)) as frames:
        for planes in frames:
            yield shaper.shaped(planes, fmt)


class Shaper:
    """Crops and scales the frames of a source as its options ask."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._scaler: Scaler | None = None

    def shaped(self, planes: Planes, form: VideoFormat) -> Planes:
        """Return the planes [h, w] of a frame as they are coded.

        Args:
            form: layout, bit depth and chroma location of the frames; read of the first one.

        Raises:
            ConfigError: FFmpeg cannot scale by so much.
            VideoError: the frame has another size than the first one, and is to be scaled.
        """
        part = cropped(planes, self._options.crop)
        if self._options.scale is None:
            return part
        if self._scaler is None:
            from nervcodec.video.ffmpeg_scale import Scaler

            height, width = part[0].shape
            self._scaler = Scaler(replace(form, width=width, height=height), self._options.scale)
        return self._scaler.scale(part)


def _whole_frames(
    path: Path, fmt: VideoFormat, options: SourceOptions
) -> Generator[Planes, None, None]:
    kind = source_kind(path)
    if kind == "y4m":
        return y4m.read_frames(path, options)
    if kind == "pictures":
        return ffmpeg_pictures.picture_frames(picture_files(path), fmt, options)
    return ffmpeg_decode.container_frames(path, fmt, options)


def _fill(group: Frames, t: int, planes: Planes | None, label: str) -> None:
    if planes is None:
        raise VideoError(f"{label} is missing; the source has changed since it was probed")
    for target, plane in zip(group.planes, planes, strict=True):
        if (target.shape[1:], target.dtype) != (plane.shape, plane.dtype):
            raise VideoError(
                f"{label} has another size; the source has changed since it was probed"
            )
        target[t] = plane


@contextmanager
def spooled(source: str) -> Iterator[str]:
    """Yield the source itself, or for a pipe a temporary file with what it gives.

    A video is read more than once, and a pipe can be read only once. Pipes are - and /dev/stdin,
    named pipes, and what a shell makes of <(command). Messages call the temporary file by the name
    of the pipe.

    Raises:
        VideoError: standard input is a terminal, or a pipe cannot be read.
        OutputError: the temporary file cannot be written.
    """
    name = _pipe_name(source)
    if name is None:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="nervcodec-") as folder:
        path = Path(folder, STANDARD_INPUT)
        show_as(path, name)
        try:
            with _pipe(source, name) as pipe, os_errors(path), open(path, "wb") as file:
                shutil.copyfileobj(pipe, file, 1 << 20)
            yield str(path)
        finally:
            forget(path)


def _pipe_name(source: str) -> str | None:
    """Return the name of a pipe for messages, None for what is none."""
    if source == STANDARD:
        return STANDARD_INPUT
    try:
        mode = os.stat(source).st_mode
        is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        is_terminal = stat.S_ISCHR(mode) and os.path.samestat(os.stat(source), os.fstat(0))
    except (OSError, ValueError):
        return None
    if not (is_pipe or is_terminal) or os.path.isdir(source):
        return None
    return STANDARD_INPUT if _is_standard_input(source) else source


def _is_standard_input(source: str) -> bool:
    return os.path.abspath(source) in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


@contextmanager
def _pipe(source: str, name: str) -> Iterator[BinaryIO]:
    """Yield what a pipe gives; a named one waits until somebody writes into it."""
    if source == STANDARD or _is_standard_input(source):
        if sys.stdin.isatty():
            raise VideoError("standard input is a terminal; pipe a video into it or name a file")
        yield sys.stdin.buffer
        return
    try:
        file = open(source, "rb")
    except OSError as error:
        raise VideoError(f"cannot read {name}: {error.strerror or error}") from error
    with file:
        yield file
