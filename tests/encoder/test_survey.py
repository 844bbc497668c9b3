"""nervcodec.encoder.survey: a source is read once, and not again after an interruption."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from shell import write_clip
from videos import film, png

from nervcodec.encoder.encode import encode
from nervcodec.encoder.fit_plan import plan_fit
from nervcodec.encoder.identity import identity
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.plan import EncodePlan, plan
from nervcodec.encoder.progress_folder import folder_of
from nervcodec.encoder.resume import Journal, stored_survey
from nervcodec.encoder.survey import digest_of, read_survey
from nervcodec.errors import OutputError
from nervcodec.util.records import to_json
from nervcodec.video import ffmpeg_decode, ffmpeg_pictures, y4m
from nervcodec.video.geometry import Crop
from nervcodec.video.probe import ProbedSource, probe_source
from nervcodec.video.reader import spooled

OPTIONS = EncodeOptions(device="cpu", n_threads=1)
PROBE = "nervcodec.encoder.survey.probe_source"
TIMES = (0, 40, 80, 90, 200, 240)


def a_y4m(folder: Path) -> Path:
    write_clip(folder / "in.y4m")
    return folder / "in.y4m"


def a_film(folder: Path) -> Path:
    """H.264 whose frames have times of their own."""
    return film(folder / "in.mkv", n_frames=6, times=TIMES)


def pictures(folder: Path) -> Path:
    """A folder of six PNG files, of which two equal those before."""
    (folder / "in").mkdir()
    for number, value in enumerate((0, 9, 9, 60, 60, 8)):
        png(folder / "in" / f"{number}.png", "rgb24", 16, 12, value)
    return folder / "in"


@pytest.fixture(params=[a_y4m, a_film, pictures])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A source of each kind."""
    made: Path = request.param(tmp_path)
    return made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The frames that get decoded, and passes over a .y4m file but that of the probe."""
    done: list[str] = []

    def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def frames(*arguments: Any, **options: Any) -> Iterator[Any]:
            for frame in original(*arguments, **options):
                done.append(name)
                yield frame

        return frames

    monkeypatch.setattr(
        ffmpeg_decode, "decoded_frames", watched("frame", ffmpeg_decode.decoded_frames)
    )
    monkeypatch.setattr(y4m, "read_frames", watched("again", y4m.read_frames))
    original = ffmpeg_pictures.decode_picture

    def picture(file: Path) -> Any:
        done.append("frame")
        return original(file)

    monkeypatch.setattr(ffmpeg_pictures, "decode_picture", picture)
    return done


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The sources that get probed."""
    done: list[object] = []

    def probe(path: str, *arguments: Any, **options: Any) -> ProbedSource:
        done.append(path)
        return probe_source(path, *arguments, **options)

    monkeypatch.setattr(PROBE, probe)
    return done


def test_a_source_is_decoded_once(source: Path, reads: list[str]) -> None:
    """Each frame once, and the first one again for what it says of its picture; of a part no
    frame behind it.
    """
    plan_fit(source, OPTIONS)
    assert reads == ([] if source.suffix == ".y4m" else ["frame"] * 7)
    reads.clear()
    plan_fit(source, EncodeOptions(frames=(1, 4)))
    assert reads == ([] if source.suffix == ".y4m" else ["frame"] * 5)


def test_a_frame_takes_a_few_bytes(tmp_path: Path) -> None:
    """Of a frame that was surveyed hardly more is kept than its numbers: an hour fits anywhere."""
    write_clip(tmp_path / "in.y4m", 16, 12, 1100)
    peaks = []
    for n_frames in (100, 1100):
        tracemalloc.start()
        plan_fit(tmp_path / "in.y4m", EncodeOptions(frames=(0, n_frames)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 60 * 1000


def test_frames_that_get_dropped_take_another_pass(tmp_path: Path, reads: list[str]) -> None:
    """At a third of the rate the neighbours are others."""
    decided = plan_fit(a_y4m(tmp_path), EncodeOptions(cfr=Fraction(10)))
    assert decided.numbers == [0, 2] and "again" in reads


def kept(made: EncodePlan, **options: Any) -> Journal:
    """The journal of an encode that has begun."""
    assert made.survey is not None
    survey = made.survey.as_bytes()
    return Journal(made.destination, {"input": made.survey.digest}, survey=survey, **options)


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        EncodeOptions(device="cpu", frames=(1, 4)),
        EncodeOptions(device="cpu", cfr=Fraction(10)),
        EncodeOptions(device="cpu", seek_s=Fraction(1, 25), crop=Crop(8, 8, 2, 2)),
    ],
)
def test_a_survey_that_is_kept_gives_the_same_plan(
    source: Path, tmp_path: Path, options: EncodeOptions, probes: list[object], reads: list[str]
) -> None:
    """Nothing is probed, and all that the plan says and the encode depends on is the same."""
    made = plan(source, tmp_path / "out.nvpp", options)
    with kept(made):
        reads.clear()
        again = plan(str(source), tmp_path / "out.nvpp", options)
        assert again == replace(made, is_resumed=True) and len(probes) == 1 and len(reads) <= 1
        assert again.survey and again.survey.stored_digest == digest_of(source)
        assert identity(again) == identity(made)
        assert again.numbers == made.numbers and again.notes == made.notes


