"""nervcodec.video.joining: files that are cut and joined keep every byte of their segments."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hostile import file_of as hostile_file
from hostile import segment
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GRIDS, MLP, with_stem
from sounding import Track, film, holding, tracks

from nervcodec import concat, split
from nervcodec.decoder.decode import decode
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.errors import BadMagic, ConfigError, InvalidField, OutputExists
from nervcodec.format.container import load, write_file
from nervcodec.format.extras import Extras
from nervcodec.format.file import File, Header, Segment, StoredQuality
from nervcodec.format.properties import ContentLight, Properties
from nervcodec.format.repeats import Repeats
from nervcodec.format.sound import Sound, SoundStream
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.video.ffmpeg_sound import read_sound
from nervcodec.video.ffmpeg_sound_joining import cut_sound, join_sounds
from nervcodec.video.frames import Frames

DATA = Path(__file__).parents[1] / "data"
FORM = VideoFormat(16, 12, Fraction(30000, 1001), 1)
TEXTS = Properties(light=ContentLight(1000, 400), texts=(("title", "One"), ("artist", "Us")))


def file_of(
    lengths: Sequence[int] = (2, 3),
    form: VideoFormat = FORM,
    counts: Sequence[int] | None = None,
    **extras: Any,
) -> bytes:
    """A file of segments of so many coded frames, each shown so often."""
    segments = [
        Segment(
            (n,),
            tuple(bytes([number, k + 1]) for k in range(4)),
            bytes([number, n]) * 8,
            StoredQuality(psnr_y=30 + number, psnr_min=20 - number, epochs=9),
        )
        for number, n in enumerate(lengths)
    ]
    repeats = Repeats.of_counts(counts or [1] * sum(lengths))
    n_shown = sum(counts) if counts else sum(lengths)
    header = Header(replace(form, n_frames=n_shown), GRIDS)
    return write_file(header, segments, Extras(repeats=repeats, **extras))


def written(folder: Path, *files: bytes) -> list[Path]:
    """Files a.nvpp, b.nvpp .. of these bytes."""
    paths = [folder / f"{letter}.nvpp" for letter in "abcdefgh"[: len(files)]]
    for path, data in zip(paths, files):
        path.write_bytes(data)
    return paths


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file with any of repeats, times and properties."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    counts = draw(
        st.none() | st.lists(st.integers(1, 3), min_size=sum(lengths), max_size=sum(lengths))
    )
    n_shown = sum(counts or lengths)
    unit = draw(st.sampled_from([Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000)]))
    start = draw(st.integers(0, 5000))
    steps = st.lists(st.integers(1, 3), min_size=n_shown - 1, max_size=n_shown - 1)
    times = draw(
        st.none()
        | st.just(FrameTimes(unit, start or 1))
        | st.builds(
            lambda taken, last: FrameTimes.of_ticks(
                unit, list(itertools.accumulate(taken, initial=start)), last
            ),
            steps,
            st.integers(0, 4),
        )
    )
    rate = draw(st.sampled_from([Fraction(25), Fraction(24000, 1001)]))
    properties = draw(st.none() | st.just(TEXTS))
    return file_of(
        lengths, replace(FORM, frame_rate=rate), counts, times=times, properties=properties
    )


@given(files(), st.data())
@settings(max_examples=50)
def test_parts_give_the_file_again(data: bytes, draw: st.DataObject) -> None:
    """Cut at any of its segments and joined, a file is the same byte for byte, whatever else it
    holds.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        [path] = written(folder, data)
        file = load(path)
        inner = list(itertools.accumulate(file.shown_lengths))
        cuts = draw.draw(st.sets(st.sampled_from(inner)))
        ends = [0, *sorted(cuts | {inner[-1]})]
        parts = [folder / f"part{number}.nvpp" for number in range(len(ends) - 1)]
        for part, first, stop in zip(parts, ends, ends[1:]):
            split(path, part, (first, stop))
            assert load(part).header.format.n_frames == stop - first
        concat(parts, folder / "again.nvpp")
        assert (folder / "again.nvpp").read_bytes() == data


