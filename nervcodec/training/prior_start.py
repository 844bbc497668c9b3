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
from nervcodec.nn.integer_network import key_frames
from nervcodec.nn.prior import places
from nervcodec.training.analysis import Analysis, split_bands
from nervcodec.training.context import Solution, TrainingContext
from nervcodec.training.rate_model import DEFAULT_CRF, MAX_CRF, rate_weight_of

_MOST_AT_ONCE = 4  # frames that are analysed together
_MOST_CELLS = 1 << 22  # of all their planes, which feature maps have as well
_CELL_BYTES = 480  # that the analysis holds for each of them, measured


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
    keys = [_moments(grid.keys(context.shots), context.shots) for grid in model.grids]
    found: list[list[Tensor]] = [[] for _ in keys]
    first = 0
    for frames in torch.split(context.target, frames_at_once(model)):
        planes = F.pad(frames.cpu().float() / model.peak, missing, mode="replicate")
        maps = analysis.network(_as_420(planes, model))
        for parts, moments, (level, channels) in zip(found, keys, _places_in_maps(model)):
            here = moments[(moments >= first) & (moments < first + len(frames))] - first
            parts.append(maps[-1 - level][here, channels])
        first += len(frames)
    grids: dict[str, Tensor] = {}
    for number, (grid, parts) in enumerate(zip(model.grids, found), 1):
        bands = split_bands(torch.cat(parts), len(model.bands(grid.level)) - 1)
        names = [f"stem.grid{number}"]
        names += [details_name(number, n) for n in range(len(bands) - 1, 0, -1)]
        grids.update(zip(names, bands, strict=True))
    return grids


def frames_at_once(model: ModelConfig) -> int:
    """Return how many frames are analysed together: fewer of large ones, which need more memory."""
    n_cells = model.covered_width * model.covered_height
    return max(1, min(_MOST_AT_ONCE, _MOST_CELLS // n_cells))


def analysis_memory_bytes(model: ModelConfig) -> int:
    """Return the memory that analysing frames takes at its peak."""
    return _CELL_BYTES * frames_at_once(model) * model.covered_width * model.covered_height


def _places_in_maps(model: ModelConfig) -> list[tuple[int, slice]]:
    """Return each grid's level and its channels of that level's map."""
    n_before = [0] * (len(model.blocks) + 1)
    places_in_maps = []
    for grid in model.grids:
        start = n_before[grid.level]
        n_before[grid.level] += grid.channels
        places_in_maps.append((grid.level, slice(start, n_before[grid.level])))
    return places_in_maps


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
