"""How lambda, bits a pixel and decibels usually go together on our own curves
(docs/ablation.md).
"""

from __future__ import annotations

import math

from nervcodec.errors import ConfigError

DEFAULT_CRF = 30.0
MAX_CRF = 63.0
USUAL_PIXELS = 7.6e6  # of a segment: 132 frames of 320x180
NATS_PER_DB = 0.37  # by how much ln(bytes) grows with a decibel, on our own curves


def rate_weight_of(crf: float) -> float:
    """The rate weight of a constant rate factor: twice as dear a bit every 3, as in H.264's
    lambda(QP).

    Raises:
        ConfigError: not within 0..63.
    """
    if not 0 <= crf <= MAX_CRF:
        raise ConfigError(f"crf is {crf:g}; legal: 0 (best) to {MAX_CRF:g} (smallest)")
    return 0.01 * math.pow(2, (crf - DEFAULT_CRF) / 3)


def usual_bpp(n_pixels: int) -> float:
    """Bits a pixel that crf 30 gives on a segment of so many luma pixels, within a factor of two or
    so.
    """
    return 0.067 * math.pow(n_pixels / USUAL_PIXELS, -0.3)


def still_share(n_pixels: int) -> float:
    """What crf 30 gives still video of so many luma pixels, over usual_bpp, which is too much where
    they are few.

    It falls from 3 million of them to 0.2 million, as far as was measured (docs/ablation.md,
    "Networks for sizes").
    """
    return math.pow(min(max(n_pixels, 2e5), 3e6) / 3e6, 0.17)


def usual_db(temporal_information: float) -> float:
    """RGB PSNR that crf 30 gives, within a decibel or two: less the more changes (docs/ablation.md,
    "Steering").
    """
    return 29.5 - 4 * math.log(max(1.0, temporal_information / 7))


def expected_bpp(rate_weight: float, n_pixels: int) -> float:
    """Bits a pixel that a rate weight usually gives: they fall with its square root
    (docs/ablation.md).
    """
    return usual_bpp(n_pixels) * math.sqrt(rate_weight_of(DEFAULT_CRF) / rate_weight)


def expected_rate_weight(bpp: float, n_pixels: int) -> float:
    """The inverse of expected_bpp within the range of crf: where to start from towards a target."""
    ratio = usual_bpp(n_pixels) / min(
        max(bpp, 1e-9), 1e9
    )  # far beyond the range all the same, and no overflow
    weight = rate_weight_of(DEFAULT_CRF) * ratio**2
    return min(max(weight, rate_weight_of(0)), rate_weight_of(MAX_CRF))
