"""Networks to compare with: the paper's (arXiv 2402.18305), NeRV's (arXiv 2110.13903), small ones.

PAPER_PRESETS are the published models with the published recipe (table 1 and section 4).
COMPARISON_PRESETS are for experiments, through the Python API alone: `nerv-*` are NeRV with as many
parameters as `paper-*`; `small-*` compare the two, and NeRV++ without each of its parts, at sizes
for a CPU; `paper-small` is the paper's recipe at such a size.
"""

from __future__ import annotations

from dataclasses import replace

from nervcodec.encoder.sizing import (
    PAPER_CELLS,
    ContentStatistics,
    Network,
    Preset,
    Sizing,
    choose_strides,
    plane_size,
    relative_pixels,
    stem_cells,
    widest,
)
from nervcodec.format.model_config import PARTS, Block, MlpStem, ModelConfig, Shots
from nervcodec.format.tensors import n_parameters
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.training.config import FitConfig


def paper_model(channels: int) -> Network:
    """Return the rule of the paper's network with C = `channels` (arXiv 2402.18305, table 1).

    It has an MLP stem of 512 units, widths C, 80, 80, ..., and 9 x 16 cells at 720p.
    """

    def model(
        form: VideoFormat, colorspace: Layout, shots: Shots, _: ContentStatistics
    ) -> ModelConfig:
        rows, columns, strides = choose_strides(*plane_size(form, colorspace), PAPER_CELLS)
        blocks = tuple(Block(stride, 80 if i else channels) for i, stride in enumerate(strides))
        return ModelConfig(
            form.width,
            form.height,
            colorspace,
            MlpStem(rows, columns, 512, channels),
            blocks,
        )

    return model


def nerv_model(channels: int) -> Network:
    """Return the rule of a NeRV with the parameters, stem and head of paper_model(channels).

    Its blocks, of one width but for the first, are 3x3 convolution -> pixel shuffle -> SiLU (arXiv
    2110.13903, figure 2).
    """

    def model(
        form: VideoFormat, colorspace: Layout, shots: Shots, content: ContentStatistics
    ) -> ModelConfig:
        paper = paper_model(channels)(form, colorspace, shots, content)
        n_wanted = n_parameters(paper, shots)

        def nerv(width: int) -> ModelConfig:
            blocks = tuple(
                Block(block.stride, width if i else channels)
                for i, block in enumerate(paper.blocks)
            )
            return replace(paper, blocks=blocks, parts=())

        return min(
            (nerv(width) for width in range(4, 400)),
            key=lambda m: abs(n_parameters(m, shots) - n_wanted),
        )

    return model


def small_model(parts: tuple[str, ...]) -> Network:
    """Return the rule of the paper's stem (64 units, 8 channels) and head with parts of a block.

    It is about as large as grid_model.
    """

    def model(
        form: VideoFormat, colorspace: Layout, shots: Shots, _: ContentStatistics
    ) -> ModelConfig:
        rows, columns, strides = stem_cells(form, colorspace)
        sizing = Sizing(200_000 * relative_pixels(form, shots) ** 0.6, 0.7, 0.525)
        return widest(
            shots,
            strides,
            sizing,
            lambda blocks: ModelConfig(
                form.width,
                form.height,
                colorspace,
                MlpStem(rows, columns, 64, 8),
                blocks,
                parts=parts,
            ),
        )

    return model


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
_SMALL_PARTS = {
    "nervpp": PARTS,
    "nerv": (),
    "no-scrb1": ("pw", "scrb2", "skip"),
    "no-scrb2": ("pw", "scrb1", "skip"),
    "no-skip": ("pw", "scrb1", "scrb2"),
}
_PAPER_CHANNELS = {"xs": 8, "s": 26, "m": 58, "l": 112}
PAPER_PRESETS = {
    f"paper-{size}": Preset(
        f"NeRV++ {size.upper()} as published", "rgb", paper_model(channels), _PAPER_FIT
    )
    for size, channels in _PAPER_CHANNELS.items()
}
COMPARISON_PRESETS = {
    "paper-small": Preset(
        "NeRV++ with the recipe as published, with about the parameters of medium",
        "rgb",
        small_model(PARTS),
        _PAPER_FIT,
    ),
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
        for name, parts in _SMALL_PARTS.items()
    },
}
