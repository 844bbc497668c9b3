"""Priors: network weights that come with the codec, and which networks can have them.

A file names its prior by number and checksum (nvpp-format.md section 3.4). Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NO_PRIOR: Final = 0


@dataclass(frozen=True)
class Prior:
    """What is known of a prior without its weights.

    Attributes:
        crc: CRC-32 of its weights as float16, little-endian, in coded order.
        strides: of the blocks.
        width: of the blocks; those of a network may be larger.
        grid_channels: of all grids of level 0, 1, ..
    """

    crc: int
    strides: tuple[int, ...]
    width: int
    grid_channels: tuple[int, ...]


PRIORS: Final = {1: Prior(0xF533F660, (2, 2, 2), 16, (6, 2, 3, 1))}
