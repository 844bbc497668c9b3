"""Whatever is wrong with a video, a name or an option: one line that says what, the right code, and
nothing is lost.
"""

from __future__ import annotations

import json
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from shell import Result, Shell, write_clip

from nervcodec.video.probe import probe

OLD = b"an earlier encode"
CHROMA = "C420jpeg, C420mpeg2, C420paldv, C420, C422, C444, Cmono"
SENSELESS = "it is damaged, or no video that FFmpeg knows"


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """All that is in a folder: files with their bytes, links with their targets; pipes are not
    opened.
    """
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        kind = path.lstat().st_mode
        name = str(path.relative_to(folder))
        found[name] = (
            path.read_bytes()
            if stat.S_ISREG(kind)
            else os.readlink(path)
            if stat.S_ISLNK(kind)
            else None
        )
    return found


def refused(shell: Shell, arguments: list[str], code: int, message: str) -> None:
    """The command ends with this code and this one line (a pattern), and leaves the folder as it
    was.
    """
    before = contents(shell.folder)
    result = shell(*arguments)
    assert (result.code, result.out) == (code, ""), result.err
    assert re.fullmatch(f"nervcodec: error: {message}\n", result.err), result.err
    assert "Traceback" not in result.err
    assert contents(shell.folder) == before


def notes_of(result: Result) -> list[str]:
    """What a command that went well said besides its progress."""
    assert result.code == 0, result.err
    return [line.removeprefix("nervcodec: ") for line in result.err.splitlines()]


@pytest.fixture
def bad(shell: Shell) -> Shell:
    """A folder with an earlier encode, which a new one may replace but must not harm when it
    fails.
    """
    (shell.folder / "out.nvpp").write_bytes(OLD)
    return shell


@pytest.fixture
def clip(shell: Shell) -> Shell:
    """A folder with in.y4m, 3 frames of 8 x 6."""
    write_clip(shell.folder / "in.y4m", 8, 6, 3)
    return shell


# y4m


def y4m(
    words: str = "W8 H6 F25:1 Ip C420jpeg",
    n_frames: int = 3,
    frame_bytes: int = 72,
    marker: bytes = b"FRAME\n",
) -> bytes:
    """A y4m file from its header's words; every byte of frame t is 16 + 9 t."""
    body = b"".join(marker + bytes([16 + 9 * t]) * frame_bytes for t in range(n_frames))
    return f"YUV4MPEG2 {words}\n".encode("latin-1") + body


