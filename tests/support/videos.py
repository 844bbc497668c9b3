"""Small videos in files, written and read by the package, by hand or by FFmpeg."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.writer import open_writer

NTSC = Fraction(30000, 1001)
OVER_BLACK = "transparent pixels are laid over black; --background takes another colour"
RED = ColorTags(matrix=1, primaries=1, transfer=1, full_range=True, chroma_location=1)


def clip(
    n_frames: int = 3,
    width: int = 32,
    height: int = 32,
    layout: Layout = "yuv420",
    bit_depth: int = 8,
) -> Frames:
    """Noise, so that any mix-up of planes, lines or frames shows."""
    rng = np.random.default_rng(width * height)
    frames = Frames.empty(layout, n_frames, width, height, bit_depth)
    for plane in frames.planes:
        plane[:] = rng.integers(0, frames.peak + 1, plane.shape)
    return frames


def format_of(frames: Frames, rate: Fraction = NTSC, color: ColorTags = ColorTags()) -> VideoFormat:
    return VideoFormat(
        frames.width,
        frames.height,
        rate,
        frames.n_frames,
        frames.layout,
        color,
        bit_depth=frames.bit_depth,
    )


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
    kinds = (a.layout, a.bit_depth) == (b.layout, b.bit_depth)
    return kinds and all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes))


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


def png(path: Path, pix_fmt: str, width: int = 4, height: int = 4, value: int = 0) -> None:
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = width, height, pix_fmt
    context.time_base, context.thread_count = Fraction(1, 25), 1
    frame = av.VideoFrame(width, height, pix_fmt)
    np.frombuffer(memoryview(frame.planes[0]), np.uint8)[:] = value
    path.write_bytes(
        b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    )


def film(
    path: Path,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    *,
    n_frames: int = 10,
    rate: int = 25,
    times: Sequence[int] | None = None,
    form: str | None = None,
    mux: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A file of 64x48 noise that any encoder of FFmpeg's made; `times` are in milliseconds."""
    rng = np.random.default_rng(5)
    with av.open(str(path), "w", format=form, container_options=mux or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        context = stream.codec_context
        context.thread_count = 1
        context.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
        for t in range(n_frames):
            frame = av.VideoFrame(64, 48, pix_fmt)
            for plane in frame.planes:
                noise = rng.integers(60, 200, plane.buffer_size)
                np.frombuffer(memoryview(plane), np.uint8)[:] = noise
            frame.pts = times[t] if times else t
            frame.time_base = context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def packets_at(path: Path) -> list[tuple[int, int]]:
    """Where the packets of a file begin, and their bytes."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return [(packet.pos, packet.size) for packet in packets if packet.size and packet.pos]
