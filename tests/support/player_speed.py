"""How fast the page plays files in a browser: `python player_speed.py [--browser NAME] FILE...`.

Prints a JSON object for each file, engine and number of workers; times are medians of three
starts of the browser, those of JavaScript of one. `load_before` is the load of the minute before:
others may have been at work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from functools import partial
from pathlib import Path
from typing import Any

from browser import BROWSERS, Browse, browse

from nervcodec.format.container import load
from nervcodec.player.export import page
from nervcodec.player.server import PlayerServer

N_TIMES = 3
ENGINES = {"wasm": 3, "js": 1}  # and how often each is timed
# Every frame decoded once, as the page does it: to pixels that a canvas takes, by its own workers.
_DECODE = """
return page.evaluate(async ([engine, nWorkers]) => {
  const module = (name) => import(new URL(`${name}.js`, location.href).href);
  const { openFile } = await module('container');
  const { DecoderClient } = await module('decoder_client');
  const { loadKernels, loadPrior } = await module('surroundings');
  const answer = await fetch('video.nvpp');
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const file = openFile(bytes);
  const [kernels, prior] = await Promise.all([loadKernels(), loadPrior(1)]);
  const clients = Array.from({ length: nWorkers }, () => new DecoderClient());
  await Promise.all(clients.map((client) => client.open({ bytes, prior, kernels, engine })));
  await Promise.all(clients.map((client) => client.decode({ segment: 0, frame: 0 })));
  const start = performance.now();
  let next = 0;
  await Promise.all(clients.map(async (client) => {
    while (next < file.nFrames) await client.decode(file.locate(next++));
  }));
  return file.nFrames / ((performance.now() - start) / 1000);
}, %s);
"""
# A page of a browser that has just begun, watched to its first picture and through one turn.
_OPEN = """
await page.addInitScript(() => {
  const look = () => {
    const frame = document.getElementById('frame');
    if (frame && !frame.hidden) window.firstFrameMs = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});
await page.goto(%s);
await page.waitForFunction(() => window.firstFrameMs);
await page.keyboard.press('i');
await page.waitForTimeout(%d);
return page.evaluate(() => {
  const rows = document.querySelectorAll('#measured dt');
  const values = Object.fromEntries(
    [...rows].map((dt) => [dt.textContent, dt.nextElementSibling.textContent]));
  return { firstFrameMs: window.firstFrameMs, ...values };
});
"""


def found_in(browse: Browse, url: str, steps: str) -> Any:
    """What steps on a page find; nothing may go wrong on it."""
    done = browse(url, steps, timeout_s=600)
    assert done["complaints"] == []
    return done["found"]


def decoding_rows(browse: Browse, path: Path) -> list[dict[str, Any]]:
    """Frames a second of a file by each engine with one worker and two."""
    rows = []
    # Beside a page that plays something small; the workers that are timed are the only others.
    with PlayerServer(path.read_bytes(), path.name) as server:
        idle = server.url.partition("?")[0]
        for engine, n_times in ENGINES.items():
            for n_workers in (1, 2):
                steps = _DECODE % json.dumps([engine, n_workers])
                speeds = [found_in(browse, idle, steps) for _ in range(n_times)]
                rows.append(
                    {
                        "engine": engine,
                        "workers": n_workers,
                        "frames_per_s": statistics.median(speeds),
                        "least": min(speeds),
                    }
                )
    return rows


def opening_facts(browse: Browse, path: Path) -> dict[str, Any]:
    """Seconds to the first picture, and frames that are dropped in the first turn."""
    form = load(path).header.format
    turn_ms = int(1000 * form.n_frames / form.frame_rate) - 500
    with PlayerServer(path.read_bytes(), path.name) as server:
        steps = _OPEN % (json.dumps(server.url), turn_ms)
        times = [found_in(browse, "about:blank", steps) for _ in range(N_TIMES)]
    return {
        "first_frame_s": statistics.median(each["firstFrameMs"] for each in times) / 1000,
        "shown": statistics.median(int(each["shown"].replace(",", "")) for each in times),
        "dropped": statistics.median(int(each["dropped"].replace(",", "")) for each in times),
        "played_by": times[0]["workers"],
    }


def page_facts(path: Path) -> dict[str, Any]:
    """Bytes of the file, and how many more an exported page has."""
    video = path.read_bytes()
    size = len(page(video, path.name, load(path).header.model.prior))
    return {"bytes": len(video), "page_bytes": size - len(video)}


def main() -> None:
    """Measure the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", choices=BROWSERS, default=BROWSERS[0])
    parser.add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    chosen = partial(browse, browser=options.browser)
    version = chosen("about:blank", "")["version"]
    for path in options.files:
        load_before = os.getloadavg()[0]
        facts = {"browser": f"{options.browser} {version}", "file": path.name, **page_facts(path)}
        facts |= opening_facts(chosen, path)
        for row in decoding_rows(chosen, path):
            print(json.dumps({**facts, **row, "load_before": load_before}), flush=True)


if __name__ == "__main__":
    main()
