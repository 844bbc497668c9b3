"""What a file holds besides its picture, each in a section that may be skipped. Standard library
only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nervcodec.format.properties import Properties, read_properties, write_properties
from nervcodec.format.sound import Sound, read_sound, write_sound

SOUND, PROPERTIES = 0x84, 0x85


@dataclass(frozen=True)
class Extras:
    """What a file holds besides its picture.

    Attributes:
        sound: audio and text subtitles.
        properties: how the picture is to be shown and called.
    """

    sound: Sound | None = None
    properties: Properties | None = None


NO_EXTRAS = Extras()
# Section types -> the attribute of Extras, its writer, its reader.
EXTRAS: dict[int, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    SOUND: ("sound", write_sound, read_sound),
    PROPERTIES: ("properties", write_properties, read_properties),
}
