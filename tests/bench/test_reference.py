"""nervcodec.bench.reference: the reference path is the same network and, without our arithmetic,
the same training as ours.
"""

from dataclasses import replace

import pytest
import torch
from clips import MakeClip

from nervcodec.bench.reference import PlainFit, PlainNetwork
from nervcodec.bench.stepping import OurFit
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.nn.network import Network
from nervcodec.nn.planes import pack
from nervcodec.training.config import FitConfig
from nervcodec.training.initialization import initial_parameters

N_FRAMES = 5
MLP = ModelConfig(16, 12, "rgb", MlpStem(3, 4, 8, 3), (Block(2, 5), Block(2, 6)))
GRID = ModelConfig(
    18,
    13,
    "yuv420",
    GridStem(4, 5, (Grid(2, 2), Grid(1, 4), Grid(2, 3, 1))),
    (Block(1, 4), Block(2, 5)),
    biases="lean",
)
FIT = FitConfig(
    epochs=2,
    batch_size=2,
    loss="l1+ssim",
    optimizer="adam",
    learning_rate=1e-3,
    warmup=0.2,
    rate_weight=0,
    round_from=1.0,
    precision="float32",
    seed=7,
)
PRIOR = ModelConfig(
    31,
    18,
    "yuv422",
    GridStem(2, 2, (Grid(2, 1), Grid(2, 2, 1), Grid(4, 2), Grid(3, 2, 2), Grid(1, 2, 3)), 1, 2, 2),
    (Block(2, 20), Block(2, 16), Block(2, 17)),
    biases="lean",
    prior=1,
)
both_stems = pytest.mark.parametrize("model", [MLP, GRID], ids=["mlp", "grid"])


@pytest.fixture
def targets(make_clip: MakeClip) -> dict[ModelConfig, torch.Tensor]:
    """Frames for each network as it takes them."""
    return {
        model: torch.from_numpy(
            pack(
                make_clip("rgb" if model is MLP else "yuv420", N_FRAMES, model.width, model.height),
                model,
            )
        )
        for model in (MLP, GRID)
    }


def start(model: ModelConfig, seed: int = FIT.seed) -> torch.Tensor:
    network = Network(model, (N_FRAMES,), torch.device("cpu"))
    return initial_parameters(network, torch.Generator().manual_seed(seed))


@both_stems
def test_a_flat_vector_goes_in_and_out(model: ModelConfig) -> None:
    """What was loaded comes out, float by float."""
    network = PlainNetwork(model, N_FRAMES)
    network.load_flat(start(model))
    assert torch.equal(network.flat(), start(model))


def test_weights_beside_a_prior_go_in_and_out() -> None:
    """What was loaded comes out but for rounding, though the prior's weights were added to it."""
    network = PlainNetwork(PRIOR, N_FRAMES)
    network.load_flat(start(PRIOR))
    torch.testing.assert_close(network.flat(), start(PRIOR), rtol=0, atol=1e-5)
    beside_nothing = PlainNetwork(replace(PRIOR, prior=0), N_FRAMES)
    beside_nothing.load_flat(start(PRIOR))
    frames = torch.arange(N_FRAMES)
    with torch.no_grad():
        assert float((network(frames) - beside_nothing(frames)).abs().max()) > 0.01


@both_stems
def test_both_start_from_the_same_planes(
    model: ModelConfig, targets: dict[ModelConfig, torch.Tensor]
) -> None:
    """At the start the reference gives the planes of our network to 1e-5."""
    ours, frames = Network(model, (N_FRAMES,), torch.device("cpu")), torch.arange(N_FRAMES)
    plain = PlainFit(model, FIT, targets[model])
    torch.testing.assert_close(
        plain.network(frames), ours(ours.split(start(model)), frames), rtol=0, atol=1e-5
    )


@both_stems
@pytest.mark.parametrize("max_gradient", [0, 0.1])
def test_the_steps_are_those_of_our_fit(
    model: ModelConfig, max_gradient: float, targets: dict[ModelConfig, torch.Tensor]
) -> None:
    """After two epochs in float32 with Adam and the same loss both have the same parameters, which
    have moved.
    """
    fit = replace(FIT, max_gradient=max_gradient)
    plain, ours = PlainFit(model, fit, targets[model]), OurFit(model, fit, targets[model])
    plain.run(6, lambda: None)
    ours.run(6, lambda: None)
    found, expected = plain.parameters(), ours.parameters()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert float((found - start(model)).abs().max()) > 1e-3


@pytest.mark.parametrize("training", [OurFit, PlainFit])
def test_longer_fits_have_lower_rates(
    training: type[OurFit] | type[PlainFit], targets: dict[ModelConfig, torch.Tensor]
) -> None:
    """A fit of 12,800 steps makes its first ones at half the rates that it is given, unless these
    do not fall.
    """
    given = replace(FIT, epochs=6400, batch_size=3, warmup=0, optimizer="muon", rate_fall=0.2)
    halved = replace(
        given, learning_rate=given.learning_rate / 2, muon_rate=given.muon_rate / 2, rate_fall=0
    )
    ends = []
    for fit in (given, halved):
        steps = training(MLP, fit, targets[MLP])
        steps.run(3, lambda: None)
        ends.append(steps.parameters())
    torch.testing.assert_close(*ends, rtol=0, atol=1e-5)
    assert float((ends[0] - start(MLP)).abs().max()) > 1e-3


def test_rounds_make_one_training(targets: dict[ModelConfig, torch.Tensor]) -> None:
    """Steps made in two rounds give what they give in one, on_step counts them, and there are no
    more than planned.
    """
    whole, parts = PlainFit(MLP, FIT, targets[MLP]), PlainFit(MLP, FIT, targets[MLP])
    done: list[None] = []
    whole.run(6, lambda: None)
    parts.run(4, lambda: done.append(None))
    assert len(done) == 4
    parts.run(100, lambda: done.append(None))
    assert len(done) == 6
    assert torch.equal(whole.parameters(), parts.parameters())


def test_the_reference_is_plain(targets: dict[ModelConfig, torch.Tensor]) -> None:
    """Weights are float32 and contiguous, Adam is neither fused nor told to take several tensors at
    once.
    """
    plain = PlainFit(GRID, FIT, targets[GRID])
    assert all(
        weight.dtype == torch.float32 and weight.is_contiguous()
        for weight in plain.network.parameters()
    )
    assert type(plain.optimizer) is torch.optim.Adam
    assert plain.optimizer.defaults["fused"] is plain.optimizer.defaults["foreach"] is None
    assert plain.target.dtype == torch.uint8 and plain.target.is_contiguous()
