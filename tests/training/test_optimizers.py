"""nervcodec.training.optimizers: the schedule, Muon's orthogonal steps, Adam's ordinary ones, and
their state.
"""

import math

import pytest
import torch

from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import BIAS, DEPTHWISE, GRID, MATRIX, Tensor, tensors
from nervcodec.training.config import FitConfig, OptimizerName
from nervcodec.training.optimizers import Muon, Optimizer, orthogonalised, peak_factor, rate_factor

SMALL = [
    Tensor("block1", "a.weight", MATRIX, (4, 6)),
    Tensor("block1", "b.weight", DEPTHWISE, (5, 1, 3, 3)),
    Tensor("block1", "c.weight", MATRIX, (8, 3, 1, 1)),
    Tensor("block1", "d.grid", GRID, (4, 2, 1, 1)),
    Tensor("block1", "e.weight", MATRIX, (4, 6)),
    Tensor("block1", "e.bias", BIAS, (7,)),
]
IS_MATRIX = torch.cat([torch.full((tensor.size,), tensor.kind == MATRIX) for tensor in SMALL])
SIZE = len(IS_MATRIX)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- schedule ---


@pytest.mark.parametrize(
    ("progress", "warmup", "factor"),
    [
        (0.0, 0.0, 1.0),
        (0.5, 0.0, 0.5),
        (0.0, 0.2, 0.0),
        (0.05, 0.2, 0.25),
        (0.2, 0.2, 1.0),
        (0.6, 0.2, 0.5),
        (0.8, 0.2, 0.5 * (1 - math.sqrt(0.5))),
        (0.5, 1.0, 0.5),
    ],
)
def test_rate_at_known_points(progress: float, warmup: float, factor: float) -> None:
    """Linear up to the end of the warm-up, then half a cosine."""
    assert rate_factor(progress, warmup) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 1.0])
def test_rate_rises_then_falls(warmup: float) -> None:
    """The rate never falls before the end of the warm-up, never rises after it and stays within 0
    and 1.
    """
    steps = [i / 1000 for i in range(1000)]
    rates = [rate_factor(progress, warmup) for progress in steps]
    for progress, before, after in zip(steps, rates, rates[1:]):
        assert (
            before <= after if progress + 0.001 <= warmup else before >= after or progress < warmup
        )
    assert 0 <= min(rates) and max(rates) <= 1


def test_rate_ends_near_zero() -> None:
    """The last step of a long stage hardly moves."""
    assert rate_factor(1 - 1e-4, 0.05) < 1e-7


@pytest.mark.parametrize(
    ("n_steps", "fall", "factor"),
    [
        (1, 0.2, 1.0),
        (400, 0.2, 1.0),
        (12_800, 0.2, 0.5),
        (1600, 0.5, 0.5),
        (12_800, 0.0, 1.0),
    ],
)
def test_longer_stages_peak_lower(n_steps: int, fall: float, factor: float) -> None:
    """By the power of their length above 400 steps; the published recipe's rate does not fall."""
    assert peak_factor(n_steps, fall) == pytest.approx(factor, abs=1e-12)


# --- Muon ---


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (20, 6), (80, 20), (1, 7), (7, 1), (100, 180)])
def test_orthogonalised_singular_values(shape: tuple[int, int]) -> None:
    """All singular values come out near one."""
    singular = torch.linalg.svdvals(orthogonalised(randn(3, *shape), torch.float32))
    assert 0.6 <= float(singular.min()) and float(singular.max()) <= 1.25


def test_orthogonalised_keeps_the_directions() -> None:
    """The singular vectors stay: U^T X V is diagonal for the input's own U and V."""
    matrix = randn(1, 6, 4)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    core = u.mT @ orthogonalised(matrix, torch.float32) @ v.mT
    torch.testing.assert_close(
        core, torch.diag_embed(core.diagonal(dim1=1, dim2=2)), rtol=0, atol=1e-4
    )


