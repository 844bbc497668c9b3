"""nervcodec.format.tensors: layers, tensors, their order and groups, against the document and by
hand.
"""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from models import GRIDS, MLP, with_stem

from nervcodec.encoder.presets import PRESETS
from nervcodec.format.model_config import Biases, Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.tensors import (
    BIAS,
    DEPTHWISE,
    GRID,
    MATRIX,
    groups,
    layers,
    module_names,
    n_parameters,
    summary,
    tensors,
)
from nervcodec.format.video_format import VideoFormat


def test_mlp_tensors_are_those_of_the_document() -> None:
    """A network with an MLP stem has the document's tensors in the document's order."""
    assert [(t.module, t.name, t.shape) for t in tensors(MLP, (5,))] == [
        ("stem", "stem.linear1.weight", (7, 80)),
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

    def names(biases: Biases) -> list[str]:
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
    expected: list[tuple[str, str, int]] = []
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
            grids=(Grid(2, 4), Grid(5, 3, 1), Grid(1, 3, 2)),
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
    """After the motion, its offset and the stem's grids: the last half, then details from the
    coarsest to the finest.
    """
    model = with_stem(
        GRIDS, grids=(Grid(2, 4), Grid(5, 4, 1)), motion_height=1, motion_width=1, wavelet_levels=3
    )
    stem = [(t.name, t.shape, t.follows) for t in tensors(model, (9,)) if t.module == "stem"]
    assert stem == [
        ("stem.motion", (9, 2, 1, 1), False),
        ("stem.offset", (9, 2, 1, 1), False),
        ("stem.grid1", (3, 2, 3, 4), False),
        ("stem.grid2", (3, 5, 1, 1), False),
        ("stem.grid2_details3", (3, 15, 1, 1), False),
        ("stem.grid2_details2", (3, 15, 2, 2), True),
        ("stem.grid2_details1", (3, 15, 3, 4), True),
    ]
    assert [group.follows for group in groups(model, (9,))][:7] == [
        follows for _, _, follows in stem
    ]
    assert [group.keys for group in groups(model, (9,))][:8] == [*[(9,)] * 2, *[(3,)] * 5, ()]
    assert [group.keys for group in groups(model, (2, 7))][:8] == [*[(2, 7)] * 2, *[(1, 2)] * 5, ()]


def test_n_parameters_by_hand() -> None:
    """The number of parameters is the sum over all shapes."""
    stem = 7 * 80 + 7 + 24 * 7 + 24
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


# --- layers ---

# One NeRV block: 80 features -> 3 hidden -> [1, 2, 2] -> [4 x 2, 2, 2] = [2, 4, 4] -> [3, 4, 4].
NERV = ModelConfig(4, 4, "rgb", MlpStem(2, 2, 3, 1), (Block(2, 2),), parts=())
FINER = ModelConfig(
    29,
    23,
    "yuv420",
    GridStem(3, 4, (Grid(2, 2), Grid(3, 4), Grid(1, 3, 2))),
    (Block(2, 5), Block(1, 4), Block(2, 3)),
)
FORM = VideoFormat(320, 180, Fraction(25), 20)
MODELS = [
    NERV,
    FINER,
    replace(FINER, parts=("pw", "scrb2", "skip")),
    replace(FINER, parts=("scrb1", "scrb2")),
    *(PRESETS[name].model(FORM, "yuv420", (20,)) for name in ("paper-xs", "medium")),
]


def maps_of(model: ModelConfig) -> list[tuple[int, int, tuple[int, ...]]]:
    """What each layer takes, gives and adds."""
    return [(layer.takes, layer.gives, layer.adds) for layer in layers(model)]


def test_layers_of_a_small_network() -> None:
    """Every layer takes the map of the one before."""
    assert maps_of(NERV) == [(80, 3, ()), (3, 4, ()), (4, 32, ()), (32, 48, ())]


def test_residuals_and_skips_are_read_too() -> None:
    """A block of all parts adds, besides what it convolves, the input of each SCRB, and the skip at
    its small size.
    """
    *_, dw, pw1, last, head = maps_of(replace(NERV, parts=("pw", "scrb1", "scrb2", "skip")))
    assert (dw, pw1, last, head) == (
        (32, 32, ()),
        (32, 32, ()),
        (32, 32, (32, 8)),
        (32, 48, ()),
    )


@pytest.mark.parametrize("model", MODELS)
def test_layers_are_the_weights(model: ModelConfig) -> None:
    """There is a layer for every weight, with the values that its shape takes and gives at all its
    cells.
    """
    found = [(layer.takes, layer.gives) for layer in layers(model) if layer.takes]
    expected = []
    for weight in tensors(model, (20,)):
        if weight.kind in (MATRIX, DEPTHWISE):
            inputs = weight.shape[0] if weight.kind == DEPTHWISE else weight.shape[1]
            expected.append((inputs * weight.cells, weight.shape[0] * weight.cells))
    assert found == expected


@pytest.mark.parametrize("model", MODELS)
def test_grids_give_maps(model: ModelConfig) -> None:
    """Layers that take nothing give the blended maps of the grids."""
    given = sum(layer.gives for layer in layers(model) if not layer.takes)
    assert given == sum(
        math.prod(grid.shape[1:]) for grid in tensors(model, (20,)) if grid.kind == GRID
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (MLP, "rgb, mlp stem 3x4x2, block x4 5"),
        (
            with_stem(
                GRIDS,
                grids=(Grid(1, 3, 2), Grid(2, 4), Grid(5, 3, 1), Grid(1, 1)),
                motion_height=2,
                motion_width=1,
                wavelet_levels=3,
            ),
            "yuv420, grid stem 3x4x3, block x2 6, grid 6x8x5, block x1 3, grid 6x8x1, motion 2x1,"
            " wavelets of 3 levels",
        ),
        (
            PRESETS["medium"].model(VideoFormat(48, 32, Fraction(25), 3), "yuv420", (3,)),
            "yuv420, grid stem 2x3x6, block x2 16, grid 4x6x2, block x2 16, grid 8x12x3,"
            " block x2 16, grid 16x24x1, motion 1x2, wavelets of 2 levels, prior 1",
        ),
    ],
)
def test_a_network_in_one_line(model: ModelConfig, expected: str) -> None:
    """The summary says the colorspace, the stem, blocks with the grids that follow them, how these
    move, and the prior.
    """
    assert summary(model) == expected
