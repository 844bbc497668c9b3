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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.errors import NervCodecError
from nervcodec.training.optimizers import Muon
from nervcodec.training.pretraining_codec import PRIOR, Codec, Recipe
from nervcodec.training.pretraining_data import WINDOW, Material, window
from nervcodec.training.rate_model import DEFAULT_CRF, rate_weight_of
from nervcodec.training.state import copied, with_prefix, without_prefix
from nervcodec.util.files import whole_file

_CHECKPOINT = "checkpoint.npz"


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
