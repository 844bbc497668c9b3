"""FFmpeg through PyAV: frames -> files of nothing but a stream, whose bytes are counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.ffmpeg_encode import add_stream, check_encoder, coded_size
from nervcodec.video.ffmpeg_frames import coded_format, video_frame
from nervcodec.video.frames import Frames

# The muxers of FFmpeg's that write a stream and nothing around it (IVF: twelve bytes a frame, which
# are not counted).
ELEMENTARY = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "obu", "libvpx-vp9": "ivf"}


def write_elementary(
    path: Path, groups: Iterable[Frames], fmt: VideoFormat, codec: str, options: Mapping[str, str]
) -> int:
    """Code frames with an encoder of FFmpeg's into a file of nothing but its stream.

    Args:
        path: the suffix is that of ELEMENTARY[codec].
        groups: the frames, in a layout and bit depth of coded_format(); odd sizes are padded to
            even ones by repeating the last row or column.
        fmt: format of these frames.
        options: the encoder's, such as {'preset': 'medium', 'crf': '29'}.

    Returns:
        Bytes of the stream: the sum of its packets.

    Raises:
        ConfigError: no such encoder, or one that refuses the options or the size.
    """
    check_encoder(codec, None)
    width, height = coded_size(fmt, codec)
    n_bytes = 0
    t = 0
    try:
        with av.open(f"file:{path}", "w", format=ELEMENTARY[codec]) as container:
            pix_fmt = coded_format(fmt, codec)[0]
            stream = add_stream(
                container, fmt, codec, pix_fmt, width, height, dict(options), path.name
            )
            if unknown := stream.codec_context.options:
                raise ConfigError(f"{codec} has no option {', '.join(unknown)}")
            for frames in groups:
                for k in range(frames.n_frames):
                    frame = video_frame(frames, k, width, height, pix_fmt)
                    frame.pts = t
                    frame.time_base = stream.codec_context.time_base
                    t += 1
                    n_bytes += _mux(container, stream.encode(frame))
            return n_bytes + _mux(container, stream.encode(None))
    except av.FFmpegError as error:
        settings = ", ".join(f"{key}={value}" for key, value in options.items())
        raise ConfigError(
            f"{codec} ({settings}) cannot code {width}x{height}: {error.strerror or error}"
        ) from error


def _mux(container: OutputContainer, packets: Sequence[Packet[VideoStream]]) -> int:
    """Write the packets; return their bytes."""
    n_bytes = sum(packet.size for packet in packets)
    container.mux(packets)
    return n_bytes
