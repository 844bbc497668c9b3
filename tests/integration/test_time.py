"""Time from source to output: frames' times, repeats, parts and constant rates."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from shell import Shell, read_frames, write_clip
from videos import film

from nervcodec.format.container import SECTION_OVERHEAD, load, write_file, write_segment
from nervcodec.format.salvage import salvage
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe

FAST = ("--preset", "ultrafast", "--epochs", "1", "--threads", "1", "-y")
TICKS = [0, 33, 66, 500, 541, 580, 1000, 1033]
# How often each frame of held.y4m is shown, in three segments of two frames.
HELD = [1, 3, 1, 5, 1, 2]


def times_of(path: Path) -> list[int]:
    """The milliseconds at which frames are shown."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base or Fraction(1)
        return [round((frame.pts or 0) * base * 1000) for frame in container.decode(video=0)]


def write_held(path: Path, counts: list[int] = HELD) -> None:
    """The frames of write_clip, each shown so many times."""
    write_clip(path, n_frames=len(counts))
    head, *frames = path.read_bytes().split(b"FRAME\n")
    body = (b"FRAME\n" + frame for frame, n in zip(frames, counts) for _ in range(n))
    path.write_bytes(head + b"".join(body))


@pytest.fixture
def timed(shell: Shell) -> Shell:
    """A folder with in.mp4, whose frames come at TICKS, and out.nvpp."""
    film(shell.folder / "in.mp4", n_frames=8, times=TICKS)
    assert shell("encode", "in.mp4", "out.nvpp", *FAST).code == 0
    return shell


@pytest.fixture
def held(shell: Shell) -> Shell:
    """A folder with held.y4m, held.nvpp, and distinct.y4m and distinct.nvpp without repeats."""
    write_held(shell.folder / "held.y4m")
    write_clip(shell.folder / "distinct.y4m", n_frames=len(HELD))
    for name in ("held", "distinct"):
        options = (*FAST, "--segment-frames", "2")
        assert shell("encode", f"{name}.y4m", f"{name}.nvpp", *options).code == 0
    return shell


def expanded(frames: Frames, counts: list[int] = HELD) -> Frames:
    """Each frame as often as it is shown."""
    planes = [np.repeat(plane, counts, axis=0) for plane in frames.planes]
    return Frames(frames.layout, (planes[0], planes[1], planes[2]))


def same(a: Frames, b: Frames) -> bool:
    return all(map(np.array_equal, a.planes, b.planes))


def test_times_go_round(timed: Shell) -> None:
    """Irregular times come back in every container; a part begins at 0; info says it."""
    for suffix in ("mp4", "mov", "mkv", "webm"):
        assert timed("decode", "out.nvpp", f"a.{suffix}").code == 0
        assert times_of(timed.folder / f"a.{suffix}") == TICKS
    assert timed("decode", "out.nvpp", "part.mp4", "--frames", "3:7").code == 0
    assert times_of(timed.folder / "part.mp4") == [0, 41, 80, 500]
    result = timed("decode", "out.nvpp", "a.y4m")
    assert "nervcodec: .y4m has no frame times: written at the average rate" in result.err
    assert "(variable frame rate)" in timed("info", "out.nvpp").out
    assert json.loads(timed("info", "out.nvpp", "--json").out)["variable_frame_rate"] is True


def test_a_rate_in_place_of_times(timed: Shell) -> None:
    """--frame-rate drops the times; --cfr drops and repeats frames by them, and says it."""
    assert timed("encode", "in.mp4", "rate.nvpp", *FAST, "--frame-rate", "25").code == 0
    assert load(timed.folder / "rate.nvpp").extras.times is None
    result = timed("encode", "in.mp4", "cfr.nvpp", *FAST, "--cfr", "10")
    assert "constant 10 fps as asked makes 11 of 8 frames: 3 dropped, 6 repeated" in result.err
    file = load(timed.folder / "cfr.nvpp")
    assert file.header.format.frame_rate == 10 and file.header.format.n_frames == 11
    assert file.extras.times is None and file.n_coded_frames == 5
    assert timed("decode", "cfr.nvpp", "cfr.mp4").code == 0
    assert times_of(timed.folder / "cfr.mp4") == [100 * k for k in range(11)]


