"""How segments are fitted: the preset's recipe with what is asked for.

Nothing here needs torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.sizing import Preset
from nervcodec.encoder.target import TUNES
from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig


def fit_config(
    preset: Preset,
    options: EncodeOptions,
    form: VideoFormat,
    n_frames: int,
    temporal_information: float,
) -> FitConfig:
    """Return the fit of segments of up to n_frames frames, with the options' epochs, pruning, seed
    and target.
    """
    changed: dict[str, Any] = {
        "epochs": options.epochs,
        "prune": options.prune,
        "seed": options.seed,
    }
    if options.target is not None:
        n_pixels = n_frames * form.width * form.height
        start = options.target.start_lambda(form, n_pixels, temporal_information)
        changed |= {"rate_weight": start, "target_psnr": options.target.psnr_db}
    return _with_options(
        preset.fit_for(n_frames),
        {name: value for name, value in changed.items() if value is not None},
    )


def _with_options(fit: FitConfig, changed: dict[str, Any]) -> FitConfig:
    """Return the fit with the changed values; pruning gets a third of the epochs to fine-tune
    where the fit has none.
    """
    if changed.get("prune") and not fit.finetune_epochs:
        changed["finetune_epochs"] = -(-changed.get("epochs", fit.epochs) // 3)
    elif "epochs" in changed and fit.finetune_epochs:
        changed["finetune_epochs"] = -(-changed["epochs"] * fit.finetune_epochs // fit.epochs)
    return replace(fit, **changed)


def tuned(fit: FitConfig, tune: str) -> FitConfig:
    """Return the fit with the loss of a tuning, and a lambda that gives about as many bits.

    Raises:
        ConfigError: neither 'psnr' nor 'ssim'.
    """
    if tune not in TUNES:
        raise ConfigError(f"tune is {tune!r}; legal: {', '.join(TUNES)}")
    loss, worth = TUNES[tune]
    return fit if fit.loss == loss else replace(fit, loss=loss, rate_weight=fit.rate_weight * worth)
