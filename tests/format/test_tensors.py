"""nervcodec.format.tensors: tensors, their order, groups and multiply-adds, against the document
and by hand.
"""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from models import with_stem

from nervcodec.encoder.presets import PRESETS
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.tensors import (
    BIAS,
    DEPTHWISE,
    GRID,
    MATRIX,
    decode_batch,
    decode_memory_bytes,
    groups,
    kmac_per_pixel,
    macs_per_frame,
    module_names,
    n_parameters,
    tensors,
)
from nervcodec.format.video_format import VideoFormat

MLP = ModelConfig(16, 12, "rgb", MlpStem(3, 4, 7, 2), (Block(4, 5),), pe_levels=3)
GRIDS = ModelConfig(
    16,
    12,
    "yuv",
    GridStem(3, 4, (Grid(2, 4), Grid(1, 3))),
    (Block(2, 6), Block(1, 3)),
    biases="lean",
    pe_levels=3,
)


def test_mlp_tensors_are_those_of_the_document() -> None:
    """A network with an MLP stem has the document's tensors in the document's order."""
    assert [(t.module, t.name, t.shape) for t in tensors(MLP, (5,))] == [
        ("stem", "stem.linear1.weight", (7, 6)),
        ("stem", "stem.linear2.weight", (24, 7)),
        ("stem", "stem.linear1.bias", (7,)),
        ("stem", "stem.linear2.bias", (24,)),
        ("block1", "block1.pw.weight", (5, 2, 1, 1)),
        ("block1", "block1.scrb1.dw.weight", (5, 1, 3, 3)),
        ("block1", "block1.scrb1.pw1.weight", (5, 5, 1, 1)),
        ("block1", "block1.scrb1.pw2.weight", (5, 5, 1, 1)),
        ("block1", "block1.ub.weight", (80, 5, 3, 3)),
        ("block1", "block1.scrb2.dw.weight", (5, 1, 3, 3)),
        ("block1", "block1.scrb2.pw1.weight", (5, 5, 1, 1)),
        ("block1", "block1.scrb2.pw2.weight", (5, 5, 1, 1)),
        ("block1", "block1.pw.bias", (5,)),
        ("block1", "block1.scrb1.dw.bias", (5,)),
        ("block1", "block1.scrb1.pw1.bias", (5,)),
        ("block1", "block1.scrb1.pw2.bias", (5,)),
        ("block1", "block1.ub.bias", (80,)),
        ("block1", "block1.scrb2.dw.bias", (5,)),
        ("block1", "block1.scrb2.pw1.bias", (5,)),
        ("block1", "block1.scrb2.pw2.bias", (5,)),
        ("head", "head.conv.weight", (3, 5, 3, 3)),
        ("head", "head.conv.bias", (3,)),
    ]


def test_grid_stem_tensors() -> None:
    """A grid stem has one tensor a level, with a key for every interval begun, and no biases."""
    stem = [(t.name, t.shape) for t in tensors(GRIDS, (9,)) if t.module == "stem"]
    assert stem == [("stem.grid1", (3, 2, 3, 4)), ("stem.grid2", (3, 1, 3, 4))]


def test_lean_biases() -> None:
    """Lean networks have all weights but no biases of the SCRBs' dw and pw2."""

    def names(biases: str) -> list[str]:
        return [t.name for t in tensors(replace(MLP, biases=biases), (5,))]

    left_out = {f"block1.scrb{i}.{layer}.bias" for i in (1, 2) for layer in ("dw", "pw2")}
    assert names("lean") == [name for name in names("all") if name not in left_out]


@pytest.mark.parametrize(
    ("parts", "layers"),
    [
        ((), ["ub"]),
        (("pw",), ["pw", "ub"]),
        (("scrb1",), ["scrb1.dw", "scrb1.pw1", "scrb1.pw2", "ub"]),
        (("scrb2",), ["ub", "scrb2.dw", "scrb2.pw1", "scrb2.pw2"]),
        (("pw", "skip"), ["pw", "ub"]),
    ],
)
def test_parts_of_a_block(parts: tuple[str, ...], layers: list[str]) -> None:
    """A block has the layers of its parts and its UB, whose input is as wide as what stands before
    it.
    """
    block = [t for t in tensors(replace(MLP, parts=parts), (5,)) if t.module == "block1"]
    assert [t.name for t in block if t.kind != BIAS] == [
        f"block1.{layer}.weight" for layer in layers
    ]
    inputs = 5 if "pw" in parts else 2
    assert [t.shape for t in block if t.name == "block1.ub.weight"] == [(80, inputs, 3, 3)]


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("pw.weight", MATRIX),
        ("dw.weight", DEPTHWISE),
        ("pw1.weight", MATRIX),
        ("ub.weight", MATRIX),
        (".bias", BIAS),
        ("grid1", GRID),
        ("head.conv.weight", MATRIX),
    ],
)
def test_kinds(ending: str, kind: str) -> None:
    """Every tensor says what it is."""
    assert {t.kind for t in tensors(GRIDS, (9,)) if t.name.endswith(ending)} == {kind}


