"""A reader of .nvpp written from docs/reference/nvpp-format.md; imports nothing of nervcodec.

This module takes apart the container (section 2), reference_streams decodes parameters (sections 3
and 4), reference_network makes frames (section 5). The weights of priors are read from the file
that the document names.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

Field = tuple[str, int, int, int]  # name, bytes, lowest and highest legal value

MAGIC = bytes.fromhex("89 4E 56 50 50 0D 0A 1A")
U8, U16, U32 = 2**8 - 1, 2**16 - 1, 2**32 - 1

HEADER: list[Field] = [
    ("width", 2, 1, U16),
    ("height", 2, 1, U16),
    ("frame_rate_numerator", 4, 1, U32),
    ("frame_rate_denominator", 4, 1, U32),
    ("n_frames", 4, 1, 16777216),
    ("aspect_numerator", 2, 1, U16),
    ("aspect_denominator", 2, 1, U16),
    ("layout", 1, 0, 4),
    ("bit_depth", 1, 0, 2),
    ("matrix", 1, 0, U8),
    ("primaries", 1, 0, U8),
    ("transfer", 1, 0, U8),
    ("range", 1, 0, 2),
    ("chroma_location", 1, 0, 6),
    ("arithmetic", 1, 0, 0),
    ("entropy_coder", 1, 0, 0),
    ("colorspace", 1, 0, 4),
    ("bits", 1, 2, 12),
    ("parts", 1, 0, 15),
    ("biases", 1, 0, 1),
    ("prior", 1, 0, U8),
    ("prior_crc", 4, 0, U32),
    ("stem", 1, 0, 1),
    ("stem_height", 2, 1, 4096),
    ("stem_width", 2, 1, 4096),
    ("stem_hidden", 2, 0, U16),
    ("stem_channels", 2, 0, 4096),
    ("motion_height", 2, 0, 4096),
    ("motion_width", 2, 0, 4096),
    ("wavelet_levels", 1, 0, 4),
    ("n_grids", 1, 0, 8),
    ("n_blocks", 1, 1, 8),
]
GRID: list[Field] = [
    ("grid_channels", 1, 1, 255),
    ("grid_interval", 2, 1, U16),
    ("grid_level", 1, 0, 8),
]
BLOCK: list[Field] = [("block_stride", 1, 1, 16), ("block_width", 2, 1, 4096)]
SECTION: list[Field] = [("section_type", 1, 0, U8), ("section_length", 4, 0, U32)]
SEGMENT: list[Field] = [
    ("segment_n_frames", 4, 1, 16777216),
    ("n_cuts", 2, 0, U16),
    ("fraction_bits", 1, 4, 10),
    *((f"md5_{k}", 4, 0, U32) for k in range(4)),
]
CUT: list[Field] = [("cut", 4, 1, 16777215)]
STREAM: list[Field] = [("stream_length", 4, 1, U32)]
QUALITY: list[Field] = [
    (name, 4, 0, U32)
    for name in (
        "psnr_y",
        "psnr_u",
        "psnr_v",
        "psnr_yuv",
        "psnr_rgb",
        "psnr_min",
        "ms_ssim",
        "epochs",
    )
]
SOUND: list[Field] = [
    ("n_streams", 1, 1, 32),
    ("start_numerator", 4, 0, U32),
    ("start_denominator", 4, 1, U32),
]
SOUND_STREAM: list[Field] = [
    ("kind", 1, 0, 1),
    ("tick_numerator", 4, 1, 2**31 - 1),
    ("tick_denominator", 4, 1, 2**31 - 1),
    ("duration", 4, 0, U32),
    ("disposition", 4, 0, 2**31 - 1),
    ("codec_bytes", 1, 1, U8),
    ("language_bytes", 1, 0, U8),
    ("title_bytes", 1, 0, U8),
    ("extradata_bytes", 2, 0, U16),
]
PROPERTIES: list[Field] = [
    ("has_matrix", 1, 0, 1),
    ("has_mastering", 1, 0, 1),
    ("has_light", 1, 0, 1),
    ("field_order", 1, 0, 2),
    ("n_texts", 1, 0, 6),
]
DISPLAY_MATRIX: list[Field] = [(f"matrix_{k}", 4, 0, U32) for k in range(9)]
MASTERING_DISPLAY: list[Field] = [
    *(
        (f"{color}_{axis}", 2, 0, U16)
        for color in ("red", "green", "blue", "white")
        for axis in "xy"
    ),
    ("max_luminance", 4, 0, U32),
    ("min_luminance", 4, 0, U32),
]
CONTENT_LIGHT: list[Field] = [("max_cll", 2, 0, U16), ("max_fall", 2, 0, U16)]
TEXT: list[Field] = [("text_key", 1, 0, 5), ("text_bytes", 2, 1, 4096)]

# Section 5.10: rows x columns of phases of each plane, by colorspace.
PHASES = {
    0: ((1, 1), (1, 1), (1, 1)),
    1: ((2, 2), (1, 1), (1, 1)),
    2: ((2, 2), (2, 1), (2, 1)),
    3: ((2, 2), (2, 2), (2, 2)),
    4: ((2, 2),),
}
LAYOUT_COLORSPACE = {0: 1, 1: 0, 2: 2, 3: 3, 4: 4}  # layout -> its colorspace
# Section 3.4: the bytes of each prior's weights, and the network that they are of.
PRIORS = {1: Path(__file__).parents[2] / "nervcodec" / "nn" / "priors" / "1.npy"}
PRIOR_WIDTH, PRIOR_STRIDES, PRIOR_CHANNELS = 16, [2, 2, 2], [6, 2, 3, 1]


@dataclass
class Segment:
    """Sections 2.7 and 2.8: the numbers of frames of its shots, the fractional bits of its feature
    maps, a stream for each module, in order, what was measured, and the MD5 of the frames, None if
    it is not stored.
    """

    shots: list[int]
    fraction_bits: int
    streams: list[bytes]
    quality: dict[str, int]
    md5: bytes | None

    @property
    def n_frames(self) -> int:
        return sum(self.shots)


@dataclass
class Times:
    """Section 2.11: the time base, the first frame's time, and runs of (step, how many)."""

    time_base: Fraction
    start: int
    last_duration: int
    steps: list[tuple[int, int]]

    def of_frames(self, n_frames: int, frame_rate: Fraction) -> list[Fraction]:
        """The seconds at which the frames begin."""
        if not self.steps:
            return [self.start * self.time_base + i / frame_rate for i in range(n_frames)]
        times = [self.start]
        for step, n in self.steps:
            for _ in range(n):
                times.append(times[-1] + step)
        return [time * self.time_base for time in times]


