"""How the bits of a file of a given size are shared among its segments.

At a given total the mean squared error of all frames is least where a bit buys as much in every
segment, that is at one lambda. What segments take at one lambda goes with what their grids take as
the analysis network computes them, which is known in a hundredth of the time of a fit. So each
segment is surveyed by itself, in any order, and its fit is steered to its share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from nervcodec.encoder.fit_plan import FitPlan, segment_bits_range
from nervcodec.encoder.sizing import ContentStatistics, prior_model
from nervcodec.errors import ConfigError
from nervcodec.format.model_config import Shots
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import rate_weight_of
from nervcodec.video.color import shrink_plane, to_layout
from nervcodec.video.frames import Frames


@dataclass(frozen=True)
class AllocationRule:
    """How bits go with what a survey finds (docs/lab L110).

    Attributes:
        crf: of the quantization steps of the survey.
        exponent: of the survey's bits a pixel.
        least, most: bits a pixel over those of equal shares.
    """

    crf: float = 26.0
    exponent: float = 0.85
    least: float = 1 / 6
    most: float = 4.0


_RULE = AllocationRule()


@dataclass(frozen=True)
class SegmentComplexity:
    """What a survey finds of a segment; JSON-ready.

    Attributes:
        n_pixels: luma pixels of its coded frames.
        bits: that the grids of its luma take at half its width and height.
    """

    n_pixels: int
    bits: float

    @property
    def bpp(self) -> float:
        """The survey's bits a luma pixel of the segment."""
        return self.bits / self.n_pixels


def needs_shares(plan: FitPlan) -> bool:
    """Return whether a plan's bits are to be shared: a size, and more than one segment."""
    return bool(plan.fit.target_bpp) and len(plan.segments) > 1


def segment_complexity(
    frames: Frames, shots: Shots, color: ColorTags = ColorTags()
) -> SegmentComplexity:
    """Return how much a segment takes: its luma, of half the size, in grids of the newest prior.

    Nothing is fitted, and nothing is random; motion, which takes most of the time of a start,
    counts as none (docs/lab L110). It runs on the CPU.

    Args:
        frames: of any layout.
        shots: of the frames.
        color: what the luma of RGB is computed by.
    """
    import torch

    from nervcodec.coding.streams import segment_of
    from nervcodec.encoder.segment import quantized
    from nervcodec.nn.planes import pack
    from nervcodec.training.context import TrainingContext
    from nervcodec.training.initialization import initial_parameters
    from nervcodec.training.prior_start import prior_start

    small = _half_luma(frames, color)
    size = small.width, small.height
    form = VideoFormat(*size, Fraction(1), small.n_frames, "gray", bit_depth=small.bit_depth)
    model = replace(
        prior_model(form, "gray", shots, ContentStatistics()), bit_depth=small.bit_depth
    )
    fit = FitConfig(rate_weight=rate_weight_of(_RULE.crf))
    target = torch.from_numpy(pack(small, model))
    context = TrainingContext.create(model, fit, target, shots=shots)
    start = initial_parameters(context.network, torch.Generator().manual_seed(0))
    coded = quantized(prior_start(context, start), model, shots)
    n_bytes = sum(map(len, segment_of(coded, model, shots).streams))
    return SegmentComplexity(frames.n_frames * frames.width * frames.height, 8.0 * n_bytes)


def _half_luma(frames: Frames, color: ColorTags) -> Frames:
    """Return the luma, half as wide and high, as gray frames: means of 2 x 2 samples."""
    if frames.layout == "rgb":
        frames = to_layout(frames, "yuv444", color)
    luma = np.stack([shrink_plane(plane, 2, 2) for plane in frames.planes[0]])
    return Frames("gray", (luma,), frames.bit_depth)


def allocate(
    complexities: Sequence[SegmentComplexity],
    target_bits: float,
    bounds: Sequence[tuple[float, float]],
) -> list[float]:
    """Return the bits of each segment's streams, which add up to target_bits.

    Bits a pixel go with a power of the survey's, within a sixth and four times equal shares, and
    within the bounds. Where that cannot be, the bounds alone count.

    Args:
        bounds: the least and the most bits of each segment.
    Raises:
        ConfigError: the target is not within the sums of the bounds.
    """
    lowest, highest = (sum(side) for side in zip(*bounds, strict=True))
    if not lowest <= target_bits <= highest:
        raise ConfigError(
            f"bits of all segments are {target_bits:g}; legal: {lowest:g} to {highest:g}"
        )
    n_pixels = [each.n_pixels for each in complexities]
    equal = [target_bits * n / sum(n_pixels) for n in n_pixels]
    usual = [
        (_within(_RULE.least * bits, *bound), _within(_RULE.most * bits, *bound))
        for bits, bound in zip(equal, bounds, strict=True)
    ]
    lowest, highest = (sum(side) for side in zip(*usual, strict=True))
    weights = [each.n_pixels * each.bpp**_RULE.exponent for each in complexities]
    return _shared(weights, target_bits, usual if lowest <= target_bits <= highest else bounds)


def _shared(
    weights: Sequence[float], total: float, bounds: Sequence[tuple[float, float]]
) -> list[float]:
    """Return parts of a total that go with the weights where they are not at a bound.

    Args:
        weights: above 0.
        bounds: the least and the most of each part, whose sums lie about the total.
    """
    ratios = sorted(side / weight for weight, pair in zip(weights, bounds) for side in pair)

    def parts(scale: float) -> list[float]:
        return [_within(scale * w, *pair) for w, pair in zip(weights, bounds, strict=True)]

    # Their sum rises with the scale, and is linear between two of the ratios.
    after = bisect_left(ratios, total, key=lambda ratio: sum(parts(ratio)))
    low, high = ratios[max(after - 1, 0)], ratios[min(after, len(ratios) - 1)]
    below, above = sum(parts(low)), sum(parts(high))
    share = (total - below) / (above - below) if above > below else 0.0
    return parts(low + share * (high - low))


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def segment_fits(
    plan: FitPlan, complexities: Sequence[SegmentComplexity] | None = None
) -> list[FitConfig]:
    """Return the fit of each segment: the plan's, steered to the segment's share of a size.

    Args:
        complexities: of all segments, in order, where needs_shares; None gives equal shares.
    """
    if complexities is None or not needs_shares(plan):
        return [plan.fit] * len(plan.segments)
    total = plan.fit.target_bpp * plan.n_coded_pixels
    bits = allocate(complexities, total, [segment_bits_range(plan.model, s) for s in plan.segments])
    return [
        replace(plan.fit, target_bpp=share / each.n_pixels)
        for share, each in zip(bits, complexities, strict=True)
    ]
