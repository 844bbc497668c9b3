"""Files that an enemy made: each under 1 KiB, right in all but one thing, with the error that
refuses it.

`python tests/hostile.py FOLDER` writes them all. The bytes are put together here, from
docs/reference/nvpp-format.md, and not by nervcodec's own writer, which would refuse to write them.
Checksums are right unless a case is about them.
"""

from __future__ import annotations

import functools
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nervcodec.errors import (
    BadMagic,
    BitstreamError,
    Checksum,
    InvalidField,
    LimitExceeded,
    Truncated,
    UnknownPrior,
    UnsupportedVersion,
)
from nervcodec.format.prior import PRIORS

MAGIC = bytes.fromhex("894E5650500D0A1A")
SEGMENT, REPEATS, TIMES, SOUND, PROPERTIES = 1, 2, 130, 132, 133
U32 = 2**32 - 1
CONTAINER, LIMITS, STREAMS = "container", "limits", "streams"

# The header's fields in their order: name, type and the value in GOOD, a video of one frame of 4 x
# 2 pixels.
HEADER = (
    ("width", "H", 4),
    ("height", "H", 2),
    ("frame_rate_numerator", "I", 25),
    ("frame_rate_denominator", "I", 1),
    ("n_frames", "I", 1),
    ("aspect_numerator", "H", 1),
    ("aspect_denominator", "H", 1),
    ("layout", "B", 0),
    ("bit_depth", "B", 0),
    ("matrix", "B", 2),
    ("primaries", "B", 2),
    ("transfer", "B", 2),
    ("range", "B", 0),
    ("chroma_location", "B", 0),
    ("arithmetic", "B", 0),
    ("entropy_coder", "B", 0),
    ("colorspace", "B", 1),
    ("bits", "B", 8),
    ("parts", "B", 0),
    ("biases", "B", 0),
    ("prior", "B", 0),
    ("prior_crc", "I", 0),
    ("stem", "B", 1),
    ("stem_height", "H", 1),
    ("stem_width", "H", 2),
    ("stem_hidden", "H", 0),
    ("stem_channels", "H", 0),
    ("motion_height", "H", 0),
    ("motion_width", "H", 0),
    ("wavelet_levels", "B", 0),
    ("n_grids", "B", 1),
    ("n_blocks", "B", 1),
)
GRIDS = ((1, 1, 0),)  # channels, interval, level
BLOCKS = ((1, 2),)  # stride, width
STREAMS_OF_ZEROS = (b"\0", b"\0\0", b"\0\0")  # stem, block1, head: a record for each group
_REST = STREAMS_OF_ZEROS[1:]
MLP: dict[str, Any] = {"stem": 0, "stem_hidden": 3, "stem_channels": 1, "n_grids": 0}


@dataclass(frozen=True)
class Case:
    """A hostile file.

    Attributes:
        name: also of the file that is written.
        stage: what refuses it: the container's checks, the limits, or the entropy decoder.
        message: what the error says; * stands for any text.
    """

    name: str
    data: bytes
    error: type[BitstreamError]
    message: str
    stage: str = CONTAINER

    @property
    def exit_code(self) -> int:
        """As docs/reference/exit-codes.md has it."""
        return 5 if self.stage == LIMITS else 4


# --- the assembler ---


