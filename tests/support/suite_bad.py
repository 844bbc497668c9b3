"""The bad files of the conformance suite, and those of features that version 1 does not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import hostile
from suite_files import Good, Part, written
from suite_good import net

from nervcodec import errors
from nervcodec.errors import BitstreamError
from nervcodec.format.container import read_file, write_file, write_header
from nervcodec.format.file import File, Segment
from nervcodec.format.model_config import Block, Grid, GridStem

# Cases of hostile.py that are refused for one clear reason.
HOSTILE = (
    "empty text-mode magic-cut magic-only version-0 header-length-0 header-length-65535"
    " header-longer-than-its-fields header-shorter-than-its-fields header-checksum"
    " index-checksum section-checksum width-0 height-0 frame_rate_denominator-0 n_frames-0"
    " n_frames-16777217 aspect_numerator-0 range-3 chroma_location-7 bits-1 bits-13 stem_height-0"
    " stem_width-4097 n_grids-9 n_blocks-0 n_blocks-9 grid_channels-illegal"
    " grid_interval-illegal grid_level-illegal block_stride-0 block_stride-17 block_width-0"
    " more-grids-than-bytes frame-too-wide frame-too-high skip-without-pw"
    " grid-above-the-last-block no-grid-at-the-stem motion-of-nothing motion-of-two-intervals"
    " motion-without-rows motion-without-columns wavelets-without-motion"
    " wavelets-with-an-mlp-stem grid-stem-without-grids grid-stem-with-hidden-units"
    " mlp-stem-with-grids mlp-stem-without-hidden-units mlp-stem-without-channels"
    " checksum-without-a-prior prior-of-rgb prior-of-other-parts prior-of-all-biases"
    " prior-of-other-strides prior-of-a-narrow-block prior-of-other-grids n-sections-0"
    " n-sections-1048577 n-sections-beyond-the-file no-index no-sections-after-the-index"
    " index-of-another-type section-into-its-checksum bytes-after-the-last-section file-twice"
    " last-byte-missing section-of-no-bytes segment-of-too-few-streams"
    " segment-of-too-many-streams stream-length-0 stream-length-4294967295"
    " stream-overlaps-the-next segment-frames-0 segment-cut-at-0 segment-cut-at-9"
    " segment-cut-at-4-4 segment-of-one-frame-is-cut no-segment frames-missing frames-too-many"
    " index-says-2-frames segment-ends-in-its-quality fraction-bits-3 repeats-cut repeats-long"
    " repeats-zero repeats-never-shown repeats-empty repeats-of-others repeats-of-more"
    " repeats-twice histogram-of-nothing histogram-cut tails-64-64 tails-65-0"
    " geometric-record-cut step-missing classes-0 classes-without-records second-grid-missing"
    " class-without-symbols class-of-details-without-symbols biases-missing"
    " bytes-where-nothing-is-coded zero-after-nothing zero-after-the-end longer-than-need-be"
    " not-the-smallest impossible-state bomb-frame-of-16384 bomb-frames"
    " bomb-parameters-mlp bomb-empty-groups bomb-multiply-adds-in-the-head bomb-memory-of-maps"
).split()
# Their errors stand in sections that a reader may leave unparsed.
UNPARSED = ("times-of-others", "times-still", "properties-flag", "sound-without-packets")
# Cases that a later version may make legal.
LATER = (
    "version-2 version-65535 prior-2 prior-255 prior-of-another-checksum arithmetic-1"
    " entropy_coder-255 layout-5 colorspace-5 bit_depth-3 stem-2 biases-2 parts-16"
    " wavelet_levels-5 section-type-0 section-type-3 section-type-127 fraction-bits-11 record-128"
    " record-240 record-254 classes-7"
).split()
BASE = Good(
    "base",
    "",
    net(GridStem(2, 2, (Grid(2, 2),)), (Block(2, 3),), width=8, height=7),
    (Part((3,)), Part((2, 1))),
)


@dataclass(frozen=True)
class Bad:
    """A file that readers refuse, or that some of them may decode.

    Attributes:
        error: None for a file that is to be decoded.
        why: what is wrong with it, or what it has.
        like: a good file with the frames of this one, if a reader may also decode it.
    """

    name: str
    data: bytes
    error: type[BitstreamError] | None
    why: str
    like: bytes | None = None


def _hostile(name: str, like: bytes | None = None) -> Bad:
    (case,) = (case for case in hostile.CASES if case.name == name)
    return Bad(name, case.data, case.error, case.message.replace("*", ".."), like)


def _damaged(data: bytes) -> Iterator[Bad]:
    """Whole files with a part that is cut off or changed."""
    index = len(write_header(read_file(data).header))
    for name, size in (
        ("in-its-header", 40),
        ("in-its-index", index + 9),
        ("between-its-sections", len(data) - _last_section(data)),
        ("in-a-stream", len(data) - 30),
    ):
        yield Bad(f"cut-{name}", data[:size], errors.Truncated, f"{size} bytes of {len(data)}")
    for name, at in (
        ("in-the-header", 20),
        ("in-the-header-checksum", index - 1),
        ("in-the-index", index + 6),
        ("in-a-stream", len(data) - 30),
        ("in-a-section-checksum", len(data) - 1),
    ):
        yield Bad(
            f"bit-{name}", hostile.flipped(data, at), errors.Checksum, f"bit 0 of byte {at} flipped"
        )


def _last_section(data: bytes) -> int:
    """The bytes of the last section of BASE, its head and its checksum with them."""
    return 5 + len(_payload(read_file(data).segments[-1])) + 4


def _payload(segment: Segment) -> bytes:
    fixed = 4 + 2 + 1 + 16 + 32
    return bytes(fixed + 4 * len(segment.cuts)) + b"".join(
        bytes(4) + stream for stream in segment.streams
    )


def _changed(file: File) -> Iterator[Bad]:
    """Files whose checksums are right, and whose streams or MD5 are not."""
    first, second = file.segments
    assert first.md5 and second.md5

    def having(name: str, why: str, *segments: Segment, error: type[BitstreamError]) -> Bad:
        data = write_file(file.header, segments)
        return Bad(name, data, error, why, data if error is errors.FramesDiffer else None)

    differ = errors.FramesDiffer
    for name, md5 in (
        ("of-others", second.md5),
        ("of-zeros", bytes(16)),
        ("off-by-a-bit", first.md5[:15] + bytes([first.md5[15] ^ 128])),
        ("backwards", first.md5[::-1]),
    ):
        changed = replace(first, md5=md5)
        yield having(f"md5-{name}", "the first segment's MD5", changed, second, error=differ)
    changed = replace(second, md5=first.md5)
    yield having("md5-of-the-first", "the second segment's MD5", first, changed, error=differ)
    changed = replace(first, fraction_bits=7)
    yield having(
        "md5-of-other-bits", "the frames of 8 fraction bits", changed, second, error=differ
    )
    *streams, head = first.streams
    for name, stream in (
        ("longer", head + b"\1"),
        ("ends-otherwise", hostile.flipped(head, len(head) - 1)),
    ):
        changed = replace(first, streams=(*streams, stream))
        why = "the range coder's bytes are not those of its symbols"
        yield having(f"stream-{name}", why, changed, second, error=BitstreamError)


def bads() -> list[Bad]:
    """All bad files."""
    data = written(BASE)
    return [
        *(_hostile(name) for name in HOSTILE),
        *(_hostile(name, hostile.GOOD) for name in UNPARSED),
        *_damaged(data),
        *_changed(read_file(data)),
    ]


def futures() -> list[Bad]:
    """All files with what version 1 does not have."""
    return [*(_hostile(name) for name in LATER), *_skipped(written(BASE))]


def _skipped(data: bytes) -> Iterator[Bad]:
    """Files whose unknown sections or numbers change no frame."""
    file = read_file(data)
    head = write_header(file.header)
    segments = list(_segment_sections(data, len(head)))
    first, second = segments
    cases = {
        "section-128": ([(128, b"new"), first, second], "a section of type 128 before all others"),
        "section-131": ([first, (131, b"\1\1"), second], "one of type 131 between segments"),
        "section-200": ([first, second, (200, bytes(300))], "one of type 200 behind all others"),
        "section-255": ([first, (255, b""), second], "one of type 255, of no bytes"),
        "sections-many": (
            [(kind, bytes([kind])) for kind in range(134, 154)] + segments,
            "twenty of other types",
        ),
        "section-twice": ([(129, b"1"), (129, b"2"), *segments], "two of the same unknown type"),
    }
    for name, (sections, why) in cases.items():
        yield Bad(name, hostile.file_of(*sections, head=head), None, f"skipped: {why}")
    color = replace(file.header.format.color, matrix=200, primaries=100, transfer=255)
    header = replace(file.header, format=replace(file.header.format, color=color))
    yield Bad(
        "color-unknown",
        write_file(header, file.segments),
        None,
        "code points of H.273 that are not assigned: they do not change decoding",
    )


def _segment_sections(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The types and payloads of BASE's sections, given where its index begins."""
    n_sections = int.from_bytes(data[at : at + 4], "little")
    at += 4 + 9 * n_sections + 4
    for _ in range(n_sections):
        length = int.from_bytes(data[at + 1 : at + 5], "little")
        yield data[at], data[at + 5 : at + 5 + length]
        at += 5 + length + 4
