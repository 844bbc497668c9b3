"""Overfits one model to one segment: the training loop (arXiv 2402.18305, section 4; its recipe is preset `paper-*`).

A fit has one or two stages. In each, the learning rate warms up and falls along a cosine; in the last one the forward
pass rounds the weights from `round_from` on. With a rate weight the loss is distortion + weight * estimated bits per
pixel, every group's step is learned and uniform noise stands in for the rounding until then. Towards a target size or
PSNR the weight is steered (ratecontrol.py).
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils.deterministic
from torch import Tensor

from . import architecture
from .config import FitConfig, ModelConfig
from .errors import FitError
from .model import Network
from .optim import Optimizer, rate_factor
from .quantize import SoftQuantizer, covering_steps, step_from_code
from .ratecontrol import (IDLE_LOOKS, PSNR_LAW, PSNR_LOOKS, SIZE_LAW, SIZE_LOOKS, RateControl, is_due, psnr_error,
                          size_error)

MAX_ROLLBACKS = 3
_DROP = 10.0  # a distortion this many times the best since the warm-up (10 dB) is a divergence


@dataclass(frozen=True)
class Progress:
    """Where a fit stands.

    psnr_db: of the last full epoch's training frames, luma or RGB; n_bytes: about what the parameters would take, with
    a rate weight; both None before the first epoch's end.
    """

    stage: str
    epoch: int
    n_epochs: int
    frames_fps: float
    psnr_db: float | None
    eta_s: float
    n_bytes: float | None = None


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """An OnProgress that ignores everything."""


@dataclass
class Fitted:
    """Parameters float32 [n_parameters], ln(step) float32 [n_groups] and how often the fit was rolled back."""

    parameters: Tensor
    log_steps: Tensor
    n_rollbacks: int = 0


@dataclass(frozen=True)
class Gauges:
    """What a fit would give if it ended now: the bits of its coded parameters, the RGB PSNR of its decoded frames."""

    bits: Callable[[Fitted], float]
    rgb_db: Callable[[Fitted], float]


class Fitter:
    """Fits the network of one segment to its frames.

    Args:
        model, fit: the configurations.
        target: uint8 [n_frames, n_planes, plane_height, plane_width] on the device to fit on (model.pack).
        on_progress: called at most twice a second and at each epoch's end.
        gauges: what estimates are corrected by; with a target they are needed.
    """

    def __init__(self, model: ModelConfig, fit: FitConfig, target: Tensor, on_progress: OnProgress = silent,
                 gauges: Gauges | None = None) -> None:
        self.model, self.fit, self.target, self.on_progress, self.gauges = model, fit, target, on_progress, gauges
        assert gauges or not fit.has_target
        self.n_frames = len(target)
        self.network = Network(model, self.n_frames, target.device)
        groups = architecture.groups(model, self.n_frames)
        self.sizes, self.lags = [group.size for group in groups], [group.lag for group in groups if group.lag]
        self.random = torch.Generator().manual_seed(fit.seed)
        self.noise = torch.Generator(target.device).manual_seed(fit.seed)
        self.plane_weights = _plane_weights(model, fit).to(target.device)
        self.n_pixels = self.n_frames * model.width * model.height
        self.rate_weight = fit.rate_weight
        self.n_steps_done, self.seconds = 0, 0.0

    def start(self) -> Fitted:
        """Random parameters and the configured initial steps."""
        parameters = self.network.initial_parameters(self.random).to(self.target.device)
        log_step = math.log(self.fit.initial_step)
        return Fitted(parameters, torch.full((len(self.sizes),), log_step, device=self.target.device))

    def overfit(self, start: Fitted, mask: Tensor | None = None) -> Fitted:
        """Runs the next stage: the main one without, the fine-tuning one with a pruning mask [n_parameters].

        Raises:
            FitError: the fit diverged more than three times.
        """
        if self.n_steps_done == 0:
            stage = _Stage(self, "fit", self.fit.epochs, 1.0, self.fit.finetune_epochs == 0, start, mask)
        else:
            stage = _Stage(self, "finetune", self.fit.finetune_epochs, self.fit.finetune_rate, True, start, mask)
        with deterministic(self.target.device):
            return stage.run()


class _Stage:
    """One learning-rate cycle, epoch by epoch, that can fall back to the end of its last good epoch."""

    def __init__(self, fitter: Fitter, name: str, n_epochs: int, factor: float, is_last: bool, start: Fitted,
                 mask: Tensor | None) -> None:
        self.fitter, self.fit, self.name, self.n_epochs, self.mask = fitter, fitter.fit, name, n_epochs, mask
        self.parameters = start.parameters.detach().clone().requires_grad_()
        self.log_steps = start.log_steps.detach().clone().requires_grad_(self.fit.rate_weight > 0)
        self.quantizer = SoftQuantizer(fitter.sizes, fitter.model.max_symbol, self.log_steps, fitter.lags)
        self.optimizer = Optimizer(self.fit, self.parameters, self.log_steps, fitter.network.tensors)
        self.steps_an_epoch = -(-fitter.n_frames // self.fit.batch_size)
        self.n_steps = n_epochs * self.steps_an_epoch
        self.round_from = math.ceil(self.fit.round_from * self.n_steps) if is_last else self.n_steps
        self.factor, self.n_rollbacks = factor, start.n_rollbacks
        law = SIZE_LAW if self.fit.target_bpp else PSNR_LAW
        self.control = RateControl(fitter.rate_weight, law) if self.fit.has_target else None
        self.psnr_db: float | None = None
        self.n_bytes: float | None = None
        self.bytes_ratio, self.rgb_gap_db = 1.0, 0.0  # of the truth over the estimate, and between them

    def run(self) -> Fitted:
        epoch, best, was_rounding = 0, math.inf, False
        saved = self._state()
        while epoch < self.n_epochs:
            distortion = self._epoch(epoch)
            is_rounding = (epoch + 1) * self.steps_an_epoch > self.round_from
            if is_rounding != was_rounding or epoch < self.fit.warmup * self.n_epochs:
                best = math.inf  # a restart at the full rate and the first rounding may cost what they like
            if not distortion <= min(best * _DROP, sys.float_info.max):  # also true for NaN
                self._roll_back(saved, epoch)
                continue
            best, was_rounding, saved, epoch = min(best, distortion), is_rounding, self._state(), epoch + 1
        if self.round_from == self.n_steps and not self.fit.rate_weight:
            self._cover()
        return self._fitted()

    def _fitted(self) -> Fitted:
        return Fitted(self._masked(self.parameters.detach()), self.log_steps.detach(), self.n_rollbacks)

    def _masked(self, values: Tensor) -> Tensor:
        return values if self.mask is None else values * self.mask

    def _state(self) -> dict[str, Any]:
        return {"parameters": self.parameters.detach().clone(), "log_steps": self.log_steps.detach().clone(),
                "optimizer": self.optimizer.state(), "control": copy.copy(self.control)}

    def _roll_back(self, saved: dict[str, Any], epoch: int) -> None:
        if self.n_rollbacks == MAX_ROLLBACKS:
            raise FitError(f"the fit diverged {MAX_ROLLBACKS + 1} times, last in epoch {epoch + 1} of {self.n_epochs}"
                           f" at a learning rate of {self.factor * self.fit.learning_rate:g}; try a lower one")
        self.n_rollbacks += 1
        self.factor /= 2
        with torch.no_grad():
            self.parameters.copy_(saved["parameters"])
            self.log_steps.copy_(saved["log_steps"])
        self.optimizer.restore(saved["optimizer"])
        self.control = copy.copy(saved["control"])
        if self.control:
            self.fitter.rate_weight = self.control.weight

    def _epoch(self, epoch: int) -> float:
        """One pass over all frames in random order; returns the mean distortion, without syncing in between."""
        order = torch.randperm(self.fitter.n_frames, generator=self.fitter.random).to(self.fitter.target.device)
        total = torch.zeros((), device=order.device)
        errors = torch.zeros((), device=order.device)
        rates = torch.zeros((), device=order.device)
        reported = started = time.monotonic()
        for i, frames in enumerate(torch.split(order, self.fit.batch_size)):
            distortion, squared_error, bits = self._step(epoch * self.steps_an_epoch + i, frames)
            total += distortion * len(frames)
            errors += squared_error * len(frames)
            rates += bits
            if time.monotonic() - reported > 0.5:
                reported = time.monotonic()
                self._report(epoch, i + 1, started)
        mean = float(total) / self.fitter.n_frames if bool(self.parameters.isfinite().all()) else math.nan
        error = float(errors) / self.fitter.n_frames
        self.psnr_db = -10 * math.log10(error) if error > 0 else None
        if self.fit.rate_weight and math.isfinite(mean):
            self.n_bytes = self._weighed(epoch, float(rates) / self.steps_an_epoch / 8)
            if self.control:
                self._steer(self.control, epoch, self.n_bytes)
        self._report(epoch, self.steps_an_epoch, started)
        self.fitter.n_steps_done += self.steps_an_epoch
        self.fitter.seconds += time.monotonic() - started
        return mean

    def _weighed(self, epoch: int, estimate: float) -> float:
        """The parameters' bytes, from an epoch's estimate."""
        gauges = self.fitter.gauges
        if gauges and self._is_due(SIZE_LOOKS if self.fit.target_bpp else IDLE_LOOKS, epoch):
            self.bytes_ratio = gauges.bits(self._fitted()) / (8 * estimate)
        return self.bytes_ratio * estimate

    def _steer(self, control: RateControl, epoch: int, n_bytes: float) -> None:
        """Sets the rate weight of the next epoch."""
        progress, fit = (epoch + 1) / self.n_epochs, self.fit
        if fit.target_bpp:
            error = size_error(8 * n_bytes, fit.target_bpp * self.fitter.n_pixels)
        else:
            assert self.fitter.gauges
            psnr_db = self.psnr_db or math.inf
            if self._is_due(PSNR_LOOKS, epoch):
                self.rgb_gap_db = self.fitter.gauges.rgb_db(self._fitted()) - psnr_db
            error = psnr_error(control.expected_db(progress, psnr_db + self.rgb_gap_db), fit.target_psnr)
        control.observe(progress, error)
        self.fitter.rate_weight = control.weight

    def _is_due(self, looks: Sequence[float], epoch: int) -> bool:
        return is_due(looks, epoch / self.n_epochs, (epoch + 1) / self.n_epochs)

    def _step(self, step: int, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One optimizer step on a batch; returns (distortion, mean squared error, bits), detached scalars."""
        if step == self.round_from and not self.fit.rate_weight:
            self._cover()
        is_rounding = step >= self.round_from
        values, bits = self._forward_values(is_rounding)
        # The decoder's arithmetic, once the weights are those that it will see: a network fitted to weights that
        # bfloat16 has rounded once more loses 0.7 dB in float32.
        dtype = torch.float32 if is_rounding else getattr(torch, self.fit.precision)
        parameters = self.fitter.network.split(values.to(dtype))
        target = self.fitter.target[frames].float() / 255
        output = self.fitter.network(parameters, frames)
        distortion = self._distortion(output, target)
        loss = distortion + bits * (self.fitter.rate_weight / self.fitter.n_pixels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(self.factor * rate_factor(step / self.n_steps, self.fit.warmup))
        with torch.no_grad():
            n_main = 4 if self.fitter.model.colorspace == "yuv" else 3
            squared_error = (output[:, :n_main] - target[:, :n_main]).square().mean()
        return distortion.detach(), squared_error, bits.detach()

    def _forward_values(self, is_rounding: bool) -> tuple[Tensor, Tensor]:
        """The values that the forward pass uses, float32 [n_parameters], and their estimated bits (0 if unused)."""
        parameters = self._masked(self.parameters)
        nothing = torch.zeros((), device=parameters.device)
        if not is_rounding and not self.fit.rate_weight:
            return parameters, nothing
        if is_rounding:
            values, symbols = self.quantizer.rounded(parameters)
        else:
            noise = torch.rand(parameters.shape, generator=self.fitter.noise, device=parameters.device) - 0.5
            values, symbols = self.quantizer.noisy(parameters, self._masked(noise))
        return values, self.quantizer.rate_bits(symbols) if self.fit.rate_weight else nothing

    def _cover(self) -> None:
        """Sets the steps so that every group's range is just covered."""
        codes = covering_steps(self._masked(self.parameters), self.fitter.sizes, self.fitter.model.max_symbol,
                               self.fitter.lags)
        with torch.no_grad():
            self.log_steps.copy_(torch.tensor([math.log(step_from_code(code)) for code in codes]))

    def _distortion(self, output: Tensor, target: Tensor) -> Tensor:
        if self.fit.loss == "mse":
            return (output - target).square().mean(dim=(0, 2, 3)) @ self.fitter.plane_weights
        return 0.7 * (output - target).abs().mean() + 0.3 * (1 - ssim(output, target))

    def _report(self, epoch: int, n_steps_in_epoch: int, epoch_started: float) -> None:
        fitter = self.fitter
        seconds = fitter.seconds + time.monotonic() - epoch_started
        n_done = fitter.n_steps_done + n_steps_in_epoch
        n_left = self.fit.total_epochs * self.steps_an_epoch - n_done
        fps = n_done * self.fit.batch_size / max(seconds, 1e-9)
        done = epoch + (n_steps_in_epoch == self.steps_an_epoch)
        fitter.on_progress(Progress(self.name, done, self.n_epochs, fps, self.psnr_db,
                                    max(n_left, 0) * seconds / max(n_done, 1), self.n_bytes))


def _plane_weights(model: ModelConfig, fit: FitConfig) -> Tensor:
    """Weight of each plane's mean squared error: the four luma phases share one plane's."""
    if model.colorspace == "rgb":
        return torch.full((3,), 1 / 3)
    return torch.tensor([0.25] * 4 + list(fit.chroma_weights))


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Mean SSIM of two batches in [0, 1] by pytorch-msssim.

    The window shrinks below 11 where the frame is smaller; a side of one pixel, which it cannot take, is doubled.
    """
    from pytorch_msssim import ssim as pytorch_ssim
    for axis in (-2, -1):
        if output.shape[axis] == 1:
            output, target = (torch.cat([batch, batch], axis) for batch in (output, target))
    side = min(11, *output.shape[-2:])
    value: Tensor = pytorch_ssim(output, target, data_range=1.0, win_size=side - 1 + side % 2)
    return value


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On the CPU: the same seed and number of threads give the same fit, bit for bit."""
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    before = torch.are_deterministic_algorithms_enabled(), fill
    torch.use_deterministic_algorithms(before[0] or device.type == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]  # type: ignore[attr-defined]
