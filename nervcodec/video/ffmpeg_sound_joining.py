"""Sound that is cut and joined, through PyAV: packets of NUT files -> one NUT file (nvpp-format.md
section 2.12).

Nothing is decoded. A part keeps the clock of the whole, so that parts that are joined again give
the whole byte for byte.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from nervcodec.errors import InvalidField
from nervcodec.format.fields import MAX_U32
from nervcodec.format.sound import Sound, SoundStream
from nervcodec.video.ffmpeg_sound import TEXT_HEAD, nearest, template
from nervcodec.video.ffmpeg_sound_writer import opened_nut

# Packets that begin no more than this before a part are its own: of rounded times the order is
# that of the exact ones.
_SLACK = Fraction(1, 1000)
_MAX_TICKS = 2**64 - 1


@dataclass(frozen=True)
class _Item:
    """A packet: the number of its stream, its time on the clock of its file, s, and its data."""

    number: int
    time: Fraction
    data: bytes


def cut_sound(sound: Sound, first: Fraction, stop: Fraction | None) -> Sound | None:
    """Return the packets that begin within a part of the video, on the clock of the whole; None
    where there are none.

    Args:
        sound: of the whole.
        first: where the part begins, s after the first frame; what begins before that frame belongs
            to the part that begins with it.
        stop: where it ends, None for the end of the sound.

    Raises:
        InvalidField: the sound is damaged.
    """
    with opened_nut(sound) as nut:
        items = list(_items(nut, sound))
        begin = _place(items, sound.start + first) if first else 0
        end = len(items) if stop is None else _place(items, sound.start + stop)
        if begin >= end:
            return None
        packets = _written([nut], sound.streams, [(Fraction(0), items[begin:end])])
    streams = tuple(
        replace(stream, duration_ms=_duration_ms(stream, number, items, begin, end))
        for number, stream in enumerate(sound.streams)
    )
    return Sound(streams, sound.start + first, packets)


def join_sounds(sounds: Sequence[Sound | None], spans_s: Sequence[Fraction]) -> Sound | None:
    """Return the sound of videos that are shown one after the other; None where their streams
    differ.

    Packets that begin outside of the frames of their own video are left out, but for those before
    the first video and after the last one.

    Args:
        sounds: of each video, None where it is silent; at least one is not.
        spans_s: how long each video is shown, s.

    Raises:
        InvalidField: one is damaged.
    """
    offsets = list(accumulate(spans_s, initial=Fraction(0)))
    numbers = [number for number, sound in enumerate(sounds) if sound]
    loud = [sound for sound in sounds if sound]
    start = loud[0].start - offsets[numbers[0]]
    start += max(0, math.ceil(-start))
    with ExitStack() as stack:
        nuts = [stack.enter_context(opened_nut(sound)) for sound in loud]
        wanted = _description(loud[0], nuts[0])
        if any(_description(sound, nut) != wanted for sound, nut in zip(loud, nuts)):
            return None
        latest: dict[int, Fraction] = {}
        parts = []
        for number, sound, nut in zip(numbers, loud, nuts):
            shift = start + offsets[number] - sound.start
            stop = spans_s[number] if number < len(sounds) - 1 else None
            window = (-_SLACK if number else None, stop)
            parts.append((shift, list(_kept(_items(nut, sound), sound, window, shift, latest))))
        packets = _written(nuts, loud[0].streams, parts)
    streams = tuple(
        replace(stream, duration_ms=_joined_ms(number, loud, parts))
        for number, stream in enumerate(loud[0].streams)
    )
    return Sound(streams, start, packets)


def _kept(
    items: Iterable[_Item],
    sound: Sound,
    window: tuple[Fraction | None, Fraction | None],
    shift: Fraction,
    latest: dict[int, Fraction],
) -> Iterator[_Item]:
    """Yield the packets that begin within a window, s after the first frame, and after those of
    their stream that went before.

    Args:
        shift: seconds by which they are shifted.
        latest: when the last packet of each stream begins, in the output; is kept up to date.
    """
    low, high = window
    for item in items:
        time = item.time - sound.start
        is_within = (low is None or time >= low) and (high is None or time < high)
        if is_within and item.time + shift > latest.get(item.number, -1):
            latest[item.number] = item.time + shift
            yield item


def _items(nut: InputContainer, sound: Sound) -> Iterator[_Item]:
    """Yield the packets of a NUT file in their order.

    Raises:
        InvalidField: one cannot be.
    """
    try:
        for packet in nut.demux():
            number = packet.stream_index
            if not packet.size or number >= len(sound.streams):
                continue
            if packet.pts is None or packet.pts < 0:
                raise InvalidField("time of a sound packet", packet.pts, "0 or more")
            data = bytes(packet)
            if sound.streams[number].kind == "subtitle" and len(data) < TEXT_HEAD.size:
                raise InvalidField("bytes of a subtitle", len(data), f"{TEXT_HEAD.size} or more")
            yield _Item(number, packet.pts * packet.time_base, data)
    except av.FFmpegError as error:
        raise InvalidField("sound packets", error.strerror, "a NUT file") from error


def _place(items: Sequence[_Item], time: Fraction) -> int:
    """Return the number of the first packet that begins at a time or later."""
    return next((place for place, item in enumerate(items) if item.time >= time), len(items))


def _duration_ms(
    stream: SoundStream, number: int, items: Sequence[_Item], begin: int, end: int
) -> int:
    """Return how long the packets begin .. end - 1 of a stream last: up to the one after them."""
    times = [item.time for item in items if item.number == number]
    own = [item.time for item in items[begin:end] if item.number == number]
    if not own:
        return 0
    after = [item.time for item in items[end:] if item.number == number]
    if after:
        return _whole_ms(after[0] - own[0])
    return max(stream.duration_ms - _whole_ms(own[0] - times[0]), 0)


def _joined_ms(
    number: int, sounds: Sequence[Sound], parts: Sequence[tuple[Fraction, Sequence[_Item]]]
) -> int:
    """Return how long the packets of a stream of all parts last."""
    begins = [
        (part, items[0].time + shift)
        for part, (shift, packets) in enumerate(parts)
        if (items := [item for item in packets if item.number == number])
    ]
    if not begins:
        return 0
    (_, first), (last, begin) = begins[0], begins[-1]
    return min(sounds[last].streams[number].duration_ms + _whole_ms(begin - first), MAX_U32)


def _whole_ms(seconds: Fraction) -> int:
    return min(math.floor(1000 * seconds), MAX_U32)


def _description(sound: Sound, nut: InputContainer) -> list[object]:
    """Return what sounds that are joined must share: all but the lengths of their streams."""
    found: list[object] = []
    for description, stream in zip(sound.streams, nut.streams):
        is_audio = isinstance(stream, AudioStream)
        tick = Fraction(1) if is_audio else description.time_base
        found.append(replace(description, duration_ms=0, time_base=tick))
        if isinstance(stream, AudioStream):
            context = stream.codec_context
            layout = context.layout.name if context.layout else ""
            found.append((context.sample_rate, layout, context.extradata or b"", stream.time_base))
    return found


def _written(
    nuts: Sequence[InputContainer],
    descriptions: Sequence[SoundStream],
    parts: Sequence[tuple[Fraction, Sequence[_Item]]],
) -> bytes:
    """Return a NUT file of the streams of the first one.

    Args:
        nuts: whose streams are alike.
        parts: the seconds by which the packets of each part are shifted, and these packets.

    Raises:
        InvalidField: NUT cannot hold them.
    """
    file = io.BytesIO()
    # bitexact: without the name of this FFmpeg, and so equal wherever it is made.
    exact = {"fflags": "+bitexact"}
    try:
        with (
            ExitStack() as stack,
            av.open(file, "w", format="nut", container_options=exact) as output,
        ):
            streams: list[Stream] = []
            for source in nuts[0].streams:
                if isinstance(source, AudioStream):
                    streams.append(output.add_stream_from_template(source))
                else:
                    text = stack.enter_context(template("text"))
                    streams.append(output.add_stream_from_template(text))
            output.start_encoding()
            for shift, items in parts:
                for item in items:
                    description = descriptions[item.number]
                    output.mux_one(_packet(item, shift, description, streams[item.number]))
    except (av.FFmpegError, ValueError) as error:
        raise InvalidField("sound packets", str(error), "what a NUT file holds") from error
    return file.getvalue()


def _packet(
    item: _Item, shift: Fraction, description: SoundStream, stream: Stream
) -> Packet[Stream]:
    """Return a packet of an output's stream, so many seconds later."""
    data = item.data
    if description.kind == "subtitle" and shift:
        start, duration = TEXT_HEAD.unpack_from(data)
        moved = min(max(start + nearest(shift / description.time_base), 0), _MAX_TICKS)
        data = TEXT_HEAD.pack(moved, duration) + data[TEXT_HEAD.size :]
    tick = stream.time_base
    assert tick is not None
    packet: Packet[Stream] = Packet(data)
    packet.stream = stream
    packet.time_base = tick
    packet.pts = packet.dts = nearest((item.time + shift) / tick)
    packet.is_keyframe = True
    return packet
