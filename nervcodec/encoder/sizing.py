"""How large a network is for a video: strides, widths, grids.

Pure functions of size, length and content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from nervcodec.format.model_config import MAX_STEM_SIDE, Block, Grid, GridStem, ModelConfig, Shots
from nervcodec.format.prior import PRIORS
from nervcodec.format.tensors import KEYED, n_parameters, tensors
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import USUAL_PIXELS, usual_bpp
from nervcodec.util.validation import ceil_div

PAPER_CELLS = 144  # 9 x 16, the paper's stem
_SAMPLES_A_CELL = 64  # of a plane, where that makes fewer cells (docs/lab L002)
HIGH_MOTION = 12.0  # temporal information above which frames have little in common (docs/lab L019)


@dataclass(frozen=True)
class WidthRule:
    """How many parameters a network has and how they are shared among its blocks.

    Attributes:
        parameters: of low motion at the usual number of pixels and rate (docs/lab L005).
        pixels_exponent: by which they grow with a segment's pixels (L005).
        larger_exponent, most_larger: by which they grow besides above the usual number of pixels,
            up to so many times it, as far as was measured (L007).
        moving_parameters, moving_exponent: the first two for high motion, whose grids hold the
            picture (L006).
        rate_exponent, most_rate: by which they grow with the rate, within so many times it (L005).
        octave, five: the factors of Sizing (L004).
        multiple: widths are multiples of it: these take the least time for what they do (L090).
        prior_rate, prior_exponent: networks are as wide as their prior up to such a rate, and grow
            with its power above it (L103).
    """

    parameters: int = 100_000
    pixels_exponent: float = 0.6
    larger_exponent: float = 0.22
    most_larger: float = 4.0
    moving_parameters: int = 45_000
    moving_exponent: float = 0.3
    rate_exponent: float = 1.1
    most_rate: float = 16
    octave: float = 0.85
    five: float = 0.65
    multiple: int = 8
    prior_rate: float = 2.0
    prior_exponent: float = 0.6


@dataclass(frozen=True)
class GridRule:
    """Which temporal feature grids a network has.

    Attributes:
        stem: of the first block's input (docs/lab L017).
        channels: of the grids two blocks before the head, one before it and at it; with fewer
            blocks, of those that there are (L020).
        interval: of their keys, at least.
        most_doublings: of the interval.
        low_motion_values, high_motion_values: of them for each bit of the file, at most
            (L104, L020).
        wavelet_levels: of them (L024).
        bits, moving_bits: of symbols, without and with them (L039).
    """

    stem: tuple[Grid, ...] = (Grid(2, 1), Grid(4, 8))
    channels: tuple[int, ...] = (2, 3, 1)
    interval: int = 16
    most_doublings: int = 4
    low_motion_values: float = 0.12
    high_motion_values: float = 0.5
    wavelet_levels: int = 2
    bits: int = 10
    moving_bits: int = 12


_WIDTHS, _GRIDS = WidthRule(), GridRule()


@dataclass(frozen=True)
class ContentStatistics:
    """What a network is to suit besides the size and length of a video.

    Attributes:
        rate: its bits over those that are usual for so many pixels (rate_model.usual_bpp).
        temporal_information: how much changes from frame to frame (video/scenes.py).
    """

    rate: float = 1.0
    temporal_information: float = 0.0


PriorChoice = Literal["auto", "none"]
Network = Callable[[VideoFormat, Layout, Shots, ContentStatistics], ModelConfig]


@dataclass(frozen=True)
class Preset:
    """A named recipe.

    Attributes:
        summary: one line for --help.
        colorspace: of the head; None takes the source's layout.
        network: (format, colorspace, shots of the longest segment, content) -> network.
        fit: how to fit it.
        min_steps: short segments get as many more epochs as it takes to make this many steps.
        has_prior: whether networks start from the prior, where there is one for them.
    """

    summary: str
    colorspace: Layout | None
    network: Network
    fit: FitConfig
    min_steps: int = 0
    has_prior: bool = False

    def model(
        self,
        form: VideoFormat,
        colorspace: Layout,
        shots: Shots,
        content: ContentStatistics = ContentStatistics(),
        prior: PriorChoice = "auto",
    ) -> ModelConfig:
        """Return the network for segments of which the longest has such shots."""
        has_prior = self.has_prior and prior == "auto" and colorspace != "rgb"
        network = prior_model if has_prior else self.network
        model = network(form, colorspace, shots, content)
        return replace(model, bit_depth=form.bit_depth)

    def fit_for(self, n_frames: int) -> FitConfig:
        """Return the fit for segments of n_frames frames."""
        steps_an_epoch = ceil_div(n_frames, self.fit.batch_size)
        return replace(
            self.fit, epochs=max(self.fit.epochs, ceil_div(self.min_steps, steps_an_epoch))
        )


@dataclass(frozen=True)
class Sizing:
    """How large a network is and how its width goes from block to block.

    Attributes:
        n_parameters: at most, grids and motion aside.
        octave: the width's factor for an octave of scale.
        five: its factor where the stride is 5, whose upsampling has 25 outputs a channel.
        multiple: widths are multiples of it, or of half of it where they are less than 1.5 times
            it.
    """

    n_parameters: float
    octave: float
    five: float
    multiple: int = 1


def choose_strides(width: int, height: int, cells: int) -> tuple[int, int, tuple[int, ...]]:
    """Return the stem's (height, width) and strides for a plane of this size.

    The scales tried are 2^k and 5 * 2^k, whose strides are one 5 and then 2s as in the paper (720p:
    5, 2, 2, 2, 2 from 9 x 16). The one chosen minimises |log(stem cells / cells)| + 4 * log(covered
    area / area): as close as possible to the chosen number of cells, but not at the price of many
    cropped pixels. Ties take the larger scale.
    """

    def cost(scale: int) -> float:
        h, w = ceil_div(height, scale), ceil_div(width, scale)
        excess = math.log(h * w * scale**2 / (height * width))
        return abs(math.log(h * w / cells)) + 4 * excess

    scales = sorted([1 << k for k in range(9)] + [5 << k for k in range(8)], reverse=True)
    scale = min(
        (scale for scale in scales if max(height, width) <= MAX_STEM_SIDE * scale), key=cost
    )
    strides: tuple[int, ...] = (5,) if scale % 5 == 0 else ()
    strides += (2,) * int(math.log2(scale // 5 if strides else scale))
    return ceil_div(height, scale), ceil_div(width, scale), strides or (1,)


def grid_model(
    form: VideoFormat, colorspace: Layout, shots: Shots, content: ContentStatistics
) -> ModelConfig:
    """Return our network: temporal feature grids, and widths by the segment's pixels and its rate.

    Biases that later layers can stand in for are left out: they cost bits and give nothing
    (docs/lab L015). Weights of fine blocks are worth more bits than those of the first, but cost
    more time. Larger video, whose grids are no larger, needs more parameters for each bit; high
    motion, whose grids hold the picture, needs few, and hardly more as it gets longer.
    """
    rule, larger = _WIDTHS, relative_pixels(form, shots)
    if is_high_motion(content.temporal_information):
        n_usual = rule.moving_parameters * larger**rule.moving_exponent
    else:
        n_usual = rule.parameters * larger**rule.pixels_exponent
        n_usual *= min(max(larger, 1.0), rule.most_larger) ** rule.larger_exponent
    by_rate = min(max(content.rate**rule.rate_exponent, 1 / rule.most_rate), rule.most_rate)
    sizing = Sizing(n_usual * by_rate, rule.octave, rule.five, rule.multiple)
    rows, columns, strides = stem_cells(form, colorspace)
    levels = range(max(1, len(strides) - len(_GRIDS.channels) + 1), len(strides) + 1)
    channels = dict(zip(levels, _GRIDS.channels[-len(levels) :])) if len(strides) > 1 else {}
    finer = _finer_grids(form, shots, content, rows * columns, strides, channels)
    stem, bits = GridStem(rows, columns, (*_GRIDS.stem, *finer)), _GRIDS.bits
    if finer:
        stem, bits = _moving(stem), _GRIDS.moving_bits

    def model(blocks: tuple[Block, ...]) -> ModelConfig:
        size = form.width, form.height
        return ModelConfig(*size, colorspace, stem, blocks, biases="lean", bits=bits)

    return widest(shots, strides, sizing, model)


def relative_pixels(form: VideoFormat, shots: Shots) -> float:
    """Return the segment's pixels over those that rules are made at."""
    return sum(shots) * form.width * form.height / USUAL_PIXELS


