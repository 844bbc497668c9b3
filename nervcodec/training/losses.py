"""What a fit minimises besides its rate: weighted squared error, or the paper's L1 and SSIM."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from nervcodec.format.model_config import ModelConfig
from nervcodec.training.config import FitConfig


def plane_weights(model: ModelConfig, fit: FitConfig) -> Tensor:
    """Return the weight of each plane's mean squared error, float32 [n_planes].

    The phases of luma, of Cb and of Cr each share one weight.
    """
    if model.colorspace == "rgb":
        return torch.full((3,), 1 / 3)
    weights: list[float] = []
    for weight, phases in zip((1.0, *fit.chroma_weights), model.phases):
        n_phases = math.prod(phases)
        weights += [weight / n_phases] * n_phases
    return torch.tensor(weights)


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean SSIM of two batches in [0, 1] by pytorch-msssim, a scalar.

    The window shrinks below 11 where the frame is smaller; a side of one pixel, which it cannot
    take, is doubled.
    """
    from pytorch_msssim import ssim as pytorch_ssim

    for axis in (-2, -1):
        if output.shape[axis] == 1:
            output, target = (torch.cat([batch, batch], axis) for batch in (output, target))
    side = min(11, *output.shape[-2:])
    window = _window(side - 1 + side % 2, output.shape[1], output.device)
    value: Tensor = pytorch_ssim(output, target, data_range=1.0, win=window)
    return value


@lru_cache
@torch.inference_mode(False)
def _window(side: int, n_planes: int, device: torch.device) -> Tensor:
    """Return pytorch-msssim's Gaussian window, on the device where it is needed.

    To copy it at every step would keep a GPU waiting.
    """
    from pytorch_msssim import SSIM

    window: Tensor = SSIM(win_size=side, channel=n_planes).win.to(device)
    return window


def l1_ssim(output: Tensor, target: Tensor) -> Tensor:
    """Return 0.7 L1 + 0.3 (1 - SSIM), arXiv 2402.18305, section 3; a scalar."""
    return 0.7 * (output - target).abs().mean() + 0.3 * (1 - ssim(output, target))
