"""nervcodec.video.writer: frames -> files, exact or refused with the reason."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import NTSC, RED, clip, format_of, read, same, write, y4m

from nervcodec.errors import ConfigError, NervCodecError, OutputError, OutputExists, VideoError
from nervcodec.format.video_format import ColorTags, Layout
from nervcodec.video.color import to_layout
from nervcodec.video.probe import probe
from nervcodec.video.source import SourceOptions
from nervcodec.video.writer import check_target, open_writer, output_kind


@pytest.mark.parametrize("width, height", [(32, 32), (7, 5), (1, 1), (4, 3)])
def test_y4m_round_trip_is_exact(tmp_path: Path, width: int, height: int) -> None:
    """Planes of any size come back from .y4m as they were."""
    frames = clip(3, width, height)
    write(tmp_path / "a.y4m", frames)
    assert same(read(tmp_path / "a.y4m"), frames)


@pytest.mark.parametrize("width, height", [(32, 32), (7, 5), (1, 1)])
def test_png_round_trip_is_exact(tmp_path: Path, width: int, height: int) -> None:
    """RGB frames of any size come back from a folder of PNG as they were."""
    frames = clip(3, width, height, "rgb")
    write(tmp_path / "frames", frames)
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == [
        f"{t:08d}.png" for t in (1, 2, 3)
    ]
    assert same(read(tmp_path / "frames"), frames)


@pytest.mark.parametrize("width, height", [(32, 32), (7, 5)])
def test_ffv1_round_trip_is_exact(tmp_path: Path, width: int, height: int) -> None:
    """A lossless encoder keeps planes of odd sizes too."""
    frames = clip(3, width, height)
    write(tmp_path / "a.mkv", frames, codec="ffv1")
    assert same(read(tmp_path / "a.mkv"), frames)


@pytest.mark.parametrize("layout", ["gray", "yuv420", "yuv422", "yuv444"])
@pytest.mark.parametrize("width, height", [(1, 1), (1, 5), (7, 1)])
def test_the_smallest_frames_are_padded(
    tmp_path: Path, layout: Layout, width: int, height: int
) -> None:
    """Frames of one row or column are written too, their edges repeated."""
    write(tmp_path / "a.mkv", clip(2, width, height, layout))
    padded = read(tmp_path / "a.mkv")
    assert padded.n_frames == 2
    assert padded.width - width in (0, 1) and padded.height - height in (0, 1)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_containers_keep_rate_count_and_tags(tmp_path: Path, suffix: str) -> None:
    """Every container gives back the frame rate, the frame count and the colour tags."""
    frames = clip(5, 64, 48)
    write(tmp_path / f"a{suffix}", frames, color=replace(RED, full_range=False))
    fmt, notes = probe(tmp_path / f"a{suffix}")
    assert (fmt.frame_rate, fmt.n_frames, fmt.width, fmt.height) == (NTSC, 5, 64, 48)
    assert fmt.color == replace(RED, full_range=False)
    assert notes == ()


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(25), Fraction(60), Fraction(15, 2)]
)
def test_mp4_carries_the_exact_rate(tmp_path: Path, rate: Fraction) -> None:
    """mp4 states the frame rate exactly, with B-frames and all."""
    frames = clip(12, 32, 32)
    with open_writer(tmp_path / "a.mp4", format_of(frames, rate)) as writer:
        writer.write(frames)
    fmt, _ = probe(tmp_path / "a.mp4")
    assert (fmt.frame_rate, fmt.n_frames) == (rate, 12)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixel_aspect_survives(tmp_path: Path, suffix: str) -> None:
    """The shape of a pixel is kept."""
    frames = clip(2)
    fmt = replace(format_of(frames), sample_aspect_ratio=Fraction(16, 15))
    with open_writer(tmp_path / f"a{suffix}", fmt) as writer:
        writer.write(frames)
    assert probe(tmp_path / f"a{suffix}")[0].sample_aspect_ratio == Fraction(16, 15)


def test_interlaced_is_refused_unless_forced(tmp_path: Path) -> None:
    """Interlaced frames are refused by the option that codes them, which does so with a note."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for t in range(2):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="frame 1 is interlaced; --force-progressive codes"):
        probe(tmp_path / "a.mkv")
    fmt, notes = probe(tmp_path / "a.mkv", SourceOptions(force_progressive=True))
    assert fmt.n_frames == 2
    assert notes == ("interlaced frames, coded as they are without deinterlacing: 2",)


