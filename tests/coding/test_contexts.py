"""nervcodec.coding.contexts: activity, classes and the order of a grid's symbols, by hand and
against plain loops.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nervcodec.coding.contexts import THRESHOLDS, Places, activity, has_classes

SHAPES = st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


def drawn(shape: tuple[int, ...], seed: int) -> NDArray[np.int32]:
    """Symbols of -7..7, most of them small."""
    return np.clip(np.rint(np.random.default_rng(seed).laplace(0, 1.5, shape)), -7, 7).astype(
        np.int32
    )


def shots_of(n_keys: int, cut: int) -> tuple[int, ...]:
    """The keys as those of two shots, the first of so many, or of one."""
    return (cut, n_keys - cut) if 0 < cut < n_keys else (n_keys,)


def around(symbols: NDArray[np.int32], place: tuple[int, ...]) -> int:
    """The activity at a place [channel, row, column], by plain loops."""
    c, y, x = place
    near = [
        abs(int(symbols[c, v, u]))
        for v in range(y - 1, y + 2)
        for u in range(x - 1, x + 2)
        if 0 <= v < symbols.shape[1] and 0 <= u < symbols.shape[2]
    ]
    return sum(near) + abs(int(symbols[place]))


def class_of(activity_there: int, n_classes: int) -> int:
    return sum(threshold <= activity_there for threshold in THRESHOLDS[n_classes - 1])


def listed(
    places: Places, symbols: NDArray[np.int32], n_tables: int
) -> list[tuple[int, list[int]]]:
    return [(number, run.tolist()) for number, run in places.runs(symbols.ravel(), n_tables)]


@pytest.mark.parametrize(
    ("shape", "keys", "follows", "expected"),
    [
        ((2, 1, 1, 1), (2,), False, True),
        ((3, 1, 1, 1), (1, 2), False, True),
        ((2, 2, 3, 4), (1, 1), False, False),
        ((1, 2, 3, 4), (1,), False, False),
        ((84,), (), False, False),
        ((1, 3, 1, 1), (1,), True, True),
    ],
)
def test_what_has_classes(
    shape: tuple[int, ...], keys: tuple[int, ...], follows: bool, expected: bool
) -> None:
    """With one key a shot there is no key before, unless there are coarser details; other groups
    have no keys.
    """
    assert has_classes(keys, follows) == expected
    coarser = np.zeros(3, np.int32) if follows else None
    assert Places(shape, keys, coarser).has_classes == expected


def test_activity_by_hand() -> None:
    """Eight neighbours count once, the cell itself twice, nothing comes from outside or from
    another channel.
    """
    symbols = np.array(
        [[[1, -2, 0, 0], [0, 0, 0, -5], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]]]
    )
    expected = [
        [[4, 5, 7, 5], [3, 3, 7, 10], [0, 0, 5, 5]],
        [[0, 0, 0, 0], [9, 9, 0, 0], [18, 9, 0, 0]],
    ]
    assert activity(symbols.astype(np.int32)).tolist() == expected


@given(SHAPES, st.integers(0, 2), st.integers(1, 6), st.integers(0, 99))
def test_runs_follow_the_document(
    shape: tuple[int, ...], cut: int, n_classes: int, seed: int
) -> None:
    """The first key of each shot in one piece, of each other key its classes in order, each in
    row-major order.
    """
    symbols, keys = drawn(shape, seed), shots_of(shape[0], cut)
    key_size, expected = symbols[0].size, []
    for k in range(shape[0]):
        if k in (0, keys[0]):
            expected.append((0, list(range(k * key_size, (k + 1) * key_size))))
            continue
        classes = [
            class_of(around(symbols[k - 1], place), n_classes) for place in np.ndindex(shape[1:])
        ]
        expected += [
            (1 + number, [k * key_size + i for i, found in enumerate(classes) if found == number])
            for number in range(n_classes)
            if number in classes
        ]
    if has_classes(keys, False):
        assert listed(Places(shape, keys), symbols, 1 + n_classes) == expected
    else:
        assert listed(Places(shape, keys), symbols, 1) == [(0, list(range(symbols.size)))]


def coarser_than(shape: tuple[int, ...], seed: int) -> NDArray[np.int32]:
    """Details of half a shape's rows and columns."""
    return drawn((*shape[:2], -(-shape[2] // 2), -(-shape[3] // 2)), seed + 1000)


FOLLOWERS = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


@given(FOLLOWERS, st.integers(0, 2), st.integers(1, 6), st.integers(0, 99))
def test_runs_of_followers_follow_the_document(
    shape: tuple[int, ...], cut: int, n_classes: int, seed: int
) -> None:
    """Every key has classes, by the same key's coarser details and by the key before, if its shot
    has one.
    """
    symbols, coarser, keys = drawn(shape, seed), coarser_than(shape, seed), shots_of(shape[0], cut)
    expected = []
    for k in range(shape[0]):
        before = np.zeros_like(symbols[0]) if k in (0, keys[0]) else symbols[k - 1]
        activities = [
            around(coarser[k], (c, y // 2, x // 2)) + around(before, (c, y, x))
            for c, y, x in np.ndindex(shape[1:])
        ]
        classes = [class_of(each, n_classes) for each in activities]
        expected += [
            (
                number,
                [k * symbols[0].size + i for i, found in enumerate(classes) if found == number],
            )
            for number in range(n_classes)
            if number in classes
        ]
    assert listed(Places(shape, keys, coarser.ravel()), symbols, n_classes) == expected


@pytest.mark.parametrize(("follows", "n_tables"), [(False, 5), (True, 4)])
def test_a_run_needs_only_the_runs_before(follows: bool, n_tables: int) -> None:
    """A decoder that fills in each run as it comes is given the places that the encoder had."""
    shape = (5, 2, 4, 4)
    symbols = drawn(shape, 0).ravel()
    places = Places(shape, (2, 3), coarser_than(shape, 0).ravel() if follows else None)
    filled = np.zeros_like(symbols)
    both = zip(places.runs(symbols, n_tables), places.runs(filled, n_tables), strict=True)
    for (number, run), (own_number, own_run) in both:
        assert number == own_number and run.tolist() == own_run.tolist()
        filled[own_run] = symbols[run]
    assert filled.tolist() == symbols.tolist()


def test_without_classes_there_is_one_run() -> None:
    """Any other group is coded in one piece, in its own order."""
    assert listed(Places((6,)), drawn((2, 3), 0), 1) == [(0, [0, 1, 2, 3, 4, 5])]


@given(SHAPES, st.integers(0, 2), st.booleans(), st.integers(0, 99))
def test_counts_are_those_of_the_classes(
    shape: tuple[int, ...], cut: int, follows: bool, seed: int
) -> None:
    """The counts of the best classes are those of the runs with so many classes."""
    keys = shots_of(shape[0], cut)
    if not has_classes(keys, follows):
        return
    symbols = drawn(shape, seed).ravel()
    places = Places(shape, keys, coarser_than(shape, seed).ravel() if follows else None)
    counts = places.best_classes(symbols, 7)
    expected, n_first = np.zeros_like(counts), 0 if follows else 1
    first = np.zeros(15, np.int64)
    for number, run in places.runs(symbols, n_first + len(counts)):
        (first if number < n_first else expected[number - n_first])[:] += np.bincount(
            symbols[run] + 7, minlength=15
        )
    assert counts.tolist() == expected.tolist()
    assert first.tolist() == np.bincount(places.without_classes(symbols) + 7, minlength=15).tolist()


def test_equal_costs_take_the_fewest_classes() -> None:
    """Where the key after never changes, or changes alike whatever was before, one class is
    enough.
    """
    still = drawn((2, 1, 6, 6), 0)
    still[1] = 0
    assert len(Places(still.shape, (2,)).best_classes(still.ravel(), 7)) == 1
    still[1] = 3
    assert len(Places(still.shape, (2,)).best_classes(still.ravel(), 7)) == 1
