"""The Haar transform in which grids may be stored (docs/bitstream.md, 'Wavelets'): half the size, and what that loses.

Orthonormal, so that noise on the coefficients is as much noise on the grid; a grid's detail is sparse in it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# How much of the mean and of the differences along rows, along columns and of both each of four neighbours takes.
_SIGNS = ((1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1))


def joined(half: Tensor, details: Tensor, size: tuple[int, int]) -> Tensor:
    """A grid of twice the size from its half and its details; cut to `size`, (rows, columns).

    Args:
        half: [K, C, h, w].
        details: [K, 3 * C, h, w]: of all channels the differences along rows, then those along columns, then both.
    Returns:
        [K, C, *size] of the same dtype, differentiable.
    """
    n_keys, n_channels, height, width = half.shape
    bands = torch.cat([half, details], dim=1).view(n_keys, 4, -1)
    quads = (0.5 * torch.tensor(_SIGNS, dtype=half.dtype, device=half.device)) @ bands
    quads = quads.view(n_keys, 4, n_channels, height, width).transpose(1, 2)
    return F.pixel_shuffle(quads.flatten(1, 2), 2)[:, :, :size[0], :size[1]]
