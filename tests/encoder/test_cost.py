"""nervcodec.encoder.cost: what a fit will take, by steps of both its precisions."""

from __future__ import annotations

import pytest

from nervcodec.encoder import cost
from nervcodec.format.model_config import ModelConfig
from nervcodec.training.config import FitConfig
from nervcodec.video.frames import Frames


@pytest.mark.parametrize(
    ("fit", "seconds"),
    [
        (FitConfig(epochs=60, round_from=0.7, precision="bfloat16"), 1.3),
        (FitConfig(epochs=60, round_from=0.7, precision="float32"), 1.0),
        (FitConfig(epochs=60, round_from=1.0, precision="bfloat16"), 1.0),
        (
            FitConfig(
                epochs=300, finetune_epochs=100, prune=0.4, round_from=0.9, precision="bfloat16"
            ),
            1.025,
        ),
    ],
)
def test_steps_that_round_count_by_their_share(
    clip: Frames,
    grid_model: ModelConfig,
    monkeypatch: pytest.MonkeyPatch,
    fit: FitConfig,
    seconds: float,
) -> None:
    """They are made in float32 and take longer; of two stages only the last one has some."""
    monkeypatch.setattr(
        cost,
        "timed_step",
        lambda frames, model, fit, device: 1.0 if fit.round_from == 1 else 2.0,
    )
    assert cost.seconds_per_step(clip, grid_model, fit) == pytest.approx(seconds)
