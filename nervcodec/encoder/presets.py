"""Named recipes of the command line: a rule that sizes a network for a video, and a FitConfig.

`paper-*` are the published models with the published recipe (paper_models.py); the others are ours.
docs/results/rate-distortion.md has what they reach, docs/lab why they are so.
"""

from __future__ import annotations

from nervcodec.encoder.paper_models import COMPARISON_PRESETS, PAPER_PRESETS
from nervcodec.encoder.sizing import Preset, grid_model
from nervcodec.errors import ConfigError
from nervcodec.training.config import FitConfig

_EPOCHS = {"instant": 2, "ultrafast": 20, "fast": 45, "medium": 90, "slow": 300, "veryslow": 1500}
_STEPS_AN_EPOCH = 20  # at least: a short segment gets more epochs, docs/lab L031
PRESETS = {
    **{
        name: Preset(
            f"{epochs} epochs",
            None,
            grid_model,
            FitConfig(epochs=epochs),
            min_steps=_STEPS_AN_EPOCH * epochs,
            has_prior=True,
        )
        for name, epochs in _EPOCHS.items()
    },
    **PAPER_PRESETS,
}


def preset_named(name: str) -> Preset:
    """Return a preset of the command line, or one of those that experiments compare with.

    Raises:
        ConfigError: there is none of that name.
    """
    known = {**COMPARISON_PRESETS, **PRESETS}
    if name not in known:
        raise ConfigError(f"preset is {name!r}; legal: {', '.join(PRESETS)}")
    return known[name]
