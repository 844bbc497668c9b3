"""Global magnitude pruning: which weights stay (arXiv 2402.18305, section 3; its ratio is 0.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nervcodec.format.tensors import DEPTHWISE, GRID, MATRIX, Tensor


def magnitude_mask(values: torch.Tensor, tensors: Sequence[Tensor], ratio: float) -> torch.Tensor:
    """Return 1 where a parameter stays, 0 where it is pruned.

    The `ratio` smallest magnitudes of all stem and block weights taken together are pruned; the
    head and the biases stay whole. Equal magnitudes are pruned in coded order.

    Args:
        values: float32 [n_parameters], flat in the order of `tensors`.
    Returns:
        float32 [n_parameters].
    """
    prunable = torch.cat([torch.full((tensor.size,), _is_prunable(tensor)) for tensor in tensors])
    magnitudes = values.detach().abs().cpu()
    magnitudes[~prunable] = torch.inf
    n_pruned = round(ratio * int(prunable.sum()))
    mask = torch.ones_like(magnitudes)
    mask[magnitudes.argsort(stable=True)[:n_pruned]] = 0
    return mask.to(values.device)


def _is_prunable(tensor: Tensor) -> bool:
    return tensor.module != "head" and tensor.kind in (MATRIX, DEPTHWISE, GRID)