def test_parts_know_their_quality(tmp_path: Path) -> None:
    """A part has the quality of its own segments, a joined file that of both."""
    a, b = written(tmp_path, file_of((2, 3), counts=[1, 3, 2, 1, 1]), file_of((4,)))
    split(a, tmp_path / "part.nvpp", (4, None))
    assert load(tmp_path / "part.nvpp").quality == StoredQuality(psnr_y=31, psnr_min=19, epochs=9)
    concat([a, b], tmp_path / "ab.nvpp")
    joined = load(tmp_path / "ab.nvpp")
    assert joined.shown_lengths == [4, 4, 4]
    assert joined.quality == StoredQuality(psnr_y=round(91 / 3, 6), psnr_min=19, epochs=9)


def decoded(file: File) -> list[np.ndarray[Any, Any]]:
    parts = [
        frames for segment in file.segments for frames in decode_segment(segment, file.header.model)
    ]
    return list(Frames.concatenate(parts).planes)


def test_joined_files_decode_to_both(tmp_path: Path) -> None:
    """Every frame of a joined file is that of the file it is from, to the last bit."""
    golden = DATA / "grid_yuv.nvpp"
    split(golden, tmp_path / "second.nvpp", (4, 7))
    report = concat([tmp_path / "second.nvpp", golden], tmp_path / "ab.nvpp")
    assert (report.n_frames, report.n_segments, report.notes) == (10, 3, ())
    whole, second = decoded(load(golden)), decoded(load(tmp_path / "second.nvpp"))
    for both, first, last in zip(decoded(load(tmp_path / "ab.nvpp")), second, whole, strict=True):
        assert np.array_equal(both, np.concatenate([first, last]))
    assert all(np.array_equal(part, full[4:]) for part, full in zip(second, whole))


WIDE = VideoFormat(18, 12, Fraction(25), 5)


