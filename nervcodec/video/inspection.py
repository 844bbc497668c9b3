"""Checks of the frames of a source, one after the other: size, bits, interlacing, conversions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from nervcodec.errors import VideoError
from nervcodec.format.video_format import ColorTags, Layout
from nervcodec.video.pixel_formats import (
    SAME_RGB,
    alpha_plane,
    chroma_shrink,
    color_tags,
    has_alpha,
    layout_of,
)
from nervcodec.video.rotation import applied_turns
from nervcodec.video.source import SourceOptions
from nervcodec.video.y4m import transparency_note

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True)
class SourceProperties:
    """Properties of a source after one pass over it; frame_rate is None where it states none.

    Attributes:
        damage: notes on what is damaged or missing.
    """

    width: int
    height: int
    n_frames: int
    layout: Layout
    color: ColorTags
    frame_rate: Fraction | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()


class Inspection:
    """Check of every frame of a source; layout None follows the first frame's pixel format."""

    def __init__(self, name: str, layout: Layout | None, options: SourceOptions) -> None:
        self.n_frames = 0
        self._name = name
        self._layout = layout
        self._options = options
        self._first: VideoFrame | None = None
        self._notes: dict[str, None] = {}
        self._n_interlaced = 0

    @property
    def turns(self) -> int:
        """Return the quarter turns that the first frame is given."""
        return self._turns(self.first)

    def _turns(self, frame: VideoFrame) -> int:
        return applied_turns(frame.rotation, autorotate=self._options.autorotate)

    def _size(self, frame: VideoFrame) -> tuple[int, int]:
        """Return width and height of a frame as it is coded."""
        size = (frame.width, frame.height)
        return size[::-1] if self._turns(frame) % 2 else size

    @property
    def first(self) -> VideoFrame:
        assert self._first is not None
        return self._first

    def add(self, frame: VideoFrame) -> None:
        """Check the next frame.

        Raises:
            VideoError: it has another size than the first, over 8 bits, or is interlaced.
        """
        self.n_frames += 1
        label = f"{self._name}: frame {self.n_frames}"
        self._first = first = frame if self._first is None else self._first
        _check_frame(frame, self._size(frame), self._size(first), label)
        if not self._layout and layout_of(frame) != layout_of(first):
            raise VideoError(f"{label} is {frame.format.name}, the first is {first.format.name}")
        if frame.interlaced_frame and not self._options.force_progressive:
            raise VideoError(
                f"{label} is interlaced; --force-progressive codes interlaced frames as they are"
            )
        self._n_interlaced += frame.interlaced_frame
        notes = _frame_notes(frame, self._layout or layout_of(first), self._options)
        self._notes.update(dict.fromkeys(notes))

    def result(self) -> SourceProperties:
        """Return what the frames have in common; at least one must have been added."""
        first = self.first
        layout = self._layout or layout_of(first)
        notes = list(self._notes)
        if self._n_interlaced:
            notes.append(
                f"interlaced frames, coded as they are without deinterlacing: {self._n_interlaced}"
            )
        return SourceProperties(
            *self._size(first),
            self.n_frames,
            layout,
            color_tags(first, layout),
            notes=tuple(notes),
        )


def _check_frame(
    frame: VideoFrame, size: tuple[int, int], first_size: tuple[int, int], label: str
) -> None:
    if size != first_size:
        raise VideoError(
            f"{label} is {size[0]}x{size[1]}, the first is {first_size[0]}x{first_size[1]}"
        )
    bits = max(component.bits for component in frame.format.components)
    if bits > 8:
        raise VideoError(
            f"{label} has {bits} bits a sample ({frame.format.name}); 8-bit only in this version"
        )


def _frame_notes(frame: VideoFrame, layout: Layout, options: SourceOptions) -> Iterator[str]:
    name = frame.format.name
    if has_alpha(frame) and alpha_plane(frame) is not None:
        yield transparency_note(options)
    if applied_turns(frame.rotation, autorotate=options.autorotate):
        yield f"frames are turned by their display rotation of {frame.rotation} degrees"
    if layout == "rgb":
        if name not in SAME_RGB:
            yield f"{name} converted to RGB"
    elif name == "gray":
        yield "gray converted to 4:2:0 (chroma 128)"
    elif chroma_shrink(name) != (1, 1):
        yield f"{name} converted to 4:2:0"
