"""Jobs in processes of this machine: concurrent.futures, with a pipe to each worker.

Each worker is a pool of one process, so that one that dies takes no other with it. Processes are
spawned: a fork of a program whose threads hold locks may hang. Workers ignore Ctrl-C and the other
signals that end a program, which a terminal or a service manager sends to all of its processes:
whoever started them tells them to end. They die with the process that started them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from nervcodec.errors import ResourceError
from nervcodec.jobs.executor import Job, Listener, Result, Task, Work
from nervcodec.util.memory import keep_freed_memory
from nervcodec.util.threads import limit_spinning

MAX_LOSSES = 3  # of a job's workers, one after the other without a state that is new
_POLL_S = 0.2  # between looks at whether to end
_TOLD, _KEPT, _PID = "told", "kept", "pid"


class ProcessExecutor:
    """Does up to n_jobs jobs at once, each in a process."""

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs
        self.place = f"{n_jobs} processes"
        self._workers: list[_Worker] = [_Worker(number) for number in range(n_jobs)]

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.kill()

    def run(
        self, work: Work[Task, Result], jobs: Iterable[Job[Task]], listener: Listener
    ) -> Iterator[tuple[int, Result | None]]:
        """Yield (number, result) of each job as it is done; see Executor."""
        workers = self._workers
        waiting = iter(jobs)
        try:
            while True:
                for worker in workers:
                    if worker.job is None and not listener.is_ending():
                        job = next(waiting, None)
                        if job is not None:
                            worker.begin(work, job)
                busy = [worker for worker in workers if worker.job is not None]
                if not busy:
                    return
                wait([worker.connection for worker in busy], _POLL_S)
                for worker in busy:
                    if listener.is_ending():
                        worker.end()
                    worker.listen(listener)
                    if worker.future.done():
                        yield from _result(worker, work, listener)
        except Exception:
            _end_all(workers, listener)
            raise
        finally:
            for worker in workers:
                if worker.job is not None:
                    worker.kill()


def _result(worker: _Worker, work: Work[Any, Any], listener: Listener) -> Iterator[tuple[int, Any]]:
    """Yield what a worker's job returned; if the worker died, begin it again, or give it up if all
    jobs are to end.
    """
    worker.listen(listener)
    job = worker.job
    assert job is not None
    error = worker.future.exception()
    if not isinstance(error, BrokenProcessPool):
        worker.job = None
        yield job.number, worker.future.result()
        return
    worker.kill()
    if listener.is_ending():
        worker.job = None
        yield job.number, None
        return
    worker.n_losses += 1
    if worker.n_losses > MAX_LOSSES:
        raise ResourceError(
            f"job {job.number + 1}: its process was killed {worker.n_losses} times; where memory is"
            " short, fewer --jobs take less"
        )
    listener.lost(job.number)
    worker.start(work)


def _end_all(workers: list[_Worker], listener: Listener) -> None:
    """Have all jobs end and keep their states."""
    busy = [worker for worker in workers if worker.job is not None and not worker.future.done()]
    for worker in busy:
        worker.end()
    while left := [worker for worker in busy if not worker.future.done()]:
        wait([worker.connection for worker in left], _POLL_S)
        for worker in left:
            worker.listen(listener)
    for worker in busy:
        worker.listen(listener)


class _Worker:
    """A process that does one job at a time, and the pipe to it."""

    connection: Connection
    future: Future[Any]

    def __init__(self, number: int) -> None:
        self.number = number
        self.job: Job[Any] | None = None
        self.n_losses = 0
        self._pool: ProcessPoolExecutor | None = None
        self._pid: int | None = None
        self._is_ending = False

    def begin(self, work: Work[Any, Any], job: Job[Any]) -> None:
        """Begin a job."""
        self.job, self.n_losses = job, 0
        self.start(work)

    def start(self, work: Work[Any, Any]) -> None:
        """Do the job from its last state on, in a process that may have to be started."""
        assert self.job is not None
        theirs = None
        if self._pool is None:
            self.connection, theirs = multiprocessing.Pipe()
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, _begin_worker, (theirs, self.number))
        with _hidden_program():
            self.future = self._pool.submit(_do, work, self.job)
        if theirs is not None:
            theirs.close()  # so that the pipe ends with the worker

    def listen(self, listener: Listener) -> None:
        """Hand on what has arrived."""
        with contextlib.suppress(EOFError, OSError):
            while self.connection.poll():
                kind, value = self.connection.recv()
                if kind == _PID:
                    self._pid = value
                elif self.job is None:
                    continue
                elif kind == _TOLD:
                    listener.told(self.job.number, value)
                else:
                    self.n_losses = 0
                    self.job = Job(self.job.number, self.job.task, value)
                    listener.kept(self.job.number, value)

    def end(self) -> None:
        """Ask the job to end, once."""
        if not self._is_ending:
            self._is_ending = True
            with contextlib.suppress(OSError):
                self.connection.send(None)

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self._pool is None:
            return
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        self._pool.shutdown(wait=self._pid is not None, cancel_futures=True)
        self.connection.close()
        self._pool = self._pid = None


@contextlib.contextmanager
def _hidden_program() -> Iterator[None]:
    """Have a process that is started within not import the program that this one runs.

    Jobs are of modules; a program without `if __name__ == "__main__"` would begin anew there.
    """
    main = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {
        name: main.pop(name) for name in ("__file__", "__spec__") if name in main
    }
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)


@dataclass
class _PipeChannel:
    """The channel of a job in a worker."""

    connection: Connection
    worker: int
    state: bytes | None

    def tell(self, message: object) -> None:
        self.connection.send((_TOLD, message))

    def keep(self, state: bytes) -> None:
        self.state = state
        self.connection.send((_KEPT, state))

    def is_ending(self) -> bool:
        return self.connection.poll()  # the only thing that a worker is told is to end


_channel: _PipeChannel  # of the worker that this process is


def _begin_worker(connection: Connection, number: int) -> None:
    """Make ready a process that does jobs."""
    global _channel
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    keep_freed_memory()
    limit_spinning()
    _channel = _PipeChannel(connection, number, None)
    connection.send((_PID, os.getpid()))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _do(work: Work[Any, Any], job: Job[Any]) -> Any:
    """Do a job in a worker."""
    _channel.state = job.state
    return work(job.task, _channel)
