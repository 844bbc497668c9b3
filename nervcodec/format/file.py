"""What a .nvpp file holds, apart from how it is written: container.py reads and writes it.

Standard library only.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from nervcodec.errors import ConfigError
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.fields import UNKNOWN
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.video_format import VideoFormat


@dataclass(frozen=True)
class Header:
    """What the whole file shares: the video's format and the network's configuration."""

    format: VideoFormat
    model: ModelConfig

    def __post_init__(self) -> None:
        layout, colorspace = self.format.layout, self.model.colorspace
        legal = ("rgb", "yuv420") if layout == "rgb" else ("rgb", layout, "gray")
        if colorspace not in legal:
            raise ConfigError(
                f"colorspace is {colorspace}; legal for {layout}: {' and '.join(legal)}"
            )


@dataclass(frozen=True)
class FrameSums:
    """What the encoder saw when it decoded a segment: CRC-32 of its frames and, modulo 2^32, each
    plane's sum.
    """

    crc: int
    planes: tuple[int, int, int]


NO_SUMS = FrameSums(UNKNOWN, (UNKNOWN,) * 3)


@dataclass(frozen=True)
class Segment:
    """An independently decodable group of frames: its shots, a coded stream per module, its frames'
    sums if known.
    """

    shots: Shots
    streams: tuple[bytes, ...]
    sums: FrameSums | None = None

    @property
    def n_frames(self) -> int:
        """Frames of all shots."""
        return sum(self.shots)

    @property
    def cuts(self) -> tuple[int, ...]:
        """First frame of each shot but the first."""
        return tuple(itertools.accumulate(self.shots[:-1]))

    @property
    def stored_sums(self) -> FrameSums:
        """The sums as the file has them: all UNKNOWN if they are not known."""
        return self.sums or NO_SUMS


@dataclass(frozen=True)
class StoredQuality:
    """The measured quality that the encoder stored; None where it was not measured. PSNR in dB."""

    psnr_y: float | None = None
    psnr_u: float | None = None
    psnr_v: float | None = None
    psnr_yuv: float | None = None
    psnr_rgb: float | None = None
    psnr_min: float | None = None
    ms_ssim: float | None = None
    epochs: float | None = None


@dataclass(frozen=True)
class File:
    """A whole parsed file."""

    header: Header
    segments: tuple[Segment, ...]
    quality: StoredQuality
    n_bytes: int
    extras: Extras = NO_EXTRAS
    sound_bytes: int = 0

    @property
    def n_coded_frames(self) -> int:
        """Frames of all segments; more are shown where frames repeat."""
        return sum(segment.n_frames for segment in self.segments)

    @property
    def container_bytes(self) -> int:
        """All but the segments' streams and the sound."""
        streams = (len(stream) for segment in self.segments for stream in segment.streams)
        return self.n_bytes - self.sound_bytes - sum(streams)
