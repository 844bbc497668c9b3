"""Where a video is divided into segments."""

import time
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nervcodec.encoder.segmentation import segment_lengths, segment_shots
from nervcodec.errors import ConfigError

Videos = st.integers(1, 2000).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.integers(1, 200),
        st.lists(st.integers(1, max(1, n - 1)), unique=True, max_size=40).map(sorted),
    )
)


def n_uncut(lengths: list[int], cuts: list[int]) -> int:
    """Return how many ends between segments are no cuts."""
    return len(set(list(accumulate(lengths))[:-1]) - set(cuts))


@given(st.integers(1, 5000), st.integers(1, 200))
def test_segments_are_the_fewest_equal_parts(n_frames: int, at_most: int) -> None:
    """Without cuts segments add up, none is longer than asked, there are no more than needed and
    they differ by at most one.
    """
    lengths = segment_lengths(n_frames, at_most)
    assert sum(lengths) == n_frames
    assert len(lengths) == -(-n_frames // at_most)
    assert max(lengths) <= at_most and max(lengths) - min(lengths) <= 1


@given(Videos)
def test_segments_keep_to_their_bounds(video: tuple[int, int, list[int]]) -> None:
    """With cuts, too, segments add up, none is longer than asked, and none of several is shorter
    than a third of that.
    """
    n_frames, at_most, cuts = video
    lengths = segment_lengths(n_frames, at_most, cuts)
    assert sum(lengths) == n_frames
    assert max(lengths) <= at_most
    assert len(lengths) == 1 or min(lengths) >= max(1, at_most // 3)


def divisions(n_frames: int, shortest: int, longest: int) -> list[list[int]]:
    """Return all ways to divide frames into segments within bounds."""
    if n_frames == 0:
        return [[]]
    return [
        [length, *rest]
        for length in range(shortest, min(longest, n_frames) + 1)
        for rest in divisions(n_frames - length, shortest, longest)
    ]


@settings(max_examples=40)
@given(
    st.integers(3, 7).flatmap(
        lambda longest: st.tuples(
            st.integers(longest + 1, 17), st.just(longest), st.sets(st.integers(1, 16))
        )
    )
)
def test_no_division_is_better(video: tuple[int, int, set[int]]) -> None:
    """Of all divisions within the bounds, none has fewer segments and ends that are no cuts, and
    of those with as few none has fewer segments, and then none is more equal.
    """
    n_frames, longest, cuts = video

    def cost(lengths: list[int]) -> tuple[int, int, int]:
        n_segments = len(lengths)
        squares = sum(length**2 for length in lengths)
        return n_segments + n_uncut(lengths, sorted(cuts)), n_segments, squares

    best = min(map(cost, divisions(n_frames, longest // 3, longest)))
    assert cost(segment_lengths(n_frames, longest, sorted(cuts))) == best


@pytest.mark.parametrize(
    ("n_frames", "cuts", "expected"),
    [
        (150, [75], [150]),  # one segment holds all shots
        (200, [60], [60, 140]),
        (200, [40], [100, 100]),  # 40 frames are too short, 160 too long
        (300, [70, 140, 210], [150, 150]),  # a third segment would cost as much as it saves
        (600, [140, 280, 420], [140, 140, 140, 90, 90]),  # a fifth one saves two ends within shots
        (300, [160], [150, 150]),  # a third segment would save no end within a shot
        (450, [100, 250, 330], [100, 150, 80, 120]),
        (160, [55, 79], [79, 81]),  # the more equal of two
    ],
)
def test_segments_begin_at_cuts(n_frames: int, cuts: list[int], expected: list[int]) -> None:
    """Segments end at cuts where that costs no more segments than it saves ends within shots."""
    assert segment_lengths(n_frames, 150, cuts) == expected


def test_hours_of_cuts_are_divided_at_once() -> None:
    """An hour with 2,000 cuts takes less than a second, and most of its segments end at cuts."""
    n_frames = 90_000
    cuts = sorted({(7919 * i**2 + 31 * i) % n_frames for i in range(1, 2001)} - {0})
    started = time.monotonic()
    lengths = segment_lengths(n_frames, None, cuts)
    assert time.monotonic() - started < 1
    assert len(lengths) <= 1.2 * n_frames / 150
    assert n_uncut(lengths, cuts) < len(lengths) / 2


def test_segments_are_150_frames_unless_asked() -> None:
    """Without a wish, 150 frames are one segment and 151 are two."""
    assert (segment_lengths(150), segment_lengths(151)) == ([150], [75, 76])


def test_segments_of_no_frames_are_refused() -> None:
    """A segment has at least one frame."""
    with pytest.raises(ConfigError, match="segment frames is 0; legal: 1 or more"):
        segment_lengths(10, 0)


@given(Videos)
def test_shots_are_what_lies_between_cuts(video: tuple[int, int, list[int]]) -> None:
    """Shots of all segments add up to them, and end at all cuts and ends of segments."""
    n_frames, at_most, cuts = video
    lengths = segment_lengths(n_frames, at_most, cuts)
    shots = segment_shots(lengths, cuts)
    assert [sum(each) for each in shots] == lengths
    ends = set(accumulate(length for each in shots for length in each))
    assert ends == {*accumulate(lengths), *(cut for cut in cuts if cut < n_frames)}


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ((), [(7,), (5,)]),
        ((3,), [(3, 4), (5,)]),
        ((7,), [(7,), (5,)]),
        ((1, 6, 8, 11), [(1, 5, 1), (1, 3, 1)]),
        ((0, 12, 40), [(7,), (5,)]),
    ],
)
def test_shots_of_segments(cuts: tuple[int, ...], expected: list[tuple[int, ...]]) -> None:
    """Cuts are counted from the beginning of their segment; one at an edge changes nothing."""
    assert segment_shots([7, 5], cuts) == expected