def checked(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def header(
    grids: Sequence[tuple[int, ...]] = GRIDS,
    blocks: Sequence[tuple[int, ...]] = BLOCKS,
    version: int = 1,
    length: int | None = None,
    more: bytes = b"",
    **changes: int,
) -> bytes:
    """The file up to the index: GOOD's header but for some fields, its length too if one is given,
    and more bytes.
    """
    values = {"n_grids": len(grids), "n_blocks": len(blocks), **changes}
    fields = b"".join(
        struct.pack(f"<{kind}", values.pop(name, usual)) for name, kind, usual in HEADER
    )
    assert not values, f"no header field is called {', '.join(values)}"
    fields += b"".join(struct.pack("<BHB", *grid) for grid in grids)
    fields += b"".join(struct.pack("<BH", *block) for block in blocks) + more
    return checked(
        MAGIC + struct.pack("<HH", version, len(fields) if length is None else length) + fields
    )


def moving(
    motion: tuple[int, int],
    grids: Sequence[tuple[int, ...]] = ((1, 1, 0), (1, 1, 1)),
    **changes: Any,
) -> bytes:
    """The file up to the index with a motion of so many rows and columns."""
    return header(grids, motion_height=motion[0], motion_width=motion[1], **changes)


def halved(
    wavelet_levels: int, grids: Sequence[tuple[int, ...]] = ((1, 1, 0), (1, 1, 1)), **changes: Any
) -> bytes:
    """The file up to the index with a motion of one vector and halved grids."""
    return moving((1, 1), grids, wavelet_levels=wavelet_levels, **changes)


def segment(
    streams: Sequence[bytes] = STREAMS_OF_ZEROS,
    n_frames: int = 1,
    cuts: Sequence[int] = (),
    n_cuts: int | None = None,
    lengths: Sequence[int] | None = None,
    fraction_bits: int = 9,
) -> tuple[int, bytes]:
    """A segment's type and payload. n_cuts, lengths: what n_cuts and stream_length say, if not the
    truth.
    """
    said = [len(stream) for stream in streams] if lengths is None else lengths
    return SEGMENT, struct.pack(
        f"<IHB12I{len(cuts)}I",
        n_frames,
        len(cuts) if n_cuts is None else n_cuts,
        fraction_bits,
        *[U32] * 12,
        *cuts,
    ) + b"".join(
        struct.pack("<I", length) + stream for length, stream in zip(said, streams, strict=True)
    )


def index(
    sections: Sequence[tuple[int, bytes]],
    n_sections: int | None = None,
    lengths: Sequence[int] | None = None,
    frames: int | None = None,
) -> bytes:
    """The index of sections. lengths, frames: what it says of them, if not the truth."""
    said = [len(payload) for _, payload in sections] if lengths is None else lengths
    entries = [
        struct.pack("<BI", kind, length) + (_frames_entry(payload, frames) if kind == 1 else b"")
        for (kind, payload), length in zip(sections, said, strict=True)
    ]
    return checked(
        struct.pack("<I", len(sections) if n_sections is None else n_sections) + b"".join(entries)
    )


def _frames_entry(payload: bytes, frames: int | None) -> bytes:
    """A segment's frames, as its payload has them unless others are given."""
    return (payload[:4] or b"\1\0\0\0") if frames is None else struct.pack("<I", frames)


def body(sections: Sequence[tuple[int, bytes]], lengths: Sequence[int] | None = None) -> bytes:
    said = [len(payload) for _, payload in sections] if lengths is None else lengths
    return b"".join(
        checked(struct.pack("<BI", kind, length) + payload)
        for (kind, payload), length in zip(sections, said, strict=True)
    )


def file_of(*sections: tuple[int, bytes], head: bytes = header()) -> bytes:
    return head + index(sections) + body(sections)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


GOOD = file_of(segment())
HEADER_END, INDEX_END = len(header()), len(header()) + len(index([segment()]))


# --- the cases ---


def _mismatch(at: int) -> str:
    return f"file: the checksum at byte {at} does not match; the file is damaged"


def _preambles() -> Iterator[Case]:
    """Other files, other versions, lengths of the header that are not its own."""
    yield Case("empty", b"", BadMagic, "not a .nvpp file: it starts with b''")
    yield Case(
        "escape-codes",
        b"\x1b]0;owned\x07\n\x1b[2J",
        BadMagic,
        "not a .nvpp file: it starts with b'\\x1b]0;owne'",
    )
    yield Case(
        "text-mode",
        GOOD.replace(b"\r\n", b"\n"),
        BadMagic,
        "not a .nvpp file: it starts with b'\\x89NVPP\\n\\x1a\\x01'",
    )
    yield Case("magic-cut", MAGIC[:5], Truncated, "file: it ends after 5 bytes")
    yield Case("magic-only", MAGIC, Truncated, "file: 4 bytes wanted at byte 8, 0 there")
    for version in (0, 2, 65535):
        yield Case(
            f"version-{version}",
            header(version=version) + GOOD[HEADER_END:],
            UnsupportedVersion,
            f"format version {version}; this program reads version 1",
        )
    yield Case(
        "header-length-0",
        checked(MAGIC + struct.pack("<HH", 1, 0)) + GOOD[HEADER_END:],
        Truncated,
        "header: 2 bytes wanted at byte 0, 0 there",
    )
    yield Case(
        "header-length-65535",
        header(length=65535) + GOOD[HEADER_END:],
        Truncated,
        "file: 65535 bytes wanted at byte 12, 163 there",
    )
    yield Case(
        "header-longer-than-its-fields",
        file_of(segment(), head=header(more=b"\0")),
        InvalidField,
        "length of header is 62; legal: 61, as its fields say",
    )
    short = checked(MAGIC + struct.pack("<HH", 1, 60) + header()[12:-5])
    yield Case(
        "header-shorter-than-its-fields",
        file_of(segment(), head=short),
        Truncated,
        "header: 2 bytes wanted at byte 59, 1 there",
    )
    for name, at, end in (
        ("header", 12, HEADER_END),
        ("index", HEADER_END + 5, INDEX_END),
        ("section", INDEX_END + 5, len(GOOD)),
    ):
        yield Case(f"{name}-checksum", flipped(GOOD, at), Checksum, _mismatch(end - 4))
    yield Case(
        "header-checksum-of-nothing",
        GOOD[: HEADER_END - 4] + bytes(4) + GOOD[HEADER_END:],
        Checksum,
        _mismatch(HEADER_END - 4),
    )


# name in the header, an illegal value, the legal ones
_ILLEGAL = (
    ("width", 0, "1 to 65535"),
    ("height", 0, "1 to 65535"),
    ("frame_rate_numerator", 0, "1 to 4294967295"),
    ("frame_rate_denominator", 0, "1 to 4294967295"),
    ("n_frames", 0, "1 to 16777216"),
    ("n_frames", 2**24 + 1, "1 to 16777216"),
    ("n_frames", U32, "1 to 16777216"),
    ("aspect_numerator", 0, "1 to 65535"),
    ("aspect_denominator", 0, "1 to 65535"),
    ("layout", 5, "0 to 4"),
    ("bit_depth", 3, "0 to 2"),
    ("range", 3, "0 to 2"),
    ("chroma_location", 7, "0 to 6"),
    ("arithmetic", 1, "0 to 0"),
    ("entropy_coder", 255, "0 to 0"),
    ("colorspace", 5, "0 to 4"),
    ("bits", 0, "2 to 12"),
    ("bits", 1, "2 to 12"),
    ("bits", 13, "2 to 12"),
    ("bits", 255, "2 to 12"),
    ("parts", 16, "0 to 15"),
    ("biases", 2, "0 to 1"),
    ("stem", 2, "0 to 1"),
    ("stem_height", 0, "1 to 4096"),
    ("stem_width", 4097, "1 to 4096"),
    ("stem_channels", 4097, "0 to 4096"),
    ("motion_height", 4097, "0 to 4096"),
    ("motion_width", 65535, "0 to 4096"),
    ("wavelet_levels", 5, "0 to 4"),
    ("wavelet_levels", 255, "0 to 4"),
    ("n_grids", 9, "0 to 8"),
    ("n_grids", 255, "0 to 8"),
    ("n_blocks", 0, "1 to 8"),
    ("n_blocks", 9, "1 to 8"),
    ("n_blocks", 255, "1 to 8"),
)


def _headers() -> Iterator[Case]:
    """Fields out of their ranges, and networks that cannot be."""
    for name, value, legal in _ILLEGAL:
        yield Case(
            f"{name}-{value}",
            file_of(segment(), head=header(**dict[str, Any]({name: value}))),
            InvalidField,
            f"{name} is {value}; legal: {legal}",
        )
    for name, grid, legal in (
        ("grid_channels", (0, 1, 0), "1 to 255"),
        ("grid_interval", (1, 0, 0), "1 to 65535"),
        ("grid_level", (1, 1, 9), "0 to 8"),
    ):
        yield Case(
            f"{name}-illegal",
            file_of(segment(), head=header([grid])),
            InvalidField,
            f"{name} is {max(grid) if name == 'grid_level' else 0}; legal: {legal}",
        )
    for name, value, block, legal in (
        ("block_stride", 0, (0, 2), "1 to 16"),
        ("block_stride", 17, (17, 2), "1 to 16"),
        ("block_width", 0, (1, 0), "1 to 4096"),
        ("block_width", 4097, (1, 4097), "1 to 4096"),
    ):
        yield Case(
            f"{name}-{value}",
            file_of(segment(), head=header(blocks=[block])),
            InvalidField,
            f"{name} is {value}; legal: {legal}",
        )
    yield Case(
        "more-grids-than-bytes",
        file_of(segment(), head=header(n_grids=8)),
        Truncated,
        "header: 1 bytes wanted at byte 61, 0 there",
    )
    yield Case(
        "more-blocks-than-bytes",
        file_of(segment(), head=header(n_blocks=8)),
        Truncated,
        "header: 1 bytes wanted at byte 61, 0 there",
    )

    def unfit(name: str, why: str, head: bytes) -> Case:
        quote = '"' if "'" in why else "'"
        return Case(
            name,
            file_of(segment(), head=head),
            InvalidField,
            f"model is {quote}{why}{quote}; legal: a network that covers the frame",
        )

    def foreign(name: str, why: str, head: bytes) -> Case:
        return Case(name, file_of(segment(), head=head), InvalidField, why)

    yield unfit(
        "frame-too-wide", "the network gives 2x1, less than the 3x1 it must cover", header(width=5)
    )
    yield unfit(
        "frame-too-high", "the network gives 2x1, less than the 2x2 it must cover", header(height=3)
    )
    yield unfit(
        "frame-too-large-by-far",
        "the network gives 2x1, less than the 32768x32768 it must cover",
        header(width=65535, height=65535),
    )
    yield unfit(
        "skip-without-pw",
        "parts are skip; legal: a skip only with pw, whose output it takes",
        header(parts=8),
    )
    yield unfit(
        "skip-with-all-but-pw",
        "parts are scrb1, scrb2, skip; legal: a skip only with pw, whose output it takes",
        header(parts=14),
    )
    yield unfit(
        "grid-above-the-last-block",
        "highest grid level is 2; legal: 0 to 1",
        header([(1, 1, 0), (1, 1, 2)]),
    )
    yield unfit(
        "no-grid-at-the-stem", "number of grids of level 0 is 0; legal: 1 to 8", header([(1, 1, 1)])
    )
    yield unfit(
        "motion-of-nothing", "number of grids that move is 0; legal: 1 to 8", moving((1, 1), GRIDS)
    )
    yield unfit(
        "motion-of-two-intervals",
        "number of intervals of grids that move is 2; legal: 1 to 1",
        moving((1, 1), [(1, 1, 0), (1, 1, 1), (1, 2, 1)]),
    )
    yield unfit(
        "wavelets-of-nothing", "number of grids that move is 0; legal: 1 to 8", halved(1, GRIDS)
    )
    yield unfit(
        "motion-without-rows", "motion width without a height is 1; legal: 0 to 0", moving((0, 1))
    )
    yield unfit("motion-without-columns", "motion width is 0; legal: 1 to 4096", moving((1, 0)))
    yield unfit(
        "wavelets-without-motion", "wavelet levels is 1; legal: 0 to 0", header(wavelet_levels=1)
    )
    yield foreign(
        "wavelets-with-an-mlp-stem",
        "wavelet_levels is 1; legal: 0 with stem mlp",
        header([], **MLP, wavelet_levels=1),
    )
    yield foreign(
        "motion-with-an-mlp-stem",
        "motion_height is 1; legal: 0 with stem mlp",
        moving((1, 1), [], **MLP),
    )
    yield unfit("grid-stem-without-grids", "number of grids is 0; legal: 1 to 8", header([]))
    yield foreign(
        "grid-stem-with-hidden-units",
        "stem_hidden is 1; legal: 0 with stem grid",
        header(stem_hidden=1),
    )
    yield foreign(
        "grid-stem-with-channels",
        "stem_channels is 1; legal: 0 with stem grid",
        header(stem_channels=1),
    )
    yield foreign(
        "mlp-stem-with-grids",
        "n_grids is 1; legal: 0 with stem mlp",
        header(**{**MLP, "n_grids": 1}),
    )
    yield unfit(
        "mlp-stem-without-hidden-units",
        "stem hidden units is 0; legal: 1 to 65535",
        header([], **{**MLP, "stem_hidden": 0}),
    )
    yield unfit(
        "mlp-stem-without-channels",
        "stem channels is 0; legal: 1 to 4096",
        header([], **{**MLP, "stem_channels": 0}),
    )


# Of a network that prior 1 is for.
_PRIOR: dict[str, Any] = {
    "grids": [(6, 1, 0), (2, 1, 1), (3, 1, 2), (1, 1, 3)],
    "blocks": [(2, 16)] * 3,
    "parts": 15,
    "biases": 1,
    "prior": 1,
    "prior_crc": PRIORS[1].crc,
}


def _priors() -> Iterator[Case]:
    """Priors that this version does not have, or that are not for the network."""

    def bad(name: str, message: str, error: type[BitstreamError], **changes: Any) -> Case:
        streams = [b"\0", *[b"\0\0"] * 4]
        return Case(
            name,
            file_of(segment(streams), head=header(**{**_PRIOR, **changes})),
            error,
            message,
        )

    known = ", ".join(map(str, (0, *PRIORS)))
    for number in (len(PRIORS) + 1, 255):
        why = f"prior is {number}; this version has {known}: update nervcodec"
        yield bad(f"prior-{number}", why, UnknownPrior, prior=number)
        yield bad(f"prior-{number}-without-crc", why, UnknownPrior, prior=number, prior_crc=0)
    for name, crc in (("another", PRIORS[1].crc ^ 1), ("no", 0)):
        why = f"prior 1 has the checksum {crc:#010x}, and * in this version: decode with the"
        yield bad(
            f"prior-of-{name}-checksum", f"{why} version that encoded", UnknownPrior, prior_crc=crc
        )
    why = f"prior_crc is {PRIORS[1].crc}; legal: 0 without a prior"
    yield bad("checksum-without-a-prior", why, InvalidField, prior=0)
    why = "prior is 1, which is not for this network; legal: 0"
    yield from (
        bad(
            f"prior-of-{name}",
            f"model is '{why}'; legal: a network that covers the frame",
            InvalidField,
            **changes,
        )
        for name, changes in (
            ("an-mlp", MLP | {"grids": []}),
            ("rgb", {"layout": 1, "colorspace": 0}),
            ("other-parts", {"parts": 7}),
            ("all-biases", {"biases": 0}),
            ("fewer-blocks", {"blocks": [(2, 16)] * 2, "grids": _PRIOR["grids"][:3]}),
            ("other-strides", {"blocks": [(2, 16), (3, 16), (2, 16)]}),
            ("a-narrow-block", {"blocks": [(2, 16), (2, 15), (2, 16)]}),
            ("other-grids", {"grids": [(7, 1, 0), *_PRIOR["grids"][1:]]}),
            ("grids-elsewhere", {"grids": [(6, 1, 0), (2, 1, 2), (3, 1, 1), (1, 1, 3)]}),
        )
    )


def _sound(
    n_streams: int = 1, kind: int = 0, tick: int = 1, codec: bytes = b"aac", nut: bytes = b"nut"
) -> bytes:
    """A section of sound with streams of one codec."""
    stream = struct.pack("<B4I3BH", kind, 1, tick, 0, 0, len(codec), 0, 0, 0) + codec
    return struct.pack("<BII", n_streams, 0, 1) + n_streams * stream + nut


def _extra_cases() -> Iterator[Case]:
    """Sections of sound and of properties that are not whole."""
    text = b"\0\0\0\0\1\0"  # properties with one title
    wrong = {
        "sound-empty": (SOUND, b"", Truncated, "sound: 1 bytes wanted at byte 0, 0 there"),
        "sound-of-no-stream": (SOUND, _sound(0), InvalidField, "n_streams is 0; legal: 1 to 32"),
        "sound-of-33-streams": (
            SOUND,
            _sound(33)[:64],
            InvalidField,
            "n_streams is 33; legal: 1 to 32",
        ),
        "sound-kind": (SOUND, _sound(kind=2), InvalidField, "kind is 2; legal: 0 to 1"),
        "sound-tick": (
            SOUND,
            _sound(tick=0),
            InvalidField,
            "tick_denominator is 0; legal: 1 to 2147483647",
        ),
        "sound-without-packets": (
            SOUND,
            _sound(nut=b""),
            InvalidField,
            "bytes of sound packets is 0; legal: at least 1",
        ),
        "sound-codec-no-text": (
            SOUND,
            _sound(codec=b"\xff"),
            InvalidField,
            "codec of a stream is b'\\xff'; legal: UTF-8",
        ),
        "properties-flag": (
            PROPERTIES,
            b"\2\0\0\0\0",
            InvalidField,
            "has_matrix is 2; legal: 0 to 1",
        ),
        "properties-matrix-cut": (
            PROPERTIES,
            b"\1\0\0\0\0" + bytes(35),
            Truncated,
            "properties: 4 bytes wanted at byte 37, 3 there",
        ),
        "properties-text-empty": (
            PROPERTIES,
            text + b"\0\0",
            InvalidField,
            "text_bytes is 0; legal: 1 to 4096",
        ),
        "properties-text-zero": (
            PROPERTIES,
            text + b"\1\0\0",
            InvalidField,
            "text of title is '\\x00'; legal: UTF-8 without a zero character",
        ),
        "properties-too-long": (
            PROPERTIES,
            bytes(6),
            InvalidField,
            "length of properties is 6; legal: 5, as its fields say",
        ),
    }
    for name, (kind, payload, error, message) in wrong.items():
        yield Case(name, file_of((kind, payload), segment()), error, message)
    for name, kind, payload in (
        ("sound", SOUND, _sound()),
        ("properties", PROPERTIES, bytes(5)),
    ):
        yield Case(
            f"{name}-twice",
            file_of((kind, payload), segment(), (kind, payload)),
            InvalidField,
            f"number of {name} sections is 2; legal: 0 or 1",
        )


def _sections() -> Iterator[Case]:
    """Overlaps and holes: an index, sections and streams that do not fit one another or the
    file.
    """
    head, own = header(), [segment()]
    size = len(own[0][1])
    for n_sections in (0, 2**20 + 1, 2**31, U32):
        yield Case(
            f"n-sections-{n_sections}",
            head + index(own, n_sections) + body(own),
            InvalidField,
            f"n_sections is {n_sections}; legal: 1 to 1048576",
        )
    yield Case(
        "n-sections-beyond-the-file",
        head + index(own, 2**20) + body(own),
        Truncated,
        "index: 1048576 entries, 94 bytes left",
    )
    yield Case(
        "n-sections-just-beyond-the-file",
        head + index(own, 19) + body(own),
        Truncated,
        "index: 19 entries, 94 bytes left",
    )
    yield Case("n-sections-to-the-end", head + index(own, 17) + body(own), Checksum, _mismatch(170))
    yield Case(
        "index-without-its-checksum",
        head + index(own)[:-4],
        Truncated,
        "file: 4 bytes wanted at byte 90, 0 there",
    )
    yield Case(
        "n-sections-one-too-many",
        head + index(own, 2) + body(own),
        Checksum,
        _mismatch(INDEX_END + 1),
    )
    yield Case("no-index", head, Truncated, "file: 4 bytes wanted at byte 77, 0 there")
    yield Case(
        "no-sections-after-the-index",
        head + index(own),
        Truncated,
        "file: 1 bytes wanted at byte 94, 0 there",
    )
    for length in (0, size - 1, size + 1, 2**31, U32):
        yield Case(
            f"index-says-{length}",
            head + index(own, lengths=[length]) + body(own),
            InvalidField,
            f"section type and length is (1, {size}); legal: (1, {length}), as the index says",
        )
    yield Case(
        "index-of-another-type",
        head + index([(TIMES, own[0][1])]) + body(own),
        InvalidField,
        f"section type and length is (1, {size}); legal: (130, {size}), as the index says",
    )
    for length in (size + 5, 2**31, U32):
        yield Case(
            f"section-length-{length}",
            head + index(own, lengths=[length]) + body(own, [length]),
            Truncated,
            f"file: {length} bytes wanted at byte 99, {size + 4} there",
        )
    yield Case(
        "section-into-its-checksum",
        head + index(own, lengths=[size + 4]) + body(own, [size + 4]),
        Truncated,
        "file: 4 bytes wanted at byte 175, 0 there",
    )
    yield Case(
        "section-overlaps-the-next",
        head
        + index([own[0], own[0]], lengths=[size + 9, size])
        + body([own[0], own[0]], [size + 9, size]),
        Checksum,
        _mismatch(189),
    )
    yield Case(
        "bytes-after-the-last-section",
        GOOD + b"\n",
        InvalidField,
        "length of file is 176; legal: 175, as its fields say",
    )
    yield Case(
        "file-twice",
        GOOD + GOOD,
        InvalidField,
        "length of file is 350; legal: 175, as its fields say",
    )
    yield Case(
        "last-byte-missing", GOOD[:-1], Truncated, "file: 4 bytes wanted at byte 171, 3 there"
    )
    yield Case(
        "section-of-no-bytes",
        file_of((SEGMENT, b"")),
        Truncated,
        "segment: 4 bytes wanted at byte 0, 0 there",
    )
    yield Case(
        "segment-without-streams",
        file_of(segment([])),
        Truncated,
        "segment: 4 bytes wanted at byte 55, 0 there",
    )
    yield Case(
        "segment-of-too-few-streams",
        file_of(segment(STREAMS_OF_ZEROS[:2])),
        Truncated,
        "segment: 4 bytes wanted at byte 66, 0 there",
    )
    yield Case(
        "segment-of-too-many-streams",
        file_of(segment((*STREAMS_OF_ZEROS, b"\0"))),
        InvalidField,
        "length of segment is 77; legal: 72, as its fields say",
    )
    for length in (0, 2**31, U32):
        error, message = (
            (InvalidField, "stream_length is 0; legal: 1 to 4294967295")
            if not length
            else (Truncated, f"segment: {length} bytes wanted at byte 59, 13 there")
        )
        yield Case(
            f"stream-length-{length}", file_of(segment(lengths=(length, 2, 2))), error, message
        )
    yield Case(
        "stream-overlaps-the-next",
        file_of(segment(lengths=(3, 2, 2))),
        InvalidField,
        "stream_length is 0; legal: 1 to 4294967295",
    )
    yield Case(
        "segment-frames-0",
        file_of(segment(n_frames=0)),
        InvalidField,
        "segment_n_frames is 0; legal: 1 to 16777216",
    )
    yield Case(
        "segment-frames-negative",
        file_of(segment(n_frames=U32)),
        InvalidField,
        "segment_n_frames is 4294967295; legal: 1 to 16777216",
    )
    for cuts, message in (
        ((0,), "cut is 0; legal: 1 to 16777215"),
        ((9,), "cut is 9; legal: 1 to 8"),
        ((U32,), "cut is 4294967295; legal: 1 to 16777215"),
        ((4, 4), "cut is 4; legal: 5 to 8"),
        ((4, 3), "cut is 3; legal: 5 to 8"),
    ):
        name = "-".join(map(str, cuts))
        yield Case(
            f"segment-cut-at-{name}", file_of(segment(n_frames=9, cuts=cuts)), InvalidField, message
        )
    yield Case(
        "segment-of-one-frame-is-cut",
        file_of(segment(cuts=(1,))),
        InvalidField,
        "cut is 1; legal: 1 to 0",
    )
    yield Case(
        "segment-with-more-cuts-than-bytes",
        file_of(segment(n_frames=9, n_cuts=65535)),
        InvalidField,
        "cut is 512; legal: 2 to 8",
    )
    yield Case(
        "no-segment",
        file_of((200, bytes(32))),
        InvalidField,
        "n_frames is 1; legal: 0, the sum over the segments",
    )
    yield Case(
        "only-unknown-sections",
        file_of(*[(200, b"")] * 60),
        InvalidField,
        "n_frames is 1; legal: 0, the sum over the segments",
    )
    yield Case(
        "frames-missing",
        file_of(segment(), head=header(n_frames=2)),
        InvalidField,
        "n_frames is 2; legal: 1, the sum over the segments",
    )
    yield Case(
        "frames-too-many",
        file_of(segment(), segment()),
        InvalidField,
        "n_frames is 1; legal: 2, the sum over the segments",
    )
    for frames, error, message in (
        (0, InvalidField, "segment_n_frames is 0; legal: 1 to 16777216"),
        (2, InvalidField, "segment_n_frames is 1; legal: 2, as the index says"),
        (2**24 + 1, InvalidField, "segment_n_frames is 16777217; legal: 1 to 16777216"),
    ):
        yield Case(
            f"index-says-{frames}-frames",
            head + index(own, frames=frames) + body(own),
            error,
            message,
        )
    yield Case(
        "segment-ends-in-its-quality",
        file_of((SEGMENT, own[0][1][:51])),
        Truncated,
        "segment: 4 bytes wanted at byte 51, 0 there",
    )
    for bits in (0, 3, 11, 255):
        yield Case(
            f"fraction-bits-{bits}",
            file_of(segment(fraction_bits=bits)),
            InvalidField,
            f"fraction_bits is {bits}; legal: 4 to 10",
        )
    yield from _extra_cases()
    for kind in (0, 3, 127):
        yield Case(
            f"section-type-{kind}",
            file_of((kind, b"new"), segment()),
            InvalidField,
            f"section_type is {kind}; legal: 1, 2, or 128 and above",
        )


def _timing() -> Iterator[Case]:
    """Repeats and times that are none, or not those of the frames."""
    varints = {
        "cut": (b"\x80", Truncated, "1 bytes wanted at byte 1, 0 there"),
        "long": (b"\x81\0", InvalidField, "coded_frames is 1; legal: no more bytes than it needs"),
        "endless": (b"\xff" * 10, InvalidField, f"coded_frames is {2**63 - 1}; legal: at most 9 b"),
        "zero": (b"\0\1", InvalidField, "coded_frames is 0; legal: 1 to 16777216"),
        "of-no-pair": (b"\1", Truncated, "1 bytes wanted at byte 1, 0 there"),
        "never-shown": (b"\1\0", InvalidField, "shown_times is 0; legal: 1 to 16777216"),
        "empty": (b"", InvalidField, "frames with repeats is 0; legal: 1, the sum over the seg"),
        "of-others": (b"\2\1", InvalidField, "frames with repeats is 2; legal: 1, the sum over"),
        "of-more": (b"\1\2", InvalidField, "n_frames is 1; legal: 2, the sum over the repeats"),
    }
    for name, (payload, error, message) in varints.items():
        message = message if error is InvalidField else f"repeats: {message}"
        yield Case(f"repeats-{name}", file_of((REPEATS, payload), segment()), error, f"{message}*")
    yield Case(
        "repeats-twice",
        file_of((REPEATS, b"\1\1"), (REPEATS, b"\1\1"), segment()),
        InvalidField,
        "number of repeats sections is 2; legal: 0 or 1",
    )
    for name, payload, message in (
        ("no-time-base", b"\0\1\0\0", "time_base_numerator is 0; legal: 1 to 2147483647"),
        ("no-denominator", b"\1\0\0\0", "time_base_denominator is 0; legal: 1 to 2147483647"),
        ("late", b"\1\1" + b"\xff" * 8 + b"\1\0", "start is *; legal: 0 to 9007199254740992"),
        ("still", b"\1\1\0\0\0", "step is 0; legal: 1 to 4294967295"),
        ("backwards", b"\1\1\0\0\2", "step is -1; legal: 1 to 4294967295"),
        ("of-others", b"\1\1\0\0\4", "frames with times is 2; legal: 1, as n_frames says"),
        ("of-many", b"\1\1\0\0\5\0", "frames with times is 3; legal: 1, as n_frames says"),
    ):
        yield Case(f"times-{name}", file_of((TIMES, payload), segment()), InvalidField, message)
    yield Case("times-cut", file_of((TIMES, b"\1\1\0"), segment()), Truncated, "times: 1 bytes *")


def _bombs() -> Iterator[Case]:
    """Whole files that ask for more than anyone would give them."""

    def bomb(
        name: str,
        message: str,
        streams: Sequence[bytes] = STREAMS_OF_ZEROS,
        n_frames: int = 1,
        grids: Sequence[tuple[int, ...]] = GRIDS,
        blocks: Sequence[tuple[int, ...]] = BLOCKS,
        **changes: Any,
    ) -> Case:
        head = header(grids, blocks, n_frames=n_frames, **changes)
        return Case(
            name, file_of(segment(streams, n_frames), head=head), LimitExceeded, message, LIMITS
        )

    def too_much(name: str, value: str, limit: str) -> str:
        return f"{name} is {value}, more than the limit of {limit}; --limit {name}=N raises it"

    yield bomb(
        "bomb-frame-of-16384",
        too_much("pixels", "268,435,456", "134,217,728"),
        width=16384,
        height=16384,
        stem_width=512,
        stem_height=512,
        blocks=[(16, 1)],
    )
    yield bomb(
        "bomb-frame-of-65535",
        too_much("side", "65,535", "16,384"),
        width=65535,
        height=65535,
        stem_width=2048,
        stem_height=2048,
        blocks=[(16, 1)],
    )
    yield bomb(
        "bomb-frame-of-one-row",
        too_much("side", "16,385", "16,384"),
        width=16385,
        height=1,
        stem_width=4096,
        blocks=[(3, 1)],
    )
    yield bomb(
        "bomb-frames",
        too_much("frames", "16,777,216", "1,000,000"),
        n_frames=2**24,
        grids=[(1, 65535, 0)],
    )
    yield bomb(
        "bomb-frames-by-one",
        too_much("frames", "1,000,001", "1,000,000"),
        n_frames=1_000_001,
        grids=[(1, 65535, 0)],
    )
    million = segment(n_frames=10**6)
    yield Case(
        "bomb-frames-of-segments",
        file_of(million, million, head=header([(1, 65535, 0)], n_frames=2 * 10**6)),
        LimitExceeded,
        too_much("frames", "2,000,000", "1,000,000"),
        LIMITS,
    )
    yield Case(
        "bomb-repeats",
        file_of((REPEATS, b"\1\x80\x80\x80\x08"), segment(), head=header(n_frames=2**24)),
        LimitExceeded,
        too_much("frames", "16,777,216", "1,000,000"),
        LIMITS,
    )
    head = 6 * 2 * 9 + 6  # parameters of GOOD's

    def parameters(name: str, n: int, **changes: Any) -> Case:
        return bomb(name, too_much("parameters", f"{n:,}", "100,000,000"), **changes)

    yield parameters(
        "bomb-parameters-mlp",
        65535 * 81 + 4096**3 * 65536 + 2 * 4096 * 9 + 2 + head,
        grids=[],
        **{
            **MLP,
            "stem_hidden": 65535,
            "stem_channels": 4096,
            "stem_height": 4096,
            "stem_width": 4096,
        },
    )
    yield parameters(
        "bomb-parameters-block",
        2 + 4096 * 10 + 4096 * 256 * (4096 * 9 + 1) + 6 * 4096 * 9 + 6,
        blocks=[(1, 4096), (16, 4096)],
        streams=[b"\0", b"\0\0", b"\0\0", b"\0\0"],
    )
    yield parameters(
        "bomb-empty-groups",
        8 * 255 * 2**24 + 2 * 8 * 255 * 9 + 2 + head,
        streams=[bytes(8), *_REST],
        grids=[(255, 1, 0)] * 8,
        stem_height=4096,
        stem_width=4096,
    )
    yield parameters(
        "bomb-one-table-for-2-to-the-30",
        2**30 + 2 * 64 * 9 + 2 + head,
        streams=[b"\x40\0\4\4" + bytes(8), *_REST],
        grids=[(64, 1, 0)],
        stem_height=4096,
        stem_width=4096,
    )
    yield parameters(
        "bomb-keys",
        500_000 * 255 * 2 + 2 * 255 * 9 + 2 + head,
        n_frames=500_000,
        streams=[b"\1\0\0", *_REST],
        grids=[(255, 1, 0)],
    )
    yield parameters(
        "bomb-keys-of-a-fine-grid",
        8 * 2 + 500_000 * 16 * 32 + 256 * 10 + head,
        n_frames=500_000,
        streams=[b"\0\1\0\0", *_REST],
        grids=[(1, 65535, 0), (1, 1, 1)],
        blocks=[(16, 1)],
    )
    n_macs = 2**24 * (2 + 256 * 9 + 256 * 6 * 9)
    yield bomb(
        "bomb-multiply-adds",
        too_much("kmac", f"{n_macs / 1000:,.0f}", "5,000"),
        width=1,
        height=1,
        stem_height=4096,
        stem_width=4096,
        blocks=[(16, 1)],
    )
    n_macs = 2 * 2 + sum(2 * 256**i * 256 * 9 for i in range(8)) + 2 * 256**8 * 6 * 9
    yield bomb(
        "bomb-multiply-adds-in-the-head",
        too_much("kmac", f"{n_macs / 1000:,.0f}", "5,000"),
        width=1,
        height=1,
        blocks=[(16, 1)] * 8,
        streams=[b"\0", *[b"\0\0"] * 8, b"\0\0"],
    )
    memory = (
        "decoding takes about * MiB of memory, more than the limit of 4,096 MiB; --max-memory"
        " raises it"
    )
    yield bomb(
        "bomb-memory-of-maps",
        memory,
        width=16384,
        height=8192,
        stem_width=512,
        stem_height=256,
        blocks=[(16, 16)],
    )
    yield bomb(
        "bomb-memory-of-tables",
        memory,
        n_frames=1_000_000,
        grids=[(1, 1, 0)],
        streams=[b"\1\0\0", *_REST],
    )
    yield bomb(
        "bomb-memory-of-encodings",
        memory,
        n_frames=1_000_000,
        grids=[(1, 400, 0)],
        streams=[b"\1\0\0", *_REST],
    )


# Of a histogram for 8 bits: magnitudes 0 to 4, then 5, 7, 9, 13, 17, 25, 33, 49, 65, 97 and on.
_N_BUCKETS = 15


def _streams() -> Iterator[Case]:
    """Whole containers whose streams no encoder writes. Their stem has two symbols, a pair a
    key.
    """

    def bad(
        name: str,
        stem: bytes,
        message: str,
        error: type[BitstreamError] = BitstreamError,
        n_frames: int = 1,
        grids: Sequence[tuple[int, ...]] = GRIDS,
        block: bytes = b"\0\0",
        head: Callable[..., bytes] = header,
    ) -> Case:
        streams = (stem, block, b"\0\0")
        return Case(
            name,
            file_of(segment(streams, n_frames), head=head(grids=grids, n_frames=n_frames)),
            error,
            message,
            STREAMS,
        )

    for kind in (128, 240, 254):
        yield bad(
            f"record-{kind}",
            bytes([kind, 5, 1, 1]),
            f"kind of record is {kind}; legal: 0 to 127, 129 to 239, or 255",
            InvalidField,
        )
    yield bad(
        "histogram-of-nothing",
        b"\xff\5" + bytes(_N_BUCKETS),
        "histogram is 'all zero'; legal: at least one bucket above 0",
        InvalidField,
    )
    yield bad(
        "histogram-cut",
        b"\xff\5" + b"\1" * (_N_BUCKETS - 1),
        "a stream of 16 bytes ends inside a record",
        Truncated,
    )
    for tails in ((64, 64), (65, 0), (0, 255)):
        yield bad(
            f"tails-{tails[0]}-{tails[1]}",
            bytes([64, 5, *tails]),
            f"tails is {tails}; legal: 0 to 64, at most one of them 64",
            InvalidField,
        )
    yield bad(
        "geometric-record-cut", b"\x40\5\4", "a stream of 3 bytes ends inside a record", Truncated
    )
    yield bad("step-missing", b"\x83", "a stream of 1 bytes ends inside a record", Truncated)
    for n_classes in (0, 7, 255):
        yield bad(
            f"classes-{n_classes}",
            bytes([n_classes, 0, 0]),
            f"number of classes is {n_classes}; legal: 1 to 6",
            InvalidField,
            2,
        )
    yield bad(
        "classes-without-records",
        b"\6\0\0\0\0\0\0",
        "a stream of 7 bytes ends inside a record",
        Truncated,
        2,
    )
    yield bad(
        "step-missing-in-a-class",
        b"\1\0\x83",
        "a stream of 3 bytes ends inside a record",
        Truncated,
        2,
    )
    yield bad(
        "second-grid-missing",
        b"\0",
        "a stream of 1 bytes ends before a grid's records",
        Truncated,
        2,
        [(1, 2, 0), (1, 1, 0)],
    )
    yield bad(
        "class-without-symbols", b"\2\0\0\x83\5", "a class without symbols has a table", n_frames=2
    )
    # the motion, its offset, the stem's own grid, the finer one's quarter, its coarser details and
    # those that follow them
    for name, details, message, error in (
        ("classes-0-of-details", b"\0", "number of classes is 0; legal: 1 to 6", InvalidField),
        (
            "classes-7-of-details",
            b"\7" + bytes(7),
            "number of classes is 7; legal: 1 to 6",
            InvalidField,
        ),
        ("details-missing", b"", "a stream of 5 bytes ends before a grid's records", Truncated),
        ("details-cut", b"\2\0", "a stream of 7 bytes ends inside a record", Truncated),
        (
            "class-of-details-without-symbols",
            b"\2\0\x83\5",
            "a class without symbols has a table",
            BitstreamError,
        ),
    ):
        yield bad(
            name,
            bytes(5) + details,
            message,
            error,
            grids=((1, 1, 0), (1, 1, 1)),
            head=functools.partial(halved, 2),
        )
    yield bad(
        "biases-missing", b"\0", "a stream of 1 bytes ends inside a record", Truncated, block=b"\0"
    )
    unlike = "a stream's bytes are not those of its symbols"
    yield bad("bytes-where-nothing-is-coded", b"\0\1", unlike)
    yield bad("zeros-where-nothing-is-coded", bytes(9), unlike)
    yield bad("zero-after-nothing", b"\x83\5\0", unlike)
    yield bad("zeros-after-nothing", b"\x83\5" + bytes(500), unlike)
    yield bad("zero-after-the-end", b"\x83\5\x97\0", unlike)
    yield bad("longer-than-need-be", b"\x83\5\x97\1", unlike)
    yield bad("not-the-smallest", b"\x83\5\x98", unlike)
    yield bad(
        "impossible-state",
        b"\x40\5\x10\x10" + b"\xff" * 8,
        "the range decoder met an impossible state: *",
    )


def cases() -> list[Case]:
    return [
        case
        for part in (_preambles, _headers, _priors, _sections, _timing, _bombs, _streams)
        for case in part()
    ]


CASES = cases()


def write_all(folder: Path) -> None:
    """Writes every case as a file of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        (folder / f"{case.name}.nvpp").write_bytes(case.data)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
    for one in CASES:
        print(
            f"{one.name}.nvpp  {len(one.data)} bytes  exit {one.exit_code}  {one.error.__name__}:"
            f" {one.message}"
        )
