"""The training of a prior: windows, steps that can be repeated, and what it writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nervcodec.errors import ConfigError
from nervcodec.format.tensors import KEYED, tensors
from nervcodec.nn.prior import own_network, prior_vector
from nervcodec.training.analysis import GROUPS, AnalysisNetwork
from nervcodec.training.pretrain import Training, run
from nervcodec.training.pretraining_codec import Coder, Recipe, laplace_bits
from nervcodec.training.pretraining_data import WINDOW, WINDOW_SIZE, Material, window

RECIPE = Recipe(steps=6, report_every=3, held_out_windows=1, warmup_steps=2)


def sources(n_frames: int, count: int) -> list[Tensor]:
    """Moving gradients with noise, each of other colours, uint8 [T, 3, 140, 180]."""
    made = []
    for number in range(count):
        random = torch.Generator().manual_seed(number)
        shape = (n_frames, 3, 140, 180)
        ramp = torch.arange(180) + 2 * torch.arange(n_frames).view(-1, 1, 1, 1)
        frames = 60 + 0.5 * ramp + 20 * number + 8 * torch.randn(shape, generator=random)
        made.append(frames.clamp(16, 235).to(torch.uint8))
    return made


@pytest.fixture(scope="module")
def material() -> Material:
    """Two videos and two pictures, with as many held out."""
    return Material(sources(20, 2), sources(1, 2), Material(sources(20, 1), sources(1, 1)))


@pytest.mark.parametrize("kind", ["videos", "pictures"])
def test_windows_have_one_form(material: Material, kind: str) -> None:
    """Windows of videos and of pictures are 17 frames of six planes in [0, 1]."""
    only = Material(material.videos if kind == "videos" else [], material.pictures)
    for seed in range(6):
        made = window(only, np.random.default_rng(seed))
        assert made.shape == (WINDOW, 6, WINDOW_SIZE[0] // 2, WINDOW_SIZE[1] // 2)
        assert made.min() >= 0 and made.max() <= 1


def test_windows_follow_from_the_seed(material: Material) -> None:
    """The same random numbers give the same window, and others another one."""
    one, same, other = (window(material, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_pictures_move(material: Material) -> None:
    """Most windows of pictures change from frame to frame, and some stand still."""
    pictures = Material([], material.pictures)
    changes = [
        float(window(pictures, np.random.default_rng(seed)).diff(dim=0).abs().mean())
        for seed in range(30)
    ]
    assert sum(change > 0.003 for change in changes) > 15


def test_bits_are_those_of_a_laplace_density() -> None:
    """Zeros cost next to nothing, and symbols twice as large about a bit more."""
    draw = torch.distributions.Laplace(0.0, 4.0)
    torch.manual_seed(0)
    symbols = draw.sample((20_000,))
    assert laplace_bits(torch.zeros(100)) < 1
    more = (laplace_bits(2 * symbols) - laplace_bits(symbols)) / symbols.numel()
    assert float(more) == pytest.approx(1, abs=0.02)


def test_rounding_gives_multiples_of_the_step() -> None:
    """Without noise keys come back as the nearest multiples of their step."""
    coder = Coder({"stem.grid1": torch.tensor(0.25)}, None)
    values = torch.tensor([[0.3, -0.3], [0.6, 0.1]])
    assert coder.keys("stem.grid1", values).tolist() == [[0.25, -0.25], [0.5, 0.0]]


def test_a_run_goes_on_where_it_stopped(material: Material) -> None:
    """Three steps, a checkpoint and three more steps give what six steps give, bit for bit."""
    straight = Training(material, RECIPE)
    losses = [straight.one_step() for _ in range(6)]
    first = Training(material, RECIPE)
    for _ in range(3):
        first.one_step()
    second = Training(material, RECIPE)
    second.restore(*first.state())
    assert [second.one_step() for _ in range(3)] == losses[3:]
    assert torch.equal(second.codec.weights, straight.codec.weights)
    assert torch.equal(second.codec.log_steps, straight.codec.log_steps)


def test_measuring_changes_nothing(material: Material) -> None:
    """What is held out is measured without a trace in the training."""
    one, other = Training(material, RECIPE), Training(material, RECIPE)
    one.one_step(), other.one_step()
    assert one.held_out() == one.held_out()
    assert one.one_step() == other.one_step()


def test_a_run_writes_what_is_installed(material: Material, tmp_path: Path) -> None:
    """The prior has a float16 for each weight, and the analysis network comes with its steps."""
    training = Training(material, RECIPE)
    run(training, tmp_path)
    training.export(tmp_path)
    weights = np.load(tmp_path / "1.npy")
    n_weights = sum(t.size for t in tensors(own_network(1), (1,)) if t.kind not in KEYED)
    assert (weights.dtype, weights.size) == (np.dtype("<f2"), n_weights)
    arrays = dict(np.load(tmp_path / "analysis_1.npz"))
    assert arrays.pop("log_steps").shape == (len(GROUPS), 2)
    shapes = {name: tuple(value.shape) for name, value in AnalysisNetwork().state_dict().items()}
    assert {name: array.shape for name, array in arrays.items()} == shapes
    assert [report["step"] for report in training.history] == [3, 6]
    assert (tmp_path / "checkpoint.npz").exists()


def test_too_few_files_are_refused(tmp_path: Path) -> None:
    """Without enough files to hold some out there is an error that counts them."""
    with pytest.raises(ConfigError, match="0 videos and 0 pictures; legal: 8 or more of each"):
        Material.read([tmp_path])


def test_the_installed_prior_is_whole() -> None:
    """The prior that is installed has the checksum that its number stands for."""
    network = own_network(1)

    with_prior = replace(network, prior=1)
    assert np.isfinite(prior_vector(with_prior, tensors(with_prior, (1,)))).all()
