"""nervcodec.format.model_config: what is legal, and the values derived from it."""

import json
import math
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from operator import attrgetter
from typing import Any

import pytest
from models import with_stem

from nervcodec.errors import ConfigError
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.prior import PRIORS
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig

MLP = ModelConfig(20, 9, "rgb", MlpStem(3, 4, 16, 3), (Block(5, 8), Block(1, 4)))
GRID = ModelConfig(21, 9, "yuv420", GridStem(3, 6, (Grid(2, 4), Grid(4, 16))), (Block(2, 8),))
MOVING = with_stem(GRID, grids=(Grid(2, 4), Grid(1, 8, 1)), motion_height=2, motion_width=4096)


OF_PRIOR = ModelConfig(
    30,
    21,
    "yuv420",
    GridStem(2, 2, (Grid(2, 1), Grid(4, 8), Grid(2, 8, 1), Grid(3, 8, 2), Grid(1, 8, 3)), 1, 1, 2),
    (Block(2, 16),) * 3,
    biases="lean",
    bits=12,
    prior=1,
)


def changed(base: ModelConfig, field: str, value: Any) -> ModelConfig:
    """The network with another value of a field, of the stem if it is called stem.FIELD."""
    name = field.removeprefix("stem.")
    return replace(base, **{name: value}) if name == field else with_stem(base, **{name: value})


@pytest.mark.parametrize(
    ("base", "field", "value", "message"),
    [
        (MLP, "width", 0, "width is 0; legal: 1 to 65535"),
        (MLP, "width", 65536, "width is 65536; legal: 1 to 65535"),
        (MLP, "height", 0, "height is 0; legal: 1 to 65535"),
        (MLP, "height", 65536, "height is 65536; legal: 1 to 65535"),
        (MLP, "colorspace", "hsv", "colorspace is 'hsv'; legal: rgb, yuv420, yuv422, yuv444, gray"),
        (MLP, "stem.height", 0, "stem height is 0; legal: 1 to 4096"),
        (MLP, "stem.width", 4097, "stem width is 4097; legal: 1 to 4096"),
        (MLP, "blocks", (), "number of blocks is 0; legal: 1 to 8"),
        (MLP, "blocks", (Block(5, 1),) * 9, "number of blocks is 9; legal: 1 to 8"),
        (MLP, "bits", 1, "bits is 1; legal: 2 to 12"),
        (MLP, "bits", 13, "bits is 13; legal: 2 to 12"),
        (MLP, "stem.hidden", 0, "stem hidden units is 0; legal: 1 to 65535"),
        (MLP, "stem.channels", 0, "stem channels is 0; legal: 1 to 4096"),
        (GRID, "stem.grids", (), "number of grids is 0; legal: 1 to 8"),
        (GRID, "stem.grids", (Grid(1, 1),) * 9, "number of grids is 9; legal: 1 to 8"),
        (GRID, "stem.grids", (Grid(1, 1, 1),), "number of grids of level 0 is 0; legal: 1 to 8"),
        (GRID, "stem.grids", (Grid(1, 1), Grid(1, 1, 2)), "highest grid level is 2; legal: 0 to 1"),
        (GRID, "stem.motion_width", 1, "motion width without a height is 1; legal: 0 to 0"),
        (GRID, "stem.motion_height", 1, "motion width is 0; legal: 1 to 4096"),
        (MOVING, "stem.motion_height", 4097, "motion height is 4097; legal: 0 to 4096"),
        (MOVING, "stem.motion_width", 4097, "motion width is 4097; legal: 1 to 4096"),
        (MOVING, "stem.grids", (Grid(2, 4),), "number of grids that move is 0; legal: 1 to 8"),
        (MOVING, "stem.wavelet_levels", -1, "wavelet levels is -1; legal: 0 to 4"),
        (MOVING, "stem.wavelet_levels", 5, "wavelet levels is 5; legal: 0 to 4"),
        (GRID, "stem.wavelet_levels", 1, "wavelet levels is 1; legal: 0 to 0"),
        (
            MOVING,
            "stem.grids",
            (Grid(2, 4), Grid(1, 8, 1), Grid(1, 4, 1)),
            "number of intervals of grids that move is 2; legal: 1 to 1",
        ),
        (MLP, "biases", "few", "biases is 'few'; legal: all, lean"),
        (
            MLP,
            "parts",
            ("scrb2", "scrb1"),
            "parts are scrb2, scrb1; legal: some of pw, scrb1, scrb2, skip, in this order",
        ),
        (
            MLP,
            "parts",
            ("skip",),
            "parts are skip; legal: a skip only with pw, whose output it takes",
        ),
        (MLP, "height", 16, "the network gives 20x15, less than the 20x16 it must cover"),
        (GRID, "width", 25, "the network gives 12x6, less than the 13x5 it must cover"),
    ],
)
def test_model_refuses(base: ModelConfig, field: str, value: Any, message: str) -> None:
    """A value outside its range is refused with the value and the range."""
    with pytest.raises(ConfigError) as error:
        changed(base, field, value)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"colorspace": "rgb", "width": 16, "height": 16},
        {"parts": ("pw", "scrb1", "scrb2")},
        {"parts": ()},
        {"biases": "all"},
        {"blocks": (Block(2, 16), Block(2, 15), Block(2, 16))},
        {"blocks": (Block(2, 16), Block(3, 16), Block(2, 16))},
        {"blocks": (Block(2, 16), Block(2, 16), Block(4, 16))},
        {"blocks": (Block(2, 16),) * 4},
        {"stem": GridStem(2, 2, (Grid(7, 1), *OF_PRIOR.grids[2:]), 1, 1, 2)},
        {"stem": GridStem(2, 2, OF_PRIOR.grids[:-1], 1, 1, 2)},
        {"stem": GridStem(2, 2, (*OF_PRIOR.grids, Grid(1, 8, 3)), 1, 1, 2)},
        {"stem": MlpStem(2, 2, 3, 6)},
    ],
)
def test_a_prior_is_for_its_networks_alone(changes: dict[str, Any]) -> None:
    """RGB, narrower blocks, other strides, parts, biases and grids are refused; all but these are
    legal without the prior.
    """
    replace(OF_PRIOR, prior=0, **changes)
    with pytest.raises(ConfigError) as error:
        replace(OF_PRIOR, **changes)
    assert str(error.value) == "prior is 1, which is not for this network; legal: 0"


