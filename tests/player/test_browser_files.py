"""The page in a browser takes files: good and bad ones, two at once, and one that it holds."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from browser import Browse
from player_page import TOOLS
from shell import Shell

from nervcodec.player.export import export
from nervcodec.player.server import PlayerServer

pytestmark = [pytest.mark.slow, pytest.mark.needs_browser]

DATA = Path(__file__).parents[1] / "data"


def quoted(data: bytes) -> str:
    """Bytes as a text of JavaScript in base64."""
    return json.dumps(base64.b64encode(data).decode())


def test_a_damaged_file_gets_the_error_of_the_command_line(
    browse: Browse, address: str, shell: Shell
) -> None:
    """Word for word, as an alert; a good file plays after it."""
    good = (DATA / "gray.nvpp").read_bytes()
    bad = good[:60] + bytes([good[60] ^ 1]) + good[61:]
    foreign = b"\x00\x00\x00 ftypisom"
    steps = f"""
    await ready();
    const said = [];
    for (const data of [{quoted(bad)}, {quoted(foreign)}, {quoted(good[:-3])}]) {{
      await drop('in.nvpp', data);
      await page.waitForSelector('#error:not([hidden])');
      said.push(await text('error-text'));
      await page.click('#error-close');
    }}
    await drop('good.nvpp', {quoted(good)});
    await paused();
    return {{ said, title: await text('title'), error: await text('error-text') }};
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    for data, said in zip((bad, foreign, good[:-3]), done["found"]["said"], strict=True):
        (shell.folder / "in.nvpp").write_bytes(data)
        assert (
            f"nervcodec: error: {said.removeprefix('in.nvpp: ')}\n" == shell("info", "in.nvpp").err
        )
    assert done["found"]["title"] == "good.nvpp" and done["found"]["error"] == ""


def test_an_engine_that_is_not_there_is_said(browse: Browse, address: str) -> None:
    """Once another one is chosen, the file plays."""
    steps = """
    await paused();
    await page.keyboard.press('i');
    const said = {};
    for (const engine of ['webgpu', 'webgl', 'wasm', 'js']) {
      await page.selectOption('#engine', engine);
      await page.waitForSelector('#frame:not([hidden]), #error:not([hidden])');
      said[engine] = [await text('title'), await text('error-text')];
    }
    await ready();
    return said;
    """
    done = browse(address, TOOLS + steps)
    played = ["moving.nvpp", ""]
    for engine, words in (
        ("webgpu", "WebGPU here; legal: auto, webgl, wasm, js"),
        ("webgl", "WebGL 2 here; legal: auto, wasm, js"),
    ):
        refused = ["nervcodec player", f"moving.nvpp: this browser has no {words}"]
        assert done["found"][engine] in (refused, played)
    assert done["found"]["wasm"] == done["found"]["js"] == played


def test_a_second_file_is_shown_beside_the_first(browse: Browse, address: str) -> None:
    """Both are at the same time, and the line between them can be moved; in the end the first one
    is alone again.
    """
    steps = f"""
    await paused();
    await page.setInputFiles('#compare-file', {{ name: 'b.nvpp', mimeType: '',
      buffer: Buffer.from({quoted((DATA / "grid_yuv.nvpp").read_bytes())}, 'base64') }});
    await page.waitForSelector('#split-bar:not([hidden])');
    await ready();
    const clip = await page.evaluate(() => document.getElementById('other-picture').style.clipPath);
    const line = await page.locator('#divider').boundingBox();
    const box = await page.locator('#frame').boundingBox();
    await page.mouse.move(line.x + line.width / 2, line.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 4, line.y + 50);
    await page.mouse.up();
    const moved = await page.inputValue('#split');
    const playing = await page.evaluate(
      () => document.getElementById('player').classList.contains('playing'));
    const names = [await text('name-left'), await text('name-right')];
    await page.click('#compare-end');
    return {{ clip, names, moved, playing, hidden: await page.isHidden('#other-picture') }};
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    assert done["found"]["names"] == ["moving.nvpp", "b.nvpp"] and done["found"]["hidden"]
    assert abs(int(done["found"]["moved"]) - 250) < 3 and not done["found"]["playing"]
    assert done["found"]["clip"].startswith("inset(0") and "50%" in done["found"]["clip"]


@pytest.mark.parametrize("name", ["moving_yuv", "prior"])
def test_an_exported_page_plays_from_disk(browse: Browse, tmp_path: Path, name: str) -> None:
    """The same samples as the page that is served; it asks for nothing but itself."""
    export(DATA / f"{name}.nvpp", tmp_path / "a.html")
    url = (tmp_path / "a.html").as_uri()
    done = browse(url, TOOLS + "await paused(); return [await text('title'), await picture(1)];")
    assert done["complaints"] == [] and done["found"][0] == f"{name}.nvpp"
    with PlayerServer((DATA / f"{name}.nvpp").read_bytes(), name) as server:
        served = browse(server.url, TOOLS + "await paused(); return await picture(1);")
    assert done["found"][1] == served["found"]
    assert all(each == url or each.startswith("blob:") for each in done["requests"])
