"""After a fit: moves symbols to where rate and distortion together are least.

A fit that rounds straight through leaves many parameters on the wrong side of a boundary: they
swing about it until the learning rate is 0, and stay where they are then. Here a quadratic model of
the distortion, with the slope over all frames and the diagonal of the Gauss-Newton matrix as its
curvature (by Hutchinson's random signs), says of each symbol alone what a step up or down would
give, and the coder's tables say what it would take (rate-distortion optimised quantization). All
moves that pay are made at once, with curvatures made larger so that they do not spoil each other;
the slopes at their end tell which of them did harm.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nervcodec.coding.tables import symbol_bits
from nervcodec.nn.cuda_graphs import Recorder
from nervcodec.nn.device import arithmetic
from nervcodec.training.rate_model import NATS_PER_DB
from nervcodec.training.soft_quantizer import SoftQuantizer, writable_steps
from nervcodec.training.state import Checkpoint, Fitted, Progress
from nervcodec.training.trainer import Fitter

REFINE = "refine"  # the stage's name
_FIRST_SAMPLES, _MORE_SAMPLES = (
    3.0,
    0.5,
)  # of the curvature, a frame: before the first moves, after each good ones
_DAMPING, _LEAST_DAMPING = 2.5, 1.05  # what curvatures are multiplied by: at first, at least
_BOLDER, _MORE_CAREFUL = 0.7, 1.3  # what that is multiplied by after moves that were good, or bad
_MEMORY = 0.97  # what is left a pass later of the curvature that harmful moves met
_MORE_PASSES = 24  # at most, towards a target
_ILLEGAL_BITS = 1e6
_LEAST_BIT_WEIGHT, _MOST_BIT_WEIGHT, _PRICE_PRECISION = 1e-15, 1.0, 0.05  # the last one in nats


@dataclass(frozen=True)
class _State:
    """Symbols, what they give and what they take.

    Attributes:
        multiples: of the steps, whole numbers, float32 [n_parameters].
        distortion, psnr_db: over all frames; the latter of luma or of RGB, as a fit reports it.
        slopes: derivatives of the distortion by the multiples, float32 [n_parameters].
        bits: of all symbols, by tables without contexts.
        up_bits, down_bits: what they grow by where a multiple grows or falls by 1, float32
            [n_parameters].
    """

    multiples: Tensor
    distortion: float
    psnr_db: float
    slopes: Tensor
    bits: float
    up_bits: Tensor
    down_bits: Tensor


class Refiner:
    """Refines what a fitter has fitted, with as many passes over the frames as its configuration
    says.

    Towards a target the price of a bit is, in each pass, the one at which the moves should just
    meet it, and where a fit is beside it passes are added until it is met. The fitter's keeper is
    asked after every batch; what it gets is where the pass began.

    Args:
        fitter: after its fit, or, with a checkpoint of the refinement, without one.
        fitted: what the fit gave, or what the checkpoint says it gave.
    """

    # What a checkpoint holds of this object as it is.
    _NUMBERS = ("n_done", "n_samples", "damping", "bit_weight", "error")
    _ARRAYS = ("multiples", "curvature_sum", "met", "left")

    def __init__(self, fitter: Fitter, fitted: Fitted) -> None:
        device = fitter.target.device
        self.fitter, self.fitted, self.n_passes = fitter, fitted, fitter.fit.n_refinements
        self.quantizer = SoftQuantizer(
            fitter.sizes, fitter.model.max_symbol, fitted.log_steps, fitter.keys
        )
        self.steps = self.quantizer.per_parameter(writable_steps(fitted.log_steps.exp()))
        self.random = torch.Generator(device).manual_seed(fitter.fit.seed)
        self.recorder = Recorder(device, [self.random])
        self.values = torch.zeros_like(self.steps, requires_grad=True)
        self.values.grad = torch.zeros_like(self.steps)
        n_values = fitter.n_frames * fitter.model.plane_height * fitter.model.plane_width
        self.plane_scales = (2 * fitter.plane_weights / n_values).sqrt().view(-1, 1, 1)
        self.multiples = fitted.parameters / self.steps
        self.quantizer.clip_(self.multiples)
        self.multiples.round_()
        self.curvature_sum, self.n_samples = torch.zeros_like(self.steps), 0.0
        self.met = torch.zeros_like(self.steps)  # the curvature along which moves did harm
        self.left = torch.zeros_like(
            self.steps
        )  # moves of a trial that was worse, without those that did harm
        self.error = fitter.error(fitted)
        self.damping, self.bit_weight = _DAMPING, fitter.rate_weight / fitter.n_pixels
        self.n_done, self.seconds = 0, 0.0
        self.pass_start = self.checkpoint()

    @classmethod
    def restored(cls, fitter: Fitter, checkpoint: Checkpoint) -> Refiner:
        """Where the checkpoint was taken."""
        numbers, arrays = checkpoint.numbers, checkpoint.arrays
        device = fitter.target.device
        refiner = cls(
            fitter,
            Fitted(
                arrays["parameters"].to(device),
                arrays["log_steps"].to(device),
                numbers["n_rollbacks"],
            ),
        )
        for name in cls._NUMBERS:
            setattr(refiner, name, numbers[name])
        for name in cls._ARRAYS:
            setattr(refiner, name, arrays[name].to(device))
        refiner.random.set_state(arrays["random"])
        return refiner

    def checkpoint(self) -> Checkpoint:
        """Where the refinement stands between two passes."""
        numbers = {
            "stage": REFINE,
            "n_rollbacks": self.fitted.n_rollbacks,
            "progress": asdict(Progress(REFINE, self.n_done, self.n_passes, 0.0, None, 0.0)),
            **{name: getattr(self, name) for name in self._NUMBERS},
        }
        arrays = {
            "parameters": self.fitted.parameters,
            "log_steps": self.fitted.log_steps,
            "random": self.random.get_state(),
            **{name: getattr(self, name) for name in self._ARRAYS},
        }
        return Checkpoint(numbers, {name: value.cpu().clone() for name, value in arrays.items()})

    def run(self) -> Fitted:
        """What was reached, with parameters as a decoder will see them; what was given, where
        nothing is to be done.
        """
        if not self._goes_on():
            return self.fitted
        with arithmetic(self.fitter.target.device, is_exact=True):
            self._run()
        return self._fitted(self.multiples)

    def _run(self) -> None:
        state = self._state(self.multiples)
        if not self.n_samples:
            self._sample_curvature(_FIRST_SAMPLES)
        while self._goes_on():
            self.pass_start, started = self.checkpoint(), time.monotonic()
            moves = self.left
            if not moves.any():
                if self.fitter.fit.has_target:
                    self._steer(state)
                moves = self._moves(state)
            if moves.any():
                trial = self._state(self.multiples + moves)
                if self._is_better(state, trial, moves):
                    state, self.multiples = trial, trial.multiples
                    self._sample_curvature(_MORE_SAMPLES)
            elif self.damping > _LEAST_DAMPING:
                self.damping = max(_BOLDER * self.damping, _LEAST_DAMPING)
            else:
                break
            self.n_done += 1
            self.seconds += time.monotonic() - started
            self._report(state)

    def _goes_on(self) -> bool:
        is_near = abs(self.error) <= self.fitter.law.tolerance
        return self.n_done < self.n_passes + (0 if is_near else _MORE_PASSES)

    def _steer(self, state: _State) -> None:
        """Finds the price of a bit at which moves change the size, or the distortion, by what the
        target asks for.
        """
        is_size = bool(self.fitter.fit.target_bpp)
        low, high = math.log(_LEAST_BIT_WEIGHT), math.log(_MOST_BIT_WEIGHT)
        while high - low > _PRICE_PRECISION:
            self.bit_weight = math.exp((low + high) / 2)
            moves = self._moves(state)
            if is_size:
                is_dear = float(self._more_bits(state, moves).sum()) < -self.error * state.bits
            else:
                growth = 10 ** (self.error / NATS_PER_DB / 10) - 1
                change = (
                    moves * state.slopes + moves.square() * self.damping * self._curvature() / 2
                )
                is_dear = float(change.sum()) > growth * state.distortion
            low, high = (low, (low + high) / 2) if is_dear else ((low + high) / 2, high)

    def _moves(self, state: _State) -> Tensor:
        """-1, 0 or 1 for each multiple, float32 [n_parameters]: what pays, taken alone and with
        damped curvature.
        """
        bend = self.damping / 2 * self._curvature()
        up = bend + state.slopes + self.bit_weight * state.up_bits
        down = bend - state.slopes + self.bit_weight * state.down_bits
        moves = torch.where(up < down, 1.0, -1.0)
        moved = state.multiples + moves
        self.quantizer.clip_(moved)
        return (moved - state.multiples) * (torch.minimum(up, down) < 0)

    def _is_better(self, state: _State, trial: _State, moves: Tensor) -> bool:
        """Whether a trial is; learns from it how bold to be, and what is left to try if it is
        not.
        """
        more_bits = self._more_bits(state, moves)
        is_harmful = moves * (state.slopes + trial.slopes) / 2 + self.bit_weight * more_bits > 0
        met = (trial.slopes - state.slopes) * moves
        self.met = _MEMORY * torch.where(is_harmful, torch.maximum(self.met, met), self.met)
        gain = state.distortion - trial.distortion + self.bit_weight * (state.bits - trial.bits)
        is_better = gain > 0 and self._stays_near(trial.multiples)
        self.damping = max(self.damping * (_BOLDER if is_better else _MORE_CAREFUL), _LEAST_DAMPING)
        self.left = torch.zeros_like(moves)
        if gain <= 0 and is_harmful.any():
            self.left = moves.where(~is_harmful, 0)
        return is_better

    def _stays_near(self, multiples: Tensor) -> bool:
        """Whether these are near the target, or at least as near as before."""
        error = self.fitter.error(self._fitted(multiples))
        if abs(error) > max(abs(self.error), self.fitter.law.tolerance):
            return False
        self.error = error
        return True

    def _more_bits(self, state: _State, moves: Tensor) -> Tensor:
        """What each move takes, alone, [n_parameters]."""
        return torch.where(moves > 0, state.up_bits, state.down_bits).where(moves != 0, 0)

    def _curvature(self) -> Tensor:
        """Of the distortion by each multiple, at least as it was met, float32 [n_parameters]."""
        return torch.maximum(self.curvature_sum / self.n_samples, self.met)

    def _sample_curvature(self, n_samples: float) -> None:
        """Adds so many samples a frame, of each frame alone: signs that frames share would add
        their cross terms.
        """
        self._set_values(self.multiples)
        n_frames = self.fitter.n_frames
        for _ in range(math.ceil(n_samples)):
            some = torch.randperm(n_frames, generator=self.random, device=self.steps.device)
            some = some[: math.ceil(n_frames * min(n_samples, 1.0))]
            for frame in torch.split(some, 1):
                self.curvature_sum += self.recorder.call("curvature", self._curvature_sample, frame)
                self._keep()
            self.n_samples += len(some) / n_frames

    def _curvature_sample(self, frame: Tensor) -> Tensor:
        output = self._output(frame)
        signs = torch.empty_like(output).uniform_(-1, 1, generator=self.random).sign_()
        (slope,) = torch.autograd.grad((output * signs * self.plane_scales).sum(), self.values)
        return (slope * self.steps).square()

    def _state(self, multiples: Tensor) -> _State:
        self._set_values(multiples)
        grad = self.values.grad
        assert grad is not None
        grad.zero_()
        sums = torch.zeros(2, device=grad.device)
        for frames in torch.split(
            torch.arange(self.fitter.n_frames, device=grad.device), self.fitter.fit.batch_size
        ):
            sums += self.recorder.call(("slopes", len(frames)), self._add_slopes, frames)
            self._keep()
        distortion, error = (sums / self.fitter.n_frames).tolist()
        psnr_db = -10 * math.log10(error) if error else math.inf
        return _State(multiples, distortion, psnr_db, grad * self.steps, *self._rate(multiples))

    def _add_slopes(self, frames: Tensor) -> Tensor:
        """Adds to the gradient of the values; (distortion, mean squared error) times the frames,
        detached, [2].
        """
        target = self.fitter.target[frames].float() / 255
        plane_errors = (self._output(frames) - target).square().mean(dim=(2, 3)).sum(dim=0)
        distortion = plane_errors @ self.fitter.plane_weights
        (distortion / self.fitter.n_frames).backward()  # type: ignore[no-untyped-call]
        n_main = 4 if self.fitter.model.colorspace == "yuv" else 3
        return torch.stack([distortion, plane_errors[:n_main].mean()]).detach()

    def _output(self, frames: Tensor) -> Tensor:
        return self.fitter.network(self.fitter.network.split(self.values), frames)

    def _set_values(self, multiples: Tensor) -> None:
        with torch.no_grad():
            torch.mul(multiples, self.steps, out=self.values)

    def _rate(self, multiples: Tensor) -> tuple[float, Tensor, Tensor]:
        """Bits of all symbols, and how many more they are with each multiple one higher or one
        lower.
        """
        top = self.fitter.model.max_symbol
        symbols = self.quantizer.differences(multiples).long()
        tables = np.full((len(self.fitter.sizes), 2 * top + 3), _ILLEGAL_BITS, np.float32)
        for table, own in zip(
            tables, np.split(symbols.cpu().numpy(), np.cumsum(self.fitter.sizes[:-1]))
        ):
            table[1:-1] = symbol_bits(own, top)
        flat = torch.from_numpy(tables).to(multiples.device).view(-1)
        places = self.quantizer.per_parameter(torch.arange(len(tables), device=flat.device)) * (
            2 * top + 3
        )
        places += symbols + top + 1
        here = flat[places]
        up, down = flat[places + 1] - here, flat[places - 1] - here
        return float(here.double().sum()), up + self._next(down), down + self._next(up)

    def _next(self, per_parameter: Tensor) -> Tensor:
        """What the next key has in the same place, 0 where there is none: its difference moves the
        other way.
        """
        return per_parameter - self.quantizer.differences_backward(per_parameter)

    def _fitted(self, multiples: Tensor) -> Fitted:
        return replace(self.fitted, parameters=multiples * self.steps)

    def _keep(self) -> None:
        keeper = self.fitter.keeper
        if keeper and keeper.is_due():
            keeper.keep(self.pass_start)

    def _report(self, state: _State) -> None:
        a_pass = max(self.seconds, 1e-9) / self.n_done
        n_passes = self.n_passes + (_MORE_PASSES if self.n_done > self.n_passes else 0)
        self.fitter.on_progress(
            Progress(
                REFINE,
                self.n_done,
                n_passes,
                self.fitter.n_frames / a_pass,
                state.psnr_db,
                a_pass * (n_passes - self.n_done),
                state.bits / 8,
            )
        )