@pytest.mark.parametrize("number", [-1, max(PRIORS) + 1, 255])
def test_unknown_priors_are_refused(number: int) -> None:
    """The message says which there are."""
    with pytest.raises(ConfigError, match=f"prior is {number}; legal: 0, 1"):
        replace(OF_PRIOR, prior=number)


@pytest.mark.parametrize(
    "changes",
    [
        *({"colorspace": layout} for layout in ("yuv422", "yuv444", "gray")),
        {"blocks": (Block(2, 17), Block(2, 16), Block(2, 4096))},
        {"stem": GridStem(2, 2, OF_PRIOR.grids)},
        {"stem": GridStem(2, 2, (Grid(6, 3), *OF_PRIOR.grids[2:]), 1, 1, 2)},
        {"bits": 8, "bit_depth": 10},
    ],
)
def test_a_prior_is_for_all_layouts_and_wider_networks(changes: dict[str, Any]) -> None:
    """It is for all layouts of half size, for wider blocks, and whatever grids make up a level."""
    assert replace(OF_PRIOR, **changes).prior == 1


def test_the_checksum_of_a_prior() -> None:
    """It is 0 without one."""
    assert (OF_PRIOR.prior_crc, GRID.prior_crc) == (PRIORS[1].crc, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 1),
        ("height", 15),
        ("bits", 2),
        ("bits", 12),
        ("stem.hidden", 65535),
        ("stem.channels", 4096),
        ("parts", ()),
        ("parts", ("scrb1", "scrb2")),
        ("biases", "lean"),
    ],
)
def test_model_takes_the_ends_of_ranges(field: str, value: Any) -> None:
    """The first and last legal values are taken as they are."""
    assert attrgetter(field)(changed(MLP, field, value)) == value


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Grid, (0, 1)),
        (Grid, (256, 1)),
        (Grid, (1, 0)),
        (Grid, (1, 65536)),
        (Block, (0, 1)),
        (Block, (17, 1)),
        (Block, (1, 0)),
        (Block, (1, 4097)),
    ],
)
def test_grid_and_block_refuse(kind: Any, values: tuple[int, int]) -> None:
    """Grids and blocks refuse values that their bytes in the file cannot hold."""
    with pytest.raises(ConfigError):
        kind(*values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1_000_001),
        ("finetune_epochs", -1),
        ("batch_size", 0),
        ("batch_size", 1025),
        ("loss", "ssim"),
        ("optimizer", "sgd"),
        ("precision", "float16"),
        ("learning_rate", -1e-9),
        ("muon_rate", -1.0),
        ("finetune_rate", -0.1),
        ("rate_weight", -0.1),
        ("rate_weight", math.nan),
        ("max_gradient", math.inf),
        ("initial_step", -1.0),
        ("rate_fall", -0.1),
        ("rate_fall", 1.1),
        ("warmup", 1.1),
        ("round_from", -0.1),
        ("rdoq_share", -0.1),
        ("rdoq_share", 1.1),
        ("prune", 1.0),
        ("prune", -0.1),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_fit_refuses(field: str, value: Any) -> None:
    """A fit's value outside its range is refused, NaN and infinity too."""
    with pytest.raises(ConfigError, match="legal: "):
        FitConfig(**{field: value})