DAMAGED = "the YUV4MPEG2 header line is damaged"
BAD_SIZE = "it must be a size of 1 to 999999999 pixels"
BAD_RATE = "it must be a ratio such as F25:1"
NO_RATE = "it states no frame rate; 'encode --frame-rate R' gives it one"
BAD_Y4M: dict[str, tuple[bytes, str]] = {
    "no frames": (y4m(n_frames=0), "it has no frames"),
    "no tags": (b"YUV4MPEG2 \n", f"the header tag W is missing; {BAD_SIZE}"),
    "no newline": (b"YUV4MPEG2 W8 H6 F25:1", DAMAGED),
    "magic without its space": (y4m().replace(b"2 W8", b"2W8", 1), DAMAGED),
    "header of 5000 bytes": (y4m("W8 H6 F25:1 X" + "y" * 5000), DAMAGED),
    "F0:0": (y4m("W8 H6 F0:0"), NO_RATE),
    "F0:1": (y4m("W8 H6 F0:1"), NO_RATE),
    "F1:0": (y4m("W8 H6 F1:0"), NO_RATE),
    "no F": (y4m("W8 H6"), NO_RATE),
    "F-25:1": (y4m("W8 H6 F-25:1"), f"the header tag F is F-25:1; {BAD_RATE}"),
    "F25": (y4m("W8 H6 F25"), f"the header tag F is F25; {BAD_RATE}"),
    "F25:1:1": (y4m("W8 H6 F25:1:1"), f"the header tag F is F25:1:1; {BAD_RATE}"),
    "Fnan:1": (y4m("W8 H6 Fnan:1"), f"the header tag F is Fnan:1; {BAD_RATE}"),
    "F of 11 digits": (
        y4m("W8 H6 F99999999999:1"),
        f"the header tag F is F99999999999:1; {BAD_RATE}",
    ),
    "F of 34 bits": (
        y4m("W8 H6 F9999999999:1"),
        "the frame rate is 9999999999; it must be a positive ratio of 32-bit integers",
    ),
    "one frame in 300 years": (
        y4m("W8 H6 F1:9999999999"),
        "the frame rate is 1/9999999999; it must be a positive ratio of 32-bit integers",
    ),
    "A-1:1": (
        y4m("W8 H6 F25:1 A-1:1"),
        "the header tag A is A-1:1; it must be a ratio such as A25:1",
    ),
    "no W": (y4m("H6 F25:1"), f"the header tag W is missing; {BAD_SIZE}"),
    "no H": (y4m("W8 F25:1"), f"the header tag H is missing; {BAD_SIZE}"),
    "W0": (y4m("W0 H6 F25:1"), f"the header tag W is W0; {BAD_SIZE}"),
    "H0": (y4m("W8 H0 F25:1"), f"the header tag H is H0; {BAD_SIZE}"),
    "W-1": (y4m("W-1 H6 F25:1"), f"the header tag W is W-1; {BAD_SIZE}"),
    "W8.0": (y4m("W8.0 H6 F25:1"), f"the header tag W is W8.0; {BAD_SIZE}"),
    "W of 11 digits": (
        y4m("W99999999999 H6 F25:1"),
        f"the header tag W is W99999999999; {BAD_SIZE}",
    ),
    "exabytes a frame": (
        y4m("W999999999 H999999999 F25:1"),
        "frame 1 is cut short; the file is incomplete",
    ),
    "400 megabytes a frame": (
        y4m("W16384 H16384 F25:1"),
        "frame 1 is cut short; the file is incomplete",
    ),
    "16386 columns": (
        y4m("W16386 H1 F25:1", 1, 2 * 16386),
        "frames are 16386x1; up to 16384 a side are read",
    ),
    "C444p16": (
        y4m("W8 H6 F25:1 C444p16"),
        f"the chroma format C444p16 is not read; legal, 8 bits only: {CHROMA}",
    ),
    "C420p10": (
        y4m("W8 H6 F25:1 C420p10"),
        f"the chroma format C420p10 is not read; legal, 8 bits only: {CHROMA}",
    ),
    "Cmono16": (
        y4m("W8 H6 F25:1 Cmono16"),
        f"the chroma format Cmono16 is not read; legal, 8 bits only: {CHROMA}",
    ),
    "C444alpha": (
        y4m("W8 H6 F25:1 C444alpha"),
        f"the chroma format C444alpha is not read; legal, 8 bits only: {CHROMA}",
    ),
    "Cxyz": (
        y4m("W8 H6 F25:1 Cxyz"),
        f"the chroma format Cxyz is not read; legal, 8 bits only: {CHROMA}",
    ),
    "C with an escape sequence": (
        y4m("W8 H6 F25:1 C\x1b[31m"),
        rf"the chroma format C\\x1b\[31m is not read; legal, 8 bits only: {CHROMA}",
    ),
    "It": (y4m("W8 H6 F25:1 It"), r"interlaced frames \(It, top field first\); only Ip is read"),
    "Im": (y4m("W8 H6 F25:1 Im"), r"interlaced frames \(Im, mixed\); only Ip is read"),
    "marker FRAM": (y4m(marker=b"FRAM\n"), "frame 1 does not begin with a FRAME line"),
    "marker frame": (y4m(marker=b"frame\n"), "frame 1 does not begin with a FRAME line"),
    "marker FRAMEX": (y4m(marker=b"FRAMEX\n"), "frame 1 does not begin with a FRAME line"),
    "marker with a carriage return": (
        y4m(marker=b"FRAME\r\n"),
        "frame 1 does not begin with a FRAME line",
    ),
    "marker of 5000 bytes": (
        y4m(marker=b"FRAME " + b"x" * 5000 + b"\n"),
        "frame 1 does not begin with a FRAME line",
    ),
    "a byte too many": (y4m() + b"\n", "frame 4 does not begin with a FRAME line"),
    "a marker too many": (y4m() + b"FRAME\n", "frame 4 is cut short; the file is incomplete"),
    "two files in a row": (2 * y4m(), "frame 4 does not begin with a FRAME line"),
    "another size in a row": (
        y4m() + y4m("W4 H4 F25:1", 3, 24),
        "frame 4 does not begin with a FRAME line",
    ),
    "smaller than it says": (y4m("W9 H6 F25:1"), "frame 2 does not begin with a FRAME line"),
}


@pytest.mark.parametrize("name", BAD_Y4M)
def test_bad_y4m(bad: Shell, name: str) -> None:
    """A y4m file that is not what its header says is refused with the tag or the frame that is
    wrong.
    """
    data, message = BAD_Y4M[name]
    (bad.folder / "in.y4m").write_bytes(data)
    refused(bad, ["encode", "in.y4m", "out.nvpp", "-y", "--epochs", "1"], 3, f"in.y4m: {message}")


def test_y4m_cut_anywhere(bad: Shell) -> None:
    """Cut at whichever byte, header, FRAME line or samples, a y4m is refused; at a frame's end
    nobody can tell.
    """
    data = y4m()
    head = data.index(b"\n") + 1
    for n_bytes in range(1, len(data)):
        (bad.folder / "in.y4m").write_bytes(data[:n_bytes])
        frame, rest = divmod(n_bytes - head, 78)
        if n_bytes < head:
            message = DAMAGED
        elif n_bytes == head:
            message = "it has no frames"
        elif rest:
            message = f"frame {frame + 1} is cut short; the file is incomplete"
        else:
            assert probe(bad.folder / "in.y4m")[0].n_frames == frame
            continue
        refused(
            bad, ["encode", "in.y4m", "out.nvpp", "-y", "--epochs", "1"], 3, f"in.y4m: {message}"
        )


# Files that are no video, containers


