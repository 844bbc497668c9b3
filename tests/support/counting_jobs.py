"""Jobs that count, for tests of executors: other processes import this module."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from nervcodec.errors import ConfigError
from nervcodec.jobs.executor import Channel


@dataclass(frozen=True)
class CountTask:
    """Count from the state up to a number.

    Attributes:
        stop: the number.
        kill_at: where the worker kills itself, once for each file that is there to be removed.
        lives: a folder of such files; None lets it live.
        fail_at: where it raises.
    """

    stop: int
    kill_at: int = -1
    lives: Path | None = None
    fail_at: int = -1


def count(task: CountTask, channel: Channel) -> list[int] | None:
    """Return what was counted in this run, the worker's number last; keeps each number."""
    start = int.from_bytes(channel.state or b"\0", "little")
    counted = []
    for number in range(start, task.stop):
        if number == task.kill_at and task.lives and (lives := sorted(task.lives.iterdir())):
            lives[0].unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == task.fail_at:
            raise ConfigError(f"number is {number}; legal: others")
        counted.append(number)
        channel.tell(f"counted {number}")
        channel.keep((number + 1).to_bytes(2, "little"))
        if channel.is_ending():
            return None
    return [*counted, channel.worker]


def wait_for_the_end(task: object, channel: Channel) -> None:
    """Keep a state, and return once the job is asked to end."""
    channel.keep(b"waiting")
    while not channel.is_ending():
        time.sleep(0.01)
    channel.keep(b"ended")


@dataclass
class Heard:
    """A listener that keeps what it hears; it ends once so many states were kept."""

    end_after: int | None = None
    told_by: dict[int, list[object]] = field(default_factory=dict)
    kept_by: dict[int, list[bytes]] = field(default_factory=dict)
    losses: list[int] = field(default_factory=list)

    def told(self, number: int, message: object) -> None:
        self.told_by.setdefault(number, []).append(message)

    def kept(self, number: int, state: bytes) -> None:
        self.kept_by.setdefault(number, []).append(state)

    def lost(self, number: int) -> None:
        self.losses.append(number)

    def is_ending(self) -> bool:
        n_kept = sum(map(len, self.kept_by.values()))
        return self.end_after is not None and n_kept >= self.end_after
