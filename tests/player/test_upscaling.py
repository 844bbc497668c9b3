"""Pictures of twice the size: what the network makes between its samples, in integers."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import numpy as np
import pytest
from player_tool import ask, needs_node
from reference_network import Network, clip, displacement, key_frames, moved, rs
from reference_reader import PHASES, read
from reference_streams import Longs

DATA = Path(__file__).parents[1] / "data"
NAMES = "gray grid_yuv moving_yuv wavelets_yuv prior prior_wide_yuv422 yuv422_10 yuv444_12".split()

pytestmark = needs_node


class Shifted(Network):
    """The network of a segment, all of whose grids are taken `shift` 256ths of a sample of the head
    to the right and down.
    """

    shift = np.zeros((2, 1, 1), np.int64)

    def shown(self, keys: Longs, k: int, t: int, first: int, n_frames: int, level: int) -> Longs:
        """Section 5.7, P of every key with the shift."""
        p = self.shift
        if level > 0 and self.file.motion is not None:
            m, o = (
                clip(rs(self.x_of[f"stem.{name}.weight"][t], 12), 2**24)
                for name in ("motion", "offset")
            )
            n = t - first - key_frames(n_frames, len(keys))[k]
            p = p + displacement(m, o, n, len(keys), n_frames)
        strides = [stride for stride, _ in self.file.blocks]
        return moved(keys[k], p, math.prod(strides[:level]), math.prod(strides))

    def four(self, t: int) -> list[list[Longs]]:
        """The planes of a frame moved by quarters of a sample: up left, up right, ..."""
        quarter = 64 // PHASES[self.header["colorspace"]][0][0]
        made = []
        for down in (-quarter, quarter):
            for right in (-quarter, quarter):
                self.shift = np.array([right, down])[:, None, None]
                made.append([plane.astype(np.int64) for plane in self.frame(t)])
        self.shift = np.zeros((2, 1, 1), np.int64)
        return made


def smoothed(plane: Longs) -> Longs:
    """16 times a plane, smoothed by 1 2 1 in both directions."""
    x = np.pad(plane, 1, mode="edge")
    x = x[:-2] + 2 * x[1:-1] + x[2:]
    return x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]


def doubled(plane: Longs, four: list[Longs], peak: int) -> Longs:
    """A plane of twice the rows and columns, of itself and of itself moved four ways."""
    rows, columns = plane.shape
    wide = np.stack(four).reshape(2, 2, rows, columns).transpose(2, 0, 3, 1)
    smooth = smoothed(wide.reshape(2 * rows, 2 * columns))
    lack = 64 * plane - smooth.reshape(rows, 2, columns, 2).sum((1, 3))
    correction = smoothed(lack.repeat(2, 0).repeat(2, 1))
    found: Longs = np.clip((64 * smooth + correction + 512) >> 10, 0, peak)
    return found


def upscaled(name: str, times: list[float], engine: str) -> list[list[bytes] | None]:
    """The planes of the first segment's frames of twice the size as the player has them."""
    path = str(DATA / f"{name}.nvpp")
    answers = ask("between", path=path, engine=engine, times=times, upscale=True)
    return [
        answer if answer is None else [base64.b64decode(plane) for plane in answer]
        for answer in answers
    ]


@pytest.mark.parametrize("engine", ["js", "wasm"])
@pytest.mark.parametrize("name", NAMES)
def test_samples_of_twice_the_size(name: str, engine: str) -> None:
    """Those of a computation by the specification's integers, at its first and last frame."""
    network = Shifted(read((DATA / f"{name}.nvpp").read_bytes()), 0)
    last = sum(network.shots) - 1
    found = upscaled(name, [0, last], engine)
    header = network.header
    peak = 2**network.sample_bits - 1
    for t, planes in zip((0, last), found, strict=True):
        assert planes is not None
        four = network.four(t)
        for k, plane in enumerate(network.frame(t)):
            whole = plane.astype(np.int64)
            wanted = doubled(whole, [each[k] for each in four], peak)
            # Where a plane has a sample for two rows or columns, so has the larger one.
            height, width = (
                2 * header[side] if size == header[side] else header[side]
                for side, size in zip(("height", "width"), plane.shape, strict=True)
            )
            assert planes[k] == wanted[:height, :width].astype(plane.dtype).tobytes()


def test_means_of_four_are_the_samples_of_the_file() -> None:
    """Within a few levels, which an enlargement by repetition alone would have at none."""
    name = "moving_yuv"
    planes = upscaled(name, [1], "wasm")[0]
    assert planes is not None
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as golden:
        luma = next(iter(golden.values()))[1].astype(float)
    rows, columns = luma.shape
    large = np.frombuffer(planes[0], np.uint8).reshape(rows, 2, columns, 2).astype(float)
    assert np.abs(large.mean((1, 3)) - luma).mean() < 1
    assert large.std((1, 3)).mean() > 1


def test_what_has_no_twice_the_size() -> None:
    """An MLP stem, and a time across a cut, are refused."""
    assert upscaled("mlp_rgb", [0], "js") == [None]
    assert upscaled("shots_yuv", [0.5], "js") == [None]
