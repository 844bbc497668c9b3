"""nervcodec.nn.grids: the inverse Haar transform by hand, against the forward one, and what it does
to noise.
"""

import pytest
import torch
from torch import Tensor

from nervcodec.nn.grids import joined


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
