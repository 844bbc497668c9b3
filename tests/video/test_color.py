"""nervcodec.video.color: frames in memory and the conversion between Y'CbCr 4:2:0 and R'G'B'."""

import numpy as np
import pytest
from numpy.typing import NDArray

from nervcodec.format.video_format import ColorTags, Layout, plane_sizes
from nervcodec.video.color import (
    resolve_matrix,
    shrink_plane,
    to_bit_depth,
    to_layout,
)
from nervcodec.video.frames import Frames

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


@pytest.mark.parametrize(
    "layout, sizes",
    [
        ("gray", ((5, 7),)),
        ("yuv420", ((5, 7), (3, 4), (3, 4))),
        ("yuv422", ((5, 7), (3, 7), (3, 7))),
        ("yuv444", ((5, 7),) * 3),
        ("rgb", ((5, 7),) * 3),
    ],
)
def test_plane_sizes_round_up(layout: Layout, sizes: tuple[tuple[int, int], ...]) -> None:
    """Chroma planes are as large as the subsampling says, rounded up; gray has none."""
    assert plane_sizes(layout, 5, 7) == sizes


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
    assert values_of(to_layout(flat("yuv420", yuv), "rgb", color)) == rgb


def test_rgb_of_random_planes_follows_the_formula() -> None:
    """Every pixel is the BT.601 formula in float64, rounded, with the nearest chroma sample, at odd
    sizes too.
    """
    frames = noise("yuv420", 2, 7, 5)
    got = to_layout(frames, "rgb", BT601)
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
    yuv = to_layout(rgb, "yuv420", BT601_FULL)
    assert np.array_equal(yuv.planes[0], gray)
    assert (yuv.planes[1] == 128).all()
    assert same(to_layout(yuv, "rgb", BT601_FULL), rgb)


@pytest.mark.parametrize("matrix", [1, 4, 6, 7, 9])
def test_flat_colours_come_back_within_rounding(matrix: int) -> None:
    """A colour without detail goes to limited 4:2:0 and back with an error of at most 2."""
    color = ColorTags(matrix=matrix, full_range=False)
    for value in [(200, 30, 90), (10, 250, 128), (255, 255, 0), (1, 2, 3)]:
        back = values_of(to_layout(to_layout(flat("rgb", value), "yuv420", color), "rgb", color))
        assert max(abs(a - b) for a, b in zip(back, value)) <= 2


def test_chroma_is_the_mean_of_its_block_at_odd_sizes() -> None:
    """Chroma is averaged before rounding, with the edge replicated where the block sticks out."""
    frames = noise("rgb", 1, 3, 3)
    got = to_layout(frames, "yuv420", BT601_FULL)
    r, g, b = (np.pad(p[0].astype(float), ((0, 1), (0, 1)), mode="edge") for p in frames.planes)
    cb: NDArray[np.float64] = (b - (0.299 * r + 0.587 * g + 0.114 * b)) / 1.772 + 128
    expected = cb.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    assert np.abs(got.planes[1][0] - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-3


def test_frames_convert_independently() -> None:
    """A frame's conversion does not depend on the frames around it."""
    frames = noise("yuv420", 4, 6, 6)
    assert same(to_layout(frames, "rgb", BT601)[2:3], to_layout(frames[2:3], "rgb", BT601))


def test_to_layout_leaves_its_own_layout_alone() -> None:
    """Frames that have the layout asked for are returned as they are."""
    frames = noise("yuv420", 1, 4, 4)
    assert to_layout(frames, "yuv420", BT601) is frames
    assert to_layout(frames, "rgb", BT601).layout == "rgb"


@pytest.mark.parametrize("layout", ["yuv422", "yuv444", "gray"])
def test_chroma_of_one_value_survives_resampling(layout: Layout) -> None:
    """Flat frames keep their values through every subsampling; gray has luma alone."""
    frames = flat("yuv420", (90, 30, 220), 5, 3)
    there = to_layout(frames, layout, BT601)
    assert there.layout == layout
    assert values_of(there) == (90, 30, 220)[: len(there.planes)]
    back = values_of(to_layout(there, "yuv420", BT601))
    assert back == ((90, 128, 128) if layout == "gray" else (90, 30, 220))


def test_finer_chroma_repeats_samples_and_coarser_takes_means() -> None:
    """4:2:0 becomes 4:2:2 by repeating lines, and 4:2:2 becomes 4:2:0 by their mean."""
    fine = to_layout(noise("yuv420", 1, 5, 5), "yuv422", BT601)
    assert np.array_equal(fine.planes[1][0][0::2], fine.planes[1][0][[1, 3, 4]])
    frames = noise("yuv422", 1, 4, 4)
    lines = frames.planes[2][0].astype(float)
    coarse = to_layout(frames, "yuv420", BT601).planes[2][0]
    assert np.array_equal(coarse, np.rint((lines[0::2] + lines[1::2]) / 2))


def test_gray_is_luma() -> None:
    """Gray of RGB is its luma, and RGB of gray has three planes of that, by range."""
    assert values_of(to_layout(flat("rgb", (255, 255, 255)), "gray", BT601)) == (235,)
    gray = Frames("gray", (np.full((1, 2, 2), 235, np.uint8),))
    assert values_of(to_layout(gray, "rgb", BT601)) == (255, 255, 255)
    assert values_of(to_layout(gray, "rgb", BT601_FULL)) == (235, 235, 235)


@pytest.mark.parametrize(
    "layout, full_range, value, expected",
    [
        ("yuv420", False, 235, 940),
        ("yuv420", True, 255, 1023),
        ("rgb", False, 255, 1023),
        ("rgb", False, 128, 514),
    ],
)
def test_bits_are_added(layout: Layout, full_range: bool, value: int, expected: int) -> None:
    """Limited range is multiplied by a power of two, full range and RGB go from peak to peak."""
    deep = to_bit_depth(flat(layout, (value,) * 3), 10, full_range)
    assert (deep.bit_depth, values_of(deep)) == (10, (expected,) * 3)
    assert values_of(to_bit_depth(deep, 8, full_range)) == (value,) * 3


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("layout", ["yuv420", "yuv422", "yuv444"])
def test_deep_colours_are_those_of_8_bits(layout: Layout, bits: int) -> None:
    """The code values of a colour at more bits convert to that colour at the new peak."""
    deep = to_bit_depth(flat(layout, (81, 90, 240)), bits, full_range=False)
    rgb = np.array(values_of(to_layout(deep, "rgb", BT601)))
    assert np.abs(rgb / deep.peak - np.array([254, 0, 0]) / 255).max() < 1 / 255


def test_shrink_plane_rounds_ties_to_even() -> None:
    """Means are rounded to the nearest integer, ties to even."""
    plane = np.array([[0, 1, 2], [0, 1, 3]], np.uint8)
    assert shrink_plane(plane, 2, 2).tolist() == [[0, 2]]
    assert shrink_plane(plane, 1, 2).tolist() == [[0, 1, 2]]
    assert shrink_plane(plane, 1, 1) is plane
