"""What the page does between a decoder and the screen: pace, cache, and what it says of a file."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import nervcodec.player
from nervcodec.format.container import read_file, write_file
from nervcodec.format.info import info
from nervcodec.format.repeats import Repeats
from nervcodec.format.sound import Sound, SoundStream
from nervcodec.format.times import FrameTimes

FOLDER = Path(nervcodec.player.__file__).parent
DATA = Path(__file__).parents[1] / "data"
# A screen for which a frame is ready `delay` ticks after it was wanted first, one at a time.
SCREEN = """
import { Playback } from '%s/playback.js';
const N = 20;
const schedule = {
  nPictures: N, parts: 1, duration: N / 10,
  timeOf: (n) => n / 10,
  pictureAt: (s) => Math.min(N - 1, Math.max(0, Math.floor(s * 10 + 1e-6))),
};
function started(delay, change = () => {}) {
  const ready = new Set();
  const shown = [];
  let wanted = [];
  let left = delay;
  const screen = {
    isReady: (n) => ready.has(n), want: (ns) => { wanted = ns; }, show: (n) => shown.push(n),
    decodeSeconds: () => delay / 50, nAtOnce: () => 1,
  };
  const playback = new Playback(schedule, screen, () => {});
  change(playback);
  playback.seek(0);
  playback.play();
  let now = 0;
  const run = (nTicks) => {
    for (let i = 0; i < nTicks; i++) {
      now += 20;
      const next = wanted.find((n) => !ready.has(n));
      if (next !== undefined && --left <= 0) {
        ready.add(next);
        left = delay;
        playback.frameCame();
      }
      playback.tick(now);
    }
  };
  return { playback, shown, run };
}
"""


def node(script: str, *arguments: str) -> Any:
    """What a module of JavaScript prints, as JSON."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node")
    done = subprocess.run(
        [program, "--input-type=module", "-e", script, "--", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def played(steps: str) -> Any:
    """What steps on a screen return."""
    script = SCREEN % FOLDER.as_uri() + f"const found = (() => {{ {steps} }})();\n"
    return node(script + "console.log(JSON.stringify(found));")


def test_fast_decoding_shows_every_frame_in_time() -> None:
    """Ten frames a second at fifty ticks: after one second the tenth, none left out."""
    steps = "const { playback, shown, run } = started(1); run(51);"
    shown, dropped = played(steps + "return [shown, playback.nDropped];")
    assert shown == list(range(len(shown))) and len(shown) in (10, 11) and dropped == 0


def test_slow_decoding_drops_frames_and_keeps_time() -> None:
    """A frame takes 0.3 s: about every third is shown, at its time, and the others are counted."""
    shown, dropped, position = played(
        "const { playback, shown, run } = started(15, (p) => { p.isLooping = false; }); run(85);"
        "return [shown, playback.nDropped, playback.position];"
    )
    assert shown == sorted(set(shown)) and 3 <= len(shown) <= 7
    assert dropped == shown[-1] + 1 - len(shown)
    assert abs(position - shown[-1] / 10) < 0.8 and position > 1


def test_every_frame_is_shown_if_that_is_asked_for() -> None:
    """However slow it is; the clock waits."""
    shown, dropped = played(
        "const { playback, shown, run } = started(15, (p) => { p.showsEvery = true; }); run(160);"
        "return [shown, playback.nDropped];"
    )
    assert shown == list(range(len(shown))) and len(shown) >= 9 and dropped == 0


@pytest.mark.parametrize("every", ["true", "false"])
def test_the_end_stops_or_begins_again(every: str) -> None:
    """As looping says; a stopped video begins anew when it is played."""
    change = f"(p) => {{ p.isLooping = LOOP; p.showsEvery = {every}; }}"
    steps = f"const {{ playback, shown, run }} = started(1, {change}); run(130);"
    looped = played(steps.replace("LOOP", "true") + "return [shown, playback.isPlaying];")
    assert looped[0][:20] == list(range(20)) and looped[0][20:23] == [0, 1, 2] and looped[1]
    stopped = played(
        steps.replace("LOOP", "false")
        + "const last = playback.target; const was = playback.isPlaying; playback.play();"
        "return [shown.length, last, was, playback.target, playback.isPlaying];"
    )
    assert stopped == [21, 19, False, 0, True]


def test_seeking_shows_the_frame_once_it_is_there() -> None:
    """And nothing between; beyond the ends it is the first or last one."""
    found = played(
        "const { playback, shown, run } = started(2); run(4); playback.pause(); shown.length = 0;"
        "playback.seek(13); run(2); playback.seek(99); run(2); playback.step(-1); run(2);"
        "playback.seek(-5); return [shown, playback.target];"
    )
    assert found == [[13, 19, 18, 0], 0]


def test_the_cache_is_bounded_in_bytes() -> None:
    """What was asked for longest ago goes; one picture stays however large it is."""
    script = f"""
    import {{ FrameCache }} from '{FOLDER.as_uri()}/frame_cache.js';
    const picture = (n) => ({{ data: new Uint8Array(n) }});
    const cache = new FrameCache(100);
    for (const n of [1, 2, 3]) cache.set(n, picture(30));
    cache.get(1);
    cache.set(4, picture(30));
    const kept = [...cache.pictures.keys()];
    const bytes = cache.nBytes;
    cache.set(5, picture(500));
    console.log(JSON.stringify([kept, bytes, [...cache.pictures.keys()], cache.nBytes]));
    """
    assert node(script) == [[3, 1, 4], 90, [5], 500]


def described(path: Path) -> dict[str, str]:
    """The rows that the panel has of a file."""
    script = f"""
    import {{ readFileSync }} from 'node:fs';
    import {{ openFile }} from '{FOLDER.as_uri()}/container.js';
    import {{ describe, shapeOf, soundNote }} from '{FOLDER.as_uri()}/description.js';
    import {{ Schedule }} from '{FOLDER.as_uri()}/schedule.js';
    const bytes = new Uint8Array(readFileSync(process.argv[1]));
    const file = openFile(bytes);
    const schedule = new Schedule(file);
    const rows = Object.fromEntries(describe('a', bytes.length, file, schedule.duration));
    rows.note = file.sound && soundNote(file, 'why');
    rows.shape = JSON.stringify(shapeOf(file));
    console.log(JSON.stringify(rows));
    """
    found = node(script, str(path))
    assert isinstance(found, dict)
    return found


def as_info_has_it(path: Path) -> None:
    """The panel's figures are those of `info`."""
    rows, known = described(path), info(path)
    assert rows["rate"] == f"{known.bpp:.5f} bpp, {known.kbit_per_s:.1f} kbit/s"
    assert rows["video"].startswith(f"{known.format.width}x{known.format.height}, ")
    assert rows["frames"].startswith(f"{known.format.n_frames}")
    assert rows["segments"] == str(len(known.segments))
    for name, value in (("PSNR Y", known.quality.psnr_y), ("PSNR RGB", known.quality.psnr_rgb)):
        assert (f"{value:.2f} dB" in rows[name]) if value is not None else name not in rows


@pytest.mark.parametrize("path", sorted(DATA.glob("*.nvpp")), ids=lambda path: path.stem)
def test_the_panel_has_the_figures_of_info(path: Path) -> None:
    """Of every golden file."""
    as_info_has_it(path)


def test_sound_repeats_and_times_count(tmp_path: Path) -> None:
    """Sound is in no rate and has a note; frames that repeat weigh as often as they are shown,
    and each is on the screen as long as its time says.
    """
    file = read_file((DATA / "moving_yuv.nvpp").read_bytes())
    stream = SoundStream("audio", "opus", "eng", "<b>left</b>", extradata=b"12345")
    segments = [
        replace(segment, quality=replace(segment.quality, psnr_y=30.0 + 5 * number))
        for number, segment in enumerate(file.segments)
    ]
    extras = replace(
        file.extras,
        repeats=Repeats(((1, 9), (6, 1))),
        sound=Sound((stream,), Fraction(0), b"packets" * 99),
        times=FrameTimes(Fraction(1, 1000), 40, ((20, 9), (35, 5)), 50),
    )
    header = replace(file.header, format=replace(file.header.format, n_frames=15))
    (tmp_path / "a.nvpp").write_bytes(write_file(header, segments, extras))
    as_info_has_it(tmp_path / "a.nvpp")
    rows = described(tmp_path / "a.nvpp")
    assert rows["note"].startswith("This file has sound (opus), which is not played: why; ")
    assert rows["sound"] == "opus, eng, <b>left</b>" and "(7 of them coded)" in rows["frames"]
    assert rows["duration"] == "0:00.405"
    script = f"""
    import {{ readFileSync }} from 'node:fs';
    import {{ openFile }} from '{FOLDER.as_uri()}/container.js';
    import {{ Schedule, timeText }} from '{FOLDER.as_uri()}/schedule.js';
    const schedule = new Schedule(openFile(new Uint8Array(readFileSync(process.argv[1]))));
    const times = [-1, 0, 0.0199, 0.02, 0.179, 0.18, 0.214, 0.215, 0.354, 0.355, 9];
    console.log(JSON.stringify([
      times.map((s) => schedule.pictureAt(s)),
      [0, 8, 9, 14].map((n) => schedule.codedFrame(n)),
      [0, 75.5, 3661.0004].map(timeText),
    ]));
    """
    frames, coded, texts = node(script, str(tmp_path / "a.nvpp"))
    assert frames == [0, 0, 0, 1, 8, 9, 9, 10, 13, 14, 14]
    assert coded == [0, 0, 1, 6] and texts == ["0:00.000", "1:15.500", "1:01:01.000"]
