"""One group of frames -> one segment of the file: fit, prune, quantize and code it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nervcodec.coding.quantizer import code_from_step, quantize, step_from_code
from nervcodec.coding.range_coder import Coded
from nervcodec.coding.streams import decode_parameters, entropy_bytes, segment_of
from nervcodec.decoder.reconstruct import Watch, decode_segment
from nervcodec.format import tensors
from nervcodec.format.file import Segment
from nervcodec.format.model_config import MIN_FRACTION_BITS, MlpStem, ModelConfig, Shots
from nervcodec.format.video_format import ColorTags
from nervcodec.nn.network import is_shared
from nervcodec.nn.planes import pack
from nervcodec.quality.metrics import frame_rgb_db
from nervcodec.training.config import FitConfig
from nervcodec.training.context import ExactMeasures, Solution, TrainingContext
from nervcodec.training.soft_quantizer import writable_steps
from nervcodec.training.state import Checkpoint, Progress
from nervcodec.training.trainer import Trainer
from nervcodec.video.frames import Frames


@dataclass(frozen=True)
class FitSummary:
    """What became of a fit.

    Attributes:
        n_rollbacks: how often it fell back to an earlier epoch.
        sparsity: share of zero symbols.
        entropy_bytes: sum of the tensors' order-0 entropies.
    """

    n_rollbacks: int
    sparsity: float
    entropy_bytes: float


class SegmentFit:
    """The fit of one segment, which can be paused after any step and gone on with later.

    Args:
        frames: in the model's colorspace.
        shots: of the frames; None takes them for one.
        model, fit: the configurations.
        device: where to fit.
        color: what the RGB of a target PSNR is converted by.
        checkpoint: where to go on.
        weights: as from shared_weights; the fit starts from them.
        counts: how often each frame is shown, which a target PSNR is a mean over; None for once.
    """

    def __init__(
        self,
        frames: Frames,
        shots: Shots | None,
        model: ModelConfig,
        fit: FitConfig,
        device: str = "cpu",
        color: ColorTags = ColorTags(),
        checkpoint: Checkpoint | None = None,
        weights: NDArray[np.float32] | None = None,
        counts: Sequence[int] | None = None,
    ) -> None:
        self._model = model
        self._shots = shots or (frames.n_frames,)
        measures = exact_measures(frames, self._shots, model, color, device, counts)
        target = torch.from_numpy(pack(frames, model)).to(device)
        context = TrainingContext.create(model, fit, target, measures, self._shots, weights)
        self._trainer = Trainer(context, checkpoint)

    def run(self) -> Iterator[Progress | None]:
        """Yield after every step or batch: where the fit stands, None where that is not new.

        Raises:
            FitError: the fit kept diverging.
        """
        return self._trainer.run()

    def checkpoint(self) -> Checkpoint:
        """Return where the fit stood at the last yield of run; there must have been one."""
        return self._trainer.checkpoint()

    def result(self) -> tuple[Segment, FitSummary]:
        """Return the coded segment, once run has ended."""
        state = self._trainer.state
        coded = quantized(state.solution(), self._model, self._shots)
        n_zeros = sum(int((group.symbols == 0).sum()) for group in coded)
        summary = FitSummary(
            state.n_rollbacks,
            n_zeros / state.parameters.numel(),
            entropy_bytes(self._model, self._shots, coded),
        )
        return segment_of(coded, self._model, self._shots), summary


def encode_segment(
    frames: Frames,
    shots: Shots | None,
    model: ModelConfig,
    fit: FitConfig,
    device: str = "cpu",
    on_progress: Callable[[Progress], object] | None = None,
    color: ColorTags = ColorTags(),
    weights: NDArray[np.float32] | None = None,
) -> tuple[Segment, FitSummary]:
    """Fit the model to the frames in one go and code it; see SegmentFit.

    Args:
        on_progress: called at most twice a second and at each epoch's end.
    Raises:
        FitError: the fit kept diverging.
    """
    segment_fit = SegmentFit(frames, shots, model, fit, device, color, weights=weights)
    for progress in segment_fit.run():
        if progress and on_progress:
            on_progress(progress)
    return segment_fit.result()


def exact_measures(
    frames: Frames,
    shots: Shots,
    model: ModelConfig,
    color: ColorTags,
    device: str,
    counts: Sequence[int] | None = None,
) -> ExactMeasures:
    """Return what measures a fit by coding and by decoding its segment.

    Args:
        frames, shots, model, color, device: as SegmentFit has them.
        counts: weights of the frames in the mean; None weighs them alike.
    """

    def segment(solution: Solution) -> Segment:
        return segment_of(quantized(solution, model, shots), model, shots)

    def bits(solution: Solution) -> float:
        return 8.0 * sum(map(len, segment(solution).streams))

    def rgb_db(solution: Solution) -> float:
        decoded = Frames.concatenate(unclipped_frames(segment(solution), model, device)[1])
        return float(np.average(frame_rgb_db(frames, decoded, color), weights=counts))

    return ExactMeasures(bits, rgb_db)


def unclipped_frames(
    segment: Segment, model: ModelConfig, device: str = "cpu"
) -> tuple[Segment, list[Frames]]:
    """Return a segment with few enough fraction bits that no feature map is clipped, and its
    frames.
    """
    watch = Watch()
    frames = list(decode_segment(segment, model, device, watch))
    if watch.is_clipped and (coarser := with_fewer_bits(segment)):
        return unclipped_frames(coarser, model, device)
    return segment, frames


def with_fewer_bits(segment: Segment) -> Segment | None:
    """Return a segment with a fraction bit less; None where it has the least that is legal."""
    bits = segment.fraction_bits - 1
    return replace(segment, fraction_bits=bits) if bits >= MIN_FRACTION_BITS else None


def quantized(solution: Solution, model: ModelConfig, shots: Shots) -> list[Coded]:
    """Return symbols and step code of every group, in coded order."""
    values = solution.parameters.cpu().numpy()
    steps = writable_steps(solution.log_steps.exp()).cpu().tolist()
    coded = []
    start = 0
    for group, step in zip(tensors.groups(model, shots), steps, strict=True):
        code = code_from_step(step)
        part = values[start : start + group.size]
        symbols = quantize(part, step_from_code(code), model.max_symbol, group.keys)
        coded.append(Coded(symbols, code))
        start += group.size
    return coded


def shared_weights(segment: Segment, model: ModelConfig) -> NDArray[np.float32] | None:
    """Return what a fit of another segment may start from, float32 [n].

    It is all parameters that belong to no moment; None with the paper's stem, whose recipe starts
    at random.
    """
    if isinstance(model.stem, MlpStem):
        return None
    of = tensors.tensors(model, segment.shots)
    return decode_parameters(segment, model)[is_shared(of)].astype(np.float32)
