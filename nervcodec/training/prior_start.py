"""Where a fit with a prior starts: no weights but the prior's, grids by the analysis network."""

from __future__ import annotations

import math
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from nervcodec.format import tensors
from nervcodec.format.model_config import Keys, ModelConfig, Shots
from nervcodec.format.tensors import GRID, MOTION, details_name
from nervcodec.nn.grids import key_frames
from nervcodec.nn.prior import places
from nervcodec.training.analysis import Analysis, split_bands
from nervcodec.training.context import Solution, TrainingContext
from nervcodec.training.rate_model import DEFAULT_CRF, MAX_CRF, rate_weight_of

_BATCH = 4  # frames that are analysed at once


@torch.no_grad()
def prior_start(context: TrainingContext, start: Tensor) -> Solution:
    """Return the start of a fit with a prior.

    Args:
        context: of the fit.
        start: a random one with the motion of the frames, float32 [n_parameters] on the CPU.
    """
    model, network = context.model, context.network
    analysis = Analysis.load(model.prior)
    grids = _analysed_grids(context, analysis)
    parts = []
    for tensor, part in zip(network.tensors, torch.split(start, network.sizes)):
        if tensor.kind == GRID:
            part = grids[tensor.name].flatten()
        elif tensor.kind != MOTION:
            part = _beside_prior(tensor, part, model)
        parts.append(part)
    return Solution(torch.cat(parts), torch.tensor(_log_steps(context, analysis)))


def _log_steps(context: TrainingContext, analysis: Analysis) -> list[float]:
    """Return ln(step) of each group: that of the analysis if it has one, else the usual one.

    Lambdas beyond those of all rate factors, such as 0, count as the nearest of these.
    """
    lowest, highest = rate_weight_of(0), rate_weight_of(MAX_CRF)
    rate_weight = min(max(context.fit.rate_weight, lowest), highest)
    nats = math.log(rate_weight / rate_weight_of(DEFAULT_CRF))
    usual = math.log(context.fit.initial_step)
    return [
        analysis.log_step(group.name, nats) if group.name in analysis.log_steps else usual
        for group in tensors.groups(context.model, context.shots)
    ]


def _beside_prior(tensor: tensors.Tensor, random: Tensor, model: ModelConfig) -> Tensor:
    """Return what is added to the prior's weights: 0, and random weights of further outputs.

    What the prior's outputs take of further inputs starts at 0.
    """
    part = random.view(tensor.shape).clone()
    rows = torch.from_numpy(places(tensor, model)[0].ravel())
    part[rows] = 0
    return part.flatten()


def _analysed_grids(context: TrainingContext, analysis: Analysis) -> dict[str, Tensor]:
    """Return the halves and details of all grids by name, on the CPU."""
    model = context.model
    missing = (
        0,
        model.covered_width - model.plane_width,
        0,
        model.covered_height - model.plane_height,
    )
    found: list[list[Tensor]] = []
    for frames in torch.split(context.target, _BATCH):
        planes = F.pad(frames.cpu().float() / model.peak, missing, mode="replicate")
        found.append(analysis.network(_as_420(planes, model)))
    maps = [torch.cat(parts) for parts in zip(*found)]
    grids: dict[str, Tensor] = {}
    n_before = [0] * len(maps)
    for number, grid in enumerate(model.grids, 1):
        channels = slice(n_before[grid.level], n_before[grid.level] + grid.channels)
        n_before[grid.level] += grid.channels
        keys = _moments(grid.keys(context.shots), context.shots)
        bands = split_bands(maps[-1 - grid.level][keys, channels], len(model.bands(grid.level)) - 1)
        names = [f"stem.grid{number}"]
        names += [details_name(number, n) for n in range(len(bands) - 1, 0, -1)]
        grids.update(zip(names, bands, strict=True))
    return grids


def _moments(keys: Keys, shots: Shots) -> Tensor:
    """Return the frames that keys stand on, int64 [sum(keys)]."""
    starts = accumulate(shots, initial=0)
    parts = [
        start + torch.from_numpy(key_frames(n_frames, n_keys))
        for n_keys, n_frames, start in zip(keys, shots, starts)
    ]
    return torch.cat(parts)


def _as_420(planes: Tensor, model: ModelConfig) -> Tensor:
    """Return planes of any layout as those of 4:2:0: means of chroma's phases, or mid-grey."""
    parts, start = [planes[:, :4]], 4
    for across, down in model.phases[1:]:
        parts.append(planes[:, start : start + across * down].mean(dim=1, keepdim=True))
        start += across * down
    if len(model.phases) == 1:
        parts.append(torch.full_like(planes[:, :2], 0.5))
    return torch.cat(parts, dim=1)
