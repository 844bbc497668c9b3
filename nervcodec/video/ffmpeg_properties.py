"""What a source says of its picture besides format and colour, through PyAV: read from a source,
given to FFmpeg's encoders and muxers, and looked for in what they have written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from nervcodec.format.extra_fields import MAX_TEXT_BYTES, TEXT_KEYS
from nervcodec.format.properties import (
    NO_PROPERTIES,
    ContentLight,
    FieldOrder,
    MasteringDisplay,
    Properties,
)
from nervcodec.video import ffmpeg_decode
from nervcodec.video.ffmpeg_decode import OpenVideo

# PyAV is silent from the start, but only until somebody has asked for its log.
av.logging.set_level(None)

# AVFieldOrder -> which field is shown first.
_ORDERS: Mapping[int, FieldOrder] = {2: "top", 3: "bottom", 4: "bottom", 5: "top"}
_ORDER_NUMBERS = {"top": 2, "bottom": 3}
_IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
# AVMasteringDisplayMetadata: red, green, blue, white, least and most luminance, each number a
# fraction of two int32; whether there are chromaticities, and luminances.
_MASTERING = struct.Struct("=20i2i")
# What FFmpeg makes of a file whose time was never set.
_NO_TIME = "1970-01-01T00:00:00"
_LIGHT = struct.Struct("=2I")


def of_frame(frame: VideoFrame) -> Properties:
    """Return what comes with a decoded frame: display matrix, mastering display, light level."""
    # The container's iterator yields side data, which its stubs do not say.
    sides: Iterable[Any] = iter(frame.side_data)
    data = {each.type.name: bytes(each) for each in sides}
    matrix = None
    if len(data.get("DISPLAYMATRIX", b"")) == 36:
        matrix = struct.unpack("=9i", data["DISPLAYMATRIX"])
    light = None
    if len(data.get("CONTENT_LIGHT_LEVEL", b"")) >= _LIGHT.size:
        numbers = _LIGHT.unpack_from(data["CONTENT_LIGHT_LEVEL"])
        light = ContentLight(*(min(number, 65535) for number in numbers))
    return Properties(
        matrix=None if matrix == _IDENTITY else matrix,
        mastering=_mastering(data.get("MASTERING_DISPLAY_METADATA", b"")),
        light=light if light != ContentLight(0, 0) else None,
    )


def _mastering(data: bytes) -> MasteringDisplay | None:
    """Return the mastering display of FFmpeg's structure; what it does not have is 0."""
    if len(data) < _MASTERING.size:
        return None
    *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(data)
    values = [top / bottom if bottom else 0.0 for top, bottom in zip(numbers[::2], numbers[1::2])]
    chromaticities = [_units(value, 50_000, 65535) * bool(has_primaries) for value in values[:8]]
    least, most = (_units(value, 10_000, 2**32 - 1) * bool(has_luminance) for value in values[8:])
    if not any((*chromaticities, least, most)):
        return None
    return MasteringDisplay(*(*chromaticities, most, least))


def _units(value: float, scale: int, most: int) -> int:
    return min(max(round(value * scale), 0), most)


def of_video(video: OpenVideo, frame: VideoFrame) -> tuple[Properties, tuple[str, ...]]:
    """Return what a stream says, of which this is the first decoded frame, and notes on it."""
    properties = of_frame(frame)
    context = video.stream.codec_context
    order: FieldOrder = "unknown"
    if frame.interlaced_frame:
        # DV has its lower field first (IEC 61834), which FFmpeg says of its frames alone.
        is_dv = context.codec.canonical_name == "dvvideo"
        order = "bottom" if is_dv else _ORDERS.get(context.field_order, "unknown")
    texts, notes = texts_of(video.container.metadata)
    changed = Properties(properties.matrix, order, properties.mastering, properties.light, texts)
    return changed, notes


def texts_of(
    metadata: Mapping[str, str],
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return those texts of a container's that are kept, and notes where one is shortened."""
    named = {key.lower(): text.replace("\0", "") for key, text in metadata.items()}
    texts = []
    notes = []
    for key in TEXT_KEYS:
        text = named.get(key, "")
        if key == "creation_time" and text.startswith(_NO_TIME):
            continue
        short = text.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
        if short:
            texts.append((key, short))
        if short != text:
            notes.append(f"{key} cut to {MAX_TEXT_BYTES} bytes")
    return tuple(texts), tuple(notes)


def encoder_options(properties: Properties, codec: str) -> dict[str, str]:
    """Return the options with which an encoder says mastering display and light level."""
    mastering, light = properties.mastering, properties.light
    name, display, content = {
        "libx265": ("x265-params", "master-display", "max-cll"),
        "libx264": ("x264-params", "mastering-display", "cll"),
        "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
    }.get(codec, ("", "", ""))
    words = []
    if mastering:
        words.append(f"{display}={_display_text(mastering, is_decimal=codec == 'libsvtav1')}")
    if light:
        words.append(f"{content}={light.max_cll},{light.max_fall}")
    return {name: ":".join(words)} if name and words else {}


def _display_text(display: MasteringDisplay, *, is_decimal: bool) -> str:
    """Return a mastering display as x265 has it in units, and SVT-AV1 in decimal fractions."""
    pairs = (
        ("G", display.green_x, display.green_y, 50_000),
        ("B", display.blue_x, display.blue_y, 50_000),
        ("R", display.red_x, display.red_y, 50_000),
        ("WP", display.white_x, display.white_y, 50_000),
        ("L", display.max_luminance, display.min_luminance, 10_000),
    )
    if is_decimal:
        return "".join(f"{name}({a / unit:.5f},{b / unit:.5f})" for name, a, b, unit in pairs)
    return "".join(f"{name}({a},{b})" for name, a, b, _ in pairs)


def apply(properties: Properties, container: OutputContainer, context: VideoCodecContext) -> None:
    """Give a container and an encoder that are not begun yet what they can say."""
    container.metadata.update(dict(properties.texts))
    if properties.field_order != "unknown":
        context.field_order = _ORDER_NUMBERS[properties.field_order]


def lost_properties(path: Path, properties: Properties) -> Iterator[str]:
    """Yield the names of what a complete file does not say."""
    if properties == NO_PROPERTIES:
        return
    with ffmpeg_decode.open_video(path) as video:
        said = of_frame(next(ffmpeg_decode.decoded_frames(video, path, salvage=True)))
        order = _ORDERS.get(video.stream.codec_context.field_order, "unknown")
        texts = dict(texts_of(video.container.metadata)[0])
    if said.rotation != properties.rotation:
        yield "rotation"
    if properties.field_order not in ("unknown", order):
        yield "field order"
    if properties.mastering not in (None, said.mastering):
        yield "mastering display"
    if properties.light not in (None, said.light):
        yield "content light level"
    for key, text in properties.texts:
        if texts.get(key) != text:
            yield key


def names_of(properties: Properties) -> Iterator[str]:
    """Yield the names of all that is said."""
    present = {
        "rotation": properties.matrix,
        "field order": properties.field_order != "unknown",
        "mastering display": properties.mastering,
        "content light level": properties.light,
    }
    yield from (name for name, value in present.items() if value)
    yield from (key for key, _ in properties.texts)
