"""Good files of the conformance suite: networks, frames, and what stands in sections."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from suite_draws import (
    far_motion,
    sparse,
    usual,
    zeros,
)
from suite_files import Good, Part, single

from nervcodec.format.extras import Extras
from nervcodec.format.model_config import (
    COLORSPACES,
    PARTS,
    Block,
    Grid,
    GridStem,
    MlpStem,
    ModelConfig,
    Stem,
)
from nervcodec.format.properties import ContentLight, MasteringDisplay, Properties
from nervcodec.format.repeats import Repeats
from nervcodec.format.sound import Sound, SoundStream
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import BIT_DEPTHS, ColorTags, Layout

# --- networks ---

MLP = MlpStem(3, 4, 7, 3)
STILL = GridStem(3, 4, (Grid(2, 2), Grid(2, 4, 1)))
MOVING = GridStem(3, 4, (Grid(2, 2), Grid(2, 2, 1), Grid(1, 2, 2)), 2, 3)
TWO = (Block(2, 4), Block(2, 3))


def net(stem: Stem = STILL, blocks: tuple[Block, ...] = TWO, **changes: Any) -> ModelConfig:
    """A network of 23 x 19 frames in 4:2:0, unless they are others."""
    values: dict[str, Any] = {"width": 23, "height": 19, "colorspace": "yuv420", "bits": 5}
    return ModelConfig(stem=stem, blocks=blocks, **(values | changes))


def _stems() -> Iterator[Good]:
    """MLP stems."""
    yield single("mlp-rgb", "MLP stem, RGB", net(MLP, (Block(3, 5), Block(3, 4)), colorspace="rgb"))
    yield single("mlp-lean", "MLP stem, lean biases", net(MLP, biases="lean"), (7,))
    yield single("mlp-one-frame", "MLP stem, t = 0 alone", net(MLP), (1,))
    yield Good(
        "mlp-cuts",
        "an MLP stem counts in the segment, whatever its cuts",
        net(MLP),
        (Part((2, 3)), Part((1, 1, 2), 10)),
    )
    yield single(
        "mlp-wide-sums",
        "linear layers whose sums exceed 15 * 2^20",
        net(MlpStem(3, 3, 20, 2), (Block(4, 3),)),
        (5,),
        10,
        usual(24),
    )


def _keys() -> Iterator[Good]:
    """Grids of several levels, and their keys."""
    yield single("grid-still", "a grid at the stem alone", net(GridStem(3, 4, (Grid(4, 2),))), (5,))
    grids = (Grid(2, 2), Grid(1, 3, 1), Grid(2, 5, 1), Grid(1, 1), Grid(1, 2, 2), Grid(2, 4, 2))
    yield single(
        "grids-of-a-level",
        "several grids of each level, each of another interval",
        net(GridStem(3, 4, grids)),
        (7,),
    )
    eight = tuple(Grid(1, 1 + i % 3, i // 3) for i in range(8))
    yield single("grids-eight", "as many grids as there may be", net(GridStem(3, 4, eight)), (4,))
    yield single(
        "keys-one",
        "one key for all frames, at each level",
        net(GridStem(3, 4, (Grid(3, 65535), Grid(1, 300, 1)))),
        (6,),
    )
    yield single(
        "keys-each",
        "a key for each frame, at each level",
        net(GridStem(3, 4, (Grid(3, 1), Grid(1, 1, 1)))),
        (6,),
    )
    yield single(
        "keys-far",
        "two keys 15 frames apart, and more than 8 frames",
        net(
            GridStem(1, 1, (Grid(3, 15), Grid(1, 23, 1))),
            (Block(2, 3), Block(2, 3)),
            width=7,
            height=5,
        ),
        (30,),
    )


def _motions() -> Iterator[Good]:
    """Grids that move, and their wavelets."""
    yield single("moving", "grids of two levels that move", net(MOVING), (6,))
    for levels in range(1, 5):
        stem = replace(MOVING, wavelet_levels=levels)
        yield single(
            f"wavelets-{levels}",
            f"moving grids of {levels} wavelet levels, odd sizes",
            net(stem, (Block(3, 5), Block(3, 4)), width=63, height=51),
            (4,),
        )
    cell = GridStem(1, 1, (Grid(2, 2), Grid(2, 2, 1)), 1, 1, 4)
    yield single(
        "wavelets-one-cell",
        "grids of one cell, halved four times, moved by one vector",
        net(cell, (Block(1, 4), Block(4, 4)), width=7, height=8),
        (5,),
    )
    fine = GridStem(2, 3, (Grid(2, 2), Grid(2, 2, 1)), 19, 23)
    yield single(
        "motion-fine",
        "a motion of more cells than the grid that it moves",
        net(fine, (Block(2, 5), Block(2, 4)), width=23, height=15),
        (3,),
    )
    for name, code in (("far", 130), ("farthest", 255)):
        yield single(
            f"motion-{name}",
            "motion and offset that are clipped, beyond all edges",
            net(MOVING, bits=12),
            (5,),
            8,
            far_motion(code),
        )
    yield single(
        "motion-still",
        "a motion whose parameters are all 0",
        net(MOVING),
        (4,),
        8,
        zeros("motion", "offset"),
    )


def _layers() -> Iterator[Good]:
    """Strides, parts and biases of blocks."""
    for stride, width, height in ((1, 8, 6), (3, 23, 17), (5, 39, 29), (16, 127, 95)):
        yield single(
            f"stride-{stride}",
            f"a block of stride {stride} with a skip",
            net(
                GridStem(3, 4, (Grid(1, 2),)),
                (Block(stride, 2),),
                width=width,
                height=height,
                bits=5,
            ),
            (2,),
        )
    strides = (1, 2, 1, 3, 1, 1, 2, 1)
    yield single(
        "blocks-eight",
        "as many blocks as there may be, of several strides",
        net(
            GridStem(1, 1, (Grid(3, 2), Grid(1, 2, 8))),
            tuple(Block(stride, 3) for stride in strides),
        ),
        (2,),
    )
    subsets = [c for n in range(5) for c in itertools.combinations(PARTS, n)]
    for parts in (parts for parts in subsets if "skip" not in parts or "pw" in parts):
        name = "-".join(parts) or "none"
        yield single(
            f"parts-{name}",
            f"blocks with {', '.join(parts) or 'their ub alone'}",
            net(parts=parts),
            (2,),
        )
    yield single("biases-lean", "no biases of dw and pw2", net(biases="lean"))
    yield single(
        "layer-zero",
        "weights and biases that are all 0",
        net(),
        (3,),
        8,
        zeros("scrb1.pw1.weight", "block2.biases"),
    )


def _samples() -> Iterator[Good]:
    """Colorspaces, depths and layouts."""
    for colorspace, depth in itertools.product(COLORSPACES, BIT_DEPTHS):
        blocks = (Block(4, 3),) if colorspace != "rgb" else (Block(4, 3), Block(2, 3))
        yield single(
            f"samples-{colorspace}-{depth}",
            f"{colorspace} of {depth} bits",
            net(
                GridStem(3, 3, (Grid(3, 2),)),
                blocks,
                width=21,
                height=17,
                colorspace=colorspace,
                bit_depth=depth,
            ),
            (2,),
        )
    pairs: list[tuple[Layout, Layout]] = [
        ("rgb", "yuv420"),
        ("yuv420", "rgb"),
        ("yuv422", "rgb"),
        ("gray", "rgb"),
        ("yuv420", "gray"),
        ("yuv422", "gray"),
        ("yuv444", "gray"),
    ]
    for layout, colorspace in pairs:
        yield single(
            f"layout-{layout}-{colorspace}",
            f"a source in {layout} and a network in {colorspace}",
            net(width=12, height=10, colorspace=colorspace),
            (2,),
            layout=layout,
            color=ColorTags(1, 1, 1, False, 1),
        )


def _sizes() -> Iterator[Good]:
    """Sizes of frames and bits of symbols."""
    sizes = ((1, 1), (1, 2), (2, 1), (64, 1), (1, 64), (24, 20), (9, 3))
    for width, height in sizes:
        stem = GridStem(9, 9, (Grid(1, 2),))
        yield single(
            f"size-{width}x{height}",
            "a size that the planes are cut to",
            net(stem, (Block(4, 3),), width=width, height=height),
            (2,),
        )
    for bits in range(2, 13):
        yield single(
            f"bits-{bits}",
            f"symbols of {bits} bits, records by their cost",
            net(bits=bits, width=16, height=12),
            (4,),
        )


def _priors() -> Iterator[Good]:
    """Networks with the prior."""
    grids = (Grid(2, 1), Grid(2, 2, 1), Grid(4, 4), Grid(3, 2, 2), Grid(1, 2, 3))
    stem = GridStem(2, 3, grids, 2, 2, 2)
    cases: list[tuple[str, Layout, tuple[int, int, int], int]] = [
        ("yuv420", "yuv420", (16, 16, 16), 8),
        ("wide", "yuv420", (24, 16, 19), 8),
        ("yuv422", "yuv422", (16, 20, 16), 10),
        ("yuv444", "yuv444", (17, 18, 19), 8),
        ("gray", "gray", (16, 16, 16), 12),
    ]
    for name, colorspace, widths, depth in cases:
        blocks = tuple(Block(2, width) for width in widths)
        yield single(
            f"prior-{name}",
            f"prior 1 in {colorspace}, blocks of {widths} channels",
            net(
                stem,
                blocks,
                width=37,
                height=30,
                colorspace=colorspace,
                biases="lean",
                bits=5,
                bit_depth=depth,
                prior=1,
            ),
            (2,),
            9,
            sparse(8),
        )


def _time() -> Iterator[Good]:
    """Cuts and segments."""
    stem = replace(MOVING, wavelet_levels=2)
    yield single("cuts", "shots of 3, 1 and 5 frames", net(stem), (3, 1, 5))
    yield single("cuts-each-frame", "each frame a shot", net(stem), (1, 1, 1, 1))
    yield single("cuts-still", "cuts of grids that stand still", net(), (4, 3))
    three = (Part((5,), 8), Part((1,), 10), Part((2, 1), 4))
    yield Good("segments", "segments of 5, 1 and 3 frames, of other fraction bits", net(), three)
    yield Good("segments-mlp", "the same of an MLP stem", net(MLP), three)
    yield Good(
        "segments-batches",
        "segments of 8, 9 and 17 frames",
        net(GridStem(2, 2, (Grid(2, 4),)), (Block(2, 3),), width=8, height=7),
        (Part((8,)), Part((9,)), Part((17,))),
    )


def _sections() -> Iterator[Good]:
    """Repeats, times, and what else a file may say."""
    small = net(GridStem(2, 2, (Grid(2, 2),)), (Block(2, 3),), width=8, height=7)
    parts = (Part((3,)), Part((2,)))
    repeats = Repeats(((1, 3), (3, 1), (1, 5)))
    n_frames = repeats.n_shown
    times = FrameTimes(Fraction(1, 90000), 7, ((3003, n_frames - 2), (9000, 1)), 4000)
    properties = Properties(
        (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
        "top",
        MasteringDisplay(34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10**7, 50),
        ContentLight(1000, 400),
        (("title", "Öl"), ("comment", "two words")),
    )
    sound = Sound((SoundStream("audio", "pcm_s16le", "deu"),), Fraction(1, 50), b"nut/multimedia")
    cases = {
        "repeats": ("frames that are shown 3, 1 and 5 times", Extras(repeats)),
        "times": (
            "a time for each frame",
            Extras(None, FrameTimes.of_ticks(Fraction(1, 1000), [5, 45, 46, 1000, 1001], 40)),
        ),
        "properties": ("display matrix, HDR10 and texts", Extras(None, None, None, properties)),
        "sound": (
            "a section of sound, whose packets a reader need not know",
            Extras(None, None, sound),
        ),
        "all-sections": ("all sections of section 2", Extras(repeats, times, sound, properties)),
    }
    for name, (exercises, extras) in cases.items():
        yield Good(
            name,
            exercises,
            small,
            parts,
            None,
            extras,
            ColorTags(9, 9, 16, True, 3),
            Fraction(30000, 1001),
            Fraction(12, 11),
        )
    yield Good("no-md5", "a file without the MD5 of its frames", small, is_hashed=False)


def features() -> list[Good]:
    """The files, in the order of the suite."""
    kinds = (_stems, _keys, _motions, _layers, _samples, _sizes, _priors, _time, _sections)
    return [good for kind in kinds for good in kind()]
