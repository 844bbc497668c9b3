"""Commands that are refused, and what they must leave as it was."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import av
import numpy as np
from shell import Result, Shell

OLD = b"an earlier encode"


CHROMA = (
    "legal: C420jpeg, C420mpeg2, C420paldv, C420, C422, C444, C444alpha, C411, Cmono, C420p10,"
    " C422p10, C444p10, Cmono10, C420p12, C422p12, C444p12, Cmono12"
)
NO_PICTURES = r"in: there are no pictures \(PNG, JPEG, TIFF, BMP or WebP\) in this folder"


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


def y4m(
    words: str = "W8 H6 F25:1 Ip C420jpeg",
    n_frames: int = 3,
    frame_bytes: int = 72,
    marker: bytes = b"FRAME\n",
) -> bytes:
    """A y4m file from its header's words; every byte of frame t is 16 + 9 t."""
    body = b"".join(marker + bytes([16 + 9 * t]) * frame_bytes for t in range(n_frames))
    return f"YUV4MPEG2 {words}\n".encode("latin-1") + body


def shade(t: int, pix_fmt: str, size: tuple[int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(*size, pix_fmt)
    for plane in frame.planes:
        np.frombuffer(memoryview(plane), np.uint8)[:] = 20 + 30 * t
    frame.pts = t
    return frame


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


LONG = "x" * 300 + ".y4m"
