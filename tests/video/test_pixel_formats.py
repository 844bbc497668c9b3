"""nervcodec.video.pixel_formats: transparent pixels over a background."""

from pathlib import Path

import av
import numpy as np
import pytest
from videos import OVER_BLACK

from nervcodec.format.video_format import ColorTags
from nervcodec.video.frames import Plane
from nervcodec.video.pixel_formats import (
    alpha_plane,
    background_yuv,
    lay_over,
    plane_view,
    planes_of,
)
from nervcodec.video.probe import probe
from nervcodec.video.source import SourceOptions


def rgba(alpha: int, pix_fmt: str = "rgba") -> av.VideoFrame:
    """A frame of 4x4 of the colour 200, 100, 50 and this opacity."""
    pixels = np.full((4, 4, 4), (200, 100, 50, alpha), np.uint8)
    return av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pix_fmt)


def values(planes: tuple[Plane, ...]) -> list[int]:
    assert all(plane.min() == plane.max() for plane in planes)
    return [int(plane.flat[0]) for plane in planes]


@pytest.mark.parametrize("pix_fmt", ["rgba", "bgra", "argb", "abgr", "gbrap"])
@pytest.mark.parametrize(
    ("alpha", "background", "expected"),
    [
        (255, (9, 9, 9), [200, 100, 50]),
        (0, (0, 0, 0), [0, 0, 0]),
        (0, (1, 2, 255), [1, 2, 255]),
        (51, (0, 0, 0), [40, 20, 10]),
        (51, (255, 0, 100), [244, 20, 90]),
    ],
)
def test_rgb_is_laid_over_the_background(
    pix_fmt: str, alpha: int, background: tuple[int, int, int], expected: list[int]
) -> None:
    """A pixel is mixed with the background by its opacity, in every packing."""
    assert values(planes_of(rgba(alpha, pix_fmt), "rgb", background)) == expected


@pytest.mark.parametrize("pix_fmt", ["yuva420p", "yuva422p", "yuva444p"])
def test_yuv_is_laid_over_the_background(pix_fmt: str) -> None:
    """Hidden colours of Y'CbCr do not show, at any sampling; the background has their matrix."""
    frame = av.VideoFrame(4, 4, pix_fmt)
    for index, value in enumerate((90, 30, 220, 0)):
        plane_view(frame, index)[:] = value
    frame.colorspace, frame.color_range = 5, 1
    assert values(planes_of(frame, "yuv420")) == [16, 128, 128]
    assert values(planes_of(frame, "yuv420", (255, 0, 0))) == [81, 90, 240]


def test_chroma_is_as_opaque_as_its_pixels_in_the_mean() -> None:
    """A block of which one pixel in four is opaque keeps a quarter of its chroma."""
    alpha = np.array([[255, 0], [0, 0]], np.uint8)
    planes = tuple(np.full(size, 200, np.uint8) for size in ((2, 2), (1, 1), (1, 1)))
    y, u, v = lay_over(planes, alpha, (16, 128, 100))  # type: ignore[arg-type]
    assert y.tolist() == [[200, 16], [16, 16]]
    assert (u.tolist(), v.tolist()) == ([[146]], [[125]])


def test_opaque_frames_have_no_alpha() -> None:
    """A frame whose pixels are all opaque is like one without alpha."""
    assert alpha_plane(rgba(255)) is None
    assert alpha_plane(rgba(255, "rgb24")) is None
    alpha = alpha_plane(rgba(254))
    assert alpha is not None and (alpha == 254).all()


@pytest.mark.parametrize(
    ("alpha", "notes"),
    [(255, ()), (254, (OVER_BLACK,))],
)
def test_alpha_is_said_only_where_something_shows_through(
    tmp_path: Path, alpha: int, notes: tuple[str, ...]
) -> None:
    """Opaque RGBA is RGB without a word."""
    with av.open(str(tmp_path / "a.nut"), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 4, 4, "rgba"
        for t in range(2):
            frame = rgba(alpha)
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe(tmp_path / "a.nut")[1] == notes
    if notes:
        red = SourceOptions(background=(255, 0, 0))
        assert "laid over #ff0000" in probe(tmp_path / "a.nut", red)[1][0]


def test_background_yuv_is_that_of_the_tags() -> None:
    """White is 235 in limited range and 255 in full."""
    assert background_yuv((255, 255, 255), ColorTags(matrix=1), 48) == (235, 128, 128)
    assert background_yuv((255,) * 3, ColorTags(full_range=True), 48) == (255, 128, 128)