def test_it_is_forgotten_by_restart_and_other_options(
    source: Path, tmp_path: Path, probes: list[object]
) -> None:
    """Another part, another size or a new beginning are surveyed anew."""
    made = plan(source, tmp_path / "out.nvpp", OPTIONS)
    with kept(made):
        for changed in ({"frames": (0, 3)}, {"scale": (16, 16)}, {"restart": True}):
            probes.clear()
            plan(source, tmp_path / "out.nvpp", EncodeOptions(device="cpu", **changed))
            assert len(probes) == 1
        probes.clear()
        plan(source, tmp_path / "out.nvpp", EncodeOptions(device="cpu", epochs=3, seed=9))
        assert not probes


def test_a_changed_source_is_surveyed_anew(
    source: Path, tmp_path: Path, probes: list[object]
) -> None:
    """By time or by size; so is another file of the same name."""
    made = plan(source, tmp_path / "out.nvpp", OPTIONS)
    file = source if source.is_file() else source / "0.png"
    data, at = file.read_bytes(), file.stat()
    with kept(made):

        def touch() -> None:
            os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns + 1))

        def grow() -> None:
            file.write_bytes(data + b"\0")

        def exchange() -> None:
            (tmp_path / "new").write_bytes(data)
            os.utime(tmp_path / "new", ns=(at.st_atime_ns, at.st_mtime_ns))
            os.replace(tmp_path / "new", file)

        for change in (touch, exchange, *([] if source.suffix == ".y4m" else [grow])):
            probes.clear()
            change()
            plan(source, tmp_path / "out.nvpp", OPTIONS)
            assert len(probes) == 1


def test_a_damaged_survey_is_ignored(source: Path, tmp_path: Path, probes: list[object]) -> None:
    """Any flipped or missing byte means another survey, with the same plan."""
    made = plan(source, tmp_path / "out.nvpp", OPTIONS)
    with kept(made) as journal:
        file = journal.folder / "survey.json"
        data = file.read_bytes()
        for damaged in (b"", data[:31], data[:-1], data[:90] + b"x" + data[91:], bytes(99)):
            file.write_bytes(damaged)
            probes.clear()
            again = plan(source, tmp_path / "out.nvpp", OPTIONS)
            assert again == replace(made, is_resumed=True) and len(probes) == 1


def test_a_senseless_survey_is_none(source: Path) -> None:
    """Whole JSON that is no survey, such as that of another version, is not taken."""
    survey = plan_fit(source, OPTIONS).survey
    assert survey is not None
    data = json.loads(survey.as_bytes())
    assert read_survey(json.dumps(data).encode()) is not None
    for name in data:
        without = {key: value for key, value in data.items() if key != name}
        assert read_survey(json.dumps(without).encode()) is None
    data["probed"]["format"]["width"] = 0
    for noise in (json.dumps(data).encode(), None, b"", b"7", b"[]", b"\xff", b"{", b"[" * 100_000):
        assert read_survey(noise) is None


def test_a_pipe_is_not_kept(tmp_path: Path) -> None:
    """What came through a pipe is not there again."""
    data = a_y4m(tmp_path).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[data])
    thread.start()
    with spooled(str(tmp_path / "pipe")) as path:
        survey = plan_fit(path, OPTIONS).survey
    thread.join()
    assert survey is not None and survey.key is None


def test_an_encode_keeps_its_survey_as_long_as_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands beside the journal, with the digest, and goes with it."""
    source = a_y4m(tmp_path)
    options = EncodeOptions(device="cpu", n_threads=1, preset="ultrafast", epochs=1, bits=2)
    made = plan(source, tmp_path / "out.nvpp", options)
    seen: list[bytes | None] = []
    encode(made, on_progress=lambda *_: seen.append(stored_survey(made.destination)))
    survey = read_survey(seen[0])
    assert survey and survey.stored_digest == digest_of(source)
    assert to_json(survey.probed) == to_json(made.survey and made.survey.probed)
    assert not folder_of(made.destination).exists()


def test_a_survey_alone_is_no_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encode that ends before anything was reached leaves no folder, not even where the survey
    cannot be written.
    """
    made = plan(a_y4m(tmp_path), tmp_path / "out.nvpp", OPTIONS)
    with pytest.raises(KeyboardInterrupt), kept(made) as journal:
        assert (journal.folder / "survey.json").is_file() and not journal.has_progress
        raise KeyboardInterrupt
    assert not folder_of(made.destination).exists()

    def refuse(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("nervcodec.encoder.resume.sync", refuse)
    with pytest.raises(OutputError):
        kept(made)
    assert not folder_of(made.destination).exists()


def test_restart_writes_it_anew(tmp_path: Path) -> None:
    """A survey of before goes with all else that was reached."""
    made = plan(a_y4m(tmp_path), tmp_path / "out.nvpp", OPTIONS)
    with kept(made) as journal:
        journal.add_checkpoint(0, b"state")
    with Journal(made.destination, {"input": "another"}, restart=True):
        assert stored_survey(made.destination) is None


def test_progress_reaches_the_plan(source: Path, tmp_path: Path) -> None:
    """plan() tells how many frames were surveyed, of how many."""
    seen: list[tuple[int, int | None]] = []
    made = plan(source, tmp_path / "a", OPTIONS, on_progress=lambda *at: seen.append(at))
    n_frames = made.format.n_frames
    assert [n for n, _ in seen] == list(range(1, n_frames + 1))
    assert {n_all for _, n_all in seen} <= ({7} if source.suffix == ".mkv" else {n_frames})
