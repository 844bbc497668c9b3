"""FFmpeg's pixel formats <-> planes; av's types are known here, av itself is not loaded.

Planes are views straight into FFmpeg's buffers wherever they hold samples one by one (its line
padding left out); swscale is asked only to unpack the rare formats that are left, never to change a
colour space, a subsampling or a range.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nervcodec.errors import VideoError
from nervcodec.format.video_format import SUBSAMPLING, ColorTags, Layout
from nervcodec.video.color import blend, shrink_plane, to_bit_depth, to_layout
from nervcodec.video.frames import Frames, Plane, Planes, sample_type
from nervcodec.video.source import BLACK, Color

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SHOWN: dict[Layout, str] = {
    "gray": "gray",
    "yuv420": "4:2:0",
    "yuv422": "4:2:2",
    "yuv444": "4:4:4",
    "rgb": "RGB",
}
_BIT_DEPTHS = (8, 10, 12)
_DEEPEST = 12
_LAYOUTS: dict[str, Layout] = {
    "411": "yuv422",
    "420": "yuv420",
    "422": "yuv422",
    "440": "yuv444",
    "444": "yuv444",
}
# Formats that swscale unpacks sample by sample, into these.
_UNPACKED = {
    **dict.fromkeys(("yuyv422", "uyvy422", "yvyu422"), "yuv422p"),
    "uyyvyy411": "yuv411p",
    **dict.fromkeys(("vyu444", "vuyx"), "yuv444p"),
    **dict.fromkeys(("vuya", "ayuv", "uyva"), "yuva444p"),
    "y210le": "yuv422p10le",
    "y212le": "yuv422p12le",
    "xv30le": "yuv444p10le",
    "xv36le": "yuv444p12le",
    **dict.fromkeys(("x2rgb10le", "x2bgr10le"), "gbrp10le"),
    **dict.fromkeys(("monow", "monob", "ya8"), "gray"),
    **dict.fromkeys(("ya16le", "ya16be"), "gray16le"),
    **dict.fromkeys(("rgb48be", "bgr48le", "bgr48be", "rgb48le"), "rgb48le"),
    **dict.fromkeys(("rgba64le", "rgba64be", "bgra64le", "bgra64be"), "rgb48le"),
}
# RGB formats whose 8-bit samples are only reordered.
SAME_RGB = frozenset("rgb24 bgr24 gbrp rgb0 bgr0 0rgb 0bgr rgba bgra argb abgr gbrap".split())
# RGB formats of fewer bits, which swscale expands to 8.
_FEW_BITS_RGB = re.compile(r"(rgb|bgr)(8|4_byte|444[lb]e|555[lb]e|565[lb]e)|pal8")
_YUV = re.compile(r"yuv[ja]?(4\d\d)p(?:(\d+)[lb]e)?")
_SEMIPLANAR = re.compile(r"(?:nv(12|21|16|24|42|20)|p([024])(10|12))(?:[lb]e)?")
_SEMIPLANAR_LAYOUTS: dict[str, Layout] = {
    "12": "yuv420",
    "21": "yuv420",
    "16": "yuv422",
    "20": "yuv422",
    "24": "yuv444",
    "42": "yuv444",
    "0": "yuv420",
    "2": "yuv422",
    "4": "yuv444",
}


class PixelFormat(NamedTuple):
    """A pixel format of FFmpeg's as planes.

    Attributes:
        layout, bit_depth: of the frames that are made of it.
        stored_bits: bits of the samples in FFmpeg's buffers.
        change: in words, where the frames hold other values than the buffers.
    """

    layout: Layout
    bit_depth: int
    stored_bits: int
    change: str = ""


@lru_cache(maxsize=256)
def pixel_format(name: str) -> PixelFormat | None:
    """Return what frames of a pixel format are coded as, None where they are not."""
    unpacked = _UNPACKED.get(name, name)
    if name in SAME_RGB:
        return PixelFormat("rgb", 8, 8)
    if _FEW_BITS_RGB.fullmatch(name):
        return PixelFormat("rgb", 8, 8, f"{name} converted to RGB")
    if unpacked == "rgb48le":
        return _deepest("rgb", 16)
    if match := _SEMIPLANAR.fullmatch(name):
        layout = _SEMIPLANAR_LAYOUTS[match.group(1) or match.group(2)]
        bits = 10 if match.group(1) == "20" else int(match.group(3) or 8)
        return PixelFormat(layout, bits, bits)
    if match := re.fullmatch(r"(gray|gbra?p)(?:(\d+)[lb]e)?", unpacked):
        layout = "gray" if match.group(1) == "gray" else "rgb"
        bits = int(match.group(2) or 8)
        if bits in (14, 16):
            return _deepest(layout, bits)
        return PixelFormat(layout, bits, bits) if bits in _BIT_DEPTHS else None
    match = _YUV.fullmatch(unpacked)
    if not match or match.group(1) not in _LAYOUTS or int(match.group(2) or 8) not in _BIT_DEPTHS:
        return None
    change = {
        "411": "4:1:1 coded as 4:2:2 (columns repeated)",
        "440": "4:4:0 coded as 4:4:4 (rows repeated)",
    }
    bits = int(match.group(2) or 8)
    return PixelFormat(_LAYOUTS[match.group(1)], bits, bits, change.get(match.group(1), ""))


def _deepest(layout: Layout, bits: int) -> PixelFormat:
    name = SHOWN[layout]
    return PixelFormat(layout, _DEEPEST, bits, f"{bits}-bit {name} coded at {_DEEPEST} bits")


def known_format(frame: VideoFrame) -> PixelFormat:
    """Return what a frame is coded as.

    Raises:
        VideoError: its pixel format is not coded.
    """
    known = pixel_format(frame.format.name)
    if known is None:
        raise VideoError(
            f"the pixel format {frame.format.name} is not coded; the nearest that is:"
            f" {_nearest(frame.format.name)}"
        )
    return known


def _nearest(name: str) -> str:
    """Return the name of a coded pixel format of about the same samples."""
    bits = next((int(digits) for digits in re.findall(r"(9|14|16|32)(?:[lb]e)?$", name)), 8)
    suffix = "" if bits == 8 else "10le" if bits == 9 else "12le"
    if "gray" in name or name.startswith("ya"):
        return f"gray{suffix}"
    if name.startswith(("yuv", "nv", "p0", "p2", "p4", "y2", "xv", "v30")):
        sampling = next((key for key in ("420", "422", "444") if key in name), "420")
        sampling = {"p2": "422", "p4": "444", "y2": "422", "xv": "444"}.get(name[:2], sampling)
        return f"yuv{sampling}p{suffix}"
    return f"gbrp{suffix}" if suffix else "rgb24"


def planes_of(
    frame: VideoFrame, layout: Layout, bit_depth: int, background: Color = BLACK
) -> Planes:
    """Return the planes [h, w] of a frame in this layout and bit depth.

    They are views that hold as long as the frame does. Transparent pixels are laid over the
    background, an RGB colour of 8 bits.

    Raises:
        VideoError: a pixel format that is not coded, or a frame that is stored bottom-up.
    """
    known = known_format(frame)
    planes = _native_planes(frame, known)
    alpha = alpha_plane(frame)
    tags = color_tags(frame, known.layout)
    if alpha is not None:
        under = background_samples(background, tags, frame.height, known)
        planes = lay_over(planes, alpha, under, known)
    if (known.layout, known.bit_depth) == (layout, bit_depth):
        return planes
    frames = Frames(known.layout, tuple(plane[None] for plane in planes), known.bit_depth)
    frames = to_layout(to_bit_depth(frames, bit_depth, bool(tags.full_range)), layout, tags)
    return tuple(plane[0] for plane in frames.planes)


def has_alpha(frame: VideoFrame) -> bool:
    """Return whether the pixel format of a frame can hold transparent pixels."""
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def alpha_plane(frame: VideoFrame) -> Plane | None:
    """Return the opacity [h, w] of the pixels, 0 to the peak of the bit depth that it is coded at.

    None where all of them are opaque.
    """
    if not has_alpha(frame):
        return None
    known, name = known_format(frame), frame.format.name
    if name in _UNPACKED and _UNPACKED[name].startswith("yuva"):
        frame, name = reformatted(frame, _UNPACKED[name]), _UNPACKED[name]
    if name.startswith(("yuva", "gbrap")):
        alpha = _samples(frame, 3, 1, known)
    elif known.bit_depth > 8:
        alpha = _scaled(_samples(reformatted(frame, "rgba64le"), 0, 4, known)[:, 3::4], known)
    else:
        packed = frame if name == "rgba" else reformatted(frame, "rgba")
        alpha = plane_view(packed, 0, 4)[:, 3::4]
    peak = (1 << known.bit_depth) - 1
    return None if alpha.min(initial=peak) == peak else alpha


def color_tags(frame: VideoFrame, layout: Layout) -> ColorTags:
    """Return matrix and range; RGB has neither, and 4:2:0 made from it is tagged where made."""
    if layout == "rgb":
        return ColorTags()
    is_full = {1: False, 2: True}.get(frame.color_range)
    return ColorTags(
        matrix=frame.colorspace,
        full_range=True if frame.format.name.startswith("yuvj") else is_full,
    )


def plane_view(
    frame: VideoFrame, index: int, channels: int = 1, dtype: str | type[np.uint8] = np.uint8
) -> Plane:
    """Return one plane as a view [h, w * channels], without the padding of its lines."""
    plane = frame.planes[index]
    if plane.line_size < 0:
        raise VideoError(f"frames stored bottom-up in {frame.format.name} are not read")
    line = plane.line_size // np.dtype(dtype).itemsize
    lines: Plane = np.frombuffer(memoryview(plane), dtype).reshape(-1, line)
    return lines[: plane.height, : plane.width * channels]


def background_samples(
    background: Color, tags: ColorTags, height: int, known: PixelFormat
) -> tuple[int, ...]:
    """Return an RGB colour as the samples of a layout by the tags of a frame of this height."""
    planes = tuple(np.full((1, height, 1), value, np.uint8) for value in background)
    frames = to_bit_depth(Frames("rgb", planes), known.bit_depth, full_range=True)
    frames = to_layout(frames, known.layout, tags)
    return tuple(int(plane.flat[0]) for plane in frames.planes)


def lay_over(planes: Planes, alpha: Plane, under: tuple[int, ...], known: PixelFormat) -> Planes:
    """Lay planes of this opacity [h, w] over a colour of one sample a plane.

    A chroma sample is as opaque as the mean of its pixels.
    """
    peak = (1 << known.bit_depth) - 1
    across, down = (1, 1) if known.layout == "gray" else SUBSAMPLING[known.layout]
    small = shrink_plane(alpha, across, down)
    opacities = (alpha, small, small)
    return tuple(
        blend(plane, opacity, value, peak)
        for plane, opacity, value in zip(planes, opacities, under)
    )


def _native_planes(frame: VideoFrame, known: PixelFormat) -> Planes:
    """Return the planes of a frame as PixelFormat says."""
    name = frame.format.name
    if name not in _UNPACKED and known.layout == "rgb" and known.bit_depth == 8:
        return _rgb24_planes(frame)
    if name in _UNPACKED:
        name = _UNPACKED[name]
        frame = reformatted(frame, name)
    if name == "rgb48le":
        pixels = _samples(frame, 0, 3, known)
        return tuple(_scaled(pixels[:, k::3], known) for k in range(3))
    if _SEMIPLANAR.fullmatch(name):
        return _semiplanar(frame, known)
    if name.startswith("gbr"):
        return tuple(_scaled(_samples(frame, k, 1, known), known) for k in (2, 0, 1))
    n_planes = 1 if known.layout == "gray" else 3
    planes = tuple(_scaled(_samples(frame, k, 1, known), known) for k in range(n_planes))
    if "411" in name:
        width = -(-frame.width // 2)
        return planes[0], *(plane.repeat(2, axis=1)[:, :width] for plane in planes[1:])
    if "440" in name:
        return planes[0], *(plane.repeat(2, axis=0)[: frame.height] for plane in planes[1:])
    return planes


def reformatted(frame: VideoFrame, name: str) -> VideoFrame:
    """Return a frame in another pixel format of the same samples.

    The range is the same on both sides, so that samples are only moved. More threads than one have
    been seen to lose a line.
    """
    full = 2 if frame.color_range == 2 else 1
    return frame.reformat(format=name, src_color_range=full, dst_color_range=full, threads=1)


def _semiplanar(frame: VideoFrame, known: PixelFormat) -> Planes:
    luma, chroma = (_samples(frame, k, k + 1, known) for k in (0, 1))
    first, second = chroma[:, 0::2], chroma[:, 1::2]
    if frame.format.name in ("nv21", "nv42"):
        first, second = second, first
    return luma, first, second


def _samples(frame: VideoFrame, index: int, channels: int, known: PixelFormat) -> Plane:
    """Return a plane [h, w * channels] of as many bytes a sample as are stored."""
    if known.stored_bits == 8:
        return plane_view(frame, index, channels)
    dtype = ">u2" if frame.format.is_big_endian else "<u2"
    samples = plane_view(frame, index, channels, dtype).astype(np.uint16, copy=False)
    if frame.format.name.startswith("p"):  # the bits stand at the upper end
        return samples >> np.uint16(16 - known.stored_bits)
    return np.minimum(samples, np.uint16((1 << known.stored_bits) - 1))


def _scaled(plane: Plane, known: PixelFormat) -> Plane:
    """Return samples at the bit depth that they are coded at."""
    if known.stored_bits == known.bit_depth:
        return plane
    scale = ((1 << known.bit_depth) - 1) / ((1 << known.stored_bits) - 1)
    scaled: Plane = np.rint(plane * scale).astype(sample_type(known.bit_depth))
    return scaled


def _rgb24_planes(frame: VideoFrame) -> Planes:
    if frame.format.name in ("gbrp", "gbrap"):
        return plane_view(frame, 2), plane_view(frame, 0), plane_view(frame, 1)
    packed = frame if frame.format.name == "rgb24" else reformatted(frame, "rgb24")
    pixels = plane_view(packed, 0, 3)
    return pixels[:, 0::3], pixels[:, 1::3], pixels[:, 2::3]


# --- what an encoder takes ---

# Layouts to take where an encoder does not have the first, the least loss first.
_FALLBACKS: dict[Layout, tuple[Layout, ...]] = {
    "gray": ("gray", "yuv420", "yuv422", "yuv444"),
    "yuv420": ("yuv420", "yuv422", "yuv444"),
    "yuv422": ("yuv422", "yuv444", "yuv420"),
    "yuv444": ("yuv444", "yuv422", "yuv420"),
    "rgb": ("rgb", "yuv420", "yuv422", "yuv444"),
}


def format_names(layout: Layout, bit_depth: int) -> tuple[str, ...]:
    """Return FFmpeg's names of what holds these samples exactly, the usual one first."""
    suffix = "" if bit_depth == 8 else f"{bit_depth}le"
    if layout == "gray":
        return (f"gray{suffix}",)
    if layout == "rgb":
        return ("bgr0", "gbrp", "rgb24") if bit_depth == 8 else (f"gbrp{suffix}",)
    return (f"{layout}p{suffix}",)


def nearest_format(
    layout: Layout, bit_depth: int, available: Collection[str]
) -> tuple[str, Layout, int] | None:
    """Return name, layout and bit depth of the format to take of those that an encoder has.

    The layout counts first, then the fewest bits that hold all samples, then the most bits. None
    where there is none.
    """
    depths = sorted(_BIT_DEPTHS, key=lambda depth: (depth < bit_depth, abs(depth - bit_depth)))
    for other in _FALLBACKS[layout]:
        for depth in depths:
            for name in format_names(other, depth):
                if name in available:
                    return name, other, depth
    return None
