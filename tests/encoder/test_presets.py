"""nervcodec.encoder.presets: the published networks, and that every recipe works for every size of
video.
"""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nervcodec.encoder.paper_models import COMPARISON_PRESETS
from nervcodec.encoder.presets import PRESETS, preset_named
from nervcodec.encoder.sizing import (
    ContentStatistics,
    PriorChoice,
    choose_strides,
)
from nervcodec.errors import ConfigError
from nervcodec.format.costs import kmac_per_pixel
from nervcodec.format.model_config import COLORSPACES, Grid, GridStem, ModelConfig
from nervcodec.format.prior import PRIORS
from nervcodec.format.tensors import KEYED, n_parameters, tensors
from nervcodec.format.video_format import Layout, VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.training.rate_model import expected_bpp, rate_weight_of, usual_bpp

PAPER = ("paper-xs", "paper-s", "paper-m", "paper-l")
PRIOR_CHOICES: tuple[PriorChoice, ...] = get_args(PriorChoice)
RECIPES = (
    "medium",
    *PAPER,
)  # the others of ours share its network, see test_presets_rise_in_effort


def video(width: int, height: int, n_frames: int = 132) -> VideoFormat:
    return VideoFormat(width, height, Fraction(25), n_frames)


def wavelet_levels(model: ModelConfig) -> int:
    assert isinstance(model.stem, GridStem)
    return model.stem.wavelet_levels


def paper_model(name: str) -> ModelConfig:
    return PRESETS[name].model(video(1280, 720), "rgb", (132,))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("paper-xs", 1_702_851),
        ("paper-s", 3_175_647),
        ("paper-m", 6_161_951),
        ("paper-l", 12_269_459),
    ],
)
def test_published_parameter_counts(name: str, published: int) -> None:
    """The paper's four networks have exactly their published numbers of parameters at 1280 x
    720.
    """
    assert n_parameters(paper_model(name), (132,)) == published


def test_published_strides() -> None:
    """At 720p the paper's XS network has the strides 5, 2, 2, 2, 2 on a 9 x 16 stem."""
    model = paper_model("paper-xs")
    assert (model.stem.height, model.stem.width) == (9, 16)
    assert [block.stride for block in model.blocks] == [5, 2, 2, 2, 2]


def test_published_complexity() -> None:
    """The paper's XS network takes about 103 thousand multiply-adds a pixel."""
    assert 103 <= kmac_per_pixel(paper_model("paper-xs")) < 104


def test_published_recipe() -> None:
    """paper-*: 300 + 100 epochs, batch 1, Adam at 5e-4, L1 + SSIM, 40 % pruned, 8 bits, RGB with
    tanh.
    """
    fit, model = PRESETS["paper-s"].fit, paper_model("paper-s")
    assert (fit.epochs, fit.finetune_epochs, fit.batch_size, fit.prune) == (300, 100, 1, 0.4)
    assert (fit.optimizer, fit.learning_rate, fit.loss, fit.rate_weight) == (
        "adam",
        5e-4,
        "l1+ssim",
        0,
    )
    assert (model.stem.kind, model.bits) == ("mlp", 8)


@pytest.mark.parametrize("prior", PRIOR_CHOICES)
@pytest.mark.parametrize("colorspace", COLORSPACES)
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (1, 2),
        (2, 1),
        (1, 700),
        (700, 1),
        (3, 3),
        (7, 5),
        (15, 17),
        (176, 144),
        (320, 180),
        (321, 181),
        (333, 77),
        (640, 360),
        (1920, 1080),
        (3840, 2160),
    ],
)
def test_networks_cover_the_frame(
    size: tuple[int, int], name: str, colorspace: Layout, prior: PriorChoice
) -> None:
    """Every preset has a network for any size, which covers the frame and crops less than one stem
    cell a side.
    """
    model = PRESETS[name].model(video(*size), colorspace, (132,), prior=prior)
    assert 0 <= model.covered_width - model.plane_width < model.scale
    assert 0 <= model.covered_height - model.plane_height < model.scale


