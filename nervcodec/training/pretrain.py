"""Train the prior of network weights and the analysis network on videos and pictures.

    python -m nervcodec.training.pretrain FOLDER... --out OUT

Every step codes one window of 17 frames as a fit would: grids at keys 0, 8 and 16 come from the
analysis network, carry the noise of their quantization steps and cost bits by Laplace densities;
weights are one set for all windows. The loss is ln(distortion + lambda x bits a pixel), lambda
random. All randomness follows from the seed and the number of the step, so that a run that is
stopped goes on from its checkpoint with the same result.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import KEYED
from nervcodec.nn.grids import joined, moved
from nervcodec.nn.network import Network
from nervcodec.training.analysis import AnalysisNetwork, split_bands
from nervcodec.training.block_matching import matched
from nervcodec.training.config import FitConfig
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.losses import plane_weights
from nervcodec.training.optimizers import Muon
from nervcodec.training.pretraining_data import WINDOW, Material, window

_LAMBDA = 0.01
_CRF_SPAN = 8.0  # lambdas are those of crf 30 -+ 8
_KEYS = (0, 8, 16)
# Grids of the family: first channel in the analysis network's map, channels, level, key frames.
_PIXELS_A_WINDOW = 24  # frames that a window's first keys are shared by
_LEAST_MAGNITUDE = 0.05
_MUON_RATE, _ADAM_RATE, _STEP_RATE = 0.004, 1e-3, 3e-3


def laplace_bits(symbols: Tensor) -> Tensor:
    """Return the bits of symbols under a Laplace density of their mean magnitude; a scalar."""
    magnitude = symbols.abs()
    rate = 1 / magnitude.mean().clamp_min(_LEAST_MAGNITUDE)
    inner = magnitude.clamp_max(0.5)
    a, b = torch.expm1((inner - 0.5) * rate), torch.expm1(-(inner + 0.5) * rate)
    nats = (magnitude - inner) * rate - torch.log((-(a + b) / 2).clamp_min(1e-9))
    return nats.sum() / math.log(2)


class Codec:
    """Prior, analysis network and quantization steps, and what they make of a window."""

    def __init__(self, model: ModelConfig, generator: torch.Generator) -> None:
        self.model = model
        self.network = Network(model, (1,), torch.device("cpu"))
        start = initial_parameters(self.network, generator)
        self.is_weight = [tensor.kind not in KEYED for tensor in self.network.tensors]
        parts = torch.split(start, [tensor.size for tensor in self.network.tensors])
        weights = [part for part, keep in zip(parts, self.is_weight) if keep]
        self.tensors = [t for t, keep in zip(self.network.tensors, self.is_weight) if keep]
        self.weights = torch.cat(weights).requires_grad_()
        self.analysis = AnalysisNetwork()
        # ln(step) of each group of grids at crf 30, and how it goes with ln(lambda)
        self.names = ["grid1", "grid2"]
        for number in (3, 4, 5):
            self.names += [f"grid{number}", f"grid{number}_details2", f"grid{number}_details1"]
        self.log_steps = torch.tensor([[math.log(0.06), 0.3]] * len(self.names)).requires_grad_()

    def leaves(self) -> list[Tensor]:
        return [self.weights, self.log_steps, *self.analysis.parameters()]

    def parameters(self) -> dict[str, Tensor]:
        sizes = [tensor.size for tensor in self.tensors]
        parts = torch.split(self.weights, sizes)
        return {t.name: part.view(t.shape) for t, part in zip(self.tensors, parts)}

    def loss(
        self, planes: Tensor, frames: Tensor, lambda_: float, noise: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (ln(distortion + lambda bpp), distortion, bpp) of a window.

        Args:
            planes: float32 [17, 6, h, w] in [0, 1].
            frames: of two pairs of consecutive frames, int64 [4].
            noise: of the quantization; None rounds.
        """
        n_pixels = 4 * planes.shape[2] * planes.shape[3]
        steps = (self.log_steps[:, 0] + self.log_steps[:, 1] * math.log(lambda_ / _LAMBDA)).exp()
        by_name = dict(zip(self.names, steps))
        bits: list[Tensor] = []

        def coded(name: str, values: Tensor, weight: Sequence[float] | None = None) -> Tensor:
            """Return values [K, ..] as a decoder has them; count the bits of their differences."""
            step = by_name[name]
            multiples = values / step
            if noise is None:
                multiples = multiples.round()
                symbols = torch.cat([multiples[:1], multiples.diff(dim=0)])
                bits.append(laplace_bits(symbols))
                return multiples * step
            drawn = torch.rand(values.shape, generator=noise) - 0.5
            symbols = torch.cat([multiples[:1], multiples.diff(dim=0)]) + drawn
            bits.append(laplace_bits(symbols))
            return (multiples + drawn) * step

        numbers = torch.tensor(_KEYS)
        maps = self.analysis(torch.cat([planes[numbers], planes[frames]]))
        level0 = maps[3]
        # the stem: a slow grid of four channels, and one of two with a key a frame
        slow = coded("grid2", level0[:3, 2:])
        stem = self._blend(slow, frames)
        pairs = level0[3:, :2].unflatten(0, (2, 2))
        step = by_name["grid1"]
        multiples = pairs / step
        drawn = (
            torch.rand(pairs.shape, generator=noise) - 0.5 if noise is not None else None
        )
        rounded = multiples.round() if drawn is None else multiples + drawn
        diffs = multiples.round().diff(dim=1) if drawn is None else multiples.diff(dim=1) + drawn[:, 1:]
        bits.append(laplace_bits(diffs) * (WINDOW - 1) / 2)
        fast = (rounded * step).flatten(0, 1)
        levels = {0: torch.cat([fast, stem], dim=1)}
        luma = 255 * planes[:, :4].mean(dim=1)
        for level, keys in ((1, _KEYS), (2, (0, 16)), (3, (0, 16))):
            values = maps[3 - level][[_KEYS.index(key) for key in keys]]
            bands = split_bands(values, 2)
            name = f"grid{level + 2}"
            names = (name, f"{name}_details2", f"{name}_details1")
            half, *details = (coded(n, band) for n, band in zip(names, bands))
            for detail, n_halvings in zip(details, (1, 0)):
                size = values.shape[2] >> n_halvings, values.shape[3] >> n_halvings
                half = joined(half, detail, size)
            levels[level] = self._moved(half, keys, frames, luma)
        output = self.network.from_maps(self.parameters(), levels.__getitem__, frames)
        errors = (output - planes[frames]).square().mean(dim=(0, 2, 3))
        distortion = errors @ self.plane_weights
        bpp = torch.stack(bits).sum() / (_PIXELS_A_WINDOW * n_pixels)
        return torch.log(distortion + lambda_ * bpp), distortion, bpp

    @property
    def plane_weights(self) -> Tensor:
        return plane_weights(self.model, FitConfig())

    @staticmethod
    def _blend(keys: Tensor, frames: Tensor) -> Tensor:
        """Return keys at 0, 8, 16 blended linearly at frames."""
        at = frames / 8
        weights = (1 - (at[:, None] - torch.arange(3)).abs()).clamp_min(0)
        return (weights @ keys.flatten(1)).view(len(frames), *keys.shape[1:])

    def _moved(
        self, values: Tensor, keys: Sequence[int], frames: Tensor, luma: Tensor
    ) -> Tensor:
        """Return the two keys around each frame, moved and blended."""
        at = torch.tensor(keys)
        first = (torch.searchsorted(at, frames, right=True) - 1).clamp(0, len(keys) - 2)
        share = (frames - at[first]) / (at[first + 1] - at[first])
        total = torch.zeros(())
        height, width = values.shape[2:]
        for side, weight in ((first, 1 - share), (first + 1, share)):
            field = self._field(luma, frames, at[side])
            scale = height / luma.shape[1]
            by = scale * F.interpolate(field, (height, width), mode="bilinear")
            total = total + weight.view(-1, 1, 1, 1) * moved(values[side], by)
        return total

    def _field(self, luma: Tensor, frames: Tensor, keys: Tensor) -> Tensor:
        """Return the motion from frames to keys, in samples of the planes, [n, 2, rows, columns]."""
        rows, columns = -(-luma.shape[1] // 16), -(-luma.shape[2] // 16)
        pairs = list(zip(frames.tolist(), keys.tolist()))
        missing = [pair for pair in pairs if pair not in self.fields]
        if missing:
            now, key = (torch.tensor(numbers) for numbers in zip(*missing))
            with torch.no_grad():
                found = matched(
                    luma[now], luma[key], torch.zeros(len(missing), 2, rows, columns)
                )
            self.fields.update(zip(missing, found))
        return torch.stack([self.fields[pair] for pair in pairs])

    fields: dict[tuple[int, int], Tensor]


class Training:
    """A run, step by step."""

    def __init__(self, material: Material, n_steps: int, seed: int) -> None:
        self.material, self.n_steps, self.seed = material, n_steps, seed
        torch.manual_seed(seed)
        self.codec = Codec(family(160, 128), torch.Generator().manual_seed(seed))
        codec = self.codec
        codec.weights.grad = torch.zeros_like(codec.weights)
        self.muon = Muon(codec.weights, codec.tensors, torch.float32)
        self.adam = torch.optim.Adam(
            [
                {"params": [codec.weights], "lr": _ADAM_RATE},
                {"params": [codec.log_steps], "lr": _STEP_RATE},
                {"params": list(codec.analysis.parameters()), "lr": _ADAM_RATE},
            ],
            betas=(0.9, 0.99),
            fused=True,
        )
        self.rates = [group["lr"] for group in self.adam.param_groups]
        self.step = 0
        self.history: list[dict[str, float]] = []

    def factor(self) -> float:
        progress = self.step / self.n_steps
        warm = min(1.0, self.step / 500)
        return warm * 0.5 * (1 + math.cos(math.pi * progress))

    def one_step(self) -> float:
        random = np.random.default_rng((self.seed, self.step))
        noise = torch.Generator().manual_seed(int(random.integers(2**62)))
        planes = window(self.material, random)
        frames = pairs(random)
        lambda_ = _LAMBDA * 2 ** (random.uniform(-_CRF_SPAN, _CRF_SPAN) / 3)
        self.codec.fields = {}
        loss, _, _ = self.codec.loss(planes, frames, lambda_, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.codec.leaves(), 1.0)
        factor = self.factor()
        self.muon.step(factor * _MUON_RATE)
        for group, rate in zip(self.adam.param_groups, self.rates):
            group["lr"] = factor * rate
        self.adam.step()
        for leaf in self.codec.leaves():
            leaf.grad = torch.zeros_like(leaf) if leaf is self.codec.weights else None
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def held_out(self, n_windows: int = 24) -> dict[str, float]:
        """Return the mean loss at crf 30 of windows of held-out material, with rounding, in dB."""
        losses = []
        for number in range(n_windows):
            random = np.random.default_rng((7, number))
            planes = window(self.material.held_out, random)
            self.codec.fields = {}
            loss, distortion, bpp = self.codec.loss(planes, pairs(random), _LAMBDA, None)
            losses.append(
                [-10 / math.log(10) * float(loss), -10 * math.log10(distortion), float(bpp)]
            )
        mean = np.mean(losses, axis=0)
        return {"loss_db": mean[0], "psnr_db": mean[1], "bpp": mean[2]}

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "history": self.history,
            "weights": self.codec.weights.detach(),
            "log_steps": self.codec.log_steps.detach(),
            "analysis": self.codec.analysis.state_dict(),
            "adam": self.adam.state_dict(),
            "velocity": self.muon.velocity,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.history = state["step"], state["history"]
        with torch.no_grad():
            self.codec.weights.copy_(state["weights"])
            self.codec.log_steps.copy_(state["log_steps"])
            self.muon.velocity.copy_(state["velocity"])
        self.codec.analysis.load_state_dict(state["analysis"])
        self.adam.load_state_dict(state["adam"])


def pairs(random: np.random.Generator) -> Tensor:
    """Return two pairs of consecutive frames, int64 [4]."""
    firsts = random.integers(0, WINDOW - 1, 2)
    return torch.tensor([firsts[0], firsts[0] + 1, firsts[1], firsts[1] + 1])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    training = Training(Material.read(options.folders), options.steps, options.seed)
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        training.restore(torch.load(checkpoint))
    began, losses = time.monotonic(), []
    while training.step < options.steps:
        losses.append(training.one_step())
        if training.step % 500 == 0 or training.step == options.steps:
            held_out = training.held_out()
            training.history.append(
                {"step": training.step, "loss": float(np.mean(losses)), **held_out}
            )
            losses = []
            print(json.dumps({**training.history[-1], "s": round(time.monotonic() - began)}), flush=True)
            torch.save(training.state(), options.out / "part.pt")
            (options.out / "part.pt").replace(checkpoint)


if __name__ == "__main__":
    main()
