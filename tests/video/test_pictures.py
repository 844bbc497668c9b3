"""nervcodec.video.pictures: folders, patterns and files of a sequence."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from videos import NTSC, OVER_BLACK, png, read

from nervcodec.errors import VideoError
from nervcodec.video.probe import probe


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
    "pix_fmt, note, value",
    [("gray", "gray converted to RGB", 77), ("rgba", OVER_BLACK, round(77 * 77 / 255))],
)
def test_png_of_other_kinds(tmp_path: Path, pix_fmt: str, note: str, value: int) -> None:
    """Gray and RGBA pictures are read as RGB with a note."""
    png(tmp_path / "1.png", pix_fmt, value=77)
    assert note in probe(tmp_path)[1]
    assert all((plane == value).all() for plane in read(tmp_path).planes)


def test_png_of_mixed_kinds(tmp_path: Path) -> None:
    """A folder may mix gray, gray with alpha and RGB."""
    for number, pix_fmt in enumerate(("rgb24", "gray", "ya8"), 1):
        png(tmp_path / f"{number}.png", pix_fmt, value=255)
    assert all((plane == 255).all() for plane in read(tmp_path).planes)


def test_png_of_16_bits_is_refused(tmp_path: Path) -> None:
    """16-bit pictures are refused."""
    png(tmp_path / "1.png", "rgb48be")
    with pytest.raises(VideoError, match="frame 1 has 16 bits"):
        probe(tmp_path)


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
