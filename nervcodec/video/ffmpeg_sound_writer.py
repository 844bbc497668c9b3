"""Sound and text subtitles of a file, through PyAV: one NUT file -> streams of a container.

The NUT file comes from a stranger: it is opened as NUT and as nothing else, from memory, and no
more decoders may look into it than those of usual audio.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from nervcodec.errors import InvalidField
from nervcodec.format.sound import Sound, SoundStream
from nervcodec.video import mp4
from nervcodec.video.ffmpeg_sound import (
    TEXT_HEAD,
    TEXT_MUXERS,
    AnyStream,
    codec_name,
    nearest,
    template,
)

_MAX_PACKETS = 1 << 24
_MAX_SECONDS = 1 << 31
# What FFmpeg may open to find out how many samples a packet has.
_DECODERS = "aac,mp3,mp3float,mp2,mp2float,ac3,eac3,dca,flac,opus,libopus,vorbis"
_NUT_OPTIONS = {
    "format_whitelist": "nut",
    "protocol_whitelist": "",
    "codec_whitelist": _DECODERS,
    "max_streams": "64",
}
# A packet of mov_text without text, which ends the one before; FFmpeg's muxer writes its own.
_NO_TEXT = b"\0\0"
# Muxers that want the times of a stream to rise from packet to packet.
_STRICT_MUXERS = ("mp4", "mov")


@dataclass(frozen=True)
class SoundCut:
    """Sound, and the part of it that is wanted.

    Attributes:
        sound: all of it.
        first: where the part begins, s after the first frame of the video.
        stop: where it ends, None for the end of the sound.
        offset: when the first frame of the part is shown, s after the start of the output.
    """

    sound: Sound
    first: Fraction = Fraction(0)
    stop: Fraction | None = None
    offset: Fraction = Fraction(0)


class _Sample(NamedTuple):
    """What one packet has; times in s after the start of the output."""

    number: int
    time: Fraction
    duration: Fraction
    data: bytes


@dataclass
class _Output:
    """Stream of the output, and what is already in it; end: of its last packet, s."""

    stream: AnyStream
    end: Fraction
    last: int | None = None
    last_time: Fraction | None = None
    held: _Sample | None = field(default=None, repr=False)

    def missing_duration(self, time: Fraction) -> Fraction:
        """Return about the duration of a packet at a time, of which it is not known: that of the
        one before, but no more than is left.
        """
        if self.last_time is None:
            self.end += time  # so far it is the duration of the stream
        step = self.end - time if self.last_time is None else time - self.last_time
        self.last_time = time
        return max(min(step, self.end - time), Fraction(0))


class SoundMuxer:
    """Streams of sound that go into a container beside its video; made by opened_sound().

    Attributes:
        notes: on each stream that the container cannot hold.
    """

    def __init__(self, nut: InputContainer, cut: SoundCut, muxer: str, suffix: str) -> None:
        self._nut = nut
        self._cut = cut
        self._origin = cut.sound.start + cut.first - cut.offset
        self._length = None if cut.stop is None else cut.stop - cut.first + cut.offset
        self._is_strict = muxer in _STRICT_MUXERS
        self._suffix = suffix
        self._outputs: dict[int, _Output] = {}
        self._samples = self._read()
        self._next: _Sample | None = None
        self._container: OutputContainer | None = None
        self._kept: list[int] = []
        notes = []
        for number, stream in enumerate(cut.sound.streams):
            if _is_carried(nut, number, stream, muxer):
                self._kept.append(number)
            else:
                notes.append(f"{_name(stream)} left out: {suffix} cannot hold it")
        self.notes = tuple(notes)

    @property
    def mux_options(self) -> dict[str, str]:
        """Return the options with which a container keeps sound in time with video."""
        if not self._is_strict:
            # Sound that begins before the video has negative times, and the video stays at 0.
            return {"avoid_negative_ts": "disabled"}
        rates = (self._rate(number) for number in self._kept)
        # The unit in which the file says how much later than the video a stream begins.
        return {"movie_timescale": str(max(rates, default=0) or 1000)}

    def _rate(self, number: int) -> int:
        stream = self._nut.streams[number]
        return stream.codec_context.sample_rate if isinstance(stream, AudioStream) else 0

    def write_languages(self, path: Path) -> None:
        """Say the languages in a complete file of the muxer's, where FFmpeg does not."""
        if self._is_strict:
            mp4.write_languages(path, self._languages())

    def lost_languages(self, path: Path) -> tuple[str, ...]:
        """Return a note where a complete file does not say a language."""
        with av.open(f"file:{path}", "r", metadata_errors="replace") as container:
            streams = [stream for stream in container.streams if stream.type != "video"]
            said = [stream.metadata.get("language", "") for stream in streams]
        lost = [
            asked
            for asked, there in zip(self._languages(), said)
            if asked not in ("", "und", there)
        ]
        return (f"{self._suffix} cannot say the language: {', '.join(lost)}",) if lost else ()

    def _languages(self) -> list[str]:
        return [self._cut.sound.streams[number].language for number in self._kept]

    def add_streams(self, container: OutputContainer) -> None:
        """Add the streams to a container that is not begun yet."""
        self._container = container
        for number in self._kept:
            description = self._cut.sound.streams[number]
            stream = _add_stream(container, self._nut, number, description)
            if description.language:
                stream.metadata["language"] = description.language
            if description.title:
                stream.metadata["title"] = description.title
            stream.disposition = av.stream.Disposition(description.disposition)
            self._outputs[number] = _Output(stream, Fraction(description.duration_ms, 1000))

    def mux_until(self, time: Fraction | None) -> None:
        """Write what begins before a time, in s after the start; None for all that is left.

        Raises:
            InvalidField: the NUT file is damaged.
            av.FFmpegError: it cannot be written.
        """
        while self._outputs:
            sample = self._next or next(self._samples, None)
            self._next = sample
            if sample is None or (time is not None and sample.time >= time):
                break
            self._next = None
            self._take(sample)
        if time is None:
            for output in self._outputs.values():
                self._release(output)

    def _take(self, sample: _Sample) -> None:
        """Write a packet, unless it lies outside of the part that is wanted."""
        output = self._outputs.get(sample.number)
        if output is None or (self._length is not None and sample.time >= self._length):
            return
        if not self._cut.first:
            self._write(output, sample)
        elif sample.time <= 0:  # the part may begin within it
            output.held = sample
        else:
            self._release(output)
            self._write(output, sample)

    def _release(self, output: _Output) -> None:
        """Write the last packet that begins before the part, where it reaches into it."""
        sample, output.held = output.held, None
        if sample and (not sample.duration or sample.time + sample.duration > 0):
            self._write(output, sample)

    def _write(self, output: _Output, sample: _Sample) -> None:
        assert self._container is not None
        tick = output.stream.time_base
        assert tick is not None
        time, duration = sample.time, sample.duration
        if output.stream.type == "subtitle":
            end = time + duration if self._length is None else min(time + duration, self._length)
            time = max(time, Fraction(0))
            duration = end - time
            if duration < 0 or (self._is_strict and sample.data == _NO_TEXT):
                return
        elif not duration and self._is_strict:  # the others ask for none
            duration = output.missing_duration(time)
        pts = nearest(time / tick)
        if output.last is not None:
            pts = max(pts, output.last + self._is_strict)
        output.last = pts
        packet: Packet[Stream] = Packet(sample.data)
        packet.stream = output.stream
        packet.time_base = tick
        packet.pts = packet.dts = pts
        packet.duration = nearest(duration / tick)
        packet.is_keyframe = True
        self._container.mux_one(packet)

    def _read(self) -> Iterator[_Sample]:
        """Yield the packets of the NUT file.

        Raises:
            InvalidField: one cannot be, or there are too many.
        """
        streams = self._cut.sound.streams
        try:
            for count, packet in enumerate(self._nut.demux()):
                if count > _MAX_PACKETS:
                    raise InvalidField("number of sound packets", count, f"0 to {_MAX_PACKETS}")
                if packet.size and packet.stream_index < len(streams):
                    yield _sample(packet, streams[packet.stream_index], self._origin)
        except av.FFmpegError as error:
            raise InvalidField("sound packets", error.strerror, "a NUT file") from error


