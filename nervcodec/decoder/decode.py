"""A .nvpp file -> frames in a video file.

Read, decode the segments that are needed, write. What decodes is imported inside the functions that
use it: bad input needs no torch.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from nervcodec.decoder.engines import Engine, EngineChoice, check_engine, choose_engine
from nervcodec.errors import ConfigError
from nervcodec.format.container import read_bytes, read_file
from nervcodec.format.file import File, Segment
from nervcodec.format.limits import Limits, file_memory_bytes
from nervcodec.format.salvage import salvage
from nervcodec.format.sound import Sound
from nervcodec.format.times import seconds_of, timed_part
from nervcodec.jobs.concurrency import JobsChoice, check_jobs
from nervcodec.jobs.processes import ProcessExecutor
from nervcodec.util.address_space import check_memory
from nervcodec.util.prefetch import prefetch
from nervcodec.util.validation import (
    check_least,
    check_range,
    check_threads,
)
from nervcodec.video.ffmpeg_scale import scaled_frames
from nervcodec.video.ffmpeg_sound_writer import SoundCut
from nervcodec.video.frames import Frames
from nervcodec.video.geometry import Size, aspect_notes, check_size, scaled_format
from nervcodec.video.writer import check_target, open_writer

SCHEMA = "nervcodec.decode/1"
ALL_FRAMES = (0, None)
_PREFETCHED_NETWORKS = 1
_PREFETCHED_BATCHES = 2


@dataclass(frozen=True)
class DecodeOptions:
    """Every option of `nervcodec decode`, checked when it is made.

    Attributes:
        frames: (A, B), the frames A to B - 1 counted from 0; B None goes to the end.
        frame: this frame alone, in place of `frames`.
        scale: width and height that frames are scaled to; None leaves them.
        codec: FFmpeg's encoder of .mp4, .mkv, .mov and .webm; None takes libx264 or libvpx-vp9.
        quality: its crf; None takes 12.
        pixel_format: what it codes, by FFmpeg's name; None takes that of the frames.
        audio: whether sound and text subtitles of the file go into the output, if it can hold them.
        salvage: whether to decode what is whole of a damaged file; frames then count without what
            is lost.
        engine: 'torch' or 'numpy', which give the same samples; 'auto' takes torch where it is
            installed.
        fast: whether float32 will do, which takes less time and moves some samples by a level or
            two; with torch alone.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'; 'auto' takes a CUDA device where there is one and
            torch is the engine.
        jobs: segments decoded at once, by a process each if they are several; 'auto' takes as many
            as cores and memory suffice for.
        n_threads: CPU threads of each job, of NumPy frames that it decodes at once; None shares the
            cores among them, or leaves torch's number to a single one.
        limits: a file that asks for more is refused before anything is allocated.
        overwrite: whether to replace an existing output.
    Raises:
        ConfigError: a value that cannot be, with what would be legal.
    """

    frames: tuple[int, int | None] = ALL_FRAMES
    frame: int | None = None
    scale: Size | None = None
    codec: str | None = None
    quality: int | None = None
    pixel_format: str | None = None
    audio: bool = True
    salvage: bool = False
    engine: EngineChoice = "auto"
    fast: bool = False
    device: str = "auto"
    jobs: JobsChoice = "auto"
    n_threads: int | None = None
    limits: Limits = Limits()
    overwrite: bool = False

    def __post_init__(self) -> None:
        first, stop = self.frames
        if first < 0 or (stop is not None and stop <= first):
            raise ConfigError(
                f"frames are {first}:{'' if stop is None else stop}; legal: A:B with 0 <= A < B"
            )
        check_least("frame", self.frame, 0)
        if self.frame is not None and self.frames != ALL_FRAMES:
            raise ConfigError("frame and frames are given; legal: one of them")
        if self.scale is not None:
            check_size(self.scale)
        check_engine(self.engine, self.device, self.fast)
        check_jobs(self.jobs)
        check_threads(self.n_threads)


@dataclass(frozen=True)
class DecodeReport:
    """What a decode gave.

    Attributes:
        source, destination: as they were given.
        engine: what decoded it, 'torch' or 'numpy'.
        n_frames: frames written.
        seconds: from the first stream to the last frame written, without the start of Python and
            torch.
        notes: what a user should know: conversions, padding, frames that are lost.
    """

    source: str
    destination: str
    engine: str
    n_frames: int
    seconds: float
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec decode --json` (docs/reference/json.md)."""
        return {
            "schema": SCHEMA,
            "input": self.source,
            "output": self.destination,
            "engine": self.engine,
            "frames": self.n_frames,
            "seconds": self.seconds,
            "notes": self.notes,
        }


def decoded_frames(
    file: File,
    first: int,
    stop: int,
    engine: Engine,
    jobs: JobsChoice = 1,
) -> Iterator[Frames]:
    """Yield the coded frames first..stop-1 in the colorspace of the model, a batch at a time; other
    segments are not touched.

    By one job, the next segment's streams are decoded while this one's frames are made, and these
    while others are used.

    Args:
        engine: what decodes, with the CPU threads of each job.
        jobs: segments decoded at once, by a process each if they are several.
    """
    from nervcodec.coding.streams import decode_parameters
    from nervcodec.decoder.segment_jobs import DecodeTask, chosen_jobs, frames_in_order

    model = file.header.model
    parts = _parts(file, first, stop)
    chosen = chosen_jobs(jobs, engine.n_threads, file, len(parts), stop - first)
    if chosen.n_jobs > 1:
        each = replace(engine, n_threads=chosen.n_threads or 1)
        tasks = [DecodeTask(segment, model, n, each) for segment, n in parts]
        in_order = frames_in_order(ProcessExecutor(chosen.n_jobs), tasks)
        return prefetch(in_order, _PREFETCHED_BATCHES)
    vectors = (decode_parameters(segment, model) for segment, _ in parts)
    networks = prefetch(vectors, _PREFETCHED_NETWORKS)
    batches = (
        engine.reconstruct(parameters, model, numbers, segment.shots, segment.fraction_bits)
        for parameters, (segment, numbers) in zip(networks, parts, strict=True)
    )
    return prefetch(itertools.chain.from_iterable(batches), _PREFETCHED_BATCHES)


