"""The optimizers of a fit, over one flat vector of parameters, and their schedule.

Adam is torch's. Muon (Jordan et al. 2024: momentum, orthogonalised by five Newton-Schulz steps) is
our own because torch's takes one matrix at a time: here matrices go through in a few batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from nervcodec.format.tensors import MATRIX, Tensor
from nervcodec.training.config import FitConfig

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_SHORT_STAGE = 400  # steps: longer ones have lower rates
# Of a matrix in a stack: a GPU's time goes with the number of stacks.
_LEAST_SIDE = {"cpu": 32, "cuda": 64}
_LOW_PRECISION_SIDE = 128  # products of matrices with a smaller side are faster in float32


def peak_factor(n_steps: int, fall: float) -> float:
    """Return the highest learning rate of a stage over the configured one.

    The latter is meant for 400 steps or fewer (docs/lab L031).
    """
    return float(max(n_steps / _SHORT_STAGE, 1.0) ** -fall)


def rate_factor(progress: float, warmup: float) -> float:
    """Return the learning rate over its peak at `progress` in [0, 1).

    It rises linearly while it warms up, and falls along half a cosine to 0.
    """
    rise = min(1.0, progress / warmup) if warmup else 1.0
    fall = max(0.0, progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return rise * 0.5 * (1 + math.cos(math.pi * fall))


class Muon:
    """Muon for the 'matrix' tensors of a flat parameter vector.

    Its step sets their gradient to zero, so that an optimizer of the whole vector leaves them
    alone.

    Args:
        flat: the parameters, float32 [n_parameters], with a gradient at each step.
        tensors: that lie in it, in this order.
        precision: of the products of large matrices.
    """

    momentum = 0.95

    def __init__(
        self, flat: torch.Tensor, tensors: Sequence[Tensor], precision: torch.dtype
    ) -> None:
        self.flat = flat
        self.velocity = torch.zeros_like(flat)
        stacks, places, gains = _stacked(tensors, _LEAST_SIDE[flat.device.type])
        self._stacks = [
            (
                stack.to(flat.device),
                precision if min(stack.shape[1:]) >= _LOW_PRECISION_SIDE else torch.float32,
            )
            for stack in stacks
        ]
        self._places, self._gains = places.to(flat.device), gains.to(flat.device)
        self._is_other = (self._gains == 0).to(flat.dtype)

    @torch.no_grad()
    def step(self, rate: torch.Tensor | float) -> None:
        """Move along the orthogonalised momentum with a learning rate."""
        gradient = self.flat.grad
        assert gradient is not None
        self.velocity.lerp_(gradient, 1 - self.momentum)
        direction = F.pad(gradient.lerp(self.velocity, self.momentum), (0, 1))
        updates = [
            orthogonalised(direction[stack], precision).view(-1)
            for stack, precision in self._stacks
        ]
        update = torch.cat([*updates, direction[-1:]])[self._places]
        self.flat.sub_(update.mul_(self._gains * rate))
        gradient.mul_(self._is_other)


def _stacked(
    tensors: Sequence[Tensor], least_side: int
) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return matrices of similar shapes as stacks.

    Small sides are padded, since zeros around a matrix change nothing.

    Returns:
        stacks: int64 [n, rows, columns] each: which parameter every entry is; n_parameters stands
            for a zero.
        places: int64 [n_parameters]: the reverse, where in all stacks, one after the other, a
            parameter went; past their end for what is in none.
        gains: float32 [n_parameters]: sqrt(max(1, rows / columns)) of a matrix, 0 for what is none.
    """
    n_parameters = sum(tensor.size for tensor in tensors)
    gains = torch.zeros(n_parameters)
    by_shape: dict[tuple[int, int], list[torch.Tensor]] = {}
    start = 0
    for tensor in tensors:
        if tensor.kind == MATRIX:
            rows, columns = tensor.shape[0], tensor.size // tensor.shape[0]
            shape = max(rows, least_side), max(columns, least_side)
            entries = torch.full(shape, n_parameters)
            entries[:rows, :columns] = torch.arange(start, start + tensor.size).view(rows, columns)
            by_shape.setdefault(shape, []).append(entries)
            gains[start : start + tensor.size] = max(1.0, rows / columns) ** 0.5
        start += tensor.size
    stacks = [torch.stack(matrices) for matrices in by_shape.values()]
    n_entries = sum(stack.numel() for stack in stacks)
    places = torch.full((n_parameters + 1,), n_entries)
    places[torch.cat([stack.flatten() for stack in stacks])] = torch.arange(n_entries)
    return stacks, places[:-1], gains


def orthogonalised(matrices: torch.Tensor, precision: torch.dtype) -> torch.Tensor:
    """Return roughly U V^T of each matrix [n, rows, columns] = U S V^T.

    Singular values come out between 0.7 and 1.2.
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.to(precision)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype).contiguous()


class Optimizer:
    """The optimizers of parameters and quantization steps as FitConfig says.

    Their state can be copied out and put back.
    """

    def __init__(
        self, fit: FitConfig, flat: torch.Tensor, log_steps: torch.Tensor, tensors: Sequence[Tensor]
    ) -> None:
        self.fit, self.flat = fit, flat
        leaves = [leaf for leaf in (flat, log_steps) if leaf.requires_grad]
        self._adam = torch.optim.Adam(
            leaves, lr=fit.learning_rate, betas=fit.betas, fused=True, capturable=flat.is_cuda
        )
        self._muon = (
            Muon(flat, tensors, getattr(torch, fit.precision)) if fit.optimizer == "muon" else None
        )

    def step(self, factor: torch.Tensor | float) -> None:
        """Move along the gradients with `factor` times the configured rates, and clear them."""
        if self.fit.max_gradient:
            torch.nn.utils.clip_grad_norm_([self.flat], self.fit.max_gradient)
        if self._muon:
            self._muon.step(factor * self.fit.muon_rate)
        for group in self._adam.param_groups:
            group["lr"] = factor * self.fit.learning_rate
        self._adam.step()
        self._adam.zero_grad()

    def state(self) -> dict[str, torch.Tensor]:
        """Return a copy of all that the next step depends on besides parameters and gradients."""
        state = {
            f"adam.{number}.{name}": value.clone()
            for number, values in self._adam.state_dict()["state"].items()
            for name, value in values.items()
        }
        return {**state, "muon.velocity": self._muon.velocity.clone()} if self._muon else state

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` gave, with more names beside or not."""
        adam: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in state.items():
            kind, _, name = key.partition(".")
            if kind == "adam":
                number, _, name = name.partition(".")
                adam.setdefault(int(number), {})[name] = value.clone()
        self._adam.load_state_dict({**self._adam.state_dict(), "state": adam})
        if self._muon:
            self._muon.velocity.copy_(state["muon.velocity"])
