"""What the benchmark can run: an encode and a decode command with the settings that make its rates.

nervcodec's own presets and FFmpeg's encoders are built in; others come from TOML files
(docs/guide/benchmarking.md). A command is a list of arguments with placeholders: {input} the clip,
{output} the coded file, {decoded} what decoding must write (.y4m, or a folder of PNG where its name
ends in /), {setting}, {frames}, {width}, {height}, {rate} and {threads}.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from nervcodec import __version__
from nervcodec.bench.ffmpeg_codecs import CONVENTIONAL
from nervcodec.bench.fingerprint import coding_digest
from nervcodec.encoder.presets import PRESETS
from nervcodec.errors import ConfigError
from nervcodec.video.ffmpeg_decode import FFMPEG_VERSION

BUILT_IN = ("nervcodec", *CONVENTIONAL)
Counted = Literal["whole file", "elementary stream"]
_PAPER = "paper"  # the variant whose settings are the presets paper-xs to paper-l
_PAPER_SIZES = ("xs", "s", "m", "l")
_CRF = (36, 24)
_BITS = (8, 4)


@dataclass(frozen=True)
class Adapter:
    """A codec with one preset: a curve of the plot.

    Attributes:
        codec, variant: 'x265', 'medium'; together the label.
        encode, decode: commands, as lists of arguments with placeholders.
        settings: what {setting} stands for, one point each.
        setting_name: what a setting is, such as 'crf'.
        suffix: of coded files.
        version: of the codec; a point measured with another one is measured anew.
        counted: what its bytes are: 'whole file', or 'elementary stream', whose bytes its encoder
            tells.
        decoded, decoded_rgb: name of the decoded video, and that where the clip is RGB.
        foreign: from a TOML file: it gets the clip as .y4m, and what it prints is no figure.
    """

    codec: str
    variant: str
    encode: tuple[str, ...]
    decode: tuple[str, ...]
    settings: tuple[str, ...]
    setting_name: str
    suffix: str
    version: str
    counted: Counted = "whole file"
    decoded: str = "decoded.y4m"
    decoded_rgb: str = "decoded.y4m"
    foreign: bool = False

    @property
    def label(self) -> str:
        """Return the name of its curve."""
        return f"{self.codec} {self.variant}".rstrip()

    def describe(self, setting: str) -> str:
        """Return a setting as a table shows it, such as 'crf 29'."""
        return f"{self.setting_name} {setting}".lstrip()


def evenly(ends: tuple[float, float], n_points: int) -> list[float]:
    """Return n_points values from one end to the other; the middle if there is but one."""
    if n_points == 1:
        return [(ends[0] + ends[1]) / 2]
    return [ends[0] + (ends[1] - ends[0]) * i / (n_points - 1) for i in range(n_points)]


def chosen_adapters(
    codecs: Sequence[str],
    presets: Mapping[str, Sequence[str]],
    tomls: Iterable[Path],
    n_points: int,
    options: Sequence[str],
    settings: Mapping[str, Sequence[str]],
) -> list[Adapter]:
    """Return the adapters that a benchmark's options ask for.

    Args:
        codecs: built-in codecs or names of adapters from `tomls`; none: all of both.
        presets: of built-in codecs, see built_in.
        options: more arguments for `nervcodec encode`.
        settings: of a codec or a label, instead of n_points over the usual range.
    Raises:
        ConfigError: a name that stands for nothing.
    """
    foreign = [from_toml(path, n_points) for path in tomls]
    known = list(dict.fromkeys([*BUILT_IN, *(adapter.codec for adapter in foreign)]))
    chosen = list(dict.fromkeys(codecs or known))
    _check_names("codec is", chosen, known)
    _check_names("presets for", presets, [codec for codec in chosen if codec in BUILT_IN])
    adapters: list[Adapter] = []
    for codec in chosen:
        from_files = [adapter for adapter in foreign if adapter.codec == codec]
        adapters += from_files or built_in(codec, presets.get(codec, ()), n_points, options)
    return _with_settings(adapters, settings)


def _with_settings(adapters: list[Adapter], settings: Mapping[str, Sequence[str]]) -> list[Adapter]:
    """Return the adapters with the settings asked for by codec or by label."""
    _check_names(
        "settings for",
        settings,
        [name for adapter in adapters for name in (adapter.codec, adapter.label)],
    )
    chosen = [settings.get(adapter.label, settings.get(adapter.codec)) for adapter in adapters]
    return [
        replace(adapter, settings=_once(values)) if values else adapter
        for adapter, values in zip(adapters, chosen)
    ]


def _check_names(what: str, names: Iterable[str], legal: Collection[str]) -> None:
    """Raise ConfigError for a name that is not legal."""
    for name in names:
        if name not in legal:
            raise ConfigError(
                f"{what} {name!r}; legal: {', '.join(dict.fromkeys(legal)) or 'none here'}"
            )


def _once(settings: Iterable[str]) -> tuple[str, ...]:
    """Return the settings in their order, each once."""
    return tuple(dict.fromkeys(settings))


def built_in(
    codec: str, variants: Sequence[str], n_points: int, options: Sequence[str] = ()
) -> list[Adapter]:
    """Return the adapters of one built-in codec.

    Args:
        codec: 'nervcodec', 'x264', 'x265', 'svtav1' or 'vp9'.
        variants: presets, each with a tuning after a slash if not the default one ('medium',
            'medium/psnr'); none: the codec's default preset with every tuning.
        n_points: how many settings over the codec's usual range.
        options: more arguments for `nervcodec encode`.
    Raises:
        ConfigError: an unknown codec, preset or tuning.
    """
    _check_names("codec is", [codec], BUILT_IN)
    if codec == "nervcodec":
        return [_nervcodec(variant, n_points, options) for variant in variants or ("medium",)]
    encoder = CONVENTIONAL[codec]
    tuned = [f"{encoder.default_preset}/{tune}" for tune in encoder.tunes]
    return [_conventional(codec, variant, n_points) for variant in variants or tuned]


def _conventional(codec: str, variant: str, n_points: int) -> Adapter:
    """Return the adapter of an encoder of FFmpeg's, over its usual range of crf."""
    encoder = CONVENTIONAL[codec]
    preset, _, tune = variant.partition("/")
    tune = tune or "default"
    _check_names(f"preset of {codec} is", [preset], encoder.presets)
    _check_names(f"tuning of {codec} is", [tune], encoder.tunes)
    options = [f"{name}={value}" for name, value in encoder.options(preset, tune).items()]
    worker = (sys.executable, "-m", "nervcodec.bench.ffmpeg_codecs")
    return Adapter(
        codec,
        preset if tune == "default" else f"{preset} {tune}",
        (
            *worker,
            "encode",
            codec,
            "{input}",
            "{output}",
            "crf={setting}",
            *options,
            "--frames",
            "{frames}",
        ),
        (*worker, "decode", "{input}", "{output}", "{decoded}", "--frames", "{frames}"),
        _once(str(round(crf)) for crf in evenly(encoder.crf, n_points)),
        "crf",
        encoder.suffix,
        FFMPEG_VERSION,
        "elementary stream",
    )


