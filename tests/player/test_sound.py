"""The sound of a file in the player: its packets, what is wrong with them, and that it plays."""

from __future__ import annotations

import base64
import io
import json
import random
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from browser import Browse, in_chromium
from player_tool import PLAYER, ask, needs_node
from sounding import LEVEL, RATE, TONE_HZ, film, holding

from nervcodec.format.extras import Extras
from nervcodec.format.sound import Sound, SoundStream
from nervcodec.player.server import PlayerServer
from nervcodec.video.ffmpeg_sound import read_sound


def sound_of(
    folder: Path, codec: str = "libopus", subtitles: str | None = None, n_channels: int = 1
) -> Sound:
    """What `encode` keeps of a film of three seconds with this sound."""
    suffix = ".mov" if codec.endswith("law") else ".mkv"  # Matroska has no such sound
    path = film(
        folder / f"in{suffix}", codec, subtitles, seconds=Fraction(3), n_channels=n_channels
    )
    sound, _ = read_sound(path, Fraction(0))
    assert sound is not None
    return sound


def demuxed(*files: bytes) -> list[Any]:
    """What the player reads of NUT files: streams and packets, or a message."""
    answers: list[Any] = ask("nut", files=[base64.b64encode(file).decode() for file in files])
    return answers


@needs_node
@pytest.mark.parametrize("codec", ["libopus", "aac", "flac", "libmp3lame", "pcm_s16le"])
@pytest.mark.parametrize("subtitles", [None, "subrip"])
def test_packets_are_those_of_ffmpeg(tmp_path: Path, codec: str, subtitles: str | None) -> None:
    """The same streams, times and bytes as its demuxer gives."""
    sound = sound_of(tmp_path, codec, subtitles)
    (found,) = demuxed(sound.packets)
    with av.open(io.BytesIO(sound.packets), "r", format="nut") as container:
        for stream, known in zip(container.streams, found["streams"], strict=True):
            assert Fraction(known["numerator"], known["denominator"]) == stream.time_base
            if isinstance(stream, av.AudioStream):
                assert (known["rate"], known["channels"]) == (stream.rate, stream.channels)
                extradata = stream.codec_context.extradata or b""
                assert base64.b64decode(known["extradata"]) == extradata
        packets = [
            (packet.stream_index, packet.pts, bytes(packet))
            for packet in container.demux()
            if packet.size
        ]
    assert packets
    assert packets == [
        (packet["stream"], packet["time"], base64.b64decode(packet["data"]))
        for packet in found["packets"]
    ]


@needs_node
def test_a_damaged_nut_file_is_a_message(tmp_path: Path) -> None:
    """However it is cut or changed, it is read or refused, in one line."""
    good = sound_of(tmp_path, "aac", "subrip").packets
    draw = random.Random(5)
    files = [good[: draw.randrange(len(good))] for _ in range(40)]
    for n in range(400):
        bad = bytearray(good)
        for _ in range(1 + n % 3):
            bad[draw.randrange(min(len(good), 30 + 40 * n))] = draw.randrange(256)
        files.append(bytes(bad))
    answers = demuxed(*files)
    assert not [answer["bug"] for answer in answers if "bug" in answer]
    messages = [answer for answer in answers if isinstance(answer, str)]
    assert len(messages) > 50 and not any("\n" in message for message in messages)


# A browser's sound whose clock the test moves: what is heard, as [when, late, first sample].
HEARD = """
import { readFileSync } from 'node:fs';
import { openFile } from '%(player)s/container.js';
import { openSound } from '%(player)s/sound.js';
const heard = [];
const clock = { now: 0, stops: 0 };
globalThis.AudioContext = class {
  constructor({ sampleRate }) { this.sampleRate = sampleRate; this.state = 'running'; }
  get currentTime() { return clock.now; }
  createGain() { return { gain: {}, connect() {} }; }
  createBuffer(n, length, rate) {
    return { duration: length / rate, copyToChannel(samples) { this.first = samples[0]; } };
  }
  createBufferSource() {
    return {
      connect() {}, stop() { clock.stops++; },
      start(when, late) { heard.push([when, late, Math.round(32768 * this.buffer.first)]); },
    };
  }
};
const value = { userActivation: { hasBeenActive: true } };
Object.defineProperty(globalThis, 'navigator', { value });
const sound = await openSound(openFile(new Uint8Array(readFileSync(process.argv[1]))));
const play = (from, seconds) => {
  heard.length = 0;
  for (let i = 0; i <= 20 * seconds; i++) {
    sound.follow(from + i / 20, 1);
    clock.now += 1 / 20;
  }
  return [...heard];
};
"""


