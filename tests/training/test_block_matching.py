"""nervcodec.training.block_matching: block matching finds the moves that were made."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from nervcodec.nn.grids import distances, key_frames, moved
from nervcodec.training.block_matching import key_motion, matched

INNER = (..., slice(1, -1), slice(1, -1))  # at the edges keys lack what other frames show


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth noise, float32 [height, width], 0 to 255."""
    noise = torch.rand(
        (1, 1, height // 3 + 2, width // 3 + 2), generator=torch.Generator().manual_seed(seed)
    )
    return (
        255
        * torch.nn.functional.interpolate(
            noise, (height, width), mode="bicubic", align_corners=False
        )[0, 0]
    )


def seen_from(places: Sequence[tuple[float, float]], seed: int = 0) -> Tensor:
    """A camera at places (right, down) over a texture: a frame for each, [T, 64, 96]."""
    picture = texture(200, 300, seed)[None, None]
    ways = [torch.tensor(place).view(1, 2, 1, 1).expand(1, 2, 200, 300) for place in places]
    return torch.stack([moved(picture, way)[0, 0, 60:124, 90:186] for way in ways])


def panned(n_frames: int, right: float, down: float, seed: int = 0) -> Tensor:
    """A camera that moves by so many samples a frame."""
    return seen_from([(t * right, t * down) for t in range(n_frames)], seed)


def vector(right: float, down: float) -> Tensor:
    """The same vector in every cell, [2, 1, 1]."""
    return torch.tensor([right, down]).view(2, 1, 1)


@pytest.mark.parametrize(("n_frames", "n_keys"), [(8, 2), (9, 2), (6, 1)])
@pytest.mark.parametrize(
    ("right", "down"), [(1.0, 0.0), (-3.0, 2.0), (0.5, -0.25), (0.0, 1.5), (4.0, -3.0)]
)
def test_a_pan_is_one_motion(n_frames: int, n_keys: int, right: float, down: float) -> None:
    """A camera at constant speed has, in all frames and those on keys too, what it moves by from
    key to key, to 0.3 samples, and no turn.
    """
    motion, turn = key_motion(panned(n_frames, right, down), n_keys, 4, 6)
    assert motion.shape == turn.shape == (n_frames, 2, 4, 6)
    expected = vector(right, down) * n_frames / n_keys
    assert float((motion - expected)[INNER].abs().max()) < 0.3
    assert not turn[INNER].any()


def test_a_camera_that_stops_has_a_turn() -> None:
    """Where the speed changes between two keys, motion leads to the first one, with its turn to the
    second one, to half a sample.
    """
    places = [0.0, 2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0]
    motion, turn = key_motion(seen_from([(place, 0) for place in places]), 2, 4, 6)
    first, second = key_frames(8, 2).tolist()
    fars = torch.from_numpy(distances((8,), (2,))).float()
    for frame in range(first + 1, second):
        before = motion[frame] * fars[0, frame] - vector(places[frame] - places[first], 0)
        after = (motion + turn)[frame] * fars[1, frame] - vector(places[frame] - places[second], 0)
        assert float(before[INNER].abs().max()) < 0.5 and float(after[INNER].abs().max()) < 0.5
    assert turn[4, 0].mean() < -5


@pytest.mark.parametrize(("n_frames", "n_keys"), [(8, 2), (5, 1), (4, 4)])
def test_still_frames_do_not_move(n_frames: int, n_keys: int) -> None:
    """Frames that are all the same have exactly 0 of motion and turn."""
    motion, turn = key_motion(panned(n_frames, 0, 0), n_keys, 4, 6)
    assert not motion.any() and not turn.any()


def test_two_layers_move_apart() -> None:
    """Cells of a still half stay at 0 while those of the other one follow it."""
    still, moving = panned(8, 0, 0), panned(8, 2, 0, seed=1)
    motion, _ = key_motion(torch.cat([still, moving], dim=2), 2, 4, 12)
    assert float(motion[:, :, :, :5].abs().max()) < 0.1
    assert float((motion[:, 0, :, 7:11] - 2 * 8 / 2).abs().max()) < 0.5


def test_noise_on_a_still_picture_is_hardly_motion() -> None:
    """Cells whose frames differ by noise alone move by less than a quarter of a sample from key to
    key, and do not turn.
    """
    noise = 2 * torch.randn((9, 64, 96), generator=torch.Generator().manual_seed(3))
    motion, turn = key_motion(panned(9, 0, 0) + noise, 2, 4, 6)
    assert float(motion.abs().max()) < 0.25 and not turn.any()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 64)])
@pytest.mark.parametrize(("n_frames", "n_keys"), [(1, 1), (2, 1), (3, 3), (5, 2)])
def test_the_smallest_frames(size: tuple[int, int], n_frames: int, n_keys: int) -> None:
    """Frames smaller than the search have a motion and a turn that are numbers."""
    luma = 255 * torch.rand((n_frames, *size), generator=torch.Generator().manual_seed(0))
    for field in key_motion(luma, n_keys, 2, 1):
        assert field.shape == (n_frames, 2, 2, 1) and field.isfinite().all()


@pytest.mark.parametrize(("n_frames", "n_keys"), [(1, 1), (6, 6)])
def test_frames_that_are_all_keys_have_no_motion(n_frames: int, n_keys: int) -> None:
    """A single frame, or a key for each, is at no distance from its key: nothing is searched."""
    motion, turn = key_motion(panned(n_frames, 3, 1), n_keys, 4, 6)
    assert not motion.any() and not turn.any()


def test_frames_do_not_depend_on_what_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair of pictures at a time gives the same as all at once."""
    luma = panned(7, 1, -1)
    expected = key_motion(luma, 2, 4, 6)
    monkeypatch.setattr("nervcodec.training.block_matching._BATCH_VALUES", 1)
    for found, field in zip(key_motion(luma, 2, 4, 6), expected):
        torch.testing.assert_close(found, field, rtol=0, atol=1e-4)


def test_a_search_begins_at_what_is_known() -> None:
    """A move beyond the reach of the search is found from a guess nearby."""
    luma = seen_from([(0, 0), (40, -30)])
    known = vector(38, -29).expand(1, 2, 4, 6)
    found = matched(luma[1:], luma[:1], known)
    inner = found[..., 2:, :3]  # the key has nothing of the rest
    assert float((inner - vector(40, -30)).abs().max()) < 0.3
