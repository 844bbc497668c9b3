"""How often each coded frame is shown, where equal frames are coded once (nvpp-format.md section
2.10). Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from nervcodec.errors import InvalidField
from nervcodec.format.reader import Reader
from nervcodec.format.varints import read_varint, write_varint
from nervcodec.format.video_format import MAX_FRAMES
from nervcodec.util.validation import check_range


@dataclass(frozen=True)
class Repeats:
    """How often each coded frame is shown, one after the other.

    Attributes:
        runs: (coded frames, how often each of them is shown).

    Raises:
        ConfigError: a number below 1.
    """

    runs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        for n_coded, n_shown in self.runs:
            check_range("coded frames of a run", n_coded, 1, MAX_FRAMES)
            check_range("times that a frame is shown", n_shown, 1, MAX_FRAMES)

    @staticmethod
    def of_counts(counts: Iterable[int]) -> Repeats | None:
        """Return the runs of how often each frame is shown; None where each is shown once."""
        runs = tuple((sum(1 for _ in run), count) for count, run in groupby(counts))
        return Repeats(runs) if any(count > 1 for _, count in runs) else None

    @property
    def n_coded(self) -> int:
        """Frames that are coded."""
        return sum(n_coded for n_coded, _ in self.runs)

    @property
    def n_shown(self) -> int:
        """Frames that are shown."""
        return sum(n_coded * n_shown for n_coded, n_shown in self.runs)

    def counts(self) -> Iterator[int]:
        """Yield how often each coded frame is shown."""
        for n_coded, n_shown in self.runs:
            for _ in range(n_coded):
                yield n_shown

    def first_shown(self, coded: int) -> int:
        """Return the number of the shown frame at which a coded one begins, from 0.

        Args:
            coded: its number, 0 to n_coded, of which the last gives n_shown.
        """
        shown = 0
        for n_coded, n_shown in self.runs:
            shown += min(coded, n_coded) * n_shown
            coded -= min(coded, n_coded)
        return shown

    def shown_lengths(self, lengths: Iterable[int]) -> list[int]:
        """Return how many frames are shown of each run of so many coded ones, one after the
        other.
        """
        shown = []
        runs = iter(self.runs)
        left = times = 0
        for length in lengths:
            n_shown = 0
            while length:
                if not left:
                    left, times = next(runs)
                taken = min(length, left)
                n_shown += taken * times
                length -= taken
                left -= taken
            shown.append(n_shown)
        return shown

    def within(self, first: int, stop: int) -> tuple[int, list[int]]:
        """Return the first coded frame of a range of shown ones, and how often it and each after it
        is shown within the range.

        Args:
            first, stop: the shown frames first to stop - 1, at least one.
        """
        counts: list[int] = []
        start = 0
        coded = shown = 0
        for n_coded, n_shown in self.runs:
            end = shown + n_coded * n_shown
            if end > first and shown < stop:
                low = (max(first, shown) - shown) // n_shown
                high = -((shown - min(stop, end)) // n_shown)
                start = start if counts else coded + low
                for begin in range(shown + low * n_shown, shown + high * n_shown, n_shown):
                    counts.append(min(stop, begin + n_shown) - max(first, begin))
            coded += n_coded
            shown = end
        return start, counts


def write_repeats(repeats: Repeats) -> bytes:
    """Return the payload of the section of repeats."""
    return b"".join(
        write_varint(n_coded) + write_varint(n_shown) for n_coded, n_shown in repeats.runs
    )


def read_repeats(payload: bytes) -> Repeats:
    """Return the repeats of a payload; the inverse of write_repeats.

    Raises:
        Truncated, InvalidField: what is wrong with it.
    """
    reader = Reader(payload, "repeats")
    runs = []
    while reader.left:
        n_coded = read_varint(reader, "coded_frames", 1, MAX_FRAMES)
        runs.append((n_coded, read_varint(reader, "shown_times", 1, MAX_FRAMES)))
    return Repeats(tuple(runs))


def check_frames(repeats: Repeats | None, n_coded: int, n_shown: int) -> None:
    """Raise InvalidField unless so many coded frames are so many shown ones.

    Args:
        n_coded: the sum over the segments.
        n_shown: n_frames of the header.
    """
    if repeats is None:
        if n_coded != n_shown:
            raise InvalidField("n_frames", n_shown, f"{n_coded}, the sum over the segments")
        return
    if repeats.n_coded != n_coded:
        raise InvalidField(
            "frames with repeats", repeats.n_coded, f"{n_coded}, the sum over the segments"
        )
    if repeats.n_shown != n_shown:
        raise InvalidField("n_frames", n_shown, f"{repeats.n_shown}, the sum over the repeats")
