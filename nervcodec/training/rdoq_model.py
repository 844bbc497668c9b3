"""What moves of single symbols give and take: slopes and curvatures of the distortion, and bits.

The slopes are over all frames, the curvatures the diagonal of the Gauss-Newton matrix by
Hutchinson's random signs, and the bits those of the coder's tables without contexts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nervcodec.coding.tables import symbol_bits
from nervcodec.nn.cuda_graphs import Recorder
from nervcodec.training.context import Solution, TrainingContext
from nervcodec.training.soft_quantizer import SoftQuantizer, writable_steps
from nervcodec.training.state import Ticks

_ILLEGAL_BITS = 1e6


@dataclass(frozen=True)
class Evaluation:
    """Symbols, what they give and what they take.

    Attributes:
        multiples: of the steps, whole numbers, float32 [n_parameters].
        distortion: over all frames.
        psnr_db: of luma or of RGB, as a fit reports it.
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

    def more_bits(self, moves: Tensor) -> Tensor:
        """Return what each move takes, alone, float32 [n_parameters]."""
        return torch.where(moves > 0, self.up_bits, self.down_bits).where(moves != 0, 0)


class SymbolModel:
    """Evaluates symbols around a solution; its steps stay.

    Args:
        context: of the fit.
        start: where the symbols come from.
        random: draws the signs, on the context's device.
    """

    def __init__(self, context: TrainingContext, start: Solution, random: torch.Generator) -> None:
        self.context = context
        self.log_steps = start.log_steps
        self.random = random
        self.quantizer = SoftQuantizer(
            context.sizes, context.model.max_symbol, start.log_steps, context.keys
        )
        self.steps = self.quantizer.per_parameter(writable_steps(start.log_steps.exp()))
        self._recorder = Recorder(context.device, [random])
        self._values = torch.zeros_like(self.steps, requires_grad=True)
        self._values.grad = torch.zeros_like(self.steps)
        n_values = context.n_frames * context.model.plane_height * context.model.plane_width
        self._plane_scales = (2 * context.plane_weights / n_values).sqrt().view(-1, 1, 1)

    def multiples(self, solution: Solution) -> Tensor:
        """Return its parameters as the nearest legal multiples of the steps."""
        multiples = solution.parameters / self.steps
        self.quantizer.clip_(multiples)
        return multiples.round_()

    def solution(self, multiples: Tensor) -> Solution:
        """Return what multiples stand for, with parameters as a decoder will see them."""
        return Solution(multiples * self.steps, self.log_steps)

    def evaluate(self, multiples: Tensor) -> Ticks[Evaluation]:
        """Yield after each batch of frames; return what the multiples give and take."""
        context = self.context
        self._set_values(multiples)
        grad = self._values.grad
        assert grad is not None
        grad.zero_()
        sums = torch.zeros(2, device=grad.device)
        numbers = torch.arange(context.n_frames, device=grad.device)
        for frames in torch.split(numbers, context.fit.batch_size):
            sums += self._recorder.call(("slopes", len(frames)), self._add_slopes, frames)
            yield None
        distortion, error = (sums / context.n_frames).tolist()
        psnr_db = -10 * math.log10(error) if error else math.inf
        return Evaluation(multiples, distortion, psnr_db, grad * self.steps, *self._rate(multiples))

    def sample_curvature(self, multiples: Tensor, n_samples: float, total: Tensor) -> Ticks[float]:
        """Yield after each frame; add so many curvature samples a frame to a total.

        A sample is of one frame alone: signs that frames share would add their cross terms.

        Args:
            n_samples: of each frame; below 1 of some frames.
            total: float32 [n_parameters].
        Returns:
            How many samples a frame were added.
        """
        self._set_values(multiples)
        n_frames, device = self.context.n_frames, self.steps.device
        n_added = 0.0
        for _ in range(math.ceil(n_samples)):
            order = torch.randperm(n_frames, generator=self.random, device=device)
            order = order[: math.ceil(n_frames * min(n_samples, 1.0))]
            for frame in torch.split(order, 1):
                total += self._recorder.call("curvature", self._curvature_sample, frame)
                yield None
            n_added += len(order) / n_frames
        return n_added

    def _curvature_sample(self, frame: Tensor) -> Tensor:
        output = self._output(frame)
        signs = torch.empty_like(output).uniform_(-1, 1, generator=self.random).sign_()
        (slope,) = torch.autograd.grad((output * signs * self._plane_scales).sum(), self._values)
        return (slope * self.steps).square()

    def _add_slopes(self, frames: Tensor) -> Tensor:
        """Add to the gradient of the values.

        Returns:
            (distortion, mean squared error) times the frames, detached, float32 [2].
        """
        context = self.context
        target = context.target[frames].float() / context.model.peak
        plane_errors = (self._output(frames) - target).square().mean(dim=(2, 3)).sum(dim=0)
        distortion = plane_errors @ context.plane_weights
        (distortion / context.n_frames).backward()  # type: ignore[no-untyped-call]
        return torch.stack([distortion, plane_errors[: context.n_main_planes].mean()]).detach()

    def _output(self, frames: Tensor) -> Tensor:
        return self.context.network(self.context.network.split(self._values), frames)

    def _set_values(self, multiples: Tensor) -> None:
        with torch.no_grad():
            torch.mul(multiples, self.steps, out=self._values)

    def _rate(self, multiples: Tensor) -> tuple[float, Tensor, Tensor]:
        """Return bits of all symbols, and how many more with each multiple one higher or lower."""
        sizes, top = self.context.sizes, self.context.model.max_symbol
        symbols = self.quantizer.differences(multiples).long()
        tables = np.full((len(sizes), 2 * top + 3), _ILLEGAL_BITS, np.float32)
        for table, group in zip(tables, np.split(symbols.cpu().numpy(), np.cumsum(sizes[:-1]))):
            table[1:-1] = symbol_bits(group, top)
        flat = torch.from_numpy(tables).to(multiples.device).view(-1)
        rows = self.quantizer.per_parameter(torch.arange(len(tables), device=flat.device))
        places = rows * (2 * top + 3)
        places += symbols + top + 1
        here = flat[places]
        up = flat[places + 1] - here
        down = flat[places - 1] - here
        return float(here.double().sum()), up + self._next(down), down + self._next(up)

    def _next(self, per_parameter: Tensor) -> Tensor:
        """Return what the next key has in the same place, 0 where there is none.

        Its difference moves the other way.
        """
        return per_parameter - self.quantizer.differences_backward(per_parameter)
