"""nervcodec.training.block_matching: block matching finds the moves that were made."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nervcodec.nn.grids import moved
from nervcodec.training.block_matching import trajectories


def texture(height: int, width: int) -> Tensor:
    """Smooth noise, float32 [height, width], 0 to 255."""
    noise = torch.rand(
        (1, 1, height // 3 + 2, width // 3 + 2), generator=torch.Generator().manual_seed(0)
    )
    return (
        255
        * torch.nn.functional.interpolate(
            noise, (height, width), mode="bicubic", align_corners=False
        )[0, 0]
    )


def panned(n_frames: int, right: float, down: float) -> Tensor:
    """A camera that moves over a texture: frame t shows it from (t * right, t * down) on; [T, 64,
    96].
    """
    picture = texture(200, 300)[None, None]
    ways = [
        torch.tensor([t * right, t * down]).view(1, 2, 1, 1).expand(1, 2, 200, 300)
        for t in range(n_frames)
    ]
    return torch.stack([moved(picture, way)[0, 0, 60:124, 90:186] for way in ways])


@pytest.mark.parametrize(
    ("right", "down"), [(0.0, 0.0), (1.0, 0.0), (-3.0, 2.0), (0.5, -0.25), (9.0, -7.0)]
)
def test_a_pan_is_found(right: float, down: float) -> None:
    """What a camera that moves right shows was further right in the first; within 0.34 samples a
    frame.
    """
    found = trajectories(panned(4, right, down), 4, 6)
    assert found.shape == (4, 2, 4, 6)
    inner = found[:, :, 1:-1, 1:-1]  # at the edges the first frame lacks what later ones show
    expected = torch.arange(4.0).view(4, 1, 1, 1) * torch.tensor([right, down]).view(1, 2, 1, 1)
    tolerance = 0.34 * torch.arange(4.0).view(4, 1, 1, 1) + 1e-6
    assert bool(((inner - expected).abs() <= tolerance).all())


def test_two_halves_move_apart() -> None:
    """Cells of a still half stay at 0 while those of the other one follow."""
    still, moving = panned(3, 0, 0), panned(3, 2, 0)
    found = trajectories(torch.cat([still, moving], dim=2), 4, 12)
    assert float(found[2, 0, :, :4].abs().max()) < 0.5
    assert float((found[2, 0, :, 7:11] - 4).abs().max()) < 1


def test_noise_on_a_still_picture_is_hardly_motion() -> None:
    """Cells whose frames differ by noise alone move by less than a tenth of a sample a frame."""
    noise = 2 * torch.randn((5, 64, 96), generator=torch.Generator().manual_seed(3))
    assert float(trajectories(panned(5, 0, 0) + noise, 4, 6).diff(dim=0).abs().max()) < 0.1


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 64)])
@pytest.mark.parametrize("n_frames", [1, 2])
def test_the_smallest_frames(size: tuple[int, int], n_frames: int) -> None:
    """Frames smaller than the search, and a single one, have trajectories that begin with 0."""
    found = trajectories(
        255 * torch.rand((n_frames, *size), generator=torch.Generator().manual_seed(0)), 2, 1
    )
    assert found.shape == (n_frames, 2, 2, 1) and found.isfinite().all() and not found[0].any()


def test_moving_by_whole_cells() -> None:
    """A map taken one column further right; what is beyond the edge is what stands at it."""
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    by = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    expected = torch.cat([picture[..., 1:], picture[..., -1:]], dim=-1)
    torch.testing.assert_close(moved(picture, by), expected, rtol=0, atol=1e-5)
