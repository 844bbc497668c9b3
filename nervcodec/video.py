"""Files <-> frames: .y4m by ourselves (y4m.py), folders of PNG and everything else through FFmpeg (libav.py).

What is read are the source's own 8-bit planes, what is written stands whole or not at all (output.py). Reading is two
passes: probe() decodes everything once and counts, read_groups() then hands out one group of frames at a time.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Protocol

from nervcodec import libav, y4m
from nervcodec.color import Frames, Planes, resolve_matrix, to_layout
from nervcodec.errors import ConfigError, OutputError, VideoError
from nervcodec.format import container
from nervcodec.format.limits import Limits
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.survey import Survey, survey_container, survey_pngs
from nervcodec.util.files import check_output, os_errors, whole_file, whole_folder

STANDARD = "-"  # in place of a name: standard input or output
_GROUP = 8
# FFmpeg keeps rates as ratios of 32-bit integers.
_LARGEST_TERM = 2**31 - 1
_RATES = "a positive ratio of 32-bit integers"
_PNG_FRAME_RATE = Fraction(25)


# Reading ------------------------------------------------------------------------------------------------------------


def probe(path: str | Path, *, frame_rate: Fraction | None = None) -> tuple[VideoFormat, tuple[str, ...]]:
    """Read a source through once: its format, with an exact frame count, and a note on every conversion or assumption.

    Args:
        path: a .y4m file (told by its first bytes), a folder of PNG files, or anything FFmpeg reads.
        frame_rate: frames a second, instead of what the source says.

    Raises:
        VideoError: missing, unreadable, damaged, cut short, empty, over 8 bits, of changing size, without a rate.
        ConfigError: a frame rate that is none.
    """
    if not os.fspath(path):  # Path would take it for the folder we are in
        raise VideoError("the input has no name; name a file or a folder of PNG")
    if frame_rate is not None and not _is_rate(frame_rate):
        raise ConfigError(f"frame rate is {frame_rate}; legal: {_RATES}")
    path = Path(path)
    survey = {"y4m": _survey_y4m, "folder": _survey_folder, "container": survey_container}[_kind(path)](path)
    notes = list(survey.notes)
    rate = survey.frame_rate
    if frame_rate is not None and frame_rate != rate:
        notes.append(f"frame rate {frame_rate} as asked" + (f", the source says {rate}" if rate else ""))
        rate = frame_rate
    elif rate is None and path.is_dir():
        rate = _PNG_FRAME_RATE
        notes.append(f"a folder of PNG has no frame rate: {rate} assumed")
    if rate is None:
        raise VideoError(f"{path}: it states no frame rate; 'encode --frame-rate R' gives it one")
    return _format(survey, rate, path), tuple(notes)


def read_groups(path: str | Path, fmt: VideoFormat, lengths: Sequence[int]) -> Iterator[Frames]:
    """Yield the frames from the first on in consecutive groups, reading each only when it is asked for.

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
    """read_groups for whoever takes all fmt.n_frames frames in order and does not mind how many at once."""
    return read_groups(path, fmt, [min(_GROUP, fmt.n_frames - start) for start in range(0, fmt.n_frames, _GROUP)])


