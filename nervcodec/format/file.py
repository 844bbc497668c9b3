"""What a .nvpp file holds, apart from how it is written: container.py reads and writes it.

Standard library only.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields

from nervcodec.errors import ConfigError
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.fields import UNKNOWN
from nervcodec.format.model_config import USUAL_FRACTION_BITS, ModelConfig, Shots
from nervcodec.format.video_format import VideoFormat


@dataclass(frozen=True)
class Header:
    """What the whole file shares: the video's format and the network's configuration."""

    format: VideoFormat
    model: ModelConfig

    def __post_init__(self) -> None:
        layout, colorspace = self.format.layout, self.model.colorspace
        legal = ("rgb", "yuv420") if layout == "rgb" else ("rgb", *dict.fromkeys((layout, "gray")))
        if colorspace not in legal:
            raise ConfigError(
                f"colorspace is {colorspace}; legal for {layout}: {' and '.join(legal)}"
            )


_MD5 = struct.Struct("<4I")
NO_MD5 = (UNKNOWN,) * 4  # the words of an MD5 that the encoder did not store


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


NO_QUALITY = StoredQuality()
_DIGITS = 6  # of a mean, two more than a segment's PSNR has


def joint_quality(parts: Sequence[StoredQuality], n_shown: Sequence[int]) -> StoredQuality:
    """Return the quality of parts of a video together: None where one of them does not know.

    Args:
        parts: at least one.
        n_shown: frames that each part shows, the weights of the means.
    """
    values = {}
    for field in fields(StoredQuality):
        known = [value for part in parts if (value := getattr(part, field.name)) is not None]
        values[field.name] = (
            _joint(field.name, known, n_shown) if len(known) == len(parts) else None
        )
    return StoredQuality(**values)


def _joint(name: str, values: Sequence[float], weights: Sequence[int]) -> float | None:
    if len(set(values)) == 1:
        return values[0]
    if name == "epochs":
        return None
    if name == "psnr_min":
        return min(values)
    products = (value * weight for value, weight in zip(values, weights, strict=True))
    return round(math.fsum(products) / sum(weights), _DIGITS)


def md5_of_words(words: tuple[int, ...]) -> bytes | None:
    """Return the MD5 of the four words of a file; None of NO_MD5."""
    return None if words == NO_MD5 else _MD5.pack(*words)


@dataclass(frozen=True)
class Segment:
    """An independently decodable group of frames.

    Attributes:
        shots: frames of each.
        streams: a coded stream for each module.
        md5: the 16 bytes of the MD5 of its frames as the encoder decoded them (nvpp-format.md
            section 6.2), None where it is not known.
        quality: of the frames, as they are shown.
        fraction_bits: of the values of feature maps, 4 to 10 (nvpp-format.md section 5.1).
    """

    shots: Shots
    streams: tuple[bytes, ...]
    md5: bytes | None = None
    quality: StoredQuality = NO_QUALITY
    fraction_bits: int = USUAL_FRACTION_BITS

    @property
    def n_frames(self) -> int:
        """Frames of all shots."""
        return sum(self.shots)

    @property
    def cuts(self) -> tuple[int, ...]:
        """First frame of each shot but the first."""
        return tuple(itertools.accumulate(self.shots[:-1]))

    @property
    def md5_words(self) -> tuple[int, ...]:
        """The MD5 as the file has it, four little-endian words: NO_MD5 if it is not known."""
        return NO_MD5 if self.md5 is None else _MD5.unpack(self.md5)


@dataclass(frozen=True)
class File:
    """A whole parsed file.

    Attributes:
        header: what its segments share.
        segments: in the order of their frames.
        n_bytes: its size.
        extras: what it holds besides its picture.
        sound_bytes: of its section of sound and what goes with it, 0 without one.
        n_unknown: sections that were skipped, of types that are not known.
    """

    header: Header
    segments: tuple[Segment, ...]
    n_bytes: int
    extras: Extras = NO_EXTRAS
    sound_bytes: int = 0
    n_unknown: int = 0

    @property
    def n_coded_frames(self) -> int:
        """Frames of all segments; more are shown where frames repeat."""
        return sum(segment.n_frames for segment in self.segments)

    @property
    def shown_lengths(self) -> list[int]:
        """Frames that each segment shows."""
        lengths = [segment.n_frames for segment in self.segments]
        return self.extras.repeats.shown_lengths(lengths) if self.extras.repeats else lengths

    @property
    def quality(self) -> StoredQuality:
        """The quality of all frames that are shown, from that of each segment."""
        return joint_quality([segment.quality for segment in self.segments], self.shown_lengths)

    @property
    def container_bytes(self) -> int:
        """All but the segments' streams and the sound."""
        streams = (len(stream) for segment in self.segments for stream in segment.streams)
        return self.n_bytes - self.sound_bytes - sum(streams)
