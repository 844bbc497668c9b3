"""How large a network is for a video: strides, widths, grids, segments. Pure functions of size,
length and content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from nervcodec.errors import ConfigError
from nervcodec.format.model_config import MAX_STEM_SIDE, Block, Grid, GridStem, ModelConfig, Shots
from nervcodec.format.tensors import KEYED, n_parameters, tensors
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import USUAL_PIXELS, usual_bpp
from nervcodec.util.validation import ceil_div

MAX_SEGMENT_FRAMES = 150
PAPER_CELLS = 144  # 9 x 16, the paper's stem
_LIVELY = 12.0  # temporal information above which frames have little in common
# Values of finer grids for each bit of the file, at most; of still video at the usual rate.
_LIVELY_VALUES_A_BIT = 0.4
_STILL_VALUES_A_BIT = 0.16
_WAVELET_LEVELS = 2  # of the grids of lively video


@dataclass(frozen=True)
class Nature:
    """What a network is to suit besides the size and length of a video.

    Attributes:
        rate: its bits over those that are usual for so many pixels (goal.usual_bpp).
        temporal_information: how much changes from frame to frame (motion.py).
    """

    rate: float = 1.0
    temporal_information: float = 0.0


Network = Callable[[VideoFormat, str, Shots, Nature], ModelConfig]


@dataclass(frozen=True)
class Preset:
    """A named recipe.

    Attributes:
        summary: one line for --help.
        colorspace: of the head; None takes 'yuv' for 4:2:0 video and 'rgb' for RGB.
        network: (format, colorspace, shots of the longest segment, nature) -> network.
        fit: how to fit it.
        min_steps: short segments get as many more epochs as it takes to make this many steps.
    """

    summary: str
    colorspace: str | None
    network: Network
    fit: FitConfig
    min_steps: int = 0

    def model(
        self, form: VideoFormat, colorspace: str, shots: Shots, nature: Nature = Nature()
    ) -> ModelConfig:
        """Return the network for segments of which the longest has such shots."""
        return self.network(form, colorspace, shots, nature)

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


def segment_lengths(n_frames: int, at_most: int | None = None) -> list[int]:
    """Frames of each segment: the fewest equal parts (sizes differ by at most 1) of at most
    `at_most` frames.
    """
    at_most = MAX_SEGMENT_FRAMES if at_most is None else at_most
    if at_most < 1:
        raise ConfigError(f"segment frames is {at_most}; legal: 1 or more")
    n_segments = -(-n_frames // at_most)
    return [
        n_frames * (i + 1) // n_segments - n_frames * i // n_segments for i in range(n_segments)
    ]


def segment_shots(lengths: Iterable[int], cuts: Collection[int]) -> list[Shots]:
    """The shots of each of consecutive segments, from the video's cuts: the first frames of its
    shots but the first.
    """
    found, start = [], 0
    for length in lengths:
        ends = [*(cut - start for cut in cuts if start < cut < start + length), length]
        found.append(tuple(end - begin for begin, end in zip([0, *ends], ends)))
        start += length
    return found


def choose_strides(width: int, height: int, cells: int) -> tuple[int, int, tuple[int, ...]]:
    """Stem grid (height, width) and strides for a plane of this size: a pure function of its
    arguments.

    The scales tried are 2^k and 5 * 2^k, whose strides are one 5 and then 2s as in the paper (720p:
    5, 2, 2, 2, 2 from 9 x 16). The one chosen minimises |log(stem cells / cells)| + 4 * log(covered
    area / area): as close as possible to the wished number of cells, but not at the price of many
    cropped pixels. Ties take the larger scale.
    """

    def cost(scale: int) -> float:
        h, w = -(-height // scale), -(-width // scale)
        excess = math.log(h * w * scale**2 / (height * width))
        return abs(math.log(h * w / cells)) + 4 * excess

    scales = sorted([1 << k for k in range(9)] + [5 << k for k in range(8)], reverse=True)
    scale = min(
        (scale for scale in scales if max(height, width) <= MAX_STEM_SIDE * scale), key=cost
    )
    strides: tuple[int, ...] = (5,) if scale % 5 == 0 else ()
    strides += (2,) * int(math.log2(scale // 5 if strides else scale))
    return -(-height // scale), -(-width // scale), strides or (1,)


def grid_model(form: VideoFormat, colorspace: str, shots: Shots, nature: Nature) -> ModelConfig:
    """Our network: temporal feature grids, and widths that suit the segment's number of pixels and
    its rate.

    Biases that later layers can stand in for are left out: they cost bits and gave nothing. Weights
    of fine blocks are worth more bits than those of the first, but cost more time
    (docs/ablation.md), and widths that are multiples of 8 take the least for what they do
    (docs/performance.md). The number of parameters follows the rate. Larger video, whose grids are
    no larger, needs more for each bit. Lively video, whose grids hold the picture, needs few, and
    hardly more as it gets longer.
    """
    larger = relative_pixels(form, shots)
    if is_lively(nature.temporal_information):
        n_usual = 45_000 * larger**0.3
    else:
        n_usual = (
            100_000 * larger**0.6 * min(max(larger, 1.0), 4.0) ** 0.22
        )  # 4: as far as was measured
    sizing = Sizing(n_usual * min(max(nature.rate**1.1, 1 / 16), 16), 0.85, 0.65, multiple=8)
    rows, columns, strides = stem_cells(form, colorspace)
    grids = (Grid(2, 1), Grid(4, 8), *_finer_grids(form, shots, nature, rows * columns, strides))
    moves = len(grids) > 2 and sum(shots) > 1
    motion = (-(-rows // 2), -(-columns // 2)) if moves else (0, 0)
    wavelet_levels = _WAVELET_LEVELS if moves and is_lively(nature.temporal_information) else 0
    stem = GridStem(rows, columns, grids, *motion, wavelet_levels)
    return widest(
        shots,
        strides,
        sizing,
        lambda blocks: ModelConfig(
            form.width,
            form.height,
            colorspace,
            stem,
            blocks,
            biases="lean",
            bits=12 if moves else 10,
        ),
    )


def relative_pixels(form: VideoFormat, shots: Shots) -> float:
    """The segment's pixels over those that rules are made at."""
    return sum(shots) * form.width * form.height / USUAL_PIXELS


