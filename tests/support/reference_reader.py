"""A reader of .nvpp written from docs/reference/nvpp-format.md; imports nothing of nervcodec.

The weights of priors are read from the file that the document names.
"""

import bisect
import hashlib
import itertools
import math
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Planes = tuple[npt.NDArray[np.uint8 | np.uint16], ...]
Field = tuple[str, int, int, int]  # name, bytes, lowest and highest legal value

MAGIC = bytes.fromhex("89 4E 56 50 50 0D 0A 1A")
U8, U16, U32 = 2**8 - 1, 2**16 - 1, 2**32 - 1
MASK64 = 2**64 - 1

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

Q = (65536, 77936, 92682, 110218)
E = (65536, 71468, 77936, 84990, 92682, 101070, 110218, 120194)
# Section 5.9: rows x columns of phases of each plane, by colorspace.
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
THRESHOLDS: dict[int, tuple[int, ...]] = {
    1: (),
    2: (6,),
    3: (2, 8),
    4: (1, 4, 10),
    5: (1, 3, 7, 16),
    6: (1, 3, 6, 12, 24),
}


@dataclass
class Segment:
    """Sections 2.7 and 2.8: the numbers of frames of its shots, a stream for each module, in order,
    what was measured, and the MD5 of the frames, None if it is not stored.
    """

    shots: list[int]
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
            segment = Segment(shots, streams, quality, None if set(words) == {U32} else md5)
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


Shapes = list[tuple[str, tuple[int, ...]]]


def level_channels(file: File, level: int) -> int:
    """The sum of grid_channels of a level."""
    return sum(channels for channels, _, its_level in file.grids if its_level == level)


