"""What a fit does not change: the network, the frames, and the measures that are handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.format import tensors
from nervcodec.format.model_config import Keys, ModelConfig, Shots
from nervcodec.nn.network import Network
from nervcodec.training.config import FitConfig
from nervcodec.training.losses import plane_weights
from nervcodec.training.rate_control import PSNR_LAW, SIZE_LAW, Law, psnr_error, size_error


@dataclass(frozen=True)
class Solution:
    """What could be coded: parameters float32 [n_parameters] and ln(step) float32 [n_groups]."""

    parameters: Tensor
    log_steps: Tensor


@dataclass(frozen=True)
class ExactMeasures:
    """What a solution gives: the bits of its coded parameters, the RGB PSNR of its decoded frames.

    They are handed in: training knows neither streams nor decoding.
    """

    bits: Callable[[Solution], float]
    rgb_db: Callable[[Solution], float]


@dataclass(frozen=True)
class TrainingContext:
    """What a fit does not change.

    Attributes:
        model, fit: the configurations.
        shots: of the frames.
        target: the frames, uint8 or int16 [n_frames, n_planes, plane_height, plane_width] in
            channels_last.
        network: of the segment.
        sizes: numbers of parameters of the groups.
        keys: of the first groups; the others have none.
        plane_weights: of the planes' errors, float32 [n_planes].
        measures: what estimates are corrected by; needed towards a target.
        law: how lambda is steered, None without a target.
        weights: shared weights that the fit starts from in place of random ones, float32 [n].
    """

    model: ModelConfig
    fit: FitConfig
    shots: Shots
    target: Tensor
    network: Network
    sizes: tuple[int, ...]
    keys: tuple[Keys, ...]
    plane_weights: Tensor
    measures: ExactMeasures | None = None
    law: Law | None = None
    weights: NDArray[np.float32] | None = None

    @classmethod
    def create(
        cls,
        model: ModelConfig,
        fit: FitConfig,
        target: Tensor,
        measures: ExactMeasures | None = None,
        shots: Shots | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> TrainingContext:
        """Return the context of a fit on the target's device.

        Args:
            target: uint8 or int16 [n_frames, n_planes, plane_height, plane_width], as from
                planes.pack.
            shots: None takes the frames for one shot.
        """
        assert measures or not fit.has_target
        shots = shots or (len(target),)
        groups = tensors.groups(model, shots)
        steering = SIZE_LAW if fit.target_bpp else PSNR_LAW
        return cls(
            model,
            fit,
            shots,
            target.contiguous(memory_format=torch.channels_last),
            Network(model, shots, target.device),
            tuple(group.size for group in groups),
            tuple(group.keys for group in groups if group.keys),
            plane_weights(model, fit).to(target.device),
            measures,
            steering if fit.has_target else None,
            weights,
        )

    @property
    def device(self) -> torch.device:
        """Where the fit runs."""
        return self.target.device

    @property
    def n_frames(self) -> int:
        """Frames of the segment."""
        return len(self.target)

    @property
    def n_pixels(self) -> int:
        """Luma pixels of all frames."""
        return self.n_frames * self.model.width * self.model.height

    @property
    def n_main_planes(self) -> int:
        """How many of the first planes the reported PSNR is of: luma's four phases, or R, G, B."""
        return 3 if self.model.colorspace == "rgb" else 4

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of a pass over the frames."""
        return -(-self.n_frames // self.fit.batch_size)

    @property
    def tolerance(self) -> float:
        """The error that steering, settling and RDOQ may end with, in ln(bytes)."""
        return self.law.tolerance if self.law else 0.0

    def error(self, solution: Solution) -> float:
        """Return by how much a solution is too large or too good for the target, in ln(bytes).

        It is 0 without a target.
        """
        if not self.fit.has_target:
            return 0.0
        assert self.measures
        if self.fit.target_bpp:
            return size_error(self.measures.bits(solution), self.fit.target_bpp * self.n_pixels)
        return psnr_error(self.measures.rgb_db(solution), self.fit.target_psnr)