def test_repeats_are_coded_once(held: Shell) -> None:
    """Held frames take bytes of a section of repeats alone, and every one is shown again."""
    found, distinct = load(held.folder / "held.nvpp"), load(held.folder / "distinct.nvpp")
    assert [each.streams for each in found.segments] == [each.streams for each in distinct.segments]
    assert found.n_bytes - distinct.n_bytes == 5 + 9 + 12
    assert (found.header.format.n_frames, found.n_coded_frames) == (sum(HELD), len(HELD))
    for name in ("held", "distinct"):
        assert held("decode", f"{name}.nvpp", f"{name}.out.y4m").code == 0
    frames = read_frames(held.folder / "distinct.out.y4m")
    assert same(read_frames(held.folder / "held.out.y4m"), expanded(frames))


def test_quality_counts_shown_frames(held: Shell) -> None:
    """Stored quality is that of all frames that are shown, as compare measures it."""
    held("decode", "held.nvpp", "out.y4m")
    psnr = json.loads(held("compare", "held.y4m", "out.y4m", "--json").out)["psnr"]
    stored = load(held.folder / "held.nvpp").quality
    assert stored.psnr_y == pytest.approx(psnr["y"], abs=1e-4)
    assert stored.psnr_rgb == pytest.approx(psnr["rgb"], abs=1e-4)
    distinct = load(held.folder / "distinct.nvpp").quality
    assert stored.psnr_y != pytest.approx(distinct.psnr_y, abs=1e-4)


def test_ranges_count_shown_frames(held: Shell) -> None:
    """--frames A:B counts what is shown, and reads only the segments that it needs."""
    file = load(held.folder / "held.nvpp")
    held("decode", "held.nvpp", "whole.y4m")
    whole = read_frames(held.folder / "whole.y4m")
    assert held("decode", "held.nvpp", "part.y4m", "--frames", "2:9").code == 0
    assert same(read_frames(held.folder / "part.y4m"), whole[2:9])
    # The last segment's streams are none that can be decoded.
    last = file.segments[-1]
    broken = replace(last, streams=(b"\xff",) * len(last.streams))
    data = write_file(file.header, (*file.segments[:-1], broken), file.extras)
    (held.folder / "broken.nvpp").write_bytes(data)
    assert held("decode", "broken.nvpp", "first.y4m", "--frames", "0:10").code == 0
    assert held("decode", "broken.nvpp", "second.y4m", "--frames", "0:11").code == 4


def test_info_and_verify_count_shown_frames(held: Shell) -> None:
    """Both say which frames are shown, and how many are coded."""
    found = json.loads(held("info", "held.nvpp", "--json").out)
    assert (found["frames"], found["coded_frames"], found["segments"]) == (13, 6, [2, 2, 2])
    assert found["bpp"] == pytest.approx(8 * found["bytes"] / (13 * 24 * 18))
    assert "13 frames (6 of them coded, the others repeat)" in held("info", "held.nvpp").out
    verified = json.loads(held("verify", "held.nvpp", "--json").out)
    shown = [(segment["first"], segment["n_frames"]) for segment in verified["segments"]]
    assert verified["verdict"] == "exact" and shown == [(0, 4), (4, 6), (10, 3)]


