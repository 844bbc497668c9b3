"""nervcodec.training.pruning: which parameters a global magnitude mask takes away."""

import pytest
import torch

from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import BIAS, Tensor, tensors
from nervcodec.training.pruning import magnitude_mask

RATIOS = [0.0, 0.1, 0.25, 0.4, 0.9, 0.99]


def is_protected(tensor: Tensor) -> bool:
    return tensor.module == "head" or tensor.kind == BIAS


def protected_mask(parts: list[Tensor]) -> torch.Tensor:
    return torch.cat([torch.full((tensor.size,), is_protected(tensor)) for tensor in parts])


def random_values(parts: list[Tensor]) -> torch.Tensor:
    return torch.randn(
        sum(tensor.size for tensor in parts), generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture(params=["mlp", "grid"])
def parts(
    request: pytest.FixtureRequest, mlp_model: ModelConfig, grid_model: ModelConfig
) -> list[Tensor]:
    """The tensors of a small network."""
    return tensors({"mlp": mlp_model, "grid": grid_model}[request.param], (4,))


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_ratio_is_exact(parts: list[Tensor], ratio: float) -> None:
    """The ratio's share of the prunable weights, rounded down, is pruned."""
    n_prunable = sum(tensor.size for tensor in parts if not is_protected(tensor))
    mask = magnitude_mask(random_values(parts), parts, ratio)
    assert int((mask == 0).sum()) == round(ratio * n_prunable)
    assert int((mask == 1).sum()) == len(mask) - round(ratio * n_prunable)


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_smallest_magnitudes_go(parts: list[Tensor], ratio: float) -> None:
    """No prunable weight that stays is smaller than one that goes, in whichever tensor."""
    values = random_values(parts)
    stays = magnitude_mask(values, parts, ratio).bool()
    kept, pruned = values[stays & ~protected_mask(parts)].abs(), values[~stays].abs()
    assert not len(pruned) or float(pruned.max()) <= float(kept.min())


def test_head_and_biases_stay(parts: list[Tensor]) -> None:
    """Even zeros stay in the head and the biases."""
    protected = protected_mask(parts)
    mask = magnitude_mask(random_values(parts) * ~protected, parts, 0.99)
    assert bool(mask[protected].all())


def test_equal_magnitudes_go_in_coded_order(parts: list[Tensor]) -> None:
    """Of equal magnitudes, whatever their signs, the first in coded order go."""
    values = random_values(parts).sign()
    prunable = (~protected_mask(parts)).nonzero().flatten()
    gone = (magnitude_mask(values, parts, 0.3) == 0).nonzero().flatten()
    assert torch.equal(gone, prunable[: len(gone)])


def test_the_values_are_left_alone(parts: list[Tensor]) -> None:
    """Making a mask changes nothing."""
    values = random_values(parts)
    before = values.clone()
    magnitude_mask(values, parts, 0.5)
    assert torch.equal(values, before)
