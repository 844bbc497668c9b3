"""Whether a .nvpp file still decodes to what its encoder saw: container, streams, then the sums of
its frames.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from nervcodec.decoder.digest import FrameSummer
from nervcodec.format.container import load
from nervcodec.format.file import FrameSums
from nervcodec.format.limits import Limits, file_memory_bytes
from nervcodec.jobs.concurrency import JobsChoice, check_jobs
from nervcodec.jobs.executor import Executor, SerialExecutor
from nervcodec.jobs.processes import ProcessExecutor
from nervcodec.util.address_space import check_memory

SCHEMA = "nervcodec.verify/1"
# Levels by which a plane's samples may be off in the mean: another order of summation moves a few
# samples in a million by one, so that this leaves room for arithmetic some thousand times less
# exact.
MAX_DRIFT = 0.02
Verdict = Literal["exact", "near", "unknown", "differs"]  # from the best to the worst


@dataclass(frozen=True)
class SegmentVerdict:
    """How the frames first..first + n_frames - 1 compare with what the encoder stored of them.

    Attributes:
        verdict: 'exact', 'near' (float arithmetic moves samples by one), 'differs' (more than
            MAX_DRIFT) or 'unknown' (nothing is stored).
        drifts: mean of decoded less encoded samples, in levels, of Y, U, V or R, G, B; None if
            nothing is stored.
    """

    first: int
    n_frames: int
    verdict: Verdict
    drifts: tuple[float, ...] | None


@dataclass(frozen=True)
class Verification:
    """How a file compares with what its encoder stored of its frames.

    Attributes:
        source: the file, as it was given.
        n_bytes: its size.
        device: where it was decoded.
        segments: the verdict of each segment.
    """

    source: str
    n_bytes: int
    device: str
    segments: tuple[SegmentVerdict, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the segments'."""
        return max((segment.verdict for segment in self.segments), key=get_args(Verdict).index)

    @property
    def worst_drift(self) -> float:
        """The largest magnitude of all drifts, in levels; 0 where none is known."""
        return max(
            (abs(drift) for segment in self.segments for drift in segment.drifts or ()), default=0.0
        )

    @property
    def complaint(self) -> str | None:
        """What is wrong, where something is."""
        wrong = [segment for segment in self.segments if segment.verdict == "differs"]
        if not wrong:
            return None
        first = wrong[0]
        drifts = ", ".join(f"{drift:+.3f}" for drift in first.drifts or ())
        others = (
            f" ({len(wrong)} segments of {len(self.segments)} differ)" if len(wrong) > 1 else ""
        )
        return (
            f"frames {first.first} to {first.first + first.n_frames - 1} differ from what"
            f" was encoded: their planes are off by {drifts} levels in the mean; legal: within"
            f" {MAX_DRIFT:g}{others}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec verify --json` (docs/reference/json.md)."""
        return {
            "schema": SCHEMA,
            "input": self.source,
            "bytes": self.n_bytes,
            "device": self.device,
            "verdict": self.verdict,
            "worst_drift": self.worst_drift,
            "segments": [asdict(segment) for segment in self.segments],
        }


def verify(
    source: str | os.PathLike[str],
    *,
    limits: Limits = Limits(),
    device: str = "auto",
    n_threads: int | None = None,
    jobs: JobsChoice = "auto",
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check the container, decode every frame and compare with the sums that the encoder stored.

    Args:
        limits: a file that asks for more is refused before anything is allocated.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        jobs, n_threads: as in DecodeOptions.
        on_progress: called with (frames decoded, frames in all).
    Raises:
        ConfigError: no such device or number of threads.
        VideoError: the file cannot be read.
        BitstreamError: it is damaged, or its streams are none that an encoder writes.
        LimitExceeded: it asks for more than `limits`.
    """
    check_jobs(jobs)
    file = load(source)
    limits.check(file)
    from nervcodec.decoder.segment_jobs import DecodeTask, chosen_jobs, summed
    from nervcodec.nn.device import choose_device, set_threads

    device = choose_device(device)
    check_memory(file_memory_bytes(file), "verifying")
    chosen = chosen_jobs(jobs, n_threads, file, len(file.segments), file.n_coded_frames)
    each = set_threads(chosen.n_threads)
    model = file.header.model
    tasks = [DecodeTask(s, model, range(s.n_frames), device, each) for s in file.segments]
    executor: Executor = ProcessExecutor(chosen.n_jobs) if chosen.n_jobs > 1 else SerialExecutor()
    summers = summed(executor, tasks, on_progress)
    first = 0
    verdicts = []
    for segment, n_shown, summer in zip(file.segments, file.shown_lengths, summers, strict=True):
        verdicts.append(_verdict(range(first, first + n_shown), summer, segment.sums))
        first += n_shown
    return Verification(os.fspath(source), file.n_bytes, device, tuple(verdicts))


def _verdict(shown: range, summer: FrameSummer, stored: FrameSums | None) -> SegmentVerdict:
    """Return the verdict on one segment's decoded frames, which are shown at these places."""
    first, n_frames = shown.start, len(shown)
    if stored is None:
        return SegmentVerdict(first, n_frames, "unknown", None)
    drifts = summer.drifts(stored)
    if summer.result() == stored:
        return SegmentVerdict(first, n_frames, "exact", drifts)
    is_near = max(map(abs, drifts)) <= MAX_DRIFT
    return SegmentVerdict(first, n_frames, "near" if is_near else "differs", drifts)
