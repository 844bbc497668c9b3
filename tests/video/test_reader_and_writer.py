"""nervcodec.video.writer, with y4m, survey and libav below it: files <-> frames, exact or refused
with the reason.
"""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nervcodec.errors import ConfigError, NervCodecError, OutputError, OutputExists, VideoError
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.video.color import rgb_to_yuv420, yuv420_to_rgb
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.source import SourceOptions
from nervcodec.video.writer import check_target, open_writer, output_kind

NTSC = Fraction(30000, 1001)
OVER_BLACK = "transparent pixels are laid over black; --background takes another colour"
RED = ColorTags(matrix=1, primaries=1, transfer=1, full_range=True, chroma_location=1)


def clip(n_frames: int = 3, width: int = 32, height: int = 32, layout: Layout = "yuv420") -> Frames:
    """Noise, so that any mix-up of planes, lines or frames shows."""
    rng = np.random.default_rng(width * height)
    frames = Frames.empty(layout, n_frames, width, height)
    for plane in frames.planes:
        plane[:] = rng.integers(0, 256, plane.shape)
    return frames


def format_of(frames: Frames, rate: Fraction = NTSC, color: ColorTags = ColorTags()) -> VideoFormat:
    return VideoFormat(frames.width, frames.height, rate, frames.n_frames, frames.layout, color)


def write(path: Path, frames: Frames, **options: object) -> tuple[str, ...]:
    color = options.pop("color", ColorTags())
    assert isinstance(color, ColorTags)
    with open_writer(path, format_of(frames, color=color), **options) as writer:  # type: ignore[arg-type]
        writer.write(frames[:1])
        writer.write(frames[1:])
    return writer.notes


def read(path: Path) -> Frames:
    fmt, _ = probe(path)
    return Frames.concatenate(list(read_groups(path, fmt, [fmt.n_frames])))


def same(a: Frames, b: Frames) -> bool:
    return a.layout == b.layout and all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes))


def y4m(
    path: Path, header: str = "W4 H2 F25:1 Ip C420jpeg", n_frames: int = 2, frame_bytes: int = 12
) -> Path:
    """A y4m file from its header words; every byte of frame t is t."""
    body = b"".join(b"FRAME\n" + bytes([t]) * frame_bytes for t in range(n_frames))
    path.write_bytes(f"YUV4MPEG2 {header}\n".encode() + body)
    return path


def raw(
    path: Path, pix_fmt: str, n_frames: int = 2, codec: str = "rawvideo", **tags: int
) -> list[av.VideoFrame]:
    """A file of noise in this pixel format, 8x6, and the frames that went into it."""
    rng = np.random.default_rng(3)
    frames = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 8, 6, pix_fmt
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for t in range(n_frames):
            frame = av.VideoFrame(8, 6, pix_fmt)
            for plane in frame.planes:
                np.frombuffer(memoryview(plane), np.uint8)[:] = rng.integers(
                    0, 256, plane.buffer_size
                )
            frame.pts = t
            frames.append(frame)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return frames


# Exact round trips


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
    assert same(read(tmp_path / "a.y4m"), rgb_to_yuv420(frames, ColorTags()))
    color = probe(tmp_path / "a.y4m")[0].color
    assert (color.full_range, color.chroma_location) == (False, 2)
    assert notes[0] == "RGB converted to 4:2:0 (matrix 6 of H.273, limited range)"


def test_yuv_goes_into_png_as_rgb(tmp_path: Path) -> None:
    """4:2:0 frames are written to PNG through our own conversion."""
    frames = clip(2, 32, 32)
    write(tmp_path / "frames", frames)
    assert same(read(tmp_path / "frames"), yuv420_to_rgb(frames, ColorTags()))


# Groups


@pytest.mark.parametrize("kind", ["y4m", "mkv", "folder"])
def test_groups_are_consecutive(tmp_path: Path, kind: str) -> None:
    """Groups of any lengths are the frames in order, and may stop before the end."""
    frames = clip(6, 16, 16, "rgb" if kind == "folder" else "yuv420")
    path = tmp_path / ("frames" if kind == "folder" else f"a.{kind}")
    write(path, frames, **({"codec": "ffv1"} if kind == "mkv" else {}))
    fmt, _ = probe(path)
    groups = list(read_groups(path, fmt, [1, 3, 1]))
    assert [group.n_frames for group in groups] == [1, 3, 1]
    assert same(Frames.concatenate(groups), frames[:5])


def test_groups_are_read_lazily(tmp_path: Path) -> None:
    """A group is read when it is asked for, so damage behind it does no harm, and closing early is
    quiet.
    """
    frames = clip(4, 16, 16)
    write(tmp_path / "a.y4m", frames)
    fmt, _ = probe(tmp_path / "a.y4m")
    groups = read_groups(tmp_path / "a.y4m", fmt, [1, 1, 2])
    assert same(next(groups), frames[:1])
    groups.close()  # type: ignore[attr-defined]


