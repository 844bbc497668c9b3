"""The rows of what a file holds besides its picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nervcodec.format.info import FileInfo
    from nervcodec.format.properties import Properties
    from nervcodec.format.sound import Sound


def extra_rows(info: FileInfo) -> list[tuple[str, str]]:
    """Return the rows of properties and sound, none where a file has neither."""
    properties, sound = info.extras.properties, info.extras.sound
    rows = list(_property_rows(properties)) if properties else []
    if sound:
        share = 100 * info.sound_bytes / info.n_bytes
        size = f"{info.sound_bytes:,} bytes, {share:.1f} %, which no rate counts"
        rows += [("sound", size), *_sound_rows(sound)]
    return rows


def _property_rows(properties: Properties) -> Iterator[tuple[str, str]]:
    degrees, is_mirrored = properties.rotation
    if properties.matrix:
        mirrored = ", mirrored" if is_mirrored else ""
        yield "rotation", f"{degrees} degrees counterclockwise{mirrored}"
    if properties.field_order != "unknown":
        yield "interlaced", f"{properties.field_order} field first"
    if display := properties.mastering:
        least, most = display.min_luminance / 10_000, display.max_luminance / 10_000
        yield "mastered on", f"{least:g} to {most:g} cd/m2"
    if light := properties.light:
        yield "light level", f"{light.max_cll} cd/m2 at most, frames {light.max_fall} in the mean"
    yield from ((key.replace("_", " "), text) for key, text in properties.texts)


def _sound_rows(sound: Sound) -> Iterator[tuple[str, str]]:
    for stream in sound.streams:
        words = (stream.codec, stream.language, f"{stream.duration_ms / 1000:.2f} s", stream.title)
        yield f"  {stream.kind}", ", ".join(filter(None, words))
