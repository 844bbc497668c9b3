"""nervcodec.video.pictures: folders, patterns and files of a sequence."""

import struct
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import NTSC, OVER_BLACK, png, read

from nervcodec.errors import VideoError
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.source import SourceOptions


def test_png_order_is_natural(tmp_path: Path) -> None:
    """2.png comes before 10.png; the default rate and other files are noted."""
    for number in (10, 2, 1):
        png(tmp_path / f"shot{number}.png", "rgb24", value=number)
    (tmp_path / "notes.txt").write_text("x")
    fmt, notes = probe(tmp_path)
    assert (fmt.layout, fmt.frame_rate, fmt.n_frames) == ("rgb", Fraction(25), 3)
    assert notes == (
        "other entries of the folder, left out: 1",
        "missing from the sequence: shot3.png, shot4.png, shot5.png, shot6.png, shot7.png and 2"
        " more",
        "a folder of PNG has no frame rate: 25 assumed",
    )
    assert read(tmp_path).planes[0][:, 0, 0].tolist() == [1, 2, 10]


def test_png_frame_rate_can_be_given(tmp_path: Path) -> None:
    """A rate given by the caller is taken."""
    png(tmp_path / "1.png", "rgb24")
    fmt, notes = probe(tmp_path, frame_rate=NTSC)
    assert (fmt.frame_rate, notes) == (NTSC, ("frame rate 30000/1001 as asked",))


@pytest.mark.parametrize(
    "pix_fmt, layout, notes, value",
    [
        ("gray", "gray", (), 77),
        ("ya8", "gray", (OVER_BLACK,), round(77 * 77 / 255)),
        ("rgba", "rgb", (OVER_BLACK,), round(77 * 77 / 255)),
    ],
)
def test_png_of_other_kinds(
    tmp_path: Path, pix_fmt: str, layout: str, notes: tuple[str, ...], value: int
) -> None:
    """Gray pictures stay gray, of full range, and transparent ones are laid over black."""
    png(tmp_path / "1.png", pix_fmt, value=77)
    fmt, found = probe(tmp_path)
    assert (fmt.layout, fmt.color.full_range) == (layout, True if layout == "gray" else None)
    assert found[:-1] == notes
    assert all((plane == value).all() for plane in read(tmp_path).planes)


def test_png_of_mixed_kinds(tmp_path: Path) -> None:
    """A folder may mix gray, gray with alpha and RGB, of 8 and of 16 bits: all become RGB."""
    for number, pix_fmt in enumerate(("rgb24", "gray", "ya8", "rgb48be"), 1):
        png(tmp_path / f"{number}.png", pix_fmt, value=255)
    frames = read(tmp_path)
    assert (frames.layout, frames.bit_depth) == ("rgb", 12)
    assert all((plane == 4095).all() for plane in frames.planes)


def test_png_of_16_bits_is_coded_at_12(tmp_path: Path) -> None:
    """16-bit pictures are read as 12 bits with a note."""
    png(tmp_path / "1.png", "rgb48be")
    fmt, notes = probe(tmp_path)
    assert (fmt.layout, fmt.bit_depth) == ("rgb", 12)
    assert "16-bit RGB coded at 12 bits" in notes


def test_png_of_another_size_is_refused(tmp_path: Path) -> None:
    """All pictures must have one size."""
    png(tmp_path / "1.png", "rgb24")
    png(tmp_path / "2.png", "rgb24", 6, 4)
    with pytest.raises(VideoError, match="frame 2 is 6x4, the first is 4x4"):
        probe(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:40], lambda data: b"hello" * 20]
)
def test_damaged_png_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A PNG that does not decode is refused with its name."""
    png(tmp_path / "1.png", "rgb24")
    png(tmp_path / "2.png", "rgb24")
    (tmp_path / "2.png").write_bytes(damage((tmp_path / "2.png").read_bytes()))
    with pytest.raises(VideoError, match=r"cannot read .*2\.png"):
        probe(tmp_path)


def test_folder_without_pictures(tmp_path: Path) -> None:
    """A folder without any picture is refused."""
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(VideoError, match="there are no pictures .PNG, JPEG, TIFF, BMP or WebP."):
        probe(tmp_path)


# Sequences


def numbered(folder: Path, pattern: str, numbers: Sequence[int]) -> Path:
    """Pictures whose red is their number."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        png(folder / (pattern % number), "rgb24", value=number)
    return folder


NO_RATE = "a sequence of PNG has no frame rate: 25 assumed"


def test_a_gap_is_said(tmp_path: Path) -> None:
    """The pictures that a sequence lacks are named."""
    folder = numbered(tmp_path / "a", "f_%03d.png", [1, 2, 4, 7])
    assert probe(folder)[1][0] == "missing from the sequence: f_003.png, f_005.png, f_006.png"


