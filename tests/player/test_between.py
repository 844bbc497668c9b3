"""Times between two frames of a shot: what the network makes of them, in integers of section 5."""

from __future__ import annotations

import base64
import bisect
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from player_tool import ask, needs_node
from reference_network import Network, blend_weight, clip, displacement, key_frames, moved, rs
from reference_reader import read
from reference_streams import Longs, n_keys

DATA = Path(__file__).parents[1] / "data"
PARTS = 16

pytestmark = needs_node


class Between(Network):
    """The network of a segment, whose times count 16ths of a frame."""

    def blend(self, t: int, level: int) -> Longs:
        """Section 5.5, keys standing on 16 n(k)."""
        found, ends = [], [PARTS * end for end in itertools.accumulate(self.shots)]
        shot = bisect.bisect_right(ends, t)
        n_frames = self.shots[shot]
        first = ends[shot] - PARTS * n_frames
        for g, (_, interval, grid_level) in enumerate(self.file.grids):
            if grid_level != level:
                continue
            n = n_keys(self.shots, interval)
            keys = self.keys[g][sum(n[:shot]) : sum(n[: shot + 1])]
            stands = [PARTS * frame for frame in key_frames(n_frames, len(keys))]
            a, w = blend_weight(t - first, stands)
            value = (256 - w) * self.seen(keys, a, t, t - first - stands[a], n_frames, level)
            if w:
                distance = t - first - stands[a + 1]
                value = value + w * self.seen(keys, a + 1, t, distance, n_frames, level)
            found.append(rs(value, 8))
        return np.concatenate(found)

    def seen(self, keys: Longs, k: int, t: int, distance: int, n_frames: int, level: int) -> Longs:
        """Section 5.7, so many 16ths from the key, by motion and offset between two frames."""
        if level == 0 or self.file.motion is None:
            key: Longs = keys[k]
            return key
        frame, part = divmod(t, PARTS)
        m, o = (
            self.in_between(clip(rs(self.x_of[f"stem.{name}.weight"], 12), 2**24), frame, part)
            for name in ("motion", "offset")
        )
        strides = [stride for stride, _ in self.file.blocks]
        p = displacement(m, o, distance, len(keys), PARTS * n_frames)
        return moved(keys[k], p, int(np.prod(strides[:level])), int(np.prod(strides)))

    @staticmethod
    def in_between(values: Longs, frame: int, part: int) -> Longs:
        """Those of a frame, and so many 16ths of the way to the next one's."""
        if part == 0:
            first: Longs = values[frame]
            return first
        return rs((PARTS - part) * values[frame] + part * values[frame + 1], 4)


def planes_at(name: str, times: list[float], engine: str) -> Any:
    """The planes of the first segment at these times as the player has them, None for none."""
    answers = ask("between", path=str(DATA / f"{name}.nvpp"), engine=engine, times=times)
    return [
        answer if answer is None else [base64.b64decode(plane) for plane in answer]
        for answer in answers
    ]


@pytest.mark.parametrize("engine", ["js", "wasm"])
@pytest.mark.parametrize("name", ["grid_yuv", "moving_yuv", "wavelets_yuv", "shots_yuv", "prior"])
def test_samples_between_frames(name: str, engine: str) -> None:
    """Each is that of section 5 in 16ths, and at whole times that of the file."""
    network = Between(read((DATA / f"{name}.nvpp").read_bytes()), 0)
    ends = list(itertools.accumulate(network.shots))
    shot = max(range(len(ends)), key=lambda i: network.shots[i])
    first = PARTS * (ends[shot] - network.shots[shot])
    times = [first + part for part in (0, 1, 8, 15, 16, 21, 32)]
    found = planes_at(name, [time / PARTS for time in times], engine)
    for time, planes in zip(times, found, strict=True):
        wanted = network.frame(time)
        assert planes == [plane.tobytes() for plane in wanted], time
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as golden:
        for index in (0, 4, 6):
            frame = times[index] // PARTS
            assert found[index] == [plane[frame].tobytes() for plane in golden.values()]
    assert len({planes[0] for planes in found}) >= 3


def test_times_that_are_not_offered() -> None:
    """Across a cut, behind the last frame, of an MLP stem, and finer than a 16th."""
    assert planes_at("shots_yuv", [0.5, 3.0625, 1.03], "js") == [None] * 3
    assert planes_at("mlp_rgb", [0.5, -0.5], "js") == [None] * 2


def test_pictures_between_frames_of_a_shot() -> None:
    """A file of two segments with a cut each: none across a cut or between segments, and each
    picture has its time.
    """
    found = ask("pictures", path=str(DATA / "shots_yuv.nvpp"), parts=4)
    whole, part = range(7), (0.25, 0.5, 0.75)
    cuts = (0, 3, 5)
    assert found["coded"] == [
        n + (0 if n in cuts else p) for n in whole for p in (0, *part) if n < 6 or p == 0
    ]
    assert found["times"] == pytest.approx([n * 1.001 / 120 for n in range(25)] + [7.007 / 30])
    assert found["back"] == list(range(25))
