"""The network as a list of layers with their tensors (nvpp-format.md section 3), and what follows.

One walk, `layers`, knows the topology; all else is a fold over it. The order of the tensors is the
contract between the file, which codes them in this order, training, which has one flat vector of
parameters, and nn/network.py, which gives them a meaning. Sizes follow arXiv 2402.18305, figure 2:
decoder block = PwConv -> SCRB -> UB -> SCRB plus a bilinear skip, SCRB = depthwise 3x3 -> pointwise
-> GELU -> pointwise + residual. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from nervcodec.format.model_config import (
    PE_LEVELS,
    Block,
    Grid,
    GridStem,
    Keys,
    MlpStem,
    ModelConfig,
    Shots,
)

TensorKind = Literal["matrix", "depthwise", "grid", "motion", "bias"]
MATRIX: Final = "matrix"
DEPTHWISE: Final = "depthwise"
GRID: Final = "grid"
MOTION: Final = "motion"
BIAS: Final = "bias"
KEYED = (GRID, MOTION)  # values belong to moments, and are coded as differences within a shot
# Samples of the head's planes that a motion of 1 moves by from key to key, and an offset of 1 from
# any key that a frame does not stand on.
MOTION_UNIT, OFFSET_UNIT = 8, 2
MOTIONS = ("stem.motion", "stem.offset")

LayerKind = Literal["linear", "conv", "upsample", "grid", "motion", "head"]


@dataclass(frozen=True)
class Tensor:
    """One parameter tensor.

    Attributes:
        module: 'stem', 'block1' .. or 'head'; every module is one coded stream.
        name: unique, as `module.part.weight`.
        kind: 'matrix' (dense and convolution weights), 'depthwise', 'grid', 'motion' or 'bias'.
        shape: weights [out, in, k, k] or [out, in], biases [out], grids [keys, channels, height,
            width], motion [frames, 2, height, width].
        cells: at how many positions of a frame it is applied: multiply-adds a frame = cells * size
            (0 for biases, grids and motion).
        follows: whether its contexts also go by the tensor before it, the next coarser details of
            the same grid.
        keys: of a grid or a motion, how many of its keys each shot has.
    """

    module: str
    name: str
    kind: TensorKind
    shape: tuple[int, ...]
    cells: int = 0
    follows: bool = False
    keys: Keys = ()

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Group:
    """Consecutive tensors that share one quantization step: a weight, or a module's biases.

    Attributes:
        module, name, kind, follows, keys: as of a tensor.
        shape: [keys, channels, height, width] of a grid or a motion, [size] of all others.
    """

    module: str
    name: str
    kind: TensorKind
    shape: tuple[int, ...]
    follows: bool = False
    keys: Keys = ()

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """A layer with all that is done to its map before the next one takes it.

    That is its activation, shuffle, upsampling and what is added to it. Maps are of one frame.

    Attributes:
        module: as of its tensors.
        kind: what it does; 'conv' may be depthwise.
        level: the blocks up to its own: 0 for the stem's layers, of a grid its level.
        tensors: its parameters: weights, then the bias if it has one.
        takes: values of the map that it convolves; 0 where it makes a map from parameters.
        channels, size: of the map that it gives; size is (rows, columns). A motion gives none.
        adds: values of each map that is added to its own: a residual, a skip before its upsampling.
        other_macs: multiply-adds of a frame besides those of the weights.
    """

    module: str
    kind: LayerKind
    level: int
    tensors: tuple[Tensor, ...]
    takes: int
    channels: int
    size: tuple[int, int]
    adds: tuple[int, ...] = ()
    other_macs: int = 0

    @property
    def cells(self) -> int:
        """Positions of the map that it gives."""
        return math.prod(self.size)

    @property
    def gives(self) -> int:
        """Values of the map that it gives."""
        return self.channels * self.cells

    @property
    def n_parameters(self) -> int:
        """Values of its tensors."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def macs(self) -> int:
        """Multiply-adds of a frame."""
        return sum(tensor.size * tensor.cells for tensor in self.tensors) + self.other_macs


# --- the walk ---


def layers(model: ModelConfig, shots: Shots = (1,)) -> Iterator[Layer]:
    """Yield the layers of a network in coded order, for a segment of such shots.

    The stem comes first with the grids of all levels, then the blocks, then the head.
    """
    stem = model.stem
    yield from (_mlp_stem(stem) if isinstance(stem, MlpStem) else _grid_stem(model, stem, shots))
    inputs = stem.channels
    for level, block in enumerate(model.blocks, 1):
        yield from _block(model, level, block, inputs)
        inputs = block.width + model.grid_channels(level)
    place = _Place("head", len(model.blocks) + 1, model.cells(len(model.blocks)))
    yield place.conv("head", "conv", inputs, model.n_planes, 3)


