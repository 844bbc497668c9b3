"""Films as cameras make them, encoded and decoded to .mp4 with all that they say of themselves."""

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from shell import Shell

from nervcodec.format.properties import Properties
from nervcodec.video.extras import read_extras
from nervcodec.video.probe import ProbedSource, probe_source
from nervcodec.video.source import SourceOptions

FAST = ("--preset", "ultrafast", "--epochs", "1", "--threads", "1")
HDR10 = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    ":max-cll=1000,400:bframes=0:info=0:log-level=none"
)


def said(path: Path) -> tuple[ProbedSource, Properties | None]:
    """What a file says of its frames, their times and its picture."""
    return probe_source(path), read_extras(path, SourceOptions(), audio=False)[0].properties


def audio(path: Path) -> list[tuple[bytes, Fraction]]:
    """Data and time of each packet of sound, from the first frame of the video on."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return [(bytes(p), (p.pts or 0) * (p.time_base or Fraction(1))) for p in packets]


def write_film(
    path: Path,
    codec: str,
    pix_fmt: str,
    times: list[int],
    options: dict[str, str],
    colour: tuple[int, int, int, int],
    *,
    is_phone: bool = False,
) -> None:
    """A film of moving gradients at times in units of 1/600 s; of a phone with turn and sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 64, 48, pix_fmt
        context.time_base = Fraction(1, 600)
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = colour
        container.metadata["title"] = "Ferien"
        sound = None
        if is_phone:
            stream.set_display_rotation(90)
            sound = container.add_stream("aac", rate=48000)
            sound.metadata["language"] = "deu"
        dtype = np.uint16 if pix_fmt.endswith("le") else np.uint8
        for number, time in enumerate(times):
            frame = av.VideoFrame(64, 48, pix_fmt)
            for k, plane in enumerate(frame.planes):
                view = np.frombuffer(memoryview(plane), dtype)
                view[:] = (np.arange(view.size) * (k + 1) // 7 + 20 * number) % 200 + 20
            frame.pts, frame.time_base = time, Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for n in range(12):
                samples = np.sin(np.arange(1024)[None] * 0.05 + n).astype(np.float32)
                heard = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                heard.sample_rate, heard.pts = 48000, 1024 * n
                container.mux(sound.encode(heard))
            container.mux(sound.encode(None))


def test_a_film_of_a_phone(shell: Shell) -> None:
    """Rotation, frame times, full-range BT.709 tags, title and sound come back as they were."""
    source, back = shell.folder / "in.mp4", shell.folder / "out.mp4"
    times = [0, 20, 41, 100, 120, 139]
    write_film(source, "libx264", "yuvj420p", times, {"bf": "0"}, (1, 1, 1, 2), is_phone=True)
    assert shell("encode", "in.mp4", "a.nvpp", *FAST).code == 0
    assert shell("decode", "a.nvpp", "out.mp4").code == 0
    before, after = said(source), said(back)
    assert before[1] and before[1].rotation == (90, False)
    assert before[0].times and before[0].times.is_variable
    assert after == before
    assert audio(back) == audio(source) != []


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_film_of_hdr10(shell: Shell, codec: str) -> None:
    """10 bits, BT.2020 and PQ, mastering display and light level come back as they were."""
    source, back = shell.folder / "in.mp4", shell.folder / "out.mp4"
    times = list(range(0, 80, 20))
    colour = (9, 16, 9, 1)
    write_film(source, "libx265", "yuv420p10le", times, {"x265-params": HDR10}, colour)
    assert shell("encode", "in.mp4", "a.nvpp", *FAST).code == 0
    assert shell("decode", "a.nvpp", "out.mp4", "--codec", codec).code == 0
    before, after = said(source), said(back)
    assert (before[0].format.bit_depth, before[0].format.color.transfer) == (10, 16)
    assert before[1] and before[1].mastering and before[1].light
    assert after == before


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_sees_the_same_film(shell: Shell) -> None:
    """FFmpeg's own tool says the same of colour, turn, frames and sound of a film and its copy."""
    source, back = shell.folder / "in.mp4", shell.folder / "out.mp4"
    times = [0, 20, 41, 100, 120, 139]
    write_film(source, "libx264", "yuvj420p", times, {"bf": "0"}, (1, 1, 1, 2), is_phone=True)
    assert shell("encode", "in.mp4", "a.nvpp", *FAST).code == 0
    assert shell("decode", "a.nvpp", "out.mp4").code == 0
    keys = "codec_name,width,height,color_range,color_space,color_transfer,color_primaries,duration"
    shown = [
        subprocess.run(
            ["ffprobe", "-v", "error", "-of", "json", "-show_entries"]
            + [f"stream={keys},nb_frames:stream_tags=language:stream_side_data=rotation", path],
            check=True,
            capture_output=True,
        ).stdout
        for path in (source, back)
    ]
    assert json.loads(shown[0]) == json.loads(shown[1])