@settings(max_examples=40)
@given(
    st.integers(1, 700),
    st.integers(1, 700),
    st.integers(1, 150),
    st.sampled_from(COLORSPACES),
    st.sampled_from(RECIPES),
    st.sampled_from(PRIOR_CHOICES),
)
@example(1, 1, 1, "yuv420", "medium", "auto")
@example(1, 1, 1, "yuv420", "medium", "none")
def test_any_size_has_a_network(
    width: int, height: int, n_frames: int, colorspace: Layout, name: str, prior: PriorChoice
) -> None:
    """Every preset has a legal network for any size and length; making it is deterministic."""
    recipe = PRESETS[name].model
    form = video(width, height, n_frames)
    model = recipe(form, colorspace, (n_frames,), prior=prior)
    assert (model.width, model.height, model.colorspace) == (width, height, colorspace)
    assert model == recipe(form, colorspace, (n_frames,), prior=prior)


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([36, 144, 576]))
def test_strides_are_deterministic(width: int, height: int, cells: int) -> None:
    """choose_strides gives the same answer every time."""
    assert choose_strides(width, height, cells) == choose_strides(width, height, cells)


@given(st.integers(1, 700), st.integers(1, 700))
def test_strides_are_a_five_and_twos(width: int, height: int) -> None:
    """Strides are at most one 5, first, and then 2s; a 1 stands alone where the stem has the
    plane's size.
    """
    rows, columns, strides = choose_strides(width, height, 144)
    assert strides == (1,) or set(strides[1:]) <= {2} and strides[0] in (2, 5)
    assert strides != (1,) or (rows, columns) == (height, width)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1280, 720), (9, 16, (5, 2, 2, 2, 2))),
        ((160, 90), (9, 16, (5, 2))),
        ((16, 9), (9, 16, (1,))),
        ((1, 1), (1, 1, (1,))),
    ],
)
def test_strides_of_known_sizes(
    size: tuple[int, int], expected: tuple[int, int, tuple[int, ...]]
) -> None:
    """16:9 planes get the paper's stem."""
    assert choose_strides(*size, 144) == expected


@pytest.mark.parametrize(
    ("size", "blocks"),
    [
        ((320, 180), [(5, 16), (2, 24)]),
        ((640, 360), [(5, 32), (2, 32), (2, 24)]),
        ((1280, 720), [(5, 40), (2, 48), (2, 40), (2, 32)]),
    ],
)
def test_our_models_without_a_prior(size: tuple[int, int], blocks: list[tuple[int, int]]) -> None:
    """132 frames at a rate of 1; 320 x 180 is what most figures of the benchmarks are of."""
    model = PRESETS["medium"].model(video(*size), "yuv420", (132,), prior="none")
    assert (model.stem.height, model.stem.width) == (9, 16)
    assert [(block.stride, block.width) for block in model.blocks] == blocks


@pytest.mark.parametrize(
    ("size", "stem"),
    [
        ((1, 1), (1, 1)),
        ((320, 180), (12, 20)),
        ((640, 360), (23, 40)),
        ((1280, 720), (45, 80)),
        ((16384, 1), (1, 1024)),
    ],
)
@pytest.mark.parametrize("colorspace", ["yuv420", "yuv422", "yuv444", "gray"])
def test_a_prior_has_a_cell_for_every_16_pixels(
    colorspace: Layout, size: tuple[int, int], stem: tuple[int, int]
) -> None:
    """With a prior a video of any size and layout has three blocks of stride 2 above a stem of
    cells of 16 x 16 luma pixels.
    """
    model = PRESETS["medium"].model(video(*size), colorspace, (132,))
    assert model.prior == max(PRIORS)
    assert (model.stem.height, model.stem.width) == stem
    assert [(block.stride, block.width) for block in model.blocks] == [(2, 16)] * 3


