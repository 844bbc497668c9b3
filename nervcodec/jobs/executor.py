"""What jobs are, how they talk while they run, and the plainest way to do them: one by one, here.

A job is a task and, if it has run before, the state that it had kept by then. The function that
does it gets a channel: it tells what is new, keeps its state from time to time, and returns None
if it is asked to end early. An executor does jobs and gives what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job(Generic[Task]):
    """Something to do.

    Attributes:
        number: of the job, by which messages and its result are told apart.
        task: what the work is given.
        state: what it had kept when it ran before; None where it begins.
    """

    number: int
    task: Task
    state: bytes | None = None


class Channel(Protocol):
    """What a running job talks through.

    Attributes:
        state: the last state that was kept of this job, by this run or one before; or None.
        worker: which worker does it, from 0; at any time each has one job at most.
    """

    @property
    def state(self) -> bytes | None: ...

    @property
    def worker(self) -> int: ...

    def tell(self, message: object) -> None:
        """Say what is new; messages arrive in their order, unless the worker dies."""

    def keep(self, state: bytes) -> None:
        """Have the state kept that the job goes on from after an interruption."""

    def is_ending(self) -> bool:
        """Whether the job is asked to keep its state and return None."""


class Listener(Protocol):
    """Whom jobs talk to; called from the thread that iterates over the results."""

    def told(self, number: int, message: object) -> None:
        """Take what a job tells."""

    def kept(self, number: int, state: bytes) -> None:
        """Take the state that a job keeps."""

    def lost(self, number: int) -> None:
        """Take that a worker died while it did a job, which is done again from its last state."""

    def is_ending(self) -> bool:
        """Whether all jobs are to end."""


Work = Callable[[Task, Channel], Result | None]


class Executor(Protocol):
    """A way to do jobs; a context, which lets go of its workers at the end.

    Attributes:
        n_jobs: how many are done at once.
        place: where, for people: 'this process', '2 processes', ...
    """

    @property
    def n_jobs(self) -> int: ...

    @property
    def place(self) -> str: ...

    def __enter__(self) -> Executor: ...

    def __exit__(self, *error: object) -> None: ...

    def run(
        self, work: Work[Task, Result], jobs: Iterable[Job[Task]], listener: Listener
    ) -> Iterator[tuple[int, Result | None]]:
        """Yield (number, result) of each job as it is done; None of jobs that end early.

        Jobs are taken one at a time as workers get free, and none once the listener ends. What a
        job raises is raised here, once the others have kept their states.

        Raises:
            ResourceError: workers die again and again.
        """


@dataclass
class LocalChannel:
    """The channel of a job that runs where its listener is."""

    number: int
    listener: Listener
    state: bytes | None
    worker: int = 0

    def tell(self, message: object) -> None:
        self.listener.told(self.number, message)

    def keep(self, state: bytes) -> None:
        self.state = state
        self.listener.kept(self.number, state)

    def is_ending(self) -> bool:
        return self.listener.is_ending()


class SerialExecutor:
    """Does jobs one after the other, in this process."""

    n_jobs = 1
    place = "this process"

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(
        self, work: Work[Task, Result], jobs: Iterable[Job[Task]], listener: Listener
    ) -> Iterator[tuple[int, Result | None]]:
        """Yield (number, result) of each job; see Executor."""
        for job in jobs:
            channel = LocalChannel(job.number, listener, job.state)
            result = work(job.task, channel)
            del job  # so that no task is held while the next one is made
            yield channel.number, result
            if listener.is_ending():
                return
