"""What a prior in training makes of a window: a coded video's frames and bits, differentiable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nervcodec.format.model_config import GridStem, ModelConfig
from nervcodec.format.tensors import KEYED
from nervcodec.nn.grids import joined, moved
from nervcodec.nn.network import Network
from nervcodec.nn.prior import own_network
from nervcodec.training.analysis import GROUPS, AnalysisNetwork, split_bands
from nervcodec.training.block_matching import matched
from nervcodec.training.config import FitConfig
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.losses import plane_weights
from nervcodec.training.pretraining_data import WINDOW, WINDOW_SIZE
from nervcodec.training.rate_model import DEFAULT_CRF, rate_weight_of

PRIOR = 1
_KEYS = (0, 8, 16)
_KEYS_OF_LEVEL = {1: (0, 8, 16), 2: (0, 16), 3: (0, 16)}
_LEVELS = 2  # of wavelets


@dataclass(frozen=True)
class Recipe:
    """How the prior is trained.

    Attributes:
        steps: optimizer steps.
        seed: of every random choice.
        crf_span: lambdas are those of crf 30 -+ so much.
        frames_a_window: that the bits of a window's keys are shared by; more than it has, since
            the first keys of a video serve once.
        first_step: quantization step of the grids before training.
        muon_rate, adam_rate, step_rate: learning rates of the weights, of the analysis network and
            of ln(quantization step).
        warmup_steps: during which learning rates rise; then they fall along a cosine.
        report_every: steps between measures of the held-out windows.
        held_out_windows: of them.
    """

    steps: int = 24_000
    seed: int = 0
    crf_span: float = 8.0
    frames_a_window: int = 24
    first_step: float = 0.06
    muon_rate: float = 0.004
    adam_rate: float = 1e-3
    step_rate: float = 3e-3
    warmup_steps: int = 500
    report_every: int = 500
    held_out_windows: int = 24


def laplace_bits(symbols: Tensor) -> Tensor:
    """Return the bits of symbols under a Laplace density of their mean magnitude; a scalar."""
    magnitude = symbols.abs()
    rate = 1 / magnitude.mean().clamp_min(0.05)
    inner = magnitude.clamp_max(0.5)
    a, b = torch.expm1((inner - 0.5) * rate), torch.expm1(-(inner + 0.5) * rate)
    nats = (magnitude - inner) * rate - torch.log((-(a + b) / 2).clamp_min(1e-9))
    return nats.sum() / math.log(2)


@dataclass
class Coder:
    """Quantizes what a window's grids hold, as training or as a file does, and counts bits.

    Attributes:
        steps: of each group.
        noise: uniform noise in place of rounding, which None does.
        bits: of what was coded so far.
    """

    steps: Mapping[str, Tensor]
    noise: torch.Generator | None
    bits: list[Tensor] = field(default_factory=list)

    def keys(self, group: str, values: Tensor) -> Tensor:
        """Return the keys [K, ..] of a group as decoded, coded as differences from the last."""
        multiples, drawn = self._multiples(group, values)
        symbols = torch.cat([multiples[:1], multiples.diff(dim=0)])
        self.bits.append(laplace_bits(symbols + drawn))
        return (multiples + drawn) * self.steps[group]

    def pairs(self, group: str, values: Tensor, n_differences: int) -> Tensor:
        """Return pairs of consecutive keys [P, 2, ..] as decoded.

        Their differences stand for n_differences of a video.
        """
        multiples, drawn = self._multiples(group, values)
        symbols = multiples.diff(dim=1) + drawn[:, 1:]
        self.bits.append(laplace_bits(symbols) * (n_differences / len(values)))
        return (multiples + drawn) * self.steps[group]

    def _multiples(self, group: str, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return multiples of the step, rounded without noise, and the noise."""
        multiples = values / self.steps[group]
        if self.noise is None:
            return multiples.round(), torch.zeros_like(values)
        return multiples, torch.rand(values.shape, generator=self.noise) - 0.5


