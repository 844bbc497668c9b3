"""NeRV++ (arXiv 2402.18305, figure 2) as a function of a flat vector of parameters.

t in [0, 1) -> stem -> [C, h0, w0] -> decoder blocks -> head -> planes. The stem is the paper's
(positional encoding and two-layer MLP) or temporal feature grids, blended linearly between keys.
format/tensors.py lists the parameters. It is what a fit computes with, and `decode --fast`; what a
file decodes to is what nvpp-format.md, section 5, specifies in integers (nn.exact_network).
Precision and memory layout follow the parameters and the device; nothing here knows of files or of
training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format import tensors
from nervcodec.format.model_config import MlpStem, ModelConfig, Shots
from nervcodec.format.tensors import KEYED, MOTIONS
from nervcodec.nn.conv import conv2d
from nervcodec.nn.grids import Parameters, TemporalGrids, positional_encoding, table
from nervcodec.nn.prior import prior_vector


def is_shared(tensors: Sequence[tensors.Tensor]) -> NDArray[np.bool_]:
    """Return which parameters belong to no moment, so that another segment has them too.

    Returns:
        bool [n_parameters].
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
        self.sizes = [tensor.size for tensor in self.tensors]
        self._encoding = table(positional_encoding(sum(shots)), device)
        self._grids = TemporalGrids(model, shots, device)
        self._prior = (
            torch.from_numpy(prior_vector(model, self.tensors)).to(device) if model.prior else None
        )

    def split(self, flat: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Return the flat vector [n_parameters] as named tensors of a dtype.

        Motion stays as it is: it needs the precision. Grids that are stored in halves and details
        are put together.
        """
        whole = flat if self._prior is None else flat + self._prior
        parts = torch.split(whole.to(dtype), self.sizes)
        named = {
            tensor.name: part.view(tensor.shape)
            for tensor, part in zip(self.tensors, parts, strict=True)
        }
        if self.model.motion:
            fields = torch.split(flat, self.sizes)[: len(MOTIONS)]
            for tensor, field in zip(self.tensors, fields):
                named[tensor.name] = field.view(tensor.shape)
        self._grids.put_together(named)
        return named

    def __call__(self, parameters: Parameters, frames: Tensor) -> Tensor:
        """Return the planes of the frames numbered in `frames` (int64 [B]).

        Returns:
            float32 [B, n_planes, plane_height, plane_width], in [0, 1].
        """
        return self.from_maps(
            parameters, lambda level: self._grids.maps(parameters, frames, level), frames
        )

    def from_maps(
        self, parameters: Parameters, maps: Callable[[int], Tensor], frames: Tensor
    ) -> Tensor:
        """Return the planes of frames as __call__ does, from the maps of grids that are handed in.

        Args:
            maps: gives those of a level, [B, C, h, w].
        """
        model = self.model
        x = self._stem(parameters, frames, maps)
        for number, block in enumerate(model.blocks, 1):
            x = self._block(parameters, f"block{number}", x, block.stride)
            if model.grid_channels(number):
                x = torch.cat([x, maps(number).to(x.dtype)], dim=1)
                x = x.contiguous(memory_format=torch.channels_last)
        x = _conv(parameters, "head.conv", x)[
            :, :, : model.plane_height, : model.plane_width
        ].float()
        return (torch.tanh(x) + 1) / 2

    def _stem(
        self, parameters: Parameters, frames: Tensor, maps: Callable[[int], Tensor]
    ) -> Tensor:
        model = self.model
        if isinstance(model.stem, MlpStem):
            x = self._encoding[frames].to(parameters["stem.linear1.weight"].dtype)
            x = F.silu(_linear(parameters, "stem.linear1", x))
            x = F.silu(_linear(parameters, "stem.linear2", x))
        else:
            x = maps(0)
        x = x.view(len(frames), model.stem.channels, model.stem.height, model.stem.width)
        return x.contiguous(memory_format=torch.channels_last)

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
    """Return pixel_shuffle(silu(conv)), outputs ordered so that the shuffle moves whole pixels.

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


def to_samples(planes: Tensor, model: ModelConfig) -> Tensor:
    """Return planes in [0, 1] as 0..peak: times the peak, rounded (halves to even), clipped.

    Returns:
        uint8 of 8-bit frames, else int16, of the same shape.
    """
    samples = (planes * model.peak).round().clamp(0, model.peak)
    return samples.to(torch.uint8 if model.bit_depth == 8 else torch.int16)
