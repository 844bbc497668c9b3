"""NeRV++ (arXiv 2402.18305, figure 2) as a function of a flat vector of parameters.

t in [0, 1) -> stem -> [C, h0, w0] -> decoder blocks -> head -> planes. The stem is the paper's (positional encoding and
two-layer MLP) or temporal feature grids, blended linearly between keys. architecture.py lists the parameters;
docs/bitstream.md, 'Reconstruction', specifies every operation. Precision and memory layout follow the parameters
and the device; nothing here knows of files or of fitting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.convolution import conv2d
from nervcodec.format import tensors
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.tensors import BIAS, DEPTHWISE, GRID, KEYED, MOTION, MOTION_UNIT
from nervcodec.trajectory import moved, trajectories
from nervcodec.video.frames import Frames
from nervcodec.wavelets import joined

Parameters = Mapping[str, Tensor]
# Of a start: docs/ablation.md, 'Where weights start'.
_GRID_DEVIATION = 0.04
_ORTHOGONAL_GAIN = 0.7
_PASSING_GAIN = 1.5


def positional_encoding(n_frames: int, levels: int, base: float) -> NDArray[np.float64]:
    """sin and cos of base^i * pi * t for i < levels, t = frame / n_frames; float64 [n_frames, 2 * levels]."""
    t = np.arange(n_frames) / n_frames
    angles = t[:, None] * (np.pi * base ** np.arange(levels))
    encoding: NDArray[np.float64] = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return encoding


def blend_matrix(n_frames: int, n_keys: int) -> NDArray[np.float64]:
    """Weights of a linear interpolation in time; float64 [n_frames, n_keys], rows sum to 1.

    Key k stands at the middle of the k-th of n_keys equal spans of the shot; before the first and after the last
    middle the nearest key is held.
    """
    position = np.clip((np.arange(n_frames) + 0.5) * n_keys / n_frames - 0.5, 0, n_keys - 1)
    weights: NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(position[:, None] - np.arange(n_keys)))
    return weights


def key_moments(n_keys: int, n_frames: int) -> NDArray[np.float64]:
    """Weights that give the motion at the keys' moments from that of a shot's frames; float64 [n_keys, n_frames].

    Key k stands at (k + 1/2) * n_frames / n_keys - 1/2, between two frames or on one.
    """
    moments = (np.arange(n_keys) + 0.5) * n_frames / n_keys - 0.5
    weights: NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(moments[:, None] - np.arange(n_frames)))
    return weights


def shot_by_shot(table: Callable[[int, int], NDArray[np.float64]], rows: Shots, columns: Shots) -> NDArray[np.float64]:
    """The tables table(rows, columns) of each shot on the diagonal, 0 between shots; [sum(rows), sum(columns)]."""
    found = np.zeros((sum(rows), sum(columns)))
    row, column = 0, 0
    for n_rows, n_columns in zip(rows, columns, strict=True):
        found[row:row + n_rows, column:column + n_columns] = table(n_rows, n_columns)
        row, column = row + n_rows, column + n_columns
    return found


def sides(blend: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """blend_matrix in two parts: the weights of the first key that each frame has, and what is left, if anything is."""
    is_first = np.arange(blend.shape[1]) == (blend > 0).argmax(axis=1)[:, None]
    parts = [np.where(is_first, blend, 0.0), np.where(is_first, 0.0, blend)]
    return parts if parts[1].any() else parts[:1]


def is_shared(tensors: Sequence[tensors.Tensor]) -> NDArray[np.bool_]:
    """Which parameters belong to no moment, so that another segment has them too; bool [n_parameters]."""
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

        self._encoding = table(positional_encoding(sum(shots), model.pe_levels, model.pe_base_q8 / 256))
        keys = [grid.keys(shots) for grid in model.grids]
        blends = [shot_by_shot(blend_matrix, shots, own) for own in keys]
        self._blends = [table(blend) for blend in blends]
        moving = [i for i, grid in enumerate(model.grids) if grid.level and model.motion_height]
        self._sides = {i: [table(side) for side in sides(blends[i])] for i in moving}
        self._moments = {i: table(shot_by_shot(key_moments, keys[i], shots)) for i in moving}
        # Bilinear interpolation of a motion field to the cells of a level, as products along rows and columns: on a GPU
        # F.interpolate's gradient, summed into so few cells, takes as long as all the rest of a step.
        motion = model.motion_height, model.motion_width
        self._between = {level: [table(blend_matrix(size, n)) for size, n in zip(model.cells(level), motion)]
                         for level in {model.grids[i].level for i in moving}}

    def split(self, flat: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """The flat vector [n_parameters] as named tensors of a dtype, but motion as it is: it needs the precision.

        Grids that are stored in halves and details are put together.
        """
        parts = torch.split(flat.to(dtype), self._sizes)
        named = {tensor.name: part.view(tensor.shape) for tensor, part in zip(self.tensors, parts, strict=True)}
        if self.model.motion_height:
            first = self.tensors[0]
            named[first.name] = flat[:first.size].view(first.shape)
        for number, grid in enumerate(self.model.grids, 1):
            *finer, _ = self.model.bands(grid.level)
            for n_halvings, size in reversed(list(enumerate(finer, 1))):
                details = named.pop(tensors.details_name(number, n_halvings))
                named[f"stem.grid{number}"] = joined(named[f"stem.grid{number}"], details, size)
        return named

    def __call__(self, parameters: Parameters, frames: Tensor) -> Tensor:
        """Planes of the frames numbered in `frames` (int64 [B]).

        Returns:
            float32 [B, n_planes, plane_height, plane_width], nominally in [0, 1], not clipped for output 'linear'.
        """
        model = self.model
        x = self._stem(parameters, frames)
        for number, block in enumerate(model.blocks, 1):
            x = self._block(parameters, f"block{number}", x, block.stride)
            if model.grid_channels(number):
                finer = self._moved if model.motion_height else self._grids
                x = torch.cat([x, finer(parameters, frames, number).to(x.dtype)], dim=1)
                x = x.contiguous(memory_format=torch.channels_last)
        x = _conv(parameters, "head.conv", x)[:, :, :model.plane_height, :model.plane_width].float()
        return (torch.tanh(x) + 1) / 2 if model.output == "tanh" else (x + 1) / 2

    def _stem(self, parameters: Parameters, frames: Tensor) -> Tensor:
        model = self.model
        if model.stem == "mlp":
            x = self._encoding[frames].to(parameters["stem.linear1.weight"].dtype)
            x = F.silu(_linear(parameters, "stem.linear1", x))
            x = F.silu(_linear(parameters, "stem.linear2", x))
        else:
            x = self._grids(parameters, frames, 0)
        x = x.view(len(frames), model.input_channels, model.stem_height, model.stem_width)
        return x.contiguous(memory_format=torch.channels_last)

    def _grids(self, parameters: Parameters, frames: Tensor, level: int) -> Tensor:
        """The blended grids of a level, [B, C, h, w].

        Keys [K, C, h, w] are blended by a product with weights [B, K], since indexing is not deterministic.
        """
        def blended(number: int) -> Tensor:
            keys = parameters[f"stem.grid{number + 1}"]
            weights = self._blends[number][frames].to(keys.dtype)
            return (weights @ keys.reshape(len(keys), -1)).view(len(frames), *keys.shape[1:])

        return torch.cat([blended(i) for i, grid in enumerate(self.model.grids) if grid.level == level], dim=1)

    def _moved(self, parameters: Parameters, frames: Tensor, level: int) -> Tensor:
        """The grids of a level, each key moved from its own moment to the frames' before it is blended; [B, C, h, w].

        Float32. The keys before and after a frame are taken by products with weights [B, K], as in _grids.
        """
        model, motion = self.model, parameters["stem.motion"]
        fields = motion.flatten(1)  # [T, 2 * rows * columns]
        now = fields.index_select(0, frames)
        rows, columns = self._between[level]
        unit = MOTION_UNIT * len(rows) / model.covered_height  # in cells, in both directions

        def taken(keys: Tensor, weights: Tensor, then: Tensor) -> Tensor:
            """The key of each frame that has a weight in [B, K], moved, times that weight."""
            by = (now - (weights > 0).to(now.dtype) @ then).view(-1, *motion.shape[1:])
            return moved((weights @ keys.flatten(1)).view(-1, *keys.shape[1:]), unit * (rows @ by @ columns.T))

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
            x = x + F.interpolate(start, scale_factor=float(stride), mode="bilinear", align_corners=False)
        return x

    def _scrb(self, parameters: Parameters, name: str, x: Tensor) -> Tensor:
        y = _conv(parameters, f"{name}.pw1", _conv(parameters, f"{name}.dw", x, depthwise=True))
        y = F.gelu(y, approximate="tanh" if self.model.activation == "gelu-tanh" else "none")
        return x + _conv(parameters, f"{name}.pw2", y)


def _conv(parameters: Parameters, name: str, x: Tensor, *, depthwise: bool = False) -> Tensor:
    weight = parameters[f"{name}.weight"]
    return F.conv2d(x, weight, parameters.get(f"{name}.bias"), padding=weight.shape[-1] // 2,
                    groups=x.shape[1] if depthwise else 1)


def _upsampled(parameters: Parameters, name: str, x: Tensor, stride: int) -> Tensor:
    """pixel_shuffle(silu(conv)), the convolution's outputs ordered so that the shuffle moves whole pixels.

    Under channels_last that is five times as fast forward and seventeen times backward as F.pixel_shuffle.
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


