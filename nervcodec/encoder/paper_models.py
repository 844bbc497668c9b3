"""Networks to compare with: the paper's (arXiv 2402.18305), NeRV's (arXiv 2110.13903), and small
ones.
"""

from __future__ import annotations

from dataclasses import replace

from nervcodec.encoder.sizing import (
    PAPER_CELLS,
    Nature,
    Network,
    Sizing,
    choose_strides,
    plane_size,
    relative_pixels,
    stem_cells,
    widest,
)
from nervcodec.format.model_config import Block, MlpStem, ModelConfig, Shots
from nervcodec.format.tensors import n_parameters
from nervcodec.format.video_format import VideoFormat


def paper_model(channels: int) -> Network:
    """The paper's network with C = `channels`: MLP stem of 512 units, widths C, 80, 80, ..., at
    720p 9 x 16 cells.
    """

    def model(form: VideoFormat, colorspace: str, shots: Shots, _: Nature) -> ModelConfig:
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
    """NeRV with the stem and head of paper_model(channels) and blocks of one width that makes its
    parameters as many.

    Its blocks are 3x3 convolution -> pixel shuffle -> SiLU, arXiv 2110.13903, figure 2.
    """

    def model(form: VideoFormat, colorspace: str, shots: Shots, nature: Nature) -> ModelConfig:
        theirs = paper_model(channels)(form, colorspace, shots, nature)
        wished = n_parameters(theirs, shots)

        def nerv(width: int) -> ModelConfig:
            blocks = tuple(
                Block(block.stride, width if i else channels)
                for i, block in enumerate(theirs.blocks)
            )
            return replace(theirs, blocks=blocks, parts=())

        return min(
            (nerv(width) for width in range(4, 400)),
            key=lambda m: abs(n_parameters(m, shots) - wished),
        )

    return model


def small_model(parts: tuple[str, ...]) -> Network:
    """The paper's MLP stem (64 units, 8 channels) and head with such parts of a block, about as
    large as grid_model.
    """

    def model(form: VideoFormat, colorspace: str, shots: Shots, _: Nature) -> ModelConfig:
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
