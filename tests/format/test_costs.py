"""nervcodec.format.costs: multiply-adds, memory and least bytes, by hand."""

import math
import tracemalloc
from fractions import Fraction
from typing import Any

import pytest
import torch
from models import GRIDS, MLP, with_stem

from nervcodec.encoder.presets import PRESETS
from nervcodec.format.costs import (
    decode_batch,
    decode_memory_bytes,
    frame_bytes,
    kmac_per_pixel,
    largest_map,
    macs_per_frame,
    step_bytes,
)
from nervcodec.format.model_config import Block, Grid, MlpStem, ModelConfig
from nervcodec.format.tensors import n_parameters
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.grids import TemporalGrids

# One NeRV block: 80 features -> 3 hidden -> [1, 2, 2] -> [4 x 2, 2, 2] = [2, 4, 4] -> [3, 4, 4].
NERV = ModelConfig(4, 4, "rgb", MlpStem(2, 2, 3, 1), (Block(2, 2),), parts=())
FORM = VideoFormat(320, 180, Fraction(25), 20)


def test_macs_by_hand() -> None:
    """Multiply-adds are weights times positions, plus 4 for every value of a bilinear skip."""
    scrb = 5 * 9 + 2 * 25
    block = 12 * (10 + scrb + 80 * 45) + 192 * scrb
    assert macs_per_frame(MLP) == 7 * 80 + 24 * 7 + block + 192 * 3 * 45 + 4 * 192 * 5


def test_macs_of_grids_are_their_blend() -> None:
    """A grid's temporal blend counts 2 a value, whatever the number of keys."""
    more = with_stem(GRIDS, grids=(Grid(2, 4), Grid(1, 1)))
    fewer = with_stem(GRIDS, grids=(Grid(3, 4),))
    assert macs_per_frame(GRIDS) == macs_per_frame(more) == macs_per_frame(fewer)


def test_macs_include_the_blend() -> None:
    """One more grid channel costs its blend and its weights in the first block."""
    wider = with_stem(GRIDS, grids=(Grid(2, 4), Grid(2, 3)))
    assert macs_per_frame(wider) - macs_per_frame(GRIDS) == 12 * 2 + 12 * 6


def test_kmac_per_pixel_counts_luma_pixels() -> None:
    """kMAC/pixel divides by the luma size in both colorspaces."""
    for model in (MLP, GRIDS):
        assert math.isclose(kmac_per_pixel(model), macs_per_frame(model) / (16 * 12) / 1000)


@pytest.mark.parametrize(("size", "n_frames"), [((16, 12), 8), ((1280, 720), 1), ((3840, 2160), 1)])
def test_batches_shrink_as_frames_grow(size: tuple[int, int], n_frames: int) -> None:
    """A decoded batch is 8 small frames or a single large one, a function of the network alone."""
    model = PRESETS["paper-l"].model(VideoFormat(*size, Fraction(25), 9), "rgb", (9,))
    assert decode_batch(model) == n_frames


def test_memory_is_about_the_feature_maps() -> None:
    """A decode needs at least its parameters and its widest map in float32, and more of it the
    longer the segment.
    """
    widest = 12 * GRIDS.scale**2 * 6 * 4
    assert decode_memory_bytes(GRIDS, (9,)) > 4 * n_parameters(GRIDS, (9,)) + widest
    assert decode_memory_bytes(GRIDS, (18,)) > decode_memory_bytes(GRIDS, (9,))


def test_a_step_of_a_small_network() -> None:
    """Maps 2 x taken + 3 x given, planes four times in float32, frames once, parameters with Adam's
    state.
    """
    maps = (2 * 80 + 3 * 3) + (2 * 3 + 3 * 4) + (2 * 4 + 3 * 32) + 2 * 32
    n = n_parameters(NERV, (1,))
    assert step_bytes(NERV, 1, 1, "float32") == 4 * maps + 4 * 4 * 48 + 48 + 40 * n
    assert step_bytes(NERV, 1, 5, "bfloat16") == 5 * (2 * maps + 4 * 4 * 48 + 48) + 36 * n


def test_a_frame_of_a_small_network() -> None:
    """Maps read and written once, planes as uint8, parameters once a batch."""
    maps = (80 + 3) + (3 + 4) + (4 + 32) + 32
    assert decode_batch(NERV) == 8
    assert frame_bytes(NERV, 1) == 4 * maps + 48 + 4 * n_parameters(NERV, (1,)) // 8


def test_the_largest_map() -> None:
    """It is the one with the most values of a frame."""
    assert largest_map(NERV) == 48
    assert largest_map(PRESETS["paper-xs"].model(FORM, "rgb", (20,))) == 80 * 320 * 180


@pytest.mark.parametrize("intervals", [(1, 1), (2, 4)])
def test_tables_are_no_larger_than_their_estimate(intervals: tuple[int, int]) -> None:
    """What the tables of moving grids take at their peak is between half of it and all of it."""
    stem, finer = intervals
    grids = (Grid(1, stem), *(Grid(1, finer, level) for level in (1, 1, 2)))
    shots = (700, 100)

    def model(**changes: Any) -> ModelConfig:
        return with_stem(GRIDS, grids=grids, **changes)

    def tables_of(keys: int) -> int:
        return 800 * keys * 12

    moving = model(motion_height=1, motion_width=1)
    TemporalGrids(moving, (2,), torch.device("cpu"))  # imports what it needs
    tracemalloc.start()
    try:
        kept = TemporalGrids(moving, shots, torch.device("cpu"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept
    n_keys = [800 // interval for interval in (stem, finer, finer, finer)]
    estimate = tables_of(sum(n_keys) + 2 * n_keys[-1])
    assert estimate / 2 < peak <= estimate * 1.02
    two, one = (
        decode_memory_bytes(each, shots) - 24 * n_parameters(each, shots)
        for each in (moving, model())
    )
    assert two - one == tables_of(2 * n_keys[-1])
