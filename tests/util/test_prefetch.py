"""nervcodec.util.prefetch: results made on other threads come in order, with their errors, and no
more of them than asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from nervcodec.util.prefetch import in_threads, prefetch


@pytest.mark.parametrize("n", [1, 2, 5, 50])
@pytest.mark.parametrize("length", [0, 1, 2, 20])
def test_order_is_kept(n: int, length: int) -> None:
    """All items come, in their order, however many are made before they are asked for."""
    assert list(prefetch(iter(range(length)), n)) == list(range(length))


def test_items_are_made_on_another_thread() -> None:
    """One thread other than the caller's makes every item."""
    names = set(prefetch((threading.current_thread().name for _ in range(9)), 2))
    assert len(names) == 1 and threading.current_thread().name not in names


@pytest.mark.parametrize("n", [1, 3])
def test_no_more_than_n_are_made_beforehand(n: int) -> None:
    """While an item is used at most n others have been begun."""
    n_begun = 0

    def items() -> Iterator[int]:
        nonlocal n_begun
        for number in range(30):
            n_begun += 1
            yield number

    for number in prefetch(items(), n):
        assert n_begun <= number + 1 + n


def test_an_error_comes_in_its_place() -> None:
    """What was made before an error still comes; then the error does."""

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("three")

    got = []
    with pytest.raises(ValueError, match="^three$"):
        for item in prefetch(items(), 3):
            got.append(item)
    assert got == [1, 2]


def test_stopping_early_ends_the_thread() -> None:
    """Whoever stops asking leaves no thread behind."""
    before = threading.active_count()
    coming = prefetch(iter(range(1000)), 2)
    assert next(coming) == 0
    coming.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("n_threads", [1, 2, 7])
@pytest.mark.parametrize("length", [0, 1, 30])
def test_several_threads_keep_the_order(n_threads: int, length: int) -> None:
    """Of what is made of each item, though later ones may be done first."""

    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        return number * number

    expected = [number * number for number in range(length)]
    assert list(in_threads(work, range(length), n_threads)) == expected


def test_several_threads_work_at_once() -> None:
    """Each of three waits for the two others."""
    barrier = threading.Barrier(3, timeout=30)
    assert sorted(in_threads(lambda _: barrier.wait(), range(3), 3)) == [0, 1, 2]


def test_several_threads_begin_no_more_than_twice_as_many() -> None:
    """Besides the item that is used; those in the making end when nobody asks for more."""
    begun: list[int] = []
    coming = in_threads(begun.append, range(30), 2)
    for n_used in range(1, 4):
        next(coming)
        assert len(begun) <= n_used + 4
    coming.close()
    assert len(begun) <= 7


def test_an_error_of_several_threads_comes_in_its_place() -> None:
    """What comes before it is given; threads end."""
    before = threading.active_count()
    coming = in_threads(lambda number: 1 // (3 - number), range(30), 2)
    assert [next(coming) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(coming)
    assert threading.active_count() == before