def silent_clock(folder: Path, steps: str, codec: str = "pcm_s16le", level: int = 1) -> Any:
    """What steps on the sound of a file return: ten packets of 0.1 s, the nth of samples n times
    the level, on a clock on which the picture begins 0.25 s after the sound.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as output:
        stream = output.add_stream(codec, rate=1000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.open()
        resampler = av.AudioResampler(stream.format, "mono", 1000)
        for n in range(10):
            samples = np.full((1, 100), level * n, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, layout="mono")
            frame.sample_rate, frame.pts = 1000, 100 * n
            for each in resampler.resample(frame):
                output.mux(stream.encode(each))
    streams = (SoundStream("audio", codec),)
    path = folder / "a.nvpp"
    holding(path, Extras(sound=Sound(streams, Fraction(1, 4), file.getvalue())))
    script = HEARD % {"player": PLAYER.as_uri()}
    done = subprocess.run(
        ["node", "--input-type=module", "-e", f"{script}\n{steps}", "--", str(path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_packets_are_heard_when_their_frames_are_seen(tmp_path: Path) -> None:
    """From the start, what is before the picture left out, each where the last one ends; after a
    seek anew; never twice, and nothing at a pause.
    """
    steps = """
    const first = play(0, 0.5);
    const second = play(0.55, 0.3);
    const before = clock.stops;
    const sought = play(0.1, 0.2);
    sound.follow(null, 1);
    console.log(JSON.stringify([first, second, before, sought.slice(0, 2), clock.stops]));
    """
    first, second, before, sought, stops = silent_clock(tmp_path, steps)
    # Packet n is due n / 10 - 1/4 s after the picture began, which is at 0 on the clock.
    assert [n for _, _, n in first] == list(range(2, 10)) and second == []
    assert first[0] == pytest.approx([0, 0.05, 2])
    assert [when for when, _, _ in first[1:]] == pytest.approx([0.05 + n / 10 for n in range(7)])
    assert before == 0 and stops > 0
    begun = 0.05 * (11 + 7)
    assert sought[0] == pytest.approx([begun, 0.05, 3])
    assert sought[1] == pytest.approx([begun + 0.05, 0, 4])


PCM = """s8 u8 s16le s16be u16le u16be s24le s24be u24le u24be s32le s32be u32le u32be f32le f32be
f64le f64be""".split()


@needs_node
@pytest.mark.parametrize("form", PCM)
def test_pcm_is_played_as_it_is(form: str, tmp_path: Path) -> None:
    """Of any width, order and kind, without a decoder of the browser's."""
    steps = "console.log(JSON.stringify(play(0, 0.6).map(([, , sample]) => sample)));"
    heard = silent_clock(tmp_path, steps, f"pcm_{form}", -256)
    assert heard == [-256 * n for n in range(2, 10)]


@pytest.mark.slow
@pytest.mark.needs_browser
def test_sound_goes_with_the_picture(browse: Browse, tmp_path: Path) -> None:
    """Once the page may be heard: the clock of the sound runs as the picture plays, goes on after
    a seek, and is muted at other speeds, of which there is a note.
    """
    sound = sound_of(tmp_path)
    path = holding(tmp_path / "a.nvpp", Extras(sound=sound), "moving_yuv", Fraction(2))
    steps = """
    await page.addInitScript(() => {
      window.heard = [];
      const { start } = AudioBufferSourceNode.prototype;
      AudioBufferSourceNode.prototype.start = function (when, offset) {
        const peak = Math.max(...this.buffer.getChannelData(0));
        window.heard.push({ when, now: this.context.currentTime, state: this.context.state, peak });
        start.call(this, when, offset);
      };
    });
    await page.goto(ADDRESS);
    await page.waitForSelector('#sound:not([hidden])');
    const found = { places: [] };
    const later = async () => {
      await page.waitForTimeout(800);
      found.places.push(await page.evaluate(() => [window.heard.length, window.heard.at(-1)]));
    };
    const runsTo = (least) =>
      page.waitForFunction((least) => window.heard.at(-1)?.now > least, least);
    await page.keyboard.press('Home');
    found.device = await page.evaluate(async () => {
      const context = new AudioContext();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return context.state;
    });
    if (found.device !== 'running') {
      return found;
    }
    await runsTo(0.3);
    await later();
    await page.keyboard.press('m');
    await page.keyboard.press('ArrowDown');
    found.muted = await page.getAttribute('#mute', 'aria-pressed');
    found.volume = await page.inputValue('#volume');
    await page.keyboard.press('5');
    await runsTo(found.places[0][1].now + 0.3);
    await later();
    await page.selectOption('#speed', '2');
    await page.waitForTimeout(100);
    await later();
    await later();
    found.note = await page.textContent('#note-text');
    return found;
    """
    with PlayerServer(path.read_bytes(), "a.nvpp") as server:
        done = browse("about:blank", steps.replace("ADDRESS", json.dumps(server.url)))
    assert done["complaints"] == []
    found = done["found"]
    if found["device"] != "running":
        pytest.skip("there is no sound device, and this browser does without one only in silence")
    assert found["muted"] == "true" and found["volume"] == "0.9"
    (n, playing), (more, sought), (end, _), (still, _) = found["places"]
    assert 0 < n < more and end == still
    for heard in (playing, sought):
        assert heard["state"] == "running" and 0.1 < heard["peak"] < 0.5
        assert 0 < heard["when"] - heard["now"] < 0.6
    assert playing["now"] > 0.3 and sought["now"] > playing["now"] + 0.3
    assert found["note"] == "Sound plays at speed 1 only: it is muted."


