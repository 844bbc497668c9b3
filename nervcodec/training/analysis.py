"""The analysis network: what a frame's feature grids start from.

It computes, from the planes of one frame, a map for each level of grids of the prior's family
(prior.py). Only the encoder has it: a file says nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of each level, from the finest, which has the planes' size, to the stem: features, and the
# channels of the grids that stand there.
WIDTHS = (24, 32, 48, 48)
GRID_CHANNELS = (1, 3, 2, 6)
N_PLANES = 6
# Groups of grids that have a step of their own.
GROUPS = (
    "stem.grid1",
    "stem.grid2",
    *(
        f"stem.grid{number}{band}"
        for number in (3, 4, 5)
        for band in ("", "_details2", "_details1")
    ),
)


class AnalysisNetwork(nn.Module):
    """Planes of frames -> maps of the grids' values at each level."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(N_PLANES, WIDTHS[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 4, stride=2, padding=1)
            for fine, coarse in zip(WIDTHS, WIDTHS[1:])
        )
        self.residual = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in WIDTHS)
        self.out = nn.ModuleList(
            nn.Conv2d(width, channels, 3, padding=1)
            for width, channels in zip(WIDTHS, GRID_CHANNELS)
        )

    def forward(self, planes: Tensor) -> list[Tensor]:
        """Return the maps, finest level first.

        Args:
            planes: float32 [B, 6, h, w] in [0, 1], h and w multiples of 8.
        Returns:
            [B, GRID_CHANNELS[i], h / 2^i, w / 2^i] each.
        """
        x = self.first(planes - 0.5)
        maps = []
        for level, (residual, out) in enumerate(zip(self.residual, self.out)):
            if level:
                x = self.down[level - 1](x)
            x = x + residual(F.gelu(x))
            maps.append(out(F.gelu(x)))
        return maps


def split_bands(grids: Tensor, n_levels: int) -> list[Tensor]:
    """Return the forward Haar transform of grids: the coarsest band, then details, coarse to fine.

    It is the inverse of nn.grids.joined, level by level.

    Args:
        grids: float32 [K, C, h, w]; an odd side is completed by its last row or column.
    """
    details = []
    for _ in range(n_levels):
        grids = F.pad(grids, (0, grids.shape[3] % 2, 0, grids.shape[2] % 2), mode="replicate")
        a, b = grids[:, :, ::2, ::2], grids[:, :, ::2, 1::2]
        c, d = grids[:, :, 1::2, ::2], grids[:, :, 1::2, 1::2]
        rows, columns = (a - b + c - d) / 2, (a + b - c - d) / 2
        both = (a - b - c + d) / 2
        details.append(torch.cat([rows, columns, both], dim=1))
        grids = (a + b + c + d) / 2
    return [grids, *reversed(details)]


@dataclass(frozen=True)
class Analysis:
    """What comes with a prior for the encoder alone.

    Attributes:
        network: computes where grids start.
        log_steps: by group, ln(step) at the default lambda and how it goes with ln(lambda).
    """

    network: AnalysisNetwork
    log_steps: dict[str, tuple[float, float]]

    def log_step(self, name: str, nats: float) -> float:
        """Return ln(step) of a group where ln(lambda) is `nats` above the default's."""
        at_default, slope = self.log_steps[name]
        return at_default + slope * nats

    @classmethod
    def load(cls, number: int) -> Analysis:
        """Return the analysis network of a prior, as it is installed."""
        with (resources.files("nervcodec.training") / f"analysis_{number}.npz").open("rb") as file:
            arrays = dict(np.load(file, allow_pickle=False))
        rows = arrays.pop("log_steps").tolist()
        network = AnalysisNetwork()
        network.load_state_dict(
            {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        )
        network.requires_grad_(False)
        return cls(
            network, {name: (row[0], row[1]) for name, row in zip(GROUPS, rows, strict=True)}
        )
