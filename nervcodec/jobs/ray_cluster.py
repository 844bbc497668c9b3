"""Jobs as tasks of a Ray cluster: the one door to Ray.

A task that its worker or node takes down with it is begun again by Ray, on whatever is left. A
mailbox, an actor on the driver's node, has the last state that each job kept, and what the driver
has not heard yet.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

from nervcodec.errors import DependencyError, NervCodecError, ResourceError
from nervcodec.jobs.executor import Job, Listener, Result, Task, Work

MAX_RETRIES = 3  # of a task whose worker dies
_POLL_S = 0.2
_CONNECT_S = 10.0


def _ray() -> Any:
    """Return Ray's module.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise DependencyError(
            "--ray needs the package ray; pip install 'nervcodec[ray]' installs it"
        ) from None
    return ray


def _check_reachable(address: str) -> None:
    """Raise where nobody listens: Ray itself would wait for minutes.

    Raises:
        ResourceError: with what would be legal.
    """
    host, _, port = address.rpartition(":")
    reason = "no HOST:PORT"
    if host and port.isdecimal() and int(port) < 1 << 16:
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
            return
        except OSError as error:
            reason = error.strerror or str(error)
    raise ResourceError(
        f"no Ray cluster at {address!r} ({reason}); legal: auto, or the HOST:PORT that 'ray start"
        " --head' says"
    )


@contextlib.contextmanager
def local_cluster(n_nodes: int) -> Iterator[str]:
    """Yield the address of a cluster of so many nodes on this machine, a CPU each, to try it out.

    Raises:
        DependencyError: Ray is not installed.
    """
    _ray()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        for _ in range(n_nodes - 1):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


class _Mailbox:
    """What jobs say, until the driver asks for it; the body of an actor."""

    def __init__(self) -> None:
        self._letters: list[tuple[int, str, Any]] = []
        self._states: dict[int, bytes] = {}
        self._begun: set[int] = set()
        self._is_ending = False

    def begin(self, number: int) -> bytes | None:
        """Return the last state of a job that begins, perhaps not for the first time."""
        if number in self._begun:
            self._letters.append((number, "lost", None))
        self._begun.add(number)
        return self._states.get(number)

    def tell(self, number: int, message: object) -> bool:
        """Take what a job tells; return whether all jobs are to end."""
        self._letters.append((number, "told", message))
        return self._is_ending

    def keep(self, number: int, state: bytes) -> None:
        """Keep the state of a job."""
        self._states[number] = state
        self._letters.append((number, "kept", state))

    def finish(self, number: int) -> None:
        """Forget a job."""
        self._states.pop(number, None)
        self._begun.discard(number)

    def drain(self, is_ending: bool) -> list[tuple[int, str, Any]]:
        """Return what is new; take whether all jobs are to end."""
        self._is_ending = is_ending
        letters, self._letters = self._letters, []
        return letters

    def is_ending(self) -> bool:
        """Return whether all jobs are to end."""
        return self._is_ending


class _MailboxChannel:
    """The channel of a job in a task."""

    worker = 0  # Ray shows each task its own GPUs alone

    def __init__(self, number: int, mailbox: Any, state: bytes | None) -> None:
        self.state = state
        self._number = number
        self._mailbox = mailbox
        self._asked_s = time.monotonic()
        self._answer: Any = None
        self._is_ending = False

    def tell(self, message: object) -> None:
        self._mailbox.tell.remote(self._number, message)

    def keep(self, state: bytes) -> None:
        self.state = state
        # A state counts once it has left this worker.
        _ray().get(self._mailbox.keep.remote(self._number, state))

    def is_ending(self) -> bool:
        """Whether to end, as of the last answer: a question takes longer than a step may."""
        now = time.monotonic()
        if self._answer is not None:
            ready, _ = _ray().wait([self._answer], timeout=0)
            if ready:
                self._is_ending = _ray().get(self._answer)
                self._answer = None
        elif now - self._asked_s >= _POLL_S:
            self._asked_s = now
            self._answer = self._mailbox.is_ending.remote()
        return self._is_ending