def _kind(path: Path) -> str:
    """'y4m', 'folder' or 'container', by what stands there, not by its name."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISREG(mode):  # a pipe could be read only once, and might keep us waiting for ever
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
    # Cut or damaged behind the name of the format, it is still a y4m file, and better refused as one.
    return "y4m" if y4m.MAGIC.startswith(start[:len(y4m.MAGIC) - 1]) else "container"


def _survey_y4m(path: Path) -> Survey:
    header, n_frames, notes = y4m.probe(path)
    size, ratio = (header.width, header.height), header.sample_aspect_ratio
    return Survey(*size, n_frames, "yuv420", header.color, header.frame_rate, ratio, notes)


def _survey_folder(path: Path) -> Survey:
    files = _png_files(path)
    if not files:
        raise VideoError(f"{path}: there are no .png files in this folder")
    survey = survey_pngs(files)
    n_other = sum(not name.name.startswith(".") for name in path.iterdir()) - len(files)
    others = (f"other entries of the folder, left out: {n_other}",) if n_other else ()
    return replace(survey, notes=(*others, *survey.notes))


def _png_files(folder: Path) -> list[Path]:
    """The PNG files of a folder in natural order: 2.png before 10.png; hidden files are none of ours."""
    try:
        files = [f for f in folder.iterdir() if f.suffix.lower() == ".png" and not f.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"cannot read {folder}: {error.strerror or error}") from error
    for file in files:
        if not os.path.isfile(file):  # Path.is_file may raise
            raise VideoError(f"cannot read {file}: it is not a file")
    return sorted(files, key=lambda file: (_natural(file.name), file.name))


def source_files(path: Path) -> list[Path]:
    """The files whose bytes a source's frames come from: itself, or the PNG files of a folder.

    Raises:
        VideoError: as probe.
    """
    return _png_files(path) if _kind(path) == "folder" else [path]


def _natural(name: str) -> list[str | int]:
    # re.split alternates text and digits, so that like is compared with like.
    return [int(part) if k % 2 else part.lower() for k, part in enumerate(re.split(r"([0-9]+)", name))]


def _format(survey: Survey, rate: Fraction, path: Path) -> VideoFormat:
    width, height = survey.width, survey.height
    if not survey.n_frames:
        raise VideoError(f"{path}: it has no frames")
    largest = Limits().side
    if max(width, height) > largest:
        raise VideoError(f"{path}: frames are {width}x{height}; up to {largest} a side are read")
    if not _is_rate(rate):
        raise VideoError(f"{path}: the frame rate is {rate}; it must be {_RATES}")
    ratio = survey.sample_aspect_ratio
    return VideoFormat(width, height, rate, survey.n_frames, survey.layout, survey.color, ratio)


def _is_rate(rate: Fraction) -> bool:
    return rate > 0 and max(rate.numerator, rate.denominator) <= _LARGEST_TERM


def _frames(path: Path, fmt: VideoFormat) -> Generator[Planes, None, None]:
    kind = _kind(path)
    if kind == "y4m":
        return y4m.read_frames(path)
    if kind == "folder":
        return libav.png_frames(_png_files(path))
    return libav.container_frames(path, fmt.layout)


def _fill(group: Frames, t: int, planes: Planes | None, label: str) -> None:
    if planes is None:
        raise VideoError(f"{label} is missing; the source has changed since it was probed")
    for target, plane in zip(group.planes, planes):
        if target.shape[1:] != plane.shape:
            raise VideoError(f"{label} has another size; the source has changed since it was probed")
        target[t] = plane


# Writing ------------------------------------------------------------------------------------------------------------


class _Sink(Protocol):
    layout: str
    notes: tuple[str, ...]

    def write(self, frames: Frames) -> None: ...


class _Y4mSink:
    layout = "yuv420"

    def __init__(self, file: BinaryIO, fmt: VideoFormat) -> None:
        self._file = file
        lost = fmt.layout == "yuv420" and (fmt.color.matrix, fmt.color.primaries, fmt.color.transfer) != (2, 2, 2)
        self.notes: tuple[str, ...] = (".y4m cannot say matrix, primaries and transfer",) if lost else ()
        file.write(y4m.header_line(fmt))

    def write(self, frames: Frames) -> None:
        y4m.write_frames(self._file, frames)


class Writer:
    """Takes frames of either layout and writes them to one output; made by open_writer().

    Attributes:
        notes: what the output does differently from the frames written, for the user.
    """

    def __init__(self, sink: _Sink, fmt: VideoFormat) -> None:
        self.notes = (*_conversion_note(sink, fmt), *sink.notes)
        self._sink, self._color = sink, fmt.color

    def write(self, frames: Frames) -> None:
        """Append frames.

        Raises:
            OutputError, OSError: they cannot be written; open_writer turns the latter into the former.
        """
        self._sink.write(to_layout(frames, self._sink.layout, self._color))


def output_kind(path: str | Path) -> str:
    """'y4m', 'container', 'folder' or 'stdout', by the name of the output.

    A name that ends in a slash or has no suffix is a folder of PNG, and so is a folder that exists; - is .y4m on
    standard output.

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
    if suffix in libav.MUXERS:
        return "container"
    legal = ", ".join((".y4m", *libav.MUXERS))
    raise ConfigError(f"no video format goes by {suffix!r}; legal: {legal}, or a name ending in / for a folder of PNG")


