"""Where a fit starts: random weights, and the motion of the frames by block matching."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nervcodec.format import tensors
from nervcodec.format.model_config import GridStem, MlpStem, ModelConfig, Shots
from nervcodec.format.tensors import BIAS, DEPTHWISE, GRID, MOTION, MOTION_UNIT, OFFSET_UNIT
from nervcodec.nn.network import Network
from nervcodec.training.key_motion import key_motion

# Of a start (docs/lab L030).
_GRID_DEVIATION = 0.04
_ORTHOGONAL_GAIN = 0.7
_PASSING_GAIN = 1.5
# Means of a plane, of 0 to 1 (docs/lab L097): the head starts at those that are nearer to an end
# than the first one, and not nearer than the second, where its tanh has hardly a slope.
_EXTREME_MEAN = 0.1
_LEAST_MEAN = 0.004


def initial_parameters(
    network: Network, generator: torch.Generator, target: Tensor | None = None
) -> Tensor:
    """Return a random start: small grids, zero biases, weights by the stem.

    With grids depthwise kernels pass on what they take, and matrices are orthogonal; with the
    paper's stem they all start uniform within +-1/sqrt(fan in), as torch's own layers do.

    Args:
        target: the frames as from pack, uint8 or int16 [T, n_planes, plane_height,
            plane_width], whose motion is estimated; without them it is 0.
    Returns:
        float32 [n_parameters] on the CPU.
    """
    parts = [
        _initial(tensor, generator, isinstance(network.model.stem, MlpStem))
        for tensor in network.tensors
    ]
    if target is not None and network.model.motion:
        fields = _estimated_motion(target, network.model, network.model.motion, network.shots)
        parts[: len(fields)] = [field.cpu() for field in fields]
    if target is not None and isinstance(network.model.stem, GridStem):
        names = [tensor.name for tensor in network.tensors]
        parts[names.index("head.conv.bias")] = _head_bias(target, network.model.peak)
    return torch.cat([part.flatten() for part in parts])


def _head_bias(target: Tensor, peak: int) -> Tensor:
    """Return the bias of the head, float32 [n_planes] on the CPU.

    It is 0, mid-grey, but where a plane is nearly all black or white in the mean: there the head
    starts at that mean. On its way from mid-grey its tanh would overshoot and saturate, and a
    saturated head learns no more.
    """
    sums = target.sum(dim=(0, 2, 3), dtype=torch.int64).cpu()  # not of a copy as float32
    n_samples = len(target) * target.shape[2] * target.shape[3]
    means = (sums / (peak * n_samples)).clamp(_LEAST_MEAN, 1 - _LEAST_MEAN)
    is_extreme = (means - 0.5).abs() > 0.5 - _EXTREME_MEAN
    return torch.where(is_extreme, torch.atanh(2 * means - 1), 0.0)


def _estimated_motion(
    target: Tensor, model: ModelConfig, size: tuple[int, int], shots: Shots
) -> list[Tensor]:
    """Return the motion of frames as from pack, by block matching: MOTIONS, [T, 2, *size] each."""
    luma = target[:, 1] if model.colorspace == "rgb" else target[:, :4].float().mean(dim=1)
    missing = (
        0,
        model.covered_width - model.plane_width,
        0,
        model.covered_height - model.plane_height,
    )
    luma = F.pad(luma.float()[:, None], missing, mode="replicate")[:, 0]
    if model.peak != 255:
        luma = luma * (255 / model.peak)
    keys = next(grid for grid in model.grids if grid.level).keys(shots)
    shot_lumas = torch.split(luma, list(shots))
    found = [key_motion(shot, n, *size) for shot, n in zip(shot_lumas, keys, strict=True)]
    units = MOTION_UNIT, OFFSET_UNIT
    return [torch.cat(parts) / unit for parts, unit in zip(zip(*found), units, strict=True)]


def _initial(tensor: tensors.Tensor, generator: torch.Generator, is_papers: bool) -> Tensor:
    if tensor.kind in (BIAS, MOTION):
        return torch.zeros(tensor.shape)
    if tensor.kind == GRID:
        return _GRID_DEVIATION * torch.randn(tensor.shape, generator=generator)
    if is_papers:
        bound = 1 / math.sqrt(math.prod(tensor.shape[1:]))
        return (2 * torch.rand(tensor.shape, generator=generator) - 1) * bound
    weights = torch.empty(tensor.shape)
    if tensor.kind == DEPTHWISE:
        return _PASSING_GAIN * torch.nn.init.dirac_(weights, groups=len(weights))
    return torch.nn.init.orthogonal_(weights, _ORTHOGONAL_GAIN, generator)
