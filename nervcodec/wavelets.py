"""The Haar transform in which grids may be stored (docs/bitstream.md, 'Wavelets'): half the size, and what that loses.

Orthonormal, so that noise on the coefficients is as much noise on the grid; a grid's detail is sparse in it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def joined(half: Tensor, details: Tensor, size: tuple[int, int]) -> Tensor:
    """A grid of twice the size from its half and its details; cut to `size`, (rows, columns).

    Args:
        half: [K, C, h, w].
        details: [K, 3 * C, h, w]: of all channels the differences along rows, then those along columns, then both.
    Returns:
        [K, C, *size] of the same dtype, differentiable.
    """
    rows, columns, both = details.chunk(3, dim=1)
    above, below = half + columns, half - columns
    right, left = rows + both, rows - both
    quads = torch.stack([above + right, above - right, below + left, below - left], dim=2)
    return F.pixel_shuffle(0.5 * quads.flatten(1, 2), 2)[:, :, :size[0], :size[1]]
