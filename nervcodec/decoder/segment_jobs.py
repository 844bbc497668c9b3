"""Segments that are decoded at once, by several processes (nervcodec.jobs)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nervcodec.coding.streams import decode_parameters
from nervcodec.decoder.digest import FrameHasher
from nervcodec.decoder.engines import Engine
from nervcodec.format import costs
from nervcodec.format.file import File, Segment
from nervcodec.format.limits import file_memory_bytes
from nervcodec.format.model_config import ModelConfig
from nervcodec.jobs.concurrency import Concurrency, JobsChoice, concurrency
from nervcodec.jobs.executor import Channel, Executor, Job
from nervcodec.util.memory import available_bytes
from nervcodec.video.frames import Frames


@dataclass(frozen=True)
class DecodeTask:
    """What is decoded.

    Attributes:
        segment, model: of the file.
        numbers: of the frames, counted within the segment.
        engine: what makes them.
    """

    segment: Segment
    model: ModelConfig
    numbers: range
    engine: Engine

    def frames(self) -> Iterator[Frames]:
        """Yield the frames in the colorspace of the model, a batch at a time."""
        segment = self.segment
        parameters = decode_parameters(segment, self.model)
        return self.engine.reconstruct(
            parameters, self.model, self.numbers, segment.shots, segment.fraction_bits
        )


def decode_part(task: DecodeTask, channel: Channel) -> bool:
    """Decode a task, and tell its frames."""
    for frames in task.frames():
        channel.tell(frames)
    return True


def hash_part(task: DecodeTask, channel: Channel) -> bytes:
    """Return the MD5 of a task's frames; tells how many frames each batch has."""
    hasher = FrameHasher()
    for frames in task.frames():
        hasher.add(frames)
        channel.tell(frames.n_frames)
    return hasher.digest()


def hashed(
    executor: Executor,
    tasks: Sequence[DecodeTask],
    on_progress: Callable[[int, int], None] | None = None,
) -> list[bytes]:
    """Return the MD5 of each task's frames.

    Args:
        on_progress: called with (frames decoded, frames in all).
    """
    listener = _Counted(sum(len(task.numbers) for task in tasks), on_progress)
    with executor:
        jobs = (Job(number, task) for number, task in enumerate(tasks))
        results = dict(executor.run(hash_part, jobs, listener))
    return [md5 for number in range(len(tasks)) if (md5 := results[number])]


class _Listener:
    """A listener to jobs that keep no states and do not end early."""

    def kept(self, number: int, state: bytes) -> None:
        raise AssertionError("decoding keeps no states")

    def is_ending(self) -> bool:
        return False


class _Counted(_Listener):
    """Counts the frames that jobs tell of."""

    def __init__(self, n_all: int, on_progress: Callable[[int, int], None] | None) -> None:
        self._n_all = n_all
        self._on_progress = on_progress
        self._n_done: dict[int, int] = {}

    def told(self, number: int, message: object) -> None:
        assert isinstance(message, int)
        self._n_done[number] = self._n_done.get(number, 0) + message
        if self._on_progress:
            self._on_progress(sum(self._n_done.values()), self._n_all)

    def lost(self, number: int) -> None:
        self._n_done.pop(number, None)


@dataclass
class _Told(_Listener):
    """A listener that keeps what it is told, by job; a job that is begun again is told anew."""

    messages: dict[int, deque[object]] = field(default_factory=dict)

    def told(self, number: int, message: object) -> None:
        self.messages.setdefault(number, deque()).append(message)

    def lost(self, number: int) -> None:
        self.messages.pop(number, None)


def chosen_jobs(
    jobs: JobsChoice, n_threads: int | None, file: File, n_segments: int, n_frames: int
) -> Concurrency:
    """Return how many segments of a file are decoded at once.

    Args:
        jobs, n_threads: what is asked for.
        n_segments, n_frames: that are decoded.
    """
    model = file.header.model
    longest = max(segment.n_frames for segment in file.segments)
    frames_bytes = longest * model.n_plane_samples * (1 if model.bit_depth == 8 else 2)
    return concurrency(
        jobs,
        n_threads,
        n_ready=n_segments,
        n_gpus=0,
        # Frames wait for those before them.
        job_bytes=file_memory_bytes(file) + 2 * frames_bytes,
        free_bytes=available_bytes(),
        work_macs=float(costs.macs_per_frame(model) * n_frames),
    )


def frames_in_order(executor: Executor, tasks: Sequence[DecodeTask]) -> Iterator[Frames]:
    """Yield the frames of all tasks in their order, a batch at a time.

    The frames of as many tasks as run at once are held, and of those that are done before one that
    comes earlier.
    """
    listener = _Told()
    done: set[int] = set()
    following = 0
    with executor:  # its end, also that of whoever asks for no more frames, ends the processes
        jobs = (Job(number, task) for number, task in enumerate(tasks))
        for number, _ in executor.run(decode_part, jobs, listener):
            done.add(number)
            while following in done:
                for message in _drained(listener.messages.pop(following)):
                    assert isinstance(message, Frames)
                    yield message
                following += 1


def _drained(messages: deque[object]) -> Iterator[object]:
    """Yield messages, each of which is let go of."""
    while messages:
        yield messages.popleft()
