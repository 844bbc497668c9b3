"""The player's modules, run in Node: a request goes in and its answer comes out as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).with_suffix(".mjs")
PLAYER = Path(__file__).parents[2] / "nervcodec" / "player"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


def ask(command: str, timeout_s: float = 120.0, **request: Any) -> Any:
    """What a command of player_tool.mjs answers."""
    done = subprocess.run(
        ["node", str(TOOL)],
        input=json.dumps({"command": command, **request}),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