def test_head_has_six_planes_for_yuv() -> None:
    """A YUV head gives four luma phases and two chroma planes."""
    head = {t.name: t.shape for t in tensors(GRIDS, (9,)) if t.module == "head"}
    assert head == {"head.conv.weight": (6, 3, 3, 3), "head.conv.bias": (6,)}


@pytest.mark.parametrize("model", [MLP, GRIDS])
def test_weights_come_before_biases(model: ModelConfig) -> None:
    """In every module all weights precede all biases."""
    for module in module_names(model):
        is_bias = [t.kind == BIAS for t in tensors(model, (9,)) if t.module == module]
        assert is_bias == sorted(is_bias)


@pytest.mark.parametrize("model", [MLP, GRIDS])
def test_names_are_unique(model: ModelConfig) -> None:
    """No two tensors share a name, nor two groups."""
    assert len({t.name for t in tensors(model, (9,))}) == len(tensors(model, (9,)))
    assert len({g.name for g in groups(model, (9,))}) == len(groups(model, (9,)))


@pytest.mark.parametrize("model", [MLP, GRIDS])
def test_groups_cover_the_parameters(model: ModelConfig) -> None:
    """Groups partition the coded order: every weight alone, each module's biases together, at its
    end.
    """
    expected = []
    for module in module_names(model):
        own = [t for t in tensors(model, (9,)) if t.module == module]
        expected += [(t.name, t.kind, t.size) for t in own if t.kind != BIAS]
        if n_biases := sum(t.size for t in own if t.kind == BIAS):
            expected.append((f"{module}.biases", BIAS, n_biases))
    assert [(g.name, g.kind, g.size) for g in groups(model, (9,))] == expected


def test_groups_of_grids_keep_their_shape() -> None:
    """A grid's group has its keys, channels, rows, columns, and the keys of each shot; others are
    flat.
    """
    shapes = {t.name: t.shape for t in tensors(GRIDS, (5, 4))}
    for group in groups(GRIDS, (5, 4)):
        if group.kind == GRID:
            assert (
                group.shape == shapes[group.name]
                and group.shape[0] == sum(group.keys)
                and len(group.keys) == 2
            )
        else:
            assert (group.shape, group.keys) == ((group.size,), ())


@pytest.mark.parametrize("shots", [(1,), (9,), (1, 1, 7), (4, 40)])
@pytest.mark.parametrize(
    "model",
    [
        MLP,
        GRIDS,
        with_stem(
            GRIDS,
            grids=(Grid(2, 4), Grid(5, 3, 1), Grid(1, 2, 2)),
            motion_height=2,
            motion_width=1,
            wavelet_levels=3,
        ),
    ],
)
def test_parameters_are_counted_as_the_tensors_have_them(
    model: ModelConfig, shots: tuple[int, ...]
) -> None:
    """Their number, got without a list of all tensors, is that of the list."""
    assert n_parameters(model, shots) == sum(tensor.size for tensor in tensors(model, shots))


def test_module_names() -> None:
    """Modules run from the stem through the blocks to the head."""
    assert module_names(GRIDS) == ["stem", "block1", "block2", "head"]


def test_wavelets_are_halves_and_details() -> None:
    """After the motion and the stem's grids: the last half, then details from the coarsest to the
    finest.
    """
    model = with_stem(
        GRIDS, grids=(Grid(2, 4), Grid(5, 4, 1)), motion_height=1, motion_width=1, wavelet_levels=3
    )
    stem = [(t.name, t.shape, t.follows) for t in tensors(model, (9,)) if t.module == "stem"]
    assert stem == [
        ("stem.motion", (9, 2, 1, 1), False),
        ("stem.grid1", (3, 2, 3, 4), False),
        ("stem.grid2", (3, 5, 1, 1), False),
        ("stem.grid2_details3", (3, 15, 1, 1), False),
        ("stem.grid2_details2", (3, 15, 2, 2), True),
        ("stem.grid2_details1", (3, 15, 3, 4), True),
    ]
    assert [group.follows for group in groups(model, (9,))][:6] == [
        follows for _, _, follows in stem
    ]
    assert [group.keys for group in groups(model, (9,))][:7] == [(9,), *[(3,)] * 5, ()]
    assert [group.keys for group in groups(model, (2, 7))][:7] == [(2, 7), *[(1, 2)] * 5, ()]


