"""What the stages of a fit change, and what is told and kept of it."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from nervcodec.nn.network import is_shared
from nervcodec.training.context import Solution, TrainingContext
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.optimizers import Optimizer
from nervcodec.training.prior_start import prior_start

StageName = Literal["fit", "finetune", "settle", "rdoq", "rounding", "measure"]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """Where a fit stands.

    Attributes:
        stage: the name of the stage that runs.
        epoch, n_epochs: its epochs, passes or trials that are done, and how many it has at most;
            of 'measure', which follows a fit, frames.
        frames_fps: frames a second so far.
        psnr_db: of the last full epoch's training frames, luma or RGB; None before there is one.
        eta_s: seconds that are left.
        n_bytes: about what the parameters would take; None without a rate term, and before the
            first epoch's end.
    """

    stage: StageName
    epoch: int
    n_epochs: int
    frames_fps: float
    psnr_db: float | None
    eta_s: float
    n_bytes: float | None = None


Ticks = Generator[None, None, Result]  # yields after each batch, and returns a result


def finish(ticks: Generator[object, None, Result]) -> Result:
    """Return what a generator returns, whatever it yields."""
    while True:
        try:
            next(ticks)
        except StopIteration as stop:
            result: Result = stop.value
            return result


@dataclass(frozen=True)
class Checkpoint:
    """All that a fit needs to go on, bit for bit, from where it was taken.

    Attributes:
        numbers: where it stands, JSON-ready.
        arrays: parameters, optimizer and generators; on the CPU.
    """

    numbers: dict[str, Any]
    arrays: dict[str, Tensor]

    @property
    def progress(self) -> Progress:
        """Where it stands, for people."""
        return Progress(**self.numbers["progress"])


def with_prefix(prefix: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the arrays with a prefix before their names."""
    return {prefix + name: value for name, value in arrays.items()}


def without_prefix(prefix: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the arrays whose names begin with a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


# What a checkpoint holds of a TrainingState as it is.
_NUMBERS = (
    "rate_weight",
    "rate_scale",
    "n_rollbacks",
    "n_steps_done",
    "seconds",
    "n_batches",
    "psnr_db",
    "n_bytes",
    "bytes_ratio",
)


@dataclass
class TrainingState:
    """What the stages of a fit change, one after the other.

    Its tensors stay where they are and are changed in place.

    Attributes:
        parameters: float32 [n_parameters], a leaf.
        log_steps: ln of the groups' quantization steps, float32 [n_groups]; a leaf if learned.
        optimizer: of both.
        order: the generator of the frames' order, on the CPU.
        noise: the generator of the noise that stands for rounding, on the device.
        frame_order: of this epoch, int64 [n_frames].
        sums: of distortion, squared error and bits in this epoch, float32 [3].
        rate_weight: lambda.
        rate_scale: what learning rates are multiplied by; halved by each rollback.
        mask: 0 where a parameter is pruned, else 1, float32 [n_parameters]; None keeps all.
        n_rollbacks: how often the fit fell back to an earlier epoch.
        n_steps_done: optimizer steps so far.
        seconds: that they took.
        n_batches: batches of this epoch so far.
        psnr_db: of the last epoch's training frames, luma or RGB.
        n_bytes: about what the parameters take.
        bytes_ratio: of the coded bytes over the estimate.
    """

    parameters: Tensor
    log_steps: Tensor
    optimizer: Optimizer
    order: torch.Generator
    noise: torch.Generator
    frame_order: Tensor
    sums: Tensor
    rate_weight: float
    rate_scale: float = 1.0
    mask: Tensor | None = None
    n_rollbacks: int = 0
    n_steps_done: int = 0
    seconds: float = 0.0
    n_batches: int = 0
    psnr_db: float | None = None
    n_bytes: float | None = None
    bytes_ratio: float = 1.0

    @classmethod
    def blank(cls, context: TrainingContext) -> TrainingState:
        """Return a state with parameters of zero, for load_state_dict."""
        fit, device = context.fit, context.device
        parameters = torch.zeros(sum(context.sizes), device=device, requires_grad=True)
        log_steps = torch.full((len(context.sizes),), math.log(fit.initial_step), device=device)
        log_steps.requires_grad_(fit.rate_weight > 0)
        return cls(
            parameters,
            log_steps,
            Optimizer(fit, parameters, log_steps, context.network.tensors),
            torch.Generator().manual_seed(fit.seed),
            torch.Generator(device).manual_seed(fit.seed),
            torch.zeros(context.n_frames, dtype=torch.int64, device=device),
            torch.zeros(3, device=device),
            fit.rate_weight,
        )

    @classmethod
    def start(cls, context: TrainingContext) -> TrainingState:
        """Return the state before the first step.

        Parameters are random or the given weights, with the motion of the frames; steps are the
        configured ones.
        """
        state = cls.blank(context)
        parameters = initial_parameters(context.network, state.order, context.target)
        if context.model.prior:
            solution = prior_start(context, parameters)
            parameters = solution.parameters
            with torch.no_grad():
                state.log_steps.copy_(solution.log_steps)
        if context.weights is not None:
            places = torch.from_numpy(is_shared(context.network.tensors))
            parameters[places] = torch.from_numpy(context.weights)
        with torch.no_grad():
            state.parameters.copy_(parameters)
        return state

    def masked(self, values: Tensor) -> Tensor:
        """Return values [n_parameters] with 0 where a parameter is pruned."""
        return values if self.mask is None else values * self.mask

    def solution(self) -> Solution:
        """Return what would be coded now; it changes with the state."""
        return Solution(self.masked(self.parameters.detach()), self.log_steps.detach())

    def set_solution(self, solution: Solution) -> None:
        """Take parameters and steps from a solution."""
        with torch.no_grad():
            self.parameters.copy_(solution.parameters)
            self.log_steps.copy_(solution.log_steps)

    def begin_cycle(self, context: TrainingContext, rate_scale: float) -> None:
        """Make ready for a learning-rate cycle: a new optimizer, and no measures yet."""
        if self.n_steps_done:
            self.optimizer = Optimizer(
                context.fit, self.parameters, self.log_steps, context.network.tensors
            )
        self.rate_scale = rate_scale
        self.psnr_db = self.n_bytes = None
        self.bytes_ratio = 1.0

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of parameters, steps and the optimizer's state."""
        return {
            "parameters": self.parameters.detach().clone(),
            "log_steps": self.log_steps.detach().clone(),
            **self.optimizer.state(),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Go back to a snapshot. The optimizer's tensors are replaced."""
        with torch.no_grad():
            self.parameters.copy_(snapshot["parameters"])
            self.log_steps.copy_(snapshot["log_steps"])
        self.optimizer.restore(snapshot)

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return all of it: numbers, JSON-ready, and copies of the tensors on the CPU."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        arrays = {
            **with_prefix("now.", self.snapshot()),
            "order": self.order.get_state(),
            "noise": self.noise.get_state(),
            "frame_order": self.frame_order,
            "sums": self.sums,
        }
        if self.mask is not None:
            arrays["mask"] = self.mask
        return numbers, copied(arrays)

    def load_state_dict(self, numbers: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
        """Take back what state_dict gave, with more names beside or not."""
        for name in _NUMBERS:
            setattr(self, name, numbers[name])
        self.restore(without_prefix("now.", arrays))
        self.order.set_state(arrays["order"])
        self.noise.set_state(arrays["noise"])
        self.frame_order.copy_(arrays["frame_order"])
        self.sums.copy_(arrays["sums"])
        self.mask = arrays["mask"].to(self.parameters.device) if "mask" in arrays else None


def copied(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in arrays.items()}
