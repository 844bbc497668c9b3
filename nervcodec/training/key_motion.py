"""The motion that a fit starts from: how frames move from and to the keys around them.

Block matching gives two starts. One is the difference of trajectories from frame to frame, which is
smooth. The other is the match itself, frame after frame in competition with the vectors of the
frame before, which cost nothing: it is right where things cross and after many frames, but finds
likeness in water and noise that is no motion (docs/lab L105). The fit goes on from there, and
weighs every change by its bits.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nervcodec.nn.grids import distances
from nervcodec.nn.integer_network import key_frames
from nervcodec.training.block_matching import batch_size, differences, matched, trajectories

# Levels of mean absolute difference that a vector must gain that is not that of the frame before
# (docs/lab L104).
_CHANGE_COST = 0.4
# Trajectories are taken where they leave less than such a share of the mismatch without motion, and
# matches more than such a share of theirs: fits of smooth motion end better (docs/lab L105).
_LEAST_MOTION, _MUCH_BETTER = 0.9, 0.72
_LONGEST_PATH = 48  # frames between keys over which trajectories do not lose their way


class Motion(NamedTuple):
    """The motion of a shot's frames.

    Attributes:
        motion: by how far content moves from one key to the next, (columns, rows) in samples:
            times the distance of a frame from a key it is where in the key the content is. Float32
            [T, 2, rows, columns].
        offset: what is added to that for every key but one that the frame stands on, in samples,
            of the same shape.
    """

    motion: Tensor
    offset: Tensor


class _Side(NamedTuple):
    """Of each frame, one of the keys that it takes: its frame, and its distance.

    Attributes:
        keys: int64 [T].
        far: in distances between keys, negative before the key, 0 where it is the frame itself or
            there is no such key; float32 [T].
    """

    keys: Tensor
    far: Tensor


def key_motion(luma: Tensor, n_keys: int, rows: int, columns: int) -> Motion:
    """Return the motion of a shot.

    Args:
        luma: float32 [T, H, W], 0 to 255.
        n_keys: of the shot.
        rows, columns: cells of the fields.
    """
    sides = _sides(len(luma), n_keys)
    paths = trajectories(luma, rows, columns)
    matches = [_matches(luma, side, rows, columns) for side in sides]
    none = Motion(torch.zeros_like(paths[0]), torch.zeros_like(paths[0]))
    smooth, chosen = [none], [none]
    mismatches = torch.zeros(3)  # of no motion, of both, summed over the frames
    for frame in range(len(luma)):
        fars = [float(side.far[frame]) for side in sides]
        keys = [int(side.keys[frame]) for side in sides]
        if not fars[0]:
            smooth.append(smooth[-1])
            chosen.append(chosen[-1])
            continue
        smooth.append(_from_places([paths[frame] - paths[key] for key in keys], fars))
        last = chosen[-1]
        choices = [none, last, Motion(last.motion, none.offset)]
        choices += _by_matches([match[frame] for match in matches], fars)
        fields = [torch.stack(parts) for parts in zip(*choices)]
        mismatch = _mismatch(luma, frame, keys, fars, fields)
        cost = mismatch.clone()
        for field, before in zip(fields, last):
            cost += _CHANGE_COST * (field != before).any(dim=1)
        best = cost.argmin(dim=0, keepdim=True)
        chosen.append(
            Motion(*(field.gather(0, best[:, None].expand(1, 2, -1, -1))[0] for field in fields))
        )
        of_path = _mismatch(luma, frame, keys, fars, [field[None] for field in smooth[-1]])
        of_each = mismatch[0], of_path, mismatch.gather(0, best)
        mismatches += torch.stack([each.mean() for each in of_each]).cpu()
    by_none, by_paths, by_choice = mismatches.tolist()
    is_near = len(luma) <= _LONGEST_PATH * n_keys
    is_smooth = by_paths < _LEAST_MOTION * by_none and by_choice > _MUCH_BETTER * by_paths
    motions, offsets = zip(*(smooth if is_near and is_smooth else chosen)[1:])
    return Motion(torch.stack(motions), torch.stack(offsets))


def _sides(n_frames: int, n_keys: int) -> tuple[_Side, _Side]:
    """Return the first and the second key of each frame."""
    at, frames = torch.from_numpy(key_frames(n_frames, n_keys)), torch.arange(n_frames)
    far = torch.from_numpy(distances((n_frames,), (n_keys,))).float()
    number = (torch.searchsorted(at, frames, right=True) - 1).clamp(0, n_keys - 1)
    after = at[(number + 1).clamp(max=n_keys - 1)]
    return _Side(at[number], far[0]), _Side(after, far[1])


def _matches(luma: Tensor, side: _Side, rows: int, columns: int) -> Tensor:
    """Return fields to one key of each frame, in samples, [T, 2, rows, columns].

    The search begins at what was found one frame nearer to the key, farther by as much. Frames that
    have no such key, or stand on it, get 0.
    """
    n_frames = len(luma)
    away = (torch.arange(n_frames) - side.keys) * (side.far != 0)
    fields = luma.new_zeros(n_frames, 2, rows, columns)
    for distance in range(1, int(away.abs().max()) + 1):
        frames = (away.abs() == distance).nonzero()[:, 0]
        nearer = fields[(frames - away[frames].sign()).to(luma.device)]
        known = nearer * (distance / max(1, distance - 1))
        for part, key, guess in zip(
            *(torch.split(each, batch_size(luma)) for each in (frames, side.keys[frames], known)),
            strict=True,
        ):
            fields[part] = matched(luma[part], luma[key], guess)
    return fields


def _by_matches(places: list[Tensor], fars: list[float]) -> list[Motion]:
    """Return what leads a frame to its matches in both of its keys, and to that in each of them.

    Args:
        places: where in the keys the frame is.
        fars: its distances from them; the second one is 0 if there is none.
    """
    found = [_from_places(places, fars)]
    if fars[1]:
        found += [Motion(place / far, torch.zeros_like(place)) for place, far in zip(places, fars)]
    return found


def _from_places(places: list[Tensor], fars: list[float]) -> Motion:
    """Return the motion and offset that lead a frame to its places in two keys, or one."""
    if not fars[1]:
        return Motion(places[0] / fars[0], torch.zeros_like(places[0]))
    motion = (places[0] - places[1]) / (fars[0] - fars[1])
    return Motion(motion, places[0] - fars[0] * motion)


def _mismatch(
    luma: Tensor, frame: int, keys: list[int], fars: list[float], fields: list[Tensor]
) -> Tensor:
    """Return how far a frame is from a blend of its keys, [n, rows, columns], in levels.

    Args:
        fields: motion and offset, [n, 2, rows, columns] each.
    """
    share = -fars[1] / (fars[0] - fars[1]) if fars[1] else 1.0
    total = torch.zeros(())
    for key, far, weight in zip(keys, fars, (share, 1 - share)):
        if far:
            there = fields[0] * far + fields[1]
            total = total + weight * differences(luma, frame, key, there)
    return total