def test_full_range_survives_mp4(tmp_path: Path) -> None:
    """Full range is tagged, and comes back as full range without any conversion of the planes."""
    frames = clip(2, 64, 64)
    frames.planes[0][:], frames.planes[1][:], frames.planes[2][:] = 250, 128, 128
    write(tmp_path / "a.mp4", frames, color=RED, quality=0)
    assert probe(tmp_path / "a.mp4")[0].color.full_range is True
    assert same(read(tmp_path / "a.mp4"), frames)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "libsvtav1"])
def test_encoders_come_close_and_stay_silent(
    tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each encoder writes a smooth clip to within a few grey levels, and nothing to stderr."""
    frames = clip(3, 64, 64)
    for plane in frames.planes:
        plane[:] = np.arange(plane.shape[2]) * 2 + 40
    write(tmp_path / "a.mkv", frames, codec=codec)
    assert np.abs(read(tmp_path / "a.mkv").planes[0].astype(int) - frames.planes[0]).mean() < 3
    assert capfd.readouterr() == ("", "")


def test_odd_sizes_are_padded_for_mp4(tmp_path: Path) -> None:
    """libx264 gets even sizes by replicated edges, and a note says so."""
    frames = clip(2, 35, 33)
    for plane in frames.planes:
        plane[:] = 100
    notes = write(tmp_path / "a.mp4", frames, quality=0)
    assert notes == ("padded to 36x34: libx264 codes even sizes only",)
    got = read(tmp_path / "a.mp4")
    assert (got.width, got.height) == (36, 34)
    assert (got.planes[0] == 100).all()


def test_y4m_keeps_its_tags(tmp_path: Path) -> None:
    """Range, chroma location, rate and pixel aspect survive .y4m."""
    frames = clip()
    fmt = replace(format_of(frames), color=ColorTags(full_range=True, chroma_location=3))
    fmt = replace(fmt, sample_aspect_ratio=Fraction(4, 3))
    with open_writer(tmp_path / "a.y4m", fmt) as writer:
        writer.write(frames)
    assert probe(tmp_path / "a.y4m") == (fmt, ())


def test_y4m_is_read_by_ffmpeg_as_by_us(tmp_path: Path) -> None:
    """Somebody else's reader agrees with ours on a file we wrote."""
    frames = clip(3, 7, 5)
    write(tmp_path / "a.y4m", frames)
    with av.open(str(tmp_path / "a.y4m")) as container:
        decoded = [frame.to_ndarray(format="yuv444p") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == NTSC
    assert all(np.array_equal(decoded[t][0], frames.planes[0][t]) for t in range(3))


def test_rgb_goes_into_y4m_converted_and_tagged(tmp_path: Path) -> None:
    """RGB is converted with our own matrix, the range is tagged, and a note says so."""
    frames = clip(2, 32, 32, "rgb")
    notes = write(tmp_path / "a.y4m", frames)
    assert same(read(tmp_path / "a.y4m"), to_layout(frames, "yuv420", ColorTags()))
    color = probe(tmp_path / "a.y4m")[0].color
    assert (color.full_range, color.chroma_location) == (False, 2)
    assert notes[0] == "RGB converted to 4:2:0 (matrix 6 of H.273, limited range)"


def test_yuv_goes_into_png_as_rgb(tmp_path: Path) -> None:
    """4:2:0 frames are written to PNG through our own conversion."""
    frames = clip(2, 32, 32)
    write(tmp_path / "frames", frames)
    assert same(read(tmp_path / "frames"), to_layout(frames, "rgb", ColorTags()))


@pytest.mark.parametrize(
    "name, kind",
    [("a.y4m", "y4m"), ("a.MP4", "container"), ("frames", "folder"), ("frames.v2/", "folder")],
)
def test_output_kind(name: str, kind: str) -> None:
    """The name decides what is written."""
    assert output_kind(name) == kind


@pytest.mark.parametrize(
    "name, options, error, message",
    [
        ("a.xyz", {}, ConfigError, r"'\.xyz'; legal: \.y4m, \.mp4"),
        ("a.mp4", {"codec": "nonsense"}, ConfigError, "no encoder 'nonsense'; legal: libx264"),
        ("a.mp4", {"codec": "flac"}, ConfigError, "codes none of our pixel formats"),
        ("a.mp4", {"quality": 52}, ConfigError, "quality is 52; legal for libx264: 0 .best. to 51"),
        ("a.mkv", {"codec": "ffv1", "quality": 3}, ConfigError, "no quality scale"),
        ("a.webm", {"codec": "libx264"}, ConfigError, "cannot code 32x32"),
        ("a.y4m", {"quality": 3}, ConfigError, "without loss"),
        ("none/a.mp4", {}, OutputError, "there is no folder"),
        ("old.mp4", {}, OutputExists, "exists already; -y overwrites it"),
    ],
)
def test_impossible_outputs(
    tmp_path: Path, name: str, options: dict[str, object], error: type[NervCodecError], message: str
) -> None:
    """What cannot be written is refused in one line before the first frame, and leaves nothing
    behind.
    """
    (tmp_path / "old.mp4").write_bytes(b"old")
    with pytest.raises(error, match=message) as caught:
        write(tmp_path / name, clip(), **options)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["a.y4m", "a.mp4", "a.mkv", "frames"])
@pytest.mark.parametrize("n_written", [0, 2])
def test_nothing_half_written_stays(tmp_path: Path, name: str, n_written: int) -> None:
    """An exception between frames leaves no file of any kind."""
    frames = clip()
    with pytest.raises(ZeroDivisionError):
        with open_writer(tmp_path / name, format_of(frames)) as writer:
            writer.write(frames[:n_written])
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """The closest thing to a full disk that a test can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", ["a.y4m", "a.mp4", "a.mkv", "frames"])
def test_disk_that_fills_up(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A write that fails is an OutputError with its reason, and the half-written output goes."""
    with (
        largest_file(4096),
        pytest.raises(OutputError, match=f"cannot write .*{name}: File too large"),
    ):
        write(tmp_path / name, clip(6, 128, 128))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_check_target_finds_the_input(tmp_path: Path) -> None:
    """An output that is the source is refused even with overwrite."""
    path = y4m(tmp_path / "a.y4m")
    with pytest.raises(OutputExists, match="is the input itself"):
        check_target(path, format_of(clip()), overwrite=True, source=path)


def test_encoder_that_refuses_the_size(tmp_path: Path) -> None:
    """A size the encoder does not take is refused before the first frame."""
    with pytest.raises(
        ConfigError, match="libx265 cannot code 8x8 into .*a.mkv: Invalid argument$"
    ):
        write(tmp_path / "a.mkv", clip(2, 8, 8), codec="libx265")


# What a container can say

CODECS = {
    ".mp4": ["libx264", "libx265", "libsvtav1", "libvpx-vp9"],
    ".mov": ["libx264", "libx265"],
    ".mkv": ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1"],
    ".webm": ["libsvtav1", "libvpx-vp9"],
}
PAIRS = [(suffix, codec) for suffix, codecs in CODECS.items() for codec in codecs]


@pytest.mark.parametrize(("suffix", "codec"), PAIRS)
def test_colour_and_geometry_are_kept_or_missed(tmp_path: Path, suffix: str, codec: str) -> None:
    """Pixel aspect and all tags come back from every container, or a note names those lost."""
    frames = clip(2, 64, 64)
    color = ColorTags(matrix=9, primaries=9, transfer=16, full_range=True, chroma_location=3)
    fmt = replace(format_of(frames, color=color), sample_aspect_ratio=Fraction(16, 11))
    path = tmp_path / f"a{suffix}"
    with open_writer(path, fmt, codec=codec) as writer:
        writer.write(frames)
    got, _ = probe(path)
    assert got.sample_aspect_ratio == Fraction(16, 11)
    if (suffix, codec) == (".mp4", "libvpx-vp9"):
        assert writer.notes == (".mp4 with libvpx-vp9 cannot say: chroma location",)
        color = replace(color, chroma_location=0)
    else:
        assert writer.notes == ()
    assert got.color == color


@pytest.mark.parametrize("location", [4, 5, 6])
def test_y4m_cannot_say_every_chroma_location(tmp_path: Path, location: int) -> None:
    """A chroma location that .y4m has no tag for is written as another one with a note."""
    notes = write(tmp_path / "a.y4m", clip(2), color=ColorTags(chroma_location=location))
    assert notes == (".y4m cannot say this chroma location",)


def test_png_keeps_the_pixel_aspect(tmp_path: Path) -> None:
    """A folder of PNG gives back the shape of a pixel."""
    frames = clip(2, 16, 16, "rgb")
    fmt = replace(format_of(frames), sample_aspect_ratio=Fraction(16, 11))
    with open_writer(tmp_path / "frames", fmt) as writer:
        writer.write(frames)
    assert probe(tmp_path / "frames")[0].sample_aspect_ratio == Fraction(16, 11)


@pytest.mark.parametrize("width, height", [(32, 32), (7, 5)])
def test_rgb_goes_into_ffv1_without_loss(tmp_path: Path, width: int, height: int) -> None:
    """A lossless encoder keeps RGB as RGB."""
    frames = clip(3, width, height, "rgb")
    assert write(tmp_path / "a.mkv", frames, codec="ffv1") == ()
    assert same(read(tmp_path / "a.mkv"), frames)
