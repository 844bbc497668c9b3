"""One optimizer step, the epoch that it belongs to, and what is told of it."""

from __future__ import annotations

import math
import time
from functools import partial

import torch
from torch import Tensor

from nervcodec.coding.quantizer import step_from_code
from nervcodec.nn.cuda_graphs import Recorder
from nervcodec.training.context import TrainingContext
from nervcodec.training.losses import l1_ssim
from nervcodec.training.soft_quantizer import SoftQuantizer, covering_steps
from nervcodec.training.state import Progress, StageName, TrainingState

_REPORT_EVERY_S = 0.5


class OptimizerStep:
    """Steps on a state's parameters; on a GPU they are replayed as CUDA graphs."""

    def __init__(self, context: TrainingContext, state: TrainingState) -> None:
        self.context = context
        self.state = state
        self.quantizer = SoftQuantizer(
            context.sizes, context.model.max_symbol, state.log_steps, context.keys
        )
        self._recorder = Recorder(context.device, [state.noise])

    def forget(self) -> None:
        """Drop the CUDA graphs: tensors that they used were replaced."""
        self._recorder.forget()

    def __call__(self, frames: Tensor, rate: float, is_rounding: bool) -> Tensor:
        """Make a step on a batch.

        Args:
            frames: their numbers, int64 [B].
            rate: what the configured learning rates are multiplied by.
            is_rounding: whether weights are rounded in the forward pass.
        Returns:
            (distortion, mean squared error) times the frames, and bits; detached, float32 [3].
        """
        return self._recorder.call(
            (is_rounding, len(frames)),
            partial(self._update, is_rounding),
            frames,
            rate,
            self.state.rate_weight / self.context.n_pixels,
        )

    def _update(
        self, is_rounding: bool, frames: Tensor, rate: Tensor, bit_weight: Tensor
    ) -> Tensor:
        """Do on the device what a step does; see __call__.

        Args:
            rate: a scalar.
            bit_weight: what a bit costs in distortion, a scalar.
        """
        context = self.context
        values, bits = self._forward_values(is_rounding)
        # The decoder's arithmetic, once the weights are those that it will see: a network fitted to
        # weights that bfloat16 has rounded once more loses 0.7 dB in float32 (docs/lab L039).
        dtype = torch.float32 if is_rounding else getattr(torch, context.fit.precision)
        parameters = context.network.split(values, dtype)
        target = context.target[frames].float() / context.model.peak
        output = context.network(parameters, frames)
        plane_errors = (output - target).square().mean(dim=(0, 2, 3))
        distortion = self.distortion(output, target, plane_errors)
        loss = distortion + bits * bit_weight
        loss.backward()  # type: ignore[no-untyped-call]
        self.state.optimizer.step(rate)
        main_error = plane_errors[: context.n_main_planes].mean()
        errors = torch.stack([distortion, main_error]) * len(frames)
        return torch.cat([errors, bits[None]]).detach()

    def distortion(self, output: Tensor, target: Tensor, plane_errors: Tensor) -> Tensor:
        """Return what is minimised besides bits, a scalar.

        Args:
            output, target: float32 [B, n_planes, plane_height, plane_width].
            plane_errors: the planes' mean squared errors, [n_planes].
        """
        if self.context.fit.loss == "mse":
            return plane_errors @ self.context.plane_weights
        return l1_ssim(output, target)

    def _forward_values(self, is_rounding: bool) -> tuple[Tensor, Tensor]:
        """Return the values of the forward pass, float32 [n_parameters], and their estimated bits.

        The bits are 0 without a rate term.
        """
        state = self.state
        has_rate = self.context.fit.rate_weight > 0
        parameters = state.masked(state.parameters)
        nothing = torch.zeros((), device=parameters.device)
        if not is_rounding and not has_rate:
            return parameters, nothing
        if is_rounding:
            values, symbols = self.quantizer.rounded(parameters)
        else:
            noise = torch.empty_like(parameters).uniform_(-0.5, 0.5, generator=state.noise)
            values, symbols = self.quantizer.noisy(parameters, state.masked(noise))
        return values, self.quantizer.rate_bits(symbols) if has_rate else nothing


def cover(context: TrainingContext, state: TrainingState) -> None:
    """Set the steps so that every group's range is just covered."""
    codes = covering_steps(
        state.masked(state.parameters), context.sizes, context.model.max_symbol, len(context.keys)
    )
    with torch.no_grad():
        state.log_steps.copy_(torch.tensor([math.log(step_from_code(code)) for code in codes]))


def next_batch(context: TrainingContext, state: TrainingState) -> Tensor:
    """Return the numbers of the next batch's frames, int64 [B]; draw an order for a new epoch."""
    if state.n_batches == 0:
        state.frame_order.copy_(torch.randperm(context.n_frames, generator=state.order))
    start = state.n_batches * context.fit.batch_size
    state.n_batches += 1
    return state.frame_order[start : start + context.fit.batch_size]


def end_epoch(context: TrainingContext, state: TrainingState) -> tuple[float, float]:
    """Note the epoch's PSNR and make ready for the next one.

    Returns:
        The mean distortion, NaN if a parameter is not finite, and the estimated bytes.
    """
    distortion, error, bits = state.sums.tolist()
    state.sums.zero_()
    state.n_batches = 0
    n_frames = context.n_frames
    state.psnr_db = -10 * math.log10(error / n_frames) if error > 0 else None
    is_finite = bool(state.parameters.isfinite().all())
    return distortion / n_frames if is_finite else math.nan, bits / context.steps_per_epoch / 8


class Clock:
    """Counts a stage's seconds into the state, and says when to report."""

    def __init__(self) -> None:
        self._last = self._reported = time.monotonic()

    def tick(self, state: TrainingState) -> bool:
        """Count the time since the last tick; return whether a report is due."""
        now = time.monotonic()
        state.seconds += now - self._last
        self._last = now
        is_due = now - self._reported > _REPORT_EVERY_S
        if is_due:
            self._reported = now
        return is_due


def progress_of(
    context: TrainingContext, state: TrainingState, stage: StageName, epoch: int, n_epochs: int
) -> Progress:
    """Return where a stage of optimizer steps stands, with the time that all stages will take."""
    fit, n_done = context.fit, state.n_steps_done
    n_left = (fit.total_epochs + fit.n_rdoq_passes) * context.steps_per_epoch - n_done
    return Progress(
        stage,
        epoch,
        n_epochs,
        n_done * fit.batch_size / max(state.seconds, 1e-9),
        state.psnr_db,
        max(n_left, 0) * state.seconds / max(n_done, 1),
        state.n_bytes,
    )
