"""Sound through whole commands: encode, info and decode."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from shell import Shell, error_line
from sounding import film, holding, tracks

from nervcodec.decoder.decode import decode
from nervcodec.encoder.fit_plan import plan_fit
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.target import Size
from nervcodec.errors import ConfigError
from nervcodec.format.extras import Extras
from nervcodec.format.properties import Properties
from nervcodec.video.extras import read_extras
from nervcodec.video.source import SourceOptions

FAST = ("--preset", "ultrafast", "--epochs", "1", "--bits", "2")


def test_sound_goes_there_and_back(shell: Shell) -> None:
    """Encode keeps the packets of the coded frames, info shows them, decode writes them."""
    (asked, _) = tracks(film(shell.folder / "in.mp4", "aac", "mov_text"))
    coded = shell("encode", "in.mp4", "a.nvpp", *FAST, "--frames", "3", "--json")
    assert coded.code == 0
    report = json.loads(coded.out)
    assert report["notes"] == []
    told = json.loads(shell("info", "a.nvpp", "--json").out)
    assert [stream["language"] for stream in told["sound"]] == ["deu", "fra"]
    assert told["sound_bytes"] == report["sound_bytes"] > 0
    n_pixels = 3 * 16 * 16
    assert told["bpp"] == report["bpp"]
    assert told["bpp"] == 8 * (told["bytes"] - told["sound_bytes"]) / n_pixels
    shown = shell("info", "a.nvpp").out
    assert "which no rate counts" in shown and "mov_text, fra" in shown
    assert shell("decode", "a.nvpp", "out.mp4").code == 0
    (given, text) = tracks(shell.folder / "out.mp4")
    n_packets = sum(time < 3 / 25 for time in asked.times)
    assert given.data == asked.data[:n_packets]
    assert given.times == asked.times[:n_packets]
    assert (given.language, text.language) == ("deu", "fra")


def test_the_plan_has_no_sound_where_none_is_wanted(tmp_path: Path) -> None:
    """Without audio a plan has nothing but the frames, and the same network and targets."""
    path = film(tmp_path / "in.mp4", "aac")
    options = EncodeOptions(preset="ultrafast", epochs=1)
    loud = plan_fit(path, options)
    silent = plan_fit(path, replace(options, audio=False))
    assert loud.extras.sound is not None
    assert silent == replace(loud, extras=Extras())


def test_a_target_size_is_that_of_the_picture(tmp_path: Path) -> None:
    """A size in bytes is legal and met without a look at the sound."""
    path = film(tmp_path / "in.mp4", "aac")
    options = EncodeOptions(preset="ultrafast", epochs=1, target=Size(600))
    sizes = {plan_fit(path, replace(options, audio=audio)).target_bytes for audio in (True, False)}
    assert sizes == {600}
    with pytest.raises(ConfigError, match="size is 100 bytes"):
        plan_fit(path, replace(options, target=Size(100)))


def test_an_interrupted_encode_goes_on_with_its_sound_alone(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sound left out it is another encode, and the difference is named."""
    film(shell.folder / "in.mkv", "flac")
    options = (*FAST, "--frames", "2", "--segment-frames", "1", "--checkpoint-every", "0")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nervcodec.encoder.encode._write", interrupted)
        assert shell("encode", "in.mkv", "a.nvpp", *options).code == 8
    result = shell("encode", "in.mkv", "a.nvpp", "--no-audio", *options, "--json")
    assert result.code == 2
    assert "another sound (True, now False)" in error_line(result)


def test_a_film_of_a_phone_goes_there_and_back(tmp_path: Path) -> None:
    """Rotation, title, sound and subtitles of one file all stand in an .mp4 of it again."""
    film(tmp_path / "in.mp4", "aac", "mov_text")
    sound = read_extras(tmp_path / "in.mp4", SourceOptions())[0].sound
    turned = (0, 1 << 16, 0, -1 << 16, 0, 0, 6 << 16, 0, 1 << 30)
    properties = Properties(turned, texts=(("title", "Ferien"), ("date", "2021")))
    extras = Extras(sound=sound, properties=properties)
    source = holding(tmp_path / "a.nvpp", extras, rate=Fraction(5))
    assert decode(source, tmp_path / "out.mp4").notes == ()
    again, notes = read_extras(tmp_path / "out.mp4", SourceOptions())
    assert notes == ()
    assert again.properties == properties
    assert again.sound is not None and sound is not None
    described = [(stream.codec, stream.language) for stream in again.sound.streams]
    assert described == [(stream.codec, stream.language) for stream in sound.streams]
    assert [track.data for track in tracks(tmp_path / "out.mp4")] == [
        track.data for track in tracks(tmp_path / "in.mp4")
    ]
