"""nervcodec.nn.network: the network against bench.reference, written with torch.nn from the paper's
figure; the planes' layout.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clips import MakeClip
from models import with_stem
from torch import Tensor

from nervcodec.bench.reference import PlainNetwork
from nervcodec.format.model_config import (
    COLORSPACES,
    PARTS,
    Block,
    Grid,
    GridStem,
    MlpStem,
    ModelConfig,
)
from nervcodec.format.tensors import MOTION_UNIT, MOTIONS, OFFSET_UNIT
from nervcodec.format.video_format import Layout
from nervcodec.nn.grids import blend_matrix, positional_encoding
from nervcodec.nn.integer_network import key_frames
from nervcodec.nn.network import Network, to_samples
from nervcodec.nn.planes import pack, unpack
from nervcodec.training.initialization import initial_parameters
from nervcodec.video.frames import Frames

N_FRAMES = 6
PAPER = ModelConfig(19, 11, "rgb", MlpStem(2, 3, 10, 3), (Block(5, 4), Block(2, 6)))
OURS = ModelConfig(
    29,
    23,
    "yuv420",
    GridStem(3, 4, (Grid(2, 2), Grid(3, 4))),
    (Block(2, 5), Block(1, 4), Block(2, 3)),
    biases="lean",
)
MOVING = with_stem(
    OURS,
    grids=(Grid(1, 2, 2), *OURS.grids, Grid(2, 2, 1), Grid(2, 2, 3), Grid(1, 2, 2)),
    motion_height=2,
    motion_width=3,
)
PRIOR = ModelConfig(
    29,
    23,
    "yuv420",
    GridStem(2, 2, (Grid(2, 1), Grid(4, 2), Grid(2, 2, 1), Grid(3, 2, 2), Grid(1, 2, 3)), 1, 2, 2),
    (Block(2, 16),) * 3,
    biases="lean",
    prior=1,
)
WIDE = replace(PRIOR, blocks=(Block(2, 24), Block(2, 16), Block(2, 19)))
CPU = torch.device("cpu")


def random_flat(network: Network, seed: int = 0) -> Tensor:
    """The parameters of a random network, biases random too; small ones beside a prior, which has
    large ones.
    """
    generator = torch.Generator().manual_seed(seed)
    start = initial_parameters(network, generator)
    flat = start + 0.1 * torch.randn(start.shape, generator=generator)
    return flat / 10 if network.model.prior else flat


def random_parameters(network: Network, seed: int = 0) -> dict[str, Tensor]:
    """The same as named tensors."""
    return network.split(random_flat(network, seed))


def start_of(model: ModelConfig) -> dict[str, Tensor]:
    """What a fit starts from, as named tensors."""
    network = Network(model, (N_FRAMES,), CPU)
    return network.split(initial_parameters(network, torch.Generator().manual_seed(0)))


# --- the network ---


@pytest.mark.parametrize(
    "model",
    [
        PAPER,
        OURS,
        replace(OURS, biases="all"),
        with_stem(OURS, grids=(Grid(1, 3, 2), *OURS.grids, Grid(2, 2, 1), Grid(2, 1, 3))),
        with_stem(replace(OURS, parts=()), grids=(*OURS.grids, Grid(2, 2, 1))),
        MOVING,
        with_stem(MOVING, wavelet_levels=1),
        with_stem(MOVING, wavelet_levels=4),
        *(
            replace(PAPER, parts=parts)
            for parts in [(), PARTS[1:3], PARTS[:3], (PARTS[0], *PARTS[2:]), (*PARTS[:2], PARTS[3])]
        ),
        PRIOR,
        WIDE,
        *(replace(WIDE, colorspace=layout) for layout in ("yuv422", "yuv444", "gray")),
    ],
    ids=[
        "paper",
        "ours",
        "our other options",
        "finer grids",
        "NeRV with finer grids",
        "grids that move",
        "wavelets",
        "many halvings",
        "NeRV",
        "SCRBs alone",
        "no skip",
        "no scrb1",
        "no scrb2",
        "prior",
        "wider than the prior",
        "prior of 4:2:2",
        "prior of 4:4:4",
        "prior of gray",
    ],
)
def test_network_is_the_figure(model: ModelConfig) -> None:
    """With the same weights the network gives the same planes as the paper's figure written with
    torch.nn.
    """
    network, figure = Network(model, (N_FRAMES,), CPU), PlainNetwork(model, N_FRAMES)
    flat, frames = random_flat(network), torch.arange(N_FRAMES)
    figure.load_flat(flat)
    with torch.no_grad():
        found, expected = network(network.split(flat), frames), figure(frames)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", [PAPER, OURS, MOVING, with_stem(MOVING, wavelet_levels=2), WIDE])
def test_frames_do_not_depend_on_their_batch(model: ModelConfig) -> None:
    """A frame decoded alone, or in another order, is the same to 1e-5."""
    network = Network(model, (N_FRAMES,), CPU)
    parameters = random_parameters(network)
    with torch.no_grad():
        together = network(parameters, torch.tensor([5, 0, 3, 1, 4, 2]))
        alone = torch.cat(
            [network(parameters, torch.tensor([frame])) for frame in [5, 0, 3, 1, 4, 2]]
        )
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_tanh_output_stays_in_range() -> None:
    """The paper's head gives values in [0, 1], however large the weights."""
    network = Network(PAPER, (N_FRAMES,), CPU)
    parameters = {name: 50 * value for name, value in random_parameters(network).items()}
    planes = network(parameters, torch.arange(N_FRAMES))
    assert 0 <= float(planes.min()) and float(planes.max()) <= 1


