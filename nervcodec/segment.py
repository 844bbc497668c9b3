"""One group of frames <-> one segment of the file: fit, prune, quantize and code it; decode it again.

Top-level functions with picklable arguments, so that any ordered map can run them. Measuring a file and decoding it
both go through decode_segment: one batch size, one memory layout, float32 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nervcodec.coding.quantizer import MAX_STEP_CODE, code_from_step, quantize, step_from_code
from nervcodec.coding.range_coder import Coded
from nervcodec.coding.streams import decode_parameters, entropy_bytes, segment_of
from nervcodec.config import FitConfig
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.fit import Fitter
from nervcodec.fitstate import Checkpoint, Fitted, Gauges, Keeper, OnProgress, silent
from nervcodec.format import tensors
from nervcodec.format.container import Segment
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.video_format import ColorTags
from nervcodec.nn.network import is_shared
from nervcodec.nn.planes import pack
from nervcodec.prune import magnitude_mask
from nervcodec.quality.metrics import frame_rgb_db
from nervcodec.quantize import writable_steps
from nervcodec.refine import REFINE, Refiner
from nervcodec.video.frames import Frames

# How near to its target a fit has to end (share of the size, dB; a little less than is promised), by which shares of a
# step its rounding may be biased for that (the least that does is taken), and by how many codes steps may move.
_SIZE_TOLERANCE, _PSNR_TOLERANCE = 0.018, 0.18
_MAX_CODES = 4
_BIASES = tuple(0.0025 * 1.5**k for k in range(12))


@dataclass(frozen=True)
class FitSummary:
    """What became of a fit. sparsity: share of zero symbols; entropy_bytes: sum of the tensors' order-0 entropies."""

    n_rollbacks: int
    sparsity: float
    entropy_bytes: float


def encode_segment(frames: Frames, shots: Shots | None, model: ModelConfig, fit: FitConfig, device: str = "cpu",
                   on_progress: OnProgress = silent, color: ColorTags = ColorTags(), keeper: Keeper | None = None,
                   checkpoint: Checkpoint | None = None,
                   weights: NDArray[np.float32] | None = None) -> tuple[Segment, FitSummary]:
    """Fits the model to the frames (already in the model's colorspace) and codes it.

    Args:
        shots: of the frames; None takes them for one.
        color: what the RGB of a target_psnr is converted by.
        keeper, checkpoint: takes the fit's checkpoints; where it goes on.
        weights: as from shared_weights; the fit starts from them.
    Raises:
        FitError: the fit kept diverging.
    """
    shots = shots or (frames.n_frames,)
    gauges = _gauges(frames, shots, model, color, device)
    target = torch.from_numpy(pack(frames, model)).to(device)
    fitter = Fitter(model, fit, target, on_progress, gauges, keeper, checkpoint, weights, shots)
    if checkpoint and checkpoint.numbers["stage"] == REFINE:
        fitted = Refiner.restored(fitter, checkpoint).run()
    else:
        fitted = fitter.run(lambda parameters: magnitude_mask(parameters, fitter.network.tensors, fit.prune))
        if fit.is_refinable:
            fitted = Refiner(fitter, fitted).run()
    if fit.target_bpp:
        n_bits = fit.target_bpp * fitter.n_pixels
        fitted = nearest_to(fitted, fitter.sizes, len(fitter.keys), lambda found: gauges.bits(found) / n_bits - 1,
                            _SIZE_TOLERANCE, _MAX_CODES)
    elif fit.target_psnr:
        goal = fit.target_psnr
        fitted = nearest_to(fitted, fitter.sizes, len(fitter.keys), lambda found: gauges.rgb_db(found) - goal,
                            _PSNR_TOLERANCE)
    coded = quantized(fitted, model, shots)
    zeros = sum(int((group.symbols == 0).sum()) for group in coded)
    return segment_of(coded, model, shots), FitSummary(
        fitted.n_rollbacks, zeros / fitted.parameters.numel(), entropy_bytes(model, shots, coded))


