"""The family of networks that the prior is for."""

from __future__ import annotations

from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.util.validation import ceil_div

STRIDES, WIDTH = (2, 2, 2), 16
GRIDS = (Grid(2, 1), Grid(4, 8), Grid(2, 8, 1), Grid(3, 16, 2), Grid(1, 16, 3))


def family(width: int, height: int) -> ModelConfig:
    """Return the network for 4:2:0 frames of a size."""
    rows, columns = ceil_div(height, 16), ceil_div(width, 16)
    stem = GridStem(rows, columns, GRIDS, ceil_div(rows, 2), ceil_div(columns, 2), 2)
    blocks = tuple(Block(stride, WIDTH) for stride in STRIDES)
    return ModelConfig(width, height, "yuv420", stem, blocks, biases="lean", bits=12)
