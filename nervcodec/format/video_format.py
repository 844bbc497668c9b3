"""Geometry, samples, timing and colour of a video, as they are written whole into the file.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from nervcodec.errors import ConfigError
from nervcodec.util.validation import ceil_div, check_choice, check_range

Layout = Literal["yuv420", "rgb", "yuv422", "yuv444", "gray"]
LAYOUTS: tuple[Layout, ...] = ("yuv420", "rgb", "yuv422", "yuv444", "gray")
# Luma columns and rows for each sample of the second and the third plane, of layouts with three.
SUBSAMPLING: Mapping[Layout, tuple[int, int]] = {
    "yuv420": (2, 2),
    "yuv422": (2, 1),
    "yuv444": (1, 1),
    "rgb": (1, 1),
}
BIT_DEPTHS = (8, 10, 12)
MAX_SIDE = 65535
MAX_FRAMES = 2**24


def plane_sizes(layout: Layout, width: int, height: int) -> tuple[tuple[int, int], ...]:
    """Return (columns, rows) of each plane of a frame of this size: one of gray, else three."""
    if layout == "gray":
        return ((width, height),)
    across, down = SUBSAMPLING[layout]
    small = ceil_div(width, across), ceil_div(height, down)
    return (width, height), small, small


@dataclass(frozen=True)
class ColorTags:
    """Colour description, code points of ITU-T H.273; 2 is 'unspecified' for the first three.

    full_range: None where the source does not say. chroma_location: 0 unspecified, else 1 + H.273's
    ChromaLocType (1 left, 2 center, 3 topleft, 4 top, 5 bottomleft, 6 bottom), as FFmpeg counts.
    """

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool | None = None
    chroma_location: int = 0


@dataclass(frozen=True)
class VideoFormat:
    """The geometry, samples, timing and colour of a sequence of frames.

    Attributes:
        width, height: luma size in pixels, 1 to 65535.
        frame_rate: frames a second, exact.
        n_frames: number of frames, at least 1.
        layout: 'yuv420', 'yuv422' or 'yuv444' (Y, U, V; chroma planes by SUBSAMPLING, rounded up),
            'rgb' (R, G, B) or 'gray' (Y).
        sample_aspect_ratio: width : height of one pixel.
        bit_depth: bits of a sample, 8, 10 or 12.
    """

    width: int
    height: int
    frame_rate: Fraction
    n_frames: int
    layout: Layout = "yuv420"
    color: ColorTags = field(default_factory=ColorTags)
    sample_aspect_ratio: Fraction = Fraction(1)
    bit_depth: int = 8

    def __post_init__(self) -> None:
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_range("number of frames", self.n_frames, 1, MAX_FRAMES)
        check_choice("layout", self.layout, LAYOUTS)
        check_choice("bit depth", self.bit_depth, BIT_DEPTHS)
        for name in ("frame_rate", "sample_aspect_ratio"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"{name.replace('_', ' ')} is {getattr(self, name)}; legal: above 0"
                )

    @property
    def samples(self) -> str:
        """Layout and, unless it is 8, bit depth in words."""
        return self.layout if self.bit_depth == 8 else f"{self.layout} {self.bit_depth} bits"

    @property
    def duration_s(self) -> float:
        return float(self.n_frames / self.frame_rate)

    @property
    def n_pixels(self) -> int:
        """Luma pixels of all frames, the denominator of bpp."""
        return self.n_frames * self.width * self.height

    def bpp(self, n_bytes: int) -> float:
        """Bits per pixel of a file of n_bytes: 8 * bytes / (frames * luma width * luma height)."""
        return 8 * n_bytes / self.n_pixels

    def kbit_per_s(self, n_bytes: int) -> float:
        """Its rate, 1000 bits a second."""
        return 8 * n_bytes / 1000 / self.duration_s
