"""nervcodec info: what a user sees of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import Shell


def test_info_names_the_stored_quality(coded: Shell) -> None:
    """info --json has the quality that the encoder measured, rounded to 1e-4 dB, and all bytes by
    module.
    """
    report = json.loads(coded("encode", "in.y4m", "again.nvpp", "--epochs", "2", "--json").out)
    info = json.loads(coded("info", "again.nvpp", "--json").out)
    assert info["quality"]["psnr_y"] == pytest.approx(report["quality"]["y_db"], abs=1e-4)
    assert sum(info["bytes_by_module"].values()) == info["bytes"] == report["bytes"]
    assert info["frame_rate"] == "30000/1001"


def test_info_shows_finer_grids_where_they_stand(coded: Shell) -> None:
    """The network's line has the stem, then blocks and finer grids as a frame goes through them,
    then their motion.
    """
    data = Path(__file__).parents[1] / "data"
    still, moving = (
        coded("info", str(data / f"{name}.nvpp")).out for name in ("grid_yuv", "moving_yuv")
    )
    assert "yuv420, grid stem 3x4x5, block x2 8, grid 6x8x1, block x2 6\n" in still
    assert "grid 6x8x2, block x2 6, grid 12x16x1, motion 2x2\n" in moving


def test_info_reads_as_text(coded: Shell) -> None:
    """The table has a line for each module and the segments' frames."""
    out = coded("info", "out.nvpp").out
    assert "stem" in out and "head" in out and "2: 2, 3 frames" in out
