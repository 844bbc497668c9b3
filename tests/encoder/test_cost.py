"""nervcodec.encoder.cost: what a fit will take, by steps of both its precisions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from nervcodec.encoder import cost
from nervcodec.encoder.presets import PRESETS
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.training.prior_start import analysis_memory_bytes
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


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("size", [(416, 240), (1920, 1080), (7680, 4320)])
def test_memory_suffices_for_the_analysis(size: tuple[int, int], batch_size: int) -> None:
    """A fit beside a prior takes at least what the analysis of its frames does, and no less than
    the same fit without one.
    """
    form = VideoFormat(*size, Fraction(25), 20)
    model = PRESETS["medium"].model(form, "yuv420", (20,))
    fit = FitConfig(batch_size=batch_size, precision="bfloat16", round_from=1.0)
    found = cost.fit_memory_bytes(model, fit, (20,))
    analysed = 20 * model.n_plane_samples + analysis_memory_bytes(model)
    assert found > analysed
    assert found >= cost.fit_memory_bytes(replace(model, prior=0), fit, (20,))
