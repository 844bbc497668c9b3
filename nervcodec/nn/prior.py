"""The weights of a prior, placed in a network (nvpp-format.md section 3.4)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from nervcodec.errors import DependencyError
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.prior import PRIORS
from nervcodec.format.tensors import KEYED, Tensor, tensors

Weights = NDArray[np.float32]
_LUMA_PHASES = 4


def prior_vector(model: ModelConfig, of: Sequence[Tensor]) -> Weights:
    """Return what is added to a network's parameters, float32 [n_parameters].

    Args:
        model: a network with a prior.
        of: its tensors, of a segment.
    """
    stored = stored_weights(model.prior)
    parts = []
    for tensor in of:
        part = np.zeros(tensor.shape, np.float32)
        if tensor.kind not in KEYED:
            part[places(tensor, model)] = _for_layout(tensor, stored[tensor.name], model)
        parts.append(part.ravel())
    return np.concatenate(parts)


def places(tensor: Tensor, model: ModelConfig) -> tuple[NDArray[np.intp], ...]:
    """Return where the prior's weights stand in a tensor that may be larger than theirs.

    They stand first, but those of grids' channels, the last that a layer takes, last.

    Returns:
        Indices for NumPy, one array for each dimension.
    """
    width, n_outputs = PRIORS[model.prior].width, tensor.shape[0]
    rows = np.arange(n_outputs)
    if tensor.module != "head":
        rows = rows[: n_outputs * width // _width_of(tensor, model)]
    if len(tensor.shape) == 1:
        return (rows,)
    n_inputs = tensor.shape[1]
    columns = np.arange(n_inputs)
    before = _width_before(tensor, model)
    if n_inputs >= before > width:
        columns = np.r_[0:width, before:n_inputs]
    kernel = (np.arange(tensor.shape[2]), np.arange(tensor.shape[3]))
    return np.ix_(rows, columns, *kernel)


def _width_of(tensor: Tensor, model: ModelConfig) -> int:
    """Return the width of the block that a tensor belongs to."""
    return model.blocks[int(tensor.module.removeprefix("block")) - 1].width


def _width_before(tensor: Tensor, model: ModelConfig) -> int:
    """Return the first channels that a layer takes, those of a block: 0 of a grid stem's."""
    if tensor.kind == "depthwise":
        return 0
    if tensor.module == "head":
        return model.blocks[-1].width
    number = int(tensor.module.removeprefix("block"))
    if not tensor.name.endswith("pw.weight"):
        return model.blocks[number - 1].width
    return model.blocks[number - 2].width if number > 1 else 0


@lru_cache
def stored_weights(number: int) -> dict[str, Weights]:
    """Return the tensors of a prior by name, as in a 4:2:0 network of its own width.

    Raises:
        DependencyError: the installed weights are missing or damaged.
    """
    path = resources.files("nervcodec.nn") / "priors" / f"{number}.npy"
    try:
        with path.open("rb") as file:
            flat: NDArray[np.float16] = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DependencyError(f"{path}: {error}; install nervcodec again") from None
    if zlib.crc32(flat.astype("<f2").tobytes()) != PRIORS[number].crc:
        raise DependencyError(f"{path} is damaged; install nervcodec again")
    found, start = {}, 0
    for tensor in tensors(own_network(number), (1,)):
        if tensor.kind not in KEYED:
            part = flat[start : start + tensor.size]
            found[tensor.name] = part.astype(np.float32).reshape(tensor.shape)
            start += tensor.size
    return found


def own_network(number: int) -> ModelConfig:
    """Return a network of a prior's own width, for the smallest 4:2:0 frames."""
    prior = PRIORS[number]
    grids = tuple(Grid(n, 1, level) for level, n in enumerate(prior.grid_channels) if n)
    blocks = tuple(Block(stride, prior.width) for stride in prior.strides)
    return ModelConfig(2, 2, "yuv420", GridStem(1, 1, grids), blocks, biases="lean")


def _for_layout(tensor: Tensor, weights: Weights, model: ModelConfig) -> Weights:
    """Return the head's weights for the planes of a layout, and all others as they are."""
    if tensor.module != "head":
        return weights
    rows = [*range(_LUMA_PHASES)]
    for plane, (across, down) in enumerate(model.phases[1:], _LUMA_PHASES):
        rows += [plane] * (across * down)
    return weights[rows]
