"""How a training step's seconds grow with pixels, frames and width, one of them at a time.

Networks are sized by a preset's own rule for 132 frames of the given size, and noise stands for the
frames.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from nervcodec.bench.derived import Row
from nervcodec.bench.stepping import OurFit, recipe_fit, settled_seconds, synthetic_target
from nervcodec.encoder.presets import preset_named
from nervcodec.errors import ConfigError
from nervcodec.format.costs import macs_per_frame
from nervcodec.format.model_config import Block, ModelConfig
from nervcodec.format.tensors import n_parameters
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.device import choose_precision

N_FRAMES = 132  # what networks are sized for, as long as the clip bunny
_EPOCHS = 200  # more than are timed


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) of a text such as '640x360'.

    Raises:
        ConfigError: it is no size.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"size is {text!r}; legal: WIDTHxHEIGHT, such as 640x360")
    return int(width), int(height)


def sized_network(name: str, size: str, n_frames: int = N_FRAMES) -> ModelConfig:
    """Return a preset's network for so many frames of a size such as '640x360'."""
    preset = preset_named(name)
    form = VideoFormat(*parse_size(size), Fraction(25), n_frames)
    return preset.model(form, preset.colorspace or "yuv420", (n_frames,))


def widened(model: ModelConfig, factor: float) -> ModelConfig:
    """Return the network with `factor` times as wide blocks."""
    blocks = tuple(Block(block.stride, round(factor * block.width)) for block in model.blocks)
    return replace(model, blocks=blocks)


def time_step(
    network: str,
    size: str = "320x180",
    frames: int = N_FRAMES,
    width_factor: float = 1.0,
    recipe: str = "preset",
    budget_s: float = 10.0,
    device: str = "cpu",
    name: str = "",
) -> Row:
    """Return the seconds of a step of a network, with what it computes.

    Args:
        network: a preset's name.
        frames: how many are fitted.
        width_factor: of all blocks.
        recipe: one of stepping.RECIPES.
        budget_s: about how long steps are timed.
        name: of the case; it changes nothing.
    """
    model = widened(sized_network(network, size), width_factor)
    fit = recipe_fit(recipe, preset_named(network).fit, choose_precision("auto", device))
    target = synthetic_target(model, frames, device)
    steps = OurFit(model, replace(fit, epochs=_EPOCHS), target)
    seconds = settled_seconds(steps, device, budget_s)
    n_macs = 3 * fit.batch_size * macs_per_frame(model)
    return {
        "pixels": model.width * model.height,
        "frames": frames,
        "width_factor": width_factor,
        "size": size,
        "batch": fit.batch_size,
        "parameters": n_parameters(model, (frames,)),
        "macs": n_macs,
        "gmac": n_macs / 1e9,
        "seconds": seconds,
        "ms": 1000 * seconds,
        "gmac_per_s": n_macs / seconds / 1e9,
    }
