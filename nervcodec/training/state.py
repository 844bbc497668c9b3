"""What a fit works on: a context that does not change, a state that does, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format import tensors
from nervcodec.format.model_config import Keys, ModelConfig, Shots
from nervcodec.nn.network import Network, is_shared
from nervcodec.training.config import FitConfig
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.losses import plane_weights
from nervcodec.training.optimizers import Optimizer
from nervcodec.training.rate_control import PSNR_LAW, SIZE_LAW, Law, psnr_error, size_error

StageName = Literal["fit", "finetune", "settle", "rdoq", "rounding"]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """Where a fit stands.

    Attributes:
        stage: the name of the stage that runs.
        epoch, n_epochs: its epochs, passes or trials that are done, and how many it has at most.
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


@dataclass(frozen=True)
class Solution:
    """What could be coded: parameters float32 [n_parameters] and ln(step) float32 [n_groups]."""

    parameters: Tensor
    log_steps: Tensor


@dataclass(frozen=True)
class ExactMeasures:
    """What a solution gives: the bits of its coded parameters, the RGB PSNR of its decoded frames.

    They are handed in: training knows neither streams nor decoding.
    """

    bits: Callable[[Solution], float]
    rgb_db: Callable[[Solution], float]


@dataclass(frozen=True)
class TrainingContext:
    """What a fit does not change.

    Attributes:
        model, fit: the configurations.
        shots: of the frames.
        target: the frames, uint8 [n_frames, n_planes, plane_height, plane_width] in channels_last.
        network: of the segment.
        sizes: numbers of parameters of the groups.
        keys: of the first groups; the others have none.
        plane_weights: of the planes' errors, float32 [n_planes].
        measures: what estimates are corrected by; needed towards a target.
        law: how lambda is steered, None without a target.
        weights: shared weights that the fit starts from in place of random ones, float32 [n].
    """

    model: ModelConfig
    fit: FitConfig
    shots: Shots
    target: Tensor
    network: Network
    sizes: tuple[int, ...]
    keys: tuple[Keys, ...]
    plane_weights: Tensor
    measures: ExactMeasures | None = None
    law: Law | None = None
    weights: NDArray[np.float32] | None = None

    @classmethod
    def create(
        cls,
        model: ModelConfig,
        fit: FitConfig,
        target: Tensor,
        measures: ExactMeasures | None = None,
        shots: Shots | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> TrainingContext:
        """Return the context of a fit on the target's device.

        Args:
            target: uint8 [n_frames, n_planes, plane_height, plane_width], as from planes.pack.
            shots: None takes the frames for one shot.
        """
        assert measures or not fit.has_target
        shots = shots or (len(target),)
        groups = tensors.groups(model, shots)
        steering = SIZE_LAW if fit.target_bpp else PSNR_LAW
        return cls(
            model,
            fit,
            shots,
            target.contiguous(memory_format=torch.channels_last),
            Network(model, shots, target.device),
            tuple(group.size for group in groups),
            tuple(group.keys for group in groups if group.keys),
            plane_weights(model, fit).to(target.device),
            measures,
            steering if fit.has_target else None,
            weights,
        )

    @property
    def device(self) -> torch.device:
        """Where the fit runs."""
        return self.target.device

    @property
    def n_frames(self) -> int:
        """Frames of the segment."""
        return len(self.target)

    @property
    def n_pixels(self) -> int:
        """Luma pixels of all frames."""
        return self.n_frames * self.model.width * self.model.height

    @property
    def n_main_planes(self) -> int:
        """How many of the first planes the reported PSNR is of: luma's four phases, or R, G, B."""
        return 4 if self.model.colorspace == "yuv" else 3

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of a pass over the frames."""
        return -(-self.n_frames // self.fit.batch_size)

    @property
    def tolerance(self) -> float:
        """The error that steering, settling and RDOQ may end with, in ln(bytes)."""
        return self.law.tolerance if self.law else 0.0

    def error(self, solution: Solution) -> float:
        """Return by how much a solution is too large or too good for the target, in ln(bytes).

        It is 0 without a target.
        """
        if not self.fit.has_target:
            return 0.0
        assert self.measures
        if self.fit.target_bpp:
            return size_error(self.measures.bits(solution), self.fit.target_bpp * self.n_pixels)
        return psnr_error(self.measures.rgb_db(solution), self.fit.target_psnr)


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
