"""nervcodec.jobs.ray_cluster: jobs as tasks of two nodes give what jobs here give."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_jobs import CountTask, Heard, count, wait_for_the_end

from nervcodec.errors import ConfigError, DependencyError, ResourceError
from nervcodec.jobs.executor import Job
from nervcodec.jobs.ray_cluster import MAX_RETRIES, RayExecutor


def test_without_ray_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what installs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"pip install 'nervcodec\[ray\]' installs it"):
        RayExecutor("auto", 1)


@pytest.mark.needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:1", "cluster", "127.0.0.1:99999"])
def test_there_is_no_such_cluster(address: str) -> None:
    """An address that nobody listens at is an error of one line."""
    with pytest.raises(ResourceError, match=f"no Ray cluster at {address!r}"):
        RayExecutor(address, 1)


@pytest.fixture(scope="module")
def cluster(ray_cluster: str) -> Iterator[RayExecutor]:
    with RayExecutor(ray_cluster, 1) as executor:
        yield executor


@pytest.mark.needs_ray
@pytest.mark.slow
def test_all_jobs_are_done(cluster: RayExecutor) -> None:
    """Each gives its result once, from the state it has, and what it says arrives in its order."""
    assert (cluster.n_jobs, cluster.place) == (2, "a Ray cluster of 2 nodes")
    heard = Heard()
    jobs = (Job(n, CountTask(3), b"\1" if n == 4 else None) for n in range(5))
    results = dict(cluster.run(count, jobs, heard))
    counted = {number: result[:-1] for number, result in results.items() if result}
    assert counted == {**dict.fromkeys(range(4), [0, 1, 2]), 4: [1, 2]}
    assert heard.told_by[0] == ["counted 0", "counted 1", "counted 2"]
    assert heard.kept_by[4] == [b"\2\0", b"\3\0"] and not heard.losses


@pytest.mark.needs_ray
@pytest.mark.slow
def test_jobs_end_when_asked(cluster: RayExecutor) -> None:
    """Those that run keep their state and give None; no other begins."""
    heard = Heard(end_after=2)
    results = list(cluster.run(wait_for_the_end, (Job(n, None) for n in range(5)), heard))
    assert sorted(results) == [(0, None), (1, None)]
    assert heard.kept_by == dict.fromkeys((0, 1), [b"waiting", b"ended"])


@pytest.mark.needs_ray
@pytest.mark.slow
def test_what_a_job_raises_is_raised(cluster: RayExecutor) -> None:
    """As it is, and the other jobs end."""
    jobs = [Job(0, CountTask(10**9)), Job(1, CountTask(5, fail_at=4))]
    with pytest.raises(ConfigError, match="^number is 4; legal: others$"):
        list(cluster.run(count, jobs, Heard()))


@pytest.mark.needs_ray
@pytest.mark.slow
def test_a_killed_worker_is_replaced(cluster: RayExecutor, tmp_path: Path) -> None:
    """The job goes on from its last state; killed again and again, it is given up."""
    one, many = tmp_path / "one", tmp_path / "many"
    for folder, n in ((one, 1), (many, 99)):
        folder.mkdir()
        for number in range(n):
            (folder / str(number)).touch()
    heard = Heard()
    jobs = [Job(0, CountTask(6, kill_at=4, lives=one)), Job(1, CountTask(9))]
    results = dict(cluster.run(count, jobs, heard))
    assert (results[0], heard.losses) == ([4, 5, 0], [0])
    assert heard.kept_by[0] == [bytes([n, 0]) for n in range(1, 7)]
    with pytest.raises(ResourceError, match=f"job 1: its workers died {MAX_RETRIES + 1} times"):
        list(cluster.run(count, [Job(0, CountTask(6, kill_at=2, lives=many))], heard))
