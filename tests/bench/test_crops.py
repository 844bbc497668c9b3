"""nervcodec.bench.crops: which frames, points and cut-outs the report shows, and that the pictures
are just those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import MakeClip

from nervcodec.bench.crops import make_crops, nearest_points, worst_box
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.writer import open_writer


def point(label: str, n_bytes: int, psnr: list[float] | None = None) -> dict[str, Any]:
    return {
        "codec": label.split()[0],
        "label": label,
        "setting": f"q {n_bytes}",
        "bytes": n_bytes,
        "per_frame": {"psnr_rgb": psnr or [30.0, 20.0, 25.0]},
    }


def test_points_nearest_to_our_middle_one() -> None:
    """The middle of our first curve by bytes, then of each other curve the point of the nearest
    ratio of bytes.
    """
    points = [
        point("x264 medium", 50),
        point("x264 medium", 230),
        point("nervcodec a", 400),
        point("nervcodec a", 100),
        point("nervcodec a", 200),
        point("nervcodec b", 90),
    ]
    assert [(found["label"], found["bytes"]) for found in nearest_points(points)] == [
        ("nervcodec a", 200),
        ("x264 medium", 230),
        ("nervcodec b", 90),
    ]


def test_points_without_ours() -> None:
    """Without a curve of ours the first curve leads; without any point there is nothing."""
    assert [
        found["bytes"] for found in nearest_points([point("vp9 2", 10), point("x264 fast", 11)])
    ] == [10, 11]
    assert nearest_points([]) == []


@pytest.mark.parametrize(
    ("width", "height", "spot"), [(200, 150, (199, 149)), (200, 150, (0, 0)), (90, 50, (20, 30))]
)
def test_the_box_holds_the_largest_error(width: int, height: int, spot: tuple[int, int]) -> None:
    """The cut-out is 160 x 120, or the whole of a smaller frame, inside the frame and over the
    error.
    """
    source, decoded = (Frames.empty("rgb", 1, width, height) for _ in range(2))
    for plane in (*source.planes, *decoded.planes):
        plane[:] = 0
    decoded.planes[1][0, spot[1], spot[0]] = 255
    x, y, w, h = worst_box(source, decoded)
    assert (w, h) == (min(160, width), min(120, height))
    assert 0 <= x <= spot[0] < x + w <= width and 0 <= y <= spot[1] < y + h <= height


def test_of_two_errors_the_larger_is_shown() -> None:
    """A box over the larger of two far errors wins, with no wrap-around of bytes."""
    source, decoded = (Frames.empty("rgb", 1, 500, 120) for _ in range(2))
    for plane in (*source.planes, *decoded.planes):
        plane[:] = 10
    decoded.planes[0][0, 5, 5], decoded.planes[2][0, 5, 499] = 0, 255
    assert worst_box(source, decoded)[0] == 500 - 160


def rgb(path: Path) -> Frames:
    form, _ = probe(path)
    return next(read_groups(path, form, [form.n_frames]))


def test_pictures_are_the_frames_cut_out(tmp_path: Path, make_clip: MakeClip) -> None:
    """Worst and median frame of ours are cut out of source and decoded clips alike, pixel by
    pixel.
    """
    source = make_clip("rgb", 3, 200, 130)
    decoded = Frames.concatenate([source])
    decoded.planes[0][:, -1, -1] ^= 128
    form = VideoFormat(200, 130, Fraction(25), 3, "rgb")
    for name, frames in (("source", source), ("decoded", decoded)):
        with open_writer(tmp_path / name, form) as writer:
            writer.write(frames)

    def decode(_: Mapping[str, Any], folder: Path) -> Path:
        assert folder.is_dir()
        return tmp_path / "decoded"

    found = make_crops(
        tmp_path / "source",
        "clip",
        form,
        [point("nervcodec a", 9), point("x264 a/b", 8)],
        decode,
        tmp_path,
    )
    assert [(crop["which"], crop["frame"], crop["box"]) for crop in found] == [
        ("worst", 1, [40, 10, 160, 120]),
        ("median", 2, [40, 10, 160, 120]),
    ]
    for crop in found:
        assert [image["label"] for image in crop["images"]] == ["source", "nervcodec a", "x264 a/b"]
        assert [image["psnr_rgb"] for image in crop["images"]] == [
            None,
            *[[30.0, 20.0, 25.0][crop["frame"]]] * 2,
        ]
        for image, frames in zip(crop["images"], (source, decoded, decoded)):
            shown = rgb(tmp_path / image["file"])
            for picture, plane in zip(shown.planes, frames.planes):
                assert np.array_equal(picture[0], plane[crop["frame"], 10:, 40:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crops", "decoded", "source"]


def test_one_frame_and_another_rate(tmp_path: Path, make_clip: MakeClip) -> None:
    """Of a single frame, worst and median are the same; only the frames that were coded are
    read.
    """
    form = VideoFormat(16, 12, Fraction(50), 3)
    with open_writer(tmp_path / "clip.y4m", form) as writer:
        writer.write(make_clip("yuv420", 3))
    found = make_crops(
        tmp_path / "clip.y4m",
        "clip",
        replace(form, n_frames=1),
        [point("vp9 2", 9, [40.0])],
        lambda *_: tmp_path / "clip.y4m",
        tmp_path,
    )
    assert [crop["frame"] for crop in found] == [0, 0]
    shown = [rgb(tmp_path / image["file"]) for image in found[0]["images"]]
    assert all(np.array_equal(a, b) for a, b in zip(shown[0].planes, shown[1].planes))
