"""nervcodec.video.pixel_formats: samples of every format; transparent pixels over a background."""

from pathlib import Path

import av
import numpy as np
import pytest
from videos import OVER_BLACK

from nervcodec.errors import VideoError
from nervcodec.format.video_format import ColorTags, Layout, plane_sizes
from nervcodec.video.frames import Plane
from nervcodec.video.pixel_formats import (
    PixelFormat,
    alpha_plane,
    background_samples,
    format_names,
    lay_over,
    nearest_format,
    pixel_format,
    plane_view,
    planes_of,
)
from nervcodec.video.probe import probe
from nervcodec.video.source import SourceOptions


def rgba(alpha: int, pix_fmt: str = "rgba") -> av.VideoFrame:
    """A frame of 4x4 of the colour 200, 100, 50 and this opacity."""
    pixels = np.full((4, 4, 4), (200, 100, 50, alpha), np.uint8)
    return av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pix_fmt)


def values(planes: tuple[Plane, ...]) -> list[int]:
    assert all(plane.min() == plane.max() for plane in planes)
    return [int(plane.flat[0]) for plane in planes]


@pytest.mark.parametrize("pix_fmt", ["rgba", "bgra", "argb", "abgr", "gbrap"])
@pytest.mark.parametrize(
    ("alpha", "background", "expected"),
    [
        (255, (9, 9, 9), [200, 100, 50]),
        (0, (0, 0, 0), [0, 0, 0]),
        (0, (1, 2, 255), [1, 2, 255]),
        (51, (0, 0, 0), [40, 20, 10]),
        (51, (255, 0, 100), [244, 20, 90]),
    ],
)
def test_rgb_is_laid_over_the_background(
    pix_fmt: str, alpha: int, background: tuple[int, int, int], expected: list[int]
) -> None:
    """A pixel is mixed with the background by its opacity, in every packing."""
    assert values(planes_of(rgba(alpha, pix_fmt), "rgb", 8, background)) == expected


@pytest.mark.parametrize("pix_fmt", ["yuva420p", "yuva422p", "yuva444p"])
def test_yuv_is_laid_over_the_background(pix_fmt: str) -> None:
    """Hidden colours of Y'CbCr do not show, at any sampling; the background has their matrix."""
    frame = av.VideoFrame(4, 4, pix_fmt)
    for index, value in enumerate((90, 30, 220, 0)):
        plane_view(frame, index)[:] = value
    frame.colorspace, frame.color_range = 5, 1
    assert values(planes_of(frame, "yuv420", 8)) == [16, 128, 128]
    assert values(planes_of(frame, "yuv420", 8, (255, 0, 0))) == [81, 90, 240]


def test_chroma_is_as_opaque_as_its_pixels_in_the_mean() -> None:
    """A block of which one pixel in four is opaque keeps a quarter of its chroma."""
    alpha = np.array([[255, 0], [0, 0]], np.uint8)
    planes = tuple(np.full(size, 200, np.uint8) for size in ((2, 2), (1, 1), (1, 1)))
    y, u, v = lay_over(planes, alpha, (16, 128, 100), PixelFormat("yuv420", 8, 8))
    assert y.tolist() == [[200, 16], [16, 16]]
    assert (u.tolist(), v.tolist()) == ([[146]], [[125]])


def test_opaque_frames_have_no_alpha() -> None:
    """A frame whose pixels are all opaque is like one without alpha."""
    assert alpha_plane(rgba(255)) is None
    assert alpha_plane(rgba(255, "rgb24")) is None
    alpha = alpha_plane(rgba(254))
    assert alpha is not None and (alpha == 254).all()


