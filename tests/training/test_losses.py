"""The losses of nervcodec.training.trainer, seen in real fits, against their formulas."""

from dataclasses import replace

import pytest
import pytorch_msssim
import torch
from clips import MakeClip
from torch import Tensor

from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.nn.planes import pack
from nervcodec.training.config import FitConfig, Loss
from nervcodec.training.context import TrainingContext
from nervcodec.training.losses import ssim
from nervcodec.training.step import OptimizerStep
from nervcodec.training.trainer import Trainer, cycles
from nervcodec.video.frames import Frames

QUICK = FitConfig(epochs=4, batch_size=2)


def run(frames: Frames, model: ModelConfig, fit: FitConfig) -> Tensor:
    """The parameters after a fit."""
    context = TrainingContext.create(model, fit, torch.from_numpy(pack(frames, model)))
    trainer = Trainer(context, stages=cycles(context))
    assert list(trainer.run())
    return trainer.state.parameters.detach()


def distortions(
    frames: Frames, model: ModelConfig, fit: FitConfig
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(output, target, distortion) of every step of a fit."""
    original = OptimizerStep.distortion
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def spy(step: OptimizerStep, output: Tensor, target: Tensor, plane_errors: Tensor) -> Tensor:
        value = original(step, output, target, plane_errors)
        seen.append((output.detach(), target, value.detach()))
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptimizerStep, "distortion", spy)
        run(frames, model, fit)
    assert len(seen) == 2 * fit.epochs
    return seen


def test_l1_ssim_is_the_papers_loss(mlp_model: ModelConfig, make_clip: MakeClip) -> None:
    """'l1+ssim' is 0.7 L1 + 0.3 (1 - SSIM)."""
    for output, target, found in distortions(
        make_clip("rgb"), mlp_model, replace(QUICK, loss="l1+ssim")
    ):
        structure = pytorch_msssim.ssim(output, target, data_range=1)
        torch.testing.assert_close(
            found, 0.7 * (output - target).abs().mean() + 0.3 * (1 - structure)
        )


def test_mse_of_rgb_is_the_mean(mlp_model: ModelConfig, make_clip: MakeClip) -> None:
    """For RGB the loss is the mean squared error over everything."""
    for output, target, found in distortions(make_clip("rgb"), mlp_model, QUICK):
        torch.testing.assert_close(found, (output - target).square().mean())


def test_mse_of_yuv_is_weighted(clip: Frames, grid_model: ModelConfig) -> None:
    """For YUV luma's four phases count as one plane of weight 1, chroma by its weights."""
    for output, target, found in distortions(
        clip, grid_model, replace(QUICK, chroma_weights=(0.5, 2.0))
    ):
        error = (output - target).square()
        torch.testing.assert_close(
            found, error[:, :4].mean() + 0.5 * error[:, 4].mean() + 2 * error[:, 5].mean()
        )


@pytest.mark.parametrize(
    ("size", "window"), [((16, 20), 11), ((11, 11), 11), ((10, 30), 9), ((30, 7), 7), ((2, 9), 1)]
)
def test_ssim_window_shrinks(size: tuple[int, int], window: int) -> None:
    """Below 11 pixels the window is the largest odd one that fits."""
    output, target = torch.rand(2, 2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = pytorch_msssim.ssim(output, target, data_range=1, win_size=window)
    torch.testing.assert_close(ssim(output, target), expected)


def test_ssim_of_a_row_is_that_of_the_row_twice() -> None:
    """A side of one pixel, which pytorch-msssim cannot take, is doubled."""
    output, target = torch.rand(2, 2, 3, 1, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        ssim(output, target), ssim(output.repeat(1, 1, 2, 1), target.repeat(1, 1, 2, 1))
    )


@pytest.mark.parametrize("loss", ["mse", "l1+ssim"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (1, 2), (5, 7), (30, 3)])
def test_tiny_frames_can_be_fitted(
    make_clip: MakeClip, loss: Loss, width: int, height: int
) -> None:
    """Every loss works for frames smaller than its window."""
    model = ModelConfig(
        width, height, "rgb", GridStem(height, width, (Grid(1, 1),)), (Block(1, 2),)
    )
    parameters = run(make_clip("rgb", 2, width, height), model, FitConfig(epochs=1, loss=loss))
    assert bool(parameters.isfinite().all())
