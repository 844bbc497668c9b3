"""Which engine the page takes: a GPU that proves right, and another one where it fails."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from browser import browse
from suite_files import Good, Part, written
from suite_good import net

from nervcodec.format.model_config import Block, Grid, GridStem
from nervcodec.player.server import PlayerServer

pytestmark = [pytest.mark.slow, pytest.mark.needs_browser]

DATA = Path(__file__).parents[1] / "data"
MOVING = (DATA / "moving_yuv.nvpp").read_bytes()
# The engine of each frame, and whether it is that of WebAssembly; or the error.
_DECODE = """
return page.evaluate(async ([video, name, gpu]) => {
  const module = (name) => import(new URL(`${name}.js`, location.href).href);
  const { openFile } = await module('container');
  const { loadEngine } = await module('engines');
  const { SegmentDecoder } = await module('network');
  const contexts = [];
  if (gpu !== null) {  // what computes here says that it is one, and fails as it is told
    const { getContext } = OffscreenCanvas.prototype;
    OffscreenCanvas.prototype.getContext = function (kind, wish) {
      contexts.push(getContext.call(this, kind, { ...wish, failIfMajorPerformanceCaveat: false }));
      return contexts.at(-1);
    };
    const { getParameter, readPixels } = WebGL2RenderingContext.prototype;
    Object.assign(WebGL2RenderingContext.prototype, {
      getParameter(name) {
        return name === 0x9246 ? 'A GPU' : getParameter.call(this, name);
      },
      readPixels(...given) {
        readPixels.apply(this, given);
        given[6][0] += Number(gpu.isWrong ?? false);
      },
    });
  }
  try {
    const file = openFile(Uint8Array.from(atob(video), (c) => c.charCodeAt(0)));
    const decoder = new SegmentDecoder(file, 0, { engine: await loadEngine(name) });
    const sure = new SegmentDecoder(file, 0, { engine: await loadEngine('wasm') });
    const found = [];
    for (let frame = 0; frame < 3; frame++) {
      if (gpu?.lostAt === frame) {
        contexts[0].getExtension('WEBGL_lose_context').loseContext();
      }
      const { planes } = await decoder.decode(frame);
      const wanted = sure.decode(frame).planes;
      const isSame = planes.every((plane, i) => plane.every((v, at) => v === wanted[i][at]));
      found.push([decoder.engine.name, isSame]);
    }
    return found;
  } catch (error) {
    return error.message;
  }
}, %s);
"""


def decoded(video: bytes, engine: str, gpu: dict[str, Any] | None = None) -> Any:
    """Engine and rightness of three frames, or an error; gpu: what SwiftShader plays."""
    given = [base64.b64encode(video).decode(), engine, gpu]
    with PlayerServer(MOVING, "moving.nvpp") as server:
        done = browse(server.url, _DECODE % json.dumps(given))
    assert done["complaints"] == []
    return done["found"]


def wide(columns: int, colorspace: str) -> bytes:
    """A file of two rows."""
    stem = GridStem(1, columns // 16, (Grid(9, 2),))
    model = net(stem, (Block(16, 40),), width=columns, height=2, colorspace=colorspace)
    return written(Good("wide", "many columns", model, (Part((3,)),)))


@pytest.mark.parametrize(
    ("gpu", "engines"),
    [
        (None, ["wasm", "wasm", "wasm"]),
        ({}, ["wasm", "webgl", "webgl"]),
        ({"isWrong": True}, ["wasm", "wasm", "wasm"]),
        ({"lostAt": 2}, ["wasm", "webgl", "wasm"]),
    ],
)
def test_auto_takes_a_gpu_that_proves_right(gpu: dict[str, Any] | None, engines: list[str]) -> None:
    """WebGL 2 by the processor, or with another first frame, is refused; WebAssembly goes on where
    the context is lost. No frame is another one.
    """
    assert decoded(MOVING, "auto", gpu) == [[name, True] for name in engines]


def test_a_lost_context_is_told() -> None:
    """To someone who has chosen the engine."""
    said = decoded(MOVING, "webgl", {"lostAt": 1})
    assert said == "WebGL 2 failed: error 37442; legal: auto, wasm, js"


def test_planes_that_do_not_stand_side_by_side() -> None:
    """A map whose planes are wider together than a texture may be is right, too."""
    assert decoded(wide(4096, "yuv420"), "webgl") == [["webgl", True]] * 3


def test_a_map_that_is_too_wide() -> None:
    """It is refused with what is legal."""
    said = decoded(wide(16384, "rgb"), "webgl")
    assert said == "WebGL 2 takes no map of 16384x160 here; legal: up to 8192x8192"
