"""The good files of the conformance suite: each of random parameters, each for a feature or two."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from suite_draws import (
    N_CLASSES,
    Draw,
    Record,
    drawn_segment,
    extreme,
    far_motion,
    geometric,
    histogram,
    mixed,
    normal,
    plain,
    sparse,
    usual,
    zeros,
)

from nervcodec.decoder.digest import FrameHasher
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.format.container import write_file
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.file import Header, Segment, StoredQuality
from nervcodec.format.model_config import (
    COLORSPACES,
    PARTS,
    Block,
    Grid,
    GridStem,
    MlpStem,
    ModelConfig,
    Shots,
    Stem,
)
from nervcodec.format.properties import ContentLight, MasteringDisplay, Properties
from nervcodec.format.repeats import Repeats
from nervcodec.format.sound import Sound, SoundStream
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import BIT_DEPTHS, ColorTags, Layout, VideoFormat

SEED = 7


@dataclass(frozen=True)
class Part:
    """A segment: its shots and what its parameters and records are."""

    shots: Shots = (3,)
    fraction_bits: int = 8
    draw: Draw = usual()
    record: Record | None = None
    n_classes: int | None = None


@dataclass(frozen=True)
class Good:
    """A file that every reader decodes.

    Attributes:
        layout: of the source, that of the network where it is None.
        is_hashed: whether it holds the MD5 of its frames.
    """

    name: str
    exercises: str
    model: ModelConfig
    parts: tuple[Part, ...] = (Part(),)
    layout: Layout | None = None
    extras: Extras = NO_EXTRAS
    color: ColorTags = ColorTags()
    rate: Fraction = Fraction(25)
    aspect: Fraction = Fraction(1)
    is_hashed: bool = True


def written(good: Good) -> bytes:
    """The bytes of a file, with the MD5 of its frames."""
    model = good.model
    rng = np.random.default_rng([SEED, zlib.crc32(good.name.encode())])
    segments = []
    for part in good.parts:
        segment = drawn_segment(rng, model, part.shots, part.draw, part.record, part.n_classes)
        segment = replace(segment, fraction_bits=part.fraction_bits)
        md5 = md5_of(segment, model) if good.is_hashed else None
        segments.append(replace(segment, md5=md5, quality=StoredQuality(psnr_y=30.5, epochs=1)))
    repeats = good.extras.repeats
    n_frames = repeats.n_shown if repeats else sum(segment.n_frames for segment in segments)
    form = VideoFormat(
        model.width,
        model.height,
        good.rate,
        n_frames,
        good.layout or model.colorspace,
        good.color,
        good.aspect,
        model.bit_depth,
    )
    return write_file(Header(form, model), segments, good.extras)


def md5_of(segment: Segment, model: ModelConfig) -> bytes:
    """The MD5 of a segment's frames."""
    hasher = FrameHasher()
    for frames in decode_segment(segment, model):
        hasher.add(frames)
    return hasher.digest()


# --- networks ---

MLP = MlpStem(3, 4, 7, 3)
STILL = GridStem(3, 4, (Grid(2, 2), Grid(2, 4, 1)))
MOVING = GridStem(3, 4, (Grid(2, 2), Grid(2, 2, 1), Grid(1, 2, 2)), 2, 3)
TWO = (Block(2, 4), Block(2, 3))


def net(stem: Stem = STILL, blocks: tuple[Block, ...] = TWO, **changes: Any) -> ModelConfig:
    """A network of 23 x 19 frames in 4:2:0, unless they are others."""
    values = {"width": 23, "height": 19, "colorspace": "yuv420", "bits": 5} | changes
    return ModelConfig(stem=stem, blocks=blocks, **values)


