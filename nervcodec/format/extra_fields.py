"""The integers of sections that may be skipped, as tables (nvpp-format.md sections 2.12 and 2.13).
Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator

from nervcodec.errors import InvalidField
from nervcodec.format.fields import MAX_U32, Choice, Count, Field
from nervcodec.format.reader import Reader

MAX_STREAMS = 32
MAX_TEXT_BYTES = 4096
SOUND_KINDS = ("audio", "subtitle")
FIELD_ORDERS = ("unknown", "top", "bottom")
TEXT_KEYS = ("title", "artist", "date", "creation_time", "comment", "description")
_MAX_INT = 2**31 - 1  # of FFmpeg's
_COLORS = ("red", "green", "blue", "white")

# fmt: off
SOUND_FIELDS = (
    Field("n_streams", "u8", 1, MAX_STREAMS, "", "streams of the NUT file", "streams", Count()),
    Field("start_numerator", "u32", 0, MAX_U32, "s", "time of the first frame of video",
          "start.numerator"),
    Field("start_denominator", "u32", 1, MAX_U32, "", "its denominator", "start.denominator"),
)
SOUND_STREAM_FIELDS = (
    Field("kind", "u8", 0, 1, "", "0 audio, 1 subtitle", "kind", Choice(SOUND_KINDS)),
    Field("tick_numerator", "u32", 1, _MAX_INT, "s", "unit of the source's times",
          "time_base.numerator"),
    Field("tick_denominator", "u32", 1, _MAX_INT, "", "its denominator", "time_base.denominator"),
    Field("duration", "u32", 0, MAX_U32, "ms", "from the first packet to the end of the last",
          "duration_ms"),
    Field("disposition", "u32", 0, _MAX_INT, "", "FFmpeg's AV_DISPOSITION flags, 1 default",
          "disposition"),
    Field("codec_bytes", "u8", 1, 255, "bytes", "codec, as FFmpeg calls it", "codec_text",
          Count()),
    Field("language_bytes", "u8", 0, 255, "bytes", "language, as the source calls it",
          "language_text", Count()),
    Field("title_bytes", "u8", 0, 255, "bytes", "title of the stream", "title_text", Count()),
    Field("extradata_bytes", "u16", 0, 65535, "bytes", "extradata of a subtitle's codec",
          "extradata", Count()),
)
PROPERTIES_FIELDS = (
    Field("has_matrix", "u8", 0, 1, "", "1: table DisplayMatrix follows", "has_matrix"),
    Field("has_mastering", "u8", 0, 1, "", "1: table MasteringDisplay follows", "has_mastering"),
    Field("has_light", "u8", 0, 1, "", "1: table ContentLight follows", "has_light"),
    Field("field_order", "u8", 0, 2, "", "first field: 0 unknown, 1 top, 2 bottom", "field_order",
          Choice(FIELD_ORDERS)),
    Field("n_texts", "u8", 0, len(TEXT_KEYS), "", "texts that follow", "texts", Count()),
)
DISPLAY_MATRIX_FIELDS = tuple(
    Field(f"matrix_{k}", "u32", 0, MAX_U32, "2^-30" if k % 3 == 2 else "2^-16",
          "two's complement")
    for k in range(9)
)
MASTERING_FIELDS = (
    *(Field(f"{color}_{axis}", "u16", 0, 65535, "2e-5", "chromaticity", f"{color}_{axis}")
      for color in _COLORS for axis in "xy"),
    Field("max_luminance", "u32", 0, MAX_U32, "1e-4 cd/m2", "white", "max_luminance"),
    Field("min_luminance", "u32", 0, MAX_U32, "1e-4 cd/m2", "black", "min_luminance"),
)
CONTENT_LIGHT_FIELDS = (
    Field("max_cll", "u16", 0, 65535, "cd/m2", "brightest pixel", "max_cll"),
    Field("max_fall", "u16", 0, 65535, "cd/m2", "mean of the brightest frame", "max_fall"),
)
TEXT_FIELDS = (
    Field("text_key", "u8", 0, len(TEXT_KEYS) - 1, "",
          ", ".join(f"{k} {key}" for k, key in enumerate(TEXT_KEYS)), "key", Choice(TEXT_KEYS)),
    Field("text_bytes", "u16", 1, MAX_TEXT_BYTES, "bytes", "of the text", "data", Count()),
)
# fmt: on
EXTRA_TABLES = {
    "Sound": SOUND_FIELDS,
    "SoundStream": SOUND_STREAM_FIELDS,
    "Properties": PROPERTIES_FIELDS,
    "DisplayMatrix": DISPLAY_MATRIX_FIELDS,
    "MasteringDisplay": MASTERING_FIELDS,
    "ContentLight": CONTENT_LIGHT_FIELDS,
    "Text": TEXT_FIELDS,
}


def written(table: tuple[Field, ...], root: object) -> Iterator[bytes]:
    """Yield the bytes of a table's fields for an object.

    Raises:
        ConfigError: a value that the format cannot hold.
    """
    return (field.write(field.number_of(root)) for field in table)


def read_text(reader: Reader, n_bytes: int, name: str) -> str:
    """Return the UTF-8 of the next n_bytes bytes, called `name` in an error.

    Raises:
        Truncated: there are fewer bytes.
        InvalidField: they are no UTF-8, or have a zero character.
    """
    data = reader.take(n_bytes)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidField(name, data, "UTF-8") from None
    if "\0" in text:
        raise InvalidField(name, text, "UTF-8 without a zero character")
    return text
