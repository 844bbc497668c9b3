"""Sound and text subtitles come from a source into a file, and from there into containers, packet
by packet and in time.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from sounding import film, holding, tracks

from nervcodec.decoder.decode import DecodeOptions, decode
from nervcodec.errors import BitstreamError, NervCodecError
from nervcodec.format.extras import Extras
from nervcodec.format.sound import Sound
from nervcodec.video.extras import read_extras
from nervcodec.video.ffmpeg_sound import read_sound
from nervcodec.video.source import SourceOptions

# The golden file has two frames: with them lasting 0.4 s, all of film() fits.
SLOW = Fraction(5)


def kept(source: Path) -> Sound:
    """The sound of a film."""
    extras, notes = read_extras(source, SourceOptions())
    assert extras.sound and notes == ()
    return extras.sound


def decoded(sound: Sound, output: Path, **options: object) -> tuple[str, ...]:
    """Decode a golden file with this sound; return the notes."""
    path = holding(output.with_suffix(".nvpp"), Extras(sound=sound), rate=SLOW)
    return decode(path, output, DecodeOptions(**options)).notes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "audio", "subtitles", "output"),
    [
        ("a.mp4", "aac", "mov_text", "b.mp4"),
        ("a.mp4", "aac", "mov_text", "b.mov"),
        ("a.mp4", "libopus", None, "b.mp4"),
        ("a.mkv", "flac", "subrip", "b.mkv"),
        ("a.mkv", "libmp3lame", "ass", "b.mkv"),
        ("a.mkv", "libmp3lame", None, "b.mp4"),
        ("a.mkv", "libopus", "webvtt", "b.webm"),
        ("a.mov", "pcm_s16le", "mov_text", "b.mov"),
        ("a.ts", "ac3", None, "b.mp4"),
    ],
)
def test_packets_come_back(
    tmp_path: Path, source: str, audio: str, subtitles: str | None, output: str
) -> None:
    """Data and languages of all packets are the source's, and so are their times: exactly, but in
    Matroska and WebM to its millisecond.
    """
    asked = tracks(film(tmp_path / source, audio, subtitles))
    assert decoded(kept(tmp_path / source), tmp_path / output) == ()
    given = tracks(tmp_path / output)
    assert [track.codec for track in given] == [track.codec for track in asked]
    assert [track.data for track in given] == [track.data for track in asked]
    languages = [track.language for track in asked]
    assert source == "a.mov" or languages == ["deu", "fra"][: len(asked)]
    assert [track.language or "und" for track in given] == [name or "und" for name in languages]
    tolerance = 0 if output.endswith(("mp4", "mov")) else Fraction(1, 1000)
    for one, other in zip(asked, given, strict=True):
        assert all(abs(a - b) <= tolerance for a, b in zip(one.times, other.times, strict=True))


def test_sound_that_starts_before_the_video_keeps_its_time(tmp_path: Path) -> None:
    """Where the video begins 0.2 s after the sound, sound begins 0.2 s before the video's start."""
    sound = kept(film(tmp_path / "a.mkv", "flac", video_start=5))
    assert sound.start == Fraction(1, 5)
    decoded(sound, tmp_path / "b.mkv")
    assert tracks(tmp_path / "b.mkv")[0].times[0] == Fraction(-1, 5)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("b.webm", ["audio stream (aac, deu)", "subtitle stream (mov_text, fra)"]),
        ("b.mkv", ["subtitle stream (mov_text, fra)"]),
    ],
)
def test_what_a_container_cannot_hold_is_named(
    tmp_path: Path, output: str, names: list[str]
) -> None:
    """Each stream that is left out has a note with the reason."""
    film(tmp_path / "a.mp4", "aac", "mov_text")
    suffix = output[1:]
    assert decoded(kept(tmp_path / "a.mp4"), tmp_path / output) == tuple(
        f"{name} left out: {suffix} cannot hold it" for name in names
    )


def test_y4m_and_pictures_say_that_there_is_no_sound(tmp_path: Path) -> None:
    """A note says so for outputs without sound, unless none was asked for."""
    sound = kept(film(tmp_path / "a.mkv", "flac"))
    note = "audio stream (flac, deu) left out: {} cannot hold sound"
    assert decoded(sound, tmp_path / "b.y4m") == (note.format(".y4m"),)
    assert note.format("PNG") in decoded(sound, tmp_path / "pictures")
    assert decoded(sound, tmp_path / "c.y4m", audio=False) == ()


def test_no_audio_leaves_it_out(tmp_path: Path) -> None:
    """Without sound asked for there is none in the output."""
    decoded(kept(film(tmp_path / "a.mp4")), tmp_path / "b.mp4", audio=False)
    assert tracks(tmp_path / "b.mp4") == []


@pytest.mark.parametrize("output", ["b.mp4", "b.mkv"])
def test_a_part_has_the_packets_that_overlap_it(tmp_path: Path, output: str) -> None:
    """Of frame 1 alone, shown from 0.2 s on, come the packets that last beyond that moment, with
    times from there on.
    """
    (asked,) = tracks(film(tmp_path / "a.mp4"))
    decoded(kept(tmp_path / "a.mp4"), tmp_path / output, frames=(1, 2))
    (given,) = tracks(tmp_path / output)
    cut = Fraction(1, 5)
    length = Fraction(1024, 48000)
    inside = [k for k, time in enumerate(asked.times) if time + length > cut]
    assert given.data == [asked.data[k] for k in inside]
    times = [asked.times[k] - cut for k in inside]
    assert all(abs(a - b) <= Fraction(1, 1000) for a, b in zip(given.times, times, strict=True))