def add_frames(
    path: Path,
    codec: str = "ffv1",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (16, 16),
    n_frames: int = 3,
    container_format: str | None = None,
    **options: str,
) -> bytes:
    """A file of frames that get brighter, by any encoder of FFmpeg's."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        for t in range(n_frames):
            container.mux(stream.encode(shade(t, pix_fmt, size)))
        container.mux(stream.encode(None))
    return path.read_bytes()


def shade(t: int, pix_fmt: str, size: tuple[int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(*size, pix_fmt)
    for plane in frame.planes:
        np.frombuffer(memoryview(plane), np.uint8)[:] = 20 + 30 * t
    frame.pts = t
    return frame


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
    "10 bits": (
        lambda path: add_frames(path, "ffv1", "yuv420p10le", container_format="nut"),
        r"in: frame 1 has 10 bits a sample \(yuv420p10le\); 8-bit only in this version",
    ),
    "gray of 16 bits": (
        lambda path: add_frames(path, "ffv1", "gray16le", container_format="nut"),
        r"in: frame 1 has 16 bits a sample \(gray16le\); 8-bit only in this version",
    ),
    "RGB of 16 bits": (
        lambda path: add_frames(path, "rawvideo", "rgb48le", container_format="nut"),
        r"in: frame 1 has 16 bits a sample \(rgb48le\); 8-bit only in this version",
    ),
    "RGB in floats": (
        lambda path: add_frames(path, "rawvideo", "gbrpf32le", container_format="nut"),
        r"in: frame 1 has 32 bits a sample \(gbrpf32le\); 8-bit only in this version",
    ),
    "an encode of ours": (
        lambda path: path.write_bytes(b"\x89NVPP\r\n\x1a" + bytes(200)),
        "cannot read in: it is a .nvpp file; 'decode' makes a video of it",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_video_of_ours(bad: Shell, name: str) -> None:
    """What holds no 8-bit video is refused by what it is, whatever its name."""
    make, message = BAD_FILES[name]
    make(bad.folder / "in")
    refused(bad, ["encode", "in", "out.nvpp", "-y", "--epochs", "1"], 3, message)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("in.mkv", resized_mkv, "in.mkv: frame 3 is 32x32, the first is 64x48"),
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
        "transport stream that changes size",
        "cut mp4",
        "mkv cut in its first frame",
        "text by the name of y4m",
        "y4m of version 1",
        "text by the name of mp4",
    ],
)
def test_bad_containers(bad: Shell, name: str, make: Callable[[Path], None], message: str) -> None:
    """A container whose frames cannot be had, or are not of one size, is refused with the
    reason.
    """
    make(bad.folder / name)
    refused(bad, ["encode", name, "out.nvpp", "-y", "--epochs", "1"], 3, message)


# Folders of PNG


def png(width: int = 8, height: int = 6, bits: int = 8, lines: bytes | None = None) -> bytes:
    """A black RGB picture; `lines` in place of its samples."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    lines = bytes((1 + width * 3 * bits // 8) * height) if lines is None else lines
    head = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


