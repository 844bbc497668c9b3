"""The network as a list of named tensors: their order, shapes, multiply-adds (docs/bitstream.md,
'Tensors'). No torch.

The list is the contract between the file (which codes the tensors in this order), the fit (one flat
vector of parameters) and model.py (which gives them a meaning). Sizes follow arXiv 2402.18305,
figure 2: decoder block = PwConv -> SCRB -> UB -> SCRB plus a bilinear skip, SCRB = depthwise 3x3 ->
pointwise -> GELU -> pointwise + residual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from nervcodec.format.model_config import GridStem, Keys, MlpStem, ModelConfig, Shots

# Values of the widest feature map in a decoded batch: more leave the processor's cache.
_BATCH_VALUES = 2_000_000
_BASE_BYTES = 380 << 20  # Python, torch and its thread pools, measured
MATRIX, DEPTHWISE, GRID, MOTION, BIAS = "matrix", "depthwise", "grid", "motion", "bias"
KEYED = (
    GRID,
    MOTION,
)  # whose values belong to moments, and are coded as differences from one to the next of a shot
MOTION_UNIT = 8  # samples of the head's planes that a motion of 1 moves by


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
        (0 for biases). follows: whether its contexts also go by the tensor before it, the next
        coarser details of the same grid. keys: of a grid or a motion, how many of its keys each
        shot has.
    """

    module: str
    name: str
    kind: str
    shape: tuple[int, ...]
    cells: int = 0
    follows: bool = False
    keys: Keys = ()

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Group:
    """Consecutive tensors that share one quantization step and are coded together: a weight, or a
    module's biases.

    Attributes:
        module, name, kind, follows, keys: as of a tensor.
        shape: [keys, channels, height, width] of a grid or a motion, [size] of all others.
    """

    module: str
    name: str
    kind: str
    shape: tuple[int, ...]
    follows: bool = False
    keys: Keys = ()

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def tensors(model: ModelConfig, shots: Shots) -> list[Tensor]:
    """All tensors of a segment of such shots in coded order: by module, weights first, then
    biases.
    """
    return [
        tensor
        for module in _modules(model, shots)
        for tensor in sorted(module, key=lambda t: t.kind == BIAS)
    ]


def groups(model: ModelConfig, shots: Shots) -> list[Group]:
    """The quantization groups, in coded order; every weight is one, the biases of a module together
    are one.
    """
    found: list[Group] = []
    for tensor in tensors(model, shots):
        if tensor.kind == BIAS and found and found[-1].kind == BIAS:
            last = found.pop()
            found.append(Group(last.module, last.name, BIAS, (last.size + tensor.size,)))
        else:
            name = f"{tensor.module}.biases" if tensor.kind == BIAS else tensor.name
            shape = tensor.shape if tensor.kind in KEYED else (tensor.size,)
            found.append(
                Group(tensor.module, name, tensor.kind, shape, tensor.follows, tensor.keys)
            )
    return found


def module_names(model: ModelConfig) -> list[str]:
    """The modules in coded order."""
    return ["stem", *(f"block{i}" for i in range(1, len(model.blocks) + 1)), "head"]


def n_parameters(model: ModelConfig, shots: Shots) -> int:
    aside, a_frame, a_key = _sizes(model)
    grids = sum(size * sum(grid.keys(shots)) for size, grid in zip(a_key, model.grids, strict=True))
    return aside + a_frame * sum(shots) + grids


@lru_cache(maxsize=16)
def _sizes(model: ModelConfig) -> tuple[int, int, tuple[int, ...]]:
    """Values that belong to no moment, those of a frame's motion and those of a key of each grid.

    A file may have a million segments, each of other shots: their parameters are not to be counted
    tensor by tensor.
    """
    single = tensors(model, (1,))
    aside = sum(tensor.size for tensor in single if tensor.kind not in KEYED)
    a_frame = sum(tensor.size for tensor in single if tensor.kind == MOTION)
    a_key = (
        sum(tensor.size for tensor in single if tensor.name.startswith(f"stem.grid{number}"))
        for number in range(1, len(model.grids) + 1)
    )
    return aside, a_frame, tuple(a_key)


def macs_per_frame(model: ModelConfig) -> int:
    """Multiply-adds to decode one frame; a skip's bilinear upsampling counts 4 a value, a grid's
    time blend 2, or 10 and 8 more a cell for the motion field if it moves.
    """
    convolutions = sum(tensor.size * tensor.cells for tensor in tensors(model, (1,)))
    cells, skips = model.stem.height * model.stem.width, 0
    blends = sum(
        math.prod(model.cells(grid.level))
        * (10 * grid.channels + 8 if grid.level and model.motion else 2 * grid.channels)
        for grid in model.grids
    )
    for block in model.blocks:
        cells *= block.stride**2
        skips += 4 * cells * block.width * ("skip" in model.parts)
    return convolutions + skips + blends


def kmac_per_pixel(model: ModelConfig) -> float:
    """Thousand multiply-adds to decode one luma pixel."""
    return macs_per_frame(model) / (1000 * model.width * model.height)


