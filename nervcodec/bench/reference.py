"""The reference path: the network and its training as public NeRV repositories write them, to
measure ours against.

One torch.nn module in float32 with contiguous maps, torch.optim.Adam with its defaults, 0.7 L1 +
0.3 (1 - SSIM) (arXiv 2402.18305, section 3), frames that wait on the host as uint8 and are copied
and converted at every step; no rate term, nothing rounded. Nothing here is model.py's but the
random start: the tests hold the two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from nervcodec.format import tensors
from nervcodec.format.model_config import (
    PE_BASE,
    PE_LEVELS,
    Block,
    Grid,
    GridStem,
    MlpStem,
    ModelConfig,
)
from nervcodec.format.tensors import MOTION_UNIT, OFFSET_UNIT
from nervcodec.nn.network import Network
from nervcodec.nn.prior import stored_weights
from nervcodec.training.config import FitConfig
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.losses import l1_ssim
from nervcodec.training.optimizers import peak_factor, rate_factor


class MlpFeatures(nn.Module):
    """Positional encoding -> two linear layers -> feature map (arXiv 2402.18305, figure 2)."""

    encoding: Tensor

    def __init__(self, model: ModelConfig, stem: MlpStem, n_frames: int) -> None:
        super().__init__()
        time = torch.arange(n_frames, dtype=torch.float64)[:, None] / n_frames
        angles = time * math.pi * PE_BASE ** torch.arange(PE_LEVELS, dtype=torch.float64)
        encoding = torch.cat([angles.sin(), angles.cos()], dim=1)
        self.register_buffer("encoding", encoding.float(), persistent=False)
        self.linear1 = nn.Linear(2 * PE_LEVELS, stem.hidden)
        self.linear2 = nn.Linear(stem.hidden, stem.channels * stem.height * stem.width)
        self.act = nn.SiLU()
        self.unflatten = nn.Unflatten(1, (stem.channels, stem.height, stem.width))

    def features(self, level: int, frames: Tensor) -> list[Tensor]:
        """What stands beside the output of block `level`, or goes into the first one: [B, C, h, w]
        each.
        """
        if level:
            return []
        return [
            self.unflatten(self.act(self.linear2(self.act(self.linear1(self.encoding[frames])))))
        ]


class GridFeatures(nn.Module):
    """Temporal feature grids, linear between the frames of their keys, held at both ends."""

    def __init__(self, model: ModelConfig, stem: GridStem, n_frames: int) -> None:
        super().__init__()
        self.n_frames = n_frames
        self.levels = [grid.level for grid in stem.grids]
        self.sizes = [self._sizes(model, stem, grid) for grid in stem.grids]
        for number, (grid, sizes) in enumerate(zip(stem.grids, self.sizes), 1):
            n_keys = math.ceil(n_frames / grid.interval)
            self.register_parameter(
                f"grid{number}", nn.Parameter(torch.empty(n_keys, grid.channels, *sizes[-1]))
            )
            for halving, size in enumerate(sizes[1:], 1):
                details = torch.empty(n_keys, 3 * grid.channels, *size)
                self.register_parameter(f"grid{number}_details{halving}", nn.Parameter(details))
        self.motion, self.offset = (self._motion(stem, n_frames) for _ in range(2))
        self.covered = model.covered_height, model.covered_width

    @staticmethod
    def _sizes(model: ModelConfig, stem: GridStem, grid: Grid) -> list[tuple[int, int]]:
        """(rows, columns) of the grid, of its half, of the half's half .."""
        scale = math.prod(block.stride for block in model.blocks[: grid.level])
        sizes = [(stem.height * scale, stem.width * scale)]
        for _ in range(stem.wavelet_levels if grid.level else 0):
            sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
        return sizes

    def features(self, level: int, frames: Tensor) -> list[Tensor]:
        """What stands beside the output of block `level`, or goes into the first one: [B, C, h, w]
        each.
        """
        return [
            self._blended(self._keys(number), frames, level)
            for number, own in enumerate(self.levels, 1)
            if own == level
        ]

    def _keys(self, number: int) -> Tensor:
        """A grid, [keys, channels, rows, columns], with the details of its halves by Haar's inverse
        transform.
        """
        keys: Tensor = self.get_parameter(f"grid{number}")
        for halving, (height, width) in reversed(list(enumerate(self.sizes[number - 1][:-1], 1))):
            along_rows, along_columns, along_both = self.get_parameter(
                f"grid{number}_details{halving}"
            ).chunk(3, 1)
            top, bottom = keys + along_columns, keys - along_columns
            difference, its_change = along_rows + along_both, along_rows - along_both
            top = torch.stack([top + difference, top - difference], dim=-1).flatten(-2)
            bottom = torch.stack([bottom + its_change, bottom - its_change], dim=-1).flatten(-2)
            keys = torch.stack([top, bottom], dim=-2).flatten(-3, -2)[:, :, :height, :width] / 2
        return keys

    @staticmethod
    def _motion(stem: GridStem, n_frames: int) -> nn.Parameter | None:
        if not stem.motion_height:
            return None
        return nn.Parameter(torch.empty(n_frames, 2, stem.motion_height, stem.motion_width))

    def _blended(self, keys: Tensor, frames: Tensor, level: int) -> Tensor:
        n_keys = len(keys)
        stands = torch.tensor(
            [math.floor(self.n_frames * (k + 0.5) / n_keys) for k in range(n_keys)]
        )
        stands = stands.to(frames.device)
        first = (torch.bucketize(frames, stands, right=True) - 1).clamp(min=0)
        second = (first + 1).clamp(max=n_keys - 1)
        since, span = frames - stands[first], stands[second] - stands[first]
        share = (since.clamp(min=0) / span.clamp(min=1) * (second > first)).float()
        share = share[:, None, None, None]
        if level and self.motion is not None:
            unit = self.n_frames / n_keys
            before = self._moved(keys[first], frames, since / unit)
            after = self._moved(keys[second], frames, (frames - stands[second]) / unit)
            return (1 - share) * before + share * after
        return (1 - share) * keys[first] + share * keys[second]

    def _moved(self, keys: Tensor, frames: Tensor, distance: Tensor) -> Tensor:
        """Each frame's key, taken from where the motion over a distance and the offset lead, unless
        the frame stands on it; held at the edges.
        """
        assert self.motion is not None and self.offset is not None
        height, width = keys.shape[2:]
        distance = distance[:, None, None, None]
        way = MOTION_UNIT * self.motion[frames] * distance
        way = torch.where(distance == 0, 0.0, way + OFFSET_UNIT * self.offset[frames])
        by = functional.interpolate(way, (height, width), mode="bilinear")
        places = functional.affine_grid(
            torch.eye(2, 3).repeat(len(keys), 1, 1),
            [len(keys), 1, height, width],
            align_corners=False,
        ).to(keys.device)
        by = by.permute(0, 2, 3, 1) * torch.tensor(
            [2 / self.covered[1], 2 / self.covered[0]], device=keys.device
        )
        return functional.grid_sample(keys, places + by, padding_mode="border", align_corners=False)


