"""nervcodec.decoder.digest: a segment's frames in a checksum and three sums, however they are cut
into batches.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from clips import MakeClip

from nervcodec.decoder.digest import FrameSummer
from nervcodec.format.file import FrameSums
from nervcodec.video.frames import Frames


def summed(*parts: Frames) -> FrameSums:
    summer = FrameSummer()
    for part in parts:
        summer.add(part)
    return summer.result()


@pytest.mark.parametrize("layout", ["yuv420", "rgb"])
def test_checksum_and_sums_are_those_of_the_document(make_clip: MakeClip, layout: str) -> None:
    """The checksum is over each frame's planes in turn, the sums are the planes'."""
    frames = make_clip(layout, 3, 7, 5)
    data = b"".join(plane[t].tobytes() for t in range(3) for plane in frames.planes)
    first, second, third = (int(plane.sum(dtype=int)) for plane in frames.planes)
    assert summed(frames) == FrameSums(zlib.crc32(data), (first, second, third))


def test_batches_do_not_matter(make_clip: MakeClip) -> None:
    """Frame by frame, with planes that are views, they come out as all at once."""
    frames = make_clip("yuv420", 5, 9, 6)
    red, green, blue = (
        np.repeat(plane, 2, axis=2)[:, :, ::2] for plane in make_clip("rgb", 2).planes
    )
    wide = Frames("rgb", (red, green, blue))
    assert summed(*(frames[t : t + 1] for t in range(5))) == summed(frames)
    assert summed(wide) == summed(make_clip("rgb", 2))


def test_sums_wrap(make_clip: MakeClip) -> None:
    """A sum is stored modulo 2^32, and a drift across the wrap is still the small one it is."""
    frames = make_clip("yuv420", 1, 4, 4)
    summer = FrameSummer()
    summer.add(frames)
    stored = summer.result()
    beyond = replace(
        stored,
        planes=((stored.planes[0] - 2**32 + 8) % 2**32, stored.planes[1], stored.planes[2] + 2),
    )
    assert summer.drifts(beyond) == (-8 / 16, 0, -2 / 4)


def test_a_moved_sample_shows(make_clip: MakeClip) -> None:
    """Two frames that change places have the same sums and another checksum."""
    frames = make_clip("yuv420", 2)
    turned = summed(frames[1:], frames[:1])
    assert turned.planes == summed(frames).planes and turned.crc != summed(frames).crc
