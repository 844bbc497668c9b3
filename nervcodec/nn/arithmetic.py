"""What a network may be computed in. Standard library only."""

from __future__ import annotations

from typing import Literal

Arithmetic = Literal["float32", "bfloat16"]
Precision = Literal["auto", "float32", "bfloat16"]