def test_orthogonalised_forgets_the_scale() -> None:
    """A gradient a thousand times as large gives the same step."""
    matrix = randn(1, 6, 4)
    torch.testing.assert_close(
        orthogonalised(1000 * matrix, torch.float32),
        orthogonalised(matrix, torch.float32),
        rtol=1e-4,
        atol=1e-5,
    )


def test_no_gradient_is_no_step() -> None:
    """A matrix of zeros stays one."""
    assert not orthogonalised(torch.zeros(2, 3, 4), torch.float32).any()


@pytest.mark.parametrize("shape", [(8, 8), (3, 20), (20, 3)])
def test_a_batch_is_its_matrices(shape: tuple[int, int]) -> None:
    """All matrices at once give what each gives by itself."""
    stack = randn(5, *shape)
    alone = torch.cat([orthogonalised(matrix[None], torch.float32) for matrix in stack])
    torch.testing.assert_close(orthogonalised(stack, torch.float32), alone, rtol=1e-5, atol=1e-6)


def stepped(gradients: list[torch.Tensor], rate: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Zeros after Muon's steps along the gradients, and what is left of the last gradient."""
    flat = torch.zeros(SIZE)
    muon = Muon(flat, SMALL, torch.float32)
    for gradient in gradients:
        flat.grad = gradient.clone()
        muon.step(rate)
    assert flat.grad is not None
    return flat, flat.grad


def test_muon_moves_matrices_alone() -> None:
    """Every matrix moves; depthwise weights, grids and biases do not."""
    flat, _ = stepped([randn(SIZE)])
    assert torch.equal(flat != 0, IS_MATRIX)


def test_muon_consumes_its_gradients() -> None:
    """The gradient of matrices is zero afterwards and the rest's untouched."""
    _, left = stepped([randn(SIZE)])
    assert torch.equal(left, randn(SIZE) * ~IS_MATRIX)


def test_first_step_is_the_orthogonalised_gradient() -> None:
    """A first step is minus rate * sqrt(max(1, rows / columns)) times the orthogonalised gradient,
    for each matrix.
    """
    gradient = randn(SIZE)
    flat, _ = stepped([gradient])
    start = 0
    for tensor in SMALL:
        if tensor.kind == MATRIX:
            rows, columns = tensor.shape[0], tensor.size // tensor.shape[0]
            matrix = gradient[start : start + tensor.size].view(1, rows, columns)
            expected = (
                -0.1 * math.sqrt(max(1, rows / columns)) * orthogonalised(matrix, torch.float32)
            )
            torch.testing.assert_close(
                flat[start : start + tensor.size], expected.flatten(), rtol=1e-4, atol=1e-6
            )
        start += tensor.size


def test_muon_has_momentum() -> None:
    """The second step depends on the first gradient."""
    second = randn(SIZE, seed=1)
    with_first, _ = stepped([randn(SIZE), second])
    first, _ = stepped([randn(SIZE)])
    alone, _ = stepped([second])
    assert float((with_first - first - alone)[IS_MATRIX].abs().max()) > 1e-3


def test_matrices_of_many_shapes_keep_to_themselves() -> None:
    """However matrices are stacked, each moves as it does alone, at sides below, at and above the
    stacks' least one.
    """
    shapes = [(3, 40), (32, 32), (40, 3), (31, 33), (64, 5, 3, 3), (1, 1)]
    matrices = [Tensor("block1", f"{i}.weight", MATRIX, shape) for i, shape in enumerate(shapes)]
    gradients = [randn(matrix.size, seed=i) for i, matrix in enumerate(matrices)]

    def moved(chosen: slice) -> torch.Tensor:
        flat = torch.zeros(sum(matrix.size for matrix in matrices[chosen]))
        flat.grad = torch.cat(gradients[chosen])
        Muon(flat, matrices[chosen], torch.float32).step(0.1)
        return flat

    alone = torch.cat([moved(slice(i, i + 1)) for i in range(len(matrices))])
    torch.testing.assert_close(moved(slice(None)), alone, rtol=1e-4, atol=1e-6)


# --- the whole optimizer ---


def run(optimizer: Optimizer, leaves: list[torch.Tensor], seeds: range) -> None:
    for seed in seeds:
        for leaf in leaves:
            leaf.grad = randn(*leaf.shape, seed=seed)
        optimizer.step(0.7)


def fresh(fit: FitConfig) -> tuple[Optimizer, list[torch.Tensor]]:
    flat, log_steps = randn(SIZE, seed=100).requires_grad_(), randn(6, seed=101).requires_grad_()
    return Optimizer(fit, flat, log_steps, SMALL), [flat, log_steps]


@pytest.mark.parametrize(
    "fit", [FitConfig(max_gradient=0), FitConfig(optimizer="adam", max_gradient=0)]
)
def test_the_rest_goes_by_torch_adam(fit: FitConfig) -> None:
    """What is not a matrix moves as with torch's Adam alone; without Muon matrices do too."""
    optimizer, leaves = fresh(fit)
    twins = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    adam = torch.optim.Adam(twins, lr=0.7 * fit.learning_rate, betas=fit.betas)
    for seed in range(5):
        for twin in twins:
            twin.grad = randn(*twin.shape, seed=seed)
        adam.step()
    run(optimizer, leaves, range(5))
    compared = ~IS_MATRIX if fit.optimizer == "muon" else torch.ones_like(IS_MATRIX)
    torch.testing.assert_close(leaves[0][compared], twins[0][compared], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(leaves[1], twins[1], rtol=1e-6, atol=1e-7)


def test_parameters_gradient_is_clipped() -> None:
    """The parameters' gradient is cut to the norm max_gradient before Adam sees it, the steps'
    gradient is not.
    """
    fit = FitConfig(optimizer="adam", max_gradient=1e-9)
    optimizer, leaves = fresh(fit)
    before = [leaf.detach().clone() for leaf in leaves]
    run(optimizer, leaves, range(1))
    moved = [float((leaf - old).detach().abs().max()) for leaf, old in zip(leaves, before)]
    assert moved[0] < 0.1 * fit.learning_rate
    assert moved[1] == pytest.approx(0.7 * fit.learning_rate, rel=1e-3)


def test_step_clears_the_gradients() -> None:
    """After a step nothing of its gradients is left."""
    optimizer, leaves = fresh(FitConfig())
    run(optimizer, leaves, range(1))
    assert all(leaf.grad is None or not leaf.grad.any() for leaf in leaves)


def test_fixed_steps_are_left_alone() -> None:
    """Quantization steps that are not learned do not move."""
    flat, log_steps = randn(SIZE).requires_grad_(), randn(6)
    optimizer = Optimizer(FitConfig(), flat, log_steps, SMALL)
    run(optimizer, [flat], range(3))
    assert torch.equal(log_steps, randn(6))


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_restored_state_continues_bit_for_bit(name: OptimizerName) -> None:
    """From a saved state the same gradients lead to the very same parameters, whatever happened in
    between.
    """
    optimizer, leaves = fresh(FitConfig(optimizer=name))
    run(optimizer, leaves, range(3))
    saved, values = optimizer.state(), [leaf.detach().clone() for leaf in leaves]
    run(optimizer, leaves, range(3, 6))
    expected = [leaf.detach().clone() for leaf in leaves]
    for leaf, value in zip(leaves, values):
        leaf.data.copy_(value)
    optimizer.restore(saved)
    run(optimizer, leaves, range(3, 6))
    assert all(torch.equal(leaf, value) for leaf, value in zip(leaves, expected))


def test_a_state_can_be_restored_twice(mlp_model: ModelConfig) -> None:
    """Steps after a restore do not change the saved copy."""
    parts = tensors(mlp_model, (4,))
    flat = randn(sum(tensor.size for tensor in parts)).requires_grad_()
    optimizer = Optimizer(FitConfig(), flat, torch.zeros(1), parts)
    run(optimizer, [flat], range(2))
    saved, start, found = optimizer.state(), flat.detach().clone(), []
    for _ in range(2):
        flat.data.copy_(start)
        optimizer.restore(saved)
        run(optimizer, [flat], range(2, 5))
        found.append(flat.detach().clone())
    assert torch.equal(*found)
