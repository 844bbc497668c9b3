"""Block matching: where what a frame shows was in the first frame.

The motion of a fit (format.tensors.MOTION) starts from this field. It is found from coarse to fine:
at each level of a pyramid the frame before is moved by what is known, the best of a few shifts is
taken for every cell from a window of two cells, and vectors that stand alone give way to the median
of their neighbours. It need not be right everywhere: the fit goes on from there, and weighs every
change by its bits.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from nervcodec.nn.grids import moved

_LEAST_SIDE = 24  # of the coarsest picture
_COARSE_REACH, _FINE_REACH = 4, 2  # samples of a level's picture, in each direction
_SHIFT_COST = 0.1  # levels of mean absolute difference that a shift by one sample must gain
_BATCH_VALUES = 4_000_000  # of the differences that are held at once


def trajectories(luma: Tensor, rows: int, columns: int) -> Tensor:
    """Return how far from its place in the first frame the content of each cell of each frame was.

    Args:
        luma: float32 [T, H, W], 0 to 255.
        rows, columns: cells of the field.
    Returns:
        float32 [T, 2, rows, columns], (columns, rows) in samples of `luma`; 0 for the first frame.
    """
    height, width = luma.shape[1:]
    moves = _moves(luma, rows, columns)
    paths = [torch.zeros_like(moves[0])] if len(moves) else [luma.new_zeros(2, rows, columns)]
    for move in moves:
        before = moved(
            paths[-1][None],
            move[None] * move.new_tensor([columns / width, rows / height]).view(2, 1, 1),
        )
        paths.append(move + before[0])
    return torch.stack(paths)


def _moves(luma: Tensor, rows: int, columns: int) -> Tensor:
    """Return the moves from each frame but the first to the one before it, in samples.

    Their shape is [T - 1, 2, rows, columns].
    """
    pyramid = [luma[:, None]]
    while min(pyramid[-1].shape[2:]) >= 2 * _LEAST_SIDE:
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, ceil_mode=True))
    field = luma.new_zeros(len(luma) - 1, 2, rows, columns)
    for picture in [*reversed(pyramid), pyramid[0]]:
        reach = _COARSE_REACH if picture is pyramid[-1] else _FINE_REACH
        scale = picture.shape[-1] / luma.shape[-1]
        batch = max(1, _BATCH_VALUES // picture[0].numel())
        parts = (torch.split(values, batch) for values in (picture[1:], picture[:-1], field))
        shifts = [
            _best_shifts(now, before, known * scale, reach)
            for now, before, known in zip(*parts, strict=True)
        ]
        if shifts:
            field = _medians(field + torch.cat(shifts) / scale)
    return field


def _best_shifts(now: Tensor, before: Tensor, known: Tensor, reach: int) -> Tensor:
    """Return what is to be added to the known moves [T, 2, rows, columns].

    Args:
        now, before: pictures [T, 1, h, w], whose samples are the unit.
        known: moves.
        reach: samples in each direction that are tried.
    """
    height, width = now.shape[2:]
    rows, columns = known.shape[2:]
    warped = moved(
        before, F.interpolate(known, (height, width), mode="bilinear", align_corners=False)
    )
    padded = F.pad(warped, (reach,) * 4, mode="replicate")
    span = range(2 * reach + 1)
    costs = []
    for i, j in itertools.product(span, span):
        halves = F.adaptive_avg_pool2d(
            (padded[..., i : i + height, j : j + width] - now).abs(), (2 * rows, 2 * columns)
        )
        costs.append(F.avg_pool2d(F.pad(halves, (1, 1, 1, 1), mode="replicate"), 4, 2)[:, 0])
    cost = torch.stack(costs, dim=1)  # [T, shifts, rows, columns]
    offsets = torch.tensor(
        [(j - reach, i - reach) for i, j in itertools.product(span, span)], device=now.device
    )
    best = (cost + _SHIFT_COST * offsets.float().norm(dim=1).view(1, -1, 1, 1)).argmin(
        dim=1, keepdim=True
    )
    whole = offsets[best[:, 0]].permute(0, 3, 1, 2)  # [T, 2, rows, columns]
    return whole + torch.stack(
        [
            _between(cost, best, whole[:, axis], reach, step)
            for axis, step in ((0, 1), (1, len(span)))
        ],
        dim=1,
    )


def _between(cost: Tensor, best: Tensor, whole: Tensor, reach: int, step: int) -> Tensor:
    """Return the least of a parabola through the best shift and its neighbours, `step` apart.

    It is 0 at the ends, and where the parabola gains less by its shift, (low - high)^2 / (8 bend),
    than a shift must.
    """

    def at(offset: int) -> Tensor:
        return cost.gather(1, (best + offset).clamp(0, cost.shape[1] - 1))[:, 0]

    low, middle, high = at(-step), at(0), at(step)
    bend = low + high - 2 * middle
    inside = (whole.abs() < reach) & (bend > 1e-6) & ((low - high).abs() > 4 * _SHIFT_COST)
    return torch.where(inside, ((low - high) / (2 * bend.clamp_min(1e-6))).clamp(-0.5, 0.5), 0.0)


def _medians(field: Tensor) -> Tensor:
    """Return the vector medians of 3 x 3 cells.

    Of nine vectors it is the one that is least far from all the others.
    """
    rows, columns = field.shape[2:]
    padded = F.pad(field, (1, 1, 1, 1), mode="replicate")
    near = torch.stack(
        [padded[..., i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    )
    far = sum((near - other).square().sum(dim=2).sqrt() for other in near)  # [9, T, rows, columns]
    assert isinstance(far, Tensor)
    chosen = far.argmin(dim=0)[None, :, None].expand(1, -1, 2, -1, -1)
    return near.gather(0, chosen)[0]
