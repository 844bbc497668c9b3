"""The page's worker passes the conformance suite in a browser, with each engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSERS
from player_suite import browser_digests

SUITE = Path(__file__).parents[1] / "conformance" / "suite"

pytestmark = [pytest.mark.slow, pytest.mark.needs_browser]


@pytest.mark.parametrize("engine", ["js", "wasm", "webgl", "webgpu"])
@pytest.mark.parametrize("browser", BROWSERS)
def test_frames_and_errors_of_the_suite(browser: str, engine: str) -> None:
    """Each file gives the frames, or the error, that the suite's manifest has."""
    files: list[dict[str, Any]] = json.loads((SUITE / "manifest.json").read_text("utf-8"))["files"]
    _, found = browser_digests(browser, [SUITE / each["file"] for each in files], engine)
    lacks = [text for text in map(str, found) if "this browser has no" in text]
    if lacks and browser != "chromium":
        pytest.skip(lacks[0])
    wanted = {
        each["file"]: each["frame_md5"] if each["expect"] == "decode" else each["error"]
        for each in files
    }
    assert dict(zip(wanted, found, strict=True)) == wanted