def other(**changes: Any) -> bytes:
    """A file whose format or network differs."""
    form = replace(FORM, n_frames=4, **changes.pop("form", {}))
    model = changes.pop("model", GRIDS)
    streams = (b"1",) * (len(model.blocks) + 2)
    return write_file(Header(form, model), [Segment((4,), streams)], Extras(**changes))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            other(form={"width": 15}, model=replace(GRIDS, width=15)),
            "width is 15, 16 in a.nvpp; legal: files of one format",
        ),
        (other(form={"frame_rate": Fraction(25)}), "frame rate is 25, 30000/1001 in a.nvpp"),
        (
            other(form={"sample_aspect_ratio": Fraction(4, 3)}),
            "sample aspect ratio is 4/3, 1 in a.nvpp",
        ),
        (other(form={"color": ColorTags(full_range=True)}), "full range is True, None in a.nvpp"),
        (other(model=replace(GRIDS, bits=7)), "bits is 7, 8 in a.nvpp"),
        (
            other(form={"layout": "rgb"}, model=replace(MLP, bits=8)),
            "layout is rgb, yuv420 in a.nvpp",
        ),
        (other(model=replace(MLP, colorspace="rgb", bits=8)), "colorspace is rgb, yuv420 in"),
        (other(model=with_stem(GRIDS, width=5)), "width is 5, 4 in a.nvpp"),
        (
            other(model=with_stem(GRIDS, grids=GRIDS.grids[:1])),
            r"grids is \[\(2, 4, 0\)\], \[\(2, 4, 0\), \(1, 3, 0\)\] in a.nvpp",
        ),
        (
            other(properties=Properties(field_order="top")),
            "field order is top, unknown in a.nvpp",
        ),
        (
            other(properties=TEXTS),
            r"light is ContentLight\(max_cll=1000, max_fall=400\), None in a.nvpp",
        ),
    ],
)
def test_files_that_differ_are_refused(
    data: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which file differs in what, with both values, and nothing is written."""
    written(tmp_path, file_of(), data)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"^b.nvpp: {message}"):
        concat(["a.nvpp", "b.nvpp"], "ab.nvpp")
    assert not Path("ab.nvpp").exists()


def test_titles_may_differ(tmp_path: Path) -> None:
    """The texts of the first file are kept, and a note has those of others that are not."""
    texts = (("title", "Two"), ("artist", "Us"))
    a, b = written(
        tmp_path, file_of(properties=TEXTS), file_of(properties=replace(TEXTS, texts=texts))
    )
    report = concat([a, b], tmp_path / "ab.nvpp")
    assert report.notes == (f"{b}: title left out: 'Two'",)
    assert load(tmp_path / "ab.nvpp").extras.properties == TEXTS


# --- sound ---


def sounding(path: Path, source: Path, **options: Any) -> Path:
    """A file of 4 and 3 frames in one second, with the sound of a film."""
    sound, notes = read_sound(source, Fraction(0), **options)
    assert sound and not notes
    return holding(path, Extras(sound=sound), "grid_yuv", Fraction(7))


def heard(path: Path) -> list[Track]:
    """The streams of a file as decode writes them into a container."""
    decode(path, path.with_suffix(".mkv"))
    return tracks(path.with_suffix(".mkv"))


@pytest.mark.parametrize(
    ("suffix", "audio", "subtitles"),
    [
        (".mp4", "aac", "mov_text"),
        (".mkv", "libopus", "subrip"),
        (".mkv", "flac", None),
        (".mkv", "pcm_s16le", None),
        (".mkv", None, "subrip"),
    ],
)
def test_parts_give_the_sound_again(
    suffix: str, audio: str | None, subtitles: str | None, tmp_path: Path
) -> None:
    """Every packet goes to the part in which it begins; joined, parts give the file byte for
    byte.
    """
    source = film(tmp_path / f"in{suffix}", audio, subtitles, seconds=Fraction(1))
    whole = sounding(tmp_path / "whole.nvpp", source)
    a, b, again = (tmp_path / name for name in ("a.nvpp", "b.nvpp", "again.nvpp"))
    assert split(whole, a, (0, 4)).notes == split(whole, b, (4, 7)).notes == ()
    concat([a, b], again)
    assert again.read_bytes() == whole.read_bytes()
    if load(b).extras.sound is None:  # all packets begin before
        assert heard(a) == heard(whole)
        return
    for track, first, second in zip(heard(whole), heard(a), heard(b), strict=True):
        assert first.data + second.data == track.data
        assert all(time < Fraction(4, 7) for time in first.times)
        moved = [time + Fraction(4, 7) for time in second.times]
        assert all(
            abs(found - time) < 0.002
            for found, time in zip(first.times + moved, track.times, strict=True)
        )


def test_sound_follows_the_picture(tmp_path: Path) -> None:
    """The sound of a second file begins with its first frame; what the first file has beyond its
    frames, and the second before them, is left out.
    """
    source = film(tmp_path / "in.mkv", "aac", "subrip", seconds=Fraction(3, 2))
    long = sounding(tmp_path / "long.nvpp", source)
    report = concat([long, long], tmp_path / "both.nvpp")
    assert report.notes == () and report.n_frames == 14
    (one, words), (both, all_words) = heard(long), heard(tmp_path / "both.nvpp")
    n_first = sum(time < 1 for time in one.times)
    first_of_second = sum(time < 0 for time in one.times)
    expected = one.times[:n_first] + [time + 1 for time in one.times[first_of_second:]]
    assert [float(time) for time in both.times] == pytest.approx(
        [float(time) for time in expected], abs=0.002
    )
    assert both.data == one.data[:n_first] + one.data[first_of_second:]
    assert all_words.data == words.data * 2
    sound, total = (load(path).extras.sound for path in (long, tmp_path / "both.nvpp"))
    assert sound and total
    assert abs(total.streams[0].duration_ms - sound.streams[0].duration_ms - 1000) < 25


def test_encodes_of_parts_share_no_packet(tmp_path: Path) -> None:
    """A packet that two parts of a source reach into is heard once."""
    source = film(tmp_path / "in.mp4", "aac", seconds=Fraction(2))
    first = sounding(tmp_path / "a.nvpp", source, stop=Fraction(1))
    sound, _ = read_sound(source, Fraction(1), is_part=True)
    second = holding(tmp_path / "b.nvpp", Extras(sound=sound), "grid_yuv", Fraction(7))
    [whole] = heard(sounding(tmp_path / "whole.nvpp", source))
    n_packets = sum(len(heard(path)[0].data) for path in (first, second))
    concat([first, second], tmp_path / "ab.nvpp")
    [joined] = heard(tmp_path / "ab.nvpp")
    assert n_packets == len(whole.data) + 1
    assert joined.data == whole.data and joined.times == whole.times


def test_other_sound_is_left_out_with_a_note(tmp_path: Path) -> None:
    """Streams that differ cost the sound and not the picture."""
    a = sounding(tmp_path / "a.nvpp", film(tmp_path / "in.mp4", "aac"))
    b = sounding(tmp_path / "b.nvpp", film(tmp_path / "in.mkv", "libopus"))
    out = tmp_path / "out.nvpp"
    report = concat([a, b], out)
    assert report.notes == ("sound and subtitles left out: their streams differ",)
    assert load(out).extras.sound is None and report.n_frames == 14


@pytest.mark.parametrize("order", [(0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 0)])
def test_a_file_without_sound_is_silent(order: tuple[int, ...], tmp_path: Path) -> None:
    """The others' sound stays beside their own frames."""
    loud = sounding(tmp_path / "loud.nvpp", film(tmp_path / "in.mp4", "aac", seconds=Fraction(1)))
    silent = holding(tmp_path / "silent.nvpp", Extras(), "grid_yuv", Fraction(7))
    report = concat([(silent, loud)[number] for number in order], tmp_path / "out.nvpp")
    assert set(report.notes) == {f"{silent}: it has no sound, and is silent"}
    [one], [found] = heard(loud), heard(tmp_path / "out.nvpp")
    begins = [time for time in one.times if 0 <= time < 1]
    expected = [time + place for place, number in enumerate(order) if number for time in begins]
    inner = [time for time in found.times if 0 <= time - order.index(1)]
    assert [float(time) for time in inner[: len(expected)]] == pytest.approx(
        [float(time) for time in expected], abs=0.002
    )


def test_damaged_sound_is_refused(tmp_path: Path) -> None:
    """A NUT file that is none is an error, and nothing is written."""
    sound = Sound((SoundStream("audio", "aac"),), Fraction(0), b"x")
    bad = holding(tmp_path / "bad.nvpp", Extras(sound=sound))
    with pytest.raises(InvalidField, match="sound packets"):
        concat([bad, bad], tmp_path / "out.nvpp")
    assert not (tmp_path / "out.nvpp").exists()


def test_any_damage_of_the_sound_is_refused_or_read(tmp_path: Path) -> None:
    """Whatever bytes the NUT file has, it is cut and joined, or refused as damaged."""
    source = film(tmp_path / "in.mp4", "aac", "mov_text", seconds=Fraction(1))
    sound, _ = read_sound(source, Fraction(0))
    assert sound
    rng = np.random.default_rng(3)
    n_refused = 0
    for _ in range(150):
        packets = bytearray(sound.packets)
        for at in rng.integers(0, min(len(packets), rng.choice([300, len(packets)])), 3):
            packets[at] ^= int(rng.integers(1, 256))
        wrong = replace(sound, packets=bytes(packets))
        try:
            cut_sound(wrong, Fraction(1, 4), Fraction(1, 2))
            join_sounds([wrong, None, sound], [Fraction(1)] * 3)
        except InvalidField:
            n_refused += 1
    assert 0 < n_refused < 150


def test_unknown_sections_are_left_out_with_a_note(tmp_path: Path) -> None:
    """What this version does not know it does not copy, and says so."""
    path = tmp_path / "a.nvpp"
    path.write_bytes(hostile_file((200, b"new"), segment()))
    report = concat([path, path], tmp_path / "out.nvpp")
    assert report.notes == (f"{path}: sections of unknown types left out: 1",) * 2


# --- times ---


def timeline(file: File) -> tuple[Fraction, list[Fraction]]:
    """When the first frame is shown and how long each one is, in seconds, exactly."""
    form, times = file.header.format, file.extras.times
    if times is None:
        return Fraction(0), [1 / form.frame_rate] * form.n_frames
    units = [step for step, n_steps in times.steps for _ in range(n_steps)]
    if units or (form.n_frames == 1 and times.last_duration):
        units.append(times.last_duration or units[-1])
        return times.start_s, [n_units * times.unit for n_units in units]
    return times.start_s, [1 / form.frame_rate] * form.n_frames


MILLI = Fraction(1, 1000)
CONSTANT = (file_of((3, 2)), file_of((1,)), file_of((5,), replace(FORM, frame_rate=Fraction(24))))
VARIABLE = (
    file_of((2, 2), times=FrameTimes.of_ticks(MILLI, [70, 90, 150, 151], 17)),
    file_of((3,), times=FrameTimes.of_ticks(Fraction(1, 90000), [0, 7, 9000])),
    file_of((1,), times=FrameTimes.of_ticks(MILLI, [0], 400)),
    file_of((2,), times=FrameTimes(MILLI, 30)),
)


@pytest.mark.parametrize(
    "chosen", list(itertools.permutations((*CONSTANT[:2], *VARIABLE), 2)), ids=lambda _: ""
)
def test_each_file_follows_the_one_before(chosen: tuple[bytes, bytes], tmp_path: Path) -> None:
    """A file's first frame is shown where the one before ends, exactly, and the first one when it
    was.
    """
    paths = written(tmp_path, *chosen)
    concat(paths, tmp_path / "joined.nvpp")
    (start, first), (_, second) = (timeline(load(path)) for path in paths)
    assert timeline(load(tmp_path / "joined.nvpp")) == (start, first + second)


def test_constant_and_variable_rates_give_times(tmp_path: Path) -> None:
    """A file of a constant rate gets times beside one that has them; the rate is the average."""
    paths = written(tmp_path, CONSTANT[2], VARIABLE[0])
    concat(paths, tmp_path / "joined.nvpp")
    joined = load(tmp_path / "joined.nvpp")
    assert joined.extras.times == FrameTimes.of_ticks(
        Fraction(1, 3000), [0, 125, 250, 375, 500, 625, 685, 865, 868], 51
    )
    assert joined.header.format.frame_rate == 9 / (Fraction(919, 3000))


def test_times_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    """Where no unit holds the times of both, the error says so."""
    units = [Fraction(1, 2**31 - 1), Fraction(1, 2**31 - 3)]
    paths = written(
        tmp_path, *(file_of((2,), times=FrameTimes.of_ticks(unit, [0, 9])) for unit in units)
    )
    with pytest.raises(ConfigError, match="term of the time base is "):
        concat(paths, tmp_path / "joined.nvpp")


# --- ranges and outputs ---


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ((1, 9), "frames are 1:9; legal: A:B with A < B among 0, 4, 6, 8, 11, 13, where"),
        ((4, 4), "frames are 4:4; legal: A:B with A < B among 0, 4, 6, 13, where segments begin"),
        ((6, 4), "frames are 6:4; legal"),
        ((0, 14), "frames are 0:14; legal"),
        ((-4, 6), "frames are -4:6; legal"),
        ((13, None), "frames are 13:13; legal"),
    ],
)
def test_ranges_end_where_segments_do(
    frames: tuple[int, int | None], message: str, tmp_path: Path
) -> None:
    """Others are refused with the nearest legal ends, in frames that are shown."""
    counts = [1, 3, 1, 1, 2, 3, 2]
    [path] = written(tmp_path, file_of((2, 2, 1, 1, 1), counts=counts))
    with pytest.raises(ConfigError, match=message):
        split(path, tmp_path / "part.nvpp", frames)
    assert not (tmp_path / "part.nvpp").exists()
    split(path, tmp_path / "part.nvpp", (4, 8))
    assert load(tmp_path / "part.nvpp").shown_lengths == [2, 2]


