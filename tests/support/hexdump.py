"""Render a .nvpp file's container as an annotated hex dump (nvpp-format.md, appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from nervcodec.format.container import MAGIC, SEGMENT, VERSION
from nervcodec.format.fields import (
    BLOCK_FIELDS,
    CUT,
    GRID_FIELDS,
    HEADER_FIELDS,
    MAX_U32,
    QUALITY_FIELDS,
    SECTION_LENGTH,
    SECTION_TYPE,
    SEGMENT_FIELDS,
    STREAM_LENGTH,
    Field,
)

_SHOWN = 8  # bytes of a line; of longer items, the ends
_VERSION = Field("version", "u16", VERSION, VERSION, "", "")
_HEADER_LENGTH = Field("header_length", "u16", 0, 65535, "bytes", "")
_N_SECTIONS = Field("n_sections", "u32", 1, MAX_U32, "", "")
_SECTION_FIELDS = (SECTION_TYPE, SECTION_LENGTH)


def annotated(data: bytes) -> str:
    """Return one line for each field, checksum and stream of a file: offset, bytes, name = value.

    Args:
        data: a whole .nvpp file that container.read_file accepts.

    Raises:
        InvalidField: a field is outside its legal range.
        ValueError: the file ends before its fields do, or goes on after them.
    """
    dump = _Dump(data)
    values = _header(dump)
    modules = ["stem", *(f"block{i + 1}" for i in range(values["n_blocks"])), "head"]
    for number, (kind, length) in enumerate(_index(dump), 1):
        dump.fields(_SECTION_FIELDS, f"[{number}]")
        if kind == SEGMENT:
            _segment(dump, modules)
        elif length:
            dump.take(length, f"payload, {length} bytes")
        dump.crc()
    return dump.finished()


class _Dump:
    """Walk over the bytes of a file and collect a line for each item."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._lines: list[str] = []

    def take(self, n_bytes: int, text: str) -> bytes:
        """Return the next n_bytes bytes, and add their line."""
        found = self._data[self._position : self._position + n_bytes]
        if len(found) < n_bytes:
            raise ValueError(f"{n_bytes} bytes are wanted at byte {self._position}")
        shown = found.hex(" ")
        if n_bytes > _SHOWN:
            shown = f"{found[:4].hex(' ')} .. {found[-3:].hex(' ')}"
        self._lines.append(f"{self._position:04x}  {shown:11}  {text}")
        self._position += n_bytes
        return found

    def field(self, field: Field, suffix: str = "") -> int:
        """Return the value of the field that stands here, and add its line."""
        value = self._value(field, self._position)
        self.take(field.n_bytes, f"{field.name}{suffix} = {value}")
        return value

    def _value(self, field: Field, at: int) -> int:
        """Return the value of a field that stands at a byte."""
        raw = self._data[at : at + field.n_bytes]
        if len(raw) < field.n_bytes:
            raise ValueError(f"{field.name} is wanted at byte {at}")
        return field.read(raw)

    def fields(self, fields: Sequence[Field], suffix: str = "") -> dict[str, int]:
        """Return the values of the fields that stand here by name, and add their lines.

        Three or more of one length and value in a row share a line.
        """
        values, at = dict[str, int](), self._position
        for field in fields:
            values[field.name] = self._value(field, at)
            at += field.n_bytes
        for _, alike in groupby(fields, lambda field: (field.n_bytes, values[field.name])):
            run = list(alike)
            if len(run) < 3:
                for field in run:
                    self.field(field, suffix)
            else:
                first, last = run[0].name, run[-1].name
                text = f"{first} to {last}{suffix} = {values[first]} each"
                self.take(len(run) * run[0].n_bytes, text)
        return values

    def crc(self) -> None:
        """Add the line of a checksum."""
        value = int.from_bytes(self._data[self._position : self._position + 4], "little")
        self.take(4, f"crc = 0x{value:08x}")

    def finished(self) -> str:
        """Return all lines of a file that ends here."""
        if self._position != len(self._data):
            raise ValueError(f"the file has {len(self._data)} bytes, its fields {self._position}")
        return "\n".join(self._lines)


def _header(dump: _Dump) -> dict[str, int]:
    """Return the header's fields by name."""
    dump.take(len(MAGIC), "magic")
    dump.field(_VERSION)
    dump.field(_HEADER_LENGTH)
    values = dump.fields(HEADER_FIELDS)
    for number in range(1, values["n_grids"] + 1):
        dump.fields(GRID_FIELDS, f"[{number}]")
    for number in range(1, values["n_blocks"] + 1):
        dump.fields(BLOCK_FIELDS, f"[{number}]")
    dump.crc()
    return values


def _index(dump: _Dump) -> list[tuple[int, int]]:
    """Return the type and the length of the payload of every section."""
    found = []
    for number in range(1, dump.field(_N_SECTIONS) + 1):
        values = dump.fields(_SECTION_FIELDS, f"[{number}]")
        found.append((values["section_type"], values["section_length"]))
        if found[-1][0] == SEGMENT:
            dump.field(SEGMENT_FIELDS[0], f"[{number}]")
    dump.crc()
    return found


def _segment(dump: _Dump, modules: Sequence[str]) -> None:
    """Add the lines of a segment's payload."""
    values = dump.fields((*SEGMENT_FIELDS, *QUALITY_FIELDS))
    for number in range(1, values["n_cuts"] + 1):
        dump.field(CUT, f"[{number}]")
    for module in modules:
        length = dump.field(STREAM_LENGTH)
        dump.take(length, f"stream of {module}, {length} bytes")
