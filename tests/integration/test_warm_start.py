"""Segments after the first one start from its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shell import write_clip

from nervcodec.encoder.encode import encode
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.plan import EncodePlan, plan
from nervcodec.encoder.segment import encode_segment, shared_weights
from nervcodec.errors import Interrupted
from nervcodec.format.container import load
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import KEYED, tensors
from nervcodec.nn.planes import pack
from nervcodec.training.config import FitConfig
from nervcodec.training.context import TrainingContext
from nervcodec.training.state import Progress, TrainingState
from nervcodec.training.trainer import Trainer, cycles
from nervcodec.video.frames import Frames

QUICK = FitConfig(epochs=2)


@pytest.fixture(name="plan")
def plan_fixture(tmp_path: Path) -> EncodePlan:
    """Three segments of 3, 3 and 3 frames."""
    write_clip(tmp_path / "in.y4m", n_frames=9)
    options = EncodeOptions(segment_frames=3, epochs=2, device="cpu", precision="float32")
    return plan(tmp_path / "in.y4m", tmp_path / "out.nvpp", options)


def test_a_fit_starts_from_the_weights(clip: Frames, grid_model: ModelConfig) -> None:
    """All but grids and motion are those of the other segment, of another length; the rest is as
    without them.
    """
    weights = shared_weights(encode_segment(clip[:3], None, grid_model, QUICK)[0], grid_model)
    assert weights is not None
    target = torch.from_numpy(pack(clip, grid_model))
    cold, warm = (
        TrainingState.start(
            TrainingContext.create(grid_model, QUICK, target, weights=given)
        ).parameters.detach()
        for given in (None, weights)
    )
    position, n_shared = 0, 0
    for tensor in tensors(grid_model, (clip.n_frames,)):
        own = slice(position, position + tensor.size)
        if tensor.kind in KEYED:
            assert torch.equal(warm[own], cold[own])
        else:
            assert np.array_equal(warm[own].numpy(), weights[n_shared : n_shared + tensor.size])
            n_shared += tensor.size
        position += tensor.size
    assert 0 < n_shared == len(weights) < position


def test_the_papers_recipe_starts_at_random(
    make_clip: Callable[..., Frames], mlp_model: ModelConfig
) -> None:
    """Its segments share nothing."""
    layout = "rgb" if mlp_model.colorspace == "rgb" else "yuv420"
    segment, _ = encode_segment(make_clip(layout), None, mlp_model, QUICK)
    assert shared_weights(segment, mlp_model) is None


def test_all_but_the_first_segment_get_its_weights(
    plan: EncodePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing for the first, what was coded of it for the others."""
    given: list[NDArray[np.float32] | None] = []
    original = TrainingContext.create

    def noted(*arguments: Any) -> TrainingContext:
        context = original(*arguments)
        given.append(context.weights)
        return context

    monkeypatch.setattr(TrainingContext, "create", noted)
    encode(replace(plan, is_independent=False))
    expected = shared_weights(load(tmp_path / "out.nvpp").segments[0], plan.model)
    assert given[0] is None and len(given) == 3 and expected is not None
    for weights in given[1:]:
        assert weights is not None and np.array_equal(weights, expected)


def test_warm_segments_are_better(
    make_clip: Callable[..., Frames], grid_model: ModelConfig
) -> None:
    """After as many epochs a segment of the same content has a smaller error by a tenth or more."""

    def error(weights: Any, fit: FitConfig) -> float:
        context = TrainingContext.create(grid_model, fit, target, weights=weights)
        trainer = Trainer(context, stages=cycles(context))
        assert list(trainer.run())
        values = trainer.state.parameters.detach()
        with torch.no_grad():
            planes = context.network(context.network.split(values), torch.arange(context.n_frames))
        return float((planes - target / 255).square().mean())

    frames = make_clip("yuv420", 12)
    target = torch.from_numpy(pack(frames[6:], grid_model))
    first, _ = encode_segment(frames[:6], None, grid_model, FitConfig(epochs=60))
    fit = FitConfig(epochs=15)
    assert error(shared_weights(first, grid_model), fit) < 0.9 * error(None, fit)


def test_frames_of_kept_segments_are_passed_over(
    plan: EncodePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encode that stops after its second segment goes on with the third one's frames and
    weights.
    """
    whole, part = tmp_path / "whole.nvpp", tmp_path / "out.nvpp"
    plan = replace(plan, is_independent=False)
    encode(replace(plan, destination=whole))

    def two(segment: int, _: Progress) -> None:
        if segment == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="interrupted"):
        encode(plan, on_progress=two)
    fitted: list[int] = []
    encode(plan, on_progress=lambda segment, _: fitted.append(segment))
    assert set(fitted) == {2}
    assert part.read_bytes() == whole.read_bytes()
