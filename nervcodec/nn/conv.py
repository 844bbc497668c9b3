"""Convolutions whose weights' gradient is a few products of matrices, where torch's takes longer.

docs/lab L081 has what either takes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.conv2d of [B, C, h, w] with weights [out, C, k, k], k odd, to the same size: [B, out, h,
    w].
    """
    if weight.requires_grad and _is_slow(x):
        found: Tensor = _Convolution.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return found
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def _is_slow(x: Tensor) -> bool:
    """Whether torch's gradient of the weights takes longer than weight_gradient: where that was
    measured.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


class _Convolution(torch.autograd.Function):
    """conv2d with weight_gradient."""

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        context.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        context: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = context.saved_tensors  # type: ignore[attr-defined]
        wants_x, wants_weight, wants_bias = context.needs_input_grad  # type: ignore[attr-defined]
        padding = [weight.shape[-1] // 2] * 2
        of_x: Tensor | None = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            None,
            [1, 1],
            padding,
            [1, 1],
            False,
            [0, 0],
            1,
            [wants_x, False, False],
        )[0]
        of_weight = weight_gradient(x, gradient, weight.shape[-1]) if wants_weight else None
        return of_x, of_weight, gradient.sum(dim=(0, 2, 3)) if wants_bias else None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """The gradient of a convolution's weights, [out, C, k, k], fastest where maps are channels
    last.

    Args:
        x: what it took, [B, C, h, w], padded with zeros to give the same size.
        gradient: of what it gave, [B, out, h, w].
        kernel: k, odd.
    """
    n_frames, channels, height, width = x.shape
    edge = kernel // 2
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, edge, edge, edge, edge))
    # One row of positions after another, so that the rows of a kernel are but an offset away.
    taken = torch.cat([padded[:, :, i : i + width] for i in range(kernel)], dim=3).flatten(
        1, 2
    )  # [B, ., k * C]
    given = gradient.flatten(2)  # [B, out, h * w]
    rows = [(given @ taken[:, i * width : (i + height) * width]).sum(dim=0) for i in range(kernel)]
    return torch.stack(rows, dim=1).view(-1, kernel, kernel, channels).permute(0, 3, 1, 2)
