"""nervcodec.bench.scaling: networks that grow in one thing at a time."""

from __future__ import annotations

import pytest

from nervcodec.bench.scaling import parse_size, sized_network, time_step, widened
from nervcodec.encoder.presets import preset_named
from nervcodec.errors import ConfigError


def test_sizes() -> None:
    """A size is two numbers with an x."""
    assert parse_size("640x360") == (640, 360)
    for text in ("640", "x360", "640x", "-1x2"):
        with pytest.raises(ConfigError, match=f"size is '{text}'; legal: WIDTHxHEIGHT"):
            parse_size(text)


def test_presets() -> None:
    """An unknown preset is refused with the legal ones."""
    assert preset_named("medium").fit.rate_weight
    with pytest.raises(ConfigError, match="preset is 'best'; legal: .*medium"):
        preset_named("best")


def test_widened_blocks() -> None:
    """All blocks are as many times as wide, and nothing else changes."""
    model = sized_network("medium", "320x180")
    twice = widened(model, 2)
    assert [block.width for block in twice.blocks] == [2 * block.width for block in model.blocks]
    assert [block.stride for block in twice.blocks] == [block.stride for block in model.blocks]
    assert widened(model, 1) == model


def test_a_step() -> None:
    """A step's row has its time, its multiply-adds and what it grows along."""
    row = time_step("medium", "32x24", frames=3, budget_s=0.0)
    assert (row["pixels"], row["frames"], row["width_factor"]) == (32 * 24, 3, 1.0)
    assert isinstance(row["seconds"], float) and row["ms"] == 1000 * row["seconds"] > 0