@pytest.mark.parametrize("name", ["f_%04d.png", "f_%d.png"])
def test_a_pattern_is_a_sequence(tmp_path: Path, name: str) -> None:
    """A pattern as printf has it names the pictures that fit it, in the order of their numbers."""
    folder = numbered(tmp_path / "a", "f_%04d.png", [9, 10, 11])
    numbered(folder, "other_%d.png", [50])
    fmt, notes = probe(folder / name)
    assert (fmt.n_frames, notes) == (3, (NO_RATE,))
    assert read(folder / name).planes[0][:, 0, 0].tolist() == [9, 10, 11]


def test_a_pattern_that_nothing_fits(tmp_path: Path) -> None:
    """A pattern without pictures is refused by its name."""
    with pytest.raises(VideoError, match="cannot read .*f_%02d.png: no file fits this pattern"):
        probe(tmp_path / "f_%02d.png")


def test_one_picture_of_many_is_the_sequence(tmp_path: Path) -> None:
    """One file of a numbered sequence stands for all of it, with a note."""
    folder = numbered(tmp_path / "a", "f_%d.png", [1, 2, 3])
    fmt, notes = probe(folder / "f_2.png")
    assert fmt.n_frames == 3
    assert notes == ("f_2.png is one of a sequence: all of its 3 pictures are coded", NO_RATE)


def test_two_sequences_are_said(tmp_path: Path) -> None:
    """A folder with two sequences is coded with a note that names both."""
    folder = numbered(tmp_path / "a", "a_%d.png", [1, 2])
    numbered(folder, "b_%d.png", [1, 2, 3])
    fmt, notes = probe(folder)
    assert fmt.n_frames == 5
    assert notes[0] == (
        "2 sequences of pictures are coded one after the other (a_*.png: 2, b_*.png: 3)"
    )


@pytest.mark.parametrize(
    ("codec", "suffix", "pix_fmt", "layout", "family"),
    [
        ("mjpeg", ".jpg", "yuvj420p", "yuv420", "JPEG"),
        ("mjpeg", ".JPEG", "yuvj420p", "yuv420", "JPEG"),
        ("tiff", ".tif", "rgb24", "rgb", "TIFF"),
        ("bmp", ".bmp", "bgr24", "rgb", "BMP"),
        ("png", ".png", "rgb24", "rgb", "PNG"),
    ],
)
def test_folders_of_other_pictures(
    tmp_path: Path, codec: str, suffix: str, pix_fmt: str, layout: str, family: str
) -> None:
    """Pictures of each family are coded in their own layout, in natural order."""
    for number in (10, 9, 2):
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = 16, 16, pix_fmt
        context.time_base, context.thread_count = Fraction(1, 25), 1
        frame = av.VideoFrame(16, 16, pix_fmt)
        for plane in frame.planes:
            np.frombuffer(memoryview(plane), np.uint8)[:] = 10 * number
        packets = [*context.encode(frame), *context.encode(None)]
        data = b"".join(bytes(packet) for packet in packets)
        (tmp_path / f"{number}{suffix}").write_bytes(data)
    fmt, notes = probe(tmp_path)
    assert (fmt.layout, fmt.n_frames) == (layout, 3)
    assert notes[-1] == f"a folder of {family} has no frame rate: 25 assumed"
    luma = read(tmp_path).planes[0][:, 8, 8].astype(int)
    assert np.abs(luma - [20, 90, 100]).max() <= 2


def test_the_family_of_most_files_is_coded(tmp_path: Path) -> None:
    """Of a folder of two families that with more files is coded, the others are counted."""
    folder = numbered(tmp_path / "a", "%d.png", [1, 2])
    (folder / "cover.jpg").write_bytes(b"x")
    fmt, notes = probe(folder)
    assert (fmt.n_frames, notes[0]) == (2, "other entries of the folder, left out: 1")


@pytest.mark.parametrize(
    ("phys", "ratio"),
    [((16, 11, 0), Fraction(16, 11)), ((2835, 5670, 1), Fraction(2)), ((0, 5, 0), Fraction(1))],
)
def test_pixel_aspect_of_png(tmp_path: Path, phys: tuple[int, int, int], ratio: Fraction) -> None:
    """The pHYs chunk gives the aspect: itself without a unit, as pixels a metre with one."""
    png(tmp_path / "1.png", "rgb24")
    data = (tmp_path / "1.png").read_bytes()
    at = data.index(b"IDAT") - 4
    body = b"pHYs" + struct.pack(">IIB", *phys)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "1.png").write_bytes(data[:at].replace(b"pHYs", b"pHYt") + chunk + data[at:])
    assert probe(tmp_path)[0].sample_aspect_ratio == ratio


def test_salvage_leaves_out_damaged_pictures(tmp_path: Path) -> None:
    """With salvage a picture that does not decode is left out with a note, its others are read."""
    folder = numbered(tmp_path / "a", "%d.png", [1, 2, 3])
    (folder / "2.png").write_bytes(b"hello")
    salvage = SourceOptions(salvage=True)
    fmt, notes = probe(folder, salvage)
    assert fmt.n_frames == 2
    assert notes[0].startswith(f"left out: cannot read {folder}/2.png: ")
    (group,) = read_groups(folder, fmt, [2], salvage)
    assert group.planes[0][:, 0, 0].tolist() == [1, 3]
