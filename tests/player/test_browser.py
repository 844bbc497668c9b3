"""The page in a browser: it plays, seeks and steps, and its frames are those of the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import Browse, in_chromium
from numpy.typing import NDArray
from player_page import TOOLS

from nervcodec.format.container import read_file, write_file
from nervcodec.format.properties import Properties
from nervcodec.player.server import PlayerServer

pytestmark = [pytest.mark.slow, pytest.mark.needs_browser]

Picture = NDArray[np.uint8]
DATA = Path(__file__).parents[1] / "data"
SIZES = [(1280, 800), (800, 600), (390, 844)]


def test_it_plays(browse: Browse, address: str) -> None:
    """By itself: time goes on, no frame is lost to an error, and only the server is asked."""
    steps = """
    await ready();
    const seen = new Set();
    for (let i = 0; i < 40; i++) {
      seen.add(await frame());
      await page.waitForTimeout(30);
    }
    await page.keyboard.press('i');
    return { seen: [...seen].sort(), title: await text('title'), about: await text('about') };
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    assert len(done["found"]["seen"]) >= 4 and done["found"]["title"] == "moving.nvpp"
    for words in ("27x21, yuv420, 8 bits", "4,310 bytes", "grid stem 3x4x2"):
        assert words in done["found"]["about"]
    origin = address[: address.index("/", 8)]
    assert all(url.startswith(origin) for url in done["requests"])


def test_keys_go_where_they_do_in_other_players(browse: Browse, address: str) -> None:
    """Steps, ends, shares; the page stays still where it is paused."""
    steps = """
    await paused();
    const places = [];
    for (const key of ['Home', '.', '.', ',', 'End', '.', '0', '5', 'Home', 'l', ',']) {
      await page.keyboard.press(key);
      places.push(await frame());
    }
    await page.waitForTimeout(200);
    return { places, last: await frame() };
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    assert done["found"] == {"places": [0, 1, 2, 1, 6, 6, 0, 3, 0, 1, 0], "last": 0}


def test_a_frame_looks_as_decode_has_it(browse: Browse, address: str) -> None:
    """The canvas differs from the golden frame's luma by what a conversion to RGB changes."""
    with np.load(DATA / "moving_yuv.npz") as golden:
        luma = golden["plane0"].astype(np.float64)
    done = browse(address, TOOLS + "await paused(); return [await picture(5), await picture(2)];")
    assert done["complaints"] == []
    for number, samples in zip((5, 2), done["found"], strict=True):
        rgb = np.array(samples, np.float64).reshape(21, 27, 4)[..., :3]
        gray = rgb @ (0.299, 0.587, 0.114)
        expected = np.clip((luma[number] - 16) * 255 / 219, 0, 255)
        assert np.corrcoef(gray.ravel(), expected.ravel())[0, 1] > 0.9