def is_lively(temporal_information: float) -> bool:
    """Whether frames have so little in common that grids hold the picture."""
    return temporal_information > _LIVELY


def _finer_grids(
    form: VideoFormat, shots: Shots, nature: Nature, n_cells: int, strides: tuple[int, ...]
) -> tuple[Grid, ...]:
    """Grids for detail that convolutions store badly, where there is more than one block; they
    follow the motion.

    Where little changes, few keys two blocks before the head (after the first block of two). What
    moves needs more keys at coarser levels and, at the head's own, a picture that the motion
    shifts. Keys get rarer until they have no more than so many values for each bit that the file
    will have: where little changes, fewer the lower the rate.
    """
    n_blocks = len(strides)
    if n_blocks == 1:
        return ()
    level = max(1, n_blocks - 2)
    most, often = _STILL_VALUES_A_BIT * nature.rate, [Grid(2, 16, level)]
    if is_lively(nature.temporal_information):
        most, often = (
            _LIVELY_VALUES_A_BIT,
            [Grid(2, 4, level), Grid(3, 16, n_blocks - 1), Grid(1, 16, n_blocks)],
        )
    n_pixels = form.width * form.height * sum(shots)
    n_bits = nature.rate * usual_bpp(n_pixels) * n_pixels

    def n_values(grid: Grid) -> int:
        return (
            sum(grid.keys(shots)) * grid.channels * n_cells * math.prod(strides[: grid.level]) ** 2
        )

    for times in (1, 2, 4, 8, 16):
        grids = tuple(replace(grid, interval=times * grid.interval) for grid in often)
        if sum(map(n_values, grids)) <= most * n_bits:
            break
    return grids


def stem_cells(form: VideoFormat, colorspace: str) -> tuple[int, int, tuple[int, ...]]:
    """choose_strides with a cell for every 64 samples of a plane, at most 144."""
    plane = plane_size(form, colorspace)
    return choose_strides(*plane, min(PAPER_CELLS, max(1, plane[0] * plane[1] // 64)))


def widest(
    shots: Shots,
    strides: tuple[int, ...],
    sizing: Sizing,
    model: Callable[[tuple[Block, ...]], ModelConfig],
) -> ModelConfig:
    """The widest model(blocks) within the sizing's number of parameters, grids and motion aside."""

    def blocks(width: float) -> tuple[Block, ...]:
        found, scale = [], 1
        for stride in strides:
            share = sizing.octave ** math.log2(scale) * (sizing.five if stride == 5 else 1)
            found.append(Block(stride, max(4, _multiple(width * share, sizing.multiple))))
            scale *= stride
        return tuple(found)

    models = [model(blocks(4 * 1.02**i)) for i in range(300)]
    aside = sum(tensor.size for tensor in tensors(models[0], shots) if tensor.kind in KEYED)
    return max(
        (m for m in models if n_parameters(m, shots) - aside <= sizing.n_parameters),
        default=models[0],
        key=lambda m: n_parameters(m, shots),
    )


def _multiple(width: float, of: int) -> int:
    """The nearest multiple of a number, or of half of it below 1.5 times it."""
    unit = of if width >= 1.5 * of or of == 1 else of // 2
    return unit * round(width / unit)


def plane_size(form: VideoFormat, colorspace: str) -> tuple[int, int]:
    return (
        (form.width, form.height)
        if colorspace == "rgb"
        else (-(-form.width // 2), -(-form.height // 2))
    )
