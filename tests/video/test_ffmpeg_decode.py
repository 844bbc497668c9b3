"""nervcodec.video.ffmpeg_decode and probe: containers as FFmpeg reads them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import clip, film, raw, read, write

from nervcodec.errors import ConfigError, VideoError
from nervcodec.video.ffmpeg_decode import open_video
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.source import SourceOptions


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


@pytest.mark.parametrize(
    ("pix_fmt", "layout", "bits", "notes"),
    [
        ("yuv444p", "yuv444", 8, ()),
        ("yuyv422", "yuv422", 8, ()),
        ("yuv411p", "yuv422", 8, ("4:1:1 coded as 4:2:2 (columns repeated)",)),
        ("gray", "gray", 8, ()),
        ("yuv420p10le", "yuv420", 10, ()),
        ("yuv422p12le", "yuv422", 12, ()),
        ("gray16le", "gray", 12, ("16-bit gray coded at 12 bits",)),
        ("rgb48le", "rgb", 12, ("16-bit RGB coded at 12 bits",)),
        ("gbrp10le", "rgb", 10, ()),
    ],
)
def test_layout_and_bits_are_the_streams(
    tmp_path: Path, pix_fmt: str, layout: str, bits: int, notes: tuple[str, ...]
) -> None:
    """Every pixel format is coded as it is; a note says where its samples change."""
    raw(tmp_path / "a.nut", pix_fmt)
    fmt, found = probe(tmp_path / "a.nut")
    assert (fmt.layout, fmt.bit_depth, found) == (layout, bits, notes)
    frames = read(tmp_path / "a.nut")
    assert (frames.layout, frames.bit_depth) == (layout, bits)


def test_decoders_have_no_threads_of_their_own(tmp_path: Path) -> None:
    """Damaged frames come out alike on every machine, for one thread decodes them in order."""
    with open_video(film(tmp_path / "a.mp4")) as video:
        assert video.stream.codec_context.thread_count == 1


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


@pytest.mark.parametrize(
    ("pix_fmt", "nearest"), [("yuv410p", "yuv420p"), ("yuv422p16le", "yuv422p12le")]
)
def test_other_formats_are_refused(tmp_path: Path, pix_fmt: str, nearest: str) -> None:
    """A format that is not coded is refused with its name, the frame and the nearest one."""
    raw(tmp_path / "a.nut", pix_fmt)
    with pytest.raises(VideoError, match=f"frame 1: .*{pix_fmt} is not coded.* is: {nearest}$"):
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


def test_sound_is_no_matter_of_the_picture(tmp_path: Path) -> None:
    """A stream of audio gives no note where frames alone are read."""
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
    assert (fmt.n_frames, notes) == (1, ())


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


# Which stream, its times and tags


def two_streams(path: Path, *, flags: tuple[int, int], n_first: int = 1) -> Path:
    """One frame (unless told) of 32x32 and five of 64x48, streams of these dispositions."""
    with av.open(str(path), "w") as container:
        streams = []
        for size, flag in zip(((32, 32), (64, 48)), flags, strict=True):
            stream = container.add_stream("mpeg4" if flag != 1024 else "mjpeg", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p" if flag != 1024 else "yuvj420p"
            stream.disposition = av.stream.Disposition(flag)
            streams.append(stream)
        for stream, n_frames in zip(streams, (n_first, 5), strict=True):
            for t in range(n_frames):
                frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
                frame.pts = t
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


CHOSEN = "video stream 1 of 0 to 1 is coded (mpeg4, 64x48); --video-stream N takes another one"


@pytest.mark.parametrize(
    ("name", "flags", "n_first"),
    [("a.mkv", (0, 1), 1), ("a.mkv", (0, 1), 5), ("a.mkv", (1, 0), 1), ("a.mp4", (1, 1), 1)],
)
def test_the_default_track_is_coded(
    tmp_path: Path, name: str, flags: tuple[int, int], n_first: int
) -> None:
    """The default track is coded, single pictures aside, and a note tells of the choice."""
    path = two_streams(tmp_path / name, flags=flags, n_first=n_first)
    fmt, notes = probe(path)
    assert (fmt.width, fmt.n_frames, notes) == (64, 5, (CHOSEN,))


def test_any_stream_can_be_chosen(tmp_path: Path) -> None:
    """A stream named by its number is probed and read without a note; there must be one."""
    path = two_streams(tmp_path / "a.mkv", flags=(0, 1))
    options = SourceOptions(video_stream=0)
    fmt, notes = probe(path, options)
    assert (fmt.width, fmt.n_frames, notes) == (32, 1, ())
    assert [group.width for group in read_groups(path, fmt, [1], options)] == [32]
    with pytest.raises(ConfigError, match="video stream is 2; legal: 0 to 1 for .*a.mkv"):
        probe(path, SourceOptions(video_stream=2))


def test_cover_art_is_no_video_stream(tmp_path: Path) -> None:
    """A cover picture is left out by that name, though it stands first."""
    path = two_streams(tmp_path / "a.mp4", flags=(1024, 1))
    fmt, notes = probe(path)
    assert (fmt.width, fmt.n_frames, notes) == (64, 5, ("1 cover picture left out",))


@pytest.mark.parametrize(
    ("codec", "form", "pix_fmt", "rate", "expected", "notes"),
    [
        ("libx264", "h264", "yuv420p", 12, 12, ()),
        ("libx265", "hevc", "yuv420p", 12, 12, ()),
        ("mpeg2video", "mpeg2video", "yuv420p", 30, 30, ()),
        (
            "mjpeg",
            "mjpeg",
            "yuvj420p",
            12,
            25,
            ("there are neither frame times nor a frame rate in it: 25 fps assumed",),
        ),
    ],
)
def test_streams_without_times_have_the_rate_of_their_headers(
    tmp_path: Path,
    codec: str,
    form: str,
    pix_fmt: str,
    rate: int,
    expected: int,
    notes: tuple[str, ...],
) -> None:
    """A bare stream runs at the rate that it states itself; a rate that is assumed is named."""
    options = {"x265-params": "log-level=none:info=0"} if codec == "libx265" else {}
    path = film(tmp_path / "a.bin", codec, pix_fmt, rate=rate, form=form, options=options)
    fmt, said = probe(path)
    assert (fmt.n_frames, fmt.frame_rate, said) == (10, Fraction(expected), notes)


def test_frame_times_count_before_a_stated_rate(tmp_path: Path) -> None:
    """A recording that states 1000 frames a second, and has one each 33 ms, has 30."""
    times = [0, 34, 66, 101, 133, 166, 201, 233, 268, 300, 333, 367]
    mux = {"live": "1"}
    path = film(
        tmp_path / "a.webm", "libvpx", n_frames=12, rate=1000, times=times, form="webm", mux=mux
    )
    fmt, notes = probe(path)
    assert (fmt.frame_rate, fmt.n_frames) == (Fraction(30), 12)
    assert notes == (
        "the file states 1000 fps, its frame times say 30",
        "variable frame rate, 30.000 fps in the mean: the frame times are kept",
    )


@pytest.mark.parametrize("location", range(6))
def test_chroma_location_is_read(tmp_path: Path, location: int) -> None:
    """Where chroma lies by an H.264 stream is where it lies in the format."""
    path = film(tmp_path / "a.mkv", n_frames=2, options={"x264-params": f"chromaloc={location}"})
    assert probe(path)[0].color.chroma_location == location + 1


@pytest.mark.parametrize(
    ("pix_fmt", "location"), [("yuvj420p", 2), ("yuvj422p", 2), ("yuvj444p", 0)]
)
def test_jpeg_chroma_lies_in_the_center(tmp_path: Path, pix_fmt: str, location: int) -> None:
    """JPEG's chroma lies in the center; where it is as fine as luma it lies nowhere else."""
    path = film(tmp_path / "a.avi", "mjpeg", pix_fmt, n_frames=2)
    assert probe(path)[0].color.chroma_location == location
