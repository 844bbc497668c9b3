"""nervcodec.training.block_matching: block matching finds the moves that were made."""

from __future__ import annotations

import pytest
import torch
from moving_pictures import INNER, panned, seen_from, vector

from nervcodec.training.block_matching import matched, trajectories


@pytest.mark.parametrize(("right", "down"), [(1.0, 0.0), (-3.0, 2.0), (0.5, -0.25)])
def test_trajectories_of_a_pan(right: float, down: float) -> None:
    """All cells of each frame come from where the camera was in the first one, to 0.3 samples."""
    found = trajectories(panned(7, right, down), 4, 6)
    assert found.shape == (7, 2, 4, 6) and not found[0].any()
    for frame, field in enumerate(found):
        assert float((field - frame * vector(right, down))[INNER].abs().max()) < 0.3


def test_trajectories_of_still_frames() -> None:
    """Frames that are all the same stay exactly where they are."""
    assert not trajectories(panned(5, 0, 0), 4, 6).any()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 64)])
def test_trajectories_of_the_smallest_frames(size: tuple[int, int]) -> None:
    """Frames smaller than the search have trajectories that are numbers."""
    luma = 255 * torch.rand((3, *size), generator=torch.Generator().manual_seed(0))
    found = trajectories(luma, 2, 1)
    assert found.shape == (3, 2, 2, 1) and found.isfinite().all()


def test_a_search_begins_at_what_is_known() -> None:
    """A move beyond the reach of the search is found from a guess nearby."""
    luma = seen_from([(0, 0), (40, -30)])
    known = vector(38, -29).expand(1, 2, 4, 6)
    found = matched(luma[1:], luma[:1], known)
    inner = found[..., 2:, :3]  # the key has nothing of the rest
    assert float((inner - vector(40, -30)).abs().max()) < 0.3