@dataclass(frozen=True)
class _Place:
    """Where a layer stands: its module, its level and the size of the maps there."""

    module: str
    level: int
    size: tuple[int, int]

    def layer(
        self,
        kind: LayerKind,
        weight: Tensor,
        takes: int,
        channels: int,
        has_bias: bool = True,
        stride: int = 1,
    ) -> Layer:
        """Return a layer with a weight, and a bias if it has one."""
        name = weight.name.removesuffix("weight") + "bias"
        bias = [Tensor(self.module, name, BIAS, weight.shape[:1])] if has_bias else []
        size = self.size[0] * stride, self.size[1] * stride
        return Layer(self.module, kind, self.level, (weight, *bias), takes, channels, size)

    def conv(
        self,
        kind: LayerKind,
        name: str,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        has_bias: bool = True,
        is_depthwise: bool = False,
        stride: int = 1,
    ) -> Layer:
        """Return a convolution to so many outputs, whose pixels are shuffled if there is a stride.

        Args:
            outputs: channels of the map that the layer gives, after the shuffle.
        """
        cells = math.prod(self.size)
        shape = outputs * stride**2, 1 if is_depthwise else inputs, kernel, kernel
        tensor_kind: TensorKind = DEPTHWISE if is_depthwise else MATRIX
        name = f"{self.module}.{name}.weight"
        weight = Tensor(self.module, name, tensor_kind, shape, cells)
        return self.layer(kind, weight, inputs * cells, outputs, has_bias, stride)


def _mlp_stem(stem: MlpStem) -> Iterator[Layer]:
    """Yield the two linear layers; the second gives the feature map."""
    inputs, hidden = 2 * PE_LEVELS, stem.hidden
    outputs = stem.height * stem.width * stem.channels
    first = Tensor("stem", "stem.linear1.weight", MATRIX, (hidden, inputs), 1)
    second = Tensor("stem", "stem.linear2.weight", MATRIX, (outputs, hidden), 1)
    yield _Place("stem", 0, (1, 1)).layer("linear", first, inputs, hidden)
    map_size = stem.height, stem.width
    yield _Place("stem", 0, map_size).layer("linear", second, hidden, stem.channels)


def _grid_stem(model: ModelConfig, stem: GridStem, shots: Shots) -> Iterator[Layer]:
    """Yield the motion, if there is one, and the grids of all levels."""
    if stem.motion_height:
        shape = (sum(shots), 2, stem.motion_height, stem.motion_width)
        for name in MOTIONS:
            motion = Tensor("stem", name, MOTION, shape, keys=shots)
            yield Layer("stem", "motion", 0, (motion,), 0, 0, (0, 0))
    for number, grid in enumerate(stem.grids, 1):
        size, moves = model.cells(grid.level), bool(grid.level and stem.motion_height)
        # A blend in time counts 2 a value, or 10 and 8 a cell for the motion field if it moves.
        macs = math.prod(size) * (10 * grid.channels + 8 if moves else 2 * grid.channels)
        parts = tuple(_grid(number, grid, stem, model.bands(grid.level), shots))
        yield Layer("stem", "grid", grid.level, parts, 0, grid.channels, size, (), macs)


def _grid(
    number: int, grid: Grid, stem: GridStem, bands: list[tuple[int, int]], shots: Shots
) -> Iterator[Tensor]:
    """Yield the coarsest band of a grid, then its details from the coarsest to the finest."""
    keys = grid.keys(shots)
    shape = sum(keys), grid.channels, *bands[-1]
    yield Tensor("stem", f"stem.grid{number}", GRID, shape, keys=keys)
    for n_halvings, band in reversed(list(enumerate(bands[1:], 1))):
        shape = sum(keys), 3 * grid.channels, *band
        name, follows = details_name(number, n_halvings), n_halvings < stem.wavelet_levels
        yield Tensor("stem", name, GRID, shape, follows=follows, keys=keys)


def _block(model: ModelConfig, level: int, block: Block, inputs: int) -> Iterator[Layer]:
    """Yield the layers of a block; the last one adds the skip."""
    width, is_lean = block.width, model.biases == "lean"
    coarse = _Place(f"block{level}", level, model.cells(level - 1))
    fine = _Place(f"block{level}", level, model.cells(level))
    made: list[Layer] = []
    if "pw" in model.parts:
        made.append(coarse.conv("conv", "pw", inputs, width, 1))
        inputs = width
    if "scrb1" in model.parts:
        made += _scrb(coarse, "scrb1", inputs, is_lean)
    made.append(coarse.conv("upsample", "ub", inputs, width, 3, stride=block.stride))
    if "scrb2" in model.parts:
        made += _scrb(fine, "scrb2", width, is_lean)
    if "skip" in model.parts:
        last = made.pop()
        skipped = width * math.prod(coarse.size)
        # Bilinear upsampling counts 4 multiply-adds a value.
        made.append(replace(last, adds=(*last.adds, skipped), other_macs=4 * last.gives))
    yield from made


