"""Block matching: where what a picture shows is in another one.

A field of vectors is found from coarse to fine: at each level of a pyramid the other picture is
moved by what is known, the best of a few shifts is taken for every cell from a window of two cells,
and vectors that stand alone give way to the median of their neighbours.
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


def batch_size(luma: Tensor) -> int:
    """Return how many frames of [T, H, W] are searched at once."""
    return max(1, _BATCH_VALUES // luma[0].numel())


def trajectories(luma: Tensor, rows: int, columns: int) -> Tensor:
    """Return how far from its place in the first frame the content of each cell of each frame was.

    Args:
        luma: float32 [T, H, W], 0 to 255.
        rows, columns: cells of the field.
    Returns:
        float32 [T, 2, rows, columns], (columns, rows) in samples of `luma`; 0 for the first frame.
    """
    height, width = luma.shape[1:]
    in_cells = luma.new_tensor([columns / width, rows / height]).view(1, 2, 1, 1)
    paths = [luma.new_zeros(1, 2, rows, columns)]
    frames = torch.split(luma, batch_size(luma))
    ends = [part[-1:] for part in frames]
    for part, before in zip(frames, [luma[:1], *ends]):
        earlier = torch.cat([before, part[:-1]])
        moves = matched(part, earlier, luma.new_zeros(len(part), 2, rows, columns))
        for move in torch.split(moves, 1):
            paths.append(move + moved(paths[-1], move * in_cells))
    return torch.cat(paths[1:])


def differences(luma: Tensor, frame: int, key: int, fields: Tensor) -> Tensor:
    """Return mean absolute differences of a frame from another one moved by fields, for each cell.

    Args:
        luma: float32 [T, H, W].
        frame, key: the numbers of both.
        fields: [n, 2, rows, columns] in samples.
    Returns:
        [n, rows, columns], of windows of two cells.
    """
    there = _warped(luma[key].expand(len(fields), 1, *luma.shape[1:]), fields)
    return _around_cells((there - luma[frame]).abs(), *fields.shape[2:])


def matched(now: Tensor, keys: Tensor, known: Tensor) -> Tensor:
    """Return where in the keys what the frames show is, in samples.

    Args:
        now, keys: pairs of pictures, float32 [n, H, W], 0 to 255.
        known: where the search begins, [n, 2, rows, columns]: (columns, rows) in samples.
    Returns:
        The same as known.
    """
    pyramid = [(now[:, None], keys[:, None])]
    while min(pyramid[-1][0].shape[2:]) >= 2 * _LEAST_SIDE:
        finer, key = pyramid[-1]
        pyramid.append(
            (F.avg_pool2d(finer, 2, ceil_mode=True), F.avg_pool2d(key, 2, ceil_mode=True))
        )
    field = known
    for number, (picture, key) in enumerate([*reversed(pyramid), pyramid[0]]):
        reach = _FINE_REACH if number else _COARSE_REACH
        scale = picture.shape[-1] / now.shape[-1]
        field = _medians(field + _best_shifts(picture, key, field * scale, reach) / scale)
    return field


def _around_cells(differences: Tensor, rows: int, columns: int) -> Tensor:
    """Return means over windows of two cells, [n, 1, H, W] -> [n, rows, columns]."""
    halves = F.adaptive_avg_pool2d(differences, (2 * rows, 2 * columns))
    return F.avg_pool2d(F.pad(halves, (1, 1, 1, 1), mode="replicate"), 4, 2)[:, 0]


def _best_shifts(now: Tensor, before: Tensor, known: Tensor, reach: int) -> Tensor:
    """Return what is to be added to the known moves [T, 2, rows, columns].

    Args:
        now, before: pictures [T, 1, h, w], whose samples are the unit.
        known: moves.
        reach: samples in each direction that are tried.
    """
    height, width = now.shape[2:]
    rows, columns = known.shape[2:]
    warped = _warped(before, known)
    padded = F.pad(warped, (reach,) * 4, mode="replicate")
    span = range(2 * reach + 1)
    costs = []
    for i, j in itertools.product(span, span):
        shifted = padded[..., i : i + height, j : j + width]
        costs.append(_around_cells((shifted - now).abs(), rows, columns))
    cost = torch.stack(costs, dim=1)  # [T, shifts, rows, columns]
    offsets = torch.tensor(
        [(j - reach, i - reach) for i, j in itertools.product(span, span)], device=now.device
    )
    best = (cost + _SHIFT_COST * offsets.float().norm(dim=1).view(1, -1, 1, 1)).argmin(
        dim=1, keepdim=True
    )
    whole = offsets[best[:, 0]].permute(0, 3, 1, 2)  # [T, 2, rows, columns]
    between = whole + torch.stack(
        [
            _between(cost, best, whole[:, axis], reach, step)
            for axis, step in ((0, 1), (1, len(span)))
        ],
        dim=1,
    )
    there = _around_cells((_warped(before, known + between) - now).abs(), rows, columns)
    return torch.where(there[:, None] < cost.gather(1, best), between, whole)


def _warped(pictures: Tensor, field: Tensor) -> Tensor:
    """Return pictures [T, 1, h, w] moved by a field [T, 2, rows, columns] in samples."""
    size = pictures.shape[2:]
    return moved(pictures, F.interpolate(field, size, mode="bilinear", align_corners=False))


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