@pytest.mark.parametrize("name", ["ultrafast", "fast", "medium", "slow", "veryslow", *PAPER])
@pytest.mark.parametrize("colorspace", COLORSPACES)
def test_ours_have_a_prior_unless_told(colorspace: Layout, name: str) -> None:
    """Networks of our presets have the newest prior, but none of RGB planes, none where none is
    wanted, and none of the paper's.
    """
    auto, none = (
        PRESETS[name].model(video(320, 180), colorspace, (132,), prior=prior)
        for prior in PRIOR_CHOICES
    )
    assert auto.prior == (0 if name in PAPER or colorspace == "rgb" else max(PRIORS))
    assert none.prior == 0
    if not auto.prior:
        assert auto == none


@pytest.mark.parametrize(
    ("rate", "width"),
    [
        (0.01, 16),
        (1.0, 16),
        (2.0, 16),
        (2.5, 16),
        (3.2, 24),
        (4.0, 24),
        (8.0, 40),
        (20.0, 64),
        (32.0, 88),
        (1e6, 88),
    ],
)
def test_a_prior_is_widened_at_high_rates(rate: float, width: int) -> None:
    """Beside a prior all blocks have its width up to twice the usual rate, and above it more, up to
    16 times that.
    """
    content = ContentStatistics(rate)
    model = PRESETS["medium"].model(video(320, 180), "yuv420", (132,), content)
    assert [block.width for block in model.blocks] == [width] * 3


@pytest.mark.parametrize(
    ("rate", "with_prior", "without"),
    [
        (8.0, 1, 1),
        (2.0, 1, 1),
        (1.0, 1, 2),
        (0.5, 2, 4),
        (0.25, 4, 16),
        (0.1, 16, 16),
        (0.01, 16, 16),
    ],
)
def test_lively_video_gets_fewer_keys_at_lower_rates(
    rate: float, with_prior: int, without: int
) -> None:
    """Three finer grids at the last levels have one interval of 16 frames, which is doubled up to
    four times as the rate falls.
    """
    content = ContentStatistics(rate, 12.1)
    for prior, times in zip(PRIOR_CHOICES, (with_prior, without)):
        model = PRESETS["medium"].model(video(416, 240, 50), "yuv420", (50,), content, prior)
        last = len(model.blocks)
        assert model.grids == (
            Grid(2, 1),
            Grid(4, 8),
            Grid(2, 16 * times, last - 2),
            Grid(3, 16 * times, last - 1),
            Grid(1, 16 * times, last),
        )


@pytest.mark.parametrize("prior", PRIOR_CHOICES)
@pytest.mark.parametrize(
    ("crf", "n_keys"), [(10, 9), (15, 9), (20, 5), (25, 3), (30, 2), (32, 1), (63, 1)]
)
def test_still_video_gets_fewer_keys_at_lower_rates(
    crf: float, n_keys: int, prior: PriorChoice
) -> None:
    """Finer grids have 9 keys on the known clip at high rates, two at the default crf and one from
    crf 32 on.
    """
    content = ContentStatistics(
        expected_bpp(rate_weight_of(crf), 320 * 180 * 132) / usual_bpp(320 * 180 * 132), 12.0
    )
    model = PRESETS["medium"].model(video(320, 180), "yuv420", (132,), content, prior)
    finer = [grid for grid in model.grids if grid.level]
    assert [grid for grid in model.grids if not grid.level] == [Grid(2, 1), Grid(4, 8)]
    assert {grid.keys((132,)) for grid in finer} == {(n_keys,)}
    channels = {1: 2, 2: 3, 3: 1} if prior == "auto" else {1: 3, 2: 1}  # of two blocks the last two
    assert {grid.level: grid.channels for grid in finer} == channels


