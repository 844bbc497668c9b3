"""Work that is done on a thread of its own while its results are used: what computes lets go of
Python's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
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