def test_salvage_counts_shown_frames(held: Shell) -> None:
    """Lost frames are those that would be shown; the others repeat as they did. Without the repeats
    every frame is shown once.
    """
    file = load(held.folder / "held.nvpp")
    data = (held.folder / "held.nvpp").read_bytes()
    first = write_segment(file.segments[0])
    at = data.index(first) + len(first) + SECTION_OVERHEAD + 30  # in the second one
    damaged, lost = salvage(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert lost == (range(4, 10),) and damaged.header.format.n_frames == 7
    assert damaged.extras.repeats and list(damaged.extras.repeats.counts()) == [1, 3, 1, 2]
    at = data.index(bytes([1, 1, 1, 3, 1, 1, 1, 5, 1, 1, 1, 2]))
    damaged, lost = salvage(data[:at] + b"\2" + data[at + 1 :])
    assert damaged.extras.repeats is None and damaged.header.format.n_frames == 6
    assert lost == (range(6, 13),)


def test_salvage_keeps_times(timed: Shell) -> None:
    """Frames that are left of a damaged file are shown when they were."""
    assert timed("encode", "in.mp4", "two.nvpp", *FAST, "--segment-frames", "4").code == 0
    data = (timed.folder / "two.nvpp").read_bytes()
    file, lost = salvage(data[:-5])
    assert lost == (range(4, 8),) and file.extras.times
    ticks = file.extras.times.ticks(file.header.format)
    assert [round(tick * file.extras.times.unit * 1000) for tick in ticks] == [0, 33, 66, 500, 541]


def test_a_still_film_costs_a_frame(shell: Shell) -> None:
    """Five hundred equal frames are one coded frame, and a size for all of them is met by it."""
    write_held(shell.folder / "in.y4m", [500])
    assert shell("encode", "in.y4m", "out.nvpp", *FAST, "--bpp", "0.02").code == 0
    file = load(shell.folder / "out.nvpp")
    assert (file.header.format.n_frames, file.n_coded_frames) == (500, 1)
    planned = json.loads(shell("encode", "in.y4m", "x.nvpp", "--dry-run", "--json").out)
    assert (planned["frames"], planned["coded_frames"], planned["segments"]) == (500, 1, [1])


@pytest.mark.parametrize(
    ("options", "first", "stop"),
    [
        (["--frames", "3"], 0, 3),
        (["--frames", "2:5"], 2, 5),
        (["--frames", "6:"], 6, 8),
        (["--seek", "0:00.1"], 3, 8),
        (["--seek", "0.1", "--duration", "0.1"], 3, 6),
    ],
)
def test_a_part_is_coded(shell: Shell, options: list[str], first: int, stop: int) -> None:
    """A part of a source gives the file that the same frames alone give."""
    write_clip(shell.folder / "in.y4m", n_frames=8)
    head, *frames = (shell.folder / "in.y4m").read_bytes().split(b"FRAME\n")
    part = b"".join(b"FRAME\n" + frame for frame in frames[first:stop])
    (shell.folder / "part.y4m").write_bytes(head + part)
    assert shell("encode", "in.y4m", "a.nvpp", *FAST, *options).code == 0
    assert shell("encode", "part.y4m", "b.nvpp", *FAST).code == 0
    assert (shell.folder / "a.nvpp").read_bytes() == (shell.folder / "b.nvpp").read_bytes()


def test_what_lies_behind_a_part_may_be_damaged(shell: Shell) -> None:
    """A part that ends before the damage is coded."""
    write_clip(shell.folder / "in.y4m", n_frames=8)
    data = (shell.folder / "in.y4m").read_bytes()
    (shell.folder / "cut.y4m").write_bytes(data[:-5])
    assert shell("encode", "cut.y4m", "out.nvpp", *FAST, "--frames", "4:7").code == 0
    assert load(shell.folder / "out.nvpp").header.format.n_frames == 3
    assert shell("encode", "cut.y4m", "out.nvpp", *FAST, "--frames", "4:8").code == 3


def test_gifs_keep_their_delays(shell: Shell) -> None:
    """A picture that is held within an animation, and one at its end, last as long as they did."""
    with av.open(str(shell.folder / "in.gif"), "w") as container:
        stream = container.add_stream("gif", rate=100)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb8"
        stream.codec_context.time_base = Fraction(1, 100)
        for t, ticks in enumerate([0, 10, 60, 70]):
            frame = av.VideoFrame(16, 16, "rgb8")
            np.frombuffer(memoryview(frame.planes[0]), np.uint8)[:] = 60 * t
            frame.pts, frame.time_base = ticks, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe(shell.folder / "in.gif")[0].n_frames == 4
    assert shell("encode", "in.gif", "out.nvpp", *FAST).code == 0
    assert shell("decode", "out.nvpp", "out.mp4").code == 0
    assert times_of(shell.folder / "out.mp4") == [0, 100, 600, 700]
