"""Sources -> frames: .y4m files, folders of PNG, and everything else through FFmpeg.

probe() has read the source through once; read_groups() then hands out one group of frames at a
time.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from nervcodec.errors import VideoError
from nervcodec.format import container
from nervcodec.format.video_format import VideoFormat
from nervcodec.util.files import os_errors
from nervcodec.video import ffmpeg_decode, y4m
from nervcodec.video.frames import Frames, Planes

SourceKind = Literal["y4m", "folder", "container"]
STANDARD = "-"  # in place of a name: standard input or output
_GROUP = 8


def read_groups(path: str | Path, fmt: VideoFormat, lengths: Sequence[int]) -> Iterator[Frames]:
    """Yield the frames from the first on in consecutive groups, each read when it is asked for.

    Args:
        path, fmt: a source and its format from probe().
        lengths: frames in each group; together at most fmt.n_frames.

    Raises:
        VideoError: damaged, or no longer what probe() saw.
    """
    path = Path(path)
    with closing(_frames(path, fmt)) as frames:
        n_read = 0
        for length in lengths:
            group = Frames.empty(fmt.layout, length, fmt.width, fmt.height)
            for t in range(length):
                _fill(group, t, next(frames, None), f"{path}: frame {n_read + t + 1}")
            n_read += length
            yield group
            del group  # the consumer may be done with it while we read on


def read_all(path: str | Path, fmt: VideoFormat) -> Iterator[Frames]:
    """Yield all fmt.n_frames frames in order, some at a time; raises as read_groups."""
    return read_groups(
        path, fmt, [min(_GROUP, fmt.n_frames - start) for start in range(0, fmt.n_frames, _GROUP)]
    )


def source_kind(path: Path) -> SourceKind:
    """Return what a source is, by what stands there, not by its name."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISREG(
            mode
        ):  # a pipe could be read only once, and might keep us waiting for ever
            raise VideoError(f"cannot read {path}: it is neither a file nor a folder")
        with open(path, "rb") as file:
            start = file.read(len(y4m.MAGIC))
    except (FileNotFoundError, NotADirectoryError):
        raise VideoError(f"cannot read {path}: there is no such file") from None
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror or error}") from error
    if not start:
        raise VideoError(f"cannot read {path}: the file is empty")
    if start.startswith(container.MAGIC):
        raise VideoError(f"cannot read {path}: it is a .nvpp file; 'decode' makes a video of it")
    # Cut or damaged behind the name of the format, it is still a y4m file, and better refused as
    # one.
    return "y4m" if y4m.MAGIC.startswith(start[: len(y4m.MAGIC) - 1]) else "container"


def png_files(folder: Path) -> list[Path]:
    """Return the PNG files of a folder in natural order (2.png before 10.png), but hidden ones."""
    try:
        files = [
            f for f in folder.iterdir() if f.suffix.lower() == ".png" and not f.name.startswith(".")
        ]
    except OSError as error:
        raise VideoError(f"cannot read {folder}: {error.strerror or error}") from error
    for file in files:
        if not os.path.isfile(file):  # Path.is_file may raise
            raise VideoError(f"cannot read {file}: it is not a file")
    return sorted(files, key=lambda file: (_natural(file.name), file.name))


def source_files(path: Path) -> list[Path]:
    """Return the files whose bytes a source's frames come from.

    They are the source itself, or the PNG files of a folder.

    Raises:
        VideoError: as probe.
    """
    return png_files(path) if source_kind(path) == "folder" else [path]


def _natural(name: str) -> list[str | int]:
    # re.split alternates text and digits, so that like is compared with like.
    return [
        int(part) if k % 2 else part.lower() for k, part in enumerate(re.split(r"([0-9]+)", name))
    ]


def _frames(path: Path, fmt: VideoFormat) -> Generator[Planes, None, None]:
    kind = source_kind(path)
    if kind == "y4m":
        return y4m.read_frames(path)
    if kind == "folder":
        return ffmpeg_decode.png_frames(png_files(path))
    return ffmpeg_decode.container_frames(path, fmt.layout)


def _fill(group: Frames, t: int, planes: Planes | None, label: str) -> None:
    if planes is None:
        raise VideoError(f"{label} is missing; the source has changed since it was probed")
    for target, plane in zip(group.planes, planes):
        if target.shape[1:] != plane.shape:
            raise VideoError(
                f"{label} has another size; the source has changed since it was probed"
            )
        target[t] = plane


@contextmanager
def spooled(source: str) -> Iterator[str]:
    """Yield the source itself, or for - a temporary file with what standard input gives.

    A video is read more than once, and a pipe can be read only once.

    Raises:
        VideoError: standard input is a terminal.
        OutputError: the temporary file cannot be written.
    """
    if source != STANDARD:
        yield source
        return
    if sys.stdin.isatty():
        raise VideoError("standard input is a terminal; pipe a video into it or name a file")
    with tempfile.TemporaryDirectory(prefix="nervcodec-") as folder:
        path = Path(folder, "standard input")
        with os_errors(path), open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        yield str(path)
