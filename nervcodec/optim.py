"""The optimizers of a fit, over one flat vector of parameters, and their schedule.

Adam is torch's. Muon (Jordan et al. 2024: momentum, orthogonalised by five Newton-Schulz steps) is our own because
torch's takes one matrix at a time: here all matrices of one shape go through as a batch, six times as fast a step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch

from .architecture import MATRIX, Tensor
from .config import FitConfig

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def rate_factor(progress: float, warmup: float) -> float:
    """Learning rate over its peak at `progress` in [0, 1): linear warm-up, then half a cosine down to 0."""
    rise = min(1.0, progress / warmup) if warmup else 1.0
    fall = max(0.0, progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    return rise * 0.5 * (1 + math.cos(math.pi * fall))


class Muon:
    """Muon for the 'matrix' tensors of a flat parameter vector.

    `step` consumes their gradient (sets it to zero), so that an optimizer of the whole vector leaves them alone.
    """

    momentum = 0.95

    def __init__(self, flat: torch.Tensor, tensors: Sequence[Tensor], precision: torch.dtype) -> None:
        self.flat, self.precision = flat, precision
        self.velocity = torch.zeros_like(flat)
        self._is_other = torch.cat([torch.full((t.size,), float(t.kind != MATRIX)) for t in tensors]).to(flat.device)
        self._stacks = _offsets_by_shape(tensors)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        gradient = self.flat.grad
        assert gradient is not None
        self.velocity.lerp_(gradient, 1 - self.momentum)
        direction = gradient.lerp(self.velocity, self.momentum)
        for (rows, columns), offsets in self._stacks.items():
            size = rows * columns
            stack = torch.stack([direction[at:at + size] for at in offsets]).view(-1, rows, columns)
            update = orthogonalised(stack, self.precision) * (rate * max(1.0, rows / columns) ** 0.5)
            for at, part in zip(offsets, update.view(-1, size)):
                self.flat[at:at + size].sub_(part)
        gradient.mul_(self._is_other)


def _offsets_by_shape(tensors: Sequence[Tensor]) -> dict[tuple[int, int], list[int]]:
    stacks: dict[tuple[int, int], list[int]] = {}
    offset = 0
    for tensor in tensors:
        if tensor.kind == MATRIX:
            rows = tensor.shape[0]
            stacks.setdefault((rows, tensor.size // rows), []).append(offset)
        offset += tensor.size
    return stacks


def orthogonalised(matrices: torch.Tensor, precision: torch.dtype) -> torch.Tensor:
    """Roughly U V^T of each matrix [n, rows, columns] = U S V^T: singular values come out between 0.7 and 1.2."""
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
    """One step on parameters and steps as FitConfig says; its state can be copied out and put back."""

    def __init__(self, fit: FitConfig, flat: torch.Tensor, log_steps: torch.Tensor, tensors: Sequence[Tensor]) -> None:
        self.fit, self.flat = fit, flat
        leaves = [leaf for leaf in (flat, log_steps) if leaf.requires_grad]
        self._adam = torch.optim.Adam(leaves, lr=fit.learning_rate, betas=fit.betas, fused=True)
        self._muon = Muon(flat, tensors, getattr(torch, fit.precision)) if fit.optimizer == "muon" else None

    def step(self, factor: float) -> None:
        """Moves along the gradients with `factor` times the configured rates, and clears them."""
        if self.fit.max_gradient:
            torch.nn.utils.clip_grad_norm_([self.flat], self.fit.max_gradient)
        if self._muon:
            self._muon.step(factor * self.fit.muon_rate)
        for group in self._adam.param_groups:
            group["lr"] = factor * self.fit.learning_rate
        self._adam.step()
        self._adam.zero_grad()

    def state(self) -> dict[str, Any]:
        """A copy of all that the next step depends on, besides parameters and gradients."""
        velocity = self._muon.velocity.clone() if self._muon else None
        return {"adam": copy.deepcopy(self._adam.state_dict()), "velocity": velocity}

    def restore(self, state: dict[str, Any]) -> None:
        self._adam.load_state_dict(copy.deepcopy(state["adam"]))
        if self._muon:
            self._muon.velocity.copy_(state["velocity"])
