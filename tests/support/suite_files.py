"""Files of the conformance suite: a network, segments of random parameters, the frames' MD5."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from suite_draws import Draw, Record, drawn_segment, usual

from nervcodec.decoder.digest import FrameHasher
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.format.container import write_file
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.file import Header, Segment, StoredQuality
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat

SEED = 7
USUAL = usual()


@dataclass(frozen=True)
class Part:
    """A segment: its shots and what its parameters and records are."""

    shots: Shots = (3,)
    fraction_bits: int = 8
    draw: Draw = USUAL
    record: Record | None = None
    n_classes: int | None = None


@dataclass(frozen=True)
class Good:
    """A file that every reader decodes.

    Attributes:
        layout: of the source, that of the network where it is None.
        is_hashed: whether it holds the MD5 of its frames.
    """

    name: str
    exercises: str
    model: ModelConfig
    parts: tuple[Part, ...] = (Part(),)
    layout: Layout | None = None
    extras: Extras = NO_EXTRAS
    color: ColorTags = ColorTags()
    rate: Fraction = Fraction(25)
    aspect: Fraction = Fraction(1)
    is_hashed: bool = True


def written(good: Good) -> bytes:
    """The bytes of a file, with the MD5 of its frames."""
    model = good.model
    rng = np.random.default_rng([SEED, zlib.crc32(good.name.encode())])
    segments = []
    for part in good.parts:
        segment = drawn_segment(rng, model, part.shots, part.draw, part.record, part.n_classes)
        segment = replace(segment, fraction_bits=part.fraction_bits)
        md5 = md5_of(segment, model) if good.is_hashed else None
        segments.append(replace(segment, md5=md5, quality=StoredQuality(psnr_y=30.5, epochs=1)))
    repeats = good.extras.repeats
    n_frames = repeats.n_shown if repeats else sum(segment.n_frames for segment in segments)
    form = VideoFormat(
        model.width,
        model.height,
        good.rate,
        n_frames,
        good.layout or model.colorspace,
        good.color,
        good.aspect,
        model.bit_depth,
    )
    return write_file(Header(form, model), segments, good.extras)


def md5_of(segment: Segment, model: ModelConfig) -> bytes:
    """The MD5 of a segment's frames."""
    hasher = FrameHasher()
    for frames in decode_segment(segment, model):
        hasher.add(frames)
    return hasher.digest()


def single(
    name: str,
    exercises: str,
    model: ModelConfig,
    shots: Shots = (3,),
    fraction_bits: int = 8,
    draw: Draw = USUAL,
    record: Record | None = None,
    n_classes: int | None = None,
    **changes: Any,
) -> Good:
    """A file of one segment."""
    part = Part(shots, fraction_bits, draw, record, n_classes)
    return Good(name, exercises, model, (part,), **changes)
