"""Sound and text subtitles of a file: what its section 132 holds (nvpp-format.md section 2.12).

The packets are kept as they are in a NUT file, which nothing here looks into. Standard library
only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, get_args

from nervcodec.errors import InvalidField
from nervcodec.format.extra_fields import (
    SOUND_FIELDS,
    SOUND_KINDS,
    SOUND_STREAM_FIELDS,
    read_text,
    written,
)
from nervcodec.format.fields import tree_of
from nervcodec.format.reader import Reader

SoundKind = Literal["audio", "subtitle"]
assert get_args(SoundKind) == SOUND_KINDS


@dataclass(frozen=True)
class SoundStream:
    """A stream of audio or of text subtitles.

    Attributes:
        kind: 'audio' or 'subtitle'.
        codec: name of the codec as FFmpeg has it.
        language: as the source says it, '' where it says none.
        title: of the stream, '' without one.
        time_base: unit of the source's times, s.
        duration_ms: from its first packet to the end of the last one.
        disposition: FFmpeg's flags, 1 for a default stream.
        extradata: of a subtitle's codec; that of audio stands in the NUT file.
    """

    kind: SoundKind
    codec: str
    language: str = ""
    title: str = ""
    time_base: Fraction = Fraction(1, 1000)
    duration_ms: int = 0
    disposition: int = 0
    extradata: bytes = b""

    @property
    def codec_text(self) -> bytes:
        """The codec's name in UTF-8."""
        return self.codec.encode()

    @property
    def language_text(self) -> bytes:
        """The language in UTF-8."""
        return self.language.encode()

    @property
    def title_text(self) -> bytes:
        """The title in UTF-8."""
        return self.title.encode()

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec info --json` (docs/reference/json.md)."""
        return {
            "kind": self.kind,
            "codec": self.codec,
            "language": self.language,
            "title": self.title,
            "duration_s": self.duration_ms / 1000,
        }


@dataclass(frozen=True)
class Sound:
    """Streams of sound, and their packets.

    Attributes:
        streams: in the order of the NUT file's.
        start: when the first frame of the video is shown on the clock of the packets, s, at least
            0.
        packets: a NUT file.
    """

    streams: tuple[SoundStream, ...]
    start: Fraction
    packets: bytes = field(repr=False)


def write_sound(sound: Sound) -> bytes:
    """Return the payload of the section.

    Raises:
        ConfigError: a value that the format cannot hold.
    """
    return b"".join(_parts(sound))


def _parts(sound: Sound) -> Iterator[bytes]:
    yield from written(SOUND_FIELDS, sound)
    for stream in sound.streams:
        yield from written(SOUND_STREAM_FIELDS, stream)
        yield from (stream.codec_text, stream.language_text, stream.title_text, stream.extradata)
    yield sound.packets


def read_sound(payload: bytes) -> Sound:
    """Return the sound of a payload; the inverse of write_sound.

    Raises:
        Truncated, InvalidField: what is wrong with it.
    """
    reader = Reader(payload, "sound")
    numbers = reader.fields(SOUND_FIELDS)
    streams = tuple(_read_stream(reader) for _ in range(numbers["n_streams"]))
    start = Fraction(numbers["start_numerator"], numbers["start_denominator"])
    packets = reader.take(reader.left)
    if not packets:
        raise InvalidField("bytes of sound packets", 0, "at least 1")
    return Sound(streams, start, packets)


def _read_stream(reader: Reader) -> SoundStream:
    numbers = reader.fields(SOUND_STREAM_FIELDS)
    tree = tree_of(SOUND_STREAM_FIELDS, numbers)
    tree["time_base"] = Fraction(**tree["time_base"])
    for name in ("codec", "language", "title"):
        tree[name] = read_text(reader, tree.pop(f"{name}_text"), f"{name} of a stream")
    tree["extradata"] = reader.take(numbers["extradata_bytes"])
    return SoundStream(**tree)