def test_pruning_needs_fine_tuning() -> None:
    """Pruning without a second stage is refused: nothing would repair the damage."""
    with pytest.raises(ConfigError, match="pruning 0.4 needs fine-tuning epochs"):
        FitConfig(prune=0.4)


def test_total_epochs_counts_both_stages() -> None:
    """total_epochs is the sum over the stages."""
    assert FitConfig(epochs=7, finetune_epochs=3).total_epochs == 10


@pytest.mark.parametrize(("bits", "max_symbol"), [(2, 1), (6, 31), (8, 127), (12, 2047)])
def test_max_symbol(bits: int, max_symbol: int) -> None:
    """b bits stand for the 2^b - 1 symbols around zero."""
    assert replace(MLP, bits=bits).max_symbol == max_symbol


def test_rgb_plane_is_the_frame() -> None:
    """An RGB head has three planes of the frame's size."""
    assert (MLP.n_planes, MLP.plane_width, MLP.plane_height) == (3, 20, 9)


def test_yuv_plane_is_half_rounded_up() -> None:
    """A YUV head has six planes of half the frame's size, rounded up."""
    assert (GRID.n_planes, GRID.plane_width, GRID.plane_height) == (6, 11, 5)


def test_covered_size_is_stem_times_strides() -> None:
    """The strides' product enlarges the stem's feature map."""
    assert (MLP.scale, MLP.covered_width, MLP.covered_height) == (5, 20, 15)


def test_input_channels() -> None:
    """The first block gets the MLP's channels, or those of all grids of level 0 together."""
    finer = with_stem(GRID, grids=(*GRID.grids, Grid(5, 1, 1)))
    assert (MLP.stem.channels, GRID.stem.channels, finer.stem.channels) == (3, 6, 6)


def test_bands_are_halves_rounded_up() -> None:
    """A grid that moves is halved as often as there are levels; the stem's own and those that stand
    still are not.
    """
    model = with_stem(MOVING, wavelet_levels=3)
    assert model.bands(1) == [(6, 12), (3, 6), (2, 3), (1, 2)]
    assert model.bands(0) == [(3, 6)] and MOVING.bands(1) == [(6, 12)]


@pytest.mark.parametrize(
    ("n_frames", "interval", "n_keys"), [(1, 4, 1), (4, 4, 1), (5, 4, 2), (9, 1, 9), (3, 99, 1)]
)
def test_keys(n_frames: int, interval: int, n_keys: int) -> None:
    """A grid has a key for every interval of a shot that is begun."""
    assert Grid(1, interval).keys((n_frames, 1, n_frames)) == (n_keys, 1, n_keys)


@pytest.mark.parametrize("model", [MLP, GRID, replace(MOVING, parts=(), bits=12), OF_PRIOR])
def test_json_says_all_of_a_network(model: ModelConfig) -> None:
    """What as_json gives is JSON, names the kind of stem and stands for the same network."""
    values = json.loads(json.dumps(model.as_json()))
    assert values["stem"]["kind"] == ("mlp" if model is MLP else "grid")
    assert ModelConfig.from_json(values) == model


def test_configs_are_frozen() -> None:
    """What was validated cannot be changed afterwards."""
    with pytest.raises(FrozenInstanceError):
        MLP.bits = 99  # type: ignore[misc]


def test_duration_is_exact_at_ntsc_rates() -> None:
    """30000/1001 frames a second for 30000 frames last 1001 seconds."""
    assert VideoFormat(8, 8, Fraction(30000, 1001), 30000).duration_s == 1001.0


def test_bpp_and_rate() -> None:
    """bpp is 8 bytes / (frames * luma pixels), the rate is 8 bytes / 1000 / duration."""
    form = VideoFormat(20, 10, Fraction(25), 50)
    assert (form.n_pixels, form.bpp(5000), form.kbit_per_s(5000)) == (10_000, 4.0, 20.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"height": 65536}, "height is 65536"),
        ({"n_frames": 0}, "number of frames is 0"),
        ({"n_frames": (1 << 24) + 1}, "number of frames"),
        ({"layout": "yuv440"}, "legal: yuv420, rgb"),
        ({"bit_depth": 9}, "bit depth is 9; legal: 8, 10, 12"),
        ({"frame_rate": Fraction(0)}, "frame rate is 0"),
        ({"sample_aspect_ratio": Fraction(-1)}, "aspect ratio is -1"),
    ],
)
def test_a_format_outside_its_range_is_refused(changes: dict[str, Any], message: str) -> None:
    """A VideoFormat that no file could hold names the value."""
    with pytest.raises(ConfigError, match=message):
        replace(VideoFormat(16, 16, Fraction(25), 5), **changes)