class Codec:
    """Prior, analysis network and quantization steps, and what they make of a window.

    Attributes:
        weights: of the prior, float32 [n], a leaf.
        log_steps: by group, ln(step) at crf 30 and how it goes with ln(lambda), float32
            [n_groups, 2], a leaf.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        rows, columns = WINDOW_SIZE
        self.model = _sized(own_network(PRIOR), rows, columns)
        self._network = Network(self.model, (1,), torch.device("cpu"))
        start = initial_parameters(self._network, torch.Generator().manual_seed(recipe.seed))
        parts = torch.split(start, self._network.sizes)
        self.tensors = [t for t in self._network.tensors if t.kind not in KEYED]
        weights = [p for t, p in zip(self._network.tensors, parts) if t.kind not in KEYED]
        self.weights = torch.cat(weights).requires_grad_()
        torch.manual_seed(recipe.seed)
        self.analysis = AnalysisNetwork()
        rules = torch.tensor([[math.log(recipe.first_step), 0.3]] * len(GROUPS))
        self.log_steps = rules.requires_grad_()
        self._plane_weights = plane_weights(self.model, FitConfig())

    def leaves(self) -> list[Tensor]:
        """Return all that is trained."""
        return [self.weights, self.log_steps, *self.analysis.parameters()]

    def loss(
        self, planes: Tensor, frames: Tensor, rate_weight: float, noise: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (ln(distortion + lambda bpp), distortion, bpp) of a window, scalars.

        Args:
            planes: float32 [17, 6, h, w] in [0, 1].
            frames: two pairs of consecutive frames, int64 [4].
            rate_weight: lambda.
            noise: as Coder has it.
        """
        nats = math.log(rate_weight / rate_weight_of(DEFAULT_CRF))
        steps = (self.log_steps[:, 0] + self.log_steps[:, 1] * nats).exp()
        coder = Coder(dict(zip(GROUPS, steps)), noise)
        levels = self._levels(coder, planes, frames)
        sizes = [tensor.size for tensor in self.tensors]
        parameters = {
            tensor.name: part.view(tensor.shape)
            for tensor, part in zip(self.tensors, torch.split(self.weights, sizes))
        }
        output = self._network.from_maps(parameters, levels.__getitem__, frames)
        errors = (output - planes[frames]).square().mean(dim=(0, 2, 3))
        distortion = errors @ self._plane_weights
        n_pixels = 4 * planes.shape[2] * planes.shape[3] * self.recipe.frames_a_window
        bpp = torch.stack(coder.bits).sum() / n_pixels
        return torch.log(distortion + rate_weight * bpp), distortion, bpp

    def _levels(self, coder: Coder, planes: Tensor, frames: Tensor) -> dict[int, Tensor]:
        """Return the maps of all grids in the frames, by level."""
        maps = self.analysis(torch.cat([planes[torch.tensor(_KEYS)], planes[frames]]))
        stem, n_keys = maps[-1], len(_KEYS)
        slow = coder.keys("stem.grid2", stem[:n_keys, 2:])
        still = (_shares(_KEYS, frames) @ slow.flatten(1)).view(len(frames), *slow.shape[1:])
        fast = coder.pairs("stem.grid1", stem[n_keys:, :2].unflatten(0, (2, 2)), WINDOW - 1)
        levels = {0: torch.cat([fast.flatten(0, 1), still], dim=1)}
        fields = _Fields(planes)
        for level, keys in _KEYS_OF_LEVEL.items():
            values = maps[-1 - level][[_KEYS.index(key) for key in keys]]
            grid = self._decoded(coder, f"stem.grid{level + 2}", values)
            levels[level] = _moved(grid, keys, frames, fields)
        return levels

    @staticmethod
    def _decoded(coder: Coder, name: str, values: Tensor) -> Tensor:
        """Return a grid's keys as decoded from halves and details."""
        half, *details = split_bands(values, _LEVELS)
        half = coder.keys(name, half)
        for n_halvings, detail in zip(range(_LEVELS, 0, -1), details):
            size = values.shape[2] >> n_halvings - 1, values.shape[3] >> n_halvings - 1
            half = joined(half, coder.keys(f"{name}_details{n_halvings}", detail), size)
        return half


def _sized(model: ModelConfig, rows: int, columns: int) -> ModelConfig:
    """Return a prior's own network for frames of a size, with wavelets."""
    scale = 2 * model.scale
    assert isinstance(model.stem, GridStem)
    stem = replace(
        model.stem,
        height=rows // scale,
        width=columns // scale,
        motion_height=1,
        motion_width=1,
        wavelet_levels=_LEVELS,
    )
    return replace(model, width=columns, height=rows, stem=stem)


def _shares(keys: Sequence[int], frames: Tensor) -> Tensor:
    """Return weights of keys in frames, [B, K]: linear in time."""
    pace = keys[1] - keys[0]
    return (1 - (frames[:, None] / pace - torch.arange(len(keys))).abs()).clamp_min(0)


class _Fields:
    """Motion between frames of a window, searched for once for each pair."""

    def __init__(self, planes: Tensor) -> None:
        self.luma = 255 * planes[:, :4].mean(dim=1)
        self._known: dict[tuple[int, int], Tensor] = {}

    @torch.no_grad()
    def between(self, frames: Tensor, keys: Tensor) -> Tensor:
        """Return where in the keys what frames show is, in samples: [n, 2, rows, columns]."""
        rows, columns = (side // 16 for side in self.luma.shape[1:])
        pairs = list(zip(frames.tolist(), keys.tolist()))
        missing = [pair for pair in pairs if pair not in self._known]
        if missing:
            now, key = (torch.tensor(numbers) for numbers in zip(*missing))
            none = torch.zeros(len(missing), 2, rows, columns)
            found = matched(self.luma[now], self.luma[key], none)
            self._known.update(zip(missing, found))
        return torch.stack([self._known[pair] for pair in pairs])


def _moved(grid: Tensor, keys: Sequence[int], frames: Tensor, fields: _Fields) -> Tensor:
    """Return a grid [K, C, h, w] in frames: the two keys around each, moved and blended."""
    at = torch.tensor(keys)
    first = (torch.searchsorted(at, frames, right=True) - 1).clamp(0, len(keys) - 2)
    share = (frames - at[first]) / (at[first + 1] - at[first])
    total = torch.zeros(())
    size = grid.shape[2:]
    for side, weight in ((first, 1 - share), (first + 1, share)):
        field = fields.between(frames, at[side])
        by = F.interpolate(field, size, mode="bilinear") * (size[0] / fields.luma.shape[1])
        total = total + weight.view(-1, 1, 1, 1) * moved(grid[side], by)
    return total
