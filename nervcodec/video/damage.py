"""What is damaged in a compressed stream: found packet by packet, told by the numbers of frames."""

from __future__ import annotations

import re
from array import array
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf

# Bytes that no NAL unit of H.264, H.265 or H.266 may contain (their Annex B): a start code within
# it, but for zeros at its end and a start code that a muxer left in place.
_FORBIDDEN = re.compile(rb"\x00\x00\x02|\x00\x00\x00+[\x02-\xff]")
# Numbers of at most so many runs of frames stand in a message.
_LISTED = 8


_TIMELESS = -(2**63)


class FrameLog:
    """Packets and times of frames in the order of display, 16 bytes each."""

    def __init__(self, frames: Iterable[tuple[int, int | None]] = ()) -> None:
        self._packets = array("q")
        self._times = array("q")
        for packet, time in frames:
            self.append(packet, time)

    def append(self, packet: int, time: int | None) -> None:
        """Add a frame: its packet, its time or None."""
        self._packets.append(packet)
        self._times.append(_TIMELESS if time is None else time)

    def __len__(self) -> int:
        return len(self._packets)

    def __iter__(self) -> Iterator[tuple[int, int | None]]:
        """Yield packet and time of each frame."""
        for packet, time in zip(self._packets, self._times):
            yield packet, None if time == _TIMELESS else time

    @property
    def known_times(self) -> Sequence[int]:
        """The times of the frames that have one."""
        if _TIMELESS not in self._times:
            return self._times
        return array("q", (time for time in self._times if time != _TIMELESS))


@dataclass
class DamageLog:
    """Packets of a stream in the order of the file, and what the decoder made of them.

    Attributes:
        frames: of each decoded frame its packet and its time.
        keys: packets, in their order, that begin anew, on which nothing before has an influence.
        concealed: packets with damaged data of which the decoder made a frame all the same.
        broken: packets that the decoder refused -> their time or None.
        is_cut: whether the last packet ends before its data do; it is left out.
        reason: why the decoder refused the first one, in FFmpeg's words.
    """

    frames: FrameLog = field(default_factory=FrameLog)
    keys: array[int] = field(default_factory=lambda: array("q"))
    concealed: set[int] = field(default_factory=set)
    broken: dict[int, int | None] = field(default_factory=dict)
    is_cut: bool = False
    reason: str = ""

    def broken_numbers(self) -> list[int]:
        """Return the numbers, from 1, of the frames that cannot be decoded."""
        if not self.broken:
            return []
        has_times = None not in [*self.broken.values(), *(time for _, time in self.frames)]

        def rank(packet: int, time: int | None) -> tuple[int, int]:
            return (time if has_times and time is not None else packet, packet)

        decoded = sorted(rank(packet, time) for packet, time in self.frames)
        broken = sorted(rank(packet, time) for packet, time in self.broken.items())
        return [bisect(decoded, place) + n_before + 1 for n_before, place in enumerate(broken)]

    def concealed_numbers(self) -> list[int]:
        """Return the numbers, from 1, of decoded frames that damage may have changed.

        They are those of damaged packets, and those that build on them: all up to the next key.
        Frames that cannot be decoded count too.
        """
        if not self.concealed:
            return []
        reach = self._reach()
        starts = [start for start, _ in reach]
        broken = set(self.broken_numbers())
        decoded = (number for number in count(1) if number not in broken)
        numbers = []
        for number, (packet, _) in zip(decoded, self.frames):
            k = bisect(starts, packet)
            if k and packet < reach[k - 1][1]:
                numbers.append(number)
        return numbers

    def _reach(self) -> list[tuple[int, float]]:
        """Return the runs of packets, first and behind the last, that damage reaches."""
        keys = self.keys
        reach: list[tuple[int, float]] = []
        for packet in sorted(self.concealed):
            if not reach or packet >= reach[-1][1]:
                k = bisect(keys, packet)
                reach.append((packet, keys[k] if k < len(keys) else inf))
        return reach


def ranges(numbers: Sequence[int]) -> str:
    """Return 'frame 3', 'frames 3 to 5', 'frames 3 to 5, 9' of ascending numbers."""
    runs = list(_runs(numbers))
    parts = [f"{first} to {last}" if last > first else f"{first}" for first, last in runs[:_LISTED]]
    more = sum(last - first + 1 for first, last in runs[_LISTED:])
    text = ", ".join(parts) + (f" and {more} more" if more else "")
    return f"frame{'s' if len(numbers) > 1 else ''} {text}"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
            yield numbers[start], numbers[end - 1]
            start = end


def has_forbidden_bytes(packet: bytes, length_bytes: int | None) -> bool:
    """Return whether NAL units hold a sequence of bytes that they must not hold.

    Zeros where a disk lost a sector are such a sequence, and decoders do not notice them.

    Args:
        packet: the NAL units of a frame.
        length_bytes: of the number before each of them; None where start codes part them.
    """
    if length_bytes is None:
        return _FORBIDDEN.search(packet) is not None
    start = 0
    while start + length_bytes <= len(packet):
        size = int.from_bytes(packet[start : start + length_bytes], "big")
        start += length_bytes
        if _FORBIDDEN.search(packet, start, start + size):
            return True
        start += size
    return False
