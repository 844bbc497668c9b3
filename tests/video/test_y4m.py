"""nervcodec.video.y4m: headers, frames and damage."""

from fractions import Fraction
from pathlib import Path

import pytest
from videos import NTSC, OVER_BLACK, clip, read, same, write, y4m

from nervcodec.errors import VideoError
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.video.probe import probe
from nervcodec.video.source import SourceOptions

CENTER = ColorTags(chroma_location=2)


@pytest.mark.parametrize(
    "tag, location", [("C420jpeg ", 2), ("C420mpeg2 ", 1), ("C420paldv ", 3), ("C420 ", 2), ("", 0)]
)
def test_y4m_chroma_location(tmp_path: Path, tag: str, location: int) -> None:
    """Each 4:2:0 tag says where chroma lies; no tag says nothing."""
    path = y4m(tmp_path / "a.y4m", f"W4 H2 {tag}F25:1")
    assert probe(path)[0].color.chroma_location == location


@pytest.mark.parametrize(
    "tag, full", [("XCOLORRANGE=FULL", True), ("XCOLORRANGE=LIMITED", False), ("XOTHER=1", None)]
)
def test_y4m_range(tmp_path: Path, tag: str, full: bool | None) -> None:
    """XCOLORRANGE gives the range; other X tags are ignored."""
    path = y4m(tmp_path / "a.y4m", f"W4 H2 F25:1 {tag}")
    assert probe(path)[0].color.full_range is full


def test_y4m_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    """A y4m file is read as one whatever its name, with parameters after FRAME."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"YUV4MPEG2 H2 W4 F30:1 A0:0\nFRAME Xhello\n" + bytes(range(12)))
    fmt, notes = probe(path)
    assert (fmt, notes) == (VideoFormat(4, 2, Fraction(30), 1), ())
    planes = read(path).planes
    assert [plane.flatten().tolist() for plane in planes] == [list(range(8)), [8, 9], [10, 11]]


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("layout", ["yuv420", "yuv422", "yuv444", "gray"])
@pytest.mark.parametrize("size", [(4, 2), (5, 3), (1, 1)])
def test_every_layout_comes_back(
    tmp_path: Path, layout: Layout, bits: int, size: tuple[int, int]
) -> None:
    """Planes of every layout and bit depth come back exactly, and the header has their tag."""
    frames = clip(3, *size, layout, bits)
    assert write(tmp_path / "a.y4m", frames) == ()
    tags = {"yuv420": "420", "yuv422": "422", "yuv444": "444", "gray": "mono"}
    tag = tags[layout] + ("" if bits == 8 else f"{'' if layout == 'gray' else 'p'}{bits}")
    line = (tmp_path / "a.y4m").read_bytes().partition(b"\n")[0]
    assert f"C{tag}{'jpeg' if tag == '420' else ''}" in line.decode().split()
    assert same(read(tmp_path / "a.y4m"), frames)


def test_deep_samples_are_little_endian(tmp_path: Path) -> None:
    """A sample of 10 bits is two bytes, the lower one first."""
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W2 H1 F25:1 Cmono10\nFRAME\n" + bytes([1, 2, 255, 3]))
    assert read(path).planes[0].tolist() == [[[513, 1023]]]


def test_samples_beyond_their_bits_are_refused(tmp_path: Path) -> None:
    """A sample that 10 bits cannot hold is named with its frame."""
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W1 H1 F25:1 Cmono10\nFRAME\n\0\0FRAME\n\0\4")
    with pytest.raises(VideoError, match="a sample of frame 2 is 1024; legal: 0 to 1023"):
        read(path)


def test_frame_rate_can_be_given(tmp_path: Path) -> None:
    """A rate given by the caller replaces a missing one, and one that stands there with a note."""
    path = y4m(tmp_path / "a.y4m", "W4 H2 F0:0")
    assert probe(path, frame_rate=NTSC)[0].frame_rate == NTSC
    path = y4m(tmp_path / "b.y4m")
    assert probe(path, frame_rate=NTSC)[1] == (
        "frame rate 30000/1001 as asked, the source says 25",
    )


@pytest.mark.parametrize(
    "header, message",
    [
        ("W4 H2 F0:0", "states no frame rate"),
        ("W4 H2", "states no frame rate"),
        ("W4 H2 F25", "must be a ratio"),
        ("W4 F25:1", "tag H is missing; it must be a size of 1 to 999999999 pixels"),
        ("W0 H2 F25:1", "tag W is W0;"),
        ("W-4 H2 F25:1", "tag W is W-4;"),
        ("W4 H2 F25:1 It", "interlaced frames .It, top field first"),
        ("W4 H2 F25:1 Im", "interlaced frames .Im, mixed"),
        ("W4 H2 F25:1 C420p9", "C420p9 is not read, the nearest that is: C420p12;"),
        ("W4 H2 F25:1 C440", "C440 is not read, the nearest that is: C420;"),
        ("W4 H2 F25:1 XYSCSS=422P16", "C422P16 is not read, the nearest that is: C422p12;"),
        ("W4 H2 F9999999999:1", "32-bit"),
        ("W99999 H2 F25:1", "frame 1 is cut short"),
        ("W999999999 H999999999 F25:1", "frame 1 is cut short"),
    ],
)
def test_y4m_bad_header(tmp_path: Path, header: str, message: str) -> None:
    """A header we cannot honour is refused with the tag's name."""
    with pytest.raises(VideoError, match=message):
        probe(y4m(tmp_path / "a.y4m", header))


