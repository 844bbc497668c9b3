"""Named recipes: a rule that sizes a network for a video, and a FitConfig. All pure functions of size and length.

`paper-*` are the published models and the published recipe (arXiv 2402.18305, table 1 and section 4), `nerv-*` are
NeRV (arXiv 2110.13903) with as many parameters; `small-*` compare the two, and NeRV++ without each of its parts, at
sizes for a CPU. The others are ours (docs/benchmarks.md has what they reach and docs/ablation.md why they are so).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from nervcodec.errors import ConfigError
from nervcodec.format.model_config import MAX_STEM_SIDE, PARTS, Block, Grid, ModelConfig, Shots
from nervcodec.format.tensors import KEYED, n_parameters, tensors
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import USUAL_PIXELS, usual_bpp

MAX_SEGMENT_FRAMES = 150
_CELLS = 144  # 9 x 16, the paper's stem
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
    """A recipe.

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

    def model(self, form: VideoFormat, colorspace: str, shots: Shots, nature: Nature = Nature()) -> ModelConfig:
        """The network for segments of which the longest has such shots."""
        return self.network(form, colorspace, shots, nature)

    def fit_for(self, n_frames: int) -> FitConfig:
        """The fit for segments of n_frames frames."""
        steps_an_epoch = -(-n_frames // self.fit.batch_size)
        return replace(self.fit, epochs=max(self.fit.epochs, -(-self.min_steps // steps_an_epoch)))


@dataclass(frozen=True)
class Sizing:
    """How large a network is and how its width goes from block to block.

    Attributes:
        n_parameters: at most, grids and motion aside.
        octave: the width's factor for an octave of scale.
        five: its factor where the stride is 5, whose upsampling has 25 outputs a channel.
        multiple: widths are multiples of it, or of half of it where they are less than 1.5 times it.
    """

    n_parameters: float
    octave: float
    five: float
    multiple: int = 1


def segment_lengths(n_frames: int, at_most: int | None = None) -> list[int]:
    """Frames of each segment: the fewest equal parts (sizes differ by at most 1) of at most `at_most` frames."""
    at_most = MAX_SEGMENT_FRAMES if at_most is None else at_most
    if at_most < 1:
        raise ConfigError(f"segment frames is {at_most}; legal: 1 or more")
    n_segments = -(-n_frames // at_most)
    return [n_frames * (i + 1) // n_segments - n_frames * i // n_segments for i in range(n_segments)]


def segment_shots(lengths: Iterable[int], cuts: Collection[int]) -> list[Shots]:
    """The shots of each of consecutive segments, from the video's cuts: the first frames of its shots but the first."""
    found, start = [], 0
    for length in lengths:
        ends = [*(cut - start for cut in cuts if start < cut < start + length), length]
        found.append(tuple(end - begin for begin, end in zip([0, *ends], ends)))
        start += length
    return found


def choose_strides(width: int, height: int, cells: int) -> tuple[int, int, tuple[int, ...]]:
    """Stem grid (height, width) and strides for a plane of this size: a pure function of its arguments.

    The scales tried are 2^k and 5 * 2^k, whose strides are one 5 and then 2s as in the paper (720p: 5, 2, 2, 2, 2
    from 9 x 16). The one chosen minimises |log(stem cells / cells)| + 4 * log(covered area / area): as close as
    possible to the wished number of cells, but not at the price of many cropped pixels. Ties take the larger scale.
    """
    def cost(scale: int) -> float:
        h, w = -(-height // scale), -(-width // scale)
        excess = math.log(h * w * scale**2 / (height * width))
        return abs(math.log(h * w / cells)) + 4 * excess

    scales = sorted([1 << k for k in range(9)] + [5 << k for k in range(8)], reverse=True)
    scale = min((scale for scale in scales if max(height, width) <= MAX_STEM_SIDE * scale), key=cost)
    strides: tuple[int, ...] = (5,) if scale % 5 == 0 else ()
    strides += (2,) * int(math.log2(scale // 5 if strides else scale))
    return -(-height // scale), -(-width // scale), strides or (1,)


def paper_model(channels: int) -> Network:
    """The paper's network with C = `channels`: MLP stem of 512 units, widths C, 80, 80, ..., at 720p 9 x 16 cells."""
    def model(form: VideoFormat, colorspace: str, shots: Shots, _: Nature) -> ModelConfig:
        rows, columns, strides = choose_strides(*_plane_size(form, colorspace), _CELLS)
        blocks = tuple(Block(stride, 80 if i else channels) for i, stride in enumerate(strides))
        return ModelConfig(form.width, form.height, colorspace, "mlp", rows, columns, blocks,
                           stem_hidden=512, stem_channels=channels)

    return model


def nerv_model(channels: int) -> Network:
    """NeRV with the stem and head of paper_model(channels) and blocks of one width that makes its parameters as many.

    Its blocks are 3x3 convolution -> pixel shuffle -> SiLU, arXiv 2110.13903, figure 2.
    """
    def model(form: VideoFormat, colorspace: str, shots: Shots, nature: Nature) -> ModelConfig:
        theirs = paper_model(channels)(form, colorspace, shots, nature)
        wished = n_parameters(theirs, shots)

        def nerv(width: int) -> ModelConfig:
            blocks = tuple(Block(block.stride, width if i else channels) for i, block in enumerate(theirs.blocks))
            return replace(theirs, blocks=blocks, parts=())

        return min((nerv(width) for width in range(4, 400)), key=lambda m: abs(n_parameters(m, shots) - wished))

    return model


def small_model(parts: tuple[str, ...]) -> Network:
    """The paper's MLP stem (64 units, 8 channels) and head with such parts of a block, about as large as grid_model."""
    def model(form: VideoFormat, colorspace: str, shots: Shots, _: Nature) -> ModelConfig:
        rows, columns, strides = _stem_cells(form, colorspace)
        sizing = Sizing(200_000 * _larger(form, shots)**0.6, 0.7, 0.525)
        return _widest(shots, strides, sizing, lambda blocks: ModelConfig(
            form.width, form.height, colorspace, "mlp", rows, columns, blocks, stem_hidden=64, stem_channels=8,
            parts=parts))

    return model


def grid_model(form: VideoFormat, colorspace: str, shots: Shots, nature: Nature) -> ModelConfig:
    """Our network: temporal feature grids, and widths that suit the segment's number of pixels and its rate.

    Biases that later layers can stand in for are left out: they cost bits and gave nothing. Weights of fine blocks are
    worth more bits than those of the first, but cost more time (docs/ablation.md), and widths that are multiples of 8
    take the least for what they do (docs/performance.md). The number of parameters follows the rate. Larger video,
    whose grids are no larger, needs more for each bit. Lively video, whose grids hold the picture, needs few, and
    hardly more as it gets longer.
    """
    larger = _larger(form, shots)
    if is_lively(nature.temporal_information):
        n_usual = 45_000 * larger**0.3
    else:
        n_usual = 100_000 * larger**0.6 * min(max(larger, 1.0), 4.0)**0.22  # 4: as far as was measured
    sizing = Sizing(n_usual * min(max(nature.rate**1.1, 1 / 16), 16), 0.85, 0.65, multiple=8)
    rows, columns, strides = _stem_cells(form, colorspace)
    grids = (Grid(2, 1), Grid(4, 8), *_finer_grids(form, shots, nature, rows * columns, strides))
    moves = len(grids) > 2 and sum(shots) > 1
    motion = (-(-rows // 2), -(-columns // 2)) if moves else (0, 0)
    wavelet_levels = _WAVELET_LEVELS if moves and is_lively(nature.temporal_information) else 0
    return _widest(shots, strides, sizing, lambda blocks: ModelConfig(
        form.width, form.height, colorspace, "grid", rows, columns, blocks, grids=grids, motion_height=motion[0],
        motion_width=motion[1], wavelet_levels=wavelet_levels, biases="lean", activation="gelu", output="tanh",
        bits=12 if moves else 10))


def _larger(form: VideoFormat, shots: Shots) -> float:
    """The segment's pixels over those that rules are made at."""
    return sum(shots) * form.width * form.height / USUAL_PIXELS


def is_lively(temporal_information: float) -> bool:
    """Whether frames have so little in common that grids hold the picture."""
    return temporal_information > _LIVELY


def _finer_grids(form: VideoFormat, shots: Shots, nature: Nature, n_cells: int,
                 strides: tuple[int, ...]) -> tuple[Grid, ...]:
    """Grids for detail that convolutions store badly, where there is more than one block; they follow the motion.

    Where little changes, few keys two blocks before the head (after the first block of two). What moves needs more
    keys at coarser levels and, at the head's own, a picture that the motion shifts. Keys get rarer until they have no
    more than so many values for each bit that the file will have: where little changes, fewer the lower the rate.
    """
    n_blocks = len(strides)
    if n_blocks == 1:
        return ()
    level = max(1, n_blocks - 2)
    most, often = _STILL_VALUES_A_BIT * nature.rate, [Grid(2, 16, level)]
    if is_lively(nature.temporal_information):
        most, often = _LIVELY_VALUES_A_BIT, [Grid(2, 4, level), Grid(3, 16, n_blocks - 1), Grid(1, 16, n_blocks)]
    n_pixels = form.width * form.height * sum(shots)
    n_bits = nature.rate * usual_bpp(n_pixels) * n_pixels

    def n_values(grid: Grid) -> int:
        return sum(grid.keys(shots)) * grid.channels * n_cells * math.prod(strides[:grid.level])**2

    for times in (1, 2, 4, 8, 16):
        grids = tuple(replace(grid, interval=times * grid.interval) for grid in often)
        if sum(map(n_values, grids)) <= most * n_bits:
            break
    return grids


def _stem_cells(form: VideoFormat, colorspace: str) -> tuple[int, int, tuple[int, ...]]:
    """choose_strides with a cell for every 64 samples of a plane, at most 144."""
    plane = _plane_size(form, colorspace)
    return choose_strides(*plane, min(_CELLS, max(1, plane[0] * plane[1] // 64)))


def _widest(shots: Shots, strides: tuple[int, ...], sizing: Sizing,
            model: Callable[[tuple[Block, ...]], ModelConfig]) -> ModelConfig:
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
    return max((m for m in models if n_parameters(m, shots) - aside <= sizing.n_parameters), default=models[0],
               key=lambda m: n_parameters(m, shots))


def _multiple(width: float, of: int) -> int:
    """The nearest multiple of a number, or of half of it below 1.5 times it."""
    unit = of if width >= 1.5 * of or of == 1 else of // 2
    return unit * round(width / unit)


def _plane_size(form: VideoFormat, colorspace: str) -> tuple[int, int]:
    return (form.width, form.height) if colorspace == "rgb" else (-(-form.width // 2), -(-form.height // 2))


_PAPER_FIT = FitConfig(epochs=300, finetune_epochs=100, finetune_rate=1.0, batch_size=1, loss="l1+ssim",
                       optimizer="adam", learning_rate=5e-4, betas=(0.5, 0.999), rate_fall=0, warmup=0.2,
                       max_gradient=0, rate_weight=0, round_from=0.9, prune=0.4)
_SMALL_FIT = FitConfig(epochs=60, learning_rate=8e-3, muon_rate=0.012, rate_fall=0, rate_weight=0, round_from=0.9)
_SMALL = {"nervpp": PARTS, "nerv": (), "no-scrb1": ("pw", "scrb2", "skip"), "no-scrb2": ("pw", "scrb1", "skip"),
          "no-skip": ("pw", "scrb1", "scrb2")}
_EPOCHS = {"ultrafast": 20, "fast": 45, "medium": 90, "slow": 300, "veryslow": 1500}
_PAPER_CHANNELS = {"xs": 8, "s": 26, "m": 58, "l": 112}

PRESETS = {
    **{name: Preset(f"{epochs} epochs", None, grid_model, FitConfig(epochs=epochs), min_steps=20 * epochs)
       for name, epochs in _EPOCHS.items()},
    "paper-small": Preset("NeRV++ with the recipe as published, with about the parameters of medium", "rgb",
                          small_model(PARTS), _PAPER_FIT),
    **{f"paper-{size}": Preset(f"NeRV++ {size.upper()} as published", "rgb", paper_model(channels), _PAPER_FIT)
       for size, channels in _PAPER_CHANNELS.items()},
    **{f"nerv-{size}": Preset(f"NeRV with the parameters of paper-{size}", "rgb", nerv_model(channels), _PAPER_FIT)
       for size, channels in _PAPER_CHANNELS.items()},
    **{f"small-{name}": Preset(f"blocks of {' '.join(parts) or 'NeRV'} with an MLP stem, 8 bits, no rate term", None,
                               small_model(parts), _SMALL_FIT) for name, parts in _SMALL.items()},
}
