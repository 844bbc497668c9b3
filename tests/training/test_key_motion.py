"""nervcodec.training.key_motion: frames find where they are in the keys around them."""

from __future__ import annotations

import pytest
import torch
from moving_pictures import INNER, panned, seen_from, vector

from nervcodec.nn.grids import distances
from nervcodec.nn.integer_network import key_frames
from nervcodec.training.key_motion import key_motion


@pytest.mark.parametrize(("n_frames", "n_keys"), [(8, 2), (9, 2), (6, 1)])
@pytest.mark.parametrize(
    ("right", "down"), [(1.0, 0.0), (-3.0, 2.0), (0.5, -0.25), (0.0, 1.5), (4.0, -3.0)]
)
def test_a_pan_is_one_motion(n_frames: int, n_keys: int, right: float, down: float) -> None:
    """A camera at constant speed has, in all frames and those on keys too, what it moves by from
    key to key, to 0.35 samples, and next to no offset.
    """
    motion, offset = key_motion(panned(n_frames, right, down), n_keys, 4, 6)
    assert motion.shape == offset.shape == (n_frames, 2, 4, 6)
    expected = vector(right, down) * n_frames / n_keys
    assert float((motion - expected)[INNER].abs().max()) < 0.35
    assert float(offset[INNER].abs().max()) < 0.15


def test_a_camera_that_stops_has_an_offset() -> None:
    """Where the speed changes between two keys, motion and offset lead to both, to half a sample.
    A motion alone would miss one of them by a sample and more.
    """
    places = [0.0, 2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0]
    motion, offset = key_motion(seen_from([(place, 0) for place in places]), 2, 4, 6)
    keys = key_frames(8, 2).tolist()
    fars = torch.from_numpy(distances((8,), (2,))).float()
    for frame in range(keys[0] + 1, keys[1]):
        for key, far in zip(keys, fars[:, frame]):
            missed = motion[frame] * far + offset[frame] - vector(places[frame] - places[key], 0)
            assert float(missed[INNER].abs().max()) < 0.5
    assert float(offset[4, 0][INNER].mean()) > 1


@pytest.mark.parametrize(("n_frames", "n_keys"), [(8, 2), (5, 1), (4, 4)])
def test_still_frames_do_not_move(n_frames: int, n_keys: int) -> None:
    """Frames that are all the same have exactly 0 of motion and offset."""
    motion, offset = key_motion(panned(n_frames, 0, 0), n_keys, 4, 6)
    assert not motion.any() and not offset.any()


def test_two_layers_move_apart() -> None:
    """Cells of a still half stay at 0 while those of the other one follow it."""
    still, moving = panned(8, 0, 0), panned(8, 2, 0, seed=1)
    motion, _ = key_motion(torch.cat([still, moving], dim=2), 2, 4, 12)
    assert float(motion[:, :, :, :5].abs().max()) < 0.1
    assert float((motion[:, 0, :, 7:11] - 2 * 8 / 2).abs().max()) < 0.5


def test_noise_on_a_still_picture_is_hardly_motion() -> None:
    """Cells whose frames differ by noise alone move by less than a quarter of a sample from key to
    key, and do not offset.
    """
    noise = 2 * torch.randn((9, 64, 96), generator=torch.Generator().manual_seed(3))
    motion, offset = key_motion(panned(9, 0, 0) + noise, 2, 4, 6)
    assert float(motion.abs().max()) < 0.25 and not offset.any()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 64)])
@pytest.mark.parametrize(("n_frames", "n_keys"), [(1, 1), (2, 1), (3, 3), (5, 2)])
def test_the_smallest_frames(size: tuple[int, int], n_frames: int, n_keys: int) -> None:
    """Frames smaller than the search have a motion and an offset that are numbers."""
    luma = 255 * torch.rand((n_frames, *size), generator=torch.Generator().manual_seed(0))
    for field in key_motion(luma, n_keys, 2, 1):
        assert field.shape == (n_frames, 2, 2, 1) and field.isfinite().all()


@pytest.mark.parametrize(("n_frames", "n_keys"), [(1, 1), (6, 6)])
def test_frames_that_are_all_keys_have_no_motion(n_frames: int, n_keys: int) -> None:
    """A single frame, or a key for each, is at no distance from its key: nothing is searched."""
    motion, offset = key_motion(panned(n_frames, 3, 1), n_keys, 4, 6)
    assert not motion.any() and not offset.any()


def test_frames_do_not_depend_on_what_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair of pictures at a time gives the same as all at once."""
    luma = panned(7, 1, -1)
    expected = key_motion(luma, 2, 4, 6)
    monkeypatch.setattr("nervcodec.training.block_matching._BATCH_VALUES", 1)
    for found, field in zip(key_motion(luma, 2, 4, 6), expected):
        torch.testing.assert_close(found, field, rtol=0, atol=1e-4)
