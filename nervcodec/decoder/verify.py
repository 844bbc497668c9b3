"""Whether a .nvpp file still decodes to what its encoder saw: container, streams, then the MD5 of
its frames.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from nervcodec.decoder.engines import EngineChoice, choose_engine
from nervcodec.format.container import load
from nervcodec.format.file import File, Segment
from nervcodec.format.limits import Limits, file_memory_bytes
from nervcodec.jobs.concurrency import JobsChoice, check_jobs
from nervcodec.jobs.executor import Executor, SerialExecutor
from nervcodec.jobs.processes import ProcessExecutor
from nervcodec.util.address_space import check_memory

if TYPE_CHECKING:
    from nervcodec.decoder.framemd5 import FrameMd5s
    from nervcodec.decoder.segment_jobs import DecodeTask

SCHEMA = "nervcodec.verify/1"
Verdict = Literal["exact", "unknown", "differs"]  # from the best to the worst


@dataclass(frozen=True)
class SegmentVerdict:
    """How the shown frames first..first + n_frames - 1 compare with what the encoder stored of
    them.

    Attributes:
        verdict: 'exact', 'differs' or 'unknown' (nothing is stored).
        md5: of the segment's coded frames as they are decoded here, 32 hexadecimal digits
            (nvpp-format.md section 6.2).
        stored_md5: what the file says of them; None if nothing.
    """

    first: int
    n_frames: int
    verdict: Verdict
    md5: str
    stored_md5: str | None


@dataclass(frozen=True)
class Verification:
    """How a file compares with what its encoder stored of its frames.

    Attributes:
        source: the file, as it was given.
        n_bytes: its size.
        engine: what decoded it, 'torch' or 'numpy'.
        device: where it was decoded.
        segments: the verdict of each segment.
        md5: of all shown frames, repeats and all, 32 hexadecimal digits; None where the file has
            several segments or repeats and frames were not asked for.
        frames: the MD5 of each; None where they were not asked for.
    """

    source: str
    n_bytes: int
    engine: str
    device: str
    segments: tuple[SegmentVerdict, ...]
    md5: str | None
    frames: FrameMd5s | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of the segments'."""
        return max((segment.verdict for segment in self.segments), key=get_args(Verdict).index)

    @property
    def complaint(self) -> str | None:
        """What is wrong, where something is."""
        wrong = [segment for segment in self.segments if segment.verdict == "differs"]
        if not wrong:
            return None
        first = wrong[0]
        others = (
            f" ({len(wrong)} segments of {len(self.segments)} differ)" if len(wrong) > 1 else ""
        )
        return (
            f"frames {first.first} to {first.first + first.n_frames - 1} differ from what was"
            f" encoded: their MD5 is {first.md5}, that of the encoder's {first.stored_md5}{others}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec verify --json` (docs/reference/json.md)."""
        return {
            "schema": SCHEMA,
            "input": self.source,
            "bytes": self.n_bytes,
            "engine": self.engine,
            "device": self.device,
            "verdict": self.verdict,
            "md5": self.md5,
            "segments": [asdict(segment) for segment in self.segments],
            "frame_md5": self.frames.each if self.frames else None,
        }


def verify(
    source: str | os.PathLike[str],
    *,
    limits: Limits = Limits(),
    engine: EngineChoice = "auto",
    device: str = "auto",
    n_threads: int | None = None,
    jobs: JobsChoice = "auto",
    each_frame: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check the container, decode every frame and compare with the MD5 that the encoder stored.

    Args:
        limits: a file that asks for more is refused before anything is allocated.
        engine, device, jobs, n_threads: as in DecodeOptions.
        each_frame: whether to give the MD5 of each frame, too, and of all of them; they are then
            decoded in order, by one job.
        on_progress: called with (frames decoded, frames in all).
    Raises:
        ConfigError: no such engine, device or number of threads.
        DependencyError: torch is asked for, and not installed.
        VideoError: the file cannot be read.
        BitstreamError: it is damaged, or its streams are none that an encoder writes.
        LimitExceeded: it asks for more than `limits`.
    """
    check_jobs(jobs)
    file = load(source)
    limits.check(file)
    from nervcodec.decoder.segment_jobs import DecodeTask, chosen_jobs

    chosen_engine = choose_engine(engine, device, n_threads=n_threads)
    check_memory(file_memory_bytes(file), "verifying")
    jobs = 1 if each_frame else jobs
    chosen = chosen_jobs(jobs, n_threads, file, len(file.segments), file.n_coded_frames)
    each = replace(chosen_engine, n_threads=chosen.n_threads)
    model = file.header.model
    tasks = [DecodeTask(s, model, range(s.n_frames), each) for s in file.segments]
    digests, frames = _hashed(file, tasks, chosen.n_jobs, each_frame, on_progress)
    first = 0
    verdicts = []
    for segment, n_shown, md5 in zip(file.segments, file.shown_lengths, digests, strict=True):
        verdicts.append(_verdict(range(first, first + n_shown), md5, segment))
        first += n_shown
    is_whole = len(digests) == 1 and file.extras.repeats is None
    whole = frames.whole if frames else digests[0].hex() if is_whole else None
    return Verification(
        os.fspath(source), file.n_bytes, each.name, each.device, tuple(verdicts), whole, frames
    )


def _hashed(
    file: File,
    tasks: list[DecodeTask],
    n_jobs: int,
    each_frame: bool,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[bytes], FrameMd5s | None]:
    """Return the MD5 of each segment and, where they are asked for, of the frames."""
    from nervcodec.decoder.framemd5 import hash_each
    from nervcodec.decoder.segment_jobs import hashed

    if each_frame:
        in_order = itertools.chain.from_iterable(task.frames() for task in tasks)
        return hash_each(file, in_order, on_progress)
    executor: Executor = ProcessExecutor(n_jobs) if n_jobs > 1 else SerialExecutor()
    return hashed(executor, tasks, on_progress), None


def _verdict(shown: range, md5: bytes, segment: Segment) -> SegmentVerdict:
    """Return the verdict on one segment's decoded frames, which are shown at these places."""
    stored = segment.md5
    verdict: Verdict = "unknown" if stored is None else "exact" if md5 == stored else "differs"
    stored_text = None if stored is None else stored.hex()
    return SegmentVerdict(shown.start, len(shown), verdict, md5.hex(), stored_text)