def test_bfloat16_parameters_give_float32_planes() -> None:
    """Arithmetic follows the parameters, the planes are float32 and near those of float32
    arithmetic.
    """
    network = Network(OURS, (N_FRAMES,), CPU)
    parameters = random_parameters(network)
    with torch.no_grad():
        exact = network(parameters, torch.arange(N_FRAMES))
        found = network(
            {name: value.bfloat16() for name, value in parameters.items()}, torch.arange(N_FRAMES)
        )
    assert found.dtype == torch.float32
    assert 0 < float((found - exact).abs().max()) < 0.1


# --- parameters ---


def test_split_gives_views_in_coded_order() -> None:
    """Named tensors are the flat vector cut in coded order; to change one is to change the
    vector.
    """
    network = Network(PAPER, (N_FRAMES,), CPU)
    flat = torch.zeros(sum(tensor.size for tensor in network.tensors))
    parts = network.split(flat)
    for number, tensor in enumerate(network.tensors):
        parts[tensor.name].fill_(number)
    expected = [number for number, tensor in enumerate(network.tensors) for _ in range(tensor.size)]
    assert flat.tolist() == expected


@pytest.mark.parametrize("model", [PAPER, OURS])
def test_start_is_without_bias(model: ModelConfig) -> None:
    """Biases start at 0 in both networks."""
    biases = [part for name, part in start_of(model).items() if name.endswith("bias")]
    assert biases
    assert not any(part.any() for part in biases)


def test_papers_weights_start_within_a_bound() -> None:
    """Weights start within 1 / sqrt(fan in), filling most of that range."""
    for name, part in start_of(PAPER).items():
        if name.endswith("weight"):
            bound = part[0].numel() ** -0.5
            assert 0.5 * bound < float(part.abs().max()) <= bound


def test_our_matrices_start_orthogonal() -> None:
    """All singular values of a matrix, and of a convolution's [out, in * k * k], are 0.7."""
    weights = {name: part for name, part in start_of(OURS).items() if name.endswith("weight")}
    matrices = [part.flatten(1) for name, part in weights.items() if ".dw." not in name]
    assert matrices
    for matrix in matrices:
        torch.testing.assert_close(
            torch.linalg.svdvals(matrix), torch.full((min(matrix.shape),), 0.7)
        )


def test_our_depthwise_kernels_start_by_passing_on() -> None:
    """A depthwise kernel gives 1.5 times what it takes."""
    kernels = [part for name, part in start_of(OURS).items() if ".dw.weight" in name]
    assert kernels
    x = torch.rand(2, len(kernels[0]), 5, 7)
    torch.testing.assert_close(F.conv2d(x, kernels[0], padding=1, groups=x.shape[1]), 1.5 * x)


