"""nervcodec.decoder.framemd5: `verify --framemd5` prints what FFmpeg prints of a decoded .y4m."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from shell import Shell

from nervcodec.decoder.framemd5 import FrameMd5s
from nervcodec.decoder.verify import verify
from nervcodec.format.container import load, write_file
from nervcodec.format.extras import Extras
from nervcodec.format.repeats import Repeats
from nervcodec.format.video_format import VideoFormat

COUNTS = (1, 3, 1, 1, 2)  # how often the frames of held.nvpp are shown


def ffmpeg_framemd5(path: Path) -> str:
    """What FFmpeg's framemd5 muxer writes of a video's frames, but for the line that names it.

    PyAV gives a stream no pixel aspect, so that line is put in.
    """
    output = io.BytesIO()
    with av.open(str(path)) as source, av.open(output, "w", format="framemd5") as target:
        video = source.streams.video[0]
        assert video.average_rate
        stream = target.add_stream("rawvideo", rate=video.average_rate)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, video.pix_fmt
        aspect = video.sample_aspect_ratio or Fraction(0)
        for frame in source.decode(video):
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    text = output.getvalue().decode().replace("0/1\n", f"{aspect.numerator}/{aspect.denominator}\n")
    return re.sub("#software.*\n", "", text)


def raw(path: Path) -> list[bytes]:
    """The samples of each frame of a .y4m file."""
    return path.read_bytes().split(b"FRAME\n")[1:]


@pytest.fixture
def held(coded: Shell) -> Shell:
    """out.nvpp, and held.nvpp, which shows its frames as often as COUNTS says."""
    file = load("out.nvpp")
    header = replace(file.header, format=replace(file.header.format, n_frames=sum(COUNTS)))
    extras = Extras(repeats=Repeats.of_counts(COUNTS))
    Path("held.nvpp").write_bytes(write_file(header, file.segments, extras))
    return coded


@pytest.mark.parametrize("name", ["out", "held"])
def test_ffmpeg_prints_the_same(held: Shell, name: str) -> None:
    """Header, columns and MD5 of each shown frame, repeats and all, across segments; the MD5 of the
    whole is the last thing on stderr.
    """
    assert held("decode", f"{name}.nvpp", "out.y4m").code == 0
    result = held("verify", f"{name}.nvpp", "--framemd5")
    assert (result.code, result.out) == (0, ffmpeg_framemd5(Path("out.y4m")))
    whole = hashlib.md5(b"".join(raw(Path("out.y4m")))).hexdigest()
    assert result.err.splitlines()[-1] == (
        f"nervcodec: exact: every decoded sample is the encoder's; MD5 of all shown frames: {whole}"
    )


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg program")
def test_the_ffmpeg_program_prints_the_same(held: Shell) -> None:
    """The commands of the guide, pixel aspect and all."""
    file = load("held.nvpp")
    form = replace(file.header.format, sample_aspect_ratio=Fraction(16, 15))
    data = write_file(replace(file.header, format=form), file.segments, file.extras)
    Path("held.nvpp").write_bytes(data)
    assert held("decode", "held.nvpp", "out.y4m").code == 0
    ffmpeg = ("ffmpeg", "-v", "error", "-i", "out.y4m", "-fflags", "+bitexact", "-f")
    printed, whole = (
        subprocess.run([*ffmpeg, name, "-"], check=True, capture_output=True, text=True).stdout
        for name in ("framemd5", "md5")
    )
    result = held("verify", "held.nvpp", "--framemd5")
    assert result.out == printed and "#sar 0: 16/15\n" in printed
    assert whole == f"MD5={result.err.split()[-1]}\n"


def test_json_has_them(held: Shell) -> None:
    """--json prints its object alone, with the MD5 of each shown frame and of all; verdicts are
    those of an ordinary verification.
    """
    assert held("decode", "held.nvpp", "held.y4m").code == 0
    found = json.loads(held("verify", "held.nvpp", "--framemd5", "--json").out)
    each = raw(Path("held.y4m"))
    assert found["frame_md5"] == [hashlib.md5(frame).hexdigest() for frame in each]
    assert found["md5"] == hashlib.md5(b"".join(each)).hexdigest()
    ordinary = verify("held.nvpp").as_json()
    assert (ordinary["md5"], ordinary["frame_md5"]) == (None, None)
    assert found["segments"] == ordinary["segments"] and found["verdict"] == "exact"


def test_frames_that_differ_are_printed_too(coded: Shell) -> None:
    """The lines stand on stdout, and the error is that of any verification."""
    file = load("out.nvpp")
    first, second = file.segments
    wrong = replace(second, md5=bytes(16))
    Path("out.nvpp").write_bytes(write_file(file.header, [first, wrong]))
    result = coded("verify", "out.nvpp", "--framemd5")
    assert result.code == 4 and len(result.out.splitlines()) == 9 + 5
    assert "frames 2 to 4 differ from what was encoded" in result.err.splitlines()[-1]


def test_progress_counts_coded_frames(held: Shell) -> None:
    """A repeated frame is decoded once."""
    seen: list[tuple[int, int]] = []
    verify("held.nvpp", each_frame=True, on_progress=lambda *counts: seen.append(counts))
    assert seen == [(n, 5) for n in range(1, 6)]


def test_large_numbers_widen_their_columns() -> None:
    """As in FFmpeg, from ten digits on."""
    frames = FrameMd5s(VideoFormat(4096, 4096, Fraction(25), 1), 10**8, ("0" * 32,), "0" * 32)
    assert frames.text().splitlines()[-1] == f"0, {0:10}, {0:10},        1, 100000000, {'0' * 32}"