def check_target(
    path: str | Path,
    *,
    codec: str | None = None,
    quality: int | None = None,
    overwrite: bool,
    source: str | Path | None = None,
) -> None:
    """Raise at once whatever open_writer would object to, and an output that is the source.

    Raises:
        ConfigError, OutputExists, OutputError: as open_writer.
    """
    kind = output_kind(path)
    if kind == "container":
        libav.check_encoder(codec or _default_codec(path), quality)
    elif codec is not None or quality is not None:
        raise ConfigError(f"{path} is written without loss; a codec or a quality goes with {', '.join(libav.MUXERS)}")
    if kind == "stdout":
        if sys.stdout.isatty():
            raise ConfigError("standard output is a terminal; legal for video: a pipe or a file")
        return
    check_output(path, overwrite=overwrite, source=source, folder=kind == "folder")


@contextmanager
def open_writer(
    path: str | Path, fmt: VideoFormat, *, codec: str | None = None, quality: int | None = None, overwrite: bool = False
) -> Iterator[Writer]:
    """Open an output for frames of this format; it stands when the block ends well, and else not at all.

    Args:
        path: .y4m or - (exact), .mp4, .mov, .mkv, .webm (encoded) or a folder of PNG (exact RGB); see output_kind().
        fmt: size, rate and colour of the frames to come; RGB going into 4:2:0 is converted and tagged accordingly.
        codec: FFmpeg's encoder for the encoded ones; libx264 unless told, in .webm libvpx-vp9.
        quality: its crf, 0 (best) to 51 or 63; 12 unless told.
        overwrite: whether an earlier output may be replaced.

    Raises:
        ConfigError: unknown suffix or encoder, a quality off the scale, a codec for an output that has none.
        OutputExists, OutputError: the output exists, or cannot be written.
    """
    check_target(path, codec=codec, quality=quality, overwrite=overwrite)
    kind = output_kind(path)
    with ExitStack() as stack:
        if kind == "folder":
            folder = stack.enter_context(whole_folder(path, overwrite=overwrite))
            yield Writer(libav.PngSink(folder, fmt), fmt)
            return
        tagged = replace(fmt, color=tags_420(fmt))
        if kind == "stdout":
            yield Writer(_Y4mSink(stack.enter_context(_standard_output()), tagged), fmt)
            return
        part = stack.enter_context(whole_file(path, overwrite=overwrite))
        if kind == "y4m":
            yield Writer(_Y4mSink(stack.enter_context(open(part, "wb")), tagged), fmt)
            return
        muxer = libav.MUXERS[Path(path).suffix.lower()]
        codec = codec or _default_codec(path)
        encoding = libav.encoding(part, tagged, muxer=muxer, codec=codec, quality=quality, name=str(path))
        yield Writer(stack.enter_context(encoding), fmt)


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Standard output for bytes."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still in the buffer would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"cannot write to standard output: {error.strerror or error}") from error


@contextmanager
def spooled(source: str) -> Iterator[str]:
    """The source itself, or for - a temporary file with what standard input gives: a video is read more than once.

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


def _default_codec(path: str | Path) -> str:
    return "libvpx-vp9" if Path(path).suffix.lower() == ".webm" else "libx264"


def tags_420(fmt: VideoFormat) -> ColorTags:
    """The colour of what is written as 4:2:0: the source's own, or for RGB that of our conversion."""
    if fmt.layout == "yuv420":
        return fmt.color
    matrix = resolve_matrix(fmt.color, fmt.height)
    # The mean of 2x2 lies in their center: location 2.
    return replace(fmt.color, matrix=matrix.code, full_range=matrix.full_range, chroma_location=2)


def _conversion_note(sink: _Sink, fmt: VideoFormat) -> Iterator[str]:
    if sink.layout != fmt.layout:
        matrix = resolve_matrix(fmt.color, fmt.height)
        kind = f"matrix {matrix.code} of H.273, {'full' if matrix.full_range else 'limited'} range"
        yield f"RGB converted to 4:2:0 ({kind})" if fmt.layout == "rgb" else f"4:2:0 converted to RGB ({kind})"
