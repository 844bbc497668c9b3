"""The MD5 of decoded frames, as FFmpeg computes it (nvpp-format.md section 6.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from nervcodec.video.frames import Frames


class FrameHasher:
    """MD5 of frames that are added in their order."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, frames: Frames) -> None:
        """Add frames in the colorspace of the model."""
        for data in raw_frames(frames):
            self.add_raw(data)

    def add_raw(self, data: bytes) -> None:
        """Add a frame as raw_frames() has it."""
        self._md5.update(data)

    def digest(self) -> bytes:
        """Return the 16 bytes of the MD5 of all frames so far."""
        return self._md5.digest()


def raw_frames(frames: Frames) -> Iterator[bytes]:
    """Yield the samples of each frame as FFmpeg's rawvideo has them.

    Its planes follow one another, of RGB in the order G, B, R, row by row; samples of more than 8
    bits take two bytes, little-endian.
    """
    planes = frames.planes
    if frames.layout == "rgb":
        red, green, blue = planes
        planes = (green, blue, red)
    for of_frame in zip(*planes, strict=True):
        yield b"".join(
            plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes() for plane in of_frame
        )
