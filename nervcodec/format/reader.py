"""A cursor over the bytes of a .nvpp file or of one of its parts. Standard library only."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from nervcodec.errors import Checksum, InvalidField, Truncated
from nervcodec.format.fields import Field


class Reader:
    """A cursor over bytes that never reads past their end."""

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self.data, self.what, self.position = data, what, 0
        self._view = memoryview(data)

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return len(self.data) - self.position

    def take(self, n_bytes: int) -> bytes:
        """Return the next bytes.

        Raises:
            Truncated: there are fewer.
        """
        return bytes(self.view(n_bytes))

    def view(self, n_bytes: int) -> memoryview:
        """Return the next bytes without a copy of them.

        Raises:
            Truncated: there are fewer.
        """
        if n_bytes > self.left:
            raise Truncated(
                f"{self.what}: {n_bytes} bytes wanted at byte {self.position}, {self.left} there"
            )
        self.position += n_bytes
        return self._view[self.position - n_bytes : self.position]

    def field(self, field: Field) -> int:
        """Return the integer of the field that stands here."""
        position = self.position
        if position + field.n_bytes > len(self.data):
            self.take(field.n_bytes)
        self.position += field.n_bytes
        return field.read(self.data, position)

    def fields(self, table: Sequence[Field]) -> dict[str, int]:
        """Return the integers of a table by the fields' names."""
        return {field.name: self.field(field) for field in table}

    def checksum(self, start: int) -> None:
        """Compare the CRC-32 here with that of all bytes from `start` on.

        Raises:
            Checksum: they differ.
        """
        covered = self._view[start : self.position]
        if struct.unpack("<I", self.take(4))[0] != zlib.crc32(covered):
            raise Checksum(
                f"{self.what}: the checksum at byte {self.position - 4} does not match; the file is"
                " damaged"
            )

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            InvalidField: bytes are left.
        """
        if self.left:
            raise InvalidField(
                f"length of {self.what}", len(self.data), f"{self.position}, as its fields say"
            )