def initial_parameters(network: Network, generator: torch.Generator, target: Tensor | None = None) -> Tensor:
    """A random start, float32 [n_parameters] on the CPU: small grids, zero biases, weights by the stem.

    With grids depthwise kernels pass on what they take, and matrices are orthogonal; with the paper's stem they all
    start uniform within +-1/sqrt(fan in), as torch's own layers do.

    Args:
        target: the frames as from pack, uint8 [T, n_planes, plane_height, plane_width], whose motion is estimated;
            without them it is 0.
    """
    parts = [_initial(tensor, generator, network.model.stem) for tensor in network.tensors]
    if target is not None and network.model.motion_height:
        parts[0] = _estimated_motion(target, network.model, network.shots).cpu()
    return torch.cat([part.flatten() for part in parts])


def _estimated_motion(target: Tensor, model: ModelConfig, shots: Shots) -> Tensor:
    """The motion of frames as from pack, by block matching: float32 [T, 2, motion_height, motion_width]."""
    luma = target[:, 1] if model.colorspace == "rgb" else target[:, :4].float().mean(dim=1)
    missing = (0, model.covered_width - model.plane_width, 0, model.covered_height - model.plane_height)
    luma = F.pad(luma.float()[:, None], missing, mode="replicate")[:, 0]
    found = [trajectories(shot, model.motion_height, model.motion_width) for shot in torch.split(luma, list(shots))]
    return torch.cat(found) / MOTION_UNIT


