"""Small videos with sound and subtitles, and files that hold them without a fit."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream

from nervcodec.format.container import load, write_file
from nervcodec.format.extras import Extras

RATE = 48000
TONE_HZ = 440
LEVEL = 0.25
_LAYOUTS = {1: "mono", 2: "stereo"}
WORDS = ("Grüße".encode(), b"und mehr")


class Track(NamedTuple):
    """A stream but that of video: its times and durations in s, and the data of its packets."""

    codec: str
    language: str | None
    times: list[Fraction]
    data: list[bytes]


def film(
    path: Path,
    audio: str | None = "aac",
    subtitles: str | None = None,
    *,
    seconds: Fraction = Fraction(2, 5),
    video_start: int = 0,
    n_channels: int = 1,
) -> Path:
    """A file of 16x16 noise at 25 frames/s from frame `video_start` on; German sound and French
    subtitles begin at 0. The first channel is a tone of TONE_HZ, the second one of twice that.
    """
    rng = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"bf": "0"})
        assert isinstance(video, av.VideoStream)
        video.width = video.height = 16
        video.pix_fmt = "yuv420p"
        # FFmpeg calls its own encoder of Vorbis experimental.
        options = {"strict": "experimental"}
        sound = container.add_stream(audio, rate=RATE, options=options) if audio else None
        text: Stream | None = None
        if sound:
            assert isinstance(sound, av.AudioStream)
            sound.layout = _LAYOUTS[n_channels]
            sound.metadata["language"] = "deu"
        if subtitles:
            text = container.add_mux_stream(subtitles, time_base=Fraction(1, 1000))
            text.metadata["language"] = "fra"
        if sound:
            sound.codec_context.open()
        video.codec_context.open()
        container.start_encoding()
        for t in range(int(25 * seconds)):
            frame = av.VideoFrame(16, 16, "yuv420p")
            for plane in frame.planes:
                noise = rng.integers(60, 200, plane.buffer_size)
                np.frombuffer(memoryview(plane), np.uint8)[:] = noise
            frame.pts = t + video_start
            frame.time_base = Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            assert isinstance(sound, av.AudioStream)
            _sing(container, sound, seconds)
        for k, word in enumerate(WORDS if text else ()):
            data = len(word).to_bytes(2, "big") + word if subtitles == "mov_text" else word
            packet: Packet[Stream] = Packet(data)
            assert text is not None
            packet.stream = text
            packet.pts = packet.dts = 200 * k
            packet.duration = 150
            packet.time_base = Fraction(1, 1000)
            container.mux_one(packet)
    return path


def _sing(
    container: av.container.OutputContainer, sound: av.AudioStream, seconds: Fraction
) -> None:
    layout = sound.layout.name
    angles = 2 * np.pi * TONE_HZ / RATE * np.arange(int(RATE * seconds))
    tones = [np.sin(channel * angles) for channel in range(1, sound.layout.nb_channels + 1)]
    wave = np.round(32768 * LEVEL * np.stack(tones, axis=1)).astype(np.int16)
    resampler = av.AudioResampler(format=sound.codec_context.format, layout=layout, rate=RATE)
    frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = RATE
    frame.pts = 0
    frame.time_base = Fraction(1, RATE)
    for each in resampler.resample(frame):
        container.mux(sound.encode(each))
    container.mux(sound.encode(None))


def tracks(path: Path) -> list[Track]:
    """All streams of a file but those of video, with times from the first frame of video on."""
    with av.open(str(path)) as container:
        by_index = {
            stream.index: Track(
                stream.codec_context.codec.canonical_name,
                stream.metadata.get("language"),
                [],
                [],
            )
            for stream in container.streams
            if isinstance(stream, av.AudioStream | av.subtitles.stream.SubtitleStream)
        }
        starts = []
        for packet in container.demux():
            if not packet.size or packet.pts is None:
                continue
            time = packet.pts * packet.time_base
            if packet.stream_index in by_index:
                by_index[packet.stream_index].times.append(time)
                by_index[packet.stream_index].data.append(bytes(packet))
            else:
                starts.append(time)
    return [
        track._replace(times=[time - min(starts) for time in track.times])
        for track in by_index.values()
    ]


def holding(path: Path, extras: Extras, golden: str = "tiny", rate: Fraction | None = None) -> Path:
    """A golden file with something beside its picture, at another frame rate if one is given."""
    file = load(Path(__file__).parents[1] / "data" / f"{golden}.nvpp")
    form = file.header.format
    header = replace(file.header, format=replace(form, frame_rate=rate or form.frame_rate))
    path.write_bytes(write_file(header, file.segments, extras))
    return path