def _do(work: Work[Any, Any], job: Job[Any], mailbox: Any) -> Any:
    """Do a job in a task."""
    state = _ray().get(mailbox.begin.remote(job.number))
    channel = _MailboxChannel(job.number, mailbox, job.state if state is None else state)
    try:
        return work(job.task, channel)
    except NervCodecError as error:
        return error  # as it is: Ray would wrap it


class RayExecutor:
    """Does jobs as tasks of a Ray cluster.

    Args:
        address: of the cluster; 'auto' takes the one that this machine belongs to or, where there
            is none, begins one of this machine alone.
        n_cpus: of each task; None takes 1.
        uses_gpu: whether each task takes a GPU.
        n_jobs: done at once; None takes as many as the cluster has room for.
    Raises:
        DependencyError: Ray is not installed.
        ResourceError: there is no such cluster.
    """

    def __init__(
        self, address: str, n_cpus: int | None, *, uses_gpu: bool = False, n_jobs: int | None = None
    ) -> None:
        ray = _ray()
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            if address != "auto":
                _check_reachable(address)
            where = None if address == "auto" else address
            ray.init(where, log_to_driver=False, logging_level="error")
        self._n_cpus = n_cpus or 1
        self._n_gpus = int(uses_gpu)
        self._n_asked = n_jobs

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_ours:
            _ray().shutdown()

    @property
    def n_jobs(self) -> int:
        """How many tasks the cluster has room for now, or that are asked for."""
        if self._n_asked is not None:
            return self._n_asked
        has = _ray().cluster_resources()
        room = has.get("GPU", 0) if self._n_gpus else has.get("CPU", 0) // self._n_cpus
        return max(1, int(room))

    @property
    def place(self) -> str:
        """Where jobs are done, for people."""
        n_nodes = sum(bool(node["Alive"]) for node in _ray().nodes())
        return f"a Ray cluster of {n_nodes} nodes"

    def run(
        self, work: Work[Task, Result], jobs: Iterable[Job[Task]], listener: Listener
    ) -> Iterator[tuple[int, Result | None]]:
        """Yield (number, result) of each job as it is done; see Executor."""
        ray = _ray()
        mailbox = self._mailbox()
        task = ray.remote(_do).options(
            num_cpus=self._n_cpus, num_gpus=self._n_gpus, max_retries=MAX_RETRIES
        )
        running: dict[Any, int] = {}
        waiting = iter(jobs)
        try:
            while True:
                while not listener.is_ending() and len(running) < self.n_jobs:
                    job = next(waiting, None)
                    if job is None:
                        break
                    running[task.remote(work, job, mailbox)] = job.number
                    del job  # so that no task is held while the next one is made
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=len(running), timeout=_POLL_S)
                _hear(mailbox, listener)
                for reference in done:
                    number = running.pop(reference)
                    yield number, _result(reference, number, listener)
                    mailbox.finish.remote(number)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            ray.kill(mailbox)

    def _mailbox(self) -> Any:
        """Return a mailbox on the node of the driver: it must not go with another one."""
        ray = _ray()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        return ray.remote(_Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()


def _hear(mailbox: Any, listener: Listener) -> None:
    """Hand on what has arrived."""
    for number, kind, value in _ray().get(mailbox.drain.remote(listener.is_ending())):
        if kind == "told":
            listener.told(number, value)
        elif kind == "kept":
            listener.kept(number, value)
        else:
            listener.lost(number)


def _result(reference: Any, number: int, listener: Listener) -> Any:
    """Return what a job returned; None if it was lost while all were ending.

    Raises:
        ResourceError: its workers died again and again.
        NervCodecError: what it raised.
    """
    ray = _ray()
    lost = ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError
    with contextlib.suppress(*(lost if listener.is_ending() else ())):
        try:
            result = ray.get(reference)
        except lost as error:
            if listener.is_ending():
                raise
            raise ResourceError(
                f"job {number + 1}: its workers died {MAX_RETRIES + 1} times"
                f" ({type(error).__name__}); where memory is short, fewer --jobs take less"
            ) from None
        if isinstance(result, NervCodecError):
            raise result
        return result
    return None
