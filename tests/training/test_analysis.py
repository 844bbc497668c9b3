"""nervcodec.training.analysis: the forward Haar transform, and what comes with a prior."""

from __future__ import annotations

import math

import pytest
import torch

from nervcodec.format.prior import PRIORS
from nervcodec.nn.grids import joined
from nervcodec.training.analysis import GROUPS, N_PLANES, Analysis, split_bands


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (5, 7), (6, 3), (17, 30)])
@pytest.mark.parametrize("n_levels", [0, 1, 2, 4])
def test_bands_are_joined_to_the_same_grids(size: tuple[int, int], n_levels: int) -> None:
    """It is the inverse of nn.grids.joined, for odd sizes too, and as large as halves are."""
    grids = torch.randn((3, 2, *size), generator=torch.Generator().manual_seed(0))
    coarsest, *details = split_bands(grids, n_levels)
    sizes = [size]
    for _ in range(n_levels):
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
    assert coarsest.shape == (3, 2, *sizes[-1])
    found = coarsest
    for band, expected, larger in zip(details, sizes[:0:-1], sizes[-2::-1], strict=True):
        assert band.shape == (3, 6, *expected)
        found = joined(found, band, larger)
    torch.testing.assert_close(found, grids, rtol=0, atol=1e-5)


@pytest.mark.parametrize("number", PRIORS)
def test_maps_have_the_channels_of_grids(number: int) -> None:
    """Of each level, finest first, there is a map with the channels and cells of its grids."""
    prior, analysis = PRIORS[number], Analysis.load(number)
    maps = analysis.network(torch.rand((2, N_PLANES, 16, 24)))
    assert [tuple(each.shape) for each in maps] == [
        (2, channels, 16 >> level, 24 >> level)
        for level, channels in enumerate(reversed(prior.grid_channels))
    ]
    assert all(each.isfinite().all() and float(each.std()) > 0 for each in maps)
    assert not any(weight.requires_grad for weight in analysis.network.parameters())


@pytest.mark.parametrize("number", PRIORS)
def test_all_groups_have_steps(number: int) -> None:
    """Each group's ln(step) is a line over ln(lambda), and steps are those of grids."""
    analysis = Analysis.load(number)
    assert tuple(analysis.log_steps) == GROUPS
    for name in GROUPS:
        at_default, more = (analysis.log_step(name, nats) for nats in (0.0, 2.0))
        assert -8 < at_default < 2 and abs(more - at_default) < 4
        assert analysis.log_step(name, 1.0) == pytest.approx((at_default + more) / 2)