def test_y4m_too_large(tmp_path: Path) -> None:
    """Frames over 16384 pixels a side are refused."""
    with pytest.raises(VideoError, match="16386x2; up to 16384"):
        probe(y4m(tmp_path / "a.y4m", "W16386 H2 F25:1", 1, 16386 * 3))


@pytest.mark.parametrize("lost", [1, 11, 12, 13, 17])
def test_y4m_cut_in_the_last_frame(tmp_path: Path, lost: int) -> None:
    """A file cut anywhere in its last frame is refused with that frame's number."""
    path = y4m(tmp_path / "a.y4m")
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(VideoError, match="frame 2 is cut short"):
        probe(path)


def test_y4m_with_a_damaged_marker(tmp_path: Path) -> None:
    """A frame that does not begin with FRAME is refused with its number."""
    path = y4m(tmp_path / "a.y4m")
    path.write_bytes(path.read_bytes() + b"garbage\n")
    with pytest.raises(VideoError, match="frame 3 does not begin with a FRAME line"):
        probe(path)


def test_y4m_without_frames(tmp_path: Path) -> None:
    """A header alone is no video."""
    with pytest.raises(VideoError, match="has no frames"):
        probe(y4m(tmp_path / "a.y4m", n_frames=0))


# Spellings, interlacing, damage


@pytest.mark.parametrize("tag", ["C420JPEG", "C420Jpeg", "XYSCSS=420JPEG"])
def test_tags_are_read_in_capitals_too(tmp_path: Path, tag: str) -> None:
    """C420JPEG is C420jpeg, and so is the older XYSCSS tag."""
    fmt, notes = probe(y4m(tmp_path / "a.y4m", f"W4 H2 F25:1 {tag}"))
    assert (fmt.color.chroma_location, notes) == (2, ())


def test_c411_is_read(tmp_path: Path) -> None:
    """4:1:1 becomes 4:2:2 by repeated columns."""
    path = tmp_path / "a.y4m"
    chroma = bytes([10, 20, 30, 60])  # two lines of two samples for six columns
    path.write_bytes(b"YUV4MPEG2 W6 H2 F25:1 C411\nFRAME\n" + bytes(range(12)) + 2 * chroma)
    fmt, notes = probe(path)
    assert notes == ("4:1:1 coded as 4:2:2 (columns repeated)",)
    planes = read(path).planes
    assert planes[0].flatten().tolist() == list(range(12))
    assert planes[1].tolist() == planes[2].tolist() == [[[10, 10, 20], [30, 30, 60]]]


@pytest.mark.parametrize(("alpha", "luma"), [(255, 100), (0, 16)])
def test_c444alpha_is_laid_over_the_background(tmp_path: Path, alpha: int, luma: int) -> None:
    """The fourth plane is opacity; only where it shows is a word said of it."""
    path = tmp_path / "a.y4m"
    frame = bytes([100]) * 8 + bytes([50]) * 16 + bytes([alpha]) * 8
    path.write_bytes(b"YUV4MPEG2 W4 H2 F25:1 C444alpha\n" + 2 * (b"FRAME\n" + frame))
    notes = probe(path)[1]
    assert notes == ((OVER_BLACK,) if alpha == 0 else ())
    planes = read(path).planes
    assert (planes[0] == luma).all() and (planes[1] == (50 if alpha else 128)).all()


@pytest.mark.parametrize(
    ("tag", "order"), [("It", "top field first"), ("Ib", "bottom field first"), ("Im", "mixed")]
)
def test_interlaced_frames_can_be_forced(tmp_path: Path, tag: str, order: str) -> None:
    """Interlaced frames are coded as they are where asked, with a note of their order."""
    path = y4m(tmp_path / "a.y4m", f"W4 H2 F25:1 {tag}")
    fmt, notes = probe(path, SourceOptions(force_progressive=True))
    assert fmt.n_frames == 2
    assert notes == (f"interlaced frames ({order}), coded as they are without deinterlacing",)


def test_whole_frames_before_a_cut(tmp_path: Path) -> None:
    """Frames before the cut are coded where no more are asked for, and with salvage."""
    path = y4m(tmp_path / "a.y4m", n_frames=4)
    path.write_bytes(path.read_bytes()[:-3])
    assert probe(path, n_frames=3) == (VideoFormat(4, 2, Fraction(25), 3, color=CENTER), ())
    with pytest.raises(VideoError, match="frame 4 is cut short"):
        probe(path, n_frames=4)
    fmt, notes = probe(path, SourceOptions(salvage=True))
    assert fmt.n_frames == 3
    assert notes == (f"left out: {path}: frame 4 is cut short; the file is incomplete",)