@pytest.mark.parametrize(
    ("alpha", "notes"),
    [(255, ()), (254, (OVER_BLACK,))],
)
def test_alpha_is_said_only_where_something_shows_through(
    tmp_path: Path, alpha: int, notes: tuple[str, ...]
) -> None:
    """Opaque RGBA is RGB without a word."""
    with av.open(str(tmp_path / "a.nut"), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 4, 4, "rgba"
        for t in range(2):
            frame = rgba(alpha)
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe(tmp_path / "a.nut")[1] == notes
    if notes:
        red = SourceOptions(background=(255, 0, 0))
        assert "laid over #ff0000" in probe(tmp_path / "a.nut", red)[1][0]


def test_the_background_is_that_of_the_tags() -> None:
    """White is 235 in limited range and 255 in full, four times as much at 10 bits, 4095 at 12."""
    white, full = (255, 255, 255), ColorTags(full_range=True)

    def samples(tags: ColorTags, layout: Layout, bits: int) -> tuple[int, ...]:
        return background_samples(white, tags, 48, PixelFormat(layout, bits, bits))

    assert samples(ColorTags(matrix=1), "yuv420", 8) == (235, 128, 128)
    assert samples(full, "yuv422", 8) == (255, 128, 128)
    assert samples(ColorTags(matrix=1), "yuv444", 10) == (940, 512, 512)
    assert samples(full, "gray", 12) == (4095,)


# --- samples ---


def noise(layout: Layout, bits: int) -> list[Plane]:
    """Planes of 6x4 pixels of noise."""
    rng = np.random.default_rng(bits)
    dtype = np.uint8 if bits == 8 else np.uint16
    sizes = plane_sizes(layout, 6, 4)
    return [rng.integers(0, 1 << bits, (rows, columns)).astype(dtype) for columns, rows in sizes]


def packed(name: str, planes: list[Plane]) -> list[Plane]:
    """The buffers of FFmpeg's pixel format that hold these planes, by its documentation."""
    first, *others = planes
    if name in ("nv12", "nv21", "nv16", "nv24", "nv42", "p010le", "p212be", "p410le", "nv20le"):
        order = others[::-1] if name in ("nv21", "nv42") else others
        shift = np.uint8(16 - int(name[2:4]) if name[0] == "p" else 0)
        pairs = np.stack(order, axis=-1).reshape(others[0].shape[0], -1)
        return [first << shift, pairs << shift]
    if name in ("yuyv422", "uyvy422", "yvyu422", "y210le", "y212le"):
        u, v = others[::-1] if name.startswith("yv") else others
        line = [first[:, 0::2], u, first[:, 1::2], v]
        if name == "uyvy422":
            line = [u, first[:, 0::2], v, first[:, 1::2]]
        shift = np.uint8(16 - int(name[2:4]) if name.startswith("y2") else 0)
        return [np.stack(line, axis=-1).reshape(4, -1) << shift]
    if name in ("xv30le", "x2rgb10le"):
        shifts = (10, 0, 20) if name == "xv30le" else (20, 10, 0)  # of Y, U, V and of R, G, B
        words = sum(plane.astype(np.uint32) << shift for plane, shift in zip(planes, shifts))
        return [np.asarray(words, "<u4").view("<u2")]
    if name == "vuyx":
        return [np.stack([others[1], others[0], first, first], axis=-1).reshape(4, -1)]
    if name == "bgr48be":
        return [np.stack([others[1], others[0], first], axis=-1).reshape(4, -1)]
    assert name.startswith("gbr")
    return [others[0], others[1], first]


def frame_of(name: str, buffers: list[Plane]) -> av.VideoFrame:
    """A frame of 6x4 with these buffers, each row an array of whole samples."""
    frame = av.VideoFrame(6, 4, name)
    for plane, buffer in zip(frame.planes, buffers, strict=True):
        big = buffer.dtype.itemsize > 1 and frame.format.is_big_endian
        rows = buffer.astype(buffer.dtype.newbyteorder(">")) if big else buffer
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        data = np.ascontiguousarray(rows).view(np.uint8).reshape(buffer.shape[0], -1)
        lines[: len(data), : data.shape[1]] = data
    return frame


@pytest.mark.parametrize(
    ("name", "layout", "bits"),
    [
        ("nv12", "yuv420", 8),
        ("nv21", "yuv420", 8),
        ("nv16", "yuv422", 8),
        ("nv20le", "yuv422", 10),
        ("nv24", "yuv444", 8),
        ("nv42", "yuv444", 8),
        ("p010le", "yuv420", 10),
        ("p212be", "yuv422", 12),
        ("p410le", "yuv444", 10),
        ("yuyv422", "yuv422", 8),
        ("uyvy422", "yuv422", 8),
        ("yvyu422", "yuv422", 8),
        ("y210le", "yuv422", 10),
        ("y212le", "yuv422", 12),
        ("xv30le", "yuv444", 10),
        ("vuyx", "yuv444", 8),
        ("x2rgb10le", "rgb", 10),
        ("gbrp", "rgb", 8),
        ("gbrp10be", "rgb", 10),
        ("gbrp12le", "rgb", 12),
    ],
)
def test_every_packing_is_read_exactly(name: str, layout: Layout, bits: int) -> None:
    """Planes come out of FFmpeg's buffers as they were laid in by its documentation."""
    planes = noise(layout, bits)
    read = planes_of(frame_of(name, packed(name, planes)), layout, bits)
    assert pixel_format(name) == PixelFormat(layout, bits, bits)
    assert all(map(np.array_equal, read, planes))


@pytest.mark.parametrize("layout", ["gray", "yuv420", "yuv422", "yuv444"])
@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("order", ["le", "be"])
def test_planar_formats_are_read_exactly(layout: Layout, bits: int, order: str) -> None:
    """Planes are the buffers themselves, in either order of bytes."""
    planes = noise(layout, bits)
    name = format_names(layout, bits)[0].replace("le", order)
    assert all(map(np.array_equal, planes_of(frame_of(name, planes), layout, bits), planes))


@pytest.mark.parametrize("name", ["rgb48be", "bgr48be", "gbrp16le", "gray16be"])
def test_sixteen_bits_become_twelve(name: str) -> None:
    """Samples of 16 bits are scaled from peak to peak, and the note says so."""
    layout: Layout = "gray" if name == "gray16be" else "rgb"
    planes = noise(layout, 16)
    shown = planes if layout == "gray" else packed("bgr48be" if "48" in name else name, planes)
    if name == "rgb48be":
        shown = [np.stack(planes, axis=-1).reshape(4, -1)]
    read = planes_of(frame_of(name, shown), layout, 12)
    for plane, source in zip(read, planes, strict=True):
        assert np.array_equal(plane, np.rint(source / 65535 * 4095))
    known = pixel_format(name)
    assert known and known.change.startswith("16-bit ")


@pytest.mark.parametrize(
    ("name", "repeats"), [("yuv411p", (1, 2)), ("yuv440p", (2, 1)), ("yuv440p12le", (2, 1))]
)
def test_rare_subsamplings_are_repeated(name: str, repeats: tuple[int, int]) -> None:
    """4:1:1 becomes 4:2:2 and 4:4:0 becomes 4:4:4 without another value."""
    known = pixel_format(name)
    assert known and known.change
    frame = av.VideoFrame(6, 4, name)
    dtype = np.uint8 if known.bit_depth == 8 else np.dtype("<u2")
    stored = []
    for index in range(3):
        view = plane_view(frame, index, 1, dtype)  # type: ignore[arg-type]
        view[:] = np.arange(view.size).reshape(view.shape) + 40 * index
        stored.append(view.copy())
    planes = planes_of(frame, known.layout, known.bit_depth)
    assert np.array_equal(planes[0], stored[0])
    for plane, source in zip(planes[1:], stored[1:]):
        repeated = source.repeat(repeats[0], axis=0).repeat(repeats[1], axis=1)
        assert np.array_equal(plane, repeated[: plane.shape[0], : plane.shape[1]])


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("yuv410p", "yuv420p"),
        ("yuv422p16le", "yuv422p12le"),
        ("yuv444p9be", "yuv444p10le"),
        ("gray9le", "gray10le"),
        ("gbrpf32le", "gbrp12le"),
    ],
)
def test_other_formats_are_refused_by_name(name: str, nearest: str) -> None:
    """The error names the format and the nearest one that is coded."""
    with pytest.raises(VideoError, match=f"{name} is not coded; the nearest that is: {nearest}$"):
        planes_of(av.VideoFrame(8, 8, name), "yuv420", 8)


@pytest.mark.parametrize(
    ("layout", "bits", "available", "expected"),
    [
        ("yuv420", 8, ["yuv420p10le", "yuv420p"], ("yuv420p", "yuv420", 8)),
        ("yuv420", 10, ["yuv420p", "yuv420p12le"], ("yuv420p12le", "yuv420", 12)),
        ("yuv420", 12, ["yuv420p", "yuv420p10le"], ("yuv420p10le", "yuv420", 10)),
        ("yuv422", 10, ["yuv420p10le", "yuv444p"], ("yuv444p", "yuv444", 8)),
        ("gray", 8, ["yuv420p", "yuv444p"], ("yuv420p", "yuv420", 8)),
        ("rgb", 8, ["gbrp10le", "bgr0"], ("bgr0", "rgb", 8)),
        ("rgb", 12, ["rgb24", "gbrp10le"], ("gbrp10le", "rgb", 10)),
        ("gray", 8, ["pal8"], None),
    ],
)
def test_an_encoder_gets_what_loses_least(
    layout: Layout, bits: int, available: list[str], expected: tuple[str, Layout, int] | None
) -> None:
    """The layout is kept before the bits, and bits are rather added than lost."""
    assert nearest_format(layout, bits, available) == expected
