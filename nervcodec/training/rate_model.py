"""How lambda, bits a pixel and decibels usually go together on our own curves, and what is promised
of a target. Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nervcodec.errors import ConfigError

DEFAULT_CRF = 30.0
MAX_CRF = 63.0


@dataclass(frozen=True)
class TargetPromise:
    """How near to what was asked for a file ends, and what each stage may leave to the next one.

    Attributes:
        promised: a share of the bytes, or dB of RGB PSNR.
        fitted_share: the share of it that settling and RDOQ end within.
        rounded_share: the share of it that final rounding ends within; the container has the rest.
    """

    promised: float
    fitted_share: float
    rounded_share: float

    @property
    def fitted(self) -> float:
        """What settling and RDOQ may leave."""
        return self.promised * self.fitted_share

    @property
    def rounded(self) -> float:
        """What final rounding may leave."""
        return self.promised * self.rounded_share


SIZE_PROMISE = TargetPromise(0.02, fitted_share=0.8, rounded_share=0.9)
PSNR_PROMISE = TargetPromise(0.2, fitted_share=0.75, rounded_share=0.9)


@dataclass(frozen=True)
class LambdaModel:
    """The lambda of a constant rate factor, as H.264's of QP.

    Attributes:
        at_default: lambda at the default factor.
        crf_per_doubling: by how much the factor grows where a bit becomes twice as dear.
    """

    at_default: float = 0.01
    crf_per_doubling: float = 3.0


@dataclass(frozen=True)
class BppModel:
    """Bits a pixel at the default rate factor (docs/lab L063), and those of low motion (L062).

    Attributes:
        usual: of a segment of usual_pixels luma pixels, within a factor of two or so.
        usual_pixels: 132 frames of 320x180.
        pixels_exponent: the power of the number of pixels that they go with.
        low_motion_pixels: from the first to the second number of luma pixels, which is as far as
            was measured, low motion takes a share of the usual bits that rises to 1.
        low_motion_exponent: the power of the number of pixels that the share goes with.
    """

    usual: float = 0.067
    usual_pixels: float = 7.6e6
    pixels_exponent: float = -0.3
    low_motion_pixels: tuple[float, float] = (2e5, 3e6)
    low_motion_exponent: float = 0.17


@dataclass(frozen=True)
class PsnrModel:
    """RGB PSNR at the default rate factor (docs/lab L052), and what a decibel takes (L063).

    Attributes:
        low_motion_db: of video that hardly changes.
        db_per_nat: by how much the PSNR falls where ln(temporal information) grows by 1.
        low_motion: the temporal information below which it no longer counts.
        nats_per_db: by how much ln(bytes) grows with a decibel.
    """

    low_motion_db: float = 29.5
    db_per_nat: float = 4.0
    low_motion: float = 7.0
    nats_per_db: float = 0.37


_LAMBDA, _BPP, _PSNR = LambdaModel(), BppModel(), PsnrModel()
USUAL_PIXELS = _BPP.usual_pixels
NATS_PER_DB = _PSNR.nats_per_db


def rate_weight_of(crf: float) -> float:
    """Return the lambda of a constant rate factor.

    Raises:
        ConfigError: not within 0..63.
    """
    if not 0 <= crf <= MAX_CRF:
        raise ConfigError(f"crf is {crf:g}; legal: 0 (best) to {MAX_CRF:g} (smallest)")
    return _LAMBDA.at_default * math.pow(2, (crf - DEFAULT_CRF) / _LAMBDA.crf_per_doubling)


def usual_bpp(n_pixels: int) -> float:
    """Return the bits a pixel that crf 30 gives on a segment of so many luma pixels.

    They are right within a factor of two or so.
    """
    return _BPP.usual * math.pow(n_pixels / _BPP.usual_pixels, _BPP.pixels_exponent)


def still_share(n_pixels: int) -> float:
    """Return what crf 30 gives low motion of so many luma pixels, over usual_bpp.

    The latter is too much where pixels are few.
    """
    least, most = _BPP.low_motion_pixels
    return math.pow(min(max(n_pixels, least), most) / most, _BPP.low_motion_exponent)


def usual_db(temporal_information: float) -> float:
    """Return the RGB PSNR that crf 30 gives: less the more changes from frame to frame.

    It is right within a decibel or two.
    """
    change = max(1.0, temporal_information / _PSNR.low_motion)
    return _PSNR.low_motion_db - _PSNR.db_per_nat * math.log(change)


def expected_bpp(rate_weight: float, n_pixels: int) -> float:
    """Return the bits a pixel that a lambda usually gives: they fall with its square root."""
    return usual_bpp(n_pixels) * math.sqrt(rate_weight_of(DEFAULT_CRF) / rate_weight)


def expected_rate_weight(bpp: float, n_pixels: int) -> float:
    """Return the lambda to start from towards so many bits a pixel.

    It is the inverse of expected_bpp within the range of crf.
    """
    # Far beyond the range all the same, and no overflow.
    ratio = usual_bpp(n_pixels) / min(max(bpp, 1e-9), 1e9)
    weight = rate_weight_of(DEFAULT_CRF) * ratio**2
    return min(max(weight, rate_weight_of(0)), rate_weight_of(MAX_CRF))
