"""nervcodec.video.source: options of reading, kinds of sources, pipes and their names."""

import os
import threading
from fractions import Fraction
from pathlib import Path

import pytest
from videos import clip, film, png, same, write, y4m

from nervcodec.errors import ConfigError, NervCodecError, VideoError
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all, source_files, spooled
from nervcodec.video.source import SourceOptions, as_color, source_kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_rate": Fraction(2**31)}, "frame rate is 2147483648; legal: a positive ratio of"),
        ({"frame_rate": Fraction(0)}, "frame rate is 0; legal: a positive ratio"),
        ({"video_stream": -1}, "video stream is -1; legal: 0 or more"),
        ({"background": (0, 256, 0)}, "green of the background is 256; legal: 0 to 255"),
        ({"strict": True, "salvage": True}, "strict and salvage are given; legal: one of them"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    """An option that cannot be is refused with its value and what is legal."""
    with pytest.raises(ConfigError, match=message):
        SourceOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("black", (0, 0, 0)),
        ("White", (255, 255, 255)),
        ("#ff8000", (255, 128, 0)),
        ("0000FF", (0, 0, 255)),
    ],
)
def test_colours_as_people_type_them(text: str, color: tuple[int, int, int]) -> None:
    """A colour is a name or six hexadecimal digits."""
    assert as_color(text) == color


@pytest.mark.parametrize("text", ["", "#fff", "green-ish", "#gg0000", "#ff00000", "1,2,3"])
def test_what_is_no_colour(text: str) -> None:
    """Anything else is refused with what was typed."""
    with pytest.raises(ConfigError, match=f"'{text}' is not a colour; legal: black, white or #rr"):
        as_color(text)


def test_kinds_are_told_by_what_stands_there(tmp_path: Path) -> None:
    """A folder, a pattern and one of many pictures are sequences, a single picture is a file."""
    for name in ("a_1.png", "a_2.png", "b.png", "c_1.png"):
        png(tmp_path / name, "rgb24")
    y4m(tmp_path / "a_%d.png.y4m")
    names = (".", "a_%d.png", "a_1.png", "b.png", "c_1.png", "a_%d.png.y4m")
    kinds = [source_kind(tmp_path / name) for name in names]
    assert kinds == ["pictures", "pictures", "pictures", "container", "container", "y4m"]


def test_the_files_of_a_sequence(tmp_path: Path) -> None:
    """The bytes of a source are those of all its pictures, or its own."""
    for name in ("a_2.png", "a_10.png", "b_1.png"):
        png(tmp_path / name, "rgb24")
    names = [file.name for file in source_files(tmp_path / "a_%d.png")]
    assert names == ["a_2.png", "a_10.png"]
    assert source_files(tmp_path / "b_1.png") == [tmp_path / "b_1.png"]


def test_a_named_pipe_is_read_as_a_file(tmp_path: Path) -> None:
    """What somebody writes into a named pipe is coded as the same bytes in a file would be."""
    frames = clip(3, 16, 16)
    write(tmp_path / "a.y4m", frames)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[(tmp_path / "a.y4m").read_bytes()])
    writer.start()
    with spooled(str(pipe)) as source:
        fmt, _ = probe(source)
        assert same(Frames.concatenate(list(read_all(source, fmt))), frames)
    writer.join()
    assert not os.path.exists(source)


@pytest.mark.parametrize("data", [b"", b"hello\n" * 99, b"YUV4MPEG2 W4\n", b"YUV4MPEG2 W4 H2\nFR"])
def test_messages_call_a_pipe_by_its_name(tmp_path: Path, data: bytes) -> None:
    """What is wrong with a pipe is said with its own name, never that of a temporary file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[data])
    writer.start()
    with spooled(str(pipe)) as source, pytest.raises(NervCodecError) as caught:
        probe(source)
    writer.join()
    assert str(pipe) in str(caught.value) and source not in str(caught.value)


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_standard_input_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Standard input is read under each of its names, and called so in messages."""
    reader, writer = os.pipe()
    os.write(writer, b"hello\n" * 99)
    os.close(writer)
    before = os.dup(0)
    try:
        os.dup2(reader, 0)
        with open(0, closefd=False) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            with spooled(name) as source, pytest.raises(VideoError, match="standard input"):
                probe(source)
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reader)
    assert not os.path.exists(source)


def test_files_and_devices_are_not_copied(tmp_path: Path) -> None:
    """A file, a folder, a device without an end and what does not exist stay what they are."""
    film(tmp_path / "a.mkv", "ffv1")
    for name in (str(tmp_path / "a.mkv"), str(tmp_path), "/dev/zero", "none"):
        with spooled(name) as source:
            assert source == name
