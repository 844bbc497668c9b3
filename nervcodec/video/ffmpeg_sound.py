"""Sound and text subtitles of a source, through PyAV: packets -> one NUT file (nvpp-format.md
section 2.12).

Nothing is decoded. NUT keeps the packets of audio as they are. It has neither the codecs of text
subtitles nor durations, so that these packets stand in it as text, behind their times.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from nervcodec.errors import VideoError
from nervcodec.format.extra_fields import MAX_STREAMS
from nervcodec.format.fields import MAX_U32
from nervcodec.format.sound import Sound, SoundKind, SoundStream
from nervcodec.video.source import shown

# PyAV is silent from the start, but only until somebody has asked for its log.
av.logging.set_level(None)

# Codecs of subtitles that are text, and a muxer that writes each.
TEXT_MUXERS = {
    "mov_text": "mp4",
    "subrip": "matroska",
    "ass": "matroska",
    "webvtt": "matroska",
    "text": "matroska",
}
# Before the data of a text packet: its time and its duration, in ticks of the source.
TEXT_HEAD = struct.Struct("<QI")
_KEPT_BY = ("mp4", "mov", "matroska")
_MAX_BYTES = 1 << 31
_UNKNOWN = "unknown"
_FINE = 90_000  # a denominator for times that have too large a one
AnyStream = AudioStream | SubtitleStream


@dataclass
class _Track:
    """A stream of a source, and its packets in their order."""

    stream: AnyStream
    codec: str
    packets: list[tuple[int, Packet[Stream]]] = field(default_factory=list)

    @property
    def kind(self) -> SoundKind:
        return "audio" if self.stream.type == "audio" else "subtitle"

    @property
    def tick(self) -> Fraction:
        return self.stream.time_base or Fraction(1, 1000)

    @property
    def start(self) -> Fraction:
        return self.packets[0][0] * self.tick

    def description(self) -> SoundStream:
        """Return the stream as the file has it."""
        pts, packet = self.packets[-1]
        end = (pts + (packet.duration or 0)) * self.tick
        metadata = self.stream.metadata
        extradata = self.stream.codec_context.extradata or b"" if self.kind == "subtitle" else b""
        return SoundStream(
            self.kind,
            self.codec,
            _shortened(metadata.get("language", "")),
            _shortened(metadata.get("title", "")),
            self.tick,
            min(max(round(1000 * (end - self.start)), 0), MAX_U32),
            int(self.stream.disposition) & 0x7FFFFFFF,
            extradata,
        )


def _shortened(text: str) -> str:
    """Return as much of a text as 255 bytes of UTF-8 hold."""
    return text.encode()[:255].decode("utf-8", "ignore").replace("\0", "")


def read_sound(
    path: Path,
    video_start: Fraction,
    stop: Fraction | None = None,
    *,
    is_part: bool = False,
) -> tuple[Sound | None, tuple[str, ...]]:
    """Read the packets of every stream of audio and of text subtitles that can be kept.

    Args:
        path: a container.
        video_start: time of the first frame of the video that is coded, s.
        stop: seconds after that at which the sound ends, None for all of it.
        is_part: leave out what ends before the first frame, too.

    Returns:
        The sound, None where there is none, and a note on each stream that is left out.

    Raises:
        VideoError: the file cannot be read.
    """
    try:
        # The protocol is named because FFmpeg would take one from a name such as `take:2.mp4`.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            tracks, notes = _kept_tracks(container)
            end = None if stop is None else video_start + stop
            notes += _collect(container, tracks, video_start if is_part else None, end)
            filled = [track for track in tracks if track.packets]
            n_bytes = sum(packet.size for track in filled for _, packet in track.packets)
            if n_bytes > _MAX_BYTES:
                return None, (*notes, f"sound left out: {n_bytes:,} bytes, over {_MAX_BYTES:,}")
            return (_packed(filled, video_start) if filled else None), tuple(notes)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(
            f"cannot read the sound of {shown(path)}: {error.strerror or error};"
            " --no-audio leaves it out"
        ) from error


def _kept_tracks(container: InputContainer) -> tuple[list[_Track], list[str]]:
    """Return the streams that can be kept, and notes on the others."""
    tracks: list[_Track] = []
    notes: list[str] = []
    for stream in container.streams:
        if not isinstance(stream, AudioStream | SubtitleStream):
            continue
        codec = codec_name(stream)
        reason = _reason_against(stream, codec)
        if reason is None and len(tracks) == MAX_STREAMS:
            reason = f"a file holds {MAX_STREAMS} at most"
        if reason is None:
            tracks.append(_Track(stream, codec))
        else:
            notes.append(f"{stream.type} stream {stream.index} ({codec}) left out: {reason}")
    return tracks, notes


def codec_name(stream: Stream) -> str:
    """Return FFmpeg's name of the codec of a stream, 'unknown' where it has no decoder for it."""
    context = getattr(stream, "codec_context", None)
    return context.codec.canonical_name if context else _UNKNOWN


