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


def straight(luma: Tensor, n_keys: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    from nervcodec.nn.grids import key_frames

    n = len(luma)
    at = torch.from_numpy(key_frames(n, n_keys))
    t = torch.arange(n)
    before = (torch.searchsorted(at, t, right=True) - 1).clamp(0, n_keys - 1)
    after = (before + 1).clamp(max=n_keys - 1)
    after = torch.where(t < at[0], before, after)
    pace = n / n_keys
    fields, dists = [], []
    for key in (at[before], at[after]):
        d = t - key
        field = luma.new_zeros(n, 2, rows, columns)
        for away in range(1, int(d.abs().max()) + 1):
            which = (d.abs() == away).nonzero()[:, 0]
            if not len(which):
                continue
            start = field[which]
            if away > 1:
                nearer = which - d[which].sign()
                start = field[nearer] * (away / (away - 1))
            field[which] = matched(luma[which], luma[key[which]], start)
        fields.append(field)
        dists.append(d.float() / pace)
    u0, u1 = (f / d.where(d != 0, torch.ones_like(d)).view(-1, 1, 1, 1) for f, d in zip(fields, dists))
    two = (dists[1] != 0) & (at[after] != at[before]) & (dists[0] > 0)
    for i in (dists[0] == 0).nonzero()[:, 0].tolist():
        # on a key: as the next frame, or the one before
        u0[i] = u1[i] if two[i] else (u0[i - 1] if i else u0[i])
    share = torch.where(two, -dists[1] / (dists[0] - dists[1]), torch.ones_like(dists[0]))
    return _merged(luma, (at[before], at[after]), dists, share, two, u0, u1)


import os

MERGE = float(os.environ.get("MERGE", "0.4"))


def _merged(luma, keys, dists, share, two, u0, u1):
    n, _, rows, columns = u0.shape
    us, es = [], []
    zero = torch.zeros_like(u0[0])
    last_u, last_e = u0[0], zero
    for t in range(n):
        cands = [(last_u, last_e), (u0[t], zero), (u0[t], last_e), (zero, zero)]
        if two[t]:
            cands += [(last_u, zero), (u0[t], u1[t] - u0[t]), (last_u, u1[t] - last_u), (u1[t], zero)]
        if dists[0][t] == 0:
            us.append(last_u), es.append(last_e)
            continue
        U = torch.stack([c[0] for c in cands]); E = torch.stack([c[1] for c in cands])
        cost = share[t] * _differences(luma, t, keys[0][t], U * dists[0][t])
        if two[t]:
            cost = cost + (1 - share[t]) * _differences(luma, t, keys[1][t], (U + E) * dists[1][t])
        cost = cost + MERGE * ((U - last_u).abs().sum(1) > 0) + MERGE * ((E - last_e).abs().sum(1) > 0)
        best = cost.argmin(0)[None, None].expand(1, 2, -1, -1)
        last_u, last_e = U.gather(0, best)[0], E.gather(0, best)[0]
        us.append(last_u), es.append(last_e)
    # the first frames take what comes first
    return torch.stack(us), torch.stack(es)


def _differences(luma, t, key, fields):
    n, _, rows, columns = fields.shape
    height, width = luma.shape[1:]
    by = F.interpolate(fields, (height, width), mode="bilinear", align_corners=False)
    there = moved(luma[key].expand(n, 1, height, width), by)
    halves = F.adaptive_avg_pool2d((there - luma[t]).abs(), (2 * rows, 2 * columns))
    return F.avg_pool2d(F.pad(halves, (1, 1, 1, 1), mode="replicate"), 4, 2)[:, 0]


def matched(now: Tensor, before: Tensor, field: Tensor) -> Tensor:
    n, b = [now[:, None]], [before[:, None]]
    while min(n[-1].shape[2:]) >= 2 * _LEAST_SIDE:
        n.append(F.avg_pool2d(n[-1], 2, ceil_mode=True))
        b.append(F.avg_pool2d(b[-1], 2, ceil_mode=True))
    order = [*reversed(range(len(n))), 0]
    for number, i in enumerate(order):
        scale = n[i].shape[-1] / now.shape[-1]
        reach = _COARSE_REACH if number == 0 else _FINE_REACH
        field = _medians(field + _best_shifts(n[i], b[i], field * scale, reach) / scale)
    return field


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
