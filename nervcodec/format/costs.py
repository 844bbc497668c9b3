"""What a network costs: multiply-adds, memory, least bytes moved. Folds over its layers; no torch.

The least bytes are counted as if every layer were one kernel with all that goes along with it
(activation, shuffle, upsampling, addition):
- forward, a layer reads its map once and every map that it adds once, and writes its own once;
- backward, the gradient of every map is written once; a layer reads the gradient of what it gave
  once for each map that went into it, and once more the map that it convolved, for the gradient of
  its weights;
- the planes are written, read by the loss with the frames (uint8), and their gradient is written
  and read, as float32;
- a parameter is read forward and backward in the maps' precision; in float32 its gradient is
  written and read, and it and two moments are read and written;
- a decoded frame: the forward reads and writes in float32, its planes written as uint8, the
  parameters once a batch.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from nervcodec.format.model_config import PE_LEVELS, ModelConfig, Shots
from nervcodec.format.tensors import Layer, layers, n_parameters

ITEM_BYTES = {"float32": 4, "bfloat16": 2}
_MAX_BATCH = 8
# Values of the widest feature map in a decoded batch: more leave the processor's cache.
_BATCH_VALUES = 2_000_000
_BASE_BYTES = 380 << 20  # Python, torch and its thread pools, measured


def macs_per_frame(model: ModelConfig) -> int:
    """Return the multiply-adds that decode one frame."""
    return sum(layer.macs for layer in layers(model))


def kmac_per_pixel(model: ModelConfig) -> float:
    """Return the thousand multiply-adds that decode one luma pixel."""
    return macs_per_frame(model) / (1000 * model.width * model.height)


def decode_batch(model: ModelConfig) -> int:
    """Return how many frames are decoded at once: as many as a processor's cache bears."""
    return max(1, min(_MAX_BATCH, _BATCH_VALUES // _widest_input(model)))


def decode_memory_bytes(model: ModelConfig, shots: Shots) -> int:
    """Return about the peak memory of decoding a segment.

    It holds Python and torch, parameters, tables in time and feature maps.
    """
    n_frames, tables = sum(shots), 12 * sum(shots) * 2 * PE_LEVELS
    n_moving_keys = 0
    for grid in model.grids:
        n_keys = sum(grid.keys(shots))
        tables += 12 * n_frames * n_keys
        if grid.level and model.motion:
            n_moving_keys = n_keys  # of all grids that move, which share two tables
    tables += 24 * n_frames * n_moving_keys
    return _BASE_BYTES + 24 * n_parameters(model, shots) + tables + _batch_bytes(model)


@lru_cache(maxsize=16)
def _batch_bytes(model: ModelConfig) -> int:
    """Return the bytes of the feature maps of a decoded batch.

    A file may have a million segments, each of other shots: the layers are walked once.
    """
    return decode_batch(model) * frame_maps_bytes(model)


def frame_maps_bytes(model: ModelConfig) -> int:
    """Return about the bytes of the feature maps that decoding a frame holds at once."""
    *_, last = layers(model)
    return 6 * 4 * _widest_input(model) + 12 * last.gives


def _widest_input(model: ModelConfig) -> int:
    """Return the values of the largest map that a block or the head takes, grids appended."""
    taken: dict[str, int] = {}
    for layer in layers(model):
        if layer.module != "stem":
            taken.setdefault(layer.module, layer.takes)
    return max(taken.values())


def step_bytes(model: ModelConfig, n_frames: int, batch: int, precision: str) -> int:
    """Return the least bytes that a training step on `batch` of n_frames frames moves."""
    *inner, head = layers(model)
    item = ITEM_BYTES[precision]
    maps = item * sum(map(_step_values, inner)) + item * 2 * head.takes
    planes = 4 * 4 * head.gives + model.n_plane_samples
    return batch * (maps + planes) + (2 * item + 8 * 4) * n_parameters(model, (n_frames,))


def _step_values(layer: Layer) -> int:
    return 2 * layer.takes + sum(layer.adds) + (3 + len(layer.adds)) * layer.gives


def frame_bytes(model: ModelConfig, n_frames: int) -> int:
    """Return the least bytes that decoding a frame moves, parameters shared by a batch."""
    *inner, head = layers(model)
    maps = 4 * (sum(layer.takes + sum(layer.adds) + layer.gives for layer in inner) + head.takes)
    return (
        maps + model.n_plane_samples + 4 * n_parameters(model, (n_frames,)) // decode_batch(model)
    )


def largest_map(model: ModelConfig) -> int:
    """Return the values of the largest map of a frame; the grids of a level make one."""
    grids: Counter[int] = Counter()
    others = [0]
    for layer in layers(model):
        if layer.kind == "grid":
            grids[layer.level] += layer.gives
        else:
            others.append(layer.gives)
    return max(*others, *grids.values())
