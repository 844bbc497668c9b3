"""What else a source says of its picture: how it is to be shown and called (nvpp-format.md section
2.10). Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from nervcodec.format.extra_fields import (
    CONTENT_LIGHT_FIELDS,
    DISPLAY_MATRIX_FIELDS,
    FIELD_ORDERS,
    MASTERING_FIELDS,
    PROPERTIES_FIELDS,
    TEXT_FIELDS,
    TEXT_KEYS,
    read_text,
    written,
)
from nervcodec.format.fields import tree_of
from nervcodec.format.reader import Reader
from nervcodec.util.validation import check_choice

FieldOrder = Literal["unknown", "top", "bottom"]
assert get_args(FieldOrder) == FIELD_ORDERS
Matrix = tuple[int, ...]


@dataclass(frozen=True)
class MasteringDisplay:
    """The display that a video was mastered on (SMPTE ST 2086).

    Attributes:
        red_x to white_y: chromaticities, in units of 0.00002.
        max_luminance, min_luminance: in units of 0.0001 cd/m2.
    """

    red_x: int
    red_y: int
    green_x: int
    green_y: int
    blue_x: int
    blue_y: int
    white_x: int
    white_y: int
    max_luminance: int
    min_luminance: int


@dataclass(frozen=True)
class ContentLight:
    """The brightest pixel and the brightest frame's mean of a video, cd/m2 (CTA-861.3)."""

    max_cll: int
    max_fall: int


@dataclass(frozen=True)
class Properties:
    """What a source says of its picture besides what the header holds.

    Attributes:
        matrix: of display, nine int32 as FFmpeg has them (16.16 and 2.30 fixed point); None for
            the identity.
        field_order: of interlaced frames that are coded as they are: 'top' or 'bottom' first.
        mastering, light: of HDR10; None where nothing is said.
        texts: (key, text), each key of TEXT_KEYS at most once, in that order.
    """

    matrix: Matrix | None = None
    field_order: FieldOrder = "unknown"
    mastering: MasteringDisplay | None = None
    light: ContentLight | None = None
    texts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        check_choice("field order", self.field_order, FIELD_ORDERS)
        assert self.matrix is None or len(self.matrix) == 9

    @property
    def has_matrix(self) -> int:
        """1 where there is a display matrix, else 0."""
        return int(self.matrix is not None)

    @property
    def has_mastering(self) -> int:
        """1 where there is a mastering display, else 0."""
        return int(self.mastering is not None)

    @property
    def has_light(self) -> int:
        """1 where there is a content light level, else 0."""
        return int(self.light is not None)

    @property
    def rotation(self) -> tuple[int, bool]:
        """Degrees counterclockwise that players turn the frames by, -180 to 180, and whether they
        mirror them.
        """
        return (0, False) if self.matrix is None else rotation_of(self.matrix)

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec info --json` (docs/reference/json.md)."""
        degrees, is_mirrored = self.rotation
        return {
            "rotation": degrees,
            "mirrored": is_mirrored,
            "field_order": self.field_order,
            "mastering_display": self.mastering and asdict(self.mastering),
            "content_light": self.light and asdict(self.light),
            "texts": dict(self.texts),
        }


NO_PROPERTIES = Properties()


def rotation_of(matrix: Matrix) -> tuple[int, bool]:
    """Return the degrees counterclockwise of a display matrix, and whether it mirrors."""
    a, b, _, c, d = matrix[:5]
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not across or not down:
        return 0, False
    return -round(math.degrees(math.atan2(b / down, a / across))), a * d - b * c < 0


@dataclass(frozen=True)
class _Row:
    """A text as its table has it."""

    key: str
    text: str

    @property
    def data(self) -> bytes:
        return self.text.encode()


def write_properties(properties: Properties) -> bytes:
    """Return the payload of the section.

    Raises:
        ConfigError: a value that the format cannot hold.
    """
    return b"".join(_parts(properties))


def _parts(properties: Properties) -> Iterator[bytes]:
    yield from written(PROPERTIES_FIELDS, properties)
    if properties.matrix is not None:
        unsigned = (value & 0xFFFFFFFF for value in properties.matrix)
        yield from (each.write(value) for each, value in zip(DISPLAY_MATRIX_FIELDS, unsigned))
    if properties.mastering is not None:
        yield from written(MASTERING_FIELDS, properties.mastering)
    if properties.light is not None:
        yield from written(CONTENT_LIGHT_FIELDS, properties.light)
    for row in (_Row(key, text) for key, text in properties.texts):
        yield from written(TEXT_FIELDS, row)
        yield row.data


def read_properties(payload: bytes) -> Properties:
    """Return the properties of a payload; the inverse of write_properties.

    Raises:
        Truncated, InvalidField: what is wrong with it.
    """
    reader = Reader(payload, "properties")
    numbers = reader.fields(PROPERTIES_FIELDS)
    matrix = mastering = light = None
    if numbers["has_matrix"]:
        read = reader.fields(DISPLAY_MATRIX_FIELDS).values()
        matrix = tuple(value - (value >> 31 << 32) for value in read)
    if numbers["has_mastering"]:
        mastering = MasteringDisplay(**tree_of(MASTERING_FIELDS, reader.fields(MASTERING_FIELDS)))
    if numbers["has_light"]:
        read_light = reader.fields(CONTENT_LIGHT_FIELDS)
        light = ContentLight(**tree_of(CONTENT_LIGHT_FIELDS, read_light))
    texts = tuple(_read_row(reader) for _ in range(numbers["n_texts"]))
    reader.finish()
    order = tree_of(PROPERTIES_FIELDS, numbers)["field_order"]
    return Properties(matrix, order, mastering, light, texts)


def _read_row(reader: Reader) -> tuple[str, str]:
    numbers = reader.fields(TEXT_FIELDS)
    key = TEXT_KEYS[numbers["text_key"]]
    return key, read_text(reader, numbers["text_bytes"], f"text of {key}")