def test_n_parameters_by_hand() -> None:
    """The number of parameters is the sum over all shapes."""
    stem = 7 * 6 + 7 + 24 * 7 + 24
    scrb = 5 * 9 + 5 + 2 * (5 * 5 + 5)
    block = 5 * 2 + 5 + 2 * scrb + 80 * 5 * 9 + 80
    assert n_parameters(MLP, (5,)) == stem + block + 3 * 5 * 9 + 3


def test_a_finer_grid() -> None:
    """A grid of level 1 has the cells that block 1 gives and widens the inputs of block 2 by its
    channels.
    """
    finer = with_stem(GRIDS, grids=(*GRIDS.grids, Grid(5, 4, 1)))
    before, after = ({t.name: t.shape for t in tensors(model, (9,))} for model in (GRIDS, finer))
    assert after["stem.grid3"] == (3, 5, 6, 8)
    assert {name: shape for name, shape in after.items() if before.get(name) != shape} == {
        "stem.grid3": (3, 5, 6, 8),
        "block2.pw.weight": (3, 11, 1, 1),
    }


def test_a_grid_before_the_head() -> None:
    """A grid of the last level widens the inputs of the head."""
    finer = with_stem(GRIDS, grids=(*GRIDS.grids, Grid(5, 4, 2)))
    assert {t.name: t.shape for t in tensors(finer, (9,))}["head.conv.weight"] == (6, 8, 3, 3)


def test_only_grids_grow_with_the_segment() -> None:
    """Twice the frames double the keys of a grid and leave everything else as it is."""
    one, two = tensors(GRIDS, (12,)), tensors(GRIDS, (24,))
    assert [b.size - a.size for a, b in zip(one, two)] == [
        a.size if a.kind == GRID else 0 for a in one
    ]


def test_macs_by_hand() -> None:
    """Multiply-adds are weights times positions, plus 4 for every value of a bilinear skip."""
    scrb = 5 * 9 + 2 * 25
    block = 12 * (10 + scrb + 80 * 45) + 192 * scrb
    assert macs_per_frame(MLP) == 7 * 6 + 24 * 7 + block + 192 * 3 * 45 + 4 * 192 * 5


def test_macs_of_grids_are_their_blend() -> None:
    """A grid's temporal blend counts 2 a value, whatever the number of keys."""
    more = with_stem(GRIDS, grids=(Grid(2, 4), Grid(1, 1)))
    fewer = with_stem(GRIDS, grids=(Grid(3, 4),))
    assert macs_per_frame(GRIDS) == macs_per_frame(more) == macs_per_frame(fewer)


def test_macs_include_the_blend() -> None:
    """One more grid channel costs its blend and its weights in the first block."""
    wider = with_stem(GRIDS, grids=(Grid(2, 4), Grid(2, 3)))
    assert macs_per_frame(wider) - macs_per_frame(GRIDS) == 12 * 2 + 12 * 6


def test_kmac_per_pixel_counts_luma_pixels() -> None:
    """kMAC/pixel divides by the luma size in both colorspaces."""
    for model in (MLP, GRIDS):
        assert math.isclose(kmac_per_pixel(model), macs_per_frame(model) / (16 * 12) / 1000)


@pytest.mark.parametrize(("size", "n_frames"), [((16, 12), 8), ((1280, 720), 1), ((3840, 2160), 1)])
def test_batches_shrink_as_frames_grow(size: tuple[int, int], n_frames: int) -> None:
    """A decoded batch is 8 small frames or a single large one, a function of the network alone."""
    model = PRESETS["paper-l"].model(VideoFormat(*size, Fraction(25), 9), "rgb", (9,))
    assert decode_batch(model) == n_frames


def test_memory_is_about_the_feature_maps() -> None:
    """A decode needs at least its parameters and its widest map in float32, and more of it the
    longer the segment.
    """
    widest = 12 * GRIDS.scale**2 * 6 * 4
    assert decode_memory_bytes(GRIDS, (9,)) > 4 * n_parameters(GRIDS, (9,)) + widest
    assert decode_memory_bytes(GRIDS, (18,)) > decode_memory_bytes(GRIDS, (9,))
