"""Train a prior of weights, and its analysis network, on videos and pictures.

    python -m nervcodec.training.pretrain FOLDER... --out OUT

Every step codes a window of 17 frames as a fit would: what grids hold at the keys 0, 8 and 16 comes
from the analysis network, carries the noise of quantization and costs bits by Laplace densities;
one set of weights serves all windows. The loss is ln(distortion + lambda x bits a pixel) at a
random lambda, so that easy and hard windows count alike. All randomness follows from the seed and
the number of the step: a run that was stopped goes on from its checkpoint with the same result.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.errors import NervCodecError
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
from nervcodec.training.optimizers import Muon
from nervcodec.training.pretraining_data import WINDOW, WINDOW_SIZE, Material, window
from nervcodec.training.rate_model import DEFAULT_CRF, rate_weight_of
from nervcodec.training.state import copied, with_prefix, without_prefix
from nervcodec.util.files import whole_file

PRIOR = 1
_CHECKPOINT = "checkpoint.npz"
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


class Training:
    """A run, step by step.

    Args:
        material: to train on.
        recipe: how.
    Attributes:
        step: how many were made.
        history: what was reported.
    """

    def __init__(self, material: Material, recipe: Recipe) -> None:
        self._material, self.recipe = material, recipe
        self.codec = codec = Codec(recipe)
        codec.weights.grad = torch.zeros_like(codec.weights)
        self._muon = Muon(codec.weights, codec.tensors, torch.float32)
        groups = [
            {"params": [codec.weights], "lr": recipe.adam_rate},
            {"params": [codec.log_steps], "lr": recipe.step_rate},
            {"params": list(codec.analysis.parameters()), "lr": recipe.adam_rate},
        ]
        self._rates = [recipe.adam_rate, recipe.step_rate, recipe.adam_rate]
        self._adam = torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)
        self.step = 0
        self.history: list[dict[str, float]] = []

    def one_step(self) -> float:
        """Make a step; return its loss."""
        recipe, codec = self.recipe, self.codec
        random = np.random.default_rng((recipe.seed, self.step))
        noise = torch.Generator().manual_seed(int(random.integers(2**62)))
        planes, frames = window(self._material, random), _pairs(random)
        crf = DEFAULT_CRF + random.uniform(-recipe.crf_span, recipe.crf_span)
        loss, _, _ = codec.loss(planes, frames, rate_weight_of(crf), noise)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(codec.leaves(), 1.0)
        rise = min(1.0, self.step / recipe.warmup_steps)
        factor = rise * 0.5 * (1 + math.cos(math.pi * self.step / recipe.steps))
        self._muon.step(factor * recipe.muon_rate)
        for group, rate in zip(self._adam.param_groups, self._rates):
            group["lr"] = factor * rate
        self._adam.step()
        for leaf in codec.leaves():
            leaf.grad = torch.zeros_like(leaf) if leaf is codec.weights else None
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """Return means at crf 30 over windows of what is held out, coded with rounding."""
        rows = []
        rate_weight = rate_weight_of(DEFAULT_CRF)
        for number in range(self.recipe.held_out_windows):
            random = np.random.default_rng((7, number))
            assert self._material.held_out
            planes = window(self._material.held_out, random)
            loss, distortion, bpp = self.codec.loss(planes, _pairs(random), rate_weight, None)
            loss_db = -10 / math.log(10) * float(loss)
            rows.append((loss_db, -10 * math.log10(distortion), float(bpp)))
        loss_db, psnr_db, mean_bpp = np.mean(rows, axis=0).tolist()
        return {"loss_db": loss_db, "psnr_db": psnr_db, "bpp": mean_bpp}

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return all that the next step depends on: numbers, JSON-ready, and arrays."""
        arrays = {
            "weights": self.codec.weights,
            "log_steps": self.codec.log_steps,
            "velocity": self._muon.velocity,
            **with_prefix("analysis.", self.codec.analysis.state_dict()),
        }
        for number, values in self._adam.state_dict()["state"].items():
            arrays.update(with_prefix(f"adam.{number}.", values))
        numbers = {"step": self.step, "history": self.history}
        return numbers, {name: array.numpy() for name, array in copied(arrays).items()}

    def restore(self, numbers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` gave."""
        self.step, self.history = numbers["step"], numbers["history"]
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        with torch.no_grad():
            self.codec.weights.copy_(tensors["weights"])
            self.codec.log_steps.copy_(tensors["log_steps"])
            self._muon.velocity.copy_(tensors["velocity"])
        self.codec.analysis.load_state_dict(without_prefix("analysis.", tensors))
        adam: dict[int, dict[str, Tensor]] = {}
        for key, value in without_prefix("adam.", tensors).items():
            number, _, name = key.partition(".")
            adam.setdefault(int(number), {})[name] = value
        self._adam.load_state_dict({**self._adam.state_dict(), "state": adam})

    def export(self, folder: Path) -> int:
        """Write what the codec installs: N.npy and analysis_N.npz; return the weights' CRC-32."""
        weights = self.codec.weights.detach().numpy().astype("<f2")
        np.save(folder / f"{PRIOR}.npy", weights)
        arrays = {
            name: value.numpy().astype(np.float16)
            for name, value in self.codec.analysis.state_dict().items()
        }
        log_steps = self.codec.log_steps.detach().numpy()
        np.savez(folder / f"analysis_{PRIOR}.npz", log_steps=log_steps, **arrays)
        return zlib.crc32(weights.tobytes())


def _pairs(random: np.random.Generator) -> Tensor:
    """Return two pairs of consecutive frames, int64 [4]."""
    firsts = random.integers(0, WINDOW - 1, 2)
    return torch.tensor([firsts[0], firsts[0] + 1, firsts[1], firsts[1] + 1])


def run(training: Training, out: Path) -> None:
    """Train to the end, with a line and a checkpoint now and then."""
    recipe, losses, began = training.recipe, list[float](), time.monotonic()
    while training.step < recipe.steps:
        losses.append(training.one_step())
        if training.step % recipe.report_every and training.step != recipe.steps:
            continue
        report = {"step": training.step, "loss": float(np.mean(losses)), **training.held_out()}
        training.history.append(report)
        losses = []
        print(json.dumps({**report, "seconds": round(time.monotonic() - began)}), flush=True)
        _keep(training, out / _CHECKPOINT)


def _keep(training: Training, path: Path) -> None:
    """Write a checkpoint."""
    numbers, arrays = training.state()
    with whole_file(path, overwrite=True) as part, part.open("wb") as file:
        content: dict[str, Any] = {"numbers": np.array(json.dumps(numbers)), **arrays}
        np.savez(file, **content)


def _go_on(training: Training, path: Path) -> None:
    """Take back what _keep wrote, if it did."""
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        training.restore(json.loads(str(arrays.pop("numbers"))), arrays)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        "python -m nervcodec.training.pretrain",
        description="Train a prior and its analysis network; a run that was stopped goes on.",
    )
    parser.add_argument("folders", nargs="+", type=Path, help="with videos and pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is trained")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        _train(options)
    except NervCodecError as error:
        print(f"nervcodec: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _train(options: argparse.Namespace) -> None:
    """Train as the command line says, and write the results."""
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(steps=options.steps, seed=options.seed)
    training = Training(Material.read(options.folders), recipe)
    _go_on(training, options.out / _CHECKPOINT)
    run(training, options.out)
    crc = training.export(options.out)
    print(f"prior {PRIOR}: CRC-32 {crc:#010x}")


if __name__ == "__main__":
    main()
