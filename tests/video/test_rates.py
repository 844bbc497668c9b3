"""nervcodec.video.rates: frame rates as people type them and as frame times say."""

from fractions import Fraction

import pytest

from nervcodec.errors import ConfigError
from nervcodec.format.times import FrameTimes
from nervcodec.video.rates import StatedRates, as_rate, frame_times, rate_of_times

MS = Fraction(1, 1000)
NTSC_FILM = Fraction(24000, 1001)
NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        ("23.976023976", NTSC_FILM),
        ("23.976", NTSC_FILM),
        ("23.98", NTSC_FILM),
        (23.976, NTSC_FILM),
        ("29.97", NTSC),
        ("59.94", Fraction(60000, 1001)),
        ("119.88", Fraction(120000, 1001)),
        ("30000/1001", NTSC),
        ("25", Fraction(25)),
        (" 25 ", Fraction(25)),
        (12.5, Fraction(25, 2)),
        ("24.0", Fraction(24)),
        ("29.9", Fraction(299, 10)),
        ("23.9761", Fraction(239761, 10000)),
        (Fraction(7, 3), Fraction(7, 3)),
    ],
)
def test_rates_as_people_type_them(value: str | float | Fraction, rate: Fraction) -> None:
    """Decimals that are a rounded NTSC rate mean that rate; all other numbers are exact."""
    assert as_rate(value) == rate


@pytest.mark.parametrize(
    "text", ["", "fast", "nan", "inf", "0", "-25", "1/0", "1e5", "1e999999999", "1/2/3", "9" * 50]
)
def test_what_is_no_rate(text: str) -> None:
    """Anything but a positive number or fraction is refused with what was typed."""
    with pytest.raises(ConfigError, match=f"'{text}' is not a rate; legal: "):
        as_rate(text)


@pytest.mark.parametrize(
    ("times", "average", "guessed", "rate", "note"),
    [
        ([0, 40, 80, 120], 25, 25, Fraction(25), ""),
        ([5000, 5040, 5080], 25, None, Fraction(25), ""),
        ([0, 33, 67, 100, 133], NTSC, NTSC, NTSC, ""),
        ([0, 33, 67, 100], Fraction(29965, 1000), NTSC, NTSC, ""),
        ([0, 34, 66, 101, 133, 166, 201, 233, 268, 300, 333, 367], 1000, 120, Fraction(30), "1000"),
        ([0, 100, 200, 300], 50, 10, Fraction(10), "50"),
        ([0, 17, 33, 50, 67, 83, 100, 117], None, None, Fraction(60), ""),
        ([0, 70, 140], None, None, Fraction(100, 7), ""),
        ([0, 1, 2, 4, 5], 1000, 1000, Fraction(1000), ""),
        ([0, 40, 200, 240], 25, 25, Fraction(25, 2), ""),
        ([0, 100, 600, 700, 1700], Fraction(25, 9), 10, Fraction(25, 9), ""),
        ([7], 24, None, Fraction(24), ""),
        ([], None, None, None, ""),
        ([3, 3], 24, None, Fraction(24), ""),
    ],
)
def test_frame_times_come_first(
    times: list[int],
    average: Fraction | None,
    guessed: Fraction | None,
    rate: Fraction | None,
    note: str,
) -> None:
    """A stated rate counts where the frame times agree; else they do, with a note."""
    stated = StatedRates(*(Fraction(r) if r is not None else None for r in (average, guessed)))
    found, notes = rate_of_times(times, MS, stated)
    assert found == rate
    assert len(notes) == bool(note) and all(note in text for text in notes)


@pytest.mark.parametrize(
    ("times", "steps"),
    [
        ([0, 33, 67, 100, 133], ()),  # rounded from 30 fps
        ([0, 33, 66, 100, 133], ()),  # cut down from 30 fps
        ([0, 100, 200, 300], ()),
        ([0], ()),
        ([0, 34, 66, 101, 133], ((34, 1), (32, 1), (35, 1), (32, 1))),
        ([0, 40, 80, 200, 240], ((40, 2), (120, 1), (40, 1))),
        ([0, *range(33, 331, 33), *range(364, 705, 34)], ((33, 10), (34, 11))),
        ([0, 40, 30, 80], None),  # they do not rise
        ([0, 40, None, 400], None),
    ],
)
def test_irregular_times_are_kept(
    times: list[int | None], steps: tuple[tuple[int, int], ...] | None
) -> None:
    """Times that no constant rate gives, but for rounding, are kept as they are."""
    found = frame_times(times, MS, Fraction(0), 20)
    assert found == (FrameTimes(MS, 0, steps, 20) if steps else None)


@pytest.mark.parametrize(
    ("start_s", "start"), [(0, 500), (Fraction(1, 2), 0), (Fraction(1, 4), 250)]
)
def test_a_start_is_kept(start_s: Fraction, start: int) -> None:
    """Frames of a constant rate that begin later than the file have but this in their times."""
    found = frame_times([500, 540, 580], MS, Fraction(start_s), 40)
    assert found == (FrameTimes(MS, start) if start else None)
