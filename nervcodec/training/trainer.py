"""Overfits one model to one segment: the training loop (arXiv 2402.18305, section 4; its recipe is
preset `paper-*`).

A fit has one or two stages. In each, the learning rate warms up and falls along a cosine; in the
last one the forward pass rounds the weights from `round_from` on. With a rate weight the loss is
distortion + weight * estimated bits per pixel, every group's step is learned and uniform noise
stands in for the rounding until then. Towards a target size or PSNR the weight is steered
(ratecontrol.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format import tensors
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.nn.device import arithmetic
from nervcodec.nn.network import Network, is_shared
from nervcodec.training.config import FitConfig
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.losses import plane_weights
from nervcodec.training.rate_control import PSNR_LAW, SIZE_LAW, psnr_error, size_error
from nervcodec.training.stage import Stage
from nervcodec.training.state import Checkpoint, Fitted, Gauges, Keeper, OnProgress, silent

_FIRST, _SECOND = "fit", "finetune"


class Fitter:
    """Fits the network of one segment to its frames.

    Args:
        model, fit: the configurations.
        target: uint8 [n_frames, n_planes, plane_height, plane_width] on the device to fit on
        (model.pack). on_progress: called at most twice a second and at each epoch's end.
        gauges: what estimates are corrected by; with a target they are needed.
        keeper: takes checkpoints.
        checkpoint: where to go on; the stages before it are skipped.
        weights: what the fit starts from in place of random ones (segment.shared_weights).
        shots: of the frames; None takes them for one.
    """

    def __init__(
        self,
        model: ModelConfig,
        fit: FitConfig,
        target: Tensor,
        on_progress: OnProgress = silent,
        gauges: Gauges | None = None,
        keeper: Keeper | None = None,
        checkpoint: Checkpoint | None = None,
        weights: NDArray[np.float32] | None = None,
        shots: Shots | None = None,
    ) -> None:
        self.model, self.fit, self.on_progress, self.gauges = model, fit, on_progress, gauges
        self.keeper, self.checkpoint, self.weights = keeper, checkpoint, weights
        self.target = target.contiguous(memory_format=torch.channels_last)
        assert gauges or not fit.has_target
        self.n_frames = len(target)
        self.shots = shots or (self.n_frames,)
        self.network = Network(model, self.shots, target.device)
        groups = tensors.groups(model, self.shots)
        self.sizes, self.keys = (
            [group.size for group in groups],
            [group.keys for group in groups if group.keys],
        )
        self.random = torch.Generator().manual_seed(fit.seed)
        self.noise = torch.Generator(target.device).manual_seed(fit.seed)
        self.plane_weights = plane_weights(model, fit).to(target.device)
        self.n_pixels = self.n_frames * model.width * model.height
        self.rate_weight = fit.rate_weight
        self.law = SIZE_LAW if fit.target_bpp else PSNR_LAW
        self.n_steps_done, self.seconds = 0, 0.0

    def start(self) -> Fitted:
        """Random parameters or the given weights, the motion of the frames and the configured
        initial steps.
        """
        parameters = initial_parameters(self.network, self.random, self.target)
        if self.weights is not None:
            parameters[torch.from_numpy(is_shared(self.network.tensors))] = torch.from_numpy(
                self.weights
            )
        parameters = parameters.to(self.target.device)
        log_step = math.log(self.fit.initial_step)
        return Fitted(
            parameters, torch.full((len(self.sizes),), log_step, device=self.target.device)
        )

    def run(self, make_mask: Callable[[Tensor], Tensor]) -> Fitted:
        """Runs all stages, or what is left of them after the checkpoint.

        Args:
            make_mask: the pruning mask [n_parameters] of the second stage, from the parameters of
                the first.
        Raises:
            FitError: the fit diverged more than three times.
        """
        fitted = self.overfit(self.start()) if self._is_first_stage() else self.start()
        if self.fit.finetune_epochs:
            mask = (
                self.checkpoint.arrays["mask"] if self.checkpoint else make_mask(fitted.parameters)
            )
            fitted = self.overfit(fitted, mask.to(self.target.device))
        return fitted

    def error(self, fitted: Fitted) -> float:
        """By how much what would be coded is too large or too good for the target, in ln(bytes); 0
        without one.
        """
        gauges, fit = self.gauges, self.fit
        if not fit.has_target:
            return 0.0
        assert gauges
        if fit.target_bpp:
            return size_error(gauges.bits(fitted), fit.target_bpp * self.n_pixels)
        return psnr_error(gauges.rgb_db(fitted), fit.target_psnr)

    def _is_first_stage(self) -> bool:
        return (
            self.checkpoint.numbers["stage"] == _FIRST
            if self.checkpoint
            else self.n_steps_done == 0
        )

    def overfit(self, start: Fitted, mask: Tensor | None = None) -> Fitted:
        """Runs the next stage: the main one without, the fine-tuning one with a pruning mask
        [n_parameters].

        Raises:
            FitError: the fit diverged more than three times.
        """
        if self._is_first_stage():
            stage = Stage(
                self, _FIRST, self.fit.epochs, 1.0, self.fit.finetune_epochs == 0, start, mask
            )
        else:
            stage = Stage(
                self, _SECOND, self.fit.finetune_epochs, self.fit.finetune_rate, True, start, mask
            )
        if self.checkpoint:
            stage.restore(self.checkpoint)
            self.checkpoint = None
        with arithmetic(self.target.device, is_exact=False):
            return stage.run()
