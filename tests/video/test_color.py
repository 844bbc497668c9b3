"""nervcodec.video.color: frames in memory and the conversion between Y'CbCr 4:2:0 and R'G'B'."""

import numpy as np
import pytest
from numpy.typing import NDArray

from nervcodec.format.video_format import ColorTags, Layout
from nervcodec.video.color import (
    resolve_matrix,
    rgb_to_yuv420,
    shrink_plane,
    to_layout,
    yuv420_to_rgb,
)
from nervcodec.video.frames import Frames, chroma_size

BT601 = ColorTags(matrix=6, full_range=False)
BT601_FULL = ColorTags(matrix=6, full_range=True)


def flat(layout: Layout, values: tuple[int, int, int], width: int = 4, height: int = 4) -> Frames:
    frames = Frames.empty(layout, 1, width, height)
    for plane, value in zip(frames.planes, values):
        plane[:] = value
    return frames


def noise(
    layout: Layout, n_frames: int, width: int, height: int, low: int = 0, high: int = 256
) -> Frames:
    rng = np.random.default_rng(1)
    frames = Frames.empty(layout, n_frames, width, height)
    for plane in frames.planes:
        plane[:] = rng.integers(low, high, plane.shape)
    return frames


def values_of(frames: Frames) -> tuple[int, ...]:
    for plane in frames.planes:
        assert plane.min() == plane.max()
    return tuple(int(plane.flat[0]) for plane in frames.planes)


def same(a: Frames, b: Frames) -> bool:
    return a.layout == b.layout and all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes))


@pytest.mark.parametrize("size, chroma", [((4, 6), (2, 3)), ((5, 7), (3, 4)), ((1, 1), (1, 1))])
def test_chroma_size_rounds_up(size: tuple[int, int], chroma: tuple[int, int]) -> None:
    """Chroma planes have half the size, rounded up."""
    assert chroma_size(*size) == chroma


def test_frames_tell_their_size() -> None:
    """Size and count come from the first plane."""
    frames = noise("yuv420", 3, 7, 5)
    assert (frames.n_frames, frames.width, frames.height) == (3, 7, 5)
    assert frames.planes[1].shape == (3, 3, 4)


def test_slices_concatenate_to_the_whole() -> None:
    """Cutting frames and joining the parts gives the same frames."""
    frames = noise("yuv420", 5, 7, 5)
    assert same(Frames.concatenate([frames[:2], frames[2:3], frames[3:]]), frames)


def test_frames_reject_planes_that_disagree() -> None:
    """Planes of sizes that do not belong together are our own bug."""
    plane = np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(AssertionError):
        Frames("yuv420", (plane, plane, plane))


@pytest.mark.parametrize(
    "color, height, code, full",
    [
        (ColorTags(), 719, 6, False),
        (ColorTags(), 720, 1, False),
        (ColorTags(matrix=1), 100, 1, False),
        (ColorTags(matrix=9, full_range=True), 100, 9, True),
        (ColorTags(matrix=0), 100, 6, False),
        (ColorTags(matrix=14), 1080, 1, False),
    ],
)
def test_resolve_matrix(color: ColorTags, height: int, code: int, full: bool) -> None:
    """The tag counts where it names a matrix, else the height; the range is limited unless
    tagged.
    """
    matrix = resolve_matrix(color, height)
    assert (matrix.code, matrix.full_range) == (code, full)