@dataclass(frozen=True)
class _Sweep:
    """What makes the rates of a curve of ours: what the setting is, its values, the arguments."""

    setting_name: str
    values: Sequence[str]
    arguments: tuple[str, ...]


def _sweep(variant: str, n_points: int) -> _Sweep:
    """Return a preset's crf, its bits where it has no rate term, or the four sizes of 'paper'."""
    if variant == _PAPER:
        return _Sweep("size", _PAPER_SIZES[:n_points], ("--preset", "paper-{setting}"))
    if PRESETS[variant].fit.rate_weight:
        values = [str(round(crf)) for crf in evenly(_CRF, n_points)]
        return _Sweep("crf", values, ("--preset", variant, "--crf", "{setting}"))
    bits = evenly(_BITS, n_points) if n_points > 1 else _BITS[:1]
    values = [str(round(value)) for value in bits]
    return _Sweep("bits", values, ("--preset", variant, "--bits", "{setting}"))


def _nervcodec(variant: str, n_points: int, options: Sequence[str]) -> Adapter:
    """Return the adapter of a preset of ours, or of 'paper'."""
    _check_names("preset of nervcodec is", [variant], [*PRESETS, _PAPER])
    sweep = _sweep(variant, n_points)
    colorspace = _colorspace(variant, options)
    command = (sys.executable, "-m", "nervcodec")
    return Adapter(
        "nervcodec",
        " ".join((variant, *options)),
        (
            *command,
            "encode",
            "-y",
            "--json",
            "--no-audio",
            "--frames",
            "{frames}",
            "--threads",
            "{threads}",
            *sweep.arguments,
            *options,
            "{input}",
            "{output}",
        ),
        (*command, "decode", "-y", "--json", "--threads", "{threads}", "{output}", "{decoded}"),
        _once(sweep.values),
        sweep.setting_name,
        ".nvpp",
        f"{__version__} ({coding_digest()[:12]}), torch {version('torch')}",
        decoded="decoded/" if colorspace == "rgb" else "decoded.y4m",
        decoded_rgb="decoded.y4m" if colorspace == "yuv" else "decoded/",
    )