class Scrb(nn.Module):
    """Separable convolution residual block: 3x3 depthwise, pointwise, GELU, pointwise, + input."""

    def __init__(self, width: int, model: ModelConfig) -> None:
        super().__init__()
        has_bias = model.biases == "all"
        self.dw = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=has_bias)
        self.pw1 = nn.Conv2d(width, width, 1)
        self.act = nn.GELU()
        self.pw2 = nn.Conv2d(width, width, 1, bias=has_bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pw2(self.act(self.pw1(self.dw(x))))
        return x + y


class DecoderBlock(nn.Module):
    """Pointwise -> SCRB -> 3x3 convolution, pixel shuffle, SiLU -> SCRB, + bilinear skip from after
    the first.

    Parts that the model does without are left out; `inputs` channels come in, block.width go out.
    """

    def __init__(self, inputs: int, block: Block, model: ModelConfig) -> None:
        super().__init__()
        width, parts = block.width, model.parts
        first = width if "pw" in parts else inputs
        self.pw = nn.Conv2d(inputs, width, 1) if "pw" in parts else nn.Identity()
        self.scrb1 = Scrb(first, model) if "scrb1" in parts else nn.Identity()
        self.ub = nn.Conv2d(first, width * block.stride**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(block.stride)
        self.act = nn.SiLU()
        self.scrb2 = Scrb(width, model) if "scrb2" in parts else nn.Identity()
        self.skip = (
            nn.Upsample(scale_factor=block.stride, mode="bilinear") if "skip" in parts else None
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.pw(x)
        y: Tensor = self.scrb2(self.act(self.shuffle(self.ub(self.scrb1(x)))))
        return y if self.skip is None else y + self.skip(x)


class Head(nn.Module):
    """3x3 convolution to the planes, (tanh + 1) / 2."""

    def __init__(self, inputs: int, model: ModelConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, model.n_planes, 3, padding=1)
        self.act = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.conv(x))
        return (y + 1) / 2


class PlainNetwork(nn.Module):
    """The network of a segment as a torch.nn module; its state dict has the names of
    tensors.tensors.

    Args:
        model: its configuration, with either stem.
        n_frames: frames of the segment.
    """

    def __init__(self, model: ModelConfig, n_frames: int) -> None:
        super().__init__()
        self.model, self.n_frames = model, n_frames
        self.stem = (
            MlpFeatures(model, model.stem, n_frames)
            if isinstance(model.stem, MlpStem)
            else GridFeatures(model, model.stem, n_frames)
        )
        inputs = model.stem.channels
        for number, block in enumerate(model.blocks, 1):
            self.add_module(f"block{number}", DecoderBlock(inputs, block, model))
            inputs = block.width + self._n_features(number)
        self.head = Head(inputs, model)

    def _n_features(self, level: int) -> int:
        return sum(grid.channels for grid in self.model.grids if grid.level == level)

    def forward(self, frames: Tensor) -> Tensor:
        """Planes float32 [B, n_planes, plane_height, plane_width] of the frames numbered in
        `frames` (int64 [B]).
        """
        x = torch.cat(self.stem.features(0, frames), 1)
        for number in range(1, len(self.model.blocks) + 1):
            x = torch.cat(
                [self.get_submodule(f"block{number}")(x), *self.stem.features(number, frames)], 1
            )
        planes: Tensor = self.head(x)
        return planes[:, :, : self.model.plane_height, : self.model.plane_width]

    def load_flat(self, flat: Tensor) -> None:
        """Takes over a flat vector of parameters, float32 [n_parameters]; a prior's are added."""
        own = tensors.tensors(self.model, (self.n_frames,))
        parts = torch.split(flat, [tensor.size for tensor in own])
        named = {tensor.name: part.view(tensor.shape) for tensor, part in zip(own, parts)}
        for name, added in self._of_prior().items():
            named[name] = named[name] + added
        self.load_state_dict(named)

    def flat(self) -> Tensor:
        """The parameters as one vector, float32 [n_parameters], a copy, less those of a prior."""
        state = self.state_dict()
        for name, added in self._of_prior().items():
            state[name] = state[name] - added.to(state[name].device)
        return torch.cat(
            [
                state[tensor.name].flatten()
                for tensor in tensors.tensors(self.model, (self.n_frames,))
            ]
        )

    def _of_prior(self) -> dict[str, Tensor]:
        """What a prior adds to the weights, by name: a narrower network, with 0 around it."""
        if not self.model.prior:
            return {}
        stored = {
            name: torch.from_numpy(weights)
            for name, weights in stored_weights(self.model.prior).items()
        }
        width, n_chroma = len(stored["block1.pw.weight"]), (self.model.n_planes - 4) // 2
        added = {}
        for name, weights in stored.items():
            shape = self.get_parameter(name).shape
            if name.startswith("head"):
                weights = weights[[*range(4), *[4] * n_chroma, *[5] * n_chroma]]
            if len(shape) > 1 and shape[1] > width:  # features, then channels of grids
                features, grids = weights[:, :width], weights[:, width:]
                missing = shape[1] - weights.shape[1]
                features = functional.pad(features, (0, 0, 0, 0, 0, missing))
                weights = torch.cat([features, grids], dim=1)
            rows = [0, 0] * (len(shape) - 1) + [0, shape[0] - len(weights)]
            added[name] = functional.pad(weights, rows)
        return added


class PlainFit:
    """The reference training, from the start, over the frames in the order of our own fit.

    Args:
        model: the network.
        fit: of it epochs, batch size, Adam's rate and betas, warm-up, largest gradient and seed are
            used.
        target: uint8 [n_frames, n_planes, plane_height, plane_width] on the host.
        device: where to train.
    """

    def __init__(
        self, model: ModelConfig, fit: FitConfig, target: Tensor, device: str = "cpu"
    ) -> None:
        self.fit, self.target, self.device = fit, target.cpu().contiguous(), torch.device(device)
        self.random = torch.Generator().manual_seed(fit.seed)
        self.network = PlainNetwork(model, len(target))
        ours = Network(model, (len(target),), torch.device("cpu"))
        self.network.load_flat(initial_parameters(ours, self.random, self.target))
        self.network.to(self.device)
        self.n_steps = fit.epochs * -(-len(target) // fit.batch_size)
        self.peak = fit.learning_rate * peak_factor(self.n_steps, fit.rate_fall)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.peak, betas=fit.betas)
        self._batches = enumerate(self._all_batches())

    def _all_batches(self) -> Iterator[Tensor]:
        for _ in range(self.fit.epochs):
            yield from torch.split(
                torch.randperm(len(self.target), generator=self.random), self.fit.batch_size
            )

    def run(self, n_steps: int, on_step: Callable[[], object]) -> None:
        """Makes the next steps, at most those that are left, and calls on_step after each."""
        for _, (step, frames) in zip(range(n_steps), self._batches):
            self._step(step, frames)
            on_step()

    def _step(self, step: int, frames: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak * rate_factor(step / self.n_steps, self.fit.warmup)
        target = self.target[frames].to(self.device).float() / 255
        loss = l1_ssim(self.network(frames.to(self.device)), target)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.fit.max_gradient:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.fit.max_gradient)
        self.optimizer.step()

    def parameters(self) -> Tensor:
        """The parameters so far, float32 [n_parameters] on the CPU."""
        return self.network.flat().cpu()
