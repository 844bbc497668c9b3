"""The player decodes files in Node or in a worker of a browser, and says the MD5 of their frames.

`python player_suite.py WHERE ENGINE MANIFEST` decodes the good files of a conformance suite and
prints a JSON object: `library`, and `digests`, the MD5 of each shown frame (or an error) by file.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from browser import BROWSERS, browse
from player_tool import ask

from nervcodec.player.server import PlayerServer

# Modules of the page are used as the page uses them: its client starts the worker that decodes.
_STEPS = """
return page.evaluate(async ([files, engine]) => {
  const module = (name) => import(new URL(`${name}.js`, location.href).href);
  const { openFile } = await module('container');
  const { DecoderClient } = await module('decoder_client');
  const { Md5, addFrame, checkDigest, hexadecimal } = await module('md5');
  const { loadKernels, loadPrior } = await module('surroundings');
  const [kernels, prior] = await Promise.all([loadKernels(), loadPrior(1)]);
  const client = new DecoderClient();
  const digestsOf = async (bytes) => {
    try {
      await client.open({ bytes, prior, kernels, engine });
      if (client.engine !== engine) throw new Error(`engine ${client.engine}`);
      const file = openFile(bytes);
      const coded = [];
      for (const [segment, { nFrames, md5 }] of file.segments.entries()) {
        const all = new Md5();
        for (let frame = 0; frame < nFrames; frame++) {
          const decoded = await client.ask({ type: 'decode', segment, frame });
          addFrame(all, decoded, file.model.colorspace);
          const one = new Md5();
          addFrame(one, decoded, file.model.colorspace);
          coded.push(hexadecimal(one.digest()));
        }
        checkDigest(all, md5, segment);
      }
      return Array.from({ length: file.nFrames }, (_, shown) => coded[file.codedFrame(shown)]);
    } catch (error) {
      return error.kind?.replace(/^Error$/, error.message) ?? error.stack;
    }
  };
  const digests = [];
  for (const text of files) {
    digests.push(await digestsOf(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));
  }
  client.close();
  return digests;
}, %s);
"""
NAMES = {"node": "Node", "chromium": "Chromium", "firefox": "Firefox", "webkit": "WebKitGTK"}
Digests = list[str] | str
Way = Callable[[Sequence[Path], str], tuple[str, list[Digests]]]


def browser_digests(browser: str, paths: Sequence[Path], engine: str) -> tuple[str, list[Digests]]:
    """The version of a browser, and for each file the MD5 of its shown frames or its error's kind.

    The files go through a worker of the page that `nervcodec play` serves.
    """
    files = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    with PlayerServer(paths[0].read_bytes(), paths[0].name) as server:
        steps = _STEPS % json.dumps([files, engine])
        done = browse(server.url, steps, timeout_s=600, browser=browser)
    assert done["complaints"] == []
    return done["version"], done["found"]


def node_digests(paths: Sequence[Path], engine: str) -> tuple[str, list[Digests]]:
    """The same in Node, without a worker."""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    digests = ask("suite", 600.0, paths=[str(path) for path in paths], engine=engine)
    return version.stdout.strip().removeprefix("v"), digests


def main() -> None:
    """Print what one of them says of the good files."""
    ways: dict[str, Way] = {name: partial(browser_digests, name) for name in BROWSERS}
    ways["node"] = node_digests
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", choices=ways)
    parser.add_argument("engine", choices=("js", "wasm", "webgl", "webgpu"))
    parser.add_argument("manifest", type=Path)
    options = parser.parse_args()
    entries: list[dict[str, Any]] = json.loads(options.manifest.read_text("utf-8"))["files"]
    names = [entry["file"] for entry in entries if entry["file"].startswith("good/")]
    paths = [options.manifest.parent / each for each in names]
    version, digests = ways[options.where](paths, options.engine)
    print(
        json.dumps(
            {
                "library": f"{NAMES[options.where]} {version}",
                "digests": dict(zip(names, digests, strict=True)),
            }
        )
    )


if __name__ == "__main__":
    main()
