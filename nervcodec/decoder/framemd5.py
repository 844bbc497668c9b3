"""The MD5 of every shown frame, as FFmpeg's framemd5 muxer prints it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nervcodec.decoder.digest import FrameHasher, raw_frames
from nervcodec.format.file import File
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.frames import Frames


@dataclass(frozen=True)
class FrameMd5s:
    """The MD5 of every shown frame, in the colorspace of the network.

    Attributes:
        form: of the video.
        frame_bytes: of a frame's samples.
        each: 32 hexadecimal digits a shown frame.
        whole: those of all shown frames, one after the other.
    """

    form: VideoFormat
    frame_bytes: int
    each: tuple[str, ...]
    whole: str

    def text(self) -> str:
        """Return what `ffmpeg -i decoded.y4m -fflags +bitexact -f framemd5 -` prints, without the
        last newline.

        Frames come at the frame rate, as in a .y4m file, whatever times the file has.
        """
        form, ratio = self.form, self.form.sample_aspect_ratio
        lines = [
            "#format: frame checksums",
            "#version: 2",
            "#hash: MD5",
            f"#tb 0: {form.frame_rate.denominator}/{form.frame_rate.numerator}",
            "#media_type 0: video",
            "#codec_id 0: rawvideo",
            f"#dimensions 0: {form.width}x{form.height}",
            f"#sar 0: {ratio.numerator}/{ratio.denominator}",
            "#stream#, dts,        pts, duration,     size, hash",
        ]
        lines += (
            f"0, {number:10}, {number:10}, {1:8}, {self.frame_bytes:8}, {md5}"
            for number, md5 in enumerate(self.each)
        )
        return "\n".join(lines)


def hash_each(
    file: File,
    batches: Iterable[Frames],
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[bytes], FrameMd5s]:
    """Return the MD5 of the coded frames of each segment, and that of every shown frame.

    Args:
        batches: all coded frames of the file in their order, in the colorspace of the model.
        on_progress: called with (frames decoded, frames in all).
    """
    raw = (data for frames in batches for data in raw_frames(frames))
    repeats = file.extras.repeats
    counts = repeats.counts() if repeats else itertools.repeat(1)
    whole, segments, each = FrameHasher(), [], list[str]()
    n_done = n_bytes = 0
    for segment in file.segments:
        hasher = FrameHasher()
        for data, n_shown in zip(itertools.islice(raw, segment.n_frames), counts):
            hasher.add_raw(data)
            each += [hashlib.md5(data, usedforsecurity=False).hexdigest()] * n_shown
            for _ in range(n_shown):
                whole.add_raw(data)
            n_bytes = len(data)
            n_done += 1
            if on_progress:
                on_progress(n_done, file.n_coded_frames)
        segments.append(hasher.digest())
    return segments, FrameMd5s(file.header.format, n_bytes, tuple(each), whole.digest().hex())