def test_fewer_frames_than_promised(tmp_path: Path) -> None:
    """A source that lost frames since it was probed is refused with the number of the first missing
    one.
    """
    write(tmp_path / "a.y4m", clip(2))
    fmt, _ = probe(tmp_path / "a.y4m")
    with pytest.raises(VideoError, match="frame 3 is missing"):
        list(read_groups(tmp_path / "a.y4m", fmt, [2, 2]))


# y4m headers


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


@pytest.mark.parametrize(
    "tag, frame_bytes, note, chroma",
    [
        ("C444", 24, "4:4:4 converted to 4:2:0 (mean of 2x2)", 1),
        ("C422", 16, "4:2:2 converted to 4:2:0 (mean of two lines)", 1),
        ("Cmono", 8, "gray converted to 4:2:0 (chroma 128)", 128),
    ],
)
def test_y4m_other_sampling_is_converted(
    tmp_path: Path, tag: str, frame_bytes: int, note: str, chroma: int
) -> None:
    """8-bit 4:4:4, 4:2:2 and gray become 4:2:0 with a note."""
    path = y4m(tmp_path / "a.y4m", f"W4 H2 F25:1 {tag}", frame_bytes=frame_bytes)
    assert probe(path)[1] == (note,)
    assert read(path).planes[1].tolist()[1] == [[chroma, chroma]]


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
        ("W4 H2 F25:1 C420p10", "C420p10 is not read"),
        ("W4 H2 F25:1 C440", "C440 is not read, the nearest that is: C420;"),
        ("W4 H2 F25:1 XYSCSS=422P12", "C422P12 is not read, the nearest that is: C422;"),
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


# Containers


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "gray", "nv12", "yuv444p", "yuv422p", "yuyv422"])
def test_luma_is_never_touched(tmp_path: Path, pix_fmt: str) -> None:
    """Whatever happens to chroma, Y comes out of every 8-bit format as it went in, in full range
    too.
    """
    sent = raw(tmp_path / "a.nut", pix_fmt, color_range=2)
    got = read(tmp_path / "a.nut")
    step = 2 if pix_fmt == "yuyv422" else 1
    for t, frame in enumerate(sent):
        lines = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(6, -1)[
            :, : 8 * step : step
        ]
        assert np.array_equal(got.planes[0][t], lines)


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv422p", "yuyv422", "yuv411p"])
def test_other_sampling_is_noted(tmp_path: Path, pix_fmt: str) -> None:
    """Every 8-bit format that is not 4:2:0 is converted with a note of its name."""
    raw(tmp_path / "a.nut", pix_fmt)
    assert probe(tmp_path / "a.nut")[1] == (f"{pix_fmt} converted to 4:2:0",)


def test_yuv444_chroma_is_the_mean(tmp_path: Path) -> None:
    """4:4:4 chroma is averaged over 2x2 by ourselves."""
    sent = raw(tmp_path / "a.nut", "yuv444p")
    u = np.frombuffer(memoryview(sent[1].planes[1]), np.uint8).reshape(6, -1)[:, :8]
    expected = np.rint(u.reshape(3, 2, 4, 2).mean(axis=(1, 3)))
    assert np.array_equal(read(tmp_path / "a.nut").planes[1][1], expected)


@pytest.mark.parametrize("pix_fmt, order", [("rgb24", "rgb"), ("bgr24", "bgr"), ("gbrp", "rgb")])
def test_rgb_sources_stay_rgb(tmp_path: Path, pix_fmt: str, order: str) -> None:
    """RGB in any packing gives layout 'rgb' with exact samples and no matrix tag."""
    sent = raw(tmp_path / "a.nut", pix_fmt)
    fmt, notes = probe(tmp_path / "a.nut")
    assert (fmt.layout, fmt.color.matrix, fmt.color.full_range) == ("rgb", 2, None)
    assert notes == ()
    pixels = sent[1].to_ndarray()
    got = read(tmp_path / "a.nut")
    for k, name in enumerate("rgb"):
        assert np.array_equal(got.planes[k][1], pixels[..., order.index(name)])


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "gray16le", "rgb48le", "yuv422p12le"])
def test_more_than_eight_bits_is_refused(tmp_path: Path, pix_fmt: str) -> None:
    """Formats of more than 8 bits are refused with their name."""
    raw(tmp_path / "a.nut", pix_fmt)
    with pytest.raises(VideoError, match=f"{pix_fmt}.; 8-bit only in this version"):
        probe(tmp_path / "a.nut")


def test_size_change_is_refused(tmp_path: Path) -> None:
    """A stream whose frames change size is refused with the number of the first such frame."""
    stream = b""
    for size in (64, 32):
        context = av.CodecContext.create("libx264", "w")
        context.width = context.height = size
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 25)
        packets = [*context.encode(av.VideoFrame(size, size, "yuv420p")), *context.encode(None)]
        stream += b"".join(bytes(packet) for packet in packets)
    (tmp_path / "a.h264").write_bytes(stream)
    with pytest.raises(VideoError, match="frame 2 is 32x32, the first is 64x64"):
        probe(tmp_path / "a.h264")


