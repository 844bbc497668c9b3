"""nervcodec.training.initialization: the head starts where its planes are, if that is far out."""

import numpy as np
import pytest
import torch
from clips import MakeClip

from nervcodec.format.model_config import ModelConfig
from nervcodec.nn.network import Network
from nervcodec.nn.planes import pack
from nervcodec.training.initialization import initial_parameters

CPU = torch.device("cpu")


def head_bias(model: ModelConfig, target: torch.Tensor) -> torch.Tensor:
    """Return the bias of the head as it starts."""
    network = Network(model, (len(target),), CPU)
    flat = initial_parameters(network, torch.Generator().manual_seed(0), target)
    return network.split(flat)["head.conv.bias"]


def test_usual_frames_start_at_grey(grid_model: ModelConfig, make_clip: MakeClip) -> None:
    """Where no plane is nearly black or white the head's bias is 0, as it always was."""
    target = torch.from_numpy(pack(make_clip(), grid_model))
    assert not head_bias(grid_model, target).any()


@pytest.mark.parametrize(("level", "mean"), [(0, 0.004), (10, 10 / 255), (250, 250 / 255)])
def test_a_dark_or_bright_plane_starts_at_its_mean(
    grid_model: ModelConfig, make_clip: MakeClip, level: int, mean: float
) -> None:
    """(tanh(bias) + 1) / 2 of the four luma phases is their mean, within what tanh can learn."""
    clip = make_clip()
    clip.planes[0][:] = level
    bias = head_bias(grid_model, torch.from_numpy(pack(clip, grid_model)))
    np.testing.assert_allclose((bias[:4].tanh() + 1) / 2, mean, atol=1e-6)
    assert not bias[4:].any()


def test_the_papers_stem_starts_as_torch_does(mlp_model: ModelConfig) -> None:
    """The paper's recipe is left alone, whatever the frames."""
    black = torch.zeros(4, 3, mlp_model.plane_height, mlp_model.plane_width, dtype=torch.uint8)
    assert not head_bias(mlp_model, black).any()
