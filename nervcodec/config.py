"""What is coded (VideoFormat, ModelConfig: written whole into the file) and how it is fitted (FitConfig: never is).

Frozen dataclasses, validated when made, so that nothing further down needs to doubt them; no torch, no numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from nervcodec.errors import ConfigError
from nervcodec.util.validation import check_choice, check_range

COLORSPACES = ("rgb", "yuv")
STEMS = ("mlp", "grid")
ACTIVATIONS = ("gelu", "gelu-tanh")
OUTPUTS = ("tanh", "linear")
PARTS = ("pw", "scrb1", "scrb2", "skip")
BIASES = ("all", "lean")
LAYOUTS = ("yuv420", "rgb")
MAX_SIDE = 65535
MAX_FRAMES = 2**24
MAX_STEM_SIDE = 4096
MAX_BLOCKS = 8
MAX_WAVELET_LEVELS = 4
MAX_EPOCHS = 1_000_000
MIN_REFINEMENTS = 7  # passes: fewer are not worth their start

Shots = tuple[int, ...]  # of a segment: the frames of each shot, from one cut to the next
Keys = tuple[int, ...]  # of a grid or a motion: how many of its keys each shot has; () of all other tensors


@dataclass(frozen=True)
class ColorTags:
    """Colour description, code points of ITU-T H.273; 2 is 'unspecified' for the first three.

    full_range: None where the source does not say. chroma_location: 0 unspecified, else 1 + H.273's
    ChromaLocType (1 left, 2 center, 3 topleft, 4 top, 5 bottomleft, 6 bottom), as FFmpeg counts.
    """

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool | None = None
    chroma_location: int = 0


@dataclass(frozen=True)
class VideoFormat:
    """The geometry, timing and colour of a sequence of 8-bit frames.

    Attributes:
        width, height: luma size in pixels, 1 to 65535.
        frame_rate: frames a second, exact.
        n_frames: number of frames, at least 1.
        layout: 'yuv420' (Y, U, V; chroma planes ceil(size / 2)) or 'rgb' (R, G, B, full size).
        sample_aspect_ratio: width : height of one pixel.
    """

    width: int
    height: int
    frame_rate: Fraction
    n_frames: int
    layout: str = "yuv420"
    color: ColorTags = field(default_factory=ColorTags)
    sample_aspect_ratio: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_range("number of frames", self.n_frames, 1, MAX_FRAMES)
        check_choice("layout", self.layout, LAYOUTS)
        for name in ("frame_rate", "sample_aspect_ratio"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name.replace('_', ' ')} is {getattr(self, name)}; legal: above 0")

    @property
    def duration_s(self) -> float:
        return float(self.n_frames / self.frame_rate)

    @property
    def n_pixels(self) -> int:
        """Luma pixels of all frames, the denominator of bpp."""
        return self.n_frames * self.width * self.height

    def bpp(self, n_bytes: int) -> float:
        """Bits per pixel of a file of n_bytes: 8 * bytes / (frames * luma width * luma height)."""
        return 8 * n_bytes / self.n_pixels

    def kbit_per_s(self, n_bytes: int) -> float:
        """Its rate, 1000 bits a second."""
        return 8 * n_bytes / 1000 / self.duration_s


@dataclass(frozen=True)
class Grid:
    """A temporal feature grid: `channels` features a cell, one key every `interval` frames of a shot.

    Those of level 0 are the stem's feature map; those of level l are appended to what block l gives, at its size.
    """

    channels: int
    interval: int
    level: int = 0

    def __post_init__(self) -> None:
        check_range("grid channels", self.channels, 1, 255)
        check_range("grid interval", self.interval, 1, 65535)
        check_range("grid level", self.level, 0, MAX_BLOCKS)

    def keys(self, shots: Shots) -> Keys:
        return tuple(-(-n_frames // self.interval) for n_frames in shots)


@dataclass(frozen=True)
class Block:
    """One decoder block: it upsamples by `stride` and works with `width` channels."""

    stride: int
    width: int

    def __post_init__(self) -> None:
        check_range("stride", self.stride, 1, 16)
        check_range("block width", self.width, 1, 4096)


@dataclass(frozen=True)
class ModelConfig:
    """The network of one segment: all that the decoder needs besides the coded parameters.

    Attributes:
        width, height: luma size of the frames.
        colorspace: 'rgb' (head gives R, G, B at full size) or 'yuv' (four luma phases, Cb and Cr at half size).
        stem: 'mlp' (the paper's: positional encoding -> two linear layers) or 'grid' (temporal feature grids).
        stem_height, stem_width: cells of the feature map that the stem hands to the first block.
        stem_hidden, stem_channels: hidden units and output channels of the MLP stem.
        grids: of the grid stem, and of the blocks' outputs; the channels of one level are concatenated.
        motion_height, motion_width: cells of the motion field that grids above level 0 follow; 0, 0: they stand still.
        wavelet_levels: how often grids that move are halved: half the rows and columns, and what is then missing.
        blocks: decoder blocks, coarse to fine.
        parts: what a block has besides its UB, in the order of PARTS; all of them are NeRV++, none of them is NeRV.
        biases: of 'all' layers, or 'lean': not of the SCRBs' dw and pw2, whose biases later ones can stand in for.
        pe_levels, pe_base_q8: positional encoding sin, cos(b^i pi t), i < levels, b = pe_base_q8 / 256.
        activation: inside the SCRB, 'gelu' (with erf) or 'gelu-tanh'.
        output: 'tanh' ((tanh + 1) / 2, the paper's head) or 'linear' ((x + 1) / 2, clipped to [0, 1]).
        bits: symbols lie in -(2^(bits-1) - 1) .. 2^(bits-1) - 1.

    Raises:
        ConfigError: a value outside its legal range, or a network that does not cover the frame.
    """

    width: int
    height: int
    colorspace: str
    stem: str
    stem_height: int
    stem_width: int
    blocks: tuple[Block, ...]
    stem_hidden: int = 0
    stem_channels: int = 0
    grids: tuple[Grid, ...] = ()
    motion_height: int = 0
    motion_width: int = 0
    wavelet_levels: int = 0
    parts: tuple[str, ...] = PARTS
    biases: str = "all"
    pe_levels: int = 40
    pe_base_q8: int = 320
    activation: str = "gelu"
    output: str = "tanh"
    bits: int = 8

    def __post_init__(self) -> None:
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_choice("colorspace", self.colorspace, COLORSPACES)
        check_choice("stem", self.stem, STEMS)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("output", self.output, OUTPUTS)
        check_choice("biases", self.biases, BIASES)
        if self.parts != tuple(part for part in PARTS if part in self.parts):
            raise ConfigError(f"parts are {', '.join(self.parts)}; legal: some of {', '.join(PARTS)}, in this order")
        if "skip" in self.parts and "pw" not in self.parts:
            raise ConfigError(f"parts are {', '.join(self.parts)}; legal: a skip only with pw, whose output it takes")
        check_range("stem height", self.stem_height, 1, MAX_STEM_SIDE)
        check_range("stem width", self.stem_width, 1, MAX_STEM_SIDE)
        check_range("number of blocks", len(self.blocks), 1, MAX_BLOCKS)
        check_range("positional encoding levels", self.pe_levels, 1, 64)
        check_range("positional encoding base * 256", self.pe_base_q8, 257, 1024)
        check_range("bits", self.bits, 2, 12)
        if self.stem == "mlp":
            check_range("stem hidden units", self.stem_hidden, 1, 65535)
            check_range("stem channels", self.stem_channels, 1, 4096)
            check_range("number of grids with an MLP stem", len(self.grids), 0, 0)
            check_range("motion height with an MLP stem", self.motion_height, 0, 0)
        else:
            check_range("stem hidden units of a grid stem", self.stem_hidden, 0, 0)
            check_range("stem channels of a grid stem", self.stem_channels, 0, 0)
            check_range("number of grids", len(self.grids), 1, 8)
            check_range("number of grids of level 0", sum(grid.level == 0 for grid in self.grids), 1, 8)
            check_range("highest grid level", max(grid.level for grid in self.grids), 0, len(self.blocks))
            check_range("motion height", self.motion_height, 0, MAX_STEM_SIDE)
        if self.motion_height:
            check_range("motion width", self.motion_width, 1, MAX_STEM_SIDE)
            check_range("number of grids that move", sum(grid.level > 0 for grid in self.grids), 1, 8)
        else:
            check_range("motion width without a height", self.motion_width, 0, 0)
        check_range("wavelet levels", self.wavelet_levels, 0, MAX_WAVELET_LEVELS if self.motion_height else 0)
        if self.covered_height < self.plane_height or self.covered_width < self.plane_width:
            raise ConfigError(f"the network gives {self.covered_width}x{self.covered_height}, "
                              f"less than the {self.plane_width}x{self.plane_height} it must cover")

    @property
    def plane_width(self) -> int:
        """Columns of the head's output that are used: the frame's, halved (rounded up) for 'yuv'."""
        return self.width if self.colorspace == "rgb" else -(-self.width // 2)

    @property
    def plane_height(self) -> int:
        return self.height if self.colorspace == "rgb" else -(-self.height // 2)

    @property
    def n_planes(self) -> int:
        return 3 if self.colorspace == "rgb" else 6

    @property
    def scale(self) -> int:
        """How much larger the head's output is than the stem's feature map."""
        return math.prod(block.stride for block in self.blocks)

    @property
    def covered_width(self) -> int:
        return self.stem_width * self.scale

    @property
    def covered_height(self) -> int:
        return self.stem_height * self.scale

    @property
    def input_channels(self) -> int:
        """Channels that the stem hands to the first block."""
        return self.stem_channels or self.grid_channels(0)

    def grid_channels(self, level: int) -> int:
        """Channels of all grids of a level."""
        return sum(grid.channels for grid in self.grids if grid.level == level)

    def cells(self, level: int) -> tuple[int, int]:
        """(rows, columns) of the feature map after so many blocks."""
        scale = math.prod(block.stride for block in self.blocks[:level])
        return self.stem_height * scale, self.stem_width * scale

    def bands(self, level: int) -> list[tuple[int, int]]:
        """(rows, columns) of a level's grids and, if they are halved, of each half, rounded up: finest first."""
        found = [self.cells(level)]
        for _ in range(self.wavelet_levels if level else 0):
            rows, columns = found[-1]
            found.append((-(-rows // 2), -(-columns // 2)))
        return found

    @property
    def max_symbol(self) -> int:
        return (1 << self.bits - 1) - 1


@dataclass(frozen=True)
class FitConfig:
    """How a model is fitted; never written into a file.

    Attributes:
        epochs: passes over the frames in the main stage.
        finetune_epochs: passes in a second stage, after pruning or before the final rounding.
        finetune_rate: its learning rates over the first stage's.
        batch_size: frames a step.
        loss: 'mse' (weighted by plane) or 'l1+ssim' (0.7 L1 + 0.3 (1 - SSIM), arXiv 2402.18305, section 3).
        chroma_weights: weight of the Cb and Cr error against luma's, a pixel of the plane each; 'yuv' and 'mse' only.
            The default weighs an error as BT.601 carries it into RGB.
        optimizer: 'adam', or 'muon' (orthogonalised momentum) for dense and convolution weights and Adam for the rest.
        learning_rate: Adam's; betas: Adam's. muon_rate: Muon's. Both rates are those of stages of at most 400 steps.
        rate_fall: longer stages have rates that fall with this power of their number of steps.
        warmup: share of a stage during which the rate rises linearly; then it falls as a cosine to 0.
        max_gradient: the gradient's norm is clipped to it; 0 leaves it alone.
        rate_weight: loss = distortion + rate_weight * estimated bits per pixel, with learned steps; 0 fits without
            regard to rate and rounds to steps that cover each tensor's range.
        target_bpp, target_psnr: the rate weight is only a start, and steered so that the coded parameters take so many
            bits a luma pixel, or that the frames have so many dB of RGB PSNR (mean over frames); 0: no target.
        initial_step: where learned steps start.
        round_from: share of the last stage after which weights are rounded in the forward pass (straight-through);
            before it they carry uniform noise of one step if rate_weight > 0, else they are exact. Learned steps keep
            from there on the values they have.
        refinement: share of the epochs for passes after the fit in which symbols move to where rate and distortion
            together are least (refine.py); for fits of 'mse' with a rate_weight and without pruning.
        prune: share of the stem's and blocks' weights set to zero by global magnitude before the second stage.
        precision: 'float32' or 'bfloat16' arithmetic in the forward and backward pass until the weights are rounded;
            from then on it is float32, as in the decoder.
        seed: of every random choice.
    """

    epochs: int = 100
    finetune_epochs: int = 0
    finetune_rate: float = 0.3
    batch_size: int = 2
    loss: str = "mse"
    chroma_weights: tuple[float, float] = (1.05, 0.8)
    optimizer: str = "muon"
    learning_rate: float = 0.016
    betas: tuple[float, float] = (0.9, 0.99)
    muon_rate: float = 0.03
    rate_fall: float = 0.2
    warmup: float = 0.05
    max_gradient: float = 1.0
    rate_weight: float = 0.01
    target_bpp: float = 0.0
    target_psnr: float = 0.0
    initial_step: float = 0.02
    round_from: float = 0.7
    refinement: float = 0.08
    prune: float = 0.0
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, 1, MAX_EPOCHS)
        check_range("fine-tuning epochs", self.finetune_epochs, 0, MAX_EPOCHS)
        check_range("batch size", self.batch_size, 1, 1024)
        check_choice("loss", self.loss, ("mse", "l1+ssim"))
        check_choice("optimizer", self.optimizer, ("adam", "muon"))
        check_choice("precision", self.precision, ("float32", "bfloat16"))
        for name in ("learning_rate", "muon_rate", "finetune_rate", "rate_weight", "max_gradient"):
            check_range(name.replace("_", " "), getattr(self, name), 0, 1000)
        check_range("initial step", self.initial_step, 1e-6, 1000)
        check_range("fall of rates", self.rate_fall, 0, 1)
        check_range("warm-up", self.warmup, 0, 1)
        check_range("start of rounding", self.round_from, 0, 1)
        check_range("refinement", self.refinement, 0, 1)
        check_range("prune ratio", self.prune, 0, 0.99)
        check_range("seed", self.seed, 0, 2**63 - 1)
        check_range("target bpp", self.target_bpp, 0, 1000)
        check_range("target PSNR", self.target_psnr, 0, 100)
        if self.target_bpp and self.target_psnr:
            raise ConfigError(f"targets are {self.target_bpp:g} bpp and {self.target_psnr:g} dB; legal: one of them")
        if self.has_target and not self.rate_weight:
            raise ConfigError("a target needs a rate term, and the rate weight is 0; legal: above 0")
        if self.prune and not self.finetune_epochs:
            raise ConfigError(f"pruning {self.prune} needs fine-tuning epochs; legal: 1 or more")

    @property
    def has_target(self) -> bool:
        return bool(self.target_bpp or self.target_psnr)

    @property
    def total_epochs(self) -> int:
        return self.epochs + self.finetune_epochs

    @property
    def is_refinable(self) -> bool:
        """Whether symbols may be moved after the fit (refine.py)."""
        return self.loss == "mse" and self.rate_weight > 0 and not self.prune and self.refinement > 0

    @property
    def n_refinements(self) -> int:
        """Passes of the refinement, a target aside; none where they would be too few to be worth its start."""
        n_passes = int(self.refinement * self.total_epochs)
        return n_passes if self.is_refinable and n_passes >= MIN_REFINEMENTS else 0