def _stems() -> Iterator[Good]:
    """MLP and grid stems, and what grids do in time."""
    yield Good("mlp-rgb", "MLP stem, RGB", net(MLP, (Block(3, 5), Block(3, 4)), colorspace="rgb"))
    yield Good("mlp-lean", "MLP stem, lean biases", net(MLP, biases="lean"), (Part((7,)),))
    yield Good("mlp-one-frame", "MLP stem, t = 0 alone", net(MLP), (Part((1,)),))
    yield Good(
        "mlp-cuts", "an MLP stem counts in the segment, whatever its cuts", net(MLP),
        (Part((2, 3)), Part((1, 1, 2), 10)),
    )  # fmt: skip
    yield Good(
        "mlp-wide-sums", "linear layers whose sums exceed 15 * 2^20",
        net(MlpStem(3, 3, 20, 2), (Block(4, 3),)), (Part((5,), 10, usual(24)),),
    )  # fmt: skip
    yield Good("grid-still", "a grid at the stem alone", net(GridStem(3, 4, (Grid(4, 2),))),
               (Part((5,)),))  # fmt: skip
    grids = (Grid(2, 2), Grid(1, 3, 1), Grid(2, 5, 1), Grid(1, 1), Grid(1, 2, 2), Grid(2, 4, 2))
    yield Good("grids-of-a-level", "several grids of each level, each of another interval",
               net(GridStem(3, 4, grids)), (Part((7,)),))  # fmt: skip
    eight = tuple(Grid(1, 1 + i % 3, i // 3) for i in range(8))
    yield Good("grids-eight", "as many grids as there may be", net(GridStem(3, 4, eight)),
               (Part((4,)),))  # fmt: skip
    yield Good("keys-one", "one key for all frames, at each level",
               net(GridStem(3, 4, (Grid(3, 65535), Grid(1, 300, 1)))), (Part((6,)),))  # fmt: skip
    yield Good("keys-each", "a key for each frame, at each level",
               net(GridStem(3, 4, (Grid(3, 1), Grid(1, 1, 1)))), (Part((6,)),))  # fmt: skip
    yield Good("keys-far", "two keys 15 frames apart, and more than 8 frames",
               net(GridStem(1, 1, (Grid(3, 15), Grid(1, 23, 1))), (Block(2, 3), Block(2, 3)),
                   width=7, height=5), (Part((30,)),))  # fmt: skip
    yield Good("moving", "grids of two levels that move", net(MOVING), (Part((6,)),))
    for levels in range(1, 5):
        stem = replace(MOVING, wavelet_levels=levels)
        yield Good(f"wavelets-{levels}", f"moving grids of {levels} wavelet levels, odd sizes",
                   net(stem, (Block(3, 5), Block(3, 4)), width=63, height=51),
                   (Part((4,)),))  # fmt: skip
    one = GridStem(1, 1, (Grid(2, 2), Grid(2, 2, 1)), 1, 1, 4)
    yield Good("wavelets-one-cell", "grids of one cell, halved four times, moved by one vector",
               net(one, (Block(1, 4), Block(4, 4)), width=7, height=8), (Part((5,)),))  # fmt: skip
    fine = GridStem(2, 3, (Grid(2, 2), Grid(2, 2, 1)), 19, 23)
    yield Good("motion-fine", "a motion of more cells than the grid that it moves",
               net(fine, (Block(2, 5), Block(2, 4)), width=23, height=15), (Part((3,)),))  # fmt: skip
    for name, code in (("far", 130), ("farthest", 255)):
        yield Good(f"motion-{name}", "motion and offset that are clipped, beyond all edges",
                   net(MOVING, bits=12), (Part((5,), 8, far_motion(code)),))  # fmt: skip
    yield Good("motion-still", "a motion whose parameters are all 0", net(MOVING),
               (Part((4,), 8, zeros("motion", "offset")),))  # fmt: skip


def _layers() -> Iterator[Good]:
    """Strides, parts and biases of blocks."""
    for stride, width, height in ((1, 8, 6), (3, 23, 17), (5, 39, 29), (16, 127, 95)):
        yield Good(f"stride-{stride}", f"a block of stride {stride} with a skip",
                   net(GridStem(3, 4, (Grid(1, 2),)), (Block(stride, 2),), width=width,
                       height=height, bits=5), (Part((2,)),))  # fmt: skip
    strides = (1, 2, 1, 3, 1, 1, 2, 1)
    yield Good("blocks-eight", "as many blocks as there may be, of several strides",
               net(GridStem(1, 1, (Grid(3, 2), Grid(1, 2, 8))),
                   tuple(Block(stride, 3) for stride in strides)), (Part((2,)),))  # fmt: skip
    subsets = [c for n in range(5) for c in itertools.combinations(PARTS, n)]
    for parts in (parts for parts in subsets if "skip" not in parts or "pw" in parts):
        name = "-".join(parts) or "none"
        yield Good(f"parts-{name}", f"blocks with {', '.join(parts) or 'their ub alone'}",
                   net(parts=parts), (Part((2,)),))  # fmt: skip
    yield Good("biases-lean", "no biases of dw and pw2", net(biases="lean"))
    yield Good("layer-zero", "weights and biases that are all 0",
               net(), (Part((3,), 8, zeros("scrb1.pw1.weight", "block2.biases")),))  # fmt: skip


def _samples() -> Iterator[Good]:
    """Colorspaces, depths, layouts, sizes and bits of symbols."""
    for colorspace, depth in itertools.product(COLORSPACES, BIT_DEPTHS):
        blocks = (Block(4, 3),) if colorspace != "rgb" else (Block(4, 3), Block(2, 3))
        yield Good(f"samples-{colorspace}-{depth}", f"{colorspace} of {depth} bits",
                   net(GridStem(3, 3, (Grid(3, 2),)), blocks, width=21, height=17,
                       colorspace=colorspace, bit_depth=depth), (Part((2,)),))  # fmt: skip
    pairs: list[tuple[Layout, Layout]] = [
        ("rgb", "yuv420"), ("yuv420", "rgb"), ("yuv422", "rgb"), ("gray", "rgb"),
        ("yuv420", "gray"), ("yuv422", "gray"), ("yuv444", "gray"),
    ]  # fmt: skip
    for layout, colorspace in pairs:
        yield Good(f"layout-{layout}-{colorspace}",
                   f"a source in {layout} and a network in {colorspace}",
                   net(width=12, height=10, colorspace=colorspace), (Part((2,)),), layout,
                   color=ColorTags(1, 1, 1, False, 1))  # fmt: skip
    sizes = ((1, 1), (1, 2), (2, 1), (64, 1), (1, 64), (24, 20), (9, 3))
    for width, height in sizes:
        stem = GridStem(9, 9, (Grid(1, 2),))
        yield Good(f"size-{width}x{height}", "a size that the planes are cut to",
                   net(stem, (Block(4, 3),), width=width, height=height), (Part((2,)),))  # fmt: skip
    for bits in range(2, 13):
        yield Good(f"bits-{bits}", f"symbols of {bits} bits, records by their cost",
                   net(bits=bits, width=16, height=12), (Part((4,)),))  # fmt: skip


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
        yield Good(f"prior-{name}", f"prior 1 in {colorspace}, blocks of {widths} channels",
                   net(stem, blocks, width=37, height=30, colorspace=colorspace, biases="lean",
                       bits=5, bit_depth=depth, prior=1), (Part((2,), 9, sparse(8)),))  # fmt: skip


def _time() -> Iterator[Good]:
    """Cuts, segments, repeats, times, and what else a file may say."""
    stem = replace(MOVING, wavelet_levels=2)
    yield Good("cuts", "shots of 3, 1 and 5 frames", net(stem), (Part((3, 1, 5)),))
    yield Good("cuts-each-frame", "each frame a shot", net(stem), (Part((1, 1, 1, 1)),))
    yield Good("cuts-still", "cuts of grids that stand still", net(), (Part((4, 3)),))
    three = (Part((5,), 8), Part((1,), 10), Part((2, 1), 4))
    yield Good("segments", "segments of 5, 1 and 3 frames, of other fraction bits", net(), three)
    yield Good("segments-mlp", "the same of an MLP stem", net(MLP), three)
    yield Good("segments-batches", "segments of 8, 9 and 17 frames",
               net(GridStem(2, 2, (Grid(2, 4),)), (Block(2, 3),), width=8, height=7),
               (Part((8,)), Part((9,)), Part((17,))))  # fmt: skip
    small = net(GridStem(2, 2, (Grid(2, 2),)), (Block(2, 3),), width=8, height=7)
    parts = (Part((3,)), Part((2,)))
    repeats = Repeats(((1, 3), (3, 1), (1, 5)))
    n_frames = repeats.n_shown
    times = FrameTimes(Fraction(1, 90000), 7, ((3003, n_frames - 2), (9000, 1)), 4000)
    properties = Properties(
        (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30), "top",
        MasteringDisplay(34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10**7, 50),
        ContentLight(1000, 400), (("title", "Öl"), ("comment", "two words")),
    )  # fmt: skip
    sound = Sound((SoundStream("audio", "pcm_s16le", "deu"),), Fraction(1, 50), b"nut/multimedia")
    cases = {
        "repeats": ("frames that are shown 3, 1 and 5 times", Extras(repeats)),
        "times": ("a time for each frame", Extras(None, FrameTimes.of_ticks(
            Fraction(1, 1000), [5, 45, 46, 1000, 1001], 40))),
        "properties": ("display matrix, HDR10 and texts", Extras(None, None, None, properties)),
        "sound": ("a section of sound, whose packets a reader need not know",
                  Extras(None, None, sound)),
        "all-sections": ("all sections of section 2", Extras(repeats, times, sound, properties)),
    }  # fmt: skip
    for name, (exercises, extras) in cases.items():
        yield Good(name, exercises, small, parts, None, extras, ColorTags(9, 9, 16, True, 3),
                   Fraction(30000, 1001), Fraction(12, 11))  # fmt: skip
    yield Good("no-md5", "a file without the MD5 of its frames", small, is_hashed=False)


def _integers() -> Iterator[Good]:
    """Fraction bits, and sums that are narrow, wide, clipped or shifted to the left."""
    stem = replace(MOVING, wavelet_levels=1)
    for bits in range(4, 11):
        yield Good(f"fraction-bits-{bits}", f"{bits} fraction bits, with a moving grid",
                   net(stem), (Part((3,), bits),))  # fmt: skip
        yield Good(f"fraction-bits-{bits}-mlp", f"{bits} fraction bits, with an MLP stem",
                   net(MLP, (Block(4, 4),)), (Part((3,), bits),))  # fmt: skip
    tiny, small = GridStem(3, 4, (Grid(1, 2), Grid(1, 2, 1)), 1, 1, 1), MlpStem(3, 4, 3, 2)
    for gain, bits in ((6, 10), (30, 10), (30, 4), (1000, 7), (30000, 4)):
        for name, of in (("grid", tiny), ("mlp", small)):
            yield Good(f"loud-{name}-{gain}-{bits}",
                       f"values that are clipped: weights {gain} times too large",
                       net(of, bits=12, bit_depth=12), (Part((3,), bits, usual(gain)),))  # fmt: skip
    for code, sign, bits in ((255, 1, 4), (255, 0, 10), (140, 0, 4)):
        for name, of in (("grid", tiny), ("mlp", small)):
            yield Good(f"extreme-{name}-{code}-{bits}",
                       f"all symbols at their maxima, of step {code}: negative shifts",
                       net(of, bits=12, bit_depth=12), (Part((2, 1), bits, extreme(code, sign)),))  # fmt: skip


def _records() -> Iterator[Good]:
    """Frequency tables of each kind, and classes."""
    stem = GridStem(2, 3, (Grid(1, 2), Grid(1, 2, 1)), 1, 2, 2)
    for record in (geometric, plain, normal, histogram, mixed):
        for bits in (4, 12):
            yield Good(f"records-{record.__name__}-{bits}",
                       f"{record.__name__} records of all kinds of values, {bits} bits",
                       net(stem, bits=bits, width=21, height=16),
                       (Part((4,), 8, usual(), record),))  # fmt: skip
    yield Good("records-zero", "no symbol is coded: streams are records alone",
               net(stem, height=16), (Part((4,), 8, zeros("")),))  # fmt: skip
    yield Good("records-zero-in-places", "records of 0 between others",
               net(stem, bits=3, height=16), (Part((4,), 8, zeros("grid2", "block2.pw.weight", "head.biases")),))  # fmt: skip
    for n in N_CLASSES:
        yield Good(f"classes-{n}", f"grids and details in {n} classes",
                   net(stem, bits=4, height=16),
                   (Part((5, 2), 8, usual(), mixed, n),))  # fmt: skip


def goods() -> list[Good]:
    """All good files; their names are the order of the suite."""
    kinds = (_stems, _layers, _samples, _priors, _time, _integers, _records)
    return [good for kind in kinds for good in kind()]