def _reason_against(stream: AnyStream, codec: str) -> str | None:
    """Return why a stream cannot be kept, None where it can be."""
    if codec == _UNKNOWN:
        return "its codec is not known"
    if stream.type == "subtitle":
        return None if codec in TEXT_MUXERS else "it is no text that .mp4 or .mkv can hold"
    name = stream.codec_context.codec.name
    if not any(name in _codecs_of(muxer) for muxer in _KEPT_BY):
        return "neither .mp4 nor .mkv can hold it"
    return None if name in _codecs_of("nut") else "NUT, which sound is kept in, cannot hold it"


@cache
def _codecs_of(muxer: str) -> frozenset[str]:
    with av.open(io.BytesIO(), "w", format=muxer) as container:
        return frozenset(container.supported_codecs)


def _collect(
    container: InputContainer,
    tracks: Sequence[_Track],
    begin: Fraction | None,
    end: Fraction | None,
) -> list[str]:
    """Read the packets of all tracks from one time to another, in s; return notes on what is amiss.

    A packet that begins before and reaches into them is one of them.
    """
    by_index = {track.stream.index: track for track in tracks}
    n_timeless = 0
    try:
        for packet in container.demux(*(track.stream for track in tracks)) if tracks else ():
            if not packet.size:  # the end of a stream
                continue
            track = by_index[packet.stream_index]
            pts = packet.dts if packet.pts is None else packet.pts
            if pts is None:
                n_timeless += 1
            elif _is_within(pts * track.tick, (packet.duration or 0) * track.tick, begin, end):
                track.packets.append((pts, packet))
    except av.FFmpegError as error:
        return [f"the sound ends where the file cannot be read: {error.strerror}"]
    return [f"packets of sound without a time left out: {n_timeless}"] if n_timeless else []


def _is_within(
    time: Fraction, duration: Fraction, begin: Fraction | None, end: Fraction | None
) -> bool:
    is_late = begin is None or time >= begin or time + duration > begin
    return is_late and (end is None or time < end)


def _packed(tracks: Sequence[_Track], video_start: Fraction) -> Sound:
    """Return the tracks as one NUT file, on a clock of whole ticks on which nothing is negative."""
    first = min(video_start, *(pts * track.tick for track in tracks for pts, _ in track.packets))
    step = math.lcm(*(track.tick.numerator for track in tracks))
    shift = -step * math.floor(first / step)
    start = video_start + shift
    if max(start.numerator, start.denominator) > MAX_U32:
        start = Fraction(round(start * _FINE), _FINE)
    file = io.BytesIO()
    # bitexact: without the name of this FFmpeg, and so equal wherever it is made.
    exact = {"fflags": "+bitexact"}
    with ExitStack() as stack, av.open(file, "w", format="nut", container_options=exact) as output:
        streams = [
            output.add_stream_from_template(track.stream)
            if track.kind == "audio"
            else output.add_stream_from_template(stack.enter_context(template("text")))
            for track in tracks
        ]
        output.start_encoding()
        _mux_all(output, tracks, streams, shift)
    return Sound(tuple(track.description() for track in tracks), start, file.getvalue())


def _mux_all(
    output: OutputContainer,
    tracks: Sequence[_Track],
    streams: Sequence[AnyStream],
    shift: int,
) -> None:
    """Write the packets of all tracks in the order of their times, which are shifted by so many
    seconds.
    """
    order = sorted(
        ((pts + int(shift / track.tick)) * track.tick, number, place)
        for number, track in enumerate(tracks)
        for place, (pts, _) in enumerate(track.packets)
    )
    last = [-1] * len(tracks)
    for time, number, place in order:
        track, stream = tracks[number], streams[number]
        pts, source = track.packets[place]
        data = bytes(source)
        if track.kind == "subtitle":
            duration = min(max(source.duration or 0, 0), MAX_U32)
            data = TEXT_HEAD.pack(pts + int(shift / track.tick), duration) + data
        assert stream.time_base is not None
        # NUT wants times that rise.
        last[number] = max(nearest(time / stream.time_base), last[number] + 1)
        packet: Packet[Stream] = Packet(data)
        packet.stream = stream
        packet.time_base = stream.time_base
        packet.pts = packet.dts = last[number]
        packet.is_keyframe = True
        output.mux_one(packet)


def nearest(value: Fraction) -> int:
    """Return the nearest integer, the upper one of two."""
    return math.floor(value + Fraction(1, 2))


@contextmanager
def template(codec: str) -> Iterator[SubtitleStream]:
    """Yield a stream of subtitles of a codec of TEXT_MUXERS, as from a file."""
    with av.open(io.BytesIO(_template_file(codec))) as container:
        yield container.streams.subtitles[0]


@cache
def _template_file(codec: str) -> bytes:
    file = io.BytesIO()
    muxer = "nut" if codec == "text" else TEXT_MUXERS[codec]
    with av.open(file, "w", format=muxer) as container:
        stream: Stream = container.add_mux_stream(codec, time_base=Fraction(1, 1000))
        container.start_encoding()
        packet: Packet[Stream] = Packet(b"\0\1 ")
        packet.stream = stream
        packet.pts = packet.dts = 0
        packet.duration = 1
        packet.time_base = Fraction(1, 1000)
        container.mux_one(packet)
    return file.getvalue()
