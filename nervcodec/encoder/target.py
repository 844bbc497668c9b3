"""The rate or quality that is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.rate_model import (
    NATS_PER_DB,
    expected_rate_weight,
    rate_weight_of,
    usual_bpp,
    usual_db,
)

TUNES = {
    "psnr": ("mse", 1.0),
    "ssim": ("l1+ssim", 16.0),
}  # loss, and by how much it is worth more than the mse


@dataclass(frozen=True)
class Goal:
    """What is asked for: at most one of these is not None.

    Attributes:
        crf: constant rate factor, 0 (best) to 63 (smallest).
        size: bytes of the file; bitrate: bits a second; bpp: bits a pixel; all count the whole
            file.
        target_psnr: RGB PSNR in dB, mean over frames.
        rate_weight: FitConfig's.

    Raises:
        ConfigError: more than one of them, or one outside its range.
    """

    crf: float | None = None
    size: float | None = None
    bitrate: float | None = None
    bpp: float | None = None
    target_psnr: float | None = None
    rate_weight: float | None = None

    def __post_init__(self) -> None:
        given = [name.replace("_", " ") for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} are given; legal: one of them")
        for name in ("size", "bitrate", "bpp", "target_psnr"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name.replace('_', ' ')} is {value:g}; legal: above 0")
        if self.crf is not None:
            rate_weight_of(self.crf)
        if self.target_psnr is not None and self.target_psnr > 100:
            raise ConfigError(f"target PSNR is {self.target_psnr:g}; legal: above 0, up to 100")

    def file_bpp(self, form: VideoFormat) -> float | None:
        """Bits a pixel of the file that size, bitrate or bpp ask for."""
        if self.size is not None:
            return 8 * self.size / form.n_pixels
        return (
            self.bitrate * form.duration_s / form.n_pixels if self.bitrate is not None else self.bpp
        )

    def start(self, form: VideoFormat, n_pixels: int, temporal_information: float) -> float | None:
        """The rate weight of this goal, or the one to start from towards it; None: the preset's.

        Args:
            n_pixels: luma pixels of the longest segment.
            temporal_information: how much changes from frame to frame (motion.py).
        """
        if self.crf is not None:
            return rate_weight_of(self.crf)
        bpp = self.file_bpp(form)
        if self.target_psnr is not None:
            more_db = self.target_psnr - usual_db(temporal_information)
            # For a low PSNR a network that is not as much smaller: the video may be a hard one.
            bpp = usual_bpp(n_pixels) * math.exp(NATS_PER_DB * max(more_db, 0.6 * more_db))
        return self.rate_weight if bpp is None else expected_rate_weight(bpp, n_pixels)
