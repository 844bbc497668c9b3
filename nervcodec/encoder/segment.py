"""One group of frames -> one segment of the file: fit, prune, quantize and code it.

Top-level functions with picklable arguments, so that any ordered map can run them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nervcodec.coding.quantizer import code_from_step, quantize, step_from_code
from nervcodec.coding.range_coder import Coded
from nervcodec.coding.streams import decode_parameters, entropy_bytes, segment_of
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.format import tensors
from nervcodec.format.container import Segment
from nervcodec.format.model_config import MlpStem, ModelConfig, Shots
from nervcodec.format.video_format import ColorTags
from nervcodec.nn.network import is_shared
from nervcodec.nn.planes import pack
from nervcodec.quality.metrics import frame_rgb_db
from nervcodec.training.config import FitConfig
from nervcodec.training.final_rounding import nearest_to
from nervcodec.training.pruning import magnitude_mask
from nervcodec.training.rdoq import REFINE, Refiner
from nervcodec.training.soft_quantizer import writable_steps
from nervcodec.training.state import Checkpoint, Fitted, Gauges, Keeper, OnProgress, silent
from nervcodec.training.trainer import Fitter
from nervcodec.video.frames import Frames

# How near to its target a fit has to end (share of the size, dB; a little less than is promised),
# by which shares of a step its rounding may be biased for that (the least that does is taken), and
# by how many codes steps may move.
_SIZE_TOLERANCE, _PSNR_TOLERANCE = 0.018, 0.18
_MAX_CODES = 4


@dataclass(frozen=True)
class FitSummary:
    """What became of a fit. sparsity: share of zero symbols; entropy_bytes: sum of the tensors'
    order-0 entropies.
    """

    n_rollbacks: int
    sparsity: float
    entropy_bytes: float


def encode_segment(
    frames: Frames,
    shots: Shots | None,
    model: ModelConfig,
    fit: FitConfig,
    device: str = "cpu",
    on_progress: OnProgress = silent,
    color: ColorTags = ColorTags(),
    keeper: Keeper | None = None,
    checkpoint: Checkpoint | None = None,
    weights: NDArray[np.float32] | None = None,
) -> tuple[Segment, FitSummary]:
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
        fitted = fitter.run(
            lambda parameters: magnitude_mask(parameters, fitter.network.tensors, fit.prune)
        )
        if fit.is_refinable:
            fitted = Refiner(fitter, fitted).run()
    if fit.target_bpp:
        n_bits = fit.target_bpp * fitter.n_pixels
        fitted = nearest_to(
            fitted,
            fitter.sizes,
            len(fitter.keys),
            lambda found: gauges.bits(found) / n_bits - 1,
            _SIZE_TOLERANCE,
            _MAX_CODES,
        )
    elif fit.target_psnr:
        goal = fit.target_psnr
        fitted = nearest_to(
            fitted,
            fitter.sizes,
            len(fitter.keys),
            lambda found: gauges.rgb_db(found) - goal,
            _PSNR_TOLERANCE,
        )
    coded = quantized(fitted, model, shots)
    zeros = sum(int((group.symbols == 0).sum()) for group in coded)
    return segment_of(coded, model, shots), FitSummary(
        fitted.n_rollbacks, zeros / fitted.parameters.numel(), entropy_bytes(model, shots, coded)
    )


def _gauges(
    frames: Frames, shots: Shots, model: ModelConfig, color: ColorTags, device: str
) -> Gauges:
    """What a fit's segment would take and how near its frames would be, got by coding and by
    decoding it.
    """

    def segment(fitted: Fitted) -> Segment:
        return segment_of(quantized(fitted, model, shots), model, shots)

    def rgb_db(fitted: Fitted) -> float:
        decoded = Frames.concatenate(list(decode_segment(segment(fitted), model, device=device)))
        return float(frame_rgb_db(frames, decoded, color).mean())

    return Gauges(lambda fitted: 8.0 * sum(map(len, segment(fitted).streams)), rgb_db)


def quantized(fitted: Fitted, model: ModelConfig, shots: Shots) -> list[Coded]:
    """Symbols and step code of every group, in coded order."""
    values = fitted.parameters.cpu().numpy()
    steps = writable_steps(fitted.log_steps.exp()).cpu().tolist()
    coded, start = [], 0
    for group, step in zip(tensors.groups(model, shots), steps, strict=True):
        code = code_from_step(step)
        symbols = quantize(
            values[start : start + group.size], step_from_code(code), model.max_symbol, group.keys
        )
        coded.append(Coded(symbols, code))
        start += group.size
    return coded


def shared_weights(segment: Segment, model: ModelConfig) -> NDArray[np.float32] | None:
    """What a fit of another segment may start from: all parameters that belong to no moment,
    float32 [n].

    None with the paper's stem, whose recipe starts at random.
    """
    if isinstance(model.stem, MlpStem):
        return None
    return decode_parameters(segment, model)[is_shared(tensors.tensors(model, segment.shots))]
