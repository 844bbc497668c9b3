"""How many segments are done at once, on what, and with how many threads each.

Nothing here needs torch.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nervcodec.util.threads import n_cores
from nervcodec.util.validation import check_range

MAX_JOBS = 1024
# Below so many multiply-adds in all, processes take longer to start than they save.
_WORTH_MACS = 50e9
JobsChoice = int | Literal["auto"]


@dataclass(frozen=True)
class Concurrency:
    """How many segments are done at once.

    Attributes:
        n_jobs: so many.
        n_threads: CPU threads of each; None leaves torch's number.
        reason: what decided their number, for people.
    """

    n_jobs: int
    n_threads: int | None
    reason: str


def check_jobs(jobs: JobsChoice) -> None:
    """Raise ConfigError for a number of jobs that cannot be."""
    if jobs != "auto":
        check_range("jobs", jobs, 1, MAX_JOBS)


def concurrency(
    jobs: JobsChoice,
    n_threads: int | None,
    *,
    n_ready: int,
    n_gpus: int,
    job_bytes: int,
    free_bytes: float | None,
    work_macs: float,
) -> Concurrency:
    """Return how many segments are done at once.

    'auto' takes one job a GPU or, on CPUs, as many as there are cores for their threads, but no
    more than there are segments that need not wait for another, or than memory holds.

    Args:
        jobs: what is asked for.
        n_threads: CPU threads of each job; None shares the cores among them.
        n_ready: segments that can be done at the same time.
        n_gpus: that may be used, 0 for none.
        job_bytes: memory of a job.
        free_bytes: what there is; None where that is not known.
        work_macs: multiply-adds of all segments.
    """
    cores = n_cores()
    if jobs != "auto":
        return Concurrency(jobs, _share(n_threads, jobs, cores), "as asked")
    limits = [(n_ready, f"{n_ready} segment{'s' * (n_ready > 1)} can be done at once")]
    if work_macs < _WORTH_MACS:
        limits = [(1, "the work is too short to start processes for")]
    if n_gpus:
        limits.append((n_gpus, f"{n_gpus} GPU{'s' * (n_gpus > 1)}"))
    else:
        threads = "" if n_threads is None else f", {n_threads} threads a job"
        limits.append((max(1, cores // (n_threads or 1)), f"{cores} cores{threads}"))
    # Threads are part of what makes an encode repeatable, and free memory is not the same twice.
    shared = _share(n_threads, min(n for n, _ in limits), cores)
    if free_bytes is not None:
        limits.append(
            (
                max(1, int(free_bytes // job_bytes)),
                f"memory for them: {job_bytes / 2**20:,.0f} MiB each, {free_bytes / 2**20:,.0f} MiB"
                " are left",
            )
        )
    n_jobs, reason = min(limits, key=lambda limit: limit[0])
    return Concurrency(n_jobs, shared, reason)


def _share(n_threads: int | None, n_jobs: int, cores: int) -> int | None:
    """Return the threads of a job: those that are asked for, or its share of the cores."""
    return n_threads if n_threads or n_jobs == 1 else max(1, cores // n_jobs)


def relative_seconds(lengths: Sequence[int], n_jobs: int, *, is_independent: bool) -> float:
    """Return the time of all segments with so many jobs over that of one after the other.

    Jobs are taken in their order, and take as long as they have frames.

    Args:
        lengths: frames of the segments.
        is_independent: whether no segment waits for the first one.
    """
    free_at = [0.0] * min(n_jobs, len(lengths))
    begin = 0.0
    for number, length in enumerate(lengths):
        end = max(heapq.heappop(free_at), begin) + length
        heapq.heappush(free_at, end)
        if number == 0 and not is_independent:
            begin = end
    return max(free_at) / sum(lengths)


def devices_of(device: str, n_gpus: int) -> tuple[str, ...]:
    """Return the devices that jobs are shared among: all GPUs, where none is named."""
    if device == "cuda" and n_gpus > 1:
        return tuple(f"cuda:{number}" for number in range(n_gpus))
    return (device,)
