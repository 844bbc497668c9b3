"""A browser without a window, driven by playwright-core through Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-webgpu",  # on the processor, where there is no GPU
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Runs the steps with a page, and prints what they return, with all that the page complained of and
# asked the network for.
_DRIVER = """
const { chromium } = require('playwright-core');
const { executablePath, args, url, viewport } = SETTINGS;
(async () => {
  const browser = await chromium.launch({ executablePath, args });
  try {
    const page = await browser.newPage({ viewport });
    const complaints = [];
    const requests = [];
    page.on('console', (message) => {
      // A test that reads the canvas twice is told that this could be faster.
      if (!message.text().includes('willReadFrequently')) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(url);
    const found = await (async () => { STEPS })();
    console.log(JSON.stringify({ found, complaints, requests }));
  } finally {
    await browser.close();
  }
})();
"""


def browse(
    url: str, steps: str, width: int = 1280, height: int = 800, timeout_s: float = 120
) -> dict[str, Any]:
    """Open a page and do steps on it; the test is skipped where there is no browser.

    Args:
        steps: JavaScript, in which `page` is playwright's; it returns what is `found`.

    Returns:
        `found`, `complaints` (of console and scripts), `requests` (addresses).
    """
    node = shutil.which("node")
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if node is None or browser is None:
        pytest.skip("there is no node or no chromium")
    if subprocess.run([node, "-e", "require('playwright-core')"], capture_output=True).returncode:
        pytest.skip("there is no playwright-core where NODE_PATH leads")
    settings = {
        "executablePath": browser,
        "args": _FLAGS,
        "url": url,
        "viewport": {"width": width, "height": height},
    }
    done = subprocess.run(
        [node, "-"],  # a driver with files in its steps is longer than an argument may be
        input=f"const SETTINGS = {json.dumps(settings)};\n" + _DRIVER.replace("STEPS", steps),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert isinstance(printed, dict)
    return printed
