"""nervcodec.encoder.options and decoder.decode: what may be asked for, checked when it is made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from typing import Any

import pytest

from nervcodec.cli.main import cli, command
from nervcodec.decoder.decode import DecodeOptions
from nervcodec.encoder.options import EncodeOptions
from nervcodec.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("preset", "best", "preset is 'best'; legal: instant, ultrafast, "),
        ("tune", "grain", "tune is 'grain'; legal: psnr, ssim"),
        ("epochs", 0, "epochs is 0; legal: 1 to 1000000"),
        ("time_budget_s", -1.0, "time budget is -1.0; legal: 0 to "),
        ("time_budget_s", float("nan"), "time budget is nan; legal: 0 to "),
        ("prune", 1.0, "prune ratio is 1.0; legal: 0 to 0.99"),
        ("bits", 13, "bits is 13; legal: 2 to 12"),
        ("frames", (0, 0), "frames are 0:0; legal: A:B with 0 <= A < B"),
        ("seek_s", Fraction(-1), "seek is -1 s; legal: 0 or more"),
        ("duration_s", Fraction(0), "duration is 0 s; legal: above 0"),
        ("cfr", Fraction(0), "cfr is 0; legal: a positive ratio of 32-bit integers"),
        ("frame_rate", Fraction(0), "frame rate is 0; legal: a positive ratio of 32-bit integers"),
        ("colorspace", "cmyk", "colorspace is 'cmyk'; legal: auto, rgb, yuv"),
        ("segment_frames", -1, "segment frames is -1; legal: 1 or more"),
        ("device", "tpu", "device is 'tpu'; legal: auto, cpu, cuda, cuda:N"),
        ("precision", "float16", "precision is 'float16'; legal: auto, float32, bfloat16"),
        ("n_threads", 0, "threads is 0; legal: 1 to 1024"),
        ("seed", -1, "seed is -1; legal: 0 to 9223372036854775807"),
        ("max_memory_bytes", 0, "memory is 0 bytes; legal: above 0"),
        ("max_memory_bytes", float("nan"), "memory is nan bytes; legal: above 0"),
        ("checkpoint_every_s", -1.0, "checkpoint every is -1.0; legal: 0 to "),
    ],
)
def test_wrong_options_are_refused(name: str, value: Any, message: str) -> None:
    """A value that cannot be is a ConfigError that names it and what would be legal."""
    with pytest.raises(ConfigError) as error:
        EncodeOptions(**{name: value})
    assert str(error.value).startswith(message)


def test_epochs_and_a_time_budget_exclude_each_other() -> None:
    """One of them decides how long a fit takes."""
    with pytest.raises(ConfigError, match="epochs and a time budget are given"):
        EncodeOptions(epochs=3, time_budget_s=60)


@pytest.mark.parametrize("frames", [(-1, None), (3, 3), (3, 2)])
def test_wrong_ranges_are_refused(frames: tuple[int, int | None]) -> None:
    """A range of frames begins at 0 or later, and ends later than it begins."""
    with pytest.raises(ConfigError, match="frames are .*; legal: A:B with 0 <= A < B"):
        DecodeOptions(frames=frames)


@pytest.mark.parametrize("options", [EncodeOptions(), DecodeOptions()], ids=["encode", "decode"])
def test_options_are_frozen(options: EncodeOptions | DecodeOptions) -> None:
    """A request does not change; replace() makes another one, which is checked too."""
    with pytest.raises(FrozenInstanceError):
        options.device = "cpu"  # type: ignore[misc]
    assert replace(options, device="cpu").device == "cpu"
    with pytest.raises(ConfigError):
        replace(options, device="tpu")


def parameters(name: str) -> dict[str, Any]:
    """Values of a command's options where none is given, by name."""
    values = command(name).make_context(name, ["in", "out"], **cli.context_settings).params
    return {key: value for key, value in values.items() if key not in ("source", "destination")}


def test_the_command_has_the_options_and_their_defaults() -> None:
    """Every option of Python is one of the command line, with the same default."""
    options, command = vars(EncodeOptions()), parameters("encode")
    renamed = {"max_memory_bytes": "max_memory_gib"}
    targets = {"crf", "size", "bitrate", "bpp", "target_psnr", "rate_weight"}
    for name, default in options.items():
        if name == "target":
            assert {command.pop(target) for target in targets} == {None}
        else:
            assert command.pop(renamed.get(name, name)) == default, name
    assert set(command) == {"as_json", "dry_run", "json_lines"}


def test_decode_has_the_options() -> None:
    """Every option of Python is one of the command line."""
    command = set(parameters("decode"))
    limits = {"raised", "max_memory_gib"}
    assert command == (set(vars(DecodeOptions())) - {"limits"}) | limits | {"as_json"}