def _sample(packet: Packet[Stream], stream: SoundStream, origin: Fraction) -> _Sample:
    data = bytes(packet)
    if stream.kind == "subtitle":
        if len(data) < TEXT_HEAD.size:
            raise InvalidField("bytes of a subtitle", len(data), f"{TEXT_HEAD.size} or more")
        start, length = TEXT_HEAD.unpack_from(data)
        data = data[TEXT_HEAD.size :]
        tick = stream.time_base
    else:
        start, length, tick = packet.pts, packet.duration or 0, packet.time_base
    if start is None or not 0 <= start * tick <= _MAX_SECONDS:
        raise InvalidField("time of a sound packet", start, f"0 to {_MAX_SECONDS} s")
    duration = min(max(length * tick, Fraction(0)), Fraction(_MAX_SECONDS))
    return _Sample(packet.stream_index, start * tick - origin, duration, data)


@contextmanager
def opened_sound(cut: SoundCut, muxer: str, suffix: str) -> Iterator[SoundMuxer]:
    """Open sound to write it with one of FFmpeg's muxers, for a file of this suffix.

    Raises:
        InvalidField: it is damaged.
    """
    with opened_nut(cut.sound) as nut:
        yield SoundMuxer(nut, cut, muxer, suffix)


@contextmanager
def opened_nut(sound: Sound) -> Iterator[InputContainer]:
    """Open the NUT file of sound, whose streams are those that are described.

    Raises:
        InvalidField: it is damaged.
    """
    with ExitStack() as stack:
        try:
            nut = stack.enter_context(
                av.open(
                    io.BytesIO(sound.packets),
                    "r",
                    format="nut",
                    options=_NUT_OPTIONS,
                    metadata_errors="replace",
                )
            )
        except av.FFmpegError as error:
            raise InvalidField("sound packets", error.strerror, "a NUT file") from error
        _check_streams(nut, sound.streams)
        yield nut


