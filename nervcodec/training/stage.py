"""One learning-rate cycle of a fit, epoch by epoch: its steps, their steering, settling,
checkpoints.

What the cycles of a fit share, its network, frames, random numbers and price of a bit, is the
fitter's (fit.py).
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nervcodec.coding.quantizer import code_from_step, step_from_code
from nervcodec.errors import FitError
from nervcodec.nn.cuda_graphs import Recorder
from nervcodec.training.losses import l1_ssim
from nervcodec.training.optimizers import Optimizer, peak_factor, rate_factor
from nervcodec.training.rate_control import (
    IDLE_LOOKS,
    PSNR_LOOKS,
    REFINING_RATE,
    SATURATED,
    SETTLING_CYCLES,
    SETTLING_RATE,
    SETTLING_SHARE,
    SIZE_LOOKS,
    RateControl,
    is_due,
    is_refinable,
    psnr_error,
    settling_factor,
    size_error,
)
from nervcodec.training.soft_quantizer import SoftQuantizer, covering_steps
from nervcodec.training.state import Checkpoint, Fitted, Progress

if TYPE_CHECKING:
    from nervcodec.training.trainer import Fitter

MAX_ROLLBACKS = 3
_DROP = 10.0  # a distortion this many times the best since the warm-up (10 dB) is a divergence


class Stage:
    """One learning-rate cycle, epoch by epoch, that can fall back to the end of its last good
    epoch.

    It stands after `n_batches` batches of epoch `epoch`, and can be taken down after any of them
    and set up again.
    """

    # What a checkpoint holds of this object, and of the fitter, as it is.
    _NUMBERS = (
        "epoch",
        "n_batches",
        "epoch_s",
        "factor",
        "n_rollbacks",
        "best",
        "was_rounding",
        "psnr_db",
        "n_bytes",
        "bytes_ratio",
        "rgb_gap_db",
        "settling_rate",
    )
    _FITTER_NUMBERS = ("rate_weight", "n_steps_done", "seconds")

    def __init__(
        self,
        fitter: Fitter,
        name: str,
        n_epochs: int,
        factor: float,
        is_last: bool,
        start: Fitted,
        mask: Tensor | None,
    ) -> None:
        self.fitter, self.fit, self.name, self.n_epochs, self.mask = (
            fitter,
            fitter.fit,
            name,
            n_epochs,
            mask,
        )
        self.parameters = start.parameters.detach().clone().requires_grad_()
        self.log_steps = start.log_steps.detach().clone().requires_grad_(self.fit.rate_weight > 0)
        self.quantizer = SoftQuantizer(
            fitter.sizes, fitter.model.max_symbol, self.log_steps, fitter.keys
        )
        self.optimizer = Optimizer(
            self.fit, self.parameters, self.log_steps, fitter.network.tensors
        )
        self.steps_an_epoch = -(-fitter.n_frames // self.fit.batch_size)
        self.n_steps = n_epochs * self.steps_an_epoch
        self.settling_epochs, self.settling_rate = (
            math.ceil(SETTLING_SHARE * n_epochs),
            SETTLING_RATE,
        )
        self.round_from = math.ceil(self.fit.round_from * self.n_steps) if is_last else self.n_steps
        self.control = RateControl(fitter.rate_weight, fitter.law) if self.fit.has_target else None
        self.factor = factor * peak_factor(self.n_steps, self.fit.rate_fall)
        self.n_rollbacks = start.n_rollbacks
        self.epoch, self.n_batches, self.epoch_s = 0, 0, 0.0
        self.order_state = fitter.random.get_state()
        self.recorder = Recorder(self.parameters.device, [fitter.noise])
        self.sums = torch.zeros(
            3, device=self.parameters.device
        )  # of distortion, squared error, bits in this epoch
        self.best, self.was_rounding = math.inf, False
        self.psnr_db: float | None = None
        self.n_bytes: float | None = None
        self.bytes_ratio, self.rgb_gap_db = (
            1.0,
            0.0,
        )  # of the truth over the estimate, and between them
        self.good = self._state()  # at the end of the last good epoch
        self.good_control = copy.copy(self.control)

    def run(self) -> Fitted:
        while self.epoch < self.n_epochs:
            distortion = self._epoch()
            is_rounding = (self.epoch + 1) * self.steps_an_epoch > self.round_from
            if is_rounding != self.was_rounding or self.epoch < self.fit.warmup * self.n_epochs:
                self.best = (
                    math.inf
                )  # a restart at the full rate and the first rounding may cost what they like
            if not distortion <= min(self.best * _DROP, sys.float_info.max):  # also true for NaN
                self._roll_back()
                continue
            self.best, self.was_rounding = min(self.best, distortion), is_rounding
            self.good, self.good_control = self._state(), copy.copy(self.control)
            self.epoch += 1
        if self.round_from == self.n_steps and not self.fit.rate_weight:
            self._cover()
        if self.control and self.round_from < self.n_steps:
            self._settle()
        return self._fitted()

    def _settle(self) -> None:
        """Goes on in short cycles at a low rate until the target is met, or what is left can be met
        by refinement.
        """
        end = self.n_epochs + SETTLING_CYCLES * self.settling_epochs
        while self.epoch < end:
            n_cycles, n_into = divmod(self.epoch - self.n_epochs, self.settling_epochs)
            if self.n_batches == 0 and n_into == 0:
                error = self.fitter.error(self._fitted())
                is_late = n_cycles >= SETTLING_CYCLES // 2
                is_left_to_refinement = is_late and self.fit.is_refinable and is_refinable(error)
                if abs(error) <= self.fitter.law.tolerance or is_left_to_refinement:
                    break
                self.fitter.rate_weight *= settling_factor(error)
                if self.fit.target_bpp and error < (0 if is_late else SATURATED):
                    self._refine_steps()
            self._epoch()
            self.epoch += 1

    def _refine_steps(self) -> None:
        """Makes all steps one code smaller, for the fit to go on from there: no price fills the
        bytes that are left.
        """
        self.settling_rate = REFINING_RATE
        codes = [
            max(code_from_step(math.exp(log_step)) - 1, 0) for log_step in self.log_steps.tolist()
        ]
        with torch.no_grad():
            self.log_steps.copy_(torch.tensor([math.log(step_from_code(code)) for code in codes]))

    def _fitted(self) -> Fitted:
        return Fitted(
            self._masked(self.parameters.detach()), self.log_steps.detach(), self.n_rollbacks
        )

    def _masked(self, values: Tensor) -> Tensor:
        return values if self.mask is None else values * self.mask

    def _state(self) -> dict[str, Tensor]:
        return {
            "parameters": self.parameters.detach().clone(),
            "log_steps": self.log_steps.detach().clone(),
            **self.optimizer.state(),
        }

    def _set_state(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            self.parameters.copy_(state["parameters"])
            self.log_steps.copy_(state["log_steps"])
        self.optimizer.restore(state)
        self.recorder.forget()

    def _roll_back(self) -> None:
        if self.n_rollbacks == MAX_ROLLBACKS:
            raise FitError(
                f"the fit diverged {MAX_ROLLBACKS + 1} times, last in epoch {self.epoch + 1} of "
                f"{self.n_epochs} at a learning rate of {self.factor * self.fit.learning_rate:g}; "
                "try a lower one"
            )
        self.n_rollbacks += 1
        self.factor /= 2
        self._set_state(self.good)
        self.control = copy.copy(self.good_control)
        if self.control:
            self.fitter.rate_weight = self.control.weight

    def checkpoint(self) -> Checkpoint:
        """Where the stage stands after the last step."""
        numbers = {
            "stage": self.name,
            "progress": asdict(self._progress(self.epoch)),
            **{name: getattr(self, name) for name in self._NUMBERS},
            **{name: getattr(self.fitter, name) for name in self._FITTER_NUMBERS},
        }
        for name, control in (("control", self.control), ("good_control", self.good_control)):
            numbers[name] = control.state() if control else None
        arrays = {
            "sums": self.sums.clone(),
            "order": self.order_state,
            "noise": self.fitter.noise.get_state(),
            **({} if self.mask is None else {"mask": self.mask}),
            **{f"now.{name}": value for name, value in self._state().items()},
            **{f"good.{name}": value for name, value in self.good.items()},
        }
        return Checkpoint(numbers, {name: value.cpu() for name, value in arrays.items()})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Stands where the checkpoint was taken."""
        numbers, arrays = checkpoint.numbers, checkpoint.arrays
        for name in self._NUMBERS:
            setattr(self, name, numbers[name])
        for name in self._FITTER_NUMBERS:
            setattr(self.fitter, name, numbers[name])
        self.control, self.good_control = (
            RateControl(law=self.fitter.law, **numbers[name]) if numbers[name] else None
            for name in ("control", "good_control")
        )
        self.sums.copy_(arrays["sums"])
        self.order_state = arrays["order"]
        self.fitter.random.set_state(self.order_state)
        self.fitter.noise.set_state(arrays["noise"])
        self._set_state(checkpoint.part("now."))
        self.good = {
            name: value.to(self.parameters.device)
            for name, value in checkpoint.part("good.").items()
        }

    def _epoch(self) -> float:
        """One pass over all frames in random order; returns the mean distortion, without syncing in
        between.
        """
        fitter, epoch = self.fitter, self.epoch
        self.order_state = fitter.random.get_state()
        order = torch.randperm(fitter.n_frames, generator=fitter.random).to(fitter.target.device)
        reported = time.monotonic()
        started = reported - self.epoch_s
        for frames in torch.split(order, self.fit.batch_size)[self.n_batches :]:
            step = epoch * self.steps_an_epoch + self.n_batches
            self.sums += self._step(step, frames)
            self.n_batches += 1
            if time.monotonic() - reported > 0.5:
                reported = time.monotonic()
                self._report(self.n_batches, reported - started)
            if fitter.keeper and fitter.keeper.is_due():
                self.epoch_s = time.monotonic() - started
                fitter.keeper.keep(self.checkpoint())
        distortion, error, bits = self.sums.tolist()
        mean = distortion / fitter.n_frames if bool(self.parameters.isfinite().all()) else math.nan
        self.psnr_db = -10 * math.log10(error / fitter.n_frames) if error > 0 else None
        if self.fit.rate_weight and math.isfinite(mean):
            self.n_bytes = self._weighed(epoch, bits / self.steps_an_epoch / 8)
            if self.control and epoch < self.n_epochs:
                self._steer(self.control, epoch, self.n_bytes)
        self._report(self.steps_an_epoch, time.monotonic() - started)
        fitter.n_steps_done += self.steps_an_epoch
        fitter.seconds += time.monotonic() - started
        self.n_batches, self.epoch_s = 0, 0.0
        self.sums.zero_()
        return mean

    def _weighed(self, epoch: int, estimate: float) -> float:
        """The parameters' bytes, from an epoch's estimate."""
        gauges = self.fitter.gauges
        n_rounding = (
            epoch - self.round_from // self.steps_an_epoch
        )  # epochs before this one with rounded weights
        looks = SIZE_LOOKS if self.fit.target_bpp else IDLE_LOOKS
        if gauges and (n_rounding in (0, 1) or self._is_due(looks, epoch)):
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
            error = psnr_error(
                control.expected_db(progress, psnr_db + self.rgb_gap_db), fit.target_psnr
            )
        control.observe(progress, error)
        self.fitter.rate_weight = control.weight

    def _is_due(self, looks: Sequence[float], epoch: int) -> bool:
        return is_due(looks, epoch / self.n_epochs, (epoch + 1) / self.n_epochs)

    def _step(self, step: int, frames: Tensor) -> Tensor:
        """One optimizer step on a batch; (distortion, mean squared error) times its frames, and
        bits: detached, [3].
        """
        if step == self.round_from and not self.fit.rate_weight:
            self._cover()
        is_rounding = step >= self.round_from
        return self.recorder.call(
            (is_rounding, len(frames)),
            partial(self._update, is_rounding),
            frames,
            self.factor * self._rate(step),
            self.fitter.rate_weight / self.fitter.n_pixels,
        )

    def _update(
        self, is_rounding: bool, frames: Tensor, factor: Tensor, bit_weight: Tensor
    ) -> Tensor:
        """What a step does on the device; see _step.

        Args:
            frames: their numbers, int64 [B].
            factor: of the learning rates, a scalar.
            bit_weight: what a bit costs in distortion, a scalar.
        """
        values, bits = self._forward_values(is_rounding)
        # The decoder's arithmetic, once the weights are those that it will see: a network fitted to
        # weights that bfloat16 has rounded once more loses 0.7 dB in float32.
        dtype = torch.float32 if is_rounding else getattr(torch, self.fit.precision)
        parameters = self.fitter.network.split(values, dtype)
        target = self.fitter.target[frames].float() / 255
        output = self.fitter.network(parameters, frames)
        plane_errors = (output - target).square().mean(dim=(0, 2, 3))
        distortion = self._distortion(output, target, plane_errors)
        loss = distortion + bits * bit_weight
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(factor)
        n_main = 4 if self.fitter.model.colorspace == "yuv" else 3
        errors = torch.stack([distortion, plane_errors[:n_main].mean()]) * len(frames)
        return torch.cat([errors, bits[None]]).detach()

    def _rate(self, step: int) -> float:
        """The learning rates' factor: one cycle, then short ones of the settling, as often as it
        takes.
        """
        if step < self.n_steps:
            return rate_factor(step / self.n_steps, self.fit.warmup)
        n_steps = self.settling_epochs * self.steps_an_epoch
        return self.settling_rate * rate_factor((step - self.n_steps) % n_steps / n_steps, 0)

    def _forward_values(self, is_rounding: bool) -> tuple[Tensor, Tensor]:
        """The values that the forward pass uses, float32 [n_parameters], and their estimated bits
        (0 if unused).
        """
        parameters = self._masked(self.parameters)
        nothing = torch.zeros((), device=parameters.device)
        if not is_rounding and not self.fit.rate_weight:
            return parameters, nothing
        if is_rounding:
            values, symbols = self.quantizer.rounded(parameters)
        else:
            noise = torch.empty_like(parameters).uniform_(-0.5, 0.5, generator=self.fitter.noise)
            values, symbols = self.quantizer.noisy(parameters, self._masked(noise))
        return values, self.quantizer.rate_bits(symbols) if self.fit.rate_weight else nothing

    def _cover(self) -> None:
        """Sets the steps so that every group's range is just covered."""
        codes = covering_steps(
            self._masked(self.parameters),
            self.fitter.sizes,
            self.fitter.model.max_symbol,
            len(self.fitter.keys),
        )
        with torch.no_grad():
            self.log_steps.copy_(torch.tensor([math.log(step_from_code(code)) for code in codes]))

    def _distortion(self, output: Tensor, target: Tensor, plane_errors: Tensor) -> Tensor:
        if self.fit.loss == "mse":
            return plane_errors @ self.fitter.plane_weights
        return l1_ssim(output, target)

    def _report(self, n_batches: int, epoch_s: float) -> None:
        fitter = self.fitter
        seconds, n_done = fitter.seconds + epoch_s, fitter.n_steps_done + n_batches
        n_left = (self.fit.total_epochs + self.fit.n_refinements) * self.steps_an_epoch - n_done
        fitter.on_progress(
            self._progress(
                self.epoch + (n_batches == self.steps_an_epoch),
                n_done * self.fit.batch_size / max(seconds, 1e-9),
                max(n_left, 0) * seconds / max(n_done, 1),
            )
        )

    def _progress(
        self, n_epochs_done: int, frames_fps: float = 0.0, eta_s: float = 0.0
    ) -> Progress:
        name, n_epochs = self.name, self.n_epochs
        if self.epoch >= n_epochs:
            name, n_epochs_done = "settle", n_epochs_done - n_epochs
            n_epochs = SETTLING_CYCLES * self.settling_epochs
        return Progress(
            name, n_epochs_done, n_epochs, frames_fps, self.psnr_db, eta_s, self.n_bytes
        )