def _gauges(frames: Frames, shots: Shots, model: ModelConfig, color: ColorTags, device: str) -> Gauges:
    """What a fit's segment would take and how near its frames would be, got by coding and by decoding it."""
    def segment(fitted: Fitted) -> Segment:
        return segment_of(quantized(fitted, model, shots), model, shots)

    def rgb_db(fitted: Fitted) -> float:
        decoded = Frames.concatenate(list(decode_segment(segment(fitted), model, device=device)))
        return float(frame_rgb_db(frames, decoded, color).mean())

    return Gauges(lambda fitted: 8.0 * sum(map(len, segment(fitted).streams)), rgb_db)


def nearest_to(fitted: Fitted, sizes: Sequence[int], n_keyed: int, error_of: Callable[[Fitted], float],
               tolerance: float, max_codes: int = 0) -> Fitted:
    """The fit with its rounding biased towards or away from zero, so that it meets its target.

    A last resort: a fit bears no change of its rounding, half a decibel for 1 % (docs/ablation.md). What changes are
    the symbols that were least sure, those nearest to a boundary; only where this does not suffice all steps become
    some codes larger or smaller, which rounds everything anew.

    Args:
        sizes: the groups'; n_keyed: how many of the first of them have keys.
        error_of: by how much a fit is too large or too good; it falls as the bias and the steps grow.
        tolerance: the error that is good enough.
        max_codes: by how many codes steps may move.
    """
    best, best_error = fitted, error_of(fitted)
    direction = 1 if best_error > 0 else -1
    for codes in range(max_codes + 1):
        stepped = with_steps(fitted, direction * codes)
        for bias in _BIASES:
            if abs(best_error) <= tolerance:
                return best
            trial = biased(stepped, sizes, n_keyed, direction * bias)
            error = error_of(trial)
            if abs(error) < abs(best_error):
                best, best_error = trial, error
    return best


def with_steps(fitted: Fitted, codes: int) -> Fitted:
    """The fit with all steps moved by so many codes."""
    moved = [code_from_step(math.exp(log_step)) + codes for log_step in fitted.log_steps.tolist()]
    steps = [step_from_code(min(max(code, 0), MAX_STEP_CODE)) for code in moved]
    return replace(fitted, log_steps=torch.tensor(steps).log())


def biased(fitted: Fitted, sizes: Sequence[int], n_keyed: int, bias: float) -> Fitted:
    """The fit with the parameters of all groups but grids moved towards zero, at most to it, by a share of a step."""
    sizes_, steps = torch.tensor(sizes), writable_steps(fitted.log_steps.exp()).cpu()
    steps[:n_keyed] = 0.0
    parameters = fitted.parameters.cpu()
    magnitudes = parameters.abs() - bias * torch.repeat_interleave(steps, sizes_)
    return replace(fitted, parameters=parameters.sign() * magnitudes.clamp_min(0))


def quantized(fitted: Fitted, model: ModelConfig, shots: Shots) -> list[Coded]:
    """Symbols and step code of every group, in coded order."""
    values = fitted.parameters.cpu().numpy()
    steps = writable_steps(fitted.log_steps.exp()).cpu().tolist()
    coded, start = [], 0
    for group, step in zip(tensors.groups(model, shots), steps, strict=True):
        code = code_from_step(step)
        symbols = quantize(values[start:start + group.size], step_from_code(code), model.max_symbol, group.keys)
        coded.append(Coded(symbols, code))
        start += group.size
    return coded


def shared_weights(segment: Segment, model: ModelConfig) -> NDArray[np.float32] | None:
    """What a fit of another segment may start from: all parameters that belong to no moment, float32 [n].

    None with the paper's stem, whose recipe starts at random.
    """
    if model.stem == "mlp":
        return None
    return decode_parameters(segment, model)[is_shared(tensors.tensors(model, segment.shots))]
