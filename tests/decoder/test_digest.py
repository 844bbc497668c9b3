"""nervcodec.decoder.digest: the MD5 of frames as FFmpeg computes it, however they are cut into
batches.
"""

from __future__ import annotations

import hashlib
import io

import av
import numpy as np
import pytest
from clips import MakeClip
from videos import clip

from nervcodec.decoder.digest import FrameHasher, raw_frames
from nervcodec.format.video_format import Layout
from nervcodec.video.frames import Frames
from nervcodec.video.y4m import write_frames

LAYOUTS: tuple[Layout, ...] = ("yuv420", "yuv422", "yuv444", "gray", "rgb")


def md5(*parts: Frames) -> str:
    hasher = FrameHasher()
    for part in parts:
        hasher.add(part)
    return hasher.digest().hex()


def ffmpeg_md5(frames: Frames) -> str:
    """What FFmpeg's md5 muxer says of frames that it codes as raw video."""
    name = {"rgb": "gbr"}.get(frames.layout, frames.layout)
    family = "gray" if name == "gray" else f"{name}p"
    pixel_format = family if frames.bit_depth == 8 else f"{family}{frames.bit_depth}le"
    output = io.BytesIO()
    with av.open(output, "w", format="md5") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.width, frames.height, pixel_format
        for planes in zip(*frames.planes, strict=True):
            picture = av.VideoFrame(frames.width, frames.height, pixel_format)
            order = (1, 2, 0) if frames.layout == "rgb" else range(len(planes))
            for k, plane in zip(order, picture.planes, strict=True):
                samples = np.frombuffer(plane, planes[k].dtype)  # type: ignore[call-overload]
                rows = samples.reshape(plane.height, -1)
                rows[:, : plane.width] = planes[k]
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return output.getvalue().decode().strip().removeprefix("MD5=")


@pytest.mark.parametrize("bit_depth", [8, 10, 12])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_ffmpeg_agrees(layout: Layout, bit_depth: int) -> None:
    """In every layout and bit depth, of an odd size, RGB as FFmpeg's planar G, B, R."""
    frames = clip(3, 11, 7, layout, bit_depth)
    assert md5(frames) == ffmpeg_md5(frames)


def test_it_is_that_of_a_y4m_files_samples(make_clip: MakeClip) -> None:
    """A .y4m file has nothing between its FRAME lines that is not counted."""
    frames = make_clip("yuv420", 3, 7, 5)
    file = io.BytesIO()
    write_frames(file, frames)
    samples = file.getvalue().replace(b"FRAME\n", b"")
    assert len(samples) == 3 * (35 + 2 * 12)
    assert md5(frames) == hashlib.md5(samples).hexdigest()


def test_a_known_value() -> None:
    """Two frames of one row by hand."""
    luma = np.array([[[1, 2]], [[3, 4]]], np.uint8)
    chroma = np.array([[[5]], [[6]]], np.uint8)
    frames = Frames("yuv420", (luma, chroma, chroma + 2))
    assert list(raw_frames(frames)) == [b"\1\2\5\7", b"\3\4\6\10"]
    assert md5(frames) == hashlib.md5(b"\1\2\5\7\3\4\6\10").hexdigest()
    deep = Frames("gray", (luma.astype(np.uint16) * 256,), 10)
    assert list(raw_frames(deep)) == [b"\0\1\0\2", b"\0\3\0\4"]


def test_batches_do_not_matter(make_clip: MakeClip) -> None:
    """Frame by frame, with planes that are views, it comes out as all at once."""
    frames = make_clip("yuv420", 5, 9, 6)
    red, green, blue = (
        np.repeat(plane, 2, axis=2)[:, :, ::2] for plane in make_clip("rgb", 2).planes
    )
    wide = Frames("rgb", (red, green, blue))
    assert md5(*(frames[t : t + 1] for t in range(5))) == md5(frames)
    assert md5(wide) == md5(make_clip("rgb", 2))


def test_every_move_shows(make_clip: MakeClip) -> None:
    """Frames that change places and a sample that is one off give another MD5."""
    frames = make_clip("yuv420", 2)
    moved = Frames("yuv420", tuple(plane.copy() for plane in frames.planes))
    moved.planes[2][1, 3, 4] += 1
    assert len({md5(frames), md5(frames[1:], frames[:1]), md5(moved)}) == 3
