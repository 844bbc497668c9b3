"""The network of a segment as configuration: all that a decoder needs besides the coded parameters.

Frozen dataclasses, validated when made, so that nothing further down needs to doubt them. Standard
library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

from nervcodec.errors import ConfigError
from nervcodec.format.prior import NO_PRIOR, PRIORS
from nervcodec.format.video_format import (
    BIT_DEPTHS,
    MAX_SIDE,
    SUBSAMPLING,
    Layout,
)
from nervcodec.util.validation import ceil_div, check_choice, check_range

COLORSPACES: tuple[Layout, ...] = ("rgb", "yuv420", "yuv422", "yuv444", "gray")
PARTS = ("pw", "scrb1", "scrb2", "skip")
Biases = Literal["all", "lean"]
BIASES: tuple[Biases, ...] = get_args(Biases)
PE_LEVELS = 40  # of the positional encoding: sin and cos of PE_BASE^i pi t, i < PE_LEVELS
PE_BASE = 1.25
MAX_STEM_SIDE = 4096
MAX_GRIDS = 8
MAX_BLOCKS = 8
MAX_WAVELET_LEVELS = 4
# Bits after the point of the values of feature maps (nvpp-format.md section 5.1).
MIN_FRACTION_BITS, USUAL_FRACTION_BITS, MAX_FRACTION_BITS = 4, 9, 10
Shots = tuple[int, ...]  # of a segment: the frames of each shot, from one cut to the next
Keys = tuple[int, ...]  # of a grid or a motion: the keys of each shot; () of all other tensors


@dataclass(frozen=True)
class Grid:
    """A temporal feature grid (nvpp-format.md section 5.5).

    Attributes:
        channels: features of a cell, 1 to 255.
        interval: frames of a shot for each key, 1 to 65535.
        level: blocks before the grid. Grids of level 0 are the stem's feature map; those of level l
            are appended to what block l gives, at its size.
    """

    channels: int
    interval: int
    level: int = 0

    def __post_init__(self) -> None:
        check_range("grid channels", self.channels, 1, 255)
        check_range("grid interval", self.interval, 1, 65535)
        check_range("grid level", self.level, 0, MAX_BLOCKS)

    def keys(self, shots: Shots) -> Keys:
        """Return the number of keys that each shot has."""
        return tuple(ceil_div(n_frames, self.interval) for n_frames in shots)


@dataclass(frozen=True)
class Block:
    """A decoder block: it upsamples by `stride`, 1 to 16, and gives `width` channels, 1 to 4096."""

    stride: int
    width: int

    def __post_init__(self) -> None:
        check_range("stride", self.stride, 1, 16)
        check_range("block width", self.width, 1, 4096)


@dataclass(frozen=True)
class MlpStem:
    """The paper's stem: positional encoding, then two linear layers (nvpp-format.md section 5.4).

    Attributes:
        height, width: cells of the feature map that the first block takes, 1 to 4096.
        hidden: units between the two layers, 1 to 65535.
        channels: of the feature map, 1 to 4096.
    """

    kind: ClassVar[str] = "mlp"

    height: int
    width: int
    hidden: int
    channels: int

    def __post_init__(self) -> None:
        _check_size(self)
        check_range("stem hidden units", self.hidden, 1, 65535)
        check_range("stem channels", self.channels, 1, 4096)


@dataclass(frozen=True)
class GridStem:
    """Temporal feature grids, of the first block's input and of the blocks' outputs.

    Attributes:
        height, width: cells of the feature map that the first block takes, 1 to 4096.
        grids: 1 to 8, at least one of level 0; the channels of one level are concatenated.
        motion_height, motion_width: cells of the motion field that grids above level 0 follow;
            0, 0: grids stand still.
        wavelet_levels: how often grids that move are halved: stored are half the rows and columns,
            and the details that are then missing; 0: grids are stored as they are.
    """

    kind: ClassVar[str] = "grid"

    height: int
    width: int
    grids: tuple[Grid, ...]
    motion_height: int = 0
    motion_width: int = 0
    wavelet_levels: int = 0

    def __post_init__(self) -> None:
        _check_size(self)
        check_range("number of grids", len(self.grids), 1, MAX_GRIDS)
        check_range("number of grids of level 0", self._count(self.grids, True), 1, MAX_GRIDS)
        check_range("motion height", self.motion_height, 0, MAX_STEM_SIDE)
        if self.motion_height:
            check_range("motion width", self.motion_width, 1, MAX_STEM_SIDE)
            check_range("number of grids that move", self._count(self.grids, False), 1, MAX_GRIDS)
            intervals = {grid.interval for grid in self.grids if grid.level}
            check_range("number of intervals of grids that move", len(intervals), 1, 1)
        else:
            check_range("motion width without a height", self.motion_width, 0, 0)
        most = MAX_WAVELET_LEVELS if self.motion_height else 0
        check_range("wavelet levels", self.wavelet_levels, 0, most)

    @staticmethod
    def _count(grids: Iterable[Grid], is_of_the_stem: bool) -> int:
        return sum((grid.level == 0) == is_of_the_stem for grid in grids)

    @property
    def channels(self) -> int:
        """Channels that the first block takes."""
        return self.grid_channels(0)

    def grid_channels(self, level: int) -> int:
        """Return the channels of all grids of a level."""
        return sum(grid.channels for grid in self.grids if grid.level == level)


Stem = MlpStem | GridStem
STEMS = (MlpStem.kind, GridStem.kind)


def _check_size(stem: Stem) -> None:
    check_range("stem height", stem.height, 1, MAX_STEM_SIDE)
    check_range("stem width", stem.width, 1, MAX_STEM_SIDE)


@dataclass(frozen=True)
class ModelConfig:
    """The network of one segment (nvpp-format.md section 2.5).

    Attributes:
        width, height: luma size of the frames.
        colorspace: layout of the frames that the head gives: 'rgb' as three planes at full size,
            all others as planes at half size: four phases of luma, and of Cb and Cr one each of
            'yuv420', two of 'yuv422', four of 'yuv444', none of 'gray'.
        stem: what the first block takes, as a function of time.
        blocks: 1 to 8 decoder blocks, coarse to fine.
        parts: what a block has besides its UB, in the order of PARTS; all of them are NeRV++, none
            of them is NeRV.
        biases: of 'all' layers, or 'lean': not of the SCRBs' dw and pw2, whose biases later ones
            can stand in for.
        bits: symbols lie in -(2^(bits-1) - 1) .. 2^(bits-1) - 1.
        bit_depth: bits of a sample of the frames, 8, 10 or 12.
        prior: the number of the weights that parameters are added to, 0 for none.

    Raises:
        ConfigError: a value outside its legal range, or a network that does not cover the frame.
    """

    width: int
    height: int
    colorspace: Layout
    stem: Stem
    blocks: tuple[Block, ...]
    parts: tuple[str, ...] = PARTS
    biases: Biases = "all"
    bits: int = 8
    bit_depth: int = 8
    prior: int = NO_PRIOR

    def __post_init__(self) -> None:
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_choice("colorspace", self.colorspace, COLORSPACES)
        check_choice("bit depth", self.bit_depth, BIT_DEPTHS)
        check_choice("biases", self.biases, BIASES)
        self._check_parts()
        check_range("number of blocks", len(self.blocks), 1, MAX_BLOCKS)
        check_range("bits", self.bits, 2, 12)
        highest = max((grid.level for grid in self.grids), default=0)
        check_range("highest grid level", highest, 0, len(self.blocks))
        if self.covered_height < self.plane_height or self.covered_width < self.plane_width:
            raise ConfigError(
                f"the network gives {self.covered_width}x{self.covered_height}, "
                f"less than the {self.plane_width}x{self.plane_height} it must cover"
            )
        if self.prior:
            self._check_prior()

    def _check_prior(self) -> None:
        """Check that the network is one that the prior is for."""
        check_choice("prior", self.prior, (NO_PRIOR, *PRIORS))
        prior = PRIORS[self.prior]
        levels = tuple(self.grid_channels(level) for level in range(len(self.blocks) + 1))
        fits = (
            self.colorspace != "rgb"
            and self.parts == PARTS
            and self.biases == "lean"
            and tuple(block.stride for block in self.blocks) == prior.strides
            and all(block.width >= prior.width for block in self.blocks)
            and levels == prior.grid_channels
        )
        if not fits:
            raise ConfigError(f"prior is {self.prior}, which is not for this network; legal: 0")

    def _check_parts(self) -> None:
        names = ", ".join(self.parts)
        if self.parts != tuple(part for part in PARTS if part in self.parts):
            raise ConfigError(
                f"parts are {names}; legal: some of {', '.join(PARTS)}, in this order"
            )
        if "skip" in self.parts and "pw" not in self.parts:
            raise ConfigError(
                f"parts are {names}; legal: a skip only with pw, whose output it takes"
            )

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The grids of a grid stem, none of an MLP stem."""
        return self.stem.grids if isinstance(self.stem, GridStem) else ()

    @property
    def motion(self) -> tuple[int, int] | None:
        """(rows, columns) of the motion field that grids above level 0 follow; None without one."""
        if isinstance(self.stem, GridStem) and self.stem.motion_height:
            return self.stem.motion_height, self.stem.motion_width
        return None

    @property
    def plane_width(self) -> int:
        """Columns used of the head's output: the frame's of 'rgb', else half, rounded up."""
        return self.width if self.colorspace == "rgb" else ceil_div(self.width, 2)

    @property
    def plane_height(self) -> int:
        """Rows used of the head's output: the frame's of 'rgb', else half, rounded up."""
        return self.height if self.colorspace == "rgb" else ceil_div(self.height, 2)

    @property
    def n_planes(self) -> int:
        """Planes of the head's output."""
        return 3 if self.colorspace == "rgb" else sum(map(math.prod, self.phases))

    @property
    def phases(self) -> tuple[tuple[int, int], ...]:
        """Of each plane of a frame, (across, down): in how many phases the head gives it."""
        if self.colorspace == "rgb":
            return ((1, 1),) * 3
        if self.colorspace == "gray":
            return ((2, 2),)
        across, down = SUBSAMPLING[self.colorspace]
        return (2, 2), *((2 // across, 2 // down),) * 2

    @property
    def prior_crc(self) -> int:
        """CRC-32 of the prior's weights, 0 without one."""
        return PRIORS[self.prior].crc if self.prior else 0

    @property
    def peak(self) -> int:
        """The largest sample."""
        return (1 << self.bit_depth) - 1

    @property
    def n_plane_samples(self) -> int:
        """Samples of a frame's planes."""
        return self.n_planes * self.plane_height * self.plane_width

    @property
    def scale(self) -> int:
        """How much larger the head's output is than the stem's feature map."""
        return math.prod(block.stride for block in self.blocks)

    @property
    def covered_width(self) -> int:
        """Columns of the head's output."""
        return self.stem.width * self.scale

    @property
    def covered_height(self) -> int:
        """Rows of the head's output."""
        return self.stem.height * self.scale

    def grid_channels(self, level: int) -> int:
        """Return the channels of all grids of a level."""
        return sum(grid.channels for grid in self.grids if grid.level == level)

    def cells(self, level: int) -> tuple[int, int]:
        """Return (rows, columns) of the feature map after so many blocks."""
        scale = math.prod(block.stride for block in self.blocks[:level])
        return self.stem.height * scale, self.stem.width * scale

    def bands(self, level: int) -> list[tuple[int, int]]:
        """Return (rows, columns) of a level's grids and of each of their halves, finest first.

        Halves are rounded up. Grids that are not halved have the first size alone.
        """
        sizes = [self.cells(level)]
        if level and isinstance(self.stem, GridStem):
            for _ in range(self.stem.wavelet_levels):
                rows, columns = sizes[-1]
                sizes.append((ceil_div(rows, 2), ceil_div(columns, 2)))
        return sizes

    @property
    def max_symbol(self) -> int:
        """The largest magnitude of a symbol."""
        return (1 << self.bits - 1) - 1

    def as_json(self) -> dict[str, Any]:
        """Return the configuration as JSON has it: the stem with its kind, 'mlp' or 'grid'."""
        return {**asdict(self), "stem": {"kind": self.stem.kind, **asdict(self.stem)}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Return the configuration that as_json gave."""
        stem = {name: value for name, value in values["stem"].items() if name != "kind"}
        if "grids" in stem:
            stem["grids"] = tuple(Grid(**grid) for grid in stem["grids"])
        changed = {
            "stem": (GridStem if "grids" in stem else MlpStem)(**stem),
            "blocks": tuple(Block(**block) for block in values["blocks"]),
            "parts": tuple(values["parts"]),
        }
        return cls(**{**values, **changed})