def _initial(tensor: tensors.Tensor, generator: torch.Generator, stem: str) -> Tensor:
    if tensor.kind in (BIAS, MOTION):
        return torch.zeros(tensor.shape)
    if tensor.kind == GRID:
        return _GRID_DEVIATION * torch.randn(tensor.shape, generator=generator)
    if stem == "mlp":
        bound = 1 / math.sqrt(math.prod(tensor.shape[1:]))
        return (2 * torch.rand(tensor.shape, generator=generator) - 1) * bound
    weights = torch.empty(tensor.shape)
    if tensor.kind == DEPTHWISE:
        return _PASSING_GAIN * torch.nn.init.dirac_(weights, groups=len(weights))
    return torch.nn.init.orthogonal_(weights, _ORTHOGONAL_GAIN, generator)


# --- frames <-> the planes that the head gives ---


def pack(frames: Frames, model: ModelConfig) -> NDArray[np.uint8]:
    """Frames in the model's colorspace as uint8 [T, n_planes, plane_height, plane_width].

    'yuv': the luma phases (even row, even column), (even, odd), (odd, even), (odd, odd), then Cb, Cr; an odd frame's
    missing luma row or column repeats the last one.
    """
    if model.colorspace == "rgb":
        return np.stack(frames.planes, axis=1)
    luma, cb, cr = frames.planes
    height, width = luma.shape[1:]
    luma = np.pad(luma, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return np.stack([luma[:, i::2, j::2] for i in (0, 1) for j in (0, 1)] + [cb, cr], axis=1)


def unpack(planes: Tensor, model: ModelConfig) -> Frames:
    """The inverse of pack, from uint8 planes on any device."""
    if model.colorspace == "rgb":
        found = list(planes.unbind(dim=1))
    else:
        n_frames, _, height, width = planes.shape
        luma = planes.new_empty(n_frames, 2 * height, 2 * width)
        for phase in range(4):
            luma[:, phase // 2::2, phase % 2::2] = planes[:, phase]
        found = [luma[:, :model.height, :model.width], planes[:, 4], planes[:, 5]]
    first, second, third = (plane.contiguous().cpu().numpy() for plane in found)
    return Frames("rgb" if model.colorspace == "rgb" else "yuv420", (first, second, third))


def to_uint8(planes: Tensor) -> Tensor:
    """[0, 1] -> 0..255: times 255, rounded (halves to even), clipped."""
    return (planes * 255).round().clamp(0, 255).to(torch.uint8)
