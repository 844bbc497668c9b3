"""Good files of the conformance suite: the sizes of integers, and how symbols are coded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from suite_draws import (
    N_CLASSES,
    extreme,
    geometric,
    histogram,
    mixed,
    normal,
    plain,
    usual,
    zeros,
)
from suite_files import Good, single
from suite_good import MLP, MOVING, features, net

from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem


def _integers() -> Iterator[Good]:
    """Fraction bits, and sums that are narrow, wide, clipped or shifted to the left."""
    stem = replace(MOVING, wavelet_levels=1)
    for bits in range(4, 11):
        yield single(
            f"fraction-bits-{bits}",
            f"{bits} fraction bits, with a moving grid",
            net(stem),
            (3,),
            bits,
        )
        yield single(
            f"fraction-bits-{bits}-mlp",
            f"{bits} fraction bits, with an MLP stem",
            net(MLP, (Block(4, 4),)),
            (3,),
            bits,
        )
    tiny, small = GridStem(3, 4, (Grid(1, 2), Grid(1, 2, 1)), 1, 1, 1), MlpStem(3, 4, 3, 2)
    for gain, bits in ((6, 10), (30, 10), (30, 4), (1000, 7), (30000, 4)):
        for name, of in (("grid", tiny), ("mlp", small)):
            yield single(
                f"loud-{name}-{gain}-{bits}",
                f"values that are clipped: weights {gain} times too large",
                net(of, bits=12, bit_depth=12),
                (3,),
                bits,
                usual(gain),
            )
    for code, sign, bits in ((255, 1, 4), (255, 0, 10), (140, 0, 4)):
        for name, of in (("grid", tiny), ("mlp", small)):
            yield single(
                f"extreme-{name}-{code}-{bits}",
                f"all symbols at their maxima, of step {code}: negative shifts",
                net(of, bits=12, bit_depth=12),
                (2, 1),
                bits,
                extreme(code, sign),
            )


def _records() -> Iterator[Good]:
    """Frequency tables of each kind, and classes."""
    stem = GridStem(2, 3, (Grid(1, 2), Grid(1, 2, 1)), 1, 2, 2)
    for record in (geometric, plain, normal, histogram, mixed):
        for bits in (4, 12):
            yield single(
                f"records-{record.__name__}-{bits}",
                f"{record.__name__} records of all kinds of values, {bits} bits",
                net(stem, bits=bits, width=21, height=16),
                (4,),
                8,
                usual(),
                record,
            )
    yield single(
        "records-zero",
        "no symbol is coded: streams are records alone",
        net(stem, height=16),
        (4,),
        8,
        zeros(""),
    )
    yield single(
        "records-zero-in-places",
        "records of 0 between others",
        net(stem, bits=3, height=16),
        (4,),
        8,
        zeros("grid2", "block2.pw.weight", "head.biases"),
    )
    for n in N_CLASSES:
        yield single(
            f"classes-{n}",
            f"grids and details in {n} classes",
            net(stem, bits=4, height=16),
            (5, 2),
            8,
            usual(),
            mixed,
            n,
        )


def goods() -> list[Good]:
    """All good files, in the order of the suite."""
    return [*features(), *_integers(), *_records()]