def is_high_motion(temporal_information: float) -> bool:
    """Return whether frames have so little in common that grids hold the picture."""
    return temporal_information > HIGH_MOTION


def prior_model(
    form: VideoFormat, colorspace: Layout, shots: Shots, content: ContentStatistics
) -> ModelConfig:
    """Return the network of the newest prior: keys by the video's motion, widths by its rate.

    It has no more weights than its file will have bits, or is as wide as the prior.
    """
    number = max(PRIORS)
    prior = PRIORS[number]
    columns, rows = (
        ceil_div(side, math.prod(prior.strides)) for side in plane_size(form, colorspace)
    )
    channels = dict(enumerate(prior.grid_channels[1:], 1))
    finer = _finer_grids(form, shots, content, rows * columns, prior.strides, channels)
    stem = _moving(GridStem(rows, columns, (*_GRIDS.stem, *finer)))

    def model(width: int) -> ModelConfig:
        return ModelConfig(
            form.width,
            form.height,
            colorspace,
            stem,
            tuple(Block(stride, width) for stride in prior.strides),
            biases="lean",
            bits=_GRIDS.moving_bits,
            prior=number,
        )

    def n_weights(width: int) -> int:
        return sum(t.size for t in tensors(model(width), (1,)) if t.kind not in KEYED)

    rate = min(max(content.rate / _WIDTHS.prior_rate, 1.0), _WIDTHS.most_rate)
    widest = _multiple(prior.width * rate**_WIDTHS.prior_exponent, _WIDTHS.multiple)
    n_bits = _expected_bits(form, shots, content)
    widths = range(prior.width + _WIDTHS.multiple, widest + 1, _WIDTHS.multiple)
    return model(max((w for w in widths if n_weights(w) <= n_bits), default=prior.width))