@dataclass
class Sound:
    """Section 2.12: its numbers, those of each stream with its texts, and a NUT file."""

    fields: dict[str, int]
    streams: list[tuple[dict[str, int], str, str, str, bytes]]
    nut: bytes


@dataclass
class Properties:
    """Section 2.13: the numbers of all its tables, the matrix as signed ones, and its texts."""

    fields: dict[str, int]
    matrix: list[int]
    texts: list[tuple[int, str]]


@dataclass
class File:
    """Section 2.1."""

    header: dict[str, int]
    grids: list[tuple[int, int, int]]  # channels, interval, level
    blocks: list[tuple[int, int]]  # stride, width
    segments: list[Segment] = field(default_factory=list)
    repeats: list[tuple[int, int]] | None = None  # coded frames, times that each is shown
    times: Times | None = None
    sound: Sound | None = None
    properties: Properties | None = None

    @property
    def shown_times(self) -> list[int]:
        """Section 2.10: how often each coded frame is shown."""
        runs = self.repeats or [(sum(segment.n_frames for segment in self.segments), 1)]
        return [times for n_coded, times in runs for _ in range(n_coded)]

    @property
    def motion(self) -> tuple[int, int] | None:
        """Rows and columns of the motion field, if there is one."""
        size = self.header["motion_height"], self.header["motion_width"]
        return size if any(size) else None

    @property
    def wavelet_levels(self) -> int:
        return self.header["wavelet_levels"]

    @property
    def max_symbol(self) -> int:
        """M of section 4."""
        return int(2 ** (self.header["bits"] - 1) - 1)

    @property
    def plane_size(self) -> tuple[int, int]:
        """Rows and columns of the network's planes, section 2.5."""
        height, width = self.header["height"], self.header["width"]
        return (
            (height, width)
            if self.header["colorspace"] == 0
            else ((height + 1) // 2, (width + 1) // 2)
        )


class Cursor:
    """Takes little-endian integers and bytes from the front of some data."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.at = data, what, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ValueError(f"{self.what} is cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self, lowest: int, highest: int) -> int:
        """Section 1.2."""
        found = [self.integer(1)]
        while found[-1] > 127 and len(found) < 9:
            found.append(self.integer(1))
        value = sum((byte & 127) << 7 * k for k, byte in enumerate(found))
        if found[-1] > 127 or (len(found) > 1 and found[-1] == 0):
            raise ValueError(f"a varint of {self.what} is too long")
        if not lowest <= value <= highest:
            raise ValueError(f"a varint of {self.what} is {value}, not {lowest} to {highest}")
        return value

    def fields(self, table: list[Field]) -> dict[str, int]:
        values = {}
        for name, size, lowest, highest in table:
            values[name] = self.integer(size)
            if not lowest <= values[name] <= highest:
                raise ValueError(f"{name} is {values[name]}, not {lowest} to {highest}")
        return values

    def checksum(self, start: int) -> None:
        expected = zlib.crc32(self.data[start : self.at])
        if self.integer(4) != expected:
            raise ValueError(f"the checksum of {self.what} is wrong")

    def finish(self) -> None:
        if self.at != len(self.data):
            raise ValueError(f"{self.what} has {len(self.data) - self.at} bytes too many")


def read(data: bytes) -> File:
    """Section 2.1: checks and takes apart a file."""
    if data[:8] != MAGIC:
        raise ValueError("not an .nvpp file")
    cursor = Cursor(data, "the header")
    cursor.take(8)
    if (version := cursor.integer(2)) != 1:
        raise ValueError(f"version {version} is not known")
    header_fields = cursor.take(cursor.integer(2))
    cursor.checksum(0)
    file = read_header(header_fields)

    cursor.what, start = "the index", cursor.at
    n_sections = cursor.integer(4)
    if not 1 <= n_sections <= 1048576:
        raise ValueError(f"n_sections is {n_sections}, not 1 to 1048576")
    index = []
    for _ in range(n_sections):
        index.append(cursor.fields(SECTION))
        if index[-1]["section_type"] == 1:
            index[-1] |= cursor.fields(SEGMENT[:1])
    cursor.checksum(start)
    for number, entry in enumerate(index, 1):
        cursor.what, start = f"section {number}", cursor.at
        head, payload = cursor.take(5), cursor.take(entry["section_length"])
        cursor.checksum(start)
        if Cursor(head, "").fields(SECTION).items() - entry.items():
            raise ValueError(f"section {number} is not what the index says")
        kind = entry["section_type"]
        if kind == 1:
            section = Cursor(payload, f"section {number}")
            fields = section.fields(SEGMENT)
            if fields["segment_n_frames"] != entry["segment_n_frames"]:
                raise ValueError(f"section {number} has other frames than the index says")
            quality = section.fields(QUALITY)
            cuts = [section.fields(CUT)["cut"] for _ in range(fields["n_cuts"])]
            shots = [
                end - start for start, end in zip([0, *cuts], [*cuts, fields["segment_n_frames"]])
            ]
            if min(shots) < 1:
                raise ValueError(
                    f"the cuts of section {number} do not rise, or not below its number of frames"
                )
            streams = [
                section.take(section.fields(STREAM)["stream_length"])
                for _ in range(2 + len(file.blocks))
            ]
            section.finish()
            words = [fields[f"md5_{k}"] for k in range(4)]
            md5 = b"".join(word.to_bytes(4, "little") for word in words)
            segment = Segment(
                shots,
                fields["fraction_bits"],
                streams,
                quality,
                None if set(words) == {U32} else md5,
            )
            file.segments.append(segment)
        elif kind == 2:
            if file.repeats is not None:
                raise ValueError("there is more than one section of repeats")
            file.repeats = read_repeats(Cursor(payload, f"section {number}"))
        elif kind == 130:
            if file.times is not None:
                raise ValueError("there is more than one section of times")
            file.times = read_times(Cursor(payload, f"section {number}"))
        elif kind == 132:
            if file.sound is not None:
                raise ValueError("there is more than one sound section")
            file.sound = read_sound(Cursor(payload, f"section {number}"))
        elif kind == 133:
            if file.properties is not None:
                raise ValueError("there is more than one properties section")
            file.properties = read_properties(Cursor(payload, f"section {number}"))
        elif kind < 128:
            raise ValueError(f"section type {kind} is not known")
    cursor.what = "the file"
    cursor.finish()
    check_frames(file)
    return file


def check_frames(file: File) -> None:
    """Sections 2.1, 2.10 and 2.11: whether all agree on the number of frames."""
    n_coded, n_shown = sum(segment.n_frames for segment in file.segments), file.header["n_frames"]
    runs = [(n_coded, 1)] if file.repeats is None else file.repeats
    if sum(n for n, _ in runs) != n_coded:
        raise ValueError("the repeats are not those of the segments' frames")
    if sum(n * times for n, times in runs) != n_shown:
        raise ValueError("the frames do not add up to n_frames")
    if file.times and file.times.steps and sum(n for _, n in file.times.steps) != n_shown - 1:
        raise ValueError("the times are not those of n_frames frames")


def read_repeats(cursor: Cursor) -> list[tuple[int, int]]:
    """Section 2.10."""
    runs = []
    while cursor.at < len(cursor.data):
        runs.append((cursor.varint(1, 16777216), cursor.varint(1, 16777216)))
    return runs


def read_times(cursor: Cursor) -> Times:
    """Section 2.11."""
    time_base = Fraction(cursor.varint(1, 2**31 - 1), cursor.varint(1, 2**31 - 1))
    times = Times(time_base, cursor.varint(0, 2**53), cursor.varint(0, U32), [])
    step = 0
    while cursor.at < len(cursor.data):
        head = cursor.varint(0, 2**63 - 1)
        h = head >> 1
        step += h // 2 if h % 2 == 0 else -((h + 1) // 2)
        if not 1 <= step <= U32:
            raise ValueError(f"a step is {step}, not 1 to {U32}")
        times.steps.append((step, 1 if head % 2 == 0 else 2 + cursor.varint(0, U32 - 2)))
    return times


def read_text(cursor: Cursor, size: int) -> str:
    """A text of sections 2.12 and 2.13."""
    text = cursor.take(size).decode("utf-8")
    if "\0" in text:
        raise ValueError("a text has a zero character")
    return text


def read_sound(cursor: Cursor) -> Sound:
    """Section 2.12, without a look into the NUT file."""
    fields = cursor.fields(SOUND)
    streams = []
    for _ in range(fields["n_streams"]):
        stream = cursor.fields(SOUND_STREAM)
        codec, language, title = (
            read_text(cursor, stream[f"{name}_bytes"]) for name in ("codec", "language", "title")
        )
        streams.append((stream, codec, language, title, cursor.take(stream["extradata_bytes"])))
    nut = cursor.data[cursor.at :]
    if not nut:
        raise ValueError("there are no packets of sound")
    return Sound(fields, streams, nut)


def read_properties(cursor: Cursor) -> Properties:
    """Section 2.13."""
    fields = cursor.fields(PROPERTIES)
    numbers = cursor.fields(DISPLAY_MATRIX) if fields["has_matrix"] else {}
    matrix = [value - 2**32 if value >= 2**31 else value for value in numbers.values()]
    if fields["has_mastering"]:
        fields |= cursor.fields(MASTERING_DISPLAY)
    if fields["has_light"]:
        fields |= cursor.fields(CONTENT_LIGHT)
    texts = []
    for _ in range(fields["n_texts"]):
        head = cursor.fields(TEXT)
        texts.append((head["text_key"], read_text(cursor, head["text_bytes"])))
    cursor.finish()
    return Properties(fields, matrix, texts)


def read_header(data: bytes) -> File:
    """Sections 2.2 to 2.5: the fields of a header, and whether they make a network."""
    cursor = Cursor(data, "the header")
    header = cursor.fields(HEADER)
    grids = [cursor.fields(GRID) for _ in range(header["n_grids"])]
    blocks = [cursor.fields(BLOCK) for _ in range(header["n_blocks"])]
    cursor.finish()
    file = File(
        header,
        [(grid["grid_channels"], grid["grid_interval"], grid["grid_level"]) for grid in grids],
        [(block["block_stride"], block["block_width"]) for block in blocks],
    )
    check_prior(header["prior"], header["prior_crc"])
    mlp = [header["stem_hidden"] > 0, header["stem_channels"] > 0, header["n_grids"] == 0]
    if not (all(mlp) if header["stem"] == 0 else not any(mlp)):
        raise ValueError("stem_hidden, stem_channels and n_grids do not fit the stem")
    levels = [level for _, _, level in file.grids]
    if levels and (min(levels) > 0 or max(levels) > header["n_blocks"]):
        raise ValueError("no grid of level 0, or one above the last block")
    if file.motion and not all(file.motion):
        raise ValueError("a motion has rows or columns, but not both")
    if file.motion and (header["stem"] == 0 or max(levels) == 0):
        raise ValueError("nothing moves, and there is a motion")
    if file.motion and len({interval for _, interval, level in file.grids if level}) > 1:
        raise ValueError("grids that move have different intervals")
    if file.wavelet_levels and not file.motion:
        raise ValueError("there are wavelets and no motion")
    if header["parts"] & 9 == 8:
        raise ValueError("a block has a skip without pw")
    layout, colorspace = header["layout"], header["colorspace"]
    legal = {0, 1} if layout == 1 else {0, LAYOUT_COLORSPACE[layout], 4}
    if colorspace not in legal:
        raise ValueError(f"colorspace {colorspace} does not go with layout {layout}")
    upsampling = math.prod(stride for stride, _ in file.blocks)
    height, width = file.plane_size
    if header["stem_height"] * upsampling < height or header["stem_width"] * upsampling < width:
        raise ValueError("the feature maps are smaller than the planes")
    if header["prior"] and not has_priors_network(file):
        raise ValueError("the prior is for another network")
    return file


def prior_bytes(number: int) -> bytes:
    """Section 3.4: the weights of a prior, without NumPy's header."""
    data = PRIORS[number].read_bytes()
    return data[10 + int.from_bytes(data[8:10], "little") :]


def check_prior(number: int, crc: int) -> None:
    """Section 3.4: refuses a prior that is not known."""
    if number and number not in PRIORS:
        raise ValueError(f"prior {number} is not known")
    if crc != (zlib.crc32(prior_bytes(number)) if number else 0):
        raise ValueError(f"prior_crc {crc} is not that of prior {number}")


def has_priors_network(file: File) -> bool:
    """Section 3.4: whether the network is one that prior 1 is for."""
    header = file.header
    return (
        header["colorspace"] > 0
        and (header["parts"], header["biases"]) == (15, 1)
        and [stride for stride, _ in file.blocks] == PRIOR_STRIDES
        and min(wide for _, wide in file.blocks) >= PRIOR_WIDTH
        and [level_channels(file, level) for level in range(4)] == PRIOR_CHANNELS
    )


def level_channels(file: File, level: int) -> int:
    """The sum of grid_channels of a level."""
    return sum(channels for channels, _, its_level in file.grids if its_level == level)


def md5(file: File, decoded: Iterable[tuple[Any, ...]]) -> bytes:
    """Section 6.2: the MD5 of a segment's decoded frames."""
    digest = hashlib.md5(usedforsecurity=False)
    order = (1, 2, 0) if file.header["colorspace"] == 0 else (0, 1, 2)
    for planes in decoded:
        for k in order[: len(planes)]:
            digest.update(planes[k].astype(f"<u{planes[k].itemsize}").tobytes())
    return digest.digest()