def _parts(file: File, first: int, stop: int) -> list[tuple[Segment, range]]:
    """Return the segments of the coded frames first..stop-1, and the numbers of these in them."""
    parts = []
    start = 0
    for segment in file.segments:
        numbers = range(max(first - start, 0), min(stop - start, segment.n_frames))
        if numbers:
            parts.append((segment, numbers))
        start += segment.n_frames
    return parts


def shown_frames(
    file: File,
    first: int,
    stop: int,
    engine: Engine,
    jobs: JobsChoice = 1,
) -> Iterator[Frames]:
    """Yield the shown frames first..stop-1, some at a time; a repeated one is decoded once.

    Other segments than theirs are not touched. For the rest see decoded_frames.
    """
    repeats = file.extras.repeats
    if repeats is None:
        yield from decoded_frames(file, first, stop, engine, jobs)
        return
    start, counts = repeats.within(first, stop)
    n_done = 0
    for frames in decoded_frames(file, start, start + len(counts), engine, jobs):
        of_batch = counts[n_done : n_done + frames.n_frames]
        n_done += frames.n_frames
        if max(of_batch) == 1:
            yield frames
            continue
        for t, n_shown in enumerate(of_batch):
            yield from itertools.repeat(frames[t : t + 1], n_shown)


def decode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    options: DecodeOptions = DecodeOptions(),
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> DecodeReport:
    """Decode a .nvpp file into .y4m, .mp4, .mkv, .mov, .webm, .gif, .webp or PNG.

    Args:
        destination: its suffix chooses the format; none is a folder, '-' .y4m on standard output.
        on_progress: called with (frames written, frames in all).
    Raises:
        ConfigError: an option that does not go with this file or output.
        DependencyError: torch is asked for, and not installed.
        VideoError: the source cannot be read.
        BitstreamError: the source is damaged, or no .nvpp file.
        LimitExceeded: it asks for more than the options' limits.
        OutputError: the output cannot be written; it is then as it was before.
    """
    source, destination = os.fspath(source), os.fspath(destination)
    data = read_bytes(source)
    file, lost = salvage(data) if options.salvage else (read_file(data), ())
    form = file.header.format
    first, stop = _frame_range(options, form.n_frames)
    part, times = timed_part(form, file.extras.times, range(first, stop))
    written = scaled_format(part, options.scale)
    how: dict[str, Any] = {
        "codec": options.codec,
        "quality": options.quality,
        "pixel_format": options.pixel_format,
        "overwrite": options.overwrite,
    }
    check_target(destination, written, source=source, **how)
    options.limits.check(file)
    sound = file.extras.sound if options.audio else None
    notes = [f"damaged, left out: frames {frames[0]} to {frames[-1]}" for frames in lost]
    notes += ["sound left out: frames are lost"] if sound and lost else []
    engine = choose_engine(options.engine, options.device, options.fast, options.n_threads)
    pictures, started = _pictures(file, options, engine, first, stop)
    n_done = 0
    with open_writer(
        destination,
        written,
        times=times,
        sound=_cut(sound, file, first, stop) if sound and not lost else None,
        properties=file.extras.properties,
        **how,
    ) as writer:
        for frames in pictures:
            writer.write(frames)
            n_done += frames.n_frames
            if on_progress:
                on_progress(n_done, stop - first)
    seconds = time.monotonic() - started
    notes += [*aspect_notes(form, written), *writer.notes]
    return DecodeReport(source, destination, engine.name, n_done, seconds, tuple(notes))


def _pictures(
    file: File, options: DecodeOptions, engine: Engine, first: int, stop: int
) -> tuple[Iterator[Frames], float]:
    """Return the shown frames first..stop-1 at their size, and when their decoding began.

    Raises:
        ResourceError: the process may not take as much memory.
    """
    engine.load()  # before the clock starts: it counts work, not the start of torch
    check_memory(file_memory_bytes(file), "decoding")
    started = time.monotonic()
    pictures = shown_frames(file, first, stop, engine, options.jobs)
    if options.scale is not None:
        pictures = scaled_frames(pictures, file.header.format, options.scale)
    return pictures, started


def _cut(sound: Sound, file: File, first: int, stop: int) -> SoundCut:
    """Return the sound of the frames first..stop-1; that of the last frame goes on to its end."""
    form, times = file.header.format, file.extras.times
    begin = seconds_of(form, times, 0)
    end = None if stop == form.n_frames else seconds_of(form, times, stop) - begin
    offset = times.start_s if times and not first else Fraction(0)
    return SoundCut(sound, seconds_of(form, times, first) - begin, end, offset)


def _frame_range(options: DecodeOptions, n_frames: int) -> tuple[int, int]:
    """Return the first frame and the one after the last.

    Raises:
        ConfigError: the file has fewer frames.
    """
    if options.frame is not None:
        check_range("frame", options.frame, 0, n_frames - 1)
        return options.frame, options.frame + 1
    first, stop = options.frames
    stop = n_frames if stop is None else stop
    if not first < stop <= n_frames:
        raise ConfigError(f"frames are {first}:{stop}; legal: A:B with 0 <= A < B <= {n_frames}")
    return first, stop
