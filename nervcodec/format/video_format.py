"""Geometry, timing and colour of a video, as they are written whole into the file. Standard library
only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from nervcodec.errors import ConfigError
from nervcodec.util.validation import check_choice, check_range

Layout = Literal["yuv420", "rgb"]
LAYOUTS: tuple[Layout, ...] = ("yuv420", "rgb")
MAX_SIDE = 65535
MAX_FRAMES = 2**24


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
    """The geometry, timing and colour of a sequence of 8-bit frames.

    Attributes:
        width, height: luma size in pixels, 1 to 65535.
        frame_rate: frames a second, exact.
        n_frames: number of frames, at least 1.
        layout: 'yuv420' (Y, U, V; chroma planes ceil(size / 2)) or 'rgb' (R, G, B, full size).
        sample_aspect_ratio: width : height of one pixel.
    """

    width: int
    height: int
    frame_rate: Fraction
    n_frames: int
    layout: Layout = "yuv420"
    color: ColorTags = field(default_factory=ColorTags)
    sample_aspect_ratio: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_range("number of frames", self.n_frames, 1, MAX_FRAMES)
        check_choice("layout", self.layout, LAYOUTS)
        for name in ("frame_rate", "sample_aspect_ratio"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"{name.replace('_', ' ')} is {getattr(self, name)}; legal: above 0"
                )

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
