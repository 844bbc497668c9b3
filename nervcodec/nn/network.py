"""NeRV++ (arXiv 2402.18305, figure 2) as a function of a flat vector of parameters.

t in [0, 1) -> stem -> [C, h0, w0] -> decoder blocks -> head -> planes. The stem is the paper's
(positional encoding and two-layer MLP) or temporal feature grids, blended linearly between keys.
architecture.py lists the parameters; docs/bitstream.md, 'Reconstruction', specifies every
operation. Precision and memory layout follow the parameters and the device; nothing here knows of
files or of fitting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format import tensors
from nervcodec.format.model_config import MlpStem, ModelConfig, Shots
from nervcodec.format.tensors import KEYED, MOTION_UNIT
from nervcodec.nn.conv import conv2d
from nervcodec.nn.grids import (
    blend_matrix,
    joined,
    key_moments,
    moved,
    positional_encoding,
    shot_by_shot,
    sides,
)

Parameters = Mapping[str, Tensor]


def is_shared(tensors: Sequence[tensors.Tensor]) -> NDArray[np.bool_]:
    """Which parameters belong to no moment, so that another segment has them too; bool
    [n_parameters].
    """
    return np.concatenate([np.full(tensor.size, tensor.kind not in KEYED) for tensor in tensors])


class Network:
    """The network of one segment: maps (parameters, frame numbers) to planes.

    Args:
        model: its configuration.
        shots: the segment's.
        device: where the constant tables live.
    """

    def __init__(self, model: ModelConfig, shots: Shots, device: torch.device) -> None:
        self.model = model
        self.shots = shots
        self.tensors = tensors.tensors(model, shots)
        self._sizes = [tensor.size for tensor in self.tensors]

        def table(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        self._encoding = table(positional_encoding(sum(shots)))
        keys = [grid.keys(shots) for grid in model.grids]
        blends = [shot_by_shot(blend_matrix, shots, own) for own in keys]
        self._blends = [table(blend) for blend in blends]
        moving = [i for i, grid in enumerate(model.grids) if grid.level and model.motion]
        self._sides = {i: [table(side) for side in sides(blends[i])] for i in moving}
        self._moments = {i: table(shot_by_shot(key_moments, keys[i], shots)) for i in moving}
        # Bilinear interpolation of a motion field to the cells of a level, as products along rows
        # and columns: on a GPU F.interpolate's gradient, summed into so few cells, takes as long as
        # all the rest of a step.
        motion = model.motion or (0, 0)
        self._between = {
            level: [table(blend_matrix(size, n)) for size, n in zip(model.cells(level), motion)]
            for level in {model.grids[i].level for i in moving}
        }

    def split(self, flat: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """The flat vector [n_parameters] as named tensors of a dtype, but motion as it is: it needs
        the precision.

        Grids that are stored in halves and details are put together.
        """
        parts = torch.split(flat.to(dtype), self._sizes)
        named = {
            tensor.name: part.view(tensor.shape)
            for tensor, part in zip(self.tensors, parts, strict=True)
        }
        if self.model.motion:
            first = self.tensors[0]
            named[first.name] = flat[: first.size].view(first.shape)
        for number, grid in enumerate(self.model.grids, 1):
            *finer, _ = self.model.bands(grid.level)
            for n_halvings, size in reversed(list(enumerate(finer, 1))):
                details = named.pop(tensors.details_name(number, n_halvings))
                named[f"stem.grid{number}"] = joined(named[f"stem.grid{number}"], details, size)
        return named

    def __call__(self, parameters: Parameters, frames: Tensor) -> Tensor:
        """Planes of the frames numbered in `frames` (int64 [B]).

        Returns:
            float32 [B, n_planes, plane_height, plane_width], in [0, 1].
        """
        model = self.model
        x = self._stem(parameters, frames)
        for number, block in enumerate(model.blocks, 1):
            x = self._block(parameters, f"block{number}", x, block.stride)
            if model.grid_channels(number):
                finer = self._moved if model.motion else self._grids
                x = torch.cat([x, finer(parameters, frames, number).to(x.dtype)], dim=1)
                x = x.contiguous(memory_format=torch.channels_last)
        x = _conv(parameters, "head.conv", x)[
            :, :, : model.plane_height, : model.plane_width
        ].float()
        return (torch.tanh(x) + 1) / 2

    def _stem(self, parameters: Parameters, frames: Tensor) -> Tensor:
        model = self.model
        if isinstance(model.stem, MlpStem):
            x = self._encoding[frames].to(parameters["stem.linear1.weight"].dtype)
            x = F.silu(_linear(parameters, "stem.linear1", x))
            x = F.silu(_linear(parameters, "stem.linear2", x))
        else:
            x = self._grids(parameters, frames, 0)
        x = x.view(len(frames), model.stem.channels, model.stem.height, model.stem.width)
        return x.contiguous(memory_format=torch.channels_last)

    def _grids(self, parameters: Parameters, frames: Tensor, level: int) -> Tensor:
        """The blended grids of a level, [B, C, h, w].

        Keys [K, C, h, w] are blended by a product with weights [B, K], since indexing is not
        deterministic.
        """

        def blended(number: int) -> Tensor:
            keys = parameters[f"stem.grid{number + 1}"]
            weights = self._blends[number][frames].to(keys.dtype)
            return (weights @ keys.reshape(len(keys), -1)).view(len(frames), *keys.shape[1:])

        return torch.cat(
            [blended(i) for i, grid in enumerate(self.model.grids) if grid.level == level], dim=1
        )

    def _moved(self, parameters: Parameters, frames: Tensor, level: int) -> Tensor:
        """The grids of a level, each key moved from its own moment to the frames' before it is
        blended; [B, C, h, w].

        Float32. The keys before and after a frame are taken by products with weights [B, K], as in
        _grids.
        """
        model, motion = self.model, parameters["stem.motion"]
        fields = motion.flatten(1)  # [T, 2 * rows * columns]
        now = fields.index_select(0, frames)
        rows, columns = self._between[level]
        unit = MOTION_UNIT * len(rows) / model.covered_height  # in cells, in both directions

        def taken(keys: Tensor, weights: Tensor, then: Tensor) -> Tensor:
            """The key of each frame that has a weight in [B, K], moved, times that weight."""
            by = (now - (weights > 0).to(now.dtype) @ then).view(-1, *motion.shape[1:])
            return moved(
                (weights @ keys.flatten(1)).view(-1, *keys.shape[1:]),
                unit * (rows @ by @ columns.T),
            )

        found = []
        for number, grid in enumerate(model.grids):
            if grid.level == level:
                keys = parameters[f"stem.grid{number + 1}"].float()
                then = self._moments[number] @ fields  # [K, 2 * rows * columns]
                parts = [taken(keys, side[frames], then) for side in self._sides[number]]
                found.append(parts[0] + parts[1] if len(parts) > 1 else parts[0])
        return torch.cat(found, dim=1)

    def _block(self, parameters: Parameters, name: str, x: Tensor, stride: int) -> Tensor:
        parts = self.model.parts
        if "pw" in parts:
            x = start = _conv(parameters, f"{name}.pw", x)
        if "scrb1" in parts:
            x = self._scrb(parameters, f"{name}.scrb1", x)
        x = _upsampled(parameters, f"{name}.ub", x, stride)
        if "scrb2" in parts:
            x = self._scrb(parameters, f"{name}.scrb2", x)
        if "skip" in parts:
            x = x + F.interpolate(
                start, scale_factor=float(stride), mode="bilinear", align_corners=False
            )
        return x

    def _scrb(self, parameters: Parameters, name: str, x: Tensor) -> Tensor:
        y = _conv(parameters, f"{name}.pw1", _conv(parameters, f"{name}.dw", x, depthwise=True))
        return x + _conv(parameters, f"{name}.pw2", F.gelu(y))


def _conv(parameters: Parameters, name: str, x: Tensor, *, depthwise: bool = False) -> Tensor:
    weight = parameters[f"{name}.weight"]
    return F.conv2d(
        x,
        weight,
        parameters.get(f"{name}.bias"),
        padding=weight.shape[-1] // 2,
        groups=x.shape[1] if depthwise else 1,
    )


def _upsampled(parameters: Parameters, name: str, x: Tensor, stride: int) -> Tensor:
    """pixel_shuffle(silu(conv)), the convolution's outputs ordered so that the shuffle moves whole
    pixels.

    Under channels_last that is five times as fast forward and seventeen times backward as
    F.pixel_shuffle.
    """

    def reordered(parameter: Tensor) -> Tensor:
        return parameter.view(-1, stride**2, *parameter.shape[1:]).transpose(0, 1).flatten(0, 1)

    weight, bias = (reordered(parameters[f"{name}.{part}"]) for part in ("weight", "bias"))
    x = F.silu(conv2d(x, weight, bias)).permute(0, 2, 3, 1)
    batch, height, width, _ = x.shape
    x = x.view(batch, height, width, stride, stride, -1).transpose(2, 3)
    return x.reshape(batch, height * stride, width * stride, -1).permute(0, 3, 1, 2)


def _linear(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    return F.linear(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