@pytest.mark.parametrize(
    "color, yuv, rgb",
    [
        (BT601, (16, 128, 128), (0, 0, 0)),
        (BT601, (235, 128, 128), (255, 255, 255)),
        (BT601, (81, 90, 240), (254, 0, 0)),
        (BT601, (145, 54, 34), (0, 255, 1)),
        (BT601, (41, 240, 110), (0, 0, 255)),
        (BT601_FULL, (76, 85, 255), (254, 0, 0)),
        (BT601_FULL, (77, 128, 128), (77, 77, 77)),
        (ColorTags(matrix=1), (63, 102, 240), (255, 1, 0)),
    ],
)
def test_known_colours(
    color: ColorTags, yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    """The textbook code values of black, white and the primaries convert to those colours, within
    their rounding.
    """
    assert values_of(yuv420_to_rgb(flat("yuv420", yuv), color)) == rgb


def test_rgb_of_random_planes_follows_the_formula() -> None:
    """Every pixel is the BT.601 formula in float64, rounded, with the nearest chroma sample, at odd
    sizes too.
    """
    frames = noise("yuv420", 2, 7, 5)
    got = yuv420_to_rgb(frames, BT601)
    y = (frames.planes[0].astype(float) - 16) / 219
    cb, cr = (
        (p.repeat(2, 1).repeat(2, 2)[:, :5, :7].astype(float) - 128) / 224
        for p in frames.planes[1:]
    )
    expected = [
        y + 1.402 * cr,
        y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587,
        y + 1.772 * cb,
    ]
    for plane, values in zip(got.planes, expected):
        exact = np.clip(values * 255, 0, 255)
        assert np.abs(plane - exact).max() <= 0.5 + 1e-3


def test_gray_survives_both_ways() -> None:
    """In full range gray converts to itself and back."""
    gray = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    rgb = Frames("rgb", (gray, gray, gray))
    yuv = rgb_to_yuv420(rgb, BT601_FULL)
    assert np.array_equal(yuv.planes[0], gray)
    assert (yuv.planes[1] == 128).all()
    assert same(yuv420_to_rgb(yuv, BT601_FULL), rgb)


@pytest.mark.parametrize("matrix", [1, 4, 6, 7, 9])
def test_flat_colours_come_back_within_rounding(matrix: int) -> None:
    """A colour without detail goes to limited 4:2:0 and back with an error of at most 2."""
    color = ColorTags(matrix=matrix, full_range=False)
    for value in [(200, 30, 90), (10, 250, 128), (255, 255, 0), (1, 2, 3)]:
        back = values_of(yuv420_to_rgb(rgb_to_yuv420(flat("rgb", value), color), color))
        assert max(abs(a - b) for a, b in zip(back, value)) <= 2


def test_chroma_is_the_mean_of_its_block_at_odd_sizes() -> None:
    """Chroma is averaged before rounding, with the edge replicated where the block sticks out."""
    frames = noise("rgb", 1, 3, 3)
    got = rgb_to_yuv420(frames, BT601_FULL)
    r, g, b = (np.pad(p[0].astype(float), ((0, 1), (0, 1)), mode="edge") for p in frames.planes)
    cb: NDArray[np.float64] = (b - (0.299 * r + 0.587 * g + 0.114 * b)) / 1.772 + 128
    expected = cb.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    assert np.abs(got.planes[1][0] - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-3


def test_frames_convert_independently() -> None:
    """A frame's conversion does not depend on the frames around it."""
    frames = noise("yuv420", 4, 6, 6)
    assert same(yuv420_to_rgb(frames, BT601)[2:3], yuv420_to_rgb(frames[2:3], BT601))


def test_to_layout_leaves_its_own_layout_alone() -> None:
    """Frames that have the layout asked for are returned as they are."""
    frames = noise("yuv420", 1, 4, 4)
    assert to_layout(frames, "yuv420", BT601) is frames
    assert to_layout(frames, "rgb", BT601).layout == "rgb"


@pytest.mark.parametrize("height", [1, 2, 3, 4, 6, 7, 8])
def test_fields_are_not_averaged_together(height: int) -> None:
    """Of interlaced lines, 0 in the one field and 200 in the other, both values stay."""
    plane = np.zeros((height, 4), np.uint8)
    plane[1::2] = 200
    shrunk = shrink_plane(plane, 1, 2, by_fields=True)
    expected = np.zeros(((height + 1) // 2, 4), np.uint8)
    expected[1::2] = 200
    assert np.array_equal(shrunk, expected)
    assert shrink_plane(plane, 2, 2, by_fields=True).shape == ((height + 1) // 2, 2)


def test_lines_of_a_field_are_averaged() -> None:
    """The mean of two lines is that of neighbours in their field."""
    plane = np.array([[10], [100], [30], [110], [50], [0], [70], [20]], np.uint8)
    assert shrink_plane(plane, 1, 2, by_fields=True).flatten().tolist() == [20, 105, 60, 10]


def test_shrink_plane_rounds_ties_to_even() -> None:
    """Means are rounded to the nearest integer, ties to even."""
    plane = np.array([[0, 1, 2], [0, 1, 3]], np.uint8)
    assert shrink_plane(plane, 2, 2).tolist() == [[0, 2]]
    assert shrink_plane(plane, 1, 2).tolist() == [[0, 1, 2]]
    assert shrink_plane(plane, 1, 1) is plane
