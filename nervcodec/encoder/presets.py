"""Named recipes: a rule that sizes a network for a video, and a FitConfig. All pure functions of
size and length.

`paper-*` are the published models and the published recipe (arXiv 2402.18305, table 1 and section
4), `nerv-*` are NeRV (arXiv 2110.13903) with as many parameters; `small-*` compare the two, and
NeRV++ without each of its parts, at sizes for a CPU. The others are ours (docs/benchmarks.md has
what they reach and docs/ablation.md why they are so).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nervcodec.encoder.paper_models import nerv_model, paper_model, small_model
from nervcodec.encoder.sizing import Nature, Network, grid_model
from nervcodec.errors import ConfigError
from nervcodec.format.model_config import PARTS, ModelConfig, Shots
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig


@dataclass(frozen=True)
class Preset:
    """A recipe.

    Attributes:
        summary: one line for --help.
        colorspace: of the head; None takes 'yuv' for 4:2:0 video and 'rgb' for RGB.
        network: (format, colorspace, shots of the longest segment, nature) -> network.
        fit: how to fit it.
        min_steps: short segments get as many more epochs as it takes to make this many steps.
    """

    summary: str
    colorspace: str | None
    network: Network
    fit: FitConfig
    min_steps: int = 0

    def model(
        self, form: VideoFormat, colorspace: str, shots: Shots, nature: Nature = Nature()
    ) -> ModelConfig:
        """The network for segments of which the longest has such shots."""
        return self.network(form, colorspace, shots, nature)

    def fit_for(self, n_frames: int) -> FitConfig:
        """The fit for segments of n_frames frames."""
        steps_an_epoch = -(-n_frames // self.fit.batch_size)
        return replace(self.fit, epochs=max(self.fit.epochs, -(-self.min_steps // steps_an_epoch)))


_PAPER_FIT = FitConfig(
    epochs=300,
    finetune_epochs=100,
    finetune_rate=1.0,
    batch_size=1,
    loss="l1+ssim",
    optimizer="adam",
    learning_rate=5e-4,
    betas=(0.5, 0.999),
    rate_fall=0,
    warmup=0.2,
    max_gradient=0,
    rate_weight=0,
    round_from=0.9,
    prune=0.4,
)
_SMALL_FIT = FitConfig(
    epochs=60, learning_rate=8e-3, muon_rate=0.012, rate_fall=0, rate_weight=0, round_from=0.9
)
_SMALL = {
    "nervpp": PARTS,
    "nerv": (),
    "no-scrb1": ("pw", "scrb2", "skip"),
    "no-scrb2": ("pw", "scrb1", "skip"),
    "no-skip": ("pw", "scrb1", "scrb2"),
}
_EPOCHS = {"ultrafast": 20, "fast": 45, "medium": 90, "slow": 300, "veryslow": 1500}
_PAPER_CHANNELS = {"xs": 8, "s": 26, "m": 58, "l": 112}
PRESETS = {
    **{
        name: Preset(
            f"{epochs} epochs", None, grid_model, FitConfig(epochs=epochs), min_steps=20 * epochs
        )
        for name, epochs in _EPOCHS.items()
    },
    "paper-small": Preset(
        "NeRV++ with the recipe as published, with about the parameters of medium",
        "rgb",
        small_model(PARTS),
        _PAPER_FIT,
    ),
    **{
        f"paper-{size}": Preset(
            f"NeRV++ {size.upper()} as published", "rgb", paper_model(channels), _PAPER_FIT
        )
        for size, channels in _PAPER_CHANNELS.items()
    },
    **{
        f"nerv-{size}": Preset(
            f"NeRV with the parameters of paper-{size}", "rgb", nerv_model(channels), _PAPER_FIT
        )
        for size, channels in _PAPER_CHANNELS.items()
    },
    **{
        f"small-{name}": Preset(
            f"blocks of {' '.join(parts) or 'NeRV'} with an MLP stem, 8 bits, no rate term",
            None,
            small_model(parts),
            _SMALL_FIT,
        )
        for name, parts in _SMALL.items()
    },
}


def preset_named(name: str) -> Preset:
    """Return the recipe of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}; legal: {', '.join(PRESETS)}")
    return PRESETS[name]
