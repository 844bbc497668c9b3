"""What is asked of a file: a quality, a size, or the weight of a bit itself.

Each target turns into the lambda (rate weight) that a fit starts from; a size and a PSNR are then
steered to while it runs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import Loss
from nervcodec.training.rate_model import (
    NATS_PER_DB,
    expected_rate_weight,
    rate_weight_of,
    usual_bpp,
    usual_db,
)
from nervcodec.util.validation import check_range

# Loss of a tuning, and by how much it is worth more than the mean squared error.
TUNES: dict[str, tuple[Loss, float]] = {"psnr": ("mse", 1.0), "ssim": ("l1+ssim", 16.0)}
_MAX_RATE_WEIGHT = 1000
# For a low PSNR a network is not as much smaller: the video may be a hard one.
_LOW_PSNR_CAUTION = 0.6


class Target(ABC):
    """What is asked of a file; one of the classes below."""

    def file_bpp(self, form: VideoFormat) -> float | None:
        """Return the bits a luma pixel of the whole file, None where no size is asked for."""
        return None

    def for_coded(self, share: float) -> Target:
        """Return what is asked of the coded frames of a video of which more are shown.

        Args:
            share: coded over shown frames.
        """
        return self

    @property
    def psnr_db(self) -> float | None:
        """The RGB PSNR in dB that is asked for, if one is."""
        return None

    @abstractmethod
    def start_lambda(self, form: VideoFormat, n_pixels: int, temporal_information: float) -> float:
        """Return the lambda of this target, or the one to start from towards it.

        Args:
            form: of the whole video.
            n_pixels: luma pixels of the longest segment.
            temporal_information: how much changes from frame to frame (video.scenes).
        """


@dataclass(frozen=True)
class Crf(Target):
    """A constant rate factor, 0 (best) to 63 (smallest); lambda doubles every 3.

    Raises:
        ConfigError: it is outside its range.
    """

    value: float

    def __post_init__(self) -> None:
        rate_weight_of(self.value)

    def start_lambda(self, form: VideoFormat, n_pixels: int, temporal_information: float) -> float:
        return rate_weight_of(self.value)


@dataclass(frozen=True)
class Lambda(Target):
    """The weight of a bit in the loss, 0 to 1000; crf 30 is 0.01.

    Raises:
        ConfigError: it is outside its range.
    """

    value: float

    def __post_init__(self) -> None:
        check_range("rate weight", self.value, 0, _MAX_RATE_WEIGHT)

    def start_lambda(self, form: VideoFormat, n_pixels: int, temporal_information: float) -> float:
        return self.value


class SizeTarget(Target):
    """A target that fixes the size of the file."""

    @abstractmethod
    def file_bpp(self, form: VideoFormat) -> float:
        """Return the bits a luma pixel of the whole file."""

    @abstractmethod
    def value_of(self, form: VideoFormat, n_bytes: float) -> float:
        """Return a size of the file, in bytes, in the unit of this target."""

    @abstractmethod
    def shown(self) -> str:
        """Return this target with its name and unit."""

    def figure(self, value: float, *, up: bool = False) -> str:
        """Return a value in digits, rounded down, or up, to what is typed."""
        return f"{math.ceil(value) if up else math.floor(value):,}"

    def start_lambda(self, form: VideoFormat, n_pixels: int, temporal_information: float) -> float:
        return expected_rate_weight(self.file_bpp(form), n_pixels)


@dataclass(frozen=True)
class Size(SizeTarget):
    """Bytes of the whole file, met within 2 %.

    Raises:
        ConfigError: they are not above 0 and finite.
    """

    n_bytes: float

    def __post_init__(self) -> None:
        _check_positive("size", self.n_bytes)

    def file_bpp(self, form: VideoFormat) -> float:
        return 8 * self.n_bytes / form.n_pixels

    def value_of(self, form: VideoFormat, n_bytes: float) -> float:
        return n_bytes

    def shown(self) -> str:
        return f"size is {_amount(self.n_bytes)} bytes"


@dataclass(frozen=True)
class Bitrate(SizeTarget):
    """Bits a second of the whole file, met within 2 %.

    Raises:
        ConfigError: they are not above 0 and finite.
    """

    bits_per_s: float

    def __post_init__(self) -> None:
        _check_positive("bitrate", self.bits_per_s)

    def file_bpp(self, form: VideoFormat) -> float:
        return self.bits_per_s * form.duration_s / form.n_pixels

    def value_of(self, form: VideoFormat, n_bytes: float) -> float:
        return 8 * n_bytes / form.duration_s

    def shown(self) -> str:
        return f"bitrate is {_amount(self.bits_per_s)} bits/s"


@dataclass(frozen=True)
class BitsPerPixel(SizeTarget):
    """Bits a luma pixel of the whole file, met within 2 %.

    Raises:
        ConfigError: they are not above 0 and finite.
    """

    value: float

    def __post_init__(self) -> None:
        _check_positive("bpp", self.value)

    def file_bpp(self, form: VideoFormat) -> float:
        return self.value

    def for_coded(self, share: float) -> Target:
        return BitsPerPixel(self.value / share)

    def value_of(self, form: VideoFormat, n_bytes: float) -> float:
        return form.bpp(1) * n_bytes

    def shown(self) -> str:
        return f"bpp is {self.value:g}"

    def figure(self, value: float, *, up: bool = False) -> str:
        scale = 10 ** (3 - math.floor(math.log10(value)))
        return f"{(math.ceil if up else math.floor)(value * scale) / scale:g}"


@dataclass(frozen=True)
class Psnr(Target):
    """RGB PSNR in dB, mean over frames, met within 0.2 dB.

    Raises:
        ConfigError: it is not above 0 and up to 100.
    """

    db: float

    def __post_init__(self) -> None:
        if not 0 < self.db <= 100:
            raise ConfigError(f"target PSNR is {self.db:g}; legal: above 0, up to 100")

    @property
    def psnr_db(self) -> float:
        return self.db

    def start_lambda(self, form: VideoFormat, n_pixels: int, temporal_information: float) -> float:
        more_db = self.db - usual_db(temporal_information)
        nats = NATS_PER_DB * max(more_db, _LOW_PSNR_CAUTION * more_db)
        return expected_rate_weight(usual_bpp(n_pixels) * math.exp(nats), n_pixels)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ConfigError(f"{name} is {value:g}; legal: above 0")
