"""nervcodec.jobs: executors give what jobs return, hear what they say and outlive their workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_jobs import CountTask, Heard, count, wait_for_the_end

from nervcodec.errors import ConfigError, ResourceError
from nervcodec.jobs.executor import Executor, Job, SerialExecutor
from nervcodec.jobs.processes import MAX_LOSSES, ProcessExecutor


@pytest.fixture(scope="module", params=["serial", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made: Executor = SerialExecutor() if request.param == "serial" else ProcessExecutor(2)
    with made:
        yield made


def lives(folder: Path, n: int) -> Path:
    """A folder of n files."""
    folder.mkdir()
    for number in range(n):
        (folder / str(number)).touch()
    return folder


def test_all_jobs_are_done(executor: Executor) -> None:
    """Each gives its result once, from the state it has, and what it says arrives in its order."""
    heard = Heard()
    jobs = (Job(n, CountTask(3), b"\1" if n == 4 else None) for n in range(5))
    results = dict(executor.run(count, jobs, heard))
    assert sorted(results) == list(range(5))
    counted = {number: result[:-1] for number, result in results.items() if result}
    assert counted == {**dict.fromkeys(range(4), [0, 1, 2]), 4: [1, 2]}
    assert {result[-1] for result in results.values() if result} == set(range(executor.n_jobs))
    assert heard.told_by[0] == ["counted 0", "counted 1", "counted 2"]
    assert heard.kept_by[4] == [b"\2\0", b"\3\0"] and not heard.losses


def test_jobs_end_when_asked(executor: Executor) -> None:
    """Those that run keep their state and give None; no other begins."""
    heard = Heard(end_after=executor.n_jobs)
    results = list(executor.run(wait_for_the_end, (Job(n, None) for n in range(5)), heard))
    assert sorted(results) == [(n, None) for n in range(executor.n_jobs)]
    assert heard.kept_by == dict.fromkeys(range(executor.n_jobs), [b"waiting", b"ended"])


def test_what_a_job_raises_is_raised() -> None:
    """As it is, and the other jobs keep their states before."""
    heard = Heard()
    jobs = [Job(0, CountTask(10**9)), Job(1, CountTask(5, fail_at=4))]
    with ProcessExecutor(2) as processes:
        with pytest.raises(ConfigError, match="^number is 4; legal: others$"):
            list(processes.run(count, jobs, heard))
    assert heard.kept_by[1][-1] == b"\4\0" and 0 in heard.kept_by


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """The job goes on from its last state, others hear nothing of it; killed again and again
    without getting on, it is given up.
    """
    heard = Heard()
    jobs = [Job(0, CountTask(6, kill_at=4, lives=lives(tmp_path / "one", 1))), Job(1, CountTask(9))]
    with ProcessExecutor(2) as processes:
        results = dict(processes.run(count, jobs, heard))
        assert (results[0], heard.losses) == ([4, 5, 0], [0])
        assert heard.kept_by[0] == [bytes([n, 0]) for n in range(1, 7)]
        many = lives(tmp_path / "many", 99)
        with pytest.raises(ResourceError, match="job 1: its process was killed 4 times"):
            list(processes.run(count, [Job(0, CountTask(6, kill_at=2, lives=many))], heard))
    assert heard.losses == [0] * (1 + MAX_LOSSES)