def _expected_bits(form: VideoFormat, shots: Shots, content: ContentStatistics) -> float:
    """Return the bits that a segment will have."""
    n_pixels = form.width * form.height * sum(shots)
    return content.rate * usual_bpp(n_pixels) * n_pixels


def _moving(stem: GridStem) -> GridStem:
    """Return the stem with a motion field, half as fine, and wavelets (docs/lab L022, L024)."""
    return replace(
        stem,
        motion_height=ceil_div(stem.height, 2),
        motion_width=ceil_div(stem.width, 2),
        wavelet_levels=_GRIDS.wavelet_levels,
    )


def _finer_grids(
    form: VideoFormat,
    shots: Shots,
    content: ContentStatistics,
    n_cells: int,
    strides: tuple[int, ...],
    channels: Mapping[int, int],
) -> tuple[Grid, ...]:
    """Return grids for detail that convolutions store badly, and that follow the motion.

    Their keys get rarer until they have no more than so many values for each bit that the file
    will have (docs/lab L020).

    Args:
        n_cells: of the stem.
        channels: of the grids by their level.
    """
    n_bits = _expected_bits(form, shots, content)
    n_values = sum(n * n_cells * math.prod(strides[:level]) ** 2 for level, n in channels.items())
    is_high = is_high_motion(content.temporal_information)
    most = _GRIDS.high_motion_values if is_high else _GRIDS.low_motion_values
    grids: tuple[Grid, ...] = ()
    for doublings in range(_GRIDS.most_doublings + 1):
        interval = _GRIDS.interval << doublings
        grids = tuple(Grid(n, interval, level) for level, n in channels.items())
        if not grids or sum(grids[0].keys(shots)) * n_values <= most * n_bits:
            break
    return grids


def stem_cells(form: VideoFormat, colorspace: Layout) -> tuple[int, int, tuple[int, ...]]:
    """Return choose_strides with a cell for every 64 samples of a plane, at most 144."""
    plane = plane_size(form, colorspace)
    return choose_strides(*plane, min(PAPER_CELLS, max(1, plane[0] * plane[1] // _SAMPLES_A_CELL)))


def widest(
    shots: Shots,
    strides: tuple[int, ...],
    sizing: Sizing,
    model: Callable[[tuple[Block, ...]], ModelConfig],
) -> ModelConfig:
    """Return the widest model(blocks) within the sizing's parameters, grids and motion aside."""

    def blocks(width: float) -> tuple[Block, ...]:
        made, scale = [], 1
        for stride in strides:
            share = sizing.octave ** math.log2(scale) * (sizing.five if stride == 5 else 1)
            made.append(Block(stride, max(4, _multiple(width * share, sizing.multiple))))
            scale *= stride
        return tuple(made)

    models = [model(blocks(4 * 1.02**i)) for i in range(300)]
    aside = sum(tensor.size for tensor in tensors(models[0], shots) if tensor.kind in KEYED)
    return max(
        (m for m in models if n_parameters(m, shots) - aside <= sizing.n_parameters),
        default=models[0],
        key=lambda m: n_parameters(m, shots),
    )


def _multiple(width: float, of: int) -> int:
    """Return the nearest multiple of a number, or of half of it below 1.5 times it."""
    unit = of if width >= 1.5 * of or of == 1 else of // 2
    return unit * round(width / unit)


def plane_size(form: VideoFormat, colorspace: Layout) -> tuple[int, int]:
    """Return (columns, rows) of the head's planes."""
    return (
        (form.width, form.height)
        if colorspace == "rgb"
        else (ceil_div(form.width, 2), ceil_div(form.height, 2))
    )