@settings(max_examples=60)
@given(
    st.integers(2, 700),
    st.integers(2, 700),
    st.integers(1, 150),
    st.floats(0.01, 100),
    st.sampled_from([(12.0, 0.12), (12.1, 0.5)]),
    st.sampled_from(PRIOR_CHOICES),
)
def test_finer_grids_keep_to_the_files_bits(
    width: int,
    height: int,
    n_frames: int,
    rate: float,
    motion: tuple[float, float],
    prior: PriorChoice,
) -> None:
    """They have the shortest interval at which there are at most 0.12 values for each bit of the
    file, or 0.5 of high motion, or the longest.
    """
    information, most = motion
    content = ContentStatistics(rate, information)
    form = video(width, height, n_frames)
    model = PRESETS["medium"].model(form, "yuv420", (n_frames,), content, prior)
    finer = [grid for grid in model.grids if grid.level]
    if not finer:
        assert prior == "none"
        return
    n_pixels = width * height * n_frames
    n_bits = rate * usual_bpp(n_pixels) * n_pixels

    def values(interval: int) -> int:
        return sum(
            -(-n_frames // interval) * grid.channels * math.prod(model.cells(grid.level))
            for grid in finer
        )

    (interval,) = {grid.interval for grid in finer}
    assert interval in (16, 32, 64, 128, 256)
    assert values(interval) <= most * n_bits or interval == 256
    assert interval == 16 or values(interval // 2) > most * n_bits


@pytest.mark.parametrize("prior", PRIOR_CHOICES)
@pytest.mark.parametrize("information", [0.0, 12.0, 12.1, 99.0])
@pytest.mark.parametrize("n_frames", [1, 2, 50])
@pytest.mark.parametrize("size", [(2, 2), (160, 90), (416, 240)])
def test_finer_grids_follow_the_motion(
    size: tuple[int, int], n_frames: int, information: float, prior: PriorChoice
) -> None:
    """Where there are finer grids they follow a motion of half the stem's cells and are stored in
    halves and details, in symbols of 12 bits; a single block without a prior has none.
    """
    content = ContentStatistics(temporal_information=information)
    form = video(*size, n_frames)
    model = PRESETS["medium"].model(form, "yuv420", (n_frames,), content, prior)
    has_finer = any(grid.level for grid in model.grids)
    assert (
        has_finer
        == (prior == "auto" or len(model.blocks) > 1)
        == (prior == "auto" or size != (2, 2))
    )
    halves = -(-model.stem.height // 2), -(-model.stem.width // 2)
    assert model.motion == (halves if has_finer else None)
    assert (wavelet_levels(model), model.bits) == ((2, 12) if has_finer else (0, 10))


@pytest.mark.parametrize("n_frames", [1, 20, 132])
@pytest.mark.parametrize("size", [(160, 90), (320, 180), (640, 360)])
@pytest.mark.parametrize(
    ("information", "usual", "growth"), [(12.0, 100_000, 0.6), (12.1, 45_000, 0.3)]
)
def test_our_model_keeps_to_its_budget(
    information: float, usual: int, growth: float, size: tuple[int, int], n_frames: int
) -> None:
    """Without a prior there are, grids and motion aside, so many parameters at 7.6 million pixels,
    or the least width there is; of larger video up to a third more, of lively video fewer that
    hardly grow.
    """
    content = ContentStatistics(temporal_information=information)
    model = PRESETS["medium"].model(video(*size), "yuv420", (n_frames,), content, "none")
    larger = size[0] * size[1] * n_frames / 7.6e6
    budget = usual * larger**growth * (min(max(larger, 1), 4) ** 0.22 if information <= 12 else 1)
    aside = sum(t.size for t in tensors(model, (n_frames,)) if t.kind in KEYED)
    assert (
        n_parameters(model, (n_frames,)) - aside <= budget
        or max(block.width for block in model.blocks) == 4
    )


@pytest.mark.parametrize("prior", PRIOR_CHOICES)
@pytest.mark.parametrize("rate", [0.05, 0.3, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("size", [(176, 144), (640, 360), (1920, 1080)])
def test_our_widths_suit_processors(size: tuple[int, int], rate: float, prior: PriorChoice) -> None:
    """Widths are multiples of 8, or of 4 below 12, fall from block to block but the first, and grow
    with the rate; beside a prior all are equal, and grow above twice the usual rate.
    """
    widths, wider = (
        [
            block.width
            for block in PRESETS["medium"]
            .model(video(*size), "yuv420", (60,), ContentStatistics(r), prior)
            .blocks
        ]
        for r in (rate, 2 * rate)
    )
    assert all(width % 8 == 0 or width % 4 == 0 and width <= 12 for width in widths)
    assert widths[1:] == sorted(widths[1:], reverse=True)
    assert all(a <= b for a, b in zip(widths, wider, strict=True))
    if prior == "auto":
        assert len(set(widths)) == 1 and (widths != wider) == (rate >= 3)
    else:
        assert widths != wider or rate in (0.05, 20)


def test_the_command_line_has_ten_presets() -> None:
    """Ours and the published ones; those that experiments compare with are found by name alone."""
    ours = ["instant", "ultrafast", "fast", "medium", "slow", "veryslow"]
    assert list(PRESETS) == [*ours, *PAPER]
    assert not set(PRESETS) & set(COMPARISON_PRESETS)
    for name, preset in {**PRESETS, **COMPARISON_PRESETS}.items():
        assert preset_named(name) is preset


def test_an_unknown_preset_is_named() -> None:
    """The error has those of the command line."""
    with pytest.raises(ConfigError, match="^preset is 'fastest'; legal: instant, .*paper-l$"):
        preset_named("fastest")


def test_compared_networks_are_as_wide_as_they_may_be() -> None:
    """small-* and paper-small, which are compared with others at equal parameters, come within 5 %
    of theirs.
    """
    for preset in ("small-nervpp", "small-nerv", "paper-small"):
        assert (
            190_000
            < n_parameters(preset_named(preset).model(video(320, 180), "rgb", (132,)), (132,))
            <= 200_200
        )


@pytest.mark.parametrize(("n_frames", "epochs"), [(132, 10), (9, 20), (1, 100)])
def test_short_segments_get_more_epochs(n_frames: int, epochs: int) -> None:
    """Epochs rise until there are min_steps steps, and are never fewer than the recipe's."""
    preset = replace(PRESETS["medium"], fit=FitConfig(epochs=10, batch_size=2), min_steps=100)
    assert preset.fit_for(n_frames) == FitConfig(epochs=epochs, batch_size=2)


def test_presets_rise_in_effort() -> None:
    """Our presets share a recipe for the network and differ in passes and steps, rising from the
    first to the last.
    """
    names = ("instant", "ultrafast", "fast", "medium", "slow", "veryslow")
    ours = [PRESETS[name] for name in names]
    assert list(PRESETS.values())[:6] == ours and len({preset.network for preset in ours}) == 1
    for faster, slower in zip(ours, ours[1:]):
        assert faster.fit.epochs < slower.fit.epochs and faster.min_steps < slower.min_steps
        assert replace(faster.fit, epochs=1) == replace(slower.fit, epochs=1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("width", "height"), [(4097, 1), (1, 8193), (16384, 1), (16384, 2), (16384, 16384)]
)
def test_extreme_shapes_have_a_network(preset: str, width: int, height: int) -> None:
    """The thinnest and the largest frames are covered from a stem of at most 4096 cells a side."""
    form = VideoFormat(width, height, Fraction(25), 2)
    layouts: tuple[Layout, ...] = ("rgb", "yuv420")
    for colorspace, prior in product(layouts, PRIOR_CHOICES):
        model = PRESETS[preset].model(form, colorspace, (2,), prior=prior)
        assert max(model.stem.width, model.stem.height) <= 4096
