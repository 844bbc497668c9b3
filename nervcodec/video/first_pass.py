"""What changes in a source, seen while probe_source() reads it: no second pass is needed for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from nervcodec.errors import ConfigError
from nervcodec.format.video_format import ColorTags, Layout, VideoFormat
from nervcodec.video.frames import Planes
from nervcodec.video.geometry import cropped_format
from nervcodec.video.reader import Shaper
from nervcodec.video.scenes import ContentChanges, ContentSurvey
from nervcodec.video.source import SourceOptions

OnSurvey = Callable[[int, int | None], None]


class FirstPass:
    """Survey of the frames of a source as they are coded, one after the other.

    What they are coded as is sure only in the end: it is taken from the first frame, and where that
    turns out to be wrong, nothing is known of what changes.

    Args:
        options: how the source is read.
        first: the frame, from 0, at which those begin that are coded.
        begins_anywhere: whether they may begin behind it, too.
        only_counts: look at no frame: what changes will be asked of frames that are not neighbours.
        on_progress: called with (frames read, frames expected or None).
    """

    def __init__(
        self,
        options: SourceOptions,
        first: int = 0,
        *,
        begins_anywhere: bool = False,
        only_counts: bool = False,
        on_progress: OnSurvey | None = None,
    ) -> None:
        self.n_expected: int | None = None
        self._options = options
        self._first = first
        self._begins_anywhere = begins_anywhere
        self._only_counts = only_counts
        self._on_progress = on_progress
        self._n_read = 0
        self._shaper = Shaper(options)
        self._taken: VideoFormat | None = None
        self._survey: ContentSurvey | None = None

    def add(
        self, planes: Callable[[], Planes], layout: Layout, bit_depth: int, location: int = 0
    ) -> None:
        """Take the next frame.

        Args:
            planes: gives its planes [h, w] before they are cropped and scaled; they hold until it
                is asked for the next ones.
            layout, bit_depth, location: what the frames so far are coded as, and where their chroma
                lies (ColorTags).

        Raises:
            VideoError: it cannot be read.
        """
        self._n_read += 1
        if self._on_progress:
            self._on_progress(self._n_read, self.n_expected)
        if self._only_counts or (self._n_read > 1 and self._survey is None):
            return
        whole = planes()
        if self._taken is None:
            self._begin(whole, layout, bit_depth, location)
        if self._taken is None or (layout, bit_depth) != _samples(self._taken):
            self._survey = None
        elif self._survey is not None and self._n_read > self._first:
            self._survey.add(self._shaper.shaped(whole, self._taken))

    def _begin(self, planes: Planes, layout: Layout, bit_depth: int, location: int) -> None:
        """Take the first frame's format; leave it where it cannot be coded so, which probe() says
        in the end.
        """
        height, width = planes[0].shape
        color = ColorTags(chroma_location=location)
        try:
            form = VideoFormat(width, height, Fraction(1), 1, layout, color, bit_depth=bit_depth)
            cropped_format(form, self._options.crop)
            self._shaper.shaped(planes, form)
        except ConfigError:
            return
        self._taken = form
        self._survey = ContentSurvey(layout, bit_depth, begins_anywhere=self._begins_anywhere)

    def changes(self, form: VideoFormat, numbers: Sequence[int]) -> ContentChanges | None:
        """Return what changes within frames of the source; None where only another pass can tell.

        Args:
            form: of the source, from probe_source().
            numbers: of the frames in the source.
        """
        taken = self._taken
        if self._survey is None or taken is None or not isinstance(numbers, range):
            return None
        if _samples(taken) != _samples(form):
            return None
        # The filter that scales goes by it.
        location = form.color.chroma_location
        if self._options.scale is not None and taken.color.chroma_location != location:
            return None
        first = self._first
        return self._survey.changes(
            range(numbers.start - first, numbers.stop - first, numbers.step)
        )


def _samples(form: VideoFormat) -> tuple[Layout, int]:
    return form.layout, form.bit_depth
