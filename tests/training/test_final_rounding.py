"""nervcodec.training.final_rounding: symbols that were least sure move until a target is met."""

import math

import pytest
import torch

from nervcodec.coding.quantizer import code_from_step
from nervcodec.training.context import Solution
from nervcodec.training.final_rounding import biased, nearest_to
from nervcodec.training.state import finish


def biased_bits(solution: Solution) -> float:
    """A stand-in for the coded bits: the sum of all magnitudes in steps, rounded."""
    return float((solution.parameters / 0.25).round().abs().sum())


@pytest.mark.parametrize("share", [0.93, 0.97, 1.0, 1.03])
def test_rounding_closes_what_is_left(share: float) -> None:
    """A fit some percent too large or too small is rounded to less or more until it is within
    tolerance.
    """
    start = Solution(
        torch.randn(4000, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0.25, 0.25]).log(),
    )
    goal = share * biased_bits(start)
    found = finish(
        nearest_to(start, (1000, 3000), 0, lambda trial: biased_bits(trial) / goal - 1, 0.015)
    )
    assert biased_bits(found) == pytest.approx(goal, rel=0.015)
    moved = (found.parameters / 0.25).round() - (start.parameters / 0.25).round()
    assert float(moved.abs().max()) == (share != 1)


def test_steps_move_where_rounding_does_not_suffice() -> None:
    """A fit half too small has its steps shrunk as well, by no more codes than allowed."""
    values = torch.randn(4000, generator=torch.Generator().manual_seed(0))

    def bits(solution: Solution) -> float:
        return float((solution.parameters / solution.log_steps[0].exp()).round().abs().sum())

    start = Solution(values, torch.tensor([0.25, 0.25]).log())
    goal = 1.3 * bits(start)
    found = finish(
        nearest_to(start, (1000, 3000), 0, lambda trial: bits(trial) / goal - 1, 0.03, 4)
    )
    assert bits(found) == pytest.approx(goal, rel=0.03)
    codes = [
        code_from_step(math.exp(value)) - code_from_step(0.25) for value in found.log_steps.tolist()
    ]
    assert codes[0] == codes[1] and -4 <= codes[0] < 0


def test_grids_keep_their_rounding() -> None:
    """Groups that are coded as differences are left as they are, and nothing changes its sign."""
    start = Solution(
        torch.randn(40, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0.25, 0.25]).log(),
    )
    found = biased(start, (10, 30), 1, 0.2)
    assert torch.equal(found.parameters[:10], start.parameters[:10])
    assert bool((found.parameters[10:].abs() < start.parameters[10:].abs()).all())
    assert bool((found.parameters * start.parameters >= 0).all())
    torch.testing.assert_close(biased(start, (10, 30), 1, 0.0).parameters, start.parameters)


def test_a_goal_out_of_reach_ends() -> None:
    """Where nothing brings the goal nearer, the fit comes back as it was."""
    start = Solution(torch.zeros(6), torch.full((3,), -3.0))
    assert finish(nearest_to(start, (1, 3, 2), 0, lambda _: 1.0, 0.01)) is start
