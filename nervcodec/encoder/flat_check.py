"""Whether a fit ended below what one flat colour gives, as a saturated head does (lab L097)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from nervcodec.video.frames import Frames

# Fits of fewer steps have not learnt anything yet.
LEAST_STEPS = 200
# A fit begins anew where it ends by more than this below a flat colour.
TOLERANCE_DB = 1.0
MAX_ATTEMPTS = 3
# A video that is nearly flat is no measure for a fit that is this good (PSNR in dB).
_GOOD_DB = 45.0


def decibels_below_flat(frames: Frames, decoded: Iterable[Frames]) -> float:
    """Return by how many dB the mean squared error of decoded frames exceeds that of a flat colour.

    The colour is the mean of all frames; the error is that of luma, or of R, G and B.

    Args:
        frames: what was coded.
        decoded: the same frames as they are decoded, in groups, of the same layout.
    """
    main = 3 if frames.layout == "rgb" else 1
    planes = [plane.astype(np.float64) for plane in frames.planes[:main]]
    flat = sum(float(plane.var()) for plane in planes) / main
    least = frames.peak**2 / 10 ** (_GOOD_DB / 10)
    back = Frames.concatenate(list(decoded))
    error = (
        sum(float(np.square(plane - other).mean()) for plane, other in zip(planes, back.planes))
        / main
    )
    return 10 * math.log10(max(error, least) / max(flat, least))