def test_other_streams_are_noted(tmp_path: Path) -> None:
    """Audio is left out with a note."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        audio = container.add_stream("flac", rate=48000)
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 2048), np.int16), format="s16", layout="stereo"
        )
        sound.sample_rate, sound.pts = 48000, 0
        container.mux([*audio.encode(sound), *audio.encode(None)])
    fmt, notes = probe(tmp_path / "a.mkv")
    assert (fmt.n_frames, notes) == (1, ("1 audio stream left out",))


def test_variable_frame_rate_is_noted(tmp_path: Path) -> None:
    """Frames at uneven times are counted, and a note says that they are coded at a constant
    rate.
    """
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for pts in (0, 40, 200, 240):
            frame = av.VideoFrame(16, 16, "yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    fmt, notes = probe(tmp_path / "a.mkv")
    assert fmt.n_frames == 4
    assert len(notes) == 1 and notes[0].startswith("variable frame rate")


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_cut_mp4_is_refused(tmp_path: Path, keep: float) -> None:
    """An mp4 without its end has no index; it is refused, not guessed at."""
    write(tmp_path / "a.mp4", clip(3, 64, 64))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(VideoError, match="cannot read .*a.mp4: Invalid data"):
        probe(tmp_path / "a.mp4")


def test_cut_mkv_gives_the_frames_that_are_there(tmp_path: Path) -> None:
    """The count is what decodes, and a note says where the frames end and where they should."""
    write(tmp_path / "a.mkv", clip(6, 64, 64), codec="ffv1")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])
    fmt, notes = probe(tmp_path / "a.mkv")
    assert fmt.n_frames == read(tmp_path / "a.mkv").n_frames < 6
    assert notes == (
        f"the file promises 0.20 s, its frames end at {float(fmt.n_frames / fmt.frame_rate):.2f} s",
    )


# Sources that are none


@pytest.mark.parametrize("name", ["empty.mp4", "empty.y4m"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    """An empty file is called empty."""
    (tmp_path / name).touch()
    with pytest.raises(VideoError, match="the file is empty"):
        probe(tmp_path / name)


@pytest.mark.parametrize("name", ["text.mp4", "text.y4m", "text.txt", "text.png"])
def test_text_file(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A text file is refused in one line, and FFmpeg's own log stays away from stderr."""
    (tmp_path / name).write_text("hello\n" * 100)
    with pytest.raises(VideoError) as caught:
        probe(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_cut_mp4_with_its_index_in_front_is_noted(tmp_path: Path) -> None:
    """Where the index promises more frames than decode, those that decode are counted and a note
    tells.
    """
    with av.open(
        str(tmp_path / "a.mp4"), "w", container_options={"movflags": "faststart"}
    ) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for t in range(8):
            frame = av.VideoFrame(64, 64, "yuv420p")
            np.frombuffer(memoryview(frame.planes[0]), np.uint8)[:] = (
                clip(8, 64, 64).planes[0][t].flatten()
            )
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) * 2 // 3])
    fmt, notes = probe(tmp_path / "a.mp4")
    assert fmt.n_frames < 8
    assert f"the file promises 8 frames, {fmt.n_frames} are in it" in notes


def test_missing_file(tmp_path: Path) -> None:
    """A file that does not exist is called so."""
    with pytest.raises(VideoError, match="there is no such file"):
        probe(tmp_path / "none.mp4")


def test_device_is_no_source() -> None:
    """A device is neither a file nor a folder."""
    with pytest.raises(VideoError, match="neither a file nor a folder"):
        probe("/dev/null")


def test_audio_alone_is_no_video(tmp_path: Path) -> None:
    """A file with sound only is refused."""
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as container:
        audio = container.add_stream("flac", rate=48000)
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 2048), np.int16), format="s16", layout="stereo"
        )
        sound.sample_rate, sound.pts = 48000, 0
        container.mux([*audio.encode(sound), *audio.encode(None)])
    with pytest.raises(VideoError, match="there is no video in it"):
        probe(tmp_path / "a.mka")


# Folders of PNG


def png(path: Path, pix_fmt: str, width: int = 4, height: int = 4, value: int = 0) -> None:
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = width, height, pix_fmt
    context.time_base, context.thread_count = Fraction(1, 25), 1
    frame = av.VideoFrame(width, height, pix_fmt)
    np.frombuffer(memoryview(frame.planes[0]), np.uint8)[:] = value
    path.write_bytes(
        b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    )


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


# Outputs


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
        ("a.mp4", {"codec": "flac"}, ConfigError, "does not code 8-bit 4:2:0"),
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
        check_target(path, overwrite=True, source=path)


def test_encoder_that_refuses_the_size(tmp_path: Path) -> None:
    """A size the encoder does not take is refused before the first frame."""
    with pytest.raises(
        ConfigError, match="libx265 cannot code 8x8 into .*a.mkv: Invalid argument$"
    ):
        write(tmp_path / "a.mkv", clip(2, 8, 8), codec="libx265")
