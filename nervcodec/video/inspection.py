"""Checks of the frames of a source, one after the other: size, format, interlacing, changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from nervcodec.errors import VideoError
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import ColorTags, Layout
from nervcodec.video.pixel_formats import alpha_plane, color_tags, has_alpha, known_format
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
        times: when each frame is shown, None where a constant rate tells.
    """

    width: int
    height: int
    n_frames: int
    layout: Layout
    color: ColorTags
    frame_rate: Fraction | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    bit_depth: int = 8
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    times: FrameTimes | None = None


# The layouts of pictures, each of which can hold what those before it hold.
_RICHNESS: tuple[Layout, ...] = ("gray", "yuv420", "yuv422", "yuv444", "rgb")


class Inspection:
    """Check of every frame of a source.

    Args:
        name: of the source, for messages.
        is_mixed: whether frames may differ in layout and bit depth, as pictures of a folder do;
            they are coded as the richest of them.
        options: how the source is read.
    """

    def __init__(self, name: str, is_mixed: bool, options: SourceOptions) -> None:
        self.n_frames = 0
        self._name = name
        self._is_mixed = is_mixed
        self._options = options
        self._layout: Layout = "gray"
        self._bit_depth = 8
        self._first: VideoFrame | None = None
        self._notes: dict[str, None] = {}
        self._n_interlaced = 0

    @property
    def turns(self) -> int:
        """Return the quarter turns that the first frame is given."""
        return self._turns(self.first)

    @property
    def layout(self) -> Layout:
        """Return the layout of the frames so far."""
        return self._layout

    @property
    def bit_depth(self) -> int:
        """Return the bit depth of the frames so far."""
        return self._bit_depth

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
            VideoError: it has another size or format than the first, one that is not coded, or is
                interlaced.
        """
        self.n_frames += 1
        label = f"{self._name}: frame {self.n_frames}"
        self._first = first = frame if self._first is None else self._first
        _check_frame(frame, self._size(frame), self._size(first), label)
        self._add_format(frame, label)
        if frame.interlaced_frame and not self._options.force_progressive:
            raise VideoError(
                f"{label} is interlaced; --force-progressive codes interlaced frames as they are"
            )
        self._n_interlaced += frame.interlaced_frame
        self._notes.update(dict.fromkeys(_frame_notes(frame, self._options)))

    def _add_format(self, frame: VideoFrame, label: str) -> None:
        """Take the layout and bit depth of a frame.

        Raises:
            VideoError: its pixel format is not coded, or is another than the first one's.
        """
        try:
            known = known_format(frame)
        except VideoError as error:
            raise VideoError(f"{label}: {error}") from None
        layout = known.layout
        if layout == "yuv422" and self._turns(frame) % 2:
            layout = "yuv444"
            self._notes["4:2:2 becomes 4:4:4 where frames are turned by 90 degrees"] = None
        mixed = (
            max(self._layout, layout, key=_RICHNESS.index),
            max(self._bit_depth, known.bit_depth),
        )
        if self.n_frames > 1 and not self._is_mixed and mixed != (self._layout, self._bit_depth):
            first = self.first.format.name
            raise VideoError(f"{label} is {frame.format.name}, the first is {first}")
        self._layout, self._bit_depth = mixed

    def result(self) -> SourceProperties:
        """Return what the frames have in common; at least one must have been added."""
        first = self.first
        notes = list(self._notes)
        if self._n_interlaced:
            notes.append(
                f"interlaced frames, coded as they are without deinterlacing: {self._n_interlaced}"
            )
        return SourceProperties(
            *self._size(first),
            self.n_frames,
            self._layout,
            color_tags(first, self._layout),
            bit_depth=self._bit_depth,
            notes=tuple(notes),
        )


def _check_frame(
    frame: VideoFrame, size: tuple[int, int], first_size: tuple[int, int], label: str
) -> None:
    if size != first_size:
        raise VideoError(
            f"{label} is {size[0]}x{size[1]}, the first is {first_size[0]}x{first_size[1]}"
        )


def _frame_notes(frame: VideoFrame, options: SourceOptions) -> Iterator[str]:
    if has_alpha(frame) and alpha_plane(frame) is not None:
        yield transparency_note(options)
    if applied_turns(frame.rotation, autorotate=options.autorotate):
        yield f"frames are turned by their display rotation of {frame.rotation} degrees"
    if change := known_format(frame).change:
        yield change
