"""NeRV++ (arXiv 2402.18305, figure 2) as a function of a flat vector of parameters.

t in [0, 1) -> stem -> [C, h0, w0] -> decoder blocks -> head -> planes. The stem is the paper's (positional encoding and
two-layer MLP) or temporal feature grids, blended linearly between keys. architecture.py lists the parameters;
docs/bitstream.md, 'Reconstruction', specifies every operation. Precision and memory layout follow the parameters
and the device; nothing here knows of files or of fitting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from . import architecture
from .architecture import BIAS, GRID
from .color import Frames
from .config import ModelConfig

Parameters = Mapping[str, Tensor]


def positional_encoding(n_frames: int, levels: int, base: float) -> NDArray[np.float64]:
    """sin and cos of base^i * pi * t for i < levels, t = frame / n_frames; float64 [n_frames, 2 * levels]."""
    t = np.arange(n_frames) / n_frames
    angles = t[:, None] * (np.pi * base ** np.arange(levels))
    encoding: NDArray[np.float64] = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return encoding


def blend_matrix(n_frames: int, n_keys: int) -> NDArray[np.float64]:
    """Weights of a linear interpolation in time; float64 [n_frames, n_keys], rows sum to 1.

    Key k stands at the middle of the k-th of n_keys equal spans of the segment; before the first and after the last
    middle the nearest key is held.
    """
    position = np.clip((np.arange(n_frames) + 0.5) * n_keys / n_frames - 0.5, 0, n_keys - 1)
    weights: NDArray[np.float64] = np.maximum(0.0, 1 - np.abs(position[:, None] - np.arange(n_keys)))
    return weights


class Network:
    """The network of one segment: maps (parameters, frame numbers) to planes.

    Args:
        model: its configuration.
        n_frames: frames of the segment.
        device: where the constant tables live.
    """

    def __init__(self, model: ModelConfig, n_frames: int, device: torch.device) -> None:
        self.model = model
        self.n_frames = n_frames
        self.tensors = architecture.tensors(model, n_frames)
        self._sizes = [tensor.size for tensor in self.tensors]
        encoding = positional_encoding(n_frames, model.pe_levels, model.pe_base_q8 / 256)
        self._encoding = torch.from_numpy(encoding.astype(np.float32)).to(device)
        self._blends = [torch.from_numpy(blend_matrix(n_frames, grid.n_keys(n_frames)).astype(np.float32)).to(device)
                        for grid in model.grids]

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of the flat vector [n_parameters] as named tensors."""
        parts = torch.split(flat, self._sizes)
        return {tensor.name: part.view(tensor.shape) for tensor, part in zip(self.tensors, parts, strict=True)}

    def initial_parameters(self, generator: torch.Generator) -> Tensor:
        """A random start, float32 [n_parameters] on the CPU: uniform +-1/sqrt(fan in), small grids, zero biases."""
        return torch.cat([_initial(tensor, generator).flatten() for tensor in self.tensors])

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
                x = torch.cat([x, self._grids(parameters, frames, number).to(x.dtype)], dim=1)
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
    x = F.silu(F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)).permute(0, 2, 3, 1)
    batch, height, width, _ = x.shape
    x = x.view(batch, height, width, stride, stride, -1).transpose(2, 3)
    return x.reshape(batch, height * stride, width * stride, -1).permute(0, 3, 1, 2)


def _linear(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    return F.linear(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def _initial(tensor: architecture.Tensor, generator: torch.Generator) -> Tensor:
    if tensor.kind == BIAS:
        return torch.zeros(tensor.shape)
    if tensor.kind == GRID:
        return 0.1 * torch.randn(tensor.shape, generator=generator)
    bound = 1 / math.sqrt(math.prod(tensor.shape[1:]))
    return (2 * torch.rand(tensor.shape, generator=generator) - 1) * bound


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


def unpack(planes: NDArray[np.uint8], model: ModelConfig) -> Frames:
    """The inverse of pack."""
    if model.colorspace == "rgb":
        return Frames("rgb", (planes[:, 0], planes[:, 1], planes[:, 2]))
    n_frames, _, height, width = planes.shape
    luma = planes[:, :4].reshape(n_frames, 2, 2, height, width)  # [T, row phase, column phase, h, w]
    luma = luma.transpose(0, 3, 1, 4, 2).reshape(n_frames, 2 * height, 2 * width)
    return Frames("yuv420", (luma[:, :model.height, :model.width], planes[:, 4], planes[:, 5]))


def to_uint8(planes: Tensor) -> Tensor:
    """[0, 1] -> 0..255: times 255, rounded (halves to even), clipped."""
    return (planes * 255).round().clamp(0, 255).to(torch.uint8)
