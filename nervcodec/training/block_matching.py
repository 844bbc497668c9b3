"""Block matching: where what a frame shows is in the keys around it.

The motion of a fit (format.tensors.MOTIONS) starts from these fields. A field is found from coarse
to fine: at each level of a pyramid the key is moved by what is known, the best of a few shifts is
taken for every cell from a window of two cells, and vectors that stand alone give way to the median
of their neighbours. Frame after frame, what was found competes with the vectors of the frame
before, which cost nothing. It need not be right everywhere: the fit goes on from there, and weighs
every change by its bits.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nervcodec.nn.grids import distances, key_frames, moved

_LEAST_SIDE = 24  # of the coarsest picture
_COARSE_REACH, _FINE_REACH = 4, 2  # samples of a level's picture, in each direction
_SHIFT_COST = 0.1  # levels of mean absolute difference that a shift by one sample must gain
_CHANGE_COST = 0.4  # the same of a vector that is not that of the frame before (docs/lab L104)
_BATCH_VALUES = 4_000_000  # of the differences that are held at once


class Motion(NamedTuple):
    """The motion of a shot's frames.

    Attributes:
        motion: by how far content moves from one key to the next, (columns, rows) in samples:
            times the distance of a frame from a key it is where in the key the content is. Float32
            [T, 2, rows, columns].
        turn: what is to be added to it for the key after the frame, of the same shape.
    """

    motion: Tensor
    turn: Tensor


def key_motion(luma: Tensor, n_keys: int, rows: int, columns: int) -> Motion:
    """Return the motion of a shot.

    Args:
        luma: float32 [T, H, W], 0 to 255.
        n_keys: of the shot.
        rows, columns: cells of the fields.
    """
    sides = _sides(len(luma), n_keys)
    before, after = (_paces(luma, side, rows, columns) for side in sides)
    return _merged(luma, sides, before, after)


class _Side(NamedTuple):
    """Of each frame, one of the keys that it takes: its frame, and its distance.

    Attributes:
        keys: int64 [T].
        far: in distances between keys, negative before the key, 0 where it is the frame itself or
            there is no such key; float32 [T].
    """

    keys: Tensor
    far: Tensor


def _sides(n_frames: int, n_keys: int) -> tuple[_Side, _Side]:
    """Return the first and the second key of each frame."""
    at, frames = torch.from_numpy(key_frames(n_frames, n_keys)), torch.arange(n_frames)
    far = torch.from_numpy(distances((n_frames,), (n_keys,))).float()
    number = (torch.searchsorted(at, frames, right=True) - 1).clamp(0, n_keys - 1)
    after = at[(number + 1).clamp(max=n_keys - 1)]
    return _Side(at[number], far[0]), _Side(after, far[1])


def _paces(luma: Tensor, side: _Side, rows: int, columns: int) -> Tensor:
    """Return fields to one key of each frame over its distance, [T, 2, rows, columns].

    The search begins at what was found one frame nearer to the key. Frames that have no such key,
    or stand on it, get 0.
    """
    n_frames = len(luma)
    away = (torch.arange(n_frames) - side.keys) * (side.far != 0)
    pace = luma.new_zeros(n_frames, 2, rows, columns)
    for distance in range(1, int(away.abs().max()) + 1):
        frames = (away.abs() == distance).nonzero()[:, 0]
        far = side.far[frames].to(luma.device).view(-1, 1, 1, 1)
        nearer = pace[(frames - away[frames].sign()).to(luma.device)]
        for part, key, known, scale in zip(
            *(
                torch.split(values, max(1, _BATCH_VALUES // luma[0].numel()))
                for values in (frames, side.keys[frames], nearer * far, far)
            ),
            strict=True,
        ):
            pace[part] = matched(luma[part], luma[key], known) / scale
    return pace


def _merged(luma: Tensor, sides: tuple[_Side, _Side], before: Tensor, after: Tensor) -> Motion:
    """Return the motion and its turn, of which vectors change where that pays."""
    none = torch.zeros_like(before[0])
    motion, turn = before[0], none
    motions, turns = [], []
    for frame in range(len(luma)):
        fars = [float(side.far[frame]) for side in sides]
        has_second = fars[1] != 0
        if fars[0] != 0:
            now, then = before[frame], after[frame]
            choices = [(motion, turn), (now, none), (now, turn), (none, none)]
            if has_second:
                choices += [
                    (motion, none),
                    (now, then - now),
                    (motion, then - motion),
                    (then, none),
                ]
            fields = [torch.stack(parts) for parts in zip(*choices)]
            share = -fars[1] / (fars[0] - fars[1]) if has_second else 1.0
            cost = share * _differences(luma, frame, int(sides[0].keys[frame]), fields[0] * fars[0])
            if has_second:
                there = (fields[0] + fields[1]) * fars[1]
                key = int(sides[1].keys[frame])
                cost = cost + (1 - share) * _differences(luma, frame, key, there)
            for field, last in zip(fields, (motion, turn)):
                cost = cost + _CHANGE_COST * (field != last).any(dim=1)
            best = cost.argmin(dim=0)[None, None].expand(1, 2, -1, -1)
            motion, turn = (field.gather(0, best)[0] for field in fields)
        motions.append(motion)
        turns.append(turn)
    return Motion(torch.stack(motions), torch.stack(turns))


def _differences(luma: Tensor, frame: int, key: int, fields: Tensor) -> Tensor:
    """Return mean absolute differences of a frame from a key moved by fields, around each cell.

    Args:
        fields: [n, 2, rows, columns] in samples.
    Returns:
        [n, rows, columns].
    """
    size = luma.shape[1:]
    by = F.interpolate(fields, size, mode="bilinear", align_corners=False)
    there = moved(luma[key].expand(len(fields), 1, *size), by)
    return _around_cells((there - luma[frame]).abs(), *fields.shape[2:])


def _around_cells(differences: Tensor, rows: int, columns: int) -> Tensor:
    """Return means over windows of two cells, [n, 1, H, W] -> [n, rows, columns]."""
    halves = F.adaptive_avg_pool2d(differences, (2 * rows, 2 * columns))
    return F.avg_pool2d(F.pad(halves, (1, 1, 1, 1), mode="replicate"), 4, 2)[:, 0]


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