def test_start_depends_on_the_seed_alone() -> None:
    """The same seed gives the same start, another one another."""
    network = Network(OURS, (N_FRAMES,), CPU)
    first, again, other = (
        initial_parameters(network, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# --- tables ---


@pytest.mark.parametrize("n_frames", [1, 7, 132, 150])
def test_positional_encoding_is_the_formula(n_frames: int) -> None:
    """sin, then cos, of 1.25^i pi t for i < 40, t = frame / n_frames, in float64."""
    found = positional_encoding(n_frames)
    assert found.dtype == np.float64
    for frame in range(n_frames):
        angles = [1.25**i * math.pi * (frame / n_frames) for i in range(40)]
        expected = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        np.testing.assert_allclose(found[frame], expected, rtol=0, atol=1e-9)


SPANS = [
    (n_frames, n_keys)
    for n_frames in (1, 2, 5, 16, 132)
    for n_keys in (1, 2, 5, 33)
    if n_keys <= n_frames
]


@pytest.mark.parametrize(("n_frames", "n_keys"), SPANS)
def test_blend_rows_sum_to_one(n_frames: int, n_keys: int) -> None:
    """Every frame is a mean of at most two keys, which are neighbours."""
    weights = blend_matrix(n_frames, n_keys)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert (weights >= 0).all()
    for row in weights:
        used = row.nonzero()[0]
        assert used[-1] - used[0] <= 1


@pytest.mark.parametrize(("n_frames", "n_keys"), SPANS)
def test_blend_holds_the_ends(n_frames: int, n_keys: int) -> None:
    """The first frame is the first key alone and the last frame the last."""
    weights = blend_matrix(n_frames, n_keys)
    assert weights[0, 0] == weights[-1, -1] == 1


def test_blend_is_symmetric_in_time() -> None:
    """Turning time around turns the keys around, where no span's middle is between two frames."""
    np.testing.assert_allclose(
        blend_matrix(17, 5)[::-1, ::-1], blend_matrix(17, 5), rtol=0, atol=1e-12
    )


def test_a_key_a_frame_is_no_blend() -> None:
    """With as many keys as frames every frame has its own."""
    np.testing.assert_array_equal(blend_matrix(9, 9), np.eye(9))


# --- grids that move ---


def moving_planes(motion: Tensor, offset: Tensor, keys: Tensor) -> Tensor:
    """What a grid [K, 1, 4, 6] gives under a motion and an offset [T, 2, rows, columns], shown by
    the head as it is: [T, 4, 6].
    """
    grids = (Grid(1, 1), Grid(1, -(-len(motion) // len(keys)), 1))
    model = ModelConfig(
        6,
        4,
        "rgb",
        GridStem(2, 3, grids, motion_height=motion.shape[2], motion_width=motion.shape[3]),
        (Block(2, 1),),
        parts=(),
        biases="lean",
    )
    network = Network(model, (len(motion),), CPU)
    parameters = {
        name: torch.zeros_like(value) for name, value in random_parameters(network).items()
    }
    parameters |= {"stem.motion": motion, "stem.offset": offset, "stem.grid2": keys}
    parameters["head.conv.weight"][0, 1, 1, 1] = 1  # red is the grid
    with torch.no_grad():
        return torch.atanh(2 * network(parameters, torch.arange(len(motion)))[:, 0] - 1)


def vectors(*right_and_down: tuple[float, float]) -> Tensor:
    """Fields of one vector a frame, given in cells of `moving_planes`; [T, 2, 1, 1]."""
    return torch.tensor(right_and_down).view(-1, 2, 1, 1) / MOTION_UNIT


def shown(key: Tensor, right: int, down: int) -> Tensor:
    """A key [4, 6] taken from so many cells further right and down, held at the edges."""
    rows = (torch.arange(4) + down).clamp(0, 3)
    return key[rows][:, (torch.arange(6) + right).clamp(0, 5)]


def test_a_key_is_taken_from_where_the_motion_says() -> None:
    """One key on the middle one of three frames, which it shows as it is: the others are a third of
    a key's span from it, one before and one after it.
    """
    key = torch.arange(24.0).view(1, 1, 4, 6) / 24
    motion = vectors((3, 0), (5, 5), (0, 6))
    found = moving_planes(motion, torch.zeros(3, 2, 1, 1), key)
    expected = torch.stack([shown(key[0, 0], *by) for by in ((-1, 0), (0, 0), (0, 2))])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_between_two_keys_an_offset_is_added_for_both() -> None:
    """Keys on frames 1 and 3 of four: frame 2 is half a span from both, frame 0 as far from one."""
    keys = torch.rand((2, 1, 4, 6), generator=torch.Generator().manual_seed(0)) / 2
    first, second = keys[:, 0]
    motion = vectors((2, 0), (1, 1), (2, 0), (1, 1))
    offset = vectors((3, 1), (9, 9), (-2, 1), (9, 9)) * MOTION_UNIT / OFFSET_UNIT
    between = (shown(first, -1, 1) + shown(second, -3, 1)) / 2
    expected = torch.stack([shown(first, 2, 1), first, between, second])
    torch.testing.assert_close(moving_planes(motion, offset, keys), expected, rtol=0, atol=1e-6)


def test_frames_on_keys_do_not_move() -> None:
    """A frame that a key stands on shows it as it is, whatever its motion and offset."""
    generator = torch.Generator().manual_seed(1)
    motion, offset = torch.randn((2, 5, 2, 2, 2), generator=generator)
    keys = torch.rand((2, 1, 4, 6), generator=generator) / 2
    found = moving_planes(motion, offset, keys)
    torch.testing.assert_close(found[key_frames(5, 2)], keys[:, 0], rtol=0, atol=1e-6)
    assert float((found[2] - found[1]).abs().max()) > 0.01


def test_no_motion_is_a_blend() -> None:
    """Grids that could move and do not are those of a network without motion."""
    network = Network(MOVING, (N_FRAMES,), CPU)
    still = Network(with_stem(MOVING, motion_height=0, motion_width=0), (N_FRAMES,), CPU)
    parameters = random_parameters(network)
    for name in MOTIONS:
        parameters[name] = torch.zeros_like(parameters[name])
    with torch.no_grad():
        found, expected = (each(parameters, torch.arange(N_FRAMES)) for each in (network, still))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_motion_keeps_its_precision() -> None:
    """In bfloat16 all parameters are rounded but motion and offset, of which a thousandth of a
    sample counts.
    """
    network = Network(MOVING, (N_FRAMES,), CPU)
    flat = torch.full((sum(tensor.size for tensor in network.tensors),), 3.001)
    named = network.split(flat, torch.bfloat16)
    for name, value in named.items():
        assert value.dtype == (torch.float32 if name in MOTIONS else torch.bfloat16)
        assert (float(value.max()) == float(flat[0])) == (name in MOTIONS)


# --- shots ---


SHOTS = (2, 3, 1)


@pytest.mark.parametrize(
    "model", [OURS, MOVING, with_stem(MOVING, wavelet_levels=2)], ids=["still", "moves", "halved"]
)
def test_a_shot_knows_nothing_of_the_others(model: ModelConfig) -> None:
    """A shot's frames are those of a segment that has this shot alone, with its keys and the same
    weights.
    """
    network = Network(model, SHOTS, CPU)
    generator = torch.Generator().manual_seed(3)
    flat = [0.5 * torch.randn(tensor.shape, generator=generator) for tensor in network.tensors]
    with torch.no_grad():
        whole = network(
            network.split(torch.cat([value.flatten() for value in flat])), torch.arange(sum(SHOTS))
        )
    for shot, length in enumerate(SHOTS):
        alone = Network(model, (length,), CPU)
        own = [
            torch.split(value, list(tensor.keys))[shot] if tensor.keys else value
            for value, tensor in zip(flat, network.tensors, strict=True)
        ]
        first = sum(SHOTS[:shot])
        with torch.no_grad():
            found = alone(
                alone.split(torch.cat([value.flatten() for value in own])), torch.arange(length)
            )
        torch.testing.assert_close(found, whole[first : first + length], rtol=0, atol=1e-4)


def test_motion_starts_anew_with_each_shot() -> None:
    """The motion that a fit starts from is that of each shot by itself."""
    rng = np.random.default_rng(4)
    scene = rng.integers(
        0, 256, (2, MOVING.n_planes, 8 * MOVING.plane_height, 8 * MOVING.plane_width), np.uint8
    )
    target = torch.from_numpy(
        np.concatenate(
            [
                np.stack(
                    [
                        scene[i, :, t : t + MOVING.plane_height, : MOVING.plane_width]
                        for t in range(length)
                    ]
                )
                for i, length in enumerate((4, 2))
            ]
        )
    )
    both, first, second = (
        initial_parameters(Network(MOVING, shots, CPU), torch.Generator().manual_seed(0), frames)
        for shots, frames in (((4, 2), target), ((4,), target[:4]), ((2,), target[4:]))
    )
    assert MOVING.motion
    size = 2 * math.prod(MOVING.motion)
    for start in (0, 1):  # of motion, of turn
        fields = [
            flat[start * n * size : (start + 1) * n * size]
            for flat, n in zip((both, first, second), (6, 4, 2))
        ]
        torch.testing.assert_close(fields[0], torch.cat(fields[1:]))
    assert both[: 4 * size].any() and both[4 * size : 6 * size].any()


# --- planes ---


def plane_model(colorspace: Layout, width: int, height: int) -> ModelConfig:
    return ModelConfig(
        width, height, colorspace, GridStem(height, width, (Grid(1, 1),)), (Block(1, 1),)
    )


@pytest.mark.parametrize("colorspace", COLORSPACES)
@pytest.mark.parametrize("width", range(1, 6))
@pytest.mark.parametrize("height", range(1, 6))
def test_unpack_inverts_pack(
    make_clip: MakeClip, colorspace: Layout, width: int, height: int
) -> None:
    """Planes of every small size, odd ones too, come back as frames."""
    frames = make_clip(colorspace, 3, width, height)
    model = plane_model(colorspace, width, height)
    packed = pack(frames, model)
    assert packed.shape == (3, model.n_planes, model.plane_height, model.plane_width)
    back = unpack(packed, model)
    assert back.layout == frames.layout
    for plane, expected in zip(back.planes, frames.planes):
        np.testing.assert_array_equal(plane, expected)


def test_luma_phases_are_those_of_the_document(make_clip: MakeClip) -> None:
    """Planes 0 to 3 are luma at even and odd rows and columns; a missing last one repeats the one
    before.
    """
    frames = make_clip("yuv420", 1, 5, 3)
    luma, packed = frames.planes[0][0], pack(frames, plane_model("yuv420", 5, 3))[0]
    np.testing.assert_array_equal(packed[0], luma[0::2, 0::2])
    np.testing.assert_array_equal(packed[1], luma[0::2, [1, 3, 4]])
    np.testing.assert_array_equal(packed[2], luma[[1, 2]][:, 0::2])
    np.testing.assert_array_equal(packed[3], luma[[1, 2]][:, [1, 3, 4]])
    np.testing.assert_array_equal(packed[4:], np.stack([plane[0] for plane in frames.planes[1:]]))


def test_samples_are_rounded_and_clipped() -> None:
    """255 v is rounded to the nearest, halves to even, and clipped to 0..255."""
    values = torch.tensor([-1.0, 0.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 100.4 / 255, 1.0, 9.0])
    assert to_samples(values, plane_model("rgb", 8, 1)).tolist() == [0, 0, 0, 2, 2, 100, 255, 255]


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_samples_come_back(bits: int) -> None:
    """Samples of 10 and 12 bits pass the network's planes as they are, up to the peak."""
    peak = (1 << bits) - 1
    model = replace(plane_model("gray", 4, 2), bit_depth=bits)
    samples = np.array([0, 1, 2, 255, 256, 511, peak - 1, peak], np.uint16).reshape(1, 2, 4)
    planes = torch.from_numpy(pack(Frames("gray", (samples,), bits), model))
    back = unpack(to_samples(planes.double() / peak, model).numpy(), model)
    assert back.bit_depth == bits
    np.testing.assert_array_equal(back.planes[0], samples)
