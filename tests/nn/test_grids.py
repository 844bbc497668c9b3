"""nervcodec.nn.grids: keys in time, by hand; the inverse Haar transform by hand, against the
forward one, and what it does to noise.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from nervcodec.nn.grids import blend_matrix, distances, joined, moved, sides
from nervcodec.nn.integer_network import key_frames

SPANS = [(n_frames, n_keys) for n_frames in range(1, 18) for n_keys in range(1, n_frames + 1)]

# --- time ---


@pytest.mark.parametrize(
    ("n_frames", "n_keys", "expected"),
    [
        (1, 1, [0]),
        (2, 1, [1]),
        (3, 1, [1]),
        (4, 2, [1, 3]),
        (5, 2, [1, 3]),
        (10, 3, [1, 5, 8]),
        (7, 7, [0, 1, 2, 3, 4, 5, 6]),
        (8, 7, [0, 1, 2, 4, 5, 6, 7]),
        (132, 2, [33, 99]),
    ],
)
def test_keys_stand_on_the_middles_of_spans(
    n_frames: int, n_keys: int, expected: list[int]
) -> None:
    """Key k stands on frame floor((2 k + 1) T / (2 K))."""
    found = key_frames(n_frames, n_keys)
    assert found.dtype == np.int64 and found.tolist() == expected


@pytest.mark.parametrize(("n_frames", "n_keys"), SPANS)
def test_each_key_has_a_frame_of_its_own(n_frames: int, n_keys: int) -> None:
    """Keys stand on different frames of the shot, in their order."""
    found = key_frames(n_frames, n_keys)
    assert (np.diff(found) >= 1).all() and 0 <= found[0] <= found[-1] < n_frames


def test_blend_by_hand() -> None:
    """Three keys of ten frames, on frames 1, 5 and 8: linear between them, held outside."""
    expected = np.array(
        [
            [1, 0, 0],
            [1, 0, 0],
            [3 / 4, 1 / 4, 0],
            [1 / 2, 1 / 2, 0],
            [1 / 4, 3 / 4, 0],
            [0, 1, 0],
            [0, 2 / 3, 1 / 3],
            [0, 1 / 3, 2 / 3],
            [0, 0, 1],
            [0, 0, 1],
        ]
    )
    np.testing.assert_allclose(blend_matrix(10, 3), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("n_frames", "n_keys"), SPANS)
def test_a_frame_of_a_key_is_that_key_alone(n_frames: int, n_keys: int) -> None:
    """The weights there are exactly 1 and 0."""
    found = blend_matrix(n_frames, n_keys)[key_frames(n_frames, n_keys)]
    np.testing.assert_array_equal(found, np.eye(n_keys))


def test_distances_by_hand() -> None:
    """Two shots of ten frames and three keys, and of two frames and one, in spans of a key."""
    first = [-1, 0, 1, 2, 3, 0, 1, 2, 0, 1]
    second = [0, 0, -3, -2, -1, 0, -2, -1, 0, 0]
    expected = [[*(0.3 * np.array(first)), -0.5, 0], [*(0.3 * np.array(second)), 0, 0]]
    np.testing.assert_allclose(distances((10, 2), (3, 1)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n_frames", "n_keys"), SPANS)
def test_distances_are_those_of_the_keys_that_are_blended(n_frames: int, n_keys: int) -> None:
    """Each part of the blend has one key a frame at most, which the distance leads to; where the
    second part has none the distance is 0.
    """
    parts = sides(blend_matrix(n_frames, n_keys))
    fars = distances((n_frames,), (n_keys,))
    np.testing.assert_array_equal(sum(parts), blend_matrix(n_frames, n_keys))
    at, frames = key_frames(n_frames, n_keys), np.arange(n_frames)
    for part, far in zip(parts, fars):
        assert ((part > 0).sum(axis=1) <= 1).all()
        key, has_key = at[part.argmax(axis=1)], part.any(axis=1)
        expected = np.where(has_key, (frames - key) * n_keys / n_frames, 0)
        np.testing.assert_allclose(far, expected, rtol=0, atol=1e-12)
    assert len(parts) == 2 or not fars[1].any()


# --- space ---


def test_moving_by_whole_cells() -> None:
    """A map taken one column further right; what is beyond the edge is what stands at it."""
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    by = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    expected = torch.cat([picture[..., 1:], picture[..., -1:]], dim=-1)
    torch.testing.assert_close(moved(picture, by), expected, rtol=0, atol=1e-5)


def test_moving_by_parts_of_cells() -> None:
    """Between cells the map is bilinear."""
    rows, columns = torch.arange(3.0).view(3, 1), torch.arange(4.0)
    picture = (10 * rows + columns).view(1, 1, 3, 4)
    by = torch.tensor([-0.25, 0.5]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    expected = 10 * (rows + 0.5).clamp(0, 2) + (columns - 0.25).clamp(0, 3)
    torch.testing.assert_close(moved(picture, by)[0, 0], expected, rtol=0, atol=1e-5)


def halved(grid: Tensor) -> tuple[Tensor, Tensor]:
    """The transform that `joined` undoes, of [K, C, rows, columns]: an odd last row or column is
    repeated.
    """
    rows, columns = grid.shape[2:]
    padded = torch.nn.functional.pad(grid, (0, columns % 2, 0, rows % 2), mode="replicate")
    a, b, c, d = (padded[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1))
    return (a + b + c + d) / 2, torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 2


def test_four_values_by_hand() -> None:
    """1, 2 over 3, 5: their half sum, and how much rows and columns fall."""
    half, details = torch.full((1, 1, 1, 1), 5.5), torch.tensor([-1.5, -2.5, 0.5]).view(1, 3, 1, 1)
    assert joined(half, details, (2, 2)).tolist() == [[[[1, 2], [3, 5]]]]


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (5, 7), (6, 3)])
def test_any_grid_comes_back(size: tuple[int, int]) -> None:
    """Odd sizes too: what is beyond them is dropped; every key and channel has its own details."""
    grid = torch.randn((3, 2, *size), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(joined(*halved(grid), size), grid, rtol=0, atol=1e-6)


def test_noise_stays_as_loud_as_it_is() -> None:
    """The transform is orthonormal: the sum of squares of the coefficients is that of the grid."""
    half, details = (
        torch.randn((2, n, 4, 5), generator=torch.Generator().manual_seed(n)) for n in (2, 6)
    )
    energy = half.square().sum() + details.square().sum()
    torch.testing.assert_close(joined(half, details, (8, 10)).square().sum(), energy)


def test_the_gradient_is_the_forward_transform() -> None:
    """What pulls at a grid pulls at its half and details as its own half and details say."""
    half, details = (torch.zeros((2, n, 3, 4), requires_grad=True) for n in (2, 6))
    pull = torch.randn((2, 2, 6, 8), generator=torch.Generator().manual_seed(0))
    (joined(half, details, (6, 8)) * pull).sum().backward()  # type: ignore[no-untyped-call]
    for found, expected in zip((half.grad, details.grad), halved(pull)):
        torch.testing.assert_close(found, expected)


def test_it_keeps_the_dtype() -> None:
    """bfloat16 in, bfloat16 out."""
    half, details = (
        torch.ones((1, 1, 2, 2), dtype=torch.bfloat16),
        torch.ones((1, 3, 2, 2), dtype=torch.bfloat16),
    )
    assert joined(half, details, (4, 4)).dtype == torch.bfloat16
