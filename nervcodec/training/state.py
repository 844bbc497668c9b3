"""What goes into a fit and comes out of it, besides its configuration: progress, checkpoints,
gauges, the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Progress:
    """Where a fit stands.

    psnr_db: of the last full epoch's training frames, luma or RGB; n_bytes: about what the
    parameters would take, with a rate weight; both None before the first epoch's end.
    """

    stage: str
    epoch: int
    n_epochs: int
    frames_fps: float
    psnr_db: float | None
    eta_s: float
    n_bytes: float | None = None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Checkpoint:
    """All that a fit needs to go on, bit for bit, from the step after which it was taken.

    Attributes:
        numbers: where it stands, JSON-ready.
        arrays: parameters, optimizer and generators; on the CPU.
    """

    numbers: dict[str, Any]
    arrays: dict[str, Tensor]

    @property
    def progress(self) -> Progress:
        """Where it stands, for people; without speed and time left."""
        return Progress(**self.numbers["progress"])

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The arrays whose names begin with a prefix, by the rest of their names."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.arrays.items()
            if name.startswith(prefix)
        }


class Keeper(Protocol):
    """Keeps a fit's checkpoints."""

    def is_due(self) -> bool:
        """Whether one should be taken now; asked after every step."""

    def keep(self, checkpoint: Checkpoint) -> None:
        """Stores it; may raise to end the fit."""


def silent(_: Progress) -> None:
    """An OnProgress that ignores everything."""


@dataclass
class Fitted:
    """Parameters float32 [n_parameters], ln(step) float32 [n_groups] and how often the fit was
    rolled back.
    """

    parameters: Tensor
    log_steps: Tensor
    n_rollbacks: int = 0


@dataclass(frozen=True)
class Gauges:
    """What a fit would give if it ended now: the bits of its coded parameters, the RGB PSNR of its
    decoded frames.
    """

    bits: Callable[[Fitted], float]
    rgb_db: Callable[[Fitted], float]