def _colorspace(variant: str, options: Sequence[str]) -> str:
    """Return 'rgb' or 'yuv', in which the network gives the frames; 'auto': as the clip."""
    words = " ".join(options).replace("=", " ").split()
    asked = dict(zip(words, words[1:])).get("--colorspace", "auto")
    usual = "rgb" if variant not in PRESETS else PRESETS[variant].colorspace
    return asked if asked != "auto" else usual or "auto"


_TEXTS = ("name", "variant", "encode", "decode", "suffix", "version", "setting_name")
_PLACEHOLDERS = {
    "input": Path("i"),
    "output": Path("o"),
    "decoded": "d",
    "setting": "1",
    "frames": 1,
    "width": 1,
    "height": 1,
    "rate": Fraction(1),
    "threads": 1,
}


def from_toml(path: Path, n_points: int) -> Adapter:
    """Return an adapter from a TOML file.

    It has name, encode, decode, settings, and perhaps variant, suffix, version, setting_name.

    Raises:
        ConfigError: unreadable, a key that is missing, unknown or of the wrong type, or a command
            that makes no sense.
    """
    try:
        table = load_toml(path)
        commands = {
            name: tuple(shlex.split(str(table.get(name, ""))))
            for name in ("encode", "decode", "version")
        }
    except (OSError, ValueError) as error:
        raise ConfigError(f"adapter {path}: {error}") from None
    unknown = sorted(set(table) - {*_TEXTS, "settings"})
    wrong = [name for name in _TEXTS if not isinstance(table.get(name, ""), str)]
    wrong += ["settings"] if not isinstance(table.get("settings", []), list) else []
    missing = [name for name in ("name", "encode", "decode", "settings") if not table.get(name)]
    if unknown or wrong or missing:
        fault = ", ".join(
            [
                *(f"unknown {key}" for key in unknown),
                *(f"{key} is {table[key]!r}" for key in wrong),
                *(f"no {key}" for key in missing),
            ]
        )
        raise ConfigError(
            f"adapter {path}: {fault}; legal: {', '.join(_TEXTS)} (texts) and settings (a list)"
        )
    if table["name"] in BUILT_IN:
        raise ConfigError(
            f"adapter {path}: name is {table['name']!r}; legal: any but {', '.join(BUILT_IN)}"
        )
    for name in ("encode", "decode"):
        filled(commands[name], _PLACEHOLDERS)
    return Adapter(
        table["name"],
        table.get("variant", ""),
        commands["encode"],
        commands["decode"],
        _spread(_once(map(str, table["settings"])), n_points),
        table.get("setting_name", ""),
        table.get("suffix", ".bin"),
        _first_line(commands["version"]),
        foreign=True,
    )


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        OSError, ValueError: it cannot be read, or is no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(path.read_text("utf-8"))


def _spread(settings: tuple[str, ...], n_points: int) -> tuple[str, ...]:
    """Return at most n_points of the settings, evenly spread."""
    if len(settings) <= n_points:
        return settings
    return tuple(settings[round(i)] for i in evenly((0, len(settings) - 1), n_points))


def _first_line(command: Sequence[str]) -> str:
    """Return what a command prints first; nothing if there is no command."""
    if not command:
        return ""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise ConfigError(f"cannot run {command[0]!r}: {error.strerror}") from None
    return done.stdout.decode(errors="replace").strip().partition("\n")[0]


def filled(command: Iterable[str], values: Mapping[str, object]) -> list[str]:
    """Return the command with its placeholders replaced, argument by argument and without a shell.

    Raises:
        ConfigError: a placeholder that stands for nothing.
    """
    try:
        return [argument.format_map(values) for argument in command]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            f"placeholder {error} in {shlex.join(command)}; "
            f"legal: {', '.join(f'{{{name}}}' for name in values)}"
        ) from None
