"""Pictures for the benchmark's report: a cut-out of a frame, of the source and of each codec."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nervcodec.bench.bdrate import OURS, Point
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.util.files import FRAME_NAME
from nervcodec.video.color import to_bit_depth, to_layout
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.writer import open_writer

_WIDTH, _HEIGHT = 160, 120
_ANY_RATE = Fraction(25)


def make_crops(
    source: Path,
    name: str,
    form: VideoFormat,
    points: Sequence[Point],
    decode: Callable[[Point, Path], Path],
    folder: Path,
) -> list[dict[str, Any]]:
    """Write PNG pictures into folder/crops; return what they show, as the report takes it.

    The frames are the worst and the median one, by RGB PSNR, of the middle point (by bytes) of our
    first curve, or of the first curve if none is ours; of each other curve the point with the
    nearest number of bytes is taken. The cut-out is where that frame of ours is furthest from the
    source.

    Args:
        points: of this clip.
        decode: decodes a point into a folder and returns the video.
    """
    chosen = nearest_points(points)
    if not chosen:
        return []
    (folder / "crops").mkdir(exist_ok=True)
    by_frame = np.array(chosen[0]["per_frame"]["psnr_rgb"])
    numbers = {
        "worst": int(by_frame.argmin()),
        "median": int(by_frame.argsort(kind="stable")[len(by_frame) // 2]),
    }
    frames = [_rgb_frames(source, form, form.color, list(numbers.values()))]
    for point in chosen:
        with TemporaryDirectory(dir=folder, prefix="bench-") as temporary:
            decoded = decode(point, Path(temporary))
            decoded_form = replace(probe(decoded)[0], n_frames=form.n_frames)
            frames.append(_rgb_frames(decoded, decoded_form, form.color, list(numbers.values())))
    return [
        _crop(folder, name, which, number, chosen, [each[k] for each in frames])
        for k, (which, number) in enumerate(numbers.items())
    ]


def _crop(
    folder: Path,
    clip: str,
    which: str,
    number: int,
    points: Sequence[Point],
    frames: Sequence[Frames],
) -> dict[str, Any]:
    """Write the pictures of one cut-out; return its entry for the report.

    Args:
        which: what the frame of this number is, 'worst' or 'median'.
        frames: RGB, the source's and each point's.
    """
    box = worst_box(frames[0], frames[1])
    images = [_image(folder, f"{clip}-{which}-source", frames[0], box, {"label": "source"})]
    for point, frame in zip(points, frames[1:], strict=True):
        facts = {
            "label": point["label"],
            "setting": point["setting"],
            "bytes": point["bytes"],
            "psnr_rgb": point["per_frame"]["psnr_rgb"][number],
        }
        file = f"{clip}-{which}-{_slug(point['label'])}"
        images.append(_image(folder, file, frame, box, facts))
    return {
        "clip": clip,
        "which": which,
        "frame": number,
        "box": list(box),
        "note": (
            f"{which} frame of {points[0]['label']}, {points[0]['setting']}; the others at the"
            " nearest size"
        ),
        "images": images,
    }


def nearest_points(points: Sequence[Point]) -> list[Point]:
    """Return the middle point of our first curve, and of each other curve the nearest in bytes.

    Where no curve is ours, the first one stands for it.
    """
    if not points:
        return []
    labels = list(dict.fromkeys(point["label"] for point in points))
    first = next((point["label"] for point in points if point["codec"] == OURS), labels[0])
    curve = sorted(
        (point for point in points if point["label"] == first), key=lambda point: point["bytes"]
    )
    middle = curve[len(curve) // 2]
    return [
        middle,
        *(
            min(
                (point for point in points if point["label"] == label),
                key=lambda point: abs(np.log(point["bytes"] / middle["bytes"])),
            )
            for label in labels
            if label != first
        ),
    ]


def worst_box(source: Frames, decoded: Frames) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) with the largest squared error between two RGB frames.

    It has 160x120 pixels, or as many as the frame has.
    """
    error = sum(
        np.square(a[0].astype(np.float64) - b[0])
        for a, b in zip(source.planes, decoded.planes, strict=True)
    )
    height, width = min(_HEIGHT, source.height), min(_WIDTH, source.width)
    sums = np.pad(np.asarray(error), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    boxes = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    )
    y, x = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return int(x), int(y), width, height


def _rgb_frames(
    path: Path, form: VideoFormat, color: ColorTags, numbers: Sequence[int]
) -> list[Frames]:
    """Return the frames of these numbers as RGB, by the colour tags of the source."""
    frames: dict[int, Frames] = {}
    for t, frame in enumerate(read_groups(path, form, [1] * (max(numbers) + 1))):
        if t in numbers:
            is_full = bool(color.full_range)
            frames[t] = to_bit_depth(to_layout(frame, "rgb", color), 8, is_full)
    return [frames[number] for number in numbers]


def _image(
    folder: Path, name: str, frame: Frames, box: tuple[int, int, int, int], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the cut-out of an RGB frame; return its entry for the report."""
    x, y, width, height = box
    red, green, blue = (
        np.ascontiguousarray(plane[:, y : y + height, x : x + width]) for plane in frame.planes
    )
    form = VideoFormat(width, height, _ANY_RATE, 1, "rgb")
    with TemporaryDirectory(dir=folder, prefix="bench-") as temporary:
        pictures = os.path.join(temporary, "pictures")
        with open_writer(pictures, form, overwrite=True) as writer:
            writer.write(Frames("rgb", (red, green, blue)))
        os.replace(os.path.join(pictures, FRAME_NAME.format(1)), folder / "crops" / f"{name}.png")
    return {"setting": None, "bytes": None, "psnr_rgb": None, **facts, "file": f"crops/{name}.png"}


def _slug(label: str) -> str:
    """Return a label as a part of a file's name."""
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in label)
