"""Work that is done on a thread of its own while its results are used: what computes lets go of
Python's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_END: Any = object()


def prefetch(items: Iterator[Item], n: int) -> Generator[Item, None, None]:
    """Yield the items in their order, of which up to n are made on another thread before they are
    asked for.

    What making one raises is raised when that one is asked for. Whoever stops early waits for the
    item in the making.
    """
    with ThreadPoolExecutor(1, "prefetch") as thread:
        coming: deque[Future[Item]] = deque(thread.submit(next, items, _END) for _ in range(n))
        try:
            while (item := coming.popleft().result()) is not _END:
                coming.append(thread.submit(next, items, _END))
                yield item
        finally:
            for future in coming:
                future.cancel()


def in_threads(
    work: Callable[[Item], Made], items: Iterable[Item], n_threads: int
) -> Generator[Made, None, None]:
    """Yield what work makes of each item, in their order, on so many threads at once.

    Up to twice as many as threads are made before they are asked for. What making one raises is
    raised when that one is asked for. Whoever stops early waits for those in the making.
    """
    with ThreadPoolExecutor(n_threads, "work") as pool:
        coming: deque[Future[Made]] = deque()
        try:
            for item in items:
                coming.append(pool.submit(work, item))
                if len(coming) > 2 * n_threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()
