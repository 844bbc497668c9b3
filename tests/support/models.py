"""Two small networks, and networks with a few values changed."""

from dataclasses import replace
from typing import Any

from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig

MLP = ModelConfig(16, 12, "rgb", MlpStem(3, 4, 7, 2), (Block(4, 5),))
GRIDS = ModelConfig(
    16,
    12,
    "yuv420",
    GridStem(3, 4, (Grid(2, 4), Grid(1, 3))),
    (Block(2, 6), Block(1, 3)),
    biases="lean",
)


def with_stem(model: ModelConfig, **changes: Any) -> ModelConfig:
    """Return a network whose stem has other values."""
    return replace(model, stem=replace(model.stem, **changes))