BAD_FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda folder: None, "in: there are no .png files in this folder"),
    "no PNG": (
        lambda folder: (folder / "a.jpg").write_bytes(b"x"),
        "in: there are no .png files in this folder",
    ),
    "an empty PNG": (
        lambda folder: (folder / "b.png").write_bytes(b""),
        "cannot read in/b.png: it holds no PNG picture",
    ),
    "text": (
        lambda folder: (folder / "b.png").write_text("hello" * 9),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "a PNG cut in its samples": (
        lambda folder: (folder / "b.png").write_bytes(png()[:-20]),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "a PNG without samples": (
        lambda folder: (folder / "b.png").write_bytes(png(lines=b"\0")),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "a flipped bit": (
        lambda folder: (folder / "b.png").write_bytes(png()[:-20] + b"x" + png()[-19:]),
        f"cannot read in/b.png: .*; {SENSELESS}",
    ),
    "a PNG of gigabytes": (
        lambda folder: (folder / "b.png").write_bytes(png(60000, 60000, lines=b"\0")),
        f"cannot read in/b.png: Invalid data found when processing input; {SENSELESS}",
    ),
    "another size": (
        lambda folder: (folder / "b.png").write_bytes(png(6, 8)),
        "in: frame 2 is 6x8, the first is 8x6",
    ),
    "16 bits": (
        lambda folder: (folder / "b.png").write_bytes(png(bits=16)),
        r"in: frame 2 has 16 bits a sample \(rgb48be\); 8-bit only in this version",
    ),
    "a folder named so": (
        lambda folder: (folder / "b.png").mkdir(),
        "cannot read in/b.png: it is not a file",
    ),
    "a pipe named so": (
        lambda folder: os.mkfifo(folder / "b.png"),
        "cannot read in/b.png: it is not a file",
    ),
    "a broken link": (
        lambda folder: (folder / "b.png").symlink_to("nowhere"),
        "cannot read in/b.png: it is not a file",
    ),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_folders(bad: Shell, name: str) -> None:
    """A folder is refused by the picture that is wrong, and nothing in it is waited for."""
    make, message = BAD_FOLDERS[name]
    folder = bad.folder / "in"
    folder.mkdir()
    if "no .png" not in message:
        (folder / "a.png").write_bytes(png())
    make(folder)
    refused(bad, ["encode", "in", "out.nvpp", "-y", "--epochs", "1"], 3, message)


def test_what_else_is_in_a_folder_is_not_read(shell: Shell) -> None:
    """Folders, pipes and broken links beside the pictures are counted and left alone, through a
    whole encode.
    """
    folder = shell.folder / os.fsdecode(b"in\xff")
    (folder / "sub").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("nowhere")
    (folder / os.fsdecode(b"\xff1.png")).write_bytes(png())
    result = shell(
        "encode",
        os.fsdecode(b"in\xff"),
        "out.nvpp",
        "--preset",
        "ultrafast",
        "--epochs",
        "1",
        "--json",
    )
    assert notes_of(result) == [
        "other entries of the folder, left out: 3",
        "a folder of PNG has no frame rate: 25 assumed",
    ]


def test_pictures_of_too_many_columns(bad: Shell) -> None:
    """A picture beyond the largest side is refused with the limit."""
    (bad.folder / "in").mkdir()
    (bad.folder / "in" / "a.png").write_bytes(png(16385, 1))
    refused(
        bad,
        ["encode", "in", "out.nvpp", "-y"],
        3,
        "in: frames are 16385x1; up to 16384 a side are read",
    )


# Names


LONG = "x" * 300 + ".y4m"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.mp4", "cannot read none.mp4: there is no such file"),
        ("in.y4m/frames", "cannot read in.y4m/frames: there is no such file"),
        (
            "https://example.org/a.mp4",
            "cannot read https:/example.org/a.mp4: there is no such file",
        ),
        ("pipe:0", "cannot read pipe:0: there is no such file"),
        ("", "the input has no name; name a file or a folder of PNG"),
        (LONG, f"cannot read {LONG}: File name too long"),
        ("fifo", "cannot read fifo: it is neither a file nor a folder"),
        ("/dev/zero", "cannot read /dev/zero: it is neither a file nor a folder"),
        ("folder.y4m", "folder.y4m: there are no .png files in this folder"),
        ("link.y4m", "cannot read link.y4m: there is no such file"),
        ("loop.y4m", "cannot read loop.y4m: Too many levels of symbolic links"),
        ("\x1b[31mred\n.y4m", re.escape(r"cannot read \x1b[31mred\n.y4m: there is no such file")),
        (os.fsdecode(b"\xff.y4m"), re.escape(r"cannot read \udcff.y4m: there is no such file")),
    ],
)
def test_bad_inputs_by_name(clip: Shell, source: str, message: str) -> None:
    """What does not exist, cannot exist or is no file is refused by its name, escaped, and never
    waited for.
    """
    os.mkfifo(clip.folder / "fifo")
    (clip.folder / "folder.y4m").mkdir()
    (clip.folder / "link.y4m").symlink_to("nowhere")
    (clip.folder / "loop.y4m").symlink_to("loop.y4m")
    (clip.folder / "out.nvpp").write_bytes(OLD)
    refused(clip, ["encode", source, "out.nvpp", "-y"], 3, message)


@pytest.mark.parametrize(
    ("destination", "code", "message"),
    [
        ("in.y4m", 7, "in.y4m is the input itself; choose another output"),
        ("./in.y4m", 7, "./in.y4m is the input itself; choose another output"),
        ("link.nvpp", 7, "link.nvpp is the input itself; choose another output"),
        ("hard.nvpp", 7, "hard.nvpp is the input itself; choose another output"),
        ("folder", 6, "cannot write folder: it is a folder; name a file"),
        ("folder/", 6, "cannot write folder/: it is a folder; name a file"),
        (".", 6, r"cannot write \.: it is a folder; name a file"),
        ("", 6, "the output has no name; name a file"),
        (
            "nowhere/out.nvpp",
            6,
            "cannot write nowhere/out.nvpp: there is no folder nowhere; create it first",
        ),
        (
            "in.y4m/out.nvpp",
            6,
            "cannot write in.y4m/out.nvpp: there is no folder in.y4m; create it first",
        ),
        (
            "dangling.nvpp",
            6,
            "cannot write dangling.nvpp: there is no folder .*/nowhere; create it first",
        ),
        (LONG, 6, f"cannot write {LONG}: File name too long"),
        ("fifo", 6, "cannot write fifo: it is not a regular file; name a file"),
        ("/dev/null", 6, "cannot write /dev/null: it is not a regular file; name a file"),
        ("/dev/full", 6, "cannot write /dev/full: it is not a regular file; name a file"),
        ("/dev/fd/{pipe}", 6, r"cannot write /dev/fd/\d+: it is not a regular file; name a file"),
    ],
)
def test_bad_outputs(clip: Shell, destination: str, code: int, message: str) -> None:
    """An output that cannot be, or that is the input by whichever name, is refused at once, -y or
    not.
    """
    (clip.folder / "folder").mkdir()
    (clip.folder / "link.nvpp").symlink_to("in.y4m")
    (clip.folder / "hard.nvpp").hardlink_to(clip.folder / "in.y4m")
    (clip.folder / "dangling.nvpp").symlink_to("nowhere/out.nvpp")
    os.mkfifo(clip.folder / "fifo")
    reader, writer = os.pipe()
    try:
        for more in ([], ["-y"]):
            refused(
                clip,
                ["encode", "in.y4m", destination.format(pipe=writer), "--epochs", "1", *more],
                code,
                message,
            )
    finally:
        os.close(reader)
        os.close(writer)


def test_existing_outputs_stay(clip: Shell) -> None:
    """Without -y an existing output is neither replaced nor touched."""
    (clip.folder / "out.nvpp").write_bytes(OLD)
    refused(clip, ["encode", "in.y4m", "out.nvpp"], 7, "out.nvpp exists already; -y overwrites it")


def test_folder_without_permission_to_write(clip: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be written to is found before any work; os.access is made to say so,
    for root may.
    """
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(
        clip,
        ["encode", "in.y4m", "out.nvpp"],
        6,
        r"cannot write out.nvpp: the folder \. is not writable",
    )


def test_input_without_permission_to_read(clip: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that may not be read is refused with that reason; Path.stat is made to say so, for
    root may.
    """
    original = Path.stat

    def forbidden(path: Path, **options: bool) -> os.stat_result:
        if path.name == "in.y4m":
            raise PermissionError(13, "Permission denied")
        return original(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", forbidden)
        result = clip("encode", "in.y4m", "out.nvpp")
    assert (result.code, result.err) == (
        3,
        "nervcodec: error: cannot read in.y4m: Permission denied\n",
    )
    assert list(contents(clip.folder)) == ["in.y4m"]


def test_the_folder_of_an_unfinished_encode_must_be_one(clip: Shell) -> None:
    """A file by the name that an encode needs for its own folder is refused by that name, and
    stays.
    """
    (clip.folder / "out.nvpp.part").write_bytes(b"mine")
    before = contents(clip.folder)
    result = clip("encode", "in.y4m", "out.nvpp", "--epochs", "1", "--json")
    assert (result.code, result.out) == (7, "")
    assert (
        result.err
        == "nervcodec: error: out.nvpp.part is not a folder, and the encode needs one of that"
        " name; "
        "move it away\n"
    )
    assert contents(clip.folder) == before


# Options


LEGAL_SIZE = "legal: [1-9][0-9]* to [1-9][0-9,]* for this video and preset"
BAD_OPTIONS: list[tuple[str, str]] = [
    ("--epochs 0", "epochs is 0; legal: 1 to 1000000"),
    ("--epochs -1", "epochs is -1; legal: 1 to 1000000"),
    ("--epochs 1000000000000", "epochs is 1000000000000; legal: 1 to 1000000"),
    ("--epochs nan", "Invalid value for '--epochs': 'nan' is not a valid integer."),
    ("--epochs 1e3", "Invalid value for '--epochs': '1e3' is not a valid integer."),
    ("--epochs", "Option '--epochs' requires an argument."),
    *(
        (f"--crf {value}", rf"crf is {value}; legal: 0 \(best\) to 63 \(smallest\)")
        for value in ("-1", "64", "nan", "inf", "-inf")
    ),
    ("--crf best", "Invalid value for '--crf': 'best' is not a valid float."),
    *(
        (f"--{name} {value}", f"{name} is {value}; legal: above 0")
        for name in ("size", "bitrate", "bpp")
        for value in ("0", "-5", "nan", "inf")
    ),
    ("--size 10", f"size is 10 bytes; {LEGAL_SIZE}"),
    ("--size 1e15", f"size is 1,000,000,000,000,000 bytes; {LEGAL_SIZE}"),
    ("--bitrate 1e12", f"size is 12,512,500,000 bytes; {LEGAL_SIZE}"),
    ("--bpp 1e-9", f"size is 0 bytes; {LEGAL_SIZE}"),
    (
        "--size 1Q",
        "Invalid value for '--size': '1Q' is not an amount; legal: a number, with k, M or G for .*",
    ),
    (
        "--size k",
        "Invalid value for '--size': 'k' is not an amount; legal: a number, with k, M or G for .*",
    ),
    *(
        (f"--target-psnr {value}", f"target psnr is {value}; legal: above 0")
        for value in ("0", "-1", "nan", "inf")
    ),
    *(
        (f"--target-psnr {value}", f"target PSNR is {value}; legal: above 0, up to 100")
        for value in ("101", "100000")
    ),
    *(
        (f"--{name} {value}", f"size is 0 bytes; {LEGAL_SIZE}")
        for name in ("size", "bitrate", "bpp")
        for value in ("1e-200", "5e-324")
    ),
    *(
        (f"--rate-weight {value}", f"rate weight is {value}; legal: 0 to 1000")
        for value in ("-1.0", "nan", "inf")
    ),
    ("--crf 30 --size 1k", "crf and size are given; legal: one of them"),
    (
        "--bpp 1 --target-psnr 30 --rate-weight 1",
        "bpp and target psnr and rate weight are given; legal: one of them",
    ),
    (
        "--preset paper-xs --crf 30",
        "preset is 'paper-xs', which has no rate to steer; legal with a goal: .*",
    ),
    *(
        (f"--seed {value}", f"seed is {value}; legal: 0 to 9223372036854775807")
        for value in ("-1", str(2**63))
    ),
    *(
        (f"--threads {value}", f"threads is {value}; legal: 1 to 1024")
        for value in ("0", "-1", "1025")
    ),
    *((f"--bits {value}", f"bits is {value}; legal: 2 to 12") for value in ("1", "13", "-8")),
    *(
        (f"--prune {value}", f"prune ratio is {value}; legal: 0 to 0.99")
        for value in ("1.0", "-0.1", "nan")
    ),
    *(
        (f"--segment-frames {value}", f"segment frames is {value}; legal: 1 or more")
        for value in ("0", "-1")
    ),
    *(
        (f"--frames {value}", f"frames is {value}; legal: 1 to 3, the frames of the input")
        for value in ("0", "-1", "4", "1000000000000000")
    ),
    *(
        (
            f"--frame-rate {value}",
            f"frame rate is {value}; legal: a positive ratio of 32-bit integers",
        )
        for value in ("2147483648", "1/2147483648", "314159265358979/100000000000000")
    ),
    *(
        (
            f"--frame-rate {value}",
            f"Invalid value for '--frame-rate': '{value}' is not a rate; legal: .*",
        )
        for value in ("0", "-25", "1/0", "nan", "inf", "fast", "1e5000", "1e999999999")
    ),
    (
        "--time-budget 0s",
        "time budget is 0 s; legal: at least [1-9][0-9]* s, for an epoch of each stage here",
    ),
    *(
        (
            f"--time-budget {value}",
            f"Invalid value for '--time-budget': '{value}' is not a time; legal: seconds, or .*",
        )
        for value in ("soon", "-1s", "nan", "1d", "1e3")
    ),
    (
        "--time-budget=",
        "Invalid value for '--time-budget': '' is not a time; legal: seconds, or such as 90s, .*",
    ),
    (
        f"--time-budget {'9' * 400}s",
        f"Invalid value for '--time-budget': '{'9' * 400}s' is not a time; legal: up to .*",
    ),
    ("--time-budget 9s --epochs 2", "epochs and a time budget are given; legal: one of them"),
    *(
        (
            f"--checkpoint-every {value}",
            f"Invalid value for '--checkpoint-every': '?{value}'? is not .*",
        )
        for value in ("-1.0", "nan", "inf")
    ),
    (
        "--preset best",
        "Invalid value for '--preset': 'best' is not one of 'ultrafast', 'fast', 'medium', .*",
    ),
    ("--tune grain", "Invalid value for '--tune': 'grain' is not one of 'psnr', 'ssim'."),
    (
        "--colorspace cmyk",
        "Invalid value for '--colorspace': 'cmyk' is not one of 'auto', 'rgb', 'yuv'.",
    ),
    (
        "--precision float16",
        "Invalid value for '--precision': 'float16' is not one of 'auto', 'float32', 'bfloat16'.",
    ),
    ("--device tpu", "device is 'tpu'; legal: auto, cpu, cuda, cuda:N"),
    ("--device cuda:-1", "device is 'cuda:-1'; legal: auto, cpu, cuda, cuda:N"),
    ("--batch 2", "No such option.*--batch.*"),
    ("another.y4m", r"Got unexpected extra argument \(another.y4m\)"),
]


@pytest.mark.parametrize(
    ("options", "message"), BAD_OPTIONS, ids=[options for options, _ in BAD_OPTIONS]
)
def test_bad_options_of_encode(clip: Shell, options: str, message: str) -> None:
    """A value that cannot be is refused with what it is and what would be legal."""
    refused(clip, ["encode", "in.y4m", "out.nvpp", *options.split()], 2, message)


@pytest.fixture(scope="module")
def coded_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole .nvpp file of 3 frames of 8 x 6."""
    from nervcodec.encoder.encode import encode
    from nervcodec.encoder.plan import plan_encode

    folder = tmp_path_factory.mktemp("coded")
    write_clip(folder / "in.y4m", 8, 6, 3)
    encode(plan_encode(folder / "in.y4m", epochs=1), folder / "out.nvpp")
    return (folder / "out.nvpp").read_bytes()


LOSSLESS = "a codec or a quality goes with .mp4, .mov, .mkv, .webm"
BAD_DECODES: list[tuple[list[str], int, str]] = [
    *(
        (
            ["decode", "in.nvpp", "a.y4m", "--frames", asked],
            2,
            rf"frames are {asked}; legal: A:B with 0 <= A < B <= 3",
        )
        for asked in ("5:3", "1:1", "0:99", "0:0")
    ),
    *(
        (
            ["decode", "in.nvpp", "a.y4m", "--frames", asked],
            2,
            (
                f"Invalid value for '--frames': '{asked}' is not a range; legal: A:B, the frames A"
                " to B-1 counted from 0"
            ),
        )
        for asked in ("a:b", "1", "-1:2", "1:2:3", "1.5:2", "", f"{'9' * 5000}:")
    ),
    *(
        (
            ["decode", "in.nvpp", "a.mp4", "--quality", asked],
            2,
            rf"quality is {asked}; legal for libx264: 0 \(best\) to 51",
        )
        for asked in ("99", "-1")
    ),
    (
        ["decode", "in.nvpp", "a.webm", "--quality", "64"],
        2,
        r"quality is 64; legal for libvpx-vp9: 0 \(best\) to 63",
    ),
    (
        ["decode", "in.nvpp", "a.mp4", "--quality", "nan"],
        2,
        "Invalid value for '--quality': 'nan' is not a valid .*",
    ),
    (
        ["decode", "in.nvpp", "a.mkv", "--codec", "ffv1", "--quality", "3"],
        2,
        "the encoder 'ffv1' has no quality scale; leave the quality out",
    ),
    (
        ["decode", "in.nvpp", "a.y4m", "--quality", "3"],
        2,
        f"a.y4m is written without loss; {LOSSLESS}",
    ),
    (
        ["decode", "in.nvpp", "a.y4m", "--codec", "libx264"],
        2,
        f"a.y4m is written without loss; {LOSSLESS}",
    ),
    (
        ["decode", "in.nvpp", "a.mkv", "--codec", "h999"],
        2,
        "there is no encoder 'h999'; legal: libx264, libx265, .*",
    ),
    (
        ["decode", "in.nvpp", "a.mkv", "--codec", "flac"],
        2,
        "the encoder 'flac' does not code 8-bit 4:2:0 video; legal: libx264, libx265, .*",
    ),
    (
        ["decode", "in.nvpp", "a.webm", "--codec", "libx264"],
        2,
        "libx264 cannot code 8x6 into a.webm: .*",
    ),
    (
        ["decode", "in.nvpp", "a.avi"],
        2,
        r"no video format goes by '\.avi'; legal: \.y4m, \.mp4, \.mov, .*",
    ),
    (
        ["decode", "in.nvpp", "in.nvpp", "-y"],
        2,
        r"no video format goes by '\.nvpp'; legal: \.y4m, \.mp4, .*",
    ),
    (["decode", "in.nvpp", ""], 6, "the output has no name; name a file"),
    (
        ["decode", "in.nvpp", "nowhere/a.y4m"],
        6,
        "cannot write nowhere/a.y4m: there is no folder nowhere; create it first",
    ),
    (["decode", "in.nvpp", "old.y4m"], 7, "old.y4m exists already; -y overwrites it"),
    (
        ["decode", "in.nvpp", "full"],
        7,
        r"full holds other files \(mine\); name a new or an empty folder",
    ),
    (
        ["decode", "in.nvpp", "full", "-y"],
        7,
        r"full holds other files \(mine\); name a new or an empty folder",
    ),
    (
        ["decode", "in.nvpp", "/dev/null"],
        7,
        "/dev/null exists already and is not a folder; name a new or an empty .*",
    ),
    (["decode", "in.nvpp", "a.y4m", "--threads", "0"], 2, "threads is 0; legal: 1 to 1024"),
    (
        ["decode", "in.nvpp", "a.y4m", "--device", "tpu"],
        2,
        "device is 'tpu'; legal: auto, cpu, cuda, cuda:N",
    ),
    (
        ["decode", "in.nvpp", "a.y4m", "--max-memory", "0"],
        2,
        "Invalid value for '--max-memory': 0.0 is not in .*",
    ),
    *(
        (
            ["decode", "in.nvpp", "a.y4m", "--max-memory", asked],
            2,
            f"Invalid value for '--max-memory': '?{re.escape(asked)}'? is not .*",
        )
        for asked in ("nan", "inf", "1e+300")
    ),
    (["decode", "in.nvpp", LONG], 6, f"cannot write {LONG}: File name too long"),
    (
        ["decode", "in.nvpp", "a.y4m", "--max-memory", "0.1"],
        5,
        (
            "decoding takes about [1-9][0-9]* MiB of memory, more than the limit of 102 MiB;"
            " --max-memory raises it"
        ),
    ),
    *(
        ([command, "old.y4m", *output], 4, ".*not a .nvpp file.*")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    *(
        ([command, "none.nvpp", *output], 3, "none.nvpp: No such file or directory")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    *(
        ([command, "full", *output], 3, "full: Is a directory")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    *(
        ([command, "empty.nvpp", *output], 4, ".*not a .nvpp file.*")
        for command, output in (("decode", ["a.y4m"]), ("info", []))
    ),
    (
        ["encode", "in.nvpp", "a.nvpp"],
        3,
        "cannot read in.nvpp: it is a .nvpp file; 'decode' makes a video of it",
    ),
    (
        ["compare", "old.y4m", "in.nvpp"],
        3,
        "cannot read in.nvpp: it is a .nvpp file; 'decode' makes a video of it",
    ),
    (["decode", "in.nvpp"], 2, "Missing argument 'OUTPUT'."),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"), BAD_DECODES, ids=[" ".join(case[0]) for case in BAD_DECODES]
)
def test_bad_decodes(
    shell: Shell, coded_bytes: bytes, arguments: list[str], code: int, message: str
) -> None:
    """What decode and info cannot do is one line, and neither the output nor anything in its folder
    changes.
    """
    (shell.folder / "in.nvpp").write_bytes(coded_bytes)
    (shell.folder / "empty.nvpp").touch()
    (shell.folder / "full").mkdir()
    (shell.folder / "full" / "mine").write_bytes(OLD)
    write_clip(shell.folder / "old.y4m", 8, 6, 3)
    refused(shell, arguments, code, message)


# What is read all the same, with a note


def interlaced(path: Path) -> None:
    add_frames(path, "libx264", size=(64, 64), n_frames=2, **{"x264-params": "tff=1"})


NOTED: dict[str, tuple[str, Callable[[Path], Any], list[str]]] = {
    "interlaced": (
        "in.mkv",
        interlaced,
        ["interlaced frames, coded as they are without deinterlacing: 2"],
    ),
    "gray y4m": (
        "in.y4m",
        lambda path: path.write_bytes(y4m("W8 H6 F25:1 Cmono", 3, 48)),
        ["gray converted to 4:2:0 (chroma 128)"],
    ),
    "4:2:2": (
        "in.y4m",
        lambda path: path.write_bytes(y4m("W8 H6 F25:1 C422", 3, 96)),
        ["4:2:2 converted to 4:2:0 (mean of two lines)"],
    ),
    "4:4:4": (
        "in.y4m",
        lambda path: path.write_bytes(y4m("W8 H6 F25:1 C444", 3, 144)),
        ["4:4:4 converted to 4:2:0 (mean of 2x2)"],
    ),
    "gray": (
        "in.nut",
        lambda path: add_frames(path, "ffv1", "gray"),
        ["gray converted to 4:2:0 (chroma 128)"],
    ),
    "alpha": (
        "in.nut",
        lambda path: add_frames(path, "ffv1", "yuva420p"),
        ["yuva420p: alpha dropped"],
    ),
    "a palette": (
        "in.nut",
        lambda path: add_frames(path, "rawvideo", "pal8"),
        ["pal8 converted to RGB"],
    ),
    "bits": (
        "in.nut",
        lambda path: add_frames(path, "rawvideo", "monob"),
        ["monob converted to 4:2:0"],
    ),
    "mkv that lost its end": (
        "in.mkv",
        lambda path: path.write_bytes(add_frames(path, n_frames=6)[:-300]),
        ["the file promises 0.24 s, its frames end at 0.08 s"],
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_is_converted_or_missing_is_said(shell: Shell, name: str) -> None:
    """What can be read but is not coded as it is gets a note, and the encode goes on."""
    file, make, notes = NOTED[name]
    make(shell.folder / file)
    assert notes_of(shell("encode", file, "out.nvpp", "--dry-run")) == notes
    assert list(contents(shell.folder)) == [file]


# What must work


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (3, 5)])
def test_the_oddest_sizes(shell: Shell, width: int, height: int) -> None:
    """A clip of one pixel, of one column or of odd sides goes there and back with its size and
    number of frames.
    """
    write_clip(shell.folder / "in.y4m", width, height, 2)
    assert shell("encode", "in.y4m", "out.nvpp", "--epochs", "1", "--json").code == 0
    assert shell("decode", "out.nvpp", "back.y4m").code == 0
    form = probe(shell.folder / "back.y4m")[0]
    assert (form.width, form.height, form.n_frames) == (width, height, 2)


@pytest.fixture
def names(shell: Shell) -> Iterator[list[str]]:
    """Names that a shell, a terminal, a format string or FFmpeg's protocols would take for
    something else.
    """
    yield [
        "a b",
        "ünï ☃",
        "./-x",
        "new\nline",
        "\x1b[31mred",
        "take:2",
        "%d",
        "a'b\"",
        "[red]",
        os.fsdecode(b"\xff"),
    ]


def test_the_oddest_names(shell: Shell, names: list[str], coded_bytes: bytes) -> None:
    """Input and output may have any name that the system takes; what is printed of it has no
    control character.
    """
    for name in names:
        write_clip(shell.folder / f"{name}.y4m", 8, 6, 2)
        assert (
            json.loads(shell("encode", f"{name}.y4m", f"{name}.nvpp", "--dry-run", "--json").out)[
                "frames"
            ]
            == 2
        )
        (shell.folder / f"{name}.nvpp").write_bytes(coded_bytes)
        assert shell("decode", f"{name}.nvpp", f"{name}.mkv").code == 0
        assert probe(shell.folder / f"{name}.mkv")[0].n_frames == 3
        result = shell("info", f"{name}.nvpp")
        assert result.code == 0 and result.err == ""
        assert all(line.isprintable() for line in result.out.splitlines())
    n_rows = len(shell("info", f"{names[0]}.nvpp").out.splitlines())
    assert len(shell("info", "new\nline.nvpp").out.splitlines()) == n_rows


def test_an_encode_to_an_odd_name(clip: Shell) -> None:
    """A whole encode under a name with spaces, a line feed and an escape sequence leaves that one
    file.
    """
    assert clip("encode", "in.y4m", "a b\n\x1b[31m.nvpp", "--epochs", "1", "--json").code == 0
    assert list(contents(clip.folder)) == ["a b\n\x1b[31m.nvpp", "in.y4m"]
