"""The network of a segment as configuration: all that a decoder needs besides the coded parameters.

Frozen dataclasses, validated when made, so that nothing further down needs to doubt them. Standard
library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nervcodec.errors import ConfigError
from nervcodec.format.video_format import MAX_SIDE
from nervcodec.util.validation import check_choice, check_range

COLORSPACES = ("rgb", "yuv")
STEMS = ("mlp", "grid")
ACTIVATIONS = ("gelu", "gelu-tanh")
OUTPUTS = ("tanh", "linear")
PARTS = ("pw", "scrb1", "scrb2", "skip")
BIASES = ("all", "lean")
MAX_STEM_SIDE = 4096
MAX_BLOCKS = 8
MAX_WAVELET_LEVELS = 4
Shots = tuple[int, ...]  # of a segment: the frames of each shot, from one cut to the next
Keys = tuple[
    int, ...
]  # of a grid or a motion: how many of its keys each shot has; () of all other tensors


@dataclass(frozen=True)
class Grid:
    """A temporal feature grid: `channels` features a cell, one key every `interval` frames of a
    shot.

    Those of level 0 are the stem's feature map; those of level l are appended to what block l
    gives, at its size.
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
        colorspace: 'rgb' (head gives R, G, B at full size) or 'yuv' (four luma phases, Cb and Cr at
            half size).
        stem: 'mlp' (the paper's: positional encoding -> two linear layers) or 'grid' (temporal
        feature grids). stem_height, stem_width: cells of the feature map that the stem hands to the
        first block.
        stem_hidden, stem_channels: hidden units and output channels of the MLP stem.
        grids: of the grid stem, and of the blocks' outputs; the channels of one level are
        concatenated. motion_height, motion_width: cells of the motion field that grids above level
        0 follow; 0, 0: they stand still. wavelet_levels: how often grids that move are halved: half
        the rows and columns, and what is then missing. blocks: decoder blocks, coarse to fine.
        parts: what a block has besides its UB, in the order of PARTS; all of them are NeRV++, none
        of them is NeRV. biases: of 'all' layers, or 'lean': not of the SCRBs' dw and pw2, whose
        biases later ones can stand in for. pe_levels, pe_base_q8: positional encoding sin, cos(b^i
        pi t), i < levels, b = pe_base_q8 / 256.
        activation: inside the SCRB, 'gelu' (with erf) or 'gelu-tanh'.
        output: 'tanh' ((tanh + 1) / 2, the paper's head) or 'linear' ((x + 1) / 2, clipped to [0,
            1]).
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
            raise ConfigError(
                f"parts are {', '.join(self.parts)}; legal: some of {', '.join(PARTS)}, in this"
                " order"
            )
        if "skip" in self.parts and "pw" not in self.parts:
            raise ConfigError(
                f"parts are {', '.join(self.parts)}; legal: a skip only with pw, whose output it"
                " takes"
            )
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
            check_range(
                "number of grids of level 0", sum(grid.level == 0 for grid in self.grids), 1, 8
            )
            check_range(
                "highest grid level", max(grid.level for grid in self.grids), 0, len(self.blocks)
            )
            check_range("motion height", self.motion_height, 0, MAX_STEM_SIDE)
        if self.motion_height:
            check_range("motion width", self.motion_width, 1, MAX_STEM_SIDE)
            check_range(
                "number of grids that move", sum(grid.level > 0 for grid in self.grids), 1, 8
            )
        else:
            check_range("motion width without a height", self.motion_width, 0, 0)
        check_range(
            "wavelet levels",
            self.wavelet_levels,
            0,
            MAX_WAVELET_LEVELS if self.motion_height else 0,
        )
        if self.covered_height < self.plane_height or self.covered_width < self.plane_width:
            raise ConfigError(
                f"the network gives {self.covered_width}x{self.covered_height}, "
                f"less than the {self.plane_width}x{self.plane_height} it must cover"
            )

    @property
    def plane_width(self) -> int:
        """Columns of the head's output that are used: the frame's, halved (rounded up) for
        'yuv'.
        """
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
        """(rows, columns) of a level's grids and, if they are halved, of each half, rounded up:
        finest first.
        """
        found = [self.cells(level)]
        for _ in range(self.wavelet_levels if level else 0):
            rows, columns = found[-1]
            found.append((-(-rows // 2), -(-columns // 2)))
        return found

    @property
    def max_symbol(self) -> int:
        return (1 << self.bits - 1) - 1