def test_a_part_from_the_beginning_ends_with_its_last_frame(tmp_path: Path) -> None:
    """Of frame 0 alone, which lasts 0.2 s, come the packets that begin within them."""
    (asked,) = tracks(film(tmp_path / "a.mp4"))
    decoded(kept(tmp_path / "a.mp4"), tmp_path / "b.mp4", frames=(0, 1))
    (given,) = tracks(tmp_path / "b.mp4")
    assert given.data == [
        data for data, time in zip(asked.data, asked.times) if time < Fraction(1, 5)
    ]


def test_the_sound_of_the_first_frames_alone(tmp_path: Path) -> None:
    """A source is read up to a moment after its first frame of video."""
    film(tmp_path / "a.mp4")
    sound, _ = read_sound(tmp_path / "a.mp4", Fraction(0), Fraction(1, 10))
    assert sound
    # Packets of 1024 samples from -1024 on: the last one begins at 4096.
    assert sound.streams[0].duration_ms == round(1000 * 6 * 1024 / 48000)


def test_the_sound_of_a_part_of_a_source(tmp_path: Path) -> None:
    """From 0.2 to 0.3 s of a source come the packets that overlap, with the clock set to 0.2 s."""
    (asked,) = tracks(film(tmp_path / "a.mp4"))
    part = (Fraction(1, 5), Fraction(3, 10))
    sound = read_extras(tmp_path / "a.mp4", SourceOptions(), first=part[0], stop=part[1])[0].sound
    assert sound
    decoded(sound, tmp_path / "b.mp4")
    (given,) = tracks(tmp_path / "b.mp4")
    length = Fraction(1024, 48000)
    inside = [k for k, t in enumerate(asked.times) if t + length > part[0] and t < part[1]]
    assert given.data == [asked.data[k] for k in inside]
    assert given.times == [asked.times[k] - part[0] for k in inside]


def test_a_codec_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    """A stream that NUT cannot hold is left out with the reason."""
    film(tmp_path / "a.mov", "alac")
    assert read_sound(tmp_path / "a.mov", Fraction(0)) == (
        None,
        ("audio stream 1 (alac) left out: NUT, which sound is kept in, cannot hold it",),
    )


def test_the_same_sound_gives_the_same_bytes(tmp_path: Path) -> None:
    """Nothing random and no version of a library is in the packets' file."""
    film(tmp_path / "a.mp4")
    assert kept(tmp_path / "a.mp4").packets == kept(tmp_path / "a.mp4").packets
    assert b"Lavf" not in kept(tmp_path / "a.mp4").packets


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"hello" * 30,
        lambda data: b"",
        lambda data: data[:90],
        lambda data: b"YUV4MPEG2 W2 H2 F25:1 Ip\nFRAME\n" + bytes(6),
    ],
    ids=["no NUT", "empty", "header cut", "another format"],
)
def test_a_blob_that_is_no_nut_file_is_a_damaged_stream(tmp_path: Path, damage: object) -> None:
    """Bytes that FFmpeg's NUT demuxer refuses end with exit 4 and leave no output."""
    sound = kept(film(tmp_path / "a.mp4"))
    assert callable(damage)
    with pytest.raises(BitstreamError) as error:
        decoded(replace(sound, packets=damage(sound.packets) or b"\0"), tmp_path / "b.mp4")
    assert error.value.exit_code == 4
    assert not (tmp_path / "b.mp4").exists()


def test_other_streams_than_described_are_refused(tmp_path: Path) -> None:
    """The NUT file must have the streams and codecs that the section names."""
    sound = kept(film(tmp_path / "a.mp4"))
    other = replace(sound.streams[0], codec="flac")
    for streams in ((other,), (*sound.streams, *sound.streams)):
        with pytest.raises(BitstreamError, match="streams of the sound packets"):
            decoded(replace(sound, streams=streams), tmp_path / "b.mp4")


def test_damaged_packets_never_crash(tmp_path: Path) -> None:
    """Every file of changed bytes decodes or is refused as damaged."""
    sound = kept(film(tmp_path / "a.mp4", "aac", "mov_text"))
    n_bytes = len(sound.packets)
    for at in range(25, n_bytes, n_bytes // 24):
        data = bytearray(sound.packets)
        data[at : at + 3] = bytes(255 - byte for byte in data[at : at + 3])
        damaged = replace(sound, packets=bytes(data))
        try:
            decoded(damaged, tmp_path / f"{at}.mp4", frames=(0, 1))
        except NervCodecError as error:
            assert error.exit_code == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"disposition": 2**31 - 1},
        {"time_base": Fraction(2**31 - 1, 1)},
        {"time_base": Fraction(1, 2**31 - 1)},
        {"duration_ms": 2**32 - 1},
        {"extradata": bytes(range(256)) * 4},
        {"language": "\x1b[2J\n\u00fc", "title": "\uffff" * 80},
        {"codec": "ass"},
        {"codec": "dvd_subtitle"},
        {"codec": "\x07"},
    ],
    ids=str,
)
@pytest.mark.parametrize("output", ["b.mp4", "b.mkv"])
def test_odd_descriptions_never_crash(
    tmp_path: Path, wrong: dict[str, object], output: str
) -> None:
    """Whatever legal values describe a stream, it is written or named, or refused as damaged."""
    sound = kept(film(tmp_path / "a.mp4", "aac", "mov_text"))
    audio, text = sound.streams
    odd = replace(text, **wrong)  # type: ignore[arg-type]
    try:
        decoded(replace(sound, streams=(audio, odd)), tmp_path / output)
    except NervCodecError as error:
        assert error.exit_code == 4
