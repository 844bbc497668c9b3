"""Browsers without a window, driven through Node.js.

Chromium needs playwright-core where NODE_PATH leads, Firefox nothing else (it speaks WebDriver
BiDi; with Xvfb it has WebGL, computed by Mesa), WebKitGTK its WebKitWebDriver and Xvfb.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "firefox", "webkit")
Browse = Callable[..., dict[str, Any]]  # `browse` of one of them
# What no browser is likely to do in a way of its own is tried in one.
in_chromium = pytest.mark.parametrize("browse", ["chromium"], indirect=True)

_DRIVER = Path(__file__).with_name("browser_driver.mjs")
_COMMANDS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "firefox": ("firefox", "firefox-esr"),
    "webkit": ("MiniBrowser",),
}
_WEBSOCKET = "--experimental-websocket"  # of Node.js before version 22


def browse(
    url: str,
    steps: str,
    width: int = 1280,
    height: int = 800,
    timeout_s: float = 120,
    browser: str = "chromium",
) -> dict[str, Any]:
    """Open a page and do steps on it; the test is skipped where there is no such browser.

    Args:
        steps: JavaScript, in which `page` is playwright's, or for Firefox and WebKit has those of
            its methods that browser_page.mjs has; it returns what is `found`.
        browser: one of BROWSERS.

    Returns:
        `found`, `version` (of the browser), `complaints` (of console and scripts), `requests`
        (addresses).
    """
    settings = {
        **_needs(browser),
        "browser": browser,
        "url": url,
        "steps": steps,
        "viewport": {"width": width, "height": height},
    }
    node = subprocess.Popen(
        ["node", _WEBSOCKET, str(_DRIVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = node.communicate(json.dumps(settings), timeout_s)
    finally:
        with suppress(ProcessLookupError):  # else a browser would outlive a driver that failed
            os.killpg(node.pid, signal.SIGKILL)
    assert node.returncode == 0, err
    printed = json.loads(out)
    assert isinstance(printed, dict)
    return printed


def _needs(browser: str) -> dict[str, str | None]:
    """Return the programs that a browser needs, or skip the test."""
    executable = next(filter(None, map(shutil.which, _COMMANDS[browser])), None)
    if executable is None and browser == "webkit":
        executable = next(map(str, Path("/usr").glob("lib*/**/webkit*gtk-*/MiniBrowser")), None)
    if executable is None or shutil.which("node") is None:
        pytest.skip(f"there is no node or no {browser}")
    if not _runs(_WEBSOCKET, "-e", ""):
        pytest.skip("node is older than version 20.10")
    if browser == "chromium" and not _runs("-e", "require('playwright-core')"):
        pytest.skip("there is no playwright-core where NODE_PATH leads")
    driver, screen = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    if browser == "webkit" and None in (driver, screen):
        pytest.skip("there is no WebKitWebDriver or no Xvfb")
    return {"executable": executable, "driver": driver, "screen": screen}


def _runs(*arguments: str) -> bool:
    """Whether Node.js does without an error what it is told."""
    return not subprocess.run(["node", *arguments], capture_output=True).returncode
