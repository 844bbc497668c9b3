"""nervcodec.jobs.concurrency: how many jobs there are, and what they gain."""

from __future__ import annotations

from typing import Any

import pytest

from nervcodec.jobs import concurrency as module
from nervcodec.jobs.concurrency import (
    Concurrency,
    JobsChoice,
    concurrency,
    devices_of,
    relative_seconds,
)

MANY = 1e15  # multiply-adds of a long fit


def chosen(
    monkeypatch: pytest.MonkeyPatch, jobs: JobsChoice = "auto", cores: int = 8, **changes: Any
) -> Concurrency:
    """What is chosen for 20 segments of 1 GiB each, unless something else is said."""
    monkeypatch.setattr(module, "n_cores", lambda: cores)
    settings: dict[str, Any] = {
        "n_threads": None,
        "n_ready": 20,
        "n_gpus": 0,
        "job_bytes": 2**30,
        "free_bytes": 2.0**40,
        "work_macs": MANY,
    }
    return concurrency(jobs, **settings | changes)


@pytest.mark.parametrize(
    ("changes", "n_jobs", "n_threads", "reason"),
    [
        ({}, 8, 1, "8 cores"),
        ({"n_threads": 2}, 4, 2, "8 cores, 2 threads a job"),
        ({"n_threads": 16}, 1, 16, "8 cores, 16 threads a job"),
        ({"n_ready": 3}, 3, 2, "3 segments can be done at once"),
        ({"n_ready": 1}, 1, None, "1 segment can be done at once"),
        ({"n_gpus": 2}, 2, 4, "2 GPUs"),
        ({"free_bytes": 3.5 * 2**30}, 3, 1, "memory for them: 1,024 MiB each, 3,584 MiB are left"),
        ({"free_bytes": 5.0}, 1, 1, "memory for them: 1,024 MiB each, 0 MiB are left"),
        ({"free_bytes": None}, 8, 1, "8 cores"),
        ({"work_macs": 1e9}, 1, None, "the work is too short to start processes for"),
    ],
)
def test_what_limits_the_jobs(
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    n_jobs: int,
    n_threads: int | None,
    reason: str,
) -> None:
    """The least of what cores, GPUs, segments and memory allow, and it says which; threads do not
    depend on the memory that happens to be free.
    """
    assert chosen(monkeypatch, **changes) == Concurrency(n_jobs, n_threads, reason)


def test_a_number_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads are its share of the cores, at least one, unless they are asked for too."""
    assert chosen(monkeypatch, 3) == Concurrency(3, 2, "as asked")
    assert chosen(monkeypatch, 20) == Concurrency(20, 1, "as asked")
    assert chosen(monkeypatch, 3, n_threads=5) == Concurrency(3, 5, "as asked")
    assert chosen(monkeypatch, 1) == Concurrency(1, None, "as asked")


@pytest.mark.parametrize(
    ("lengths", "n_jobs", "is_independent", "seconds"),
    [
        ([10, 10, 10, 10], 1, True, 1.0),
        ([10, 10, 10, 10], 2, True, 0.5),
        ([10, 10, 10, 10], 2, False, 0.75),  # the first alone, then two, then one
        ([10, 10, 10, 10], 8, False, 0.5),
        ([10, 30], 2, True, 0.75),
    ],
)
def test_what_jobs_gain(
    lengths: list[int], n_jobs: int, is_independent: bool, seconds: float
) -> None:
    """Of the time of one job, where each segment takes as long as it has frames."""
    assert relative_seconds(lengths, n_jobs, is_independent=is_independent) == seconds


def test_jobs_share_all_gpus() -> None:
    """Unless one of them is named."""
    assert devices_of("cuda", 3) == ("cuda:0", "cuda:1", "cuda:2")
    assert devices_of("cuda", 1) == ("cuda",)
    assert devices_of("cuda:1", 1) == ("cuda:1",)
    assert devices_of("cpu", 0) == ("cpu",)