CODECS = {
    "libopus": 2,
    "vorbis": 2,
    "aac": 2,
    "flac": 2,
    "libmp3lame": 2,
    "pcm_s16le": 2,
    "pcm_s16be": 1,
    "pcm_s24le": 2,
    "pcm_s32le": 1,
    "pcm_u8": 1,
    "pcm_f32le": 2,
    "pcm_f64le": 1,
    "pcm_alaw": 1,
    "pcm_mulaw": 1,
}


@pytest.mark.slow
@pytest.mark.needs_browser
@in_chromium
@pytest.mark.parametrize("codec", CODECS)
def test_the_tones_of_a_file_reach_the_loudspeakers(
    browse: Browse, codec: str, tmp_path: Path
) -> None:
    """The samples that are handed to Web Audio follow one another without a gap, and in each
    channel nearly all their energy is at its own frequency, as loud as in the source.
    """
    n_channels = CODECS[codec]
    purity = 0.8 if codec == "vorbis" else 0.99  # FFmpeg's own encoder of Vorbis is coarse
    sound = sound_of(tmp_path, codec, n_channels=n_channels)
    path = holding(tmp_path / "a.nvpp", Extras(sound=sound), "moving_yuv", Fraction(2))
    steps = """
    await page.addInitScript(() => {
      window.heard = [];
      const { start } = AudioBufferSourceNode.prototype;
      AudioBufferSourceNode.prototype.start = function (when, offset) {
        const { buffer } = this;
        const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) =>
          Array.from(buffer.getChannelData(i)));
        window.heard.push({ when, offset, rate: buffer.sampleRate, channels });
        start.call(this, when, offset);
      };
    });
    await page.reload();
    await page.waitForFunction(() => document.title.startsWith('a.nvpp'));
    await page.keyboard.press('Home');
    await page.waitForTimeout(1500);
    return [await page.isVisible('#sound'), await page.textContent('#note-text'),
      await page.evaluate(() => window.heard)];
    """
    with PlayerServer(path.read_bytes(), "a.nvpp") as server:
        done = browse(server.url, steps)
    assert done["complaints"] == []
    is_visible, note, heard = done["found"]
    assert is_visible and note == ""
    # What was begun before the key went to the start is no part of it.
    heard = heard[max(i for i, each in enumerate(heard) if i == 0 or is_apart(heard, i)) :]
    assert {each["rate"] for each in heard} == {RATE}
    assert not any(each["offset"] for each in heard[1:])
    samples = np.concatenate([np.array(each["channels"]) for each in heard], axis=1)
    assert len(samples) == n_channels and samples.shape[1] > RATE
    for number, channel in enumerate(samples[:, RATE // 10 :][:, :RATE], 1):
        energy = np.abs(np.fft.rfft(channel * np.hanning(len(channel)))) ** 2
        hz = np.arange(len(energy)) * RATE / len(channel)
        assert energy[np.abs(hz - number * TONE_HZ) < 20].sum() > purity * energy.sum()
        assert np.sqrt(2 * (channel**2).mean()) == pytest.approx(LEVEL, rel=0.05)


def is_apart(heard: list[dict[str, Any]], i: int) -> bool:
    """Whether a buffer does not begin where the one before ends."""
    before = heard[i - 1]
    length = len(before["channels"][0]) / before["rate"] - before["offset"]
    return bool(abs(heard[i]["when"] - before["when"] - length) > 0.5 / RATE)


@pytest.mark.slow
@pytest.mark.needs_browser
def test_sound_that_cannot_be_played_is_a_note(browse: Browse, tmp_path: Path) -> None:
    """Damaged, or of a codec that no browser has: the picture plays, and it is said why."""
    steps = """
    await page.waitForSelector('#note:not([hidden])');
    return [await page.textContent('#note-text'), await page.isVisible('#sound'),
      await page.evaluate(() => document.getElementById('player').classList.contains('playing'))];
    """
    good = sound_of(tmp_path)
    foreign = replace(good, streams=(replace(good.streams[0], codec="speex"),))
    for sound, reason in (
        (replace(good, packets=good.packets[:-700]), "NUT file: "),
        (
            foreign,
            "this browser does not decode speex; nervcodec decode writes it with the picture.",
        ),
    ):
        path = holding(tmp_path / "a.nvpp", Extras(sound=sound))
        with PlayerServer(path.read_bytes(), "a.nvpp") as server:
            done = browse(server.url, steps)
        note, isVisible, isPlaying = done["found"]
        assert done["complaints"] == [] and reason in note
        assert note.startswith("This file has sound (") and not isVisible and isPlaying
