"""What a fit will cost: seconds by timing a few real steps, memory by counting what is held at its
peak.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice

import torch

from nervcodec.format import costs, tensors
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.nn.planes import pack
from nervcodec.training.config import FitConfig
from nervcodec.training.context import TrainingContext
from nervcodec.training.prior_start import analysis_memory_bytes
from nervcodec.training.trainer import Trainer, cycles
from nervcodec.util.validation import ceil_div
from nervcodec.video.frames import Frames

_BASE_BYTES = 430 << 20  # Python, torch and its thread pools, measured
_TIMED_MACS = 100e9
_TIMED_STEPS, _TIMED_SHARE = 20, 0.025  # of an epoch that is timed, at most; of those of a fit
_GPU_STEPS = 30


def seconds_per_step(
    frames: Frames, model: ModelConfig, fit: FitConfig, device: str = "cpu"
) -> float:
    """Return the seconds of one optimizer step, the mean over a fit.

    Steps that round are made in float32.
    """
    plain_s = timed_step(frames, model, replace(fit, round_from=1.0), device)
    if fit.precision == "float32":
        return plain_s
    share = (1 - fit.round_from) * (fit.finetune_epochs or fit.epochs) / fit.total_epochs
    rounding_s = timed_step(frames, model, replace(fit, round_from=0.0), device)
    return (1 - share) * plain_s + share * rounding_s


def timed_step(frames: Frames, model: ModelConfig, fit: FitConfig, device: str) -> float:
    """Return the seconds of a step.

    It is the mean over an epoch on a few of the frames, after one epoch of warm-up: fewer the
    shorter the fit is.
    """
    n_fit_steps = fit.total_epochs * ceil_div(frames.n_frames, fit.batch_size)
    macs_per_step = 3 * fit.batch_size * costs.macs_per_frame(model)
    most = min(_TIMED_STEPS, int(_TIMED_SHARE * n_fit_steps))
    affordable = max(1, min(most, int(_TIMED_MACS / macs_per_step)))
    n_steps = _GPU_STEPS if device.startswith("cuda") else affordable
    few = frames[: min(frames.n_frames, n_steps * fit.batch_size)]
    target = torch.from_numpy(pack(few, model)).to(device)
    short = replace(fit, epochs=2, finetune_epochs=0, prune=0, target_bpp=0, target_psnr=0)
    context = TrainingContext.create(model, short, target)
    steps = Trainer(context, stages=cycles(context)).run()
    ends = []
    for _ in range(2):
        for _ in islice(steps, context.steps_per_epoch):
            pass
        ends.append(time.monotonic())  # an epoch ends by waiting for the device
    return (ends[1] - ends[0]) / context.steps_per_epoch


def fit_memory_bytes(model: ModelConfig, fit: FitConfig, shots: Shots) -> int:
    """Return the peak memory of a fit, measured per kind of layer (docs/lab).

    It holds the frames, the parameters with what the optimizer and the rate estimate keep
    of them, and the feature maps that one batch's backward pass needs, or those of the analysis
    that a fit with a prior starts with.
    """
    frames = sum(shots) * model.n_plane_samples * (1 if model.bit_depth == 8 else 2)
    parameters = 4 * 24 * tensors.n_parameters(model, shots)
    is_bfloat16 = fit.precision == "bfloat16" and fit.round_from == 1  # rounding is in float32
    values, moving_cells = 0, {}
    for layer in tensors.layers(model):
        if layer.kind == "upsample":
            values += 9 * layer.tensors[0].cells * layer.channels + 12 * layer.gives
        elif layer.kind == "head":
            values += 8 * layer.gives
        elif layer.kind == "grid" and layer.level:
            values += 2 * layer.gives
            if model.motion:  # moved keys, before and after; places once for all grids of a level
                values += 4 * layer.gives
                moving_cells[layer.level] = layer.cells
    values += 16 * sum(moving_cells.values())
    maps = fit.batch_size * (2 if is_bfloat16 else 4) * values
    if model.prior:
        maps = max(maps, analysis_memory_bytes(model))
    return _BASE_BYTES + frames + parameters + maps
