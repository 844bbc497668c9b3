"""What a file holds besides its picture: its sections' types, writers and readers. Standard library
only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nervcodec.format.properties import Properties, read_properties, write_properties
from nervcodec.format.repeats import Repeats, read_repeats, write_repeats
from nervcodec.format.sound import Sound, read_sound, write_sound
from nervcodec.format.times import FrameTimes, read_times, write_times

REPEATS, TIMES, SOUND, PROPERTIES = 0x02, 0x82, 0x84, 0x85


@dataclass(frozen=True)
class Extras:
    """What a file holds besides its picture, each in a section of its own.

    Attributes:
        repeats: how often each coded frame is shown, None where each is shown once.
        times: when each frame is shown, None where that is what a constant rate says.
        sound: audio and text subtitles.
        properties: how the picture is to be shown and called.
    """

    repeats: Repeats | None = None
    times: FrameTimes | None = None
    sound: Sound | None = None
    properties: Properties | None = None


NO_EXTRAS = Extras()
# Section types -> the attribute of Extras, its writer, its reader; from 128 on they may be skipped
EXTRAS: dict[int, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    REPEATS: ("repeats", write_repeats, read_repeats),
    TIMES: ("times", write_times, read_times),
    SOUND: ("sound", write_sound, read_sound),
    PROPERTIES: ("properties", write_properties, read_properties),
}
