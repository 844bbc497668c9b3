"""The integers of a .nvpp file, as tables: docs/bitstream.md prints them. Stdlib only;
little-endian and unsigned.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from nervcodec.errors import ConfigError, InvalidField
from nervcodec.format.model_config import (
    ACTIVATIONS,
    BIASES,
    COLORSPACES,
    MAX_BLOCKS,
    MAX_WAVELET_LEVELS,
    OUTPUTS,
    STEMS,
)
from nervcodec.format.video_format import LAYOUTS, MAX_FRAMES, MAX_SIDE

_FORMATS = {"u8": "<B", "u16": "<H", "u32": "<I"}


@dataclass(frozen=True)
class Field:
    """One integer of the file: its name, type ('u8', 'u16', 'u32'), legal range, unit and
    meaning.
    """

    name: str
    type: str
    low: int
    high: int
    unit: str
    meaning: str

    def write(self, value: int) -> bytes:
        if not self.low <= value <= self.high:
            raise ConfigError(
                f"{self.name} is {value}; a .nvpp file holds {self.low} to {self.high}"
            )
        return struct.pack(_FORMATS[self.type], value)

    @property
    def n_bytes(self) -> int:
        return struct.calcsize(_FORMATS[self.type])

    def read(self, data: bytes) -> int:
        """The value of n_bytes bytes.

        Raises:
            InvalidField: outside the legal range.
        """
        value: int = struct.unpack(_FORMATS[self.type], data)[0]
        if not self.low <= value <= self.high:
            raise InvalidField(self.name, value, f"{self.low} to {self.high}")
        return value


def _ids(names: Sequence[str]) -> str:
    return ", ".join(f"{i} {name}" for i, name in enumerate(names))


HEADER_FIELDS = (
    Field("width", "u16", 1, MAX_SIDE, "pixels", "luma columns"),
    Field("height", "u16", 1, MAX_SIDE, "pixels", "luma rows"),
    Field("frame_rate_numerator", "u32", 1, 2**32 - 1, "frames", "frame rate as a fraction"),
    Field("frame_rate_denominator", "u32", 1, 2**32 - 1, "seconds", ""),
    Field("n_frames", "u32", 1, MAX_FRAMES, "frames", "sum of the segments' frames"),
    Field("aspect_numerator", "u16", 1, 65535, "", "width of one pixel over its height"),
    Field("aspect_denominator", "u16", 1, 65535, "", ""),
    Field("layout", "u8", 0, len(LAYOUTS) - 1, "", f"planes of the source: {_ids(LAYOUTS)}"),
    Field("matrix", "u8", 0, 255, "", "H.273 MatrixCoefficients, 2 unspecified"),
    Field("primaries", "u8", 0, 255, "", "H.273 ColourPrimaries, 2 unspecified"),
    Field("transfer", "u8", 0, 255, "", "H.273 TransferCharacteristics, 2 unspecified"),
    Field("range", "u8", 0, 2, "", "0 unspecified, 1 limited, 2 full"),
    Field("chroma_location", "u8", 0, 6, "", "0 unspecified, else 1 + H.273 ChromaLocType"),
    Field("arithmetic", "u8", 0, 0, "", "0 float32"),
    Field("architecture", "u8", 0, 2, "", "0 NeRV++, 1 with grids that move, 2 these as wavelets"),
    Field(
        "entropy_coder", "u8", 0, 0, "", "0 range coder, 64-bit state, 32-bit words, 24-bit tables"
    ),
    Field(
        "colorspace", "u8", 0, len(COLORSPACES) - 1, "", f"planes of the head: {_ids(COLORSPACES)}"
    ),
    Field("bits", "u8", 2, 12, "bits", "symbols lie within +-(2^(bits-1) - 1)"),
    Field("activation", "u8", 0, len(ACTIVATIONS) - 1, "", f"inside an SCRB: {_ids(ACTIVATIONS)}"),
    Field("output", "u8", 0, len(OUTPUTS) - 1, "", f"after the head: {_ids(OUTPUTS)}"),
    Field(
        "parts",
        "u8",
        0,
        15,
        "",
        "of a block, the sum of 1 pw, 2 scrb1, 4 scrb2, 8 skip (8 only with 1)",
    ),
    Field("biases", "u8", 0, len(BIASES) - 1, "", f"which layers have them: {_ids(BIASES)}"),
    Field("pe_levels", "u8", 1, 64, "", "levels of the positional encoding"),
    Field("pe_base", "u16", 257, 1024, "1/256", "base of the positional encoding"),
    Field("stem", "u8", 0, len(STEMS) - 1, "", _ids(STEMS)),
    Field("stem_height", "u16", 1, 4096, "cells", "rows of the stem's feature map"),
    Field("stem_width", "u16", 1, 4096, "cells", "columns of the stem's feature map"),
    Field("stem_hidden", "u16", 0, 65535, "", "hidden units of an MLP stem, else 0"),
    Field("stem_channels", "u16", 0, 4096, "", "output channels of an MLP stem, else 0"),
    Field("n_grids", "u8", 0, 8, "", "with a grid stem, else 0"),
    Field("n_blocks", "u8", 1, MAX_BLOCKS, "", "decoder blocks"),
)
GRID_FIELDS = (
    Field("grid_channels", "u8", 1, 255, "", "n_grids times: features a cell"),
    Field("grid_interval", "u16", 1, 65535, "frames", "frames a key"),
    Field("grid_level", "u8", 0, MAX_BLOCKS, "", "and blocks before it: 0 the stem's"),
)
BLOCK_FIELDS = (
    Field("block_stride", "u8", 1, 16, "", "n_blocks times: upsampling factor"),
    Field("block_width", "u16", 1, 4096, "", "and channels"),
)
MOTION_FIELDS = (
    Field(
        "motion_height",
        "u16",
        1,
        4096,
        "cells",
        "with architecture 1 or 2: rows of the motion field",
    ),
    Field("motion_width", "u16", 1, 4096, "cells", "and columns"),
)
WAVELET_FIELDS = (
    Field(
        "wavelet_levels",
        "u8",
        1,
        MAX_WAVELET_LEVELS,
        "",
        "with architecture 2: halvings of a grid that moves",
    ),
)
SECTION_TYPE = Field(
    "section_type", "u8", 0, 255, "", "1 segment, 129 quality; 128 and above may be skipped"
)
SECTION_LENGTH = Field("section_length", "u32", 0, 2**32 - 1, "bytes", "of the payload")
SEGMENT_FIELDS = (
    Field("segment_n_frames", "u32", 1, MAX_FRAMES, "frames", "frames of this segment"),
    Field("n_cuts", "u16", 0, 65535, "", "cuts within this segment"),
    Field(
        "frames_crc", "u32", 0, 2**32 - 1, "", "CRC-32 of the frames as the encoder decoded them"
    ),
    *(
        Field(
            f"plane{k}_sum",
            "u32",
            0,
            2**32 - 1,
            "",
            f"sum of the samples of their plane {k}, modulo 2^32",
        )
        for k in range(3)
    ),
)
CUT = Field(
    "cut", "u32", 1, MAX_FRAMES - 1, "frames", "n_cuts times: the first frame of a new shot"
)
STREAM_LENGTH = Field("stream_length", "u32", 1, 2**32 - 1, "bytes", "of one module's stream")
UNKNOWN = 2**32 - 1
QUALITY_FIELDS = tuple(
    Field(name, "u32", 0, UNKNOWN, unit, meaning)
    for name, unit, meaning in (
        ("psnr_y", "1e-4 dB", "mean over frames of the luma PSNR"),
        ("psnr_u", "1e-4 dB", "the same for Cb"),
        ("psnr_v", "1e-4 dB", "the same for Cr"),
        ("psnr_yuv", "1e-4 dB", "the same for (6 Y + U + V) / 8"),
        ("psnr_rgb", "1e-4 dB", "mean over frames of the RGB PSNR"),
        ("psnr_min", "1e-4 dB", "worst frame's (6 Y + U + V) / 8"),
        ("ms_ssim", "1e-6", "mean MS-SSIM of luma"),
        ("epochs", "epochs", "passes of the fit over the frames"),
    )
)
FIELD_TABLES = {
    "Header": HEADER_FIELDS,
    "Grid": GRID_FIELDS,
    "Block": BLOCK_FIELDS,
    "Motion": MOTION_FIELDS,
    "Wavelets": WAVELET_FIELDS,
    "Section": (SECTION_TYPE, SECTION_LENGTH),
    "Segment": SEGMENT_FIELDS,
    "Cut": (CUT,),
    "Stream": (STREAM_LENGTH,),
    "Quality": QUALITY_FIELDS,
}
