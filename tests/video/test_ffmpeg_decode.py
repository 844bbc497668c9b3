"""nervcodec.video.ffmpeg_decode and probe: containers as FFmpeg reads them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import clip, raw, read, write

from nervcodec.errors import VideoError
from nervcodec.video.probe import probe


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
