"""The same code on a CUDA device: fits as well as on the CPU, and decodes to the same frames within
one level.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from models import with_stem
from torch import Tensor

from nervcodec.bench.stepping import OurFit
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.encoder.segment import encode_segment
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.nn.arithmetic import Arithmetic
from nervcodec.nn.cuda_graphs import Recorder
from nervcodec.nn.planes import pack
from nervcodec.training.config import FitConfig
from nervcodec.training.context import TrainingContext
from nervcodec.training.rdoq import Rdoq
from nervcodec.training.rdoq_model import SymbolModel
from nervcodec.training.state import TrainingState, finish
from nervcodec.training.trainer import Trainer, cycles
from nervcodec.video.frames import Frames

pytestmark = [
    pytest.mark.needs_cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

STILL = ModelConfig(
    48,
    32,
    "yuv420",
    GridStem(4, 6, (Grid(2, 1), Grid(2, 4))),
    (Block(2, 8), Block(2, 8)),
)
MOVING = with_stem(
    replace(STILL, bits=12),
    grids=(Grid(2, 1), Grid(2, 4), Grid(2, 4, 1), Grid(1, 4, 2)),
    motion_height=2,
    motion_width=3,
    wavelet_levels=2,
)
PAPERS = ModelConfig(48, 32, "rgb", MlpStem(8, 12, 16, 4), (Block(2, 8), Block(2, 8)))
OURS = FitConfig(epochs=60)
THEIRS = FitConfig(
    epochs=60, finetune_epochs=20, loss="l1+ssim", optimizer="adam", rate_weight=0, prune=0.2
)
CASES = [
    pytest.param(STILL, OURS, id="still"),
    pytest.param(MOVING, OURS, id="moving"),
    pytest.param(PAPERS, THEIRS, id="paper's"),
]


def clip(model: ModelConfig, n_frames: int = 9) -> Frames:
    y, x = np.mgrid[:32, :48]
    luma = np.stack(
        [120 + 60 * np.sin(x / 5 + t / 4) * np.cos(y / 6) for t in range(n_frames)]
    ).astype(np.uint8)
    if model.colorspace == "rgb":
        return Frames("rgb", (luma, luma // 2, 255 - luma))
    chroma = luma[:, ::2, ::2] // 2 + 60
    return Frames("yuv420", (luma, chroma, 255 - chroma))


def first_plane_mse(model: ModelConfig, fit: FitConfig, device: str) -> float:
    frames = clip(model)
    segment, _ = encode_segment(frames, None, model, fit, device)
    decoded = Frames.concatenate(list(decode_segment(segment, model)))
    return float(np.square(decoded.planes[0].astype(float) - frames.planes[0]).mean())


def context_of(model: ModelConfig, fit: FitConfig, device: str = "cuda") -> TrainingContext:
    return TrainingContext.create(model, fit, torch.from_numpy(pack(clip(model), model)).to(device))


def fitted(context: TrainingContext) -> TrainingState:
    trainer = Trainer(context, stages=cycles(context))
    assert list(trainer.run())
    return trainer.state


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "fit"), CASES)
def test_a_gpu_fits_as_well(model: ModelConfig, fit: FitConfig, precision: Arithmetic) -> None:
    """The error after a fit on the GPU is within 2 dB of that after a fit on the CPU."""
    fit = replace(fit, precision=precision)
    assert first_plane_mse(model, fit, "cuda") < 1.6 * first_plane_mse(model, fit, "cpu")


@pytest.mark.parametrize(("model", "fit"), CASES)
def test_a_replayed_fit_is_the_fit(
    model: ModelConfig, fit: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded steps do what the same steps do when they are called one by one, but for the order
    of sums.

    Four epochs in float32, with rounding, and in two stages where the recipe has them: the
    parameters lie much nearer together than to where they started.
    """
    fit = replace(fit, epochs=4, finetune_epochs=min(fit.finetune_epochs, 2))

    def called(
        _: Recorder, key: object, function: Callable[..., Tensor], *arguments: Tensor | float
    ) -> Tensor:
        return function(
            *(
                value if isinstance(value, Tensor) else torch.full((), value, device="cuda")
                for value in arguments
            )
        )

    context = context_of(model, fit)
    start = TrainingState.start(context).parameters.detach()
    replayed = fitted(context).parameters.detach()
    monkeypatch.setattr(Recorder, "call", called)
    plain = fitted(context).parameters.detach()
    assert float((replayed - plain).norm()) < 0.02 * float((plain - start).norm())


def test_a_replayed_fit_goes_on_from_its_checkpoint() -> None:
    """Steps made three at a time, each run from the last one's checkpoint, are the steps of one
    run.
    """
    context = context_of(MOVING, replace(OURS, epochs=4))
    once = OurFit(MOVING, context.fit, context.target)
    once.run(12, lambda: None)
    trainer = Trainer(context)
    for _ in range(4):
        trainer = Trainer(context, trainer.checkpoint() if trainer.state.n_steps_done else None)
        assert len(list(islice(trainer.run(), 3))) == 3
    thrice = trainer.state.parameters.detach().cpu()
    start = TrainingState.start(context).parameters.detach().cpu()
    moved = float((once.parameters() - start).norm())
    assert moved > 0 and float((once.parameters() - thrice).norm()) < 0.02 * moved


@pytest.mark.parametrize(("model", "fit"), CASES)
def test_a_gpu_decodes_to_the_same_frames(model: ModelConfig, fit: FitConfig) -> None:
    """Every sample is the CPU's, in whole batches and in the shorter last one."""
    segment, _ = encode_segment(clip(model, 26), None, model, replace(fit, epochs=10))
    on_cpu, on_gpu = (
        Frames.concatenate(list(decode_segment(segment, model, device=name)))
        for name in ("cpu", "cuda")
    )
    for a, b in zip(on_cpu.planes, on_gpu.planes, strict=True):
        np.testing.assert_array_equal(a, b)


def loss(context: TrainingContext, state: TrainingState) -> float:
    """Distortion and bits, weighed, of the symbols that would be coded."""
    solution = state.solution()
    symbols = SymbolModel(context, solution, torch.Generator(context.device))
    now = finish(symbols.evaluate(symbols.multiples(solution)))
    return now.distortion + context.fit.rate_weight / context.n_pixels * now.bits


@pytest.mark.parametrize("model", [STILL, MOVING], ids=["still", "moving"])
def test_rdoq_gains_as_much(model: ModelConfig) -> None:
    """Recorded and replayed it finds as good symbols as on the CPU: the loss falls by nearly as
    much, or more.
    """
    fit, gains = replace(OURS, epochs=200, rate_weight=0.002), []
    for device in ("cpu", "cuda"):
        context = context_of(model, fit, device)
        state = fitted(context)
        before = loss(context, state)
        assert list(Rdoq().run(context, state))
        gains.append(1 - loss(context, state) / before)
    assert gains[1] > 0.5 * gains[0] > 0
