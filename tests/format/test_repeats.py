"""nervcodec.format.repeats: how often each coded frame is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervcodec.errors import InvalidField
from nervcodec.format.repeats import Repeats, check_frames, read_repeats, write_repeats

counts = st.lists(st.integers(1, 5), min_size=1, max_size=40).filter(lambda c: max(c) > 1)


def shown(of_frames: list[int]) -> list[int]:
    """The coded frame of every shown one."""
    return [number for number, count in enumerate(of_frames) for _ in range(count)]


@given(counts)
def test_counts_come_back(of_frames: list[int]) -> None:
    """Counts are the same after writing and reading, and add up."""
    repeats = Repeats.of_counts(of_frames)
    assert repeats and read_repeats(write_repeats(repeats)) == repeats
    assert list(repeats.counts()) == of_frames
    assert (repeats.n_coded, repeats.n_shown) == (len(of_frames), sum(of_frames))


def test_frames_that_are_shown_once_need_none() -> None:
    """Where nothing repeats there is nothing to write."""
    assert Repeats.of_counts([1, 1, 1]) is None


def test_a_still_picture_takes_a_few_bytes() -> None:
    """A frame that is shown for an hour takes four bytes, frames that are all shown twice three."""
    still, doubled = Repeats.of_counts([90_000]), Repeats.of_counts([2] * 10_000)
    assert still and doubled
    assert len(write_repeats(still)) == 4 and len(write_repeats(doubled)) == 3


@given(counts, st.data())
def test_shown_lengths_are_sums_of_counts(of_frames: list[int], data: st.DataObject) -> None:
    """However coded frames are cut into runs, each shows the sum of its frames' counts."""
    repeats = Repeats.of_counts(of_frames)
    assert repeats
    ends = sorted(data.draw(st.sets(st.integers(1, len(of_frames)))) | {len(of_frames)})
    starts = [0, *ends[:-1]]
    found = repeats.shown_lengths(end - start for start, end in zip(starts, ends))
    assert found == [sum(of_frames[start:end]) for start, end in zip(starts, ends)]


@given(counts, st.data())
def test_a_range_of_shown_frames(of_frames: list[int], data: st.DataObject) -> None:
    """Any range of shown frames is that part of the whole sequence."""
    repeats = Repeats.of_counts(of_frames)
    assert repeats
    first = data.draw(st.integers(0, repeats.n_shown - 1))
    stop = data.draw(st.integers(first + 1, repeats.n_shown))
    start, within = repeats.within(first, stop)
    assert [start + n for n in shown(within)] == shown(of_frames)[first:stop]
    assert min(within) >= 1


@given(counts)
def test_where_a_coded_frame_is_shown_first(of_frames: list[int]) -> None:
    """A coded frame begins where the frames before it end."""
    repeats = Repeats.of_counts(of_frames)
    assert repeats
    starts = [repeats.first_shown(coded) for coded in range(len(of_frames) + 1)]
    assert starts == [sum(of_frames[:coded]) for coded in range(len(of_frames) + 1)]


@pytest.mark.parametrize(
    ("repeats", "n_coded", "n_shown", "field"),
    [
        (None, 3, 4, "n_frames"),
        (Repeats(((3, 2),)), 4, 8, "frames with repeats"),
        (Repeats(((3, 2),)), 3, 7, "n_frames"),
    ],
)
def test_frames_must_add_up(
    repeats: Repeats | None, n_coded: int, n_shown: int, field: str
) -> None:
    """Coded and shown frames are those of the file."""
    with pytest.raises(InvalidField) as error:
        check_frames(repeats, n_coded, n_shown)
    assert error.value.field == field
