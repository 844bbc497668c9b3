"""nervcodec decode: what a user sees of it."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from shell import Shell, error_line, read_frames, write_clip

from nervcodec.coding.range_coder import Coded
from nervcodec.format.container import write_file
from nervcodec.format.file import Header, Segment
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.probe import probe

DATA = Path(__file__).parents[1] / "data"


def test_decode_keeps_rate_and_count(coded: Shell) -> None:
    """A decoded .mp4 has the source's exact frame rate and number of frames."""
    assert coded("decode", "out.nvpp", "out.mp4").code == 0
    form, _ = probe(coded.folder / "out.mp4")
    assert (form.n_frames, form.frame_rate, form.width) == (
        5,
        probe(coded.folder / "in.y4m")[0].frame_rate,
        24,
    )


def test_decode_range_equals_a_part_of_the_whole(coded: Shell) -> None:
    """--frames 1:4 writes exactly the frames 1, 2, 3 of the whole decode, across the segments'
    border.
    """
    coded("decode", "out.nvpp", "whole.y4m")
    assert coded("decode", "out.nvpp", "part.y4m", "--frames", "1:4").code == 0
    whole, part = read_frames(coded.folder / "whole.y4m"), read_frames(coded.folder / "part.y4m")
    assert all(np.array_equal(a[1:4], b) for a, b in zip(whole.planes, part.planes, strict=True))


def test_decode_touches_only_needed_segments(coded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of the second segment are decoded without decoding the first."""
    from nervcodec.coding import streams

    lengths: list[int] = []
    original = streams.decode_symbols_of

    def counting(one: Segment, model: ModelConfig) -> list[Coded]:
        lengths.append(one.n_frames)
        return original(one, model)

    monkeypatch.setattr(streams, "decode_symbols_of", counting)
    assert coded("decode", "out.nvpp", "part.y4m", "--frames", "3:5").code == 0
    assert lengths == [3]


def test_decode_to_a_folder_of_png(coded: Shell) -> None:
    """A name without a suffix becomes a folder with a PNG for each frame."""
    assert coded("decode", "out.nvpp", "pngs").code == 0
    assert len(list((coded.folder / "pngs").glob("*.png"))) == 5


def test_odd_size_to_mp4_says_that_it_pads(shell: Shell) -> None:
    """libx264 takes even sizes only: the note names the padding."""
    write_clip(shell.folder / "odd.y4m", 19, 13, 2)
    shell("encode", "odd.y4m", "odd.nvpp", "--epochs", "1")
    result = shell("decode", "odd.nvpp", "odd.mp4")
    assert result.code == 0 and "20x14" in result.err


def test_decode_refuses_what_takes_too_much_memory(coded: Shell) -> None:
    """A file whose decoding would exceed --max-memory is refused with the estimate, exit code 5."""
    result = coded("decode", "out.nvpp", "out.y4m", "--max-memory", "0.1")
    assert result.code == 5 and "MiB of memory" in error_line(result)
    assert not (coded.folder / "out.y4m").exists()


def test_decode_refuses_a_bomb(shell: Shell) -> None:
    """A valid file of under 200 bytes that stands for terabytes of parameters is refused before any
    are allocated.
    """
    model = ModelConfig(
        8192, 8192, "yuv420", GridStem(4096, 4096, (Grid(255, 1),)), (Block(1, 4096),)
    )
    form = VideoFormat(8192, 8192, Fraction(25), 1000)
    data = write_file(Header(form, model), [Segment((1000,), (b"\0",) * 3)])
    assert len(data) < 200
    (shell.folder / "bomb.nvpp").write_bytes(data)
    result = shell("decode", "bomb.nvpp", "out.y4m")
    assert (
        result.code == 5
        and "parameters is 4,278,409,555,974, more than the limit" in error_line(result)
    )


@pytest.fixture
def golden(shell: Shell) -> Shell:
    """A folder with out.nvpp, a golden file of 7 frames of 27 x 21."""
    shutil.copy(DATA / "grid_yuv.nvpp", shell.folder / "out.nvpp")
    return shell


def test_one_frame_as_a_picture(golden: Shell) -> None:
    """--frame N writes the very pixels that the folder's picture of that frame has."""
    golden("decode", "out.nvpp", "pngs/")
    assert golden("decode", "out.nvpp", "one.png", "--frame", "5").code == 0
    pictures = golden.folder / "pngs"
    assert (golden.folder / "one.png").read_bytes() == (pictures / "00000006.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one.png",), "one picture, and there are 7 frames; --frame N chooses one"),
        (("one.png", "--frame", "7"), "frame is 7; legal: 0 to 6"),
        (("a.y4m", "--frame", "1", "--frames", "1:3"), "frame and frames are given"),
        (("a.mkv", "--codec", "ffv1", "--pixel-format", "x"), "legal for ffv1: yuv420p, "),
        (("a.y4m", "--scale", "3by4"), "legal: WxH"),
        (("a.y4m", "--scale", "3x0"), "height to scale to is 0"),
    ],
)
def test_decode_refuses_before_it_writes(
    golden: Shell, arguments: tuple[str, ...], words: str
) -> None:
    """What does not go with the file is one line and exit 2."""
    result = golden("decode", "out.nvpp", *arguments)
    assert result.code == 2 and words in error_line(result)
    assert not (golden.folder / arguments[0]).exists()


def test_decode_at_another_size_and_pixel_format(golden: Shell) -> None:
    """--scale gives the size, --pixel-format what the encoder codes, with a note."""
    options = ("--scale", "48x36", "--codec", "ffv1", "--pixel-format", "yuv444p")
    result = golden("decode", "out.nvpp", "a.mkv", *options)
    assert "4:2:0 converted to 4:4:4" in result.err
    with av.open(str(golden.folder / "a.mkv")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.pix_fmt) == (48, 36, "yuv444p")


@pytest.mark.parametrize("name", ["gray", "yuv444p", "yuv420p10le", "gbrp12le"])
def test_a_pixel_format_is_what_comes_out(golden: Shell, name: str) -> None:
    """--pixel-format is the format of the coded frames, of every family and bit depth."""
    options = ("--codec", "ffv1", "--pixel-format", name, "--frame", "1")
    assert golden("decode", "out.nvpp", "a.mkv", *options).code == 0
    with av.open(str(golden.folder / "a.mkv")) as container:
        assert container.streams.video[0].pix_fmt == name