def grid_sizes(file: File, level: int) -> list[tuple[int, int]]:
    """Section 3: R_j x C_j of the grids of a level, from j = 0 on."""
    scale = math.prod(stride for stride, _ in file.blocks[:level])
    found = [(file.header["stem_height"] * scale, file.header["stem_width"] * scale)]
    for _ in range(file.wavelet_levels if level else 0):
        height, width = found[-1]
        found.append(((height + 1) // 2, (width + 1) // 2))
    return found


def n_keys(shots: Sequence[int], interval: int) -> list[int]:
    """Section 3: the keys of a grid that each shot has."""
    return [-(-n_frames // interval) for n_frames in shots]


def tensors(file: File, shots: Sequence[int]) -> list[tuple[str, Shapes, Shapes]]:
    """Section 3: for each module its name, and the names and shapes of its weights and of
    its biases.
    """
    header = file.header
    height, width, encoding = header["stem_height"], header["stem_width"], 80
    weights, biases = Shapes(), Shapes()
    if header["stem"] == 0:
        hidden, channels = header["stem_hidden"], header["stem_channels"]
        outputs = height * width * channels
        weights = [("linear1", (hidden, encoding)), ("linear2", (outputs, hidden))]
        biases = [("linear1", (hidden,)), ("linear2", (outputs,))]
    else:
        channels = level_channels(file, 0)
        if file.motion:
            weights += [(name, (sum(shots), 2, *file.motion)) for name in ("motion", "offset")]
        for k, (grid_channels, interval, level) in enumerate(file.grids, 1):
            n, sizes = sum(n_keys(shots, interval)), grid_sizes(file, level)
            weights.append((f"grid{k}", (n, grid_channels, *sizes[-1])))
            weights += [
                (f"grid{k}_details{i}", (n, 3 * grid_channels, *sizes[i]))
                for i in range(len(sizes) - 1, 0, -1)
            ]
    modules = [("stem", weights, biases)]
    for i, (stride, wide) in enumerate(file.blocks, 1):
        weights = block_weights(header["parts"], channels, stride, wide)
        lacking = (
            {f"scrb{k}.{layer}" for k in (1, 2) for layer in ("dw", "pw2")}
            if header["biases"] == 1
            else set()
        )
        modules.append(
            (
                f"block{i}",
                weights,
                [(name, shape[:1]) for name, shape in weights if name not in lacking],
            )
        )
        channels = wide + level_channels(file, i)
    planes = sum(rows * columns for rows, columns in PHASES[header["colorspace"]])
    modules.append(("head", [("conv", (planes, channels, 3, 3))], [("conv", (planes,))]))
    return modules


def block_weights(parts: int, channels: int, stride: int, wide: int) -> Shapes:
    """Section 3: the weights of a block of so many channels that is given others."""
    v = wide if parts & 1 else channels
    found: Shapes = [("pw", (wide, channels, 1, 1))] if parts & 1 else []
    if parts & 2:
        found += [
            ("scrb1.dw", (v, 1, 3, 3)),
            ("scrb1.pw1", (v, v, 1, 1)),
            ("scrb1.pw2", (v, v, 1, 1)),
        ]
    found.append(("ub", (wide * stride**2, v, 3, 3)))
    if parts & 4:
        found += [
            ("scrb2.dw", (wide, 1, 3, 3)),
            ("scrb2.pw1", (wide, wide, 1, 1)),
            ("scrb2.pw2", (wide, wide, 1, 1)),
        ]
    return found


def buckets(max_symbol: int) -> list[tuple[int, int]]:
    """Section 4.3: the first and last magnitude of each bucket of a histogram."""
    found = [(magnitude, magnitude) for magnitude in range(5)]
    size = 2
    while found[-1][1] < max_symbol:
        for _ in range(2):
            found.append((found[-1][1] + 1, found[-1][1] + size))
        size *= 2
    return [(first, min(last, max_symbol)) for first, last in found if first <= max_symbol]


def frequencies(weights: Sequence[int], max_symbol: int) -> list[int]:
    """Section 4.3: F(s) for s in -M..M of w(s)."""
    total = sum(weights)
    found = [1 + (2**24 - (2 * max_symbol + 1)) * weight // total for weight in weights]
    found[max_symbol] += 2**24 - sum(found)
    return found


def ratio(tail: int) -> int:
    """Section 4.3: r of a tail below 64."""
    return 65536 - (Q[-tail % 4] >> -(-tail // 4))


def side(tail: int, max_symbol: int) -> list[int]:
    """Section 4.3: g(1) to g(M)."""
    if tail == 64:
        return [0] * max_symbol
    r = ratio(tail)
    return list(
        itertools.accumulate(range(max_symbol - 1), lambda g, _: (g * r) >> 16, initial=2**31)
    )


def plain(tail: int, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a plain table."""
    g = side(tail, max_symbol)
    return [*reversed(g), 2**47 // ratio(tail), *g]


def normal(v: int, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a normal table."""
    a = (2147483648, 2630870735)[v % 2]
    for _ in range(v // 2):
        a = math.isqrt(a * 2**32)
    b, g, r = (a * a) >> 32, [2**32], a
    for _ in range(max_symbol):
        g.append((g[-1] * r) >> 32)
        r = (r * b) >> 32
    return [*reversed(g[1:]), *g]


def geometric(first: int, positive: int, negative: int, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a geometric table."""
    above, below = side(positive, max_symbol), side(negative, max_symbol)
    centre = (((sum(above) + sum(below)) * Q[first % 4]) << (first // 4)) >> 32
    return [*reversed(below), centre, *above]


def histogram(values: bytes, max_symbol: int) -> list[int]:
    """Section 4.3: the weights of a histogram table."""
    weights: list[int] = []
    for (first, last), value in zip(buckets(max_symbol), values, strict=True):
        mass = E[(value - 1) % 8] << (16 + (value - 1) // 8) if value else 0
        weights += [mass // ((last - first + 1) * (2 if first else 1))] * (last - first + 1)
    return [*reversed(weights[1:]), *weights]


Table = list[int] | None  # F(s) for s in -M..M; None of a record 0


def read_records(cursor: Cursor, n_records: int, max_symbol: int) -> tuple[int, list[Table]]:
    """Section 4.1: the step code of a group, 0 if it has none, and the tables of its
    records.
    """
    step, tables = None, list[Table]()
    for _ in range(n_records):
        kind = cursor.integer(1)
        if kind == 0:
            tables.append(None)
            continue
        if kind == 128 or 240 <= kind <= 254:
            raise ValueError(f"a record begins with {kind}")
        if step is None:
            step = cursor.integer(1)
        if kind <= 127:
            positive, negative = cursor.integer(1), cursor.integer(1)
            if max(positive, negative) > 64 or positive == negative == 64:
                raise ValueError(f"the tails {positive} and {negative} are illegal")
            weights = geometric(kind, positive, negative, max_symbol)
        elif kind <= 191:
            weights = plain(kind - 128, max_symbol)
        elif kind <= 239:
            weights = normal(kind - 191, max_symbol)
        else:
            values = cursor.take(len(buckets(max_symbol)))
            if not any(values):
                raise ValueError("a histogram is empty")
            weights = histogram(values, max_symbol)
        tables.append(frequencies(weights, max_symbol))
    return step or 0, tables


def decode_stream(
    stream: bytes,
    shapes: Sequence[tuple[int, ...]],
    max_symbol: int,
    followers: Collection[int] = (),
    keys: Sequence[Sequence[int]] = (),
) -> list[tuple[Ints, int]]:
    """Section 4: symbols and step code of each group, given [K, C, h, w] of a grid, [size]
    of others.

    The groups with the numbers in followers, from 0, follow the group before them. The first groups
    have so many keys in each shot; where keys are not given all of a grid belong to one.
    """
    by_shot = list(keys) or [shape[:1] if len(shape) == 4 else () for shape in shapes]
    by_shot += [()] * (len(shapes) - len(by_shot))
    cursor = Cursor(stream, "a stream")
    records = []
    for number in range(len(shapes)):
        n_records = 1
        if number in followers or any(n > 1 for n in by_shot[number]):
            n_classes = cursor.integer(1)
            if not 1 <= n_classes <= 6:
                raise ValueError(f"a grid has {n_classes} classes")
            n_records = n_classes if number in followers else 1 + n_classes
        records.append(read_records(cursor, n_records, max_symbol))
    decoder = RangeDecoder(stream[cursor.at :], max_symbol)
    found: list[tuple[Ints, int]] = []
    for number, (shape, (step, tables)) in enumerate(zip(shapes, records, strict=True)):
        if number in followers:
            followed = found[number - 1][0].reshape(shapes[number - 1])
            symbols = decode_grid(decoder, shape, by_shot[number], None, tables, followed)
        elif len(tables) > 1:
            symbols = decode_grid(decoder, shape, by_shot[number], tables[0], tables[1:])
        else:
            symbols = decoder.decode(tables[0], math.prod(shape))
        found.append((symbols, step))
    decoder.finish()
    return found


def decode_grid(
    decoder: "RangeDecoder",
    shape: tuple[int, ...],
    keys: Sequence[int],
    first: Table,
    classes: list[Table],
    followed: Ints | None = None,
) -> Ints:
    """Section 4.4: the symbols of a grid, given the table of first keys or the details that
    it follows.
    """
    d, starts, seen = np.zeros(shape, np.int32), {sum(keys[:i]) for i in range(len(keys))}, set()
    for k in range(len(d)):
        if k in starts and followed is None:
            d[k] = decoder.decode(first, d[k].size).reshape(d[k].shape)
            continue
        activity = np.zeros(d[k].shape, np.int32) if k in starts else around(d[k - 1])
        if followed is not None:
            rows, columns = np.arange(d.shape[2]) // 2, np.arange(d.shape[3]) // 2
            activity += around(followed[k])[:, rows[:, None], columns]
        number = np.zeros(activity.shape, np.int32)
        for threshold in THRESHOLDS[len(classes)]:
            number += threshold <= activity
        for i, table in enumerate(classes):
            places = number == i
            seen |= {i} if places.any() else set()
            d[k][places] = decoder.decode(table, int(places.sum()))
    if any(table is not None and i not in seen for i, table in enumerate(classes)):
        raise ValueError("a class without symbols has a table")
    return d.ravel()


def around(symbols: Ints) -> Ints:
    """Section 4.4: for each place of a key [C, h, w] the magnitudes around it and, twice,
    its own.
    """
    magnitudes = np.abs(symbols)
    padded, (_, height, width) = np.pad(magnitudes, ((0, 0), (1, 1), (1, 1))), symbols.shape
    found = magnitudes.copy()
    for i, j in itertools.product(range(3), repeat=2):
        found += padded[:, i : i + height, j : j + width]
    return found


class RangeDecoder:
    """Section 4.5."""

    def __init__(self, data: bytes, max_symbol: int) -> None:
        self.data, self.max_symbol, self.n_shifts = data, max_symbol, 0
        self.low, self.extent, self.point = 0, MASK64, (self.word(0) << 32) + self.word(1)

    def word(self, number: int) -> int:
        return int.from_bytes(self.data[4 * number : 4 * number + 4].ljust(4, b"\0"), "big")

    def finish(self) -> None:
        """Section 4.5, end of the stream: the bytes must be the shortest that name the
        last interval.
        """
        n_bytes, length = 8 + 4 * self.n_shifts, len(self.data)
        value = int.from_bytes(self.data[:n_bytes].ljust(n_bytes, b"\0"), "big")
        low = value - ((value - self.low) & MASK64)

        def first(n: int) -> int:
            unit: int = 256 ** (n_bytes - n)
            return (low + unit - 1) // unit * unit

        shorter_one = length > 0 and first(length - 1) < low + self.extent
        if length > n_bytes or value != first(length) or shorter_one:
            raise ValueError("a stream does not end as it should")

    def decode(self, table: Table, size: int) -> Ints:
        """The next symbols, given their table and number; zeros without a table."""
        if table is None:
            return np.zeros(size, np.int32)
        low, extent, point = self.low, self.extent, self.point
        cumulative = list(itertools.accumulate(table, initial=0))
        found = np.empty(size, np.int32)
        for i in range(size):
            scale = extent >> 24
            q = ((point - low) & MASK64) // scale
            if q >= 2**24:
                raise ValueError("a stream is damaged")
            s = bisect.bisect_right(cumulative, q) - 1
            low, extent = (low + scale * cumulative[s]) & MASK64, scale * table[s]
            if extent < 2**32:
                self.n_shifts += 1
                low, extent = (low << 32) & MASK64, extent << 32
                point = ((point << 32) & MASK64) + self.word(self.n_shifts + 1)
            found[i] = s - self.max_symbol
        self.low, self.extent, self.point = low, extent, point
        return found


def is_keyed(name: str) -> bool:
    """Whether a tensor of the stem is a motion, an offset, a grid or its details."""
    return name.startswith(("grid", "motion", "offset"))


def keys_of(file: File, shots: Sequence[int], name: str) -> list[int]:
    """Section 3: how many keys of such a tensor belong to each shot."""
    return n_keys(shots, 1 if name in ("motion", "offset") else file.grids[int(name[4]) - 1][1])


def groups(file: File, segment_index: int) -> list[tuple[str, Ints, int]]:
    """Sections "Tensors" and "Streams": name, symbols and step code of each group in coded
    order.
    """
    segment = file.segments[segment_index]
    found = []
    for (module, weights, biases), stream in zip(
        tensors(file, segment.shots), segment.streams, strict=True
    ):
        names = [name for name, _ in weights]
        shapes = [shape if is_keyed(name) else (math.prod(shape),) for name, shape in weights]
        if biases:
            names, shapes = (
                [*names, "biases"],
                [*shapes, (sum(math.prod(shape) for _, shape in biases),)],
            )
        highest = f"details{file.wavelet_levels}"
        followers = [
            i for i, name in enumerate(names) if "details" in name and not name.endswith(highest)
        ]
        decoded = decode_stream(
            stream,
            shapes,
            file.max_symbol,
            followers,
            [keys_of(file, segment.shots, name) for name in names if is_keyed(name)],
        )
        found += [(f"{module}.{name}", *group) for name, group in zip(names, decoded, strict=True)]
    return found


def symbols(file: File, segment_index: int) -> list[tuple[str, Ints]]:
    """Names and symbols of the groups in coded order."""
    return [(name, values) for name, values, _ in groups(file, segment_index)]


def step_codes(file: File, segment_index: int) -> list[int]:
    """Step codes of the groups in coded order, 0 for a group of which nothing is coded."""
    return [code for _, _, code in groups(file, segment_index)]


def parameters(file: File, segment_index: int) -> dict[str, Floats]:
    """Sections "Steps" and "Tensors": tensors by name, such as block1.scrb1.dw.weight and
    head.conv.bias.
    """
    shots = file.segments[segment_index].shots
    modules = tensors(file, shots)
    values = {}
    for name, found, code in groups(file, segment_index):
        module, _, own_name = name.partition(".")
        summed = found
        if module == "stem" and is_keyed(own_name):
            keys = keys_of(file, shots, own_name)
            by_shot = np.split(found.reshape(sum(keys), -1), np.cumsum(keys)[:-1])
            summed = np.concatenate([part.cumsum(0) for part in by_shot]).ravel()
        values[name] = (summed * math.ldexp(8 + code % 8, code // 8 - 23)).astype(np.float32)
    tensor = {}
    for module, weights, biases in modules:
        for name, shape in weights:
            tensor[f"{module}.{name}.weight"] = values[f"{module}.{name}"].reshape(shape)
        at = 0
        for name, shape in biases:
            tensor[f"{module}.{name}.bias"] = values[f"{module}.biases"][at : at + shape[0]]
            at += shape[0]
    if file.header["prior"]:
        add_prior(file, tensor)
    return tensor


def add_prior(file: File, tensor: dict[str, Floats]) -> None:
    """Section 3.4: adds the weights of the prior to those of the file."""
    phases = PHASES[file.header["colorspace"]]
    weights, at = np.frombuffer(prior_bytes(file.header["prior"]), "<f2").astype(np.float32), 0
    for module, shapes_of_weights, shapes_of_biases in tensors(priors_own_network(), [1])[1:]:
        for end, shapes in (("weight", shapes_of_weights), ("bias", shapes_of_biases)):
            for name, shape in shapes:
                added = weights[at : at + math.prod(shape)].reshape(shape)
                at += added.size
                if module == "head":
                    plane_of = [p for p, (r, c) in enumerate(phases) for _ in range(r * c)]
                    rows = [phase if p == 0 else 3 + p for phase, p in enumerate(plane_of)]
                    added = added[rows]
                own = tensor[f"{module}.{name}.{end}"]
                number = len(file.blocks) if module == "head" else int(module[5:]) - 1
                before = file.blocks[number - 1][1] if number else 0
                if end == "bias":
                    own[: len(added)] += added
                    continue
                for column in range(added.shape[1]):
                    there = column if column < 16 else column - 16 + before
                    own[: len(added), there] += added[:, column]
    assert at == len(weights)


def priors_own_network() -> File:
    """Section 3.4: the network that prior 1 is of; its size does not matter."""
    header = {name: lowest for name, _, lowest, _ in HEADER}
    header |= {"stem": 1, "colorspace": 1, "parts": 15, "biases": 1}
    grids = [(channels, 1, level) for level, channels in enumerate(PRIOR_CHANNELS)]
    return File(header, grids, [(stride, PRIOR_WIDTH) for stride in PRIOR_STRIDES])


def silu(x: Floats) -> Floats:
    """Section 5."""
    with np.errstate(over="ignore"):
        found: Floats = x / (1 + np.exp(-x))
    return found


def gelu(x: Floats) -> Floats:
    """Section 5."""
    phi: Floats = np.vectorize(lambda v: (1 + math.erf(v / math.sqrt(2))) / 2, otypes=[np.float32])(
        x
    )
    return x * phi


def enlarged(x: Floats, stride: int) -> Floats:
    """Section 5: bilinear interpolation by a factor."""
    return stretched(x, x.shape[1] * stride, x.shape[2] * stride)


def stretched(x: Floats, height: int, width: int) -> Floats:
    """Section 5: bilinear interpolation of rows and columns."""
    for axis, wanted in ((1, height), (2, width)):
        size = x.shape[axis]
        at = np.maximum((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0)
        first = np.floor(at).astype(int)
        second = np.minimum(first + 1, size - 1)
        weight = (at - first).astype(np.float32).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        x = x.take(first, axis) * (1 - weight) + x.take(second, axis) * weight
    return x


def key_frames(n_frames: int, n_keys: int) -> list[int]:
    """Section 5.4: the frames of a shot that its keys stand on."""
    return [(2 * k + 1) * n_frames // (2 * n_keys) for k in range(n_keys)]


def neighbours(t: int, at: list[int]) -> tuple[int, float]:
    """Section 5.4: a and w of frame t, where keys stand on the frames `at`."""
    a = max(bisect.bisect_right(at, t) - 1, 0)
    if t <= at[a] or a + 1 == len(at):
        return a, 0
    return a, (t - at[a]) / (at[a + 1] - at[a])


class Network:
    """Section 5."""

    def __init__(self, file: File, segment_index: int) -> None:
        self.file, self.header, self.shots = file, file.header, file.segments[segment_index].shots
        self.tensor = parameters(file, segment_index)

    def linear(self, name: str, v: Floats) -> Floats:
        found: Floats = self.tensor[f"{name}.weight"] @ v + self.tensor[f"{name}.bias"]
        return found

    def conv(self, name: str, x: Floats) -> Floats:
        """Cross-correlation with zero padding, for dw on each channel by itself."""
        weight = self.tensor[f"{name}.weight"]
        bias = self.tensor.get(f"{name}.bias", np.zeros(len(weight), np.float32))
        size, (height, width) = weight.shape[-1], x.shape[1:]
        padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
        found = np.zeros((len(weight), height, width), np.float32) + bias[:, None, None]
        for i, j in itertools.product(range(size), repeat=2):
            part = padded[:, i : i + height, j : j + width]
            if name.endswith(".dw"):
                found += weight[:, 0, i, j, None, None] * part
            else:
                found += np.tensordot(weight[:, :, i, j], part, 1)
        return found

    def encoding(self, t: int) -> Floats:
        angles = np.array([t / sum(self.shots) * (math.pi * 1.25**i) for i in range(40)])
        return np.concatenate([np.sin(angles), np.cos(angles)]).astype(np.float32)

    def stem(self, t: int) -> Floats:
        if self.header["stem"] == 0:
            hidden = silu(self.linear("stem.linear1", self.encoding(t)))
            return silu(self.linear("stem.linear2", hidden)).reshape(
                self.header["stem_channels"], self.header["stem_height"], self.header["stem_width"]
            )
        return self.grids(t, 0)

    def grids(self, t: int, level: int) -> Floats:
        """The channels of the grids of a level, which has some, in frame t of the segment."""
        found, ends = [], list(itertools.accumulate(self.shots))
        shot = bisect.bisect_right(ends, t)
        n_frames, first = self.shots[shot], ends[shot] - self.shots[shot]
        for k in (k for k, grid in enumerate(self.file.grids, 1) if grid[2] == level):
            n = n_keys(self.shots, self.file.grids[k - 1][1])
            keys = self.keys(k, level)[sum(n[:shot]) : sum(n[: shot + 1])]
            at = key_frames(n_frames, len(keys))
            a, w = neighbours(t - first, at)
            value = np.float32(1 - w) * self.seen(keys, a, a, t, first, level)
            if w:
                value = value + np.float32(w) * self.seen(keys, a + 1, a, t, first, level)
            found.append(value)
        return np.concatenate(found)

    def keys(self, k: int, level: int) -> Floats:
        """Section 5.5: the keys [K, G, H, W] of grid k of a level, put together from its
        details.
        """
        a, sizes = self.tensor[f"stem.grid{k}.weight"], grid_sizes(self.file, level)
        for i in range(len(sizes) - 1, 0, -1):
            x, y, z = np.split(self.tensor[f"stem.grid{k}_details{i}.weight"], 3, axis=1)
            n_keys, channels, height, width = a.shape
            found = np.empty((n_keys, channels, 2 * height, 2 * width), np.float32)
            found[:, :, 0::2, 0::2] = (a + x + y + z) / 2
            found[:, :, 0::2, 1::2] = (a - x + y - z) / 2
            found[:, :, 1::2, 0::2] = (a + x - y - z) / 2
            found[:, :, 1::2, 1::2] = (a - x - y + z) / 2
            rows, columns = sizes[i - 1]
            a = found[:, :, :rows, :columns]
        return a

    def seen(self, keys: Floats, k: int, a: int, t: int, first: int, level: int) -> Floats:
        """Sections 5.4 and 5.6: key k of keys [K, C, H, W] of the shot from frame `first` on, as
        frame t shows it, whose first key is a.
        """
        key: Floats = keys[k]
        if not (level and self.file.motion):
            return key
        n_frames = self.shots[list(itertools.accumulate(self.shots, initial=0)).index(first)]
        distance = (t - first - key_frames(n_frames, len(keys))[k]) * len(keys) / n_frames
        if not distance:
            return key
        motion, offset = (self.tensor[f"stem.{name}.weight"][t] for name in ("motion", "offset"))
        return self.moved(key, 8 * np.float32(distance) * motion + 2 * offset, level)

    def moved(self, key: Floats, v: Floats, level: int) -> Floats:
        """Section 5.6: a key [C, H, W], moved by a field."""
        channels, height, width = key.shape
        strides = [stride for stride, _ in self.file.blocks]
        by = stretched(v, height, width) * math.prod(strides[:level]) / math.prod(strides)
        rows = np.clip(np.arange(height)[:, None] + by[1], 0, height - 1)
        columns = np.clip(np.arange(width) + by[0], 0, width - 1)
        found = np.zeros((channels, height, width), np.float64)
        for i, j in itertools.product((0, 1), repeat=2):
            row, column = np.floor(rows).astype(int) + i, np.floor(columns).astype(int) + j
            weight = (1 - np.abs(rows - row)) * (1 - np.abs(columns - column))
            found += weight * key[:, np.minimum(row, height - 1), np.minimum(column, width - 1)]
        return found.astype(np.float32)

    def scrb(self, name: str, x: Floats) -> Floats:
        hidden = self.conv(f"{name}.pw1", self.conv(f"{name}.dw", x))
        return x + self.conv(f"{name}.pw2", gelu(hidden))

    def block(self, name: str, stride: int, wide: int, x: Floats) -> Floats:
        parts, (height, width) = self.header["parts"], x.shape[1:]
        if parts & 1:
            x = self.conv(f"{name}.pw", x)
        z = enlarged(x, stride) if parts & 8 else np.float32(0)
        if parts & 2:
            x = self.scrb(f"{name}.scrb1", x)
        split = silu(self.conv(f"{name}.ub", x)).reshape(wide, stride, stride, height, width)
        x = split.transpose(0, 3, 1, 4, 2).reshape(wide, stride * height, stride * width)
        if parts & 4:
            x = self.scrb(f"{name}.scrb2", x)
        return x + z

    def frame(self, t: int) -> Planes:
        x = self.stem(t)
        for i, (stride, wide) in enumerate(self.file.blocks, 1):
            x = self.block(f"block{i}", stride, wide, x)
            if level_channels(self.file, i):
                x = np.concatenate([x, self.grids(t, i)])
        rows, columns = self.file.plane_size
        y = self.conv("head.conv", x)[:, :rows, :columns]
        peak = 2 ** (8, 10, 12)[self.header["bit_depth"]] - 1
        samples = np.clip(np.rint(peak * (np.tanh(y) + 1) / 2), 0, peak)
        samples = samples.astype(np.uint8 if peak == 255 else np.uint16)
        planes, first = [], 0
        for n_rows, n_columns in PHASES[self.header["colorspace"]]:
            phases = samples[first : first + n_rows * n_columns]
            first += n_rows * n_columns
            plane = np.empty((n_rows * rows, n_columns * columns), samples.dtype)
            for i in range(n_rows):
                for j in range(n_columns):
                    plane[i::n_rows, j::n_columns] = phases[i * n_columns + j]
            planes.append(plane[: self.plane_rows(n_rows), : self.plane_columns(n_columns)])
        return tuple(planes)

    def plane_rows(self, phases: int) -> int:
        """Rows of a plane with so many phases of rows, section 5.9."""
        height = self.header["height"]
        return (height + 1) // 2 if phases == 1 and self.header["colorspace"] else height

    def plane_columns(self, phases: int) -> int:
        """Columns of a plane with so many phases of columns, section 5.9."""
        width = self.header["width"]
        return (width + 1) // 2 if phases == 1 and self.header["colorspace"] else width


def frames(file: File, segment_index: int, numbers: Iterable[int]) -> list[Planes]:
    """Section 5: the planes of the segment's frames with these numbers, counted from
    0.
    """
    network = Network(file, segment_index)
    return [network.frame(number) for number in numbers]


def md5(file: File, decoded: Iterable[Planes]) -> bytes:
    """Section 6.2: the MD5 of a segment's decoded frames."""
    digest = hashlib.md5(usedforsecurity=False)
    order = (1, 2, 0) if file.header["colorspace"] == 0 else (0, 1, 2)
    for planes in decoded:
        for k in order[: len(planes)]:
            digest.update(planes[k].astype(f"<u{planes[k].itemsize}").tobytes())
    return digest.digest()
