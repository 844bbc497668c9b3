"""nervcodec.contexts: activity, classes and the order of a grid's symbols, by hand and against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nervcodec.contexts import THRESHOLDS, activity, best_classes, has_classes, runs

SHAPES = st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


def drawn(shape: tuple[int, ...], seed: int) -> NDArray[np.int32]:
    """Symbols of -7..7, most of them small."""
    return np.clip(np.rint(np.random.default_rng(seed).laplace(0, 1.5, shape)), -7, 7).astype(np.int32)


def class_of(before: NDArray[np.int32], place: tuple[int, ...], n_classes: int) -> int:
    """The class of a place [channel, row, column], by plain loops."""
    c, y, x = place
    near = [abs(int(before[c, v, u])) for v in range(y - 1, y + 2) for u in range(x - 1, x + 2)
            if 0 <= v < before.shape[1] and 0 <= u < before.shape[2]]
    return sum(threshold <= sum(near) + abs(int(before[place])) for threshold in THRESHOLDS[n_classes - 1])


@pytest.mark.parametrize(("shape", "expected"), [((2, 1, 1, 1), True), ((1, 2, 3, 4), False), ((84,), False)])
def test_only_grids_of_several_keys_have_classes(shape: tuple[int, ...], expected: bool) -> None:
    """A grid of one key has no key before; other groups have no keys."""
    assert has_classes(shape) == expected


def test_activity_by_hand() -> None:
    """Eight neighbours count once, the cell itself twice, nothing comes from outside or from another channel."""
    symbols = np.array([[[1, -2, 0, 0], [0, 0, 0, -5], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]]])
    expected = [[[4, 5, 7, 5], [3, 3, 7, 10], [0, 0, 5, 5]], [[0, 0, 0, 0], [9, 9, 0, 0], [18, 9, 0, 0]]]
    assert activity(symbols.astype(np.int32)).tolist() == expected


@given(SHAPES, st.integers(1, 6), st.integers(0, 99))
def test_runs_follow_the_document(shape: tuple[int, ...], n_classes: int, seed: int) -> None:
    """Key 0, then for each key its classes in order, each in row-major order."""
    symbols = drawn(shape, seed)
    key_size = symbols[0].size
    expected = [(0, list(range(key_size)))]
    for k in range(1, shape[0]):
        classes = [class_of(symbols[k - 1], place, n_classes) for place in np.ndindex(shape[1:])]
        expected += [(1 + number, [k * key_size + i for i, found in enumerate(classes) if found == number])
                     for number in range(n_classes) if number in classes]
    assert [(number, places.tolist()) for number, places in runs(symbols.ravel(), shape, n_classes)] == expected


def test_a_run_needs_only_the_runs_before() -> None:
    """A decoder that fills in each run as it comes is given the places that the encoder had."""
    symbols, shape = drawn((5, 2, 4, 4), 0).ravel(), (5, 2, 4, 4)
    filled = np.zeros_like(symbols)
    for (number, places), (own_number, own_places) in zip(runs(symbols, shape, 4), runs(filled, shape, 4), strict=True):
        assert number == own_number and places.tolist() == own_places.tolist()
        filled[own_places] = symbols[places]
    assert filled.tolist() == symbols.tolist()


def test_without_classes_there_is_one_run() -> None:
    """Any other group is coded in one piece, in its own order."""
    (number, places), = runs(drawn((2, 3), 0).ravel(), (6,), 0)
    assert (number, places.tolist()) == (0, [0, 1, 2, 3, 4, 5])


@given(SHAPES, st.integers(0, 99))
def test_counts_are_those_of_the_classes(shape: tuple[int, ...], seed: int) -> None:
    """The counts of the best classes are those of the runs with so many classes."""
    symbols = drawn(shape, seed).ravel()
    counts = best_classes(symbols, shape, 7)
    expected = np.zeros_like(counts)
    for number, places in list(runs(symbols, shape, len(counts)))[1:]:
        expected[number - 1] += np.bincount(symbols[places] + 7, minlength=15)
    assert counts.tolist() == expected.tolist()


def test_equal_costs_take_the_fewest_classes() -> None:
    """Where the key after never changes, or changes alike whatever was before, one class is enough."""
    still = drawn((2, 1, 6, 6), 0)
    still[1] = 0
    assert len(best_classes(still.ravel(), still.shape, 7)) == 1
    still[1] = 3
    assert len(best_classes(still.ravel(), still.shape, 7)) == 1
