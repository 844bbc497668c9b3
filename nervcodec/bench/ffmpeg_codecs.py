"""x264, x265, SVT-AV1 and VP9 through FFmpeg: a clip <-> a file that holds an elementary stream.

The benchmark runs it as a program, so that its time and memory are those of a process of its own:

    python -m nervcodec.bench.ffmpeg_codecs encode x265 SOURCE OUTPUT preset=medium crf=29
    python -m nervcodec.bench.ffmpeg_codecs decode SOURCE CODED OUTPUT.y4m

Both take --frames N and print one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nervcodec.errors import ConfigError, NervCodecError
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.color import to_bit_depth, to_layout
from nervcodec.video.ffmpeg_decode import read_elementary
from nervcodec.video.ffmpeg_elementary import ELEMENTARY, write_elementary
from nervcodec.video.ffmpeg_frames import coded_format
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all
from nervcodec.video.writer import open_writer, tags_420


@dataclass(frozen=True)
class Conventional:
    """An encoder of FFmpeg's.

    Attributes:
        encoder: FFmpeg's name of it.
        preset_option: the option that a preset's name is given to, and what else goes with it.
        default_preset: where none is asked for.
        tunes: name of a tuning -> its options; 'default' is what the encoder does unasked.
        presets: legal ones.
        crf: ends of the usual range of constant quality, better first.
        always: more options.
    """

    encoder: str
    preset_option: str
    presets: tuple[str, ...]
    default_preset: str
    tunes: Mapping[str, Mapping[str, str]]
    crf: tuple[int, int]
    always: tuple[tuple[str, str], ...] = ()

    @property
    def suffix(self) -> str:
        """Return the suffix of its files."""
        return f".{ELEMENTARY[self.encoder]}"

    def options(self, preset: str, tune: str) -> dict[str, str]:
        """Return FFmpeg's options for all but the quality."""
        return {self.preset_option: preset, **dict(self.always), **self.tunes[tune]}


_X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
_PSNR: Mapping[str, Mapping[str, str]] = {"default": {}, "psnr": {"tune": "psnr"}}
# SVT-AV1 and VP9 are tuned for PSNR unasked.
_UNTUNED: Mapping[str, Mapping[str, str]] = {"default": {}}
CONVENTIONAL = {
    "x264": Conventional("libx264", "preset", _X26X_PRESETS, "medium", _PSNR, (26, 35)),
    "x265": Conventional("libx265", "preset", _X26X_PRESETS, "medium", _PSNR, (26, 35)),
    "svtav1": Conventional(
        "libsvtav1", "preset", tuple(map(str, range(14))), "4", _UNTUNED, (35, 63)
    ),
    "vp9": Conventional(
        "libvpx-vp9",
        "cpu-used",
        tuple(map(str, range(9))),
        "2",
        _UNTUNED,
        (33, 57),
        (("b", "0"), ("deadline", "good"), ("row-mt", "1")),
    ),
}


def encode(
    name: str, source: Path, coded: Path, options: Mapping[str, str], n_frames: int | None = None
) -> tuple[int, float]:
    """Encode the first n_frames of a source (None: all); return (bytes, seconds with reading).

    The bytes are those of the stream.

    Raises:
        ConfigError: an unknown codec or option.
        VideoError: a source that cannot be read.
    """
    codec = _codec(name)
    form = _format(source, n_frames)
    _, coded_form = coded_format(_without_rgb(form), codec.encoder)
    started = time.monotonic()
    groups = (_converted(frames, coded_form) for frames in read_all(source, form))
    n_bytes = write_elementary(coded, groups, coded_form, codec.encoder, options)
    return n_bytes, time.monotonic() - started


def decode(source: Path, coded: Path, decoded: Path, n_frames: int | None = None) -> float:
    """Decode a file of encode() into .y4m as its source has it; return seconds with writing."""
    form = _without_rgb(_format(source, n_frames))
    started = time.monotonic()
    with open_writer(decoded, form, overwrite=True) as writer:
        for frames in read_elementary(coded, form):
            writer.write(frames)
    return time.monotonic() - started


def _codec(name: str) -> Conventional:
    """Return an encoder; raise ConfigError where there is none of this name."""
    if name not in CONVENTIONAL:
        raise ConfigError(f"codec is {name!r}; legal: {', '.join(CONVENTIONAL)}")
    return CONVENTIONAL[name]


def _format(source: Path, n_frames: int | None) -> VideoFormat:
    """Return the format of the first n_frames of a source."""
    form, _ = probe(source)
    if n_frames is not None and not 1 <= n_frames <= form.n_frames:
        raise ConfigError(
            f"frames is {n_frames}; legal: 1 to {form.n_frames}, the frames of the input"
        )
    return form if n_frames is None else replace(form, n_frames=n_frames)


def _without_rgb(form: VideoFormat) -> VideoFormat:
    """Return the format, of RGB that of its 4:2:0."""
    if form.layout != "rgb":
        return form
    return replace(form, layout="yuv420", color=tags_420(form))


def _converted(frames: Frames, form: VideoFormat) -> Frames:
    """Return frames in the layout and bit depth of a format."""
    frames = to_layout(frames, form.layout, form.color)
    return to_bit_depth(frames, form.bit_depth, bool(form.color.full_range))


def _options(texts: Sequence[str]) -> dict[str, str]:
    """Return the options of texts NAME=VALUE."""
    for text in texts:
        if "=" not in text:
            raise ConfigError(f"option is {text!r}; legal: NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


def main() -> None:
    """Run the program; an error is one line and its exit code (docs/reference/exit-codes.md)."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    encoder = commands.add_parser("encode")
    decoder = commands.add_parser("decode")
    encoder.add_argument("codec")
    for command in (encoder, decoder):
        command.add_argument("source", type=Path)
        command.add_argument("coded", type=Path)
        command.add_argument("--frames", type=int)
    encoder.add_argument("options", nargs="*", metavar="NAME=VALUE")
    decoder.add_argument("decoded", type=Path)
    arguments = parser.parse_args()
    try:
        print(json.dumps(_run(arguments)))
    except NervCodecError as error:
        print(f"nervcodec: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _run(arguments: argparse.Namespace) -> dict[str, float]:
    """Encode or decode as the command line says; return what is to be printed."""
    source, coded, n_frames = arguments.source, arguments.coded, arguments.frames
    if arguments.command == "decode":
        return {"seconds": decode(source, coded, arguments.decoded, n_frames)}
    options = _options(arguments.options)
    n_bytes, seconds = encode(arguments.codec, source, coded, options, n_frames)
    return {"bytes": n_bytes, "encode_s": seconds}


if __name__ == "__main__":
    main()
