"""How OpenMP's threads wait for each other."""

from __future__ import annotations

import os

_SPINS = "10000"


def limit_spinning() -> None:
    """Have threads spin for a moment only before they sleep, unless the user has set how long.

    That is as fast as for ever, and leaves the cores to other work (docs/lab L079). It counts where
    torch is not loaded yet.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
