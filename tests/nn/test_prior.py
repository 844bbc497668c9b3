"""nervcodec.nn.prior: where the weights of a prior stand in networks, and what they are."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nervcodec.errors import DependencyError
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.prior import PRIORS, Prior
from nervcodec.format.tensors import KEYED, tensors
from nervcodec.format.video_format import Layout
from nervcodec.nn.network import Network
from nervcodec.nn.prior import own_network, places, prior_vector, stored_weights

CPU = torch.device("cpu")
N_FRAMES = 4
GRIDS = (Grid(2, 1), Grid(2, 2, 1), Grid(4, 2), Grid(3, 2, 2), Grid(1, 2, 3))
MODEL = ModelConfig(
    30,
    21,
    "yuv420",
    GridStem(2, 2, GRIDS, 1, 2, 2),
    (Block(2, 16),) * 3,
    biases="lean",
    bits=12,
    prior=1,
)
WIDE = replace(MODEL, blocks=(Block(2, 19), Block(2, 16), Block(2, 24)))


@pytest.fixture
def fresh_cache() -> Iterator[None]:
    """Weights are read anew in a test, and after it."""
    stored_weights.cache_clear()
    yield
    stored_weights.cache_clear()


def keyed_alone(model: ModelConfig) -> torch.Tensor:
    """Parameters that are 0 but for grids and motion, which do not depend on the widths."""
    generator = torch.Generator().manual_seed(0)
    parts = [
        0.2 * torch.randn(tensor.size, generator=generator)
        if tensor.kind in KEYED
        else torch.zeros(tensor.size)
        for tensor in tensors(model, (N_FRAMES,))
    ]
    return torch.cat(parts)


def planes(model: ModelConfig, flat: torch.Tensor) -> torch.Tensor:
    """The planes of all frames."""
    network = Network(model, (N_FRAMES,), CPU)
    with torch.no_grad():
        return network(network.split(flat), torch.arange(N_FRAMES))


def test_the_installed_weights_have_their_checksum() -> None:
    """The CRC-32 in format.prior is that of the file's numbers."""
    for number, prior in PRIORS.items():
        path = Path(__file__).parents[2] / "nervcodec" / "nn" / "priors" / f"{number}.npy"
        flat = np.load(path, allow_pickle=False)
        assert flat.dtype == np.dtype("<f2") and flat.ndim == 1
        assert zlib.crc32(flat.tobytes()) == prior.crc


@pytest.mark.usefixtures("fresh_cache")
def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of another checksum are an installation that is damaged, which the message says."""
    wrong: Prior = replace(PRIORS[1], crc=PRIORS[1].crc ^ 1)
    monkeypatch.setitem(PRIORS, 1, wrong)
    with pytest.raises(DependencyError, match=r"1\.npy is damaged; install nervcodec again"):
        stored_weights(1)


@pytest.mark.usefixtures("fresh_cache")
def test_missing_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prior whose file is not installed is the same, in one line."""
    monkeypatch.setitem(PRIORS, 99, PRIORS[1])
    with pytest.raises(DependencyError, match=r"99\.npy: .*; install nervcodec again$") as error:
        stored_weights(99)
    assert "\n" not in str(error.value)


def test_all_weights_are_taken() -> None:
    """The tensors of the prior are all those of its own network that belong to no moment, and
    together the whole file.
    """
    stored = stored_weights(1)
    expected = {t.name: t.shape for t in tensors(own_network(1), (1,)) if t.kind not in KEYED}
    assert {name: weights.shape for name, weights in stored.items()} == expected
    path = Path(__file__).parents[2] / "nervcodec" / "nn" / "priors" / "1.npy"
    flat = np.concatenate([weights.ravel() for weights in stored.values()])
    np.testing.assert_array_equal(flat, np.load(path).astype(np.float32))


def test_grids_and_motion_have_no_prior() -> None:
    """What belongs to moments is added to 0."""
    of = tensors(MODEL, (N_FRAMES,))
    parts = np.split(prior_vector(MODEL, of), np.cumsum([tensor.size for tensor in of])[:-1])
    for tensor, part in zip(of, parts, strict=True):
        assert part.any() == (tensor.kind not in KEYED)


@pytest.mark.parametrize("model", [MODEL, WIDE, replace(WIDE, colorspace="yuv444")])
def test_a_prior_is_added_to_parameters(model: ModelConfig) -> None:
    """A network with a prior is the one without it whose parameters are the sums."""
    flat = keyed_alone(model) + 0.02 * torch.randn(
        len(keyed_alone(model)), generator=torch.Generator().manual_seed(1)
    )
    added = torch.from_numpy(prior_vector(model, tensors(model, (N_FRAMES,))))
    found, expected = planes(model, flat), planes(replace(model, prior=0), flat + added)
    assert torch.equal(found, expected)
    assert float((found - planes(replace(model, prior=0), flat)).abs().max()) > 0.01


@pytest.mark.parametrize("widths", [(19, 16, 24), (17, 18, 16), (16, 16, 32), (40, 40, 40)])
def test_a_wider_network_begins_as_the_prior(widths: tuple[int, ...]) -> None:
    """With no parameters of its own it gives the planes of the prior's own width."""
    wide = replace(MODEL, blocks=tuple(Block(2, width) for width in widths))
    found, expected = (planes(model, keyed_alone(model)) for model in (wide, MODEL))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert float(expected.std()) > 0.001


@pytest.mark.parametrize(
    ("layout", "rows"),
    [
        ("yuv422", [0, 1, 2, 3, 4, 4, 5, 5]),
        ("yuv444", [0, 1, 2, 3, 4, 4, 4, 4, 5, 5, 5, 5]),
        ("gray", [0, 1, 2, 3]),
    ],
)
def test_other_layouts_begin_as_the_prior(layout: Layout, rows: list[int]) -> None:
    """All phases of chroma are its plane of 4:2:0, and gray has none; luma is the same."""
    model = replace(WIDE, colorspace=layout)
    found, expected = planes(model, keyed_alone(model)), planes(WIDE, keyed_alone(WIDE))
    torch.testing.assert_close(found, expected[:, rows], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("block1.pw.weight", range(16), range(6)),
        ("block1.scrb1.dw.weight", range(16), range(1)),
        ("block1.scrb1.pw1.weight", range(16), range(16)),
        ("block1.ub.weight", range(64), range(16)),
        ("block2.pw.weight", range(16), [*range(16), 19, 20]),
        ("block3.pw.weight", range(16), range(19)),
        ("block3.ub.bias", range(64), None),
        ("head.conv.weight", range(6), [*range(16), 24]),
        ("head.conv.bias", range(6), None),
    ],
)
def test_places_by_hand(name: str, rows: range, columns: range | list[int] | None) -> None:
    """In a network of widths 19, 16 and 24 weights stand first, those of grids' channels last."""
    (tensor,) = (each for each in tensors(WIDE, (N_FRAMES,)) if each.name == name)
    found = places(tensor, WIDE)
    assert found[0].ravel().tolist() == list(rows)
    assert columns is None or found[1].ravel().tolist() == list(columns)
    assert len(found) == len(tensor.shape)