def _scrb(place: _Place, name: str, width: int, is_lean: bool) -> Iterator[Layer]:
    """Yield depthwise, pointwise, pointwise with the residual.

    Linear layers follow dw and, in the next block or the head, pw2: these can do without biases.
    """
    has_bias = not is_lean
    yield place.conv("conv", f"{name}.dw", width, width, 3, has_bias=has_bias, is_depthwise=True)
    yield place.conv("conv", f"{name}.pw1", width, width, 1)
    last = place.conv("conv", f"{name}.pw2", width, width, 1, has_bias=has_bias)
    yield replace(last, adds=(last.takes,))


def details_name(number: int, n_halvings: int) -> str:
    """Return the name of what grid `number` (from 1) loses when it is halved for the n-th time."""
    return f"stem.grid{number}_details{n_halvings}"


# --- tensors and groups ---


def tensors(model: ModelConfig, shots: Shots) -> list[Tensor]:
    """Return all tensors of a segment of such shots in coded order: by module, biases last."""
    modules: dict[str, list[Tensor]] = {name: [] for name in module_names(model)}
    for layer in layers(model, shots):
        modules[layer.module] += layer.tensors
    return [
        tensor
        for module in modules.values()
        for tensor in sorted(module, key=lambda tensor: tensor.kind == BIAS)
    ]


def groups(model: ModelConfig, shots: Shots) -> list[Group]:
    """Return the quantization groups in coded order (nvpp-format.md section 3.3).

    Every weight is one, the biases of a module together are one.
    """
    made: list[Group] = []
    for tensor in tensors(model, shots):
        if tensor.kind == BIAS and made and made[-1].kind == BIAS:
            last = made.pop()
            made.append(Group(last.module, last.name, BIAS, (last.size + tensor.size,)))
        else:
            name = f"{tensor.module}.biases" if tensor.kind == BIAS else tensor.name
            shape = tensor.shape if tensor.kind in KEYED else (tensor.size,)
            made.append(Group(tensor.module, name, tensor.kind, shape, tensor.follows, tensor.keys))
    return made


def module_names(model: ModelConfig) -> list[str]:
    """Return the modules in coded order."""
    return ["stem", *(f"block{i}" for i in range(1, len(model.blocks) + 1)), "head"]


def n_parameters(model: ModelConfig, shots: Shots) -> int:
    """Return the number of values of all tensors."""
    timeless, a_frame, a_key = _sizes(model)
    grids = sum(size * sum(grid.keys(shots)) for size, grid in zip(a_key, model.grids, strict=True))
    return timeless + a_frame * sum(shots) + grids


@lru_cache(maxsize=16)
def _sizes(model: ModelConfig) -> tuple[int, int, tuple[int, ...]]:
    """Return the values that belong to no moment, a frame's motion, and a key of each grid.

    A file may have a million segments, each of other shots: their parameters are not to be counted
    tensor by tensor.
    """
    timeless, a_frame, a_key = 0, 0, []
    for layer in layers(model):
        if layer.kind == "grid":
            a_key.append(layer.n_parameters)
        elif layer.kind == "motion":
            a_frame += layer.n_parameters
        else:
            timeless += layer.n_parameters
    return timeless, a_frame, tuple(a_key)


def summary(model: ModelConfig) -> str:
    """Return the network in one line: stem, blocks with their grids, motion, and the prior."""
    stem = model.stem
    parts = [f"{model.colorspace}, {stem.kind} stem {stem.height}x{stem.width}x{stem.channels}"]
    for layer in sorted(layers(model), key=lambda layer: (layer.level, layer.kind == "grid")):
        if layer.kind == "upsample":
            parts.append(f"block x{model.blocks[layer.level - 1].stride} {layer.channels}")
        elif layer.kind == "grid" and layer.level:
            parts.append(f"grid {layer.size[0]}x{layer.size[1]}x{layer.channels}")
    if isinstance(stem, GridStem) and stem.motion_height:
        parts.append(f"motion {stem.motion_height}x{stem.motion_width}")
        if stem.wavelet_levels:
            parts.append(f"wavelets of {stem.wavelet_levels} levels")
    if model.prior:
        parts.append(f"prior {model.prior}")
    return ", ".join(parts)