def test_of_a_thousand_boundaries_a_handful_is_named(tmp_path: Path) -> None:
    """The error stays one short line."""
    [path] = written(tmp_path, file_of((7,) * 200))
    with pytest.raises(ConfigError) as error:
        split(path, tmp_path / "part.nvpp", (50, 701))
    assert "among 0, 42, 49, 56, 693, 700, 707, 1400, where" in str(error.value)


def test_outputs_are_not_overwritten(tmp_path: Path) -> None:
    """An output that exists is kept unless told otherwise, a source always."""
    a, b = written(tmp_path, file_of(), file_of())
    (tmp_path / "out.nvpp").write_bytes(b"kept")
    with pytest.raises(OutputExists):
        concat([a, b], tmp_path / "out.nvpp")
    with pytest.raises(OutputExists):
        split(a, tmp_path / "out.nvpp", (0, 2))
    assert (tmp_path / "out.nvpp").read_bytes() == b"kept"
    concat([a, b], tmp_path / "out.nvpp", overwrite=True)
    split(a, tmp_path / "out.nvpp", (0, 2), overwrite=True)
    assert load(tmp_path / "out.nvpp").segments == load(a).segments[:1]
    with pytest.raises(OutputExists):
        concat([a, b], b, overwrite=True)
    with pytest.raises(OutputExists):
        split(a, a, (0, 2), overwrite=True)


def test_an_error_says_which_file_it_is(tmp_path: Path) -> None:
    """Of several inputs the one that cannot be read is named."""
    a, b = written(tmp_path, file_of(), b"no file")
    with pytest.raises(BadMagic, match=f"{b}: not a .nvpp file"):
        concat([a, b], tmp_path / "out.nvpp")


def test_no_files_are_refused(tmp_path: Path) -> None:
    """There is nothing to join."""
    with pytest.raises(ConfigError, match="number of files is 0; legal: 1 or more"):
        concat([], tmp_path / "out.nvpp")
