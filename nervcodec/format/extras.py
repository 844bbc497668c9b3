"""What a file holds besides its picture: its sections' types, writers and readers. Standard library
only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nervcodec.format.repeats import Repeats, read_repeats, write_repeats
from nervcodec.format.times import FrameTimes, read_times, write_times

REPEATS, TIMES = 0x02, 0x82


@dataclass(frozen=True)
class Extras:
    """What a file holds besides its picture, each in a section of its own.

    Attributes:
        repeats: how often each coded frame is shown, None where each is shown once.
        times: when each frame is shown, None where that is what a constant rate says.
    """

    repeats: Repeats | None = None
    times: FrameTimes | None = None


# Section types -> the attribute of Extras, its writer, its reader; from 128 on they may be skipped
EXTRAS: dict[int, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    REPEATS: ("repeats", write_repeats, read_repeats),
    TIMES: ("times", write_times, read_times),
}
