"""Networks with a few values changed."""

from dataclasses import replace
from typing import Any

from nervcodec.format.model_config import ModelConfig


def with_stem(model: ModelConfig, **changes: Any) -> ModelConfig:
    """Return a network whose stem has other values."""
    return replace(model, stem=replace(model.stem, **changes))