@in_chromium
@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((-1, 0, 0, 1), np.fliplr),
    ],
)
def test_a_picture_is_turned_and_mirrored(
    browse: Browse, matrix: tuple[int, int, int, int], turned: Callable[[Picture], Picture]
) -> None:
    """As the display matrix of the file says: right, left, over, mirrored."""
    steps = TOOLS + "await paused(); return await picture(3);"
    file = read_file((DATA / "moving_yuv.nvpp").read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    properties = Properties(matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    data = write_file(file.header, file.segments, replace(file.extras, properties=properties))
    pictures = []
    for video in ((DATA / "moving_yuv.nvpp").read_bytes(), data):
        with PlayerServer(video, "a.nvpp") as server:
            pictures.append(np.array(browse(server.url, steps)["found"], np.uint8))
    upright = pictures[0].reshape(21, 27, 4)
    expected = turned(upright)
    assert np.array_equal(pictures[1].reshape(expected.shape), expected)


@in_chromium
@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.nvpp")))
def test_golden_files_play(browse: Browse, name: str) -> None:
    """Every kind of network and layout."""
    with PlayerServer((DATA / f"{name}.nvpp").read_bytes(), name) as server:
        done = browse(server.url, TOOLS + "await paused(); return [await text('error-text')];")
    assert done["complaints"] == [] and done["found"] == [""]


def test_a_large_picture_can_be_moved(browse: Browse, address: str) -> None:
    """By the mouse; that neither plays nor stops, and a click on it does."""
    steps = """
    await paused();
    await page.setViewportSize({ width: 400, height: 320 });
    await page.selectOption('#zoom', '8');
    await page.evaluate(() => { document.getElementById('frame').style.minWidth = '1600px'; });
    const scroll = () => page.evaluate(() => document.getElementById('stage').scrollLeft);
    const playing = () => page.evaluate(
      () => document.getElementById('player').classList.contains('playing'));
    const before = await scroll();
    await page.mouse.move(200, 100);
    await page.mouse.down();
    await page.mouse.move(150, 100);
    await page.mouse.move(100, 100);
    await page.mouse.up();
    const moved = (await scroll()) - before;
    const first = await playing();
    await page.mouse.click(200, 100);
    return [moved, first, await playing()];
    """
    assert browse(address, TOOLS + steps)["found"] == [100, False, True]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_fits_the_window(browse: Browse, address: str, width: int, height: int) -> None:
    """With all that it can show, nothing is wider than the window, and the picture has room."""
    steps = """
    await ready();
    await page.keyboard.press('i');
    return page.evaluate(() => {
      const box = document.getElementById('frame').getBoundingClientRect();
      const controls = document.getElementById('controls').getBoundingClientRect();
      return {
        inner: [innerWidth, innerHeight],
        outer: [document.documentElement.scrollWidth, controls.bottom],
        picture: [box.width, box.height],
      };
    });
    """
    found = browse(address, TOOLS + steps, width, height)["found"]
    assert np.all(np.array(found["outer"]) <= found["inner"]), found
    assert np.all(np.array(found["picture"]) >= [200, 150]), found
    assert width <= found["inner"][0] <= max(width, 480)  # a window of WebKit has a least width


@in_chromium
def test_every_control_has_a_name(browse: Browse, address: str) -> None:
    """What can be focused says what it is, and the order is that of the page."""
    steps = """
    await paused();
    return page.evaluate(() => {
      const named = (el) =>
        [el.ariaLabel, el.labels?.[0]?.textContent, el.textContent].some((name) => name?.trim());
      const controls = document.querySelectorAll('button, select, input:not([type=file])');
      return [...controls].filter((el) => !named(el)).map((el) => el.id);
    });
    """
    assert browse(address, TOOLS + steps)["found"] == []


def test_times_between_frames(browse: Browse, address: str) -> None:
    """Off at first; then a slider goes to them, and slow motion shows them, each marked."""
    steps = """
    await paused();
    const marked = async () => !(await page.isHidden('#made'));
    const still = async () => {
      await page.waitForTimeout(400);
      await ready();
      return page.evaluate(() => {
        const canvas = document.getElementById('picture');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return Array.from(data).join();
      });
    };
    const offered = [await page.isVisible('#part')];
    const whole = await picture(1);
    await page.keyboard.press('b');
    offered.push(await page.isVisible('#part'), await marked());
    await page.fill('#part', '8');
    const between = await still();
    offered.push(await marked(), await frame());
    await page.keyboard.press('.');
    await still();
    offered.push(await marked(), await frame());
    await page.fill('#part', '15');
    await page.fill('#part', '0');
    await page.keyboard.press(',');
    offered.push((await still()) === whole.join(), between === whole.join());
    await page.selectOption('#speed', '0.1');
    await page.locator('#stage').focus();
    await page.keyboard.press('k');
    const seen = new Set();
    for (let i = 0; i < 60; i++) {
      seen.add(await marked());
      await page.waitForTimeout(20);
    }
    await page.keyboard.press('b');
    await page.keyboard.press('k');
    await still();
    return { offered, seen: seen.size, last: await marked() };
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    assert done["found"] == {
        "offered": [False, True, False, True, 1, False, 2, True, False],
        "seen": 2,
        "last": False,
    }


def test_upscaled_pictures(browse: Browse, address: str) -> None:
    """By the key u, marked, of twice the rows and columns and near to the picture of the file; also
    between frames. The key again gives what was there before.
    """
    steps = """
    await paused();
    const look = async (n) => {
      const samples = await picture(n);
      await page.waitForTimeout(300);
      return [await canvas(), await text('made'), samples];
    };
    const canvas = () => page.evaluate(() => {
      const { width, height } = document.getElementById('picture');
      return [width, height];
    });
    await page.keyboard.press('u');
    await page.waitForFunction(() => document.getElementById('picture').width === 54);
    const large = await look(2);
    await page.keyboard.press('b');
    await page.fill('#part', '8');
    await page.waitForTimeout(300);
    await ready();
    const between = await text('made');
    await page.fill('#part', '0');
    await page.keyboard.press('b');
    await page.click('#upscale');
    await page.waitForFunction(() => document.getElementById('picture').width === 27);
    const whole = await look(2);
    return { large, between, whole, offered: await page.getAttribute('#upscale', 'aria-label') };
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    found = done["found"]
    assert found["offered"] == "Upscale 2x (extrapolated)"
    assert found["between"] == "in between, upscaled (extrapolated): not part of the file"
    (large_size, mark, large), (size, no_mark, whole) = found["large"], found["whole"]
    assert (large_size, size) == ([54, 42], [27, 21])
    assert (mark, no_mark) == ("upscaled (extrapolated): not part of the file", "")
    own = np.array(whole, np.uint8).reshape(21, 27, 4)
    means = np.array(large, np.uint8).reshape(21, 2, 27, 2, 4).mean((1, 3))
    assert 0 < np.abs(means - own).mean() < 8


@in_chromium
def test_engines_upscale_alike(browse: Browse, address: str) -> None:
    """The worker answers with the same samples of twice the size, whatever its engine."""
    steps = """
    await paused();
    return page.evaluate(async () => {
      const module = (name) => import(new URL(`${name}.js`, location.href).href);
      const { DecoderClient } = await module('decoder_client');
      const { firstVideo, loadKernels } = await module('surroundings');
      const [{ bytes }, kernels] = await Promise.all([firstVideo(), loadKernels()]);
      const found = [];
      for (const engine of ['js', 'wasm', 'webgl', 'webgpu']) {
        const client = new DecoderClient();
        await client.open({ bytes, prior: null, kernels, engine });
        const answer = await client.ask({ type: 'decode', segment: 0, frame: 1.5, upscale: true });
        found.push([answer.engine, answer.widths, answer.heights, ...answer.planes.map(String)]);
        client.close();
      }
      return found;
    });
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    assert [each[0] for each in done["found"]] == ["js", "wasm", "webgl", "webgpu"]
    js, *others = (each[1:] for each in done["found"])
    assert js[:2] == [[54, 27, 27], [42, 21, 21]]
    assert others == [js] * 3


@in_chromium
def test_an_mlp_stem_has_nothing_between(browse: Browse) -> None:
    """Neither the buttons nor their keys."""
    steps = """
    await paused();
    await page.keyboard.press('b');
    await page.keyboard.press('u');
    return [await page.isVisible('#between'), await page.isVisible('#part'),
      await page.isVisible('#upscale'), await page.isVisible('#made')];
    """
    with PlayerServer((DATA / "mlp_rgb.nvpp").read_bytes(), "mlp.nvpp") as server:
        done = browse(server.url, TOOLS + steps)
    assert done["complaints"] == [] and done["found"] == [False] * 4


@in_chromium
def test_a_smooth_zoom_draws_larger_pictures(browse: Browse, address: str) -> None:
    """Of twice as many rows and columns; those of any other zoom have the size of the file."""
    steps = """
    await paused();
    const found = [];
    for (const zoom of ['2', '2s', '4']) {
      await page.selectOption('#zoom', zoom);
      found.push(await page.evaluate(() => {
        const { width, height } = document.getElementById('picture');
        const { offsetWidth } = document.getElementById('frame');
        return [width, height, offsetWidth];
      }));
    }
    const samples = await picture(2);
    await page.selectOption('#zoom', '2s');
    return { found, own: samples, smooth: await picture(2) };
    """
    done = browse(address, TOOLS + steps)
    assert done["complaints"] == []
    assert done["found"]["found"] == [[27, 21, 54], [54, 42, 54], [27, 21, 108]]
    own = np.array(done["found"]["own"], np.uint8).reshape(21, 27, 4)
    smooth = np.array(done["found"]["smooth"], np.uint8).reshape(42, 54, 4)
    means = smooth.reshape(21, 2, 27, 2, 4).mean((1, 3))
    assert np.abs(means[1:-1, 1:-1] - own[1:-1, 1:-1]).max() < 12
    assert (smooth[::2] != smooth[1::2]).any()
