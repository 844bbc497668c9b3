"""The least bytes that a training step and a decoded frame must move, counted from the network's
layers; no torch.

Counted as if every layer were one kernel with all that goes along with it (activation, shuffle,
upsampling, addition):
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

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nervcodec.format.model_config import MlpStem, ModelConfig
from nervcodec.format.tensors import decode_batch, n_parameters

ITEM_BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Layer:
    """A layer with all that is done to its map before the next one takes it; numbers are values of
    one frame.

    Attributes:
        takes: of the map that it convolves; 0 where it makes a map from parameters.
        adds: of each map that is added to its own: a residual, a skip before its upsampling.
        gives: of its own map.
    """

    takes: int
    gives: int
    adds: tuple[int, ...] = ()


def layers(model: ModelConfig) -> Iterator[Layer]:
    """The layers of a network from stem to head, the head's with the planes that it gives."""
    cells = model.stem.height * model.stem.width
    inputs = cells * model.stem.channels
    if isinstance(model.stem, MlpStem):
        yield Layer(2 * model.pe_levels, model.stem.hidden)
        yield Layer(model.stem.hidden, inputs)
    else:
        yield Layer(0, inputs)
    for number, block in enumerate(model.blocks, 1):
        start = cells * block.width
        if "pw" in model.parts:
            yield Layer(inputs, start)
            inputs = start
        if "scrb1" in model.parts:
            yield from _scrb(inputs)
        cells *= block.stride**2
        found = [Layer(inputs, cells * block.width)]
        if "scrb2" in model.parts:
            found += _scrb(cells * block.width)
        last = found.pop()
        yield from found
        yield replace(last, adds=(*last.adds, start)) if "skip" in model.parts else last
        inputs = cells * block.width
        if model.grid_channels(number):
            yield Layer(0, cells * model.grid_channels(number))
            inputs += cells * model.grid_channels(number)
    yield Layer(inputs, cells * model.n_planes)


def _scrb(values: int) -> list[Layer]:
    """Depthwise, pointwise, pointwise with the residual."""
    return [Layer(values, values), Layer(values, values), Layer(values, values, (values,))]


def step_bytes(model: ModelConfig, n_frames: int, batch: int, precision: str) -> int:
    """Least bytes that a training step on `batch` of n_frames frames moves."""
    *inner, head = layers(model)
    item = ITEM_BYTES[precision]
    maps = item * sum(map(_step_values, inner)) + item * 2 * head.takes
    planes = 4 * 4 * head.gives + model.n_planes * model.plane_height * model.plane_width
    return batch * (maps + planes) + (2 * item + 8 * 4) * n_parameters(model, (n_frames,))


def _step_values(layer: Layer) -> int:
    return 2 * layer.takes + sum(layer.adds) + (3 + len(layer.adds)) * layer.gives


def frame_bytes(model: ModelConfig, n_frames: int) -> int:
    """Least bytes that decoding a frame moves, parameters shared by a batch."""
    *inner, head = layers(model)
    maps = 4 * (sum(layer.takes + sum(layer.adds) + layer.gives for layer in inner) + head.takes)
    planes = model.n_planes * model.plane_height * model.plane_width
    return maps + planes + 4 * n_parameters(model, (n_frames,)) // decode_batch(model)


def largest_map(model: ModelConfig) -> int:
    """Values of the largest map of a frame."""
    return max(layer.gives for layer in layers(model))
