"""Files that are no video, and damaged containers: one line, exit 3, and nothing is lost."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from refusals import SENSELESS, add_frames, refused, shade
from shell import Shell


def interlaced(path: Path) -> None:
    add_frames(path, "libx264", size=(64, 64), n_frames=2, **{"x264-params": "tff=1"})


def resized_mkv(path: Path) -> None:
    """Two frames of 64 x 48 and two of 32 x 32, in one H.264 stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
        t = 0
        for size in ((64, 48), (32, 32)):
            context = av.CodecContext.create("libx264", "w")
            assert isinstance(context, av.VideoCodecContext)
            context.width, context.height, context.pix_fmt = *size, "yuv420p"
            context.time_base = Fraction(1, 25)
            packets = [
                packet
                for frame in (shade(0, "yuv420p", size), shade(1, "yuv420p", size), None)
                for packet in context.encode(frame)
            ]
            for packet in packets:
                packet.stream, packet.pts, packet.dts, packet.time_base = (
                    stream,
                    t,
                    t,
                    Fraction(1, 25),
                )
                container.mux(packet)
                t += 1


def resized_ts(path: Path) -> None:
    """Three frames of 16 x 16 and three of 32 x 16: two files in a row, which is a legal transport
    stream.
    """
    parts = [
        add_frames(path.with_suffix(".one"), "mpeg2video", "yuv420p", size, 3, "mpegts")
        for size in ((16, 16), (32, 16))
    ]
    path.with_suffix(".one").unlink()
    path.write_bytes(b"".join(parts))


def sound(path: Path) -> None:
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        44,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        16000,
        2,
        16,
        b"data",
        8,
    )
    path.write_bytes(head + bytes(8))


INVALID = f"cannot read in: Invalid data found when processing input; {SENSELESS}"


BAD_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "cannot read in: the file is empty"),
    "text": (
        lambda path: path.write_text("hello\n" * 99),
        f"cannot read in: (Invalid .*; {SENSELESS}|it is text, .*)",
    ),
    "noise": (lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)), INVALID),
    "zeros": (lambda path: path.write_bytes(bytes(5000)), INVALID),
    "mp4 cut in its first box": (lambda path: path.write_bytes(b"\0\0\0 ftypisom"), INVALID),
    "mkv cut in its header": (
        lambda path: path.write_bytes(add_frames(path, container_format="matroska")[:300]),
        f"cannot read in: .*; {SENSELESS}",
    ),
    "sound alone": (sound, "in: there is no video in it"),
    "subtitles": (
        lambda path: path.write_text("1\n00:00:01,000 --> 00:00:02,000\nhi\n"),
        "in: there is no video in it",
    ),
    "16 bits": (
        lambda path: add_frames(path, "ffv1", "yuv420p16le", container_format="nut"),
        "in: frame 1: the pixel format yuv420p16le is not coded; the nearest that is: yuv420p12le",
    ),
    "4:1:0": (
        lambda path: add_frames(path, "rawvideo", "yuv410p", container_format="nut"),
        "in: frame 1: the pixel format yuv410p is not coded; the nearest that is: yuv420p",
    ),
    "RGB in floats": (
        lambda path: add_frames(path, "rawvideo", "gbrpf32le", container_format="nut"),
        "in: frame 1: the pixel format gbrpf32le is not coded; the nearest that is: gbrp12le",
    ),
    "an encode of ours": (
        lambda path: path.write_bytes(b"\x89NVPP\r\n\x1a" + bytes(200)),
        "cannot read in: it is a .nvpp file; 'decode' makes a video of it",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_video_of_ours(replaceable: Shell, name: str) -> None:
    """What holds no 8-bit video is refused by what it is, whatever its name."""
    make, message = BAD_FILES[name]
    make(replaceable.folder / "in")
    refused(replaceable, ["encode", "in", "out.nvpp", "-y", "--epochs", "1"], 3, message)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("in.mkv", resized_mkv, "in.mkv: frame 3 is 32x32, the first is 64x48"),
        (
            "in.mkv",
            interlaced,
            "in.mkv: frame 1 is interlaced; --force-progressive codes interlaced frames as they"
            " are",
        ),
        ("in.ts", resized_ts, r"in.ts: frame \d is 32x16, the first is 16x16"),
        (
            "in.mp4",
            lambda path: path.write_bytes(add_frames(path, "mpeg4")[:300]),
            "in.mp4: there is no video in it",
        ),
        (
            "in.mkv",
            lambda path: path.write_bytes(add_frames(path, n_frames=6)[:-550]),
            "in.mkv: the video stream has no frames",
        ),
        ("in.y4m", lambda path: path.write_text("hello\n"), f"cannot read in.y4m: .*; {SENSELESS}"),
        (
            "in.y4m",
            lambda path: path.write_text("YUV4MPEG\n"),
            f"cannot read in.y4m: .*; {SENSELESS}",
        ),
        ("in.mp4", lambda path: path.write_text("hello\n"), f"cannot read in.mp4: .*; {SENSELESS}"),
    ],
    ids=[
        "mkv that changes size",
        "interlaced",
        "transport stream that changes size",
        "cut mp4",
        "mkv cut in its first frame",
        "text by the name of y4m",
        "y4m of version 1",
        "text by the name of mp4",
    ],
)
def test_bad_containers(
    replaceable: Shell, name: str, make: Callable[[Path], None], message: str
) -> None:
    """A container whose frames cannot be had, or are not of one size, is refused with the
    reason.
    """
    make(replaceable.folder / name)
    refused(replaceable, ["encode", name, "out.nvpp", "-y", "--epochs", "1"], 3, message)