def decode_batch(model: ModelConfig) -> int:
    """Frames decoded at once: a function of the model alone, so that every machine forms the same
    batches.
    """
    return max(1, min(8, _BATCH_VALUES // _widest_map(model)))


def decode_memory_bytes(model: ModelConfig, shots: Shots) -> int:
    """About the peak memory of decoding a segment: Python and torch, parameters, tables in time,
    feature maps.
    """
    parameters = 24 * n_parameters(model, shots)
    n_frames, n_keys = sum(shots), [sum(grid.keys(shots)) for grid in model.grids]
    tables = 12 * n_frames * (2 * model.pe_levels + sum(n_keys))
    if model.motion:
        tables += 24 * n_frames * sum(n for n, grid in zip(n_keys, model.grids) if grid.level)
    planes = 12 * model.n_planes * model.covered_width * model.covered_height
    return (
        _BASE_BYTES
        + parameters
        + tables
        + decode_batch(model) * (6 * 4 * _widest_map(model) + planes)
    )


def _widest_map(model: ModelConfig) -> int:
    """Values of the largest feature map of a frame."""
    cells = model.stem.height * model.stem.width
    widest = cells * model.stem.channels
    for level, block in enumerate(model.blocks, 1):
        cells *= block.stride**2
        widest = max(widest, cells * (block.width + model.grid_channels(level)))
    return widest


def summary(model: ModelConfig) -> str:
    """Return the network in one line: stem, then blocks and finer grids as they follow."""
    rows, columns = model.cells(0)
    stem = model.stem
    parts = [f"{model.colorspace}, {stem.kind} stem {rows}x{columns}x{stem.channels}"]
    for level, block in enumerate(model.blocks, 1):
        rows, columns = model.cells(level)
        parts.append(f"block x{block.stride} {block.width}")
        parts += [
            f"grid {rows}x{columns}x{grid.channels}" for grid in model.grids if grid.level == level
        ]
    if isinstance(stem, GridStem) and stem.motion_height:
        parts.append(f"motion {stem.motion_height}x{stem.motion_width}")
        if stem.wavelet_levels:
            parts.append(f"wavelets of {stem.wavelet_levels} levels")
    return ", ".join(parts)


def details_name(number: int, n_halvings: int) -> str:
    """The tensor of what grid `number` (from 1) loses when it is halved for the n-th time."""
    return f"stem.grid{number}_details{n_halvings}"


def _modules(model: ModelConfig, shots: Shots) -> Iterator[list[Tensor]]:
    cells = model.stem.height * model.stem.width
    yield list(
        _mlp_stem(model, model.stem)
        if isinstance(model.stem, MlpStem)
        else _grids(model, model.stem, shots)
    )
    channels = model.stem.channels
    for number, block in enumerate(model.blocks, 1):
        yield list(_block(f"block{number}", channels, block.width, block.stride, cells, model))
        channels, cells = block.width + model.grid_channels(number), cells * block.stride**2
    yield list(_layer("head", "conv", MATRIX, (model.n_planes, channels, 3, 3), cells))


def _layer(
    module: str, name: str, kind: str, shape: tuple[int, ...], cells: int, has_bias: bool = True
) -> Iterator[Tensor]:
    yield Tensor(module, f"{module}.{name}.weight", kind, shape, cells)
    if has_bias:
        yield Tensor(module, f"{module}.{name}.bias", BIAS, shape[:1])


def _mlp_stem(model: ModelConfig, stem: MlpStem) -> Iterator[Tensor]:
    outputs = stem.height * stem.width * stem.channels
    yield from _layer("stem", "linear1", MATRIX, (stem.hidden, 2 * model.pe_levels), 1)
    yield from _layer("stem", "linear2", MATRIX, (outputs, stem.hidden), 1)


def _grids(model: ModelConfig, stem: GridStem, shots: Shots) -> Iterator[Tensor]:
    if model.motion:
        shape = (sum(shots), 2, *model.motion)
        yield Tensor("stem", "stem.motion", MOTION, shape, keys=shots)
    for number, grid in enumerate(model.grids, 1):
        keys, bands = grid.keys(shots), model.bands(grid.level)
        yield Tensor(
            "stem", f"stem.grid{number}", GRID, (sum(keys), grid.channels, *bands[-1]), keys=keys
        )
        for n_halvings, band in reversed(list(enumerate(bands[1:], 1))):
            yield Tensor(
                "stem",
                details_name(number, n_halvings),
                GRID,
                (sum(keys), 3 * grid.channels, *band),
                follows=n_halvings < stem.wavelet_levels,
                keys=keys,
            )


def _block(
    module: str, inputs: int, width: int, stride: int, cells: int, model: ModelConfig
) -> Iterator[Tensor]:
    if "pw" in model.parts:
        yield from _layer(module, "pw", MATRIX, (width, inputs, 1, 1), cells)
        inputs = width
    if "scrb1" in model.parts:
        yield from _scrb(module, "scrb1", inputs, cells, model.biases == "all")
    yield from _layer(module, "ub", MATRIX, (width * stride**2, inputs, 3, 3), cells)
    if "scrb2" in model.parts:
        yield from _scrb(module, "scrb2", width, cells * stride**2, model.biases == "all")


def _scrb(module: str, name: str, width: int, cells: int, has_biases: bool) -> Iterator[Tensor]:
    """Linear layers follow dw and, in the next block or the head, pw2: these can do without
    biases.
    """
    yield from _layer(module, f"{name}.dw", DEPTHWISE, (width, 1, 3, 3), cells, has_biases)
    yield from _layer(module, f"{name}.pw1", MATRIX, (width, width, 1, 1), cells)
    yield from _layer(module, f"{name}.pw2", MATRIX, (width, width, 1, 1), cells, has_biases)
