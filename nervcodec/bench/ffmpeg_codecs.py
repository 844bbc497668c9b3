"""x264, x265, SVT-AV1 and VP9 through FFmpeg, to compare with: a clip <-> a file that holds an
elementary stream.

The benchmark runs it as a program, so that its time and memory are those of a process of its own:
    python -m nervcodec.bench.ffmpeg_codecs encode x265 SOURCE OUTPUT preset=medium crf=29 [--frames
    N] python -m nervcodec.bench.ffmpeg_codecs decode SOURCE CODED OUTPUT.y4m [--frames N]
Both print one JSON object.
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
from nervcodec.video.color import to_layout
from nervcodec.video.ffmpeg_decode import read_elementary
from nervcodec.video.ffmpeg_encode import ELEMENTARY, write_elementary
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
        return f".{ELEMENTARY[self.encoder]}"

    def options(self, preset: str, tune: str) -> dict[str, str]:
        """FFmpeg's options for all but the quality."""
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
_UNTUNED: Mapping[str, Mapping[str, str]] = {
    "default": {}
}  # PSNR is what these are tuned for unasked
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
    """Codes the first n_frames of a source (default: all); returns (bytes of the stream, seconds
    with reading).

    Raises:
        ConfigError: an unknown codec or option.
        VideoError: a source that cannot be read.
    """
    codec, form = _codec(name), _format(source, n_frames)
    started = time.monotonic()
    groups = (to_layout(frames, "yuv420", form.color) for frames in read_all(source, form))
    n_bytes = write_elementary(coded, groups, _as_420(form), codec.encoder, options)
    return n_bytes, time.monotonic() - started


def decode(source: Path, coded: Path, decoded: Path, n_frames: int | None = None) -> float:
    """Decodes a file of encode() into .y4m with the size and rate of its source; returns seconds
    with writing.
    """
    form = _as_420(_format(source, n_frames))
    started = time.monotonic()
    with open_writer(decoded, form, overwrite=True) as writer:
        for frames in read_elementary(coded, form):
            writer.write(frames)
    return time.monotonic() - started


def _codec(name: str) -> Conventional:
    if name not in CONVENTIONAL:
        raise ConfigError(f"codec is {name!r}; legal: {', '.join(CONVENTIONAL)}")
    return CONVENTIONAL[name]


def _format(source: Path, n_frames: int | None) -> VideoFormat:
    form, _ = probe(source)
    if n_frames is not None and not 1 <= n_frames <= form.n_frames:
        raise ConfigError(
            f"frames is {n_frames}; legal: 1 to {form.n_frames}, the frames of the input"
        )
    return form if n_frames is None else replace(form, n_frames=n_frames)


def _as_420(form: VideoFormat) -> VideoFormat:
    return replace(form, layout="yuv420", color=tags_420(form))


def _options(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise ConfigError(f"option is {text!r}; legal: NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


def main() -> None:
    """The program; errors are one line and the exit code of docs/usage.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    encoder, decoder = commands.add_parser("encode"), commands.add_parser("decode")
    encoder.add_argument("codec")
    for command in (encoder, decoder):
        command.add_argument("source", type=Path)
        command.add_argument("coded", type=Path)
        command.add_argument("--frames", type=int)
    encoder.add_argument("options", nargs="*", metavar="NAME=VALUE")
    decoder.add_argument("decoded", type=Path)
    given = parser.parse_args()
    try:
        if given.command == "encode":
            n_bytes, seconds = encode(
                given.codec, given.source, given.coded, _options(given.options), given.frames
            )
            print(json.dumps({"bytes": n_bytes, "encode_s": seconds}))
        else:
            print(
                json.dumps(
                    {"seconds": decode(given.source, given.coded, given.decoded, given.frames)}
                )
            )
    except NervCodecError as error:
        print(f"nervcodec: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