def _check_streams(nut: InputContainer, streams: tuple[SoundStream, ...]) -> None:
    """Raise where the NUT file has other streams than those that are described."""
    wanted = [
        ("audio", stream.codec) if stream.kind == "audio" else ("subtitle", "text")
        for stream in streams
    ]
    there = [(stream.type, codec_name(stream)) for stream in nut.streams]
    if there != wanted:
        raise InvalidField("streams of the sound packets", there, str(wanted))


def _add_stream(
    container: OutputContainer, nut: InputContainer, number: int, stream: SoundStream
) -> AnyStream:
    """Add a stream of the NUT file to a container that is not begun yet.

    Raises:
        ValueError: the container cannot hold its codec.
    """
    if stream.kind == "audio":
        source = nut.streams[number]
        assert isinstance(source, AudioStream)
        return container.add_stream_from_template(source)
    with template(stream.codec) as text:
        output: SubtitleStream = container.add_stream_from_template(text)
    output.codec_context.extradata = stream.extradata or None
    output.time_base = stream.time_base
    return output


def _is_carried(nut: InputContainer, number: int, stream: SoundStream, muxer: str) -> bool:
    """Return whether a muxer of FFmpeg's takes a stream: it is tried without packets."""
    if stream.kind == "subtitle" and stream.codec not in TEXT_MUXERS:
        return False
    container = av.open(io.BytesIO(), "w", format=muxer)
    try:
        _add_stream(container, nut, number, stream)
        container.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        container.close()
    return True


def _name(stream: SoundStream) -> str:
    language = f", {stream.language}" if stream.language else ""
    return f"{stream.kind} stream ({stream.codec}{language})"


def left_out(sound: Sound, output: str) -> str:
    """Return the note for an output that holds no sound."""
    names = " and ".join(map(_name, sound.streams))
    return f"{names} left out: {output} cannot hold sound"
