"""The sound of a file in the player: its packets, what is wrong with them, and that it plays."""

from __future__ import annotations

import base64
import hashlib
import io
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from player_tool import ask, needs_node
from sounding import film, holding

from nervcodec.format.extras import Extras
from nervcodec.format.sound import Sound
from nervcodec.video.ffmpeg_sound import read_sound



def sound_of(folder: Path, codec: str = "libopus", subtitles: str | None = None) -> Sound:
    """What `encode` keeps of a film of three seconds with this sound."""
    path = film(folder / "in.mkv", codec, subtitles, seconds=Fraction(3))
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
    with av.open(io.BytesIO(sound.packets), format="nut") as container:
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
