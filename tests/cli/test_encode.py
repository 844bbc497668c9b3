"""nervcodec encode: what a user sees of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from shell import Shell, error_line, read_frames, write_clip

from nervcodec.encoder.encode import encode
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.plan import plan
from nervcodec.encoder.resume import Pace
from nervcodec.errors import ConfigError, Interrupted
from nervcodec.quality.metrics import QualityMeter
from nervcodec.video.geometry import Crop
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.source import SourceOptions


def test_encode_reports_what_comes_out_of_the_file(coded: Shell) -> None:
    """The quality in the JSON report is that of the frames that decode writes."""
    report = json.loads(coded("encode", "in.y4m", "again.nvpp", "--epochs", "2", "--json").out)
    assert coded("decode", "again.nvpp", "again.y4m").code == 0
    meter = QualityMeter(probe(coded.folder / "in.y4m")[0].color)
    meter.add(read_frames(coded.folder / "in.y4m"), read_frames(coded.folder / "again.y4m"))
    measured = meter.result()
    assert report["quality"]["y_db"] == pytest.approx(measured.y_db, abs=1e-6)
    assert report["quality"]["rgb_db"] == pytest.approx(measured.rgb_db, abs=1e-6)
    assert report["bytes"] == (coded.folder / "again.nvpp").stat().st_size


def test_encode_prints_the_figures(shell: Shell) -> None:
    """The closing table names bytes, bpp, kbit/s, every PSNR, MS-SSIM and time; the network comes
    before it.
    """
    write_clip(shell.folder / "in.y4m")
    out = shell("encode", "in.y4m", "out.nvpp", "--epochs", "1").out
    for word in (
        "kMAC/pixel",
        "parameters",
        "bytes",
        "bpp",
        "kbit/s",
        "PSNR Y, U, V",
        "PSNR 6:1:1",
        "PSNR RGB",
        "MS-SSIM",
        "encode time",
    ):
        assert word in out


def test_same_options_give_the_same_file(shell: Shell) -> None:
    """Two encodes with one seed give one file, byte for byte; another seed gives another."""
    write_clip(shell.folder / "in.y4m")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        shell("encode", "in.y4m", f"{name}.nvpp", "--epochs", "2", "--seed", seed)
    a, b, c = ((shell.folder / f"{name}.nvpp").read_bytes() for name in "abc")
    assert a == b != c


def test_prune_and_bits_reach_the_file(shell: Shell) -> None:
    """--prune 0.5 makes half of the stem's and blocks' weights zero and --bits 5 bounds symbols by
    15.
    """
    write_clip(shell.folder / "in.y4m")
    shell(
        "encode",
        "in.y4m",
        "out.nvpp",
        "--preset",
        "paper-xs",
        "--frames",
        "2",
        "--epochs",
        "1",
        "--prune",
        "0.5",
        "--bits",
        "5",
    )
    from nervcodec.coding.streams import decode_symbols_of
    from nervcodec.format.container import load

    file = load(shell.folder / "out.nvpp")
    symbols = np.concatenate(
        [group.symbols for group in decode_symbols_of(file.segments[0], file.header.model)]
    )
    assert np.abs(symbols).max() == 15
    assert (symbols == 0).mean() > 0.45


def test_dry_run_writes_nothing(shell: Shell) -> None:
    """--dry-run names network, parameters, memory and time, and leaves no file."""
    write_clip(shell.folder / "in.y4m")
    result = shell("encode", "in.y4m", "out.nvpp", "--dry-run")
    assert result.code == 0 and not (shell.folder / "out.nvpp").exists()
    assert all(word in result.out for word in ("network", "parameters", "memory", "time"))


def test_progress_lines_are_plain_without_a_terminal(shell: Shell) -> None:
    """On a pipe every progress line is a line of its own with stage, epoch, frames/s, PSNR and
    ETA.
    """
    write_clip(shell.folder / "in.y4m")
    lines = [
        line
        for line in shell("encode", "in.y4m", "out.nvpp", "--epochs", "2").err.splitlines()
        if "fit" in line
    ]
    assert lines and "\r" not in "".join(lines)
    assert all(word in lines[-1] for word in ("epoch 2/2", "frames/s", "PSNR", "ETA"))


def test_a_size_is_met(shell: Shell) -> None:
    """The file is within 2 % of the size asked for, which the table names before the fit."""
    write_clip(shell.folder / "in.y4m", n_frames=20)
    result = shell("encode", "in.y4m", "out.nvpp", "--epochs", "40", "--size", "1.2k")
    assert result.code == 0 and re.search("^target +1,200 bytes$", result.out, re.MULTILINE)
    assert (shell.folder / "out.nvpp").stat().st_size == pytest.approx(1200, rel=0.02)


def test_a_target_that_was_missed_is_said(shell: Shell) -> None:
    """A PSNR out of reach gives the best that the fit came to, with a note of how much that is."""
    write_clip(shell.folder / "in.y4m")
    result = shell("encode", "in.y4m", "out.nvpp", "--epochs", "3", "--target-psnr", "70")
    assert result.code == 0 and (shell.folder / "out.nvpp").exists()
    reached = json.loads(shell("info", "out.nvpp", "--json").out)["quality"]["psnr_rgb"]
    assert (
        f"nervcodec: 70 dB RGB were asked for, {reached:.2f} dB is as near as this fit came; "
        "a slower preset or more epochs reach further" in result.err.splitlines()
    )


def test_a_time_budget_sets_the_epochs(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """--time-budget makes as many epochs as fit, and says so before it starts."""
    write_clip(shell.folder / "in.y4m")
    monkeypatch.setattr("nervcodec.encoder.cost.seconds_per_step", lambda *_: 1.0)
    result = shell("encode", "in.y4m", "out.nvpp", "--time-budget", "1m")
    assert "18 + 0 epochs" in result.out and "about 0:54 to fit" in result.out
    assert json.loads(shell("info", "out.nvpp", "--json").out)["quality"]["epochs"] == 18


def test_crf_and_tune_reach_the_fit(shell: Shell) -> None:
    """--crf sets the price of a bit and with it the network's size, --tune ssim the loss."""
    write_clip(shell.folder / "in.y4m", 64, 48)
    plans = [
        json.loads(shell("encode", "in.y4m", "out.nvpp", "--dry-run", "--json", *options).out)
        for options in (
            ["--crf", "20", "--prior", "none"],
            ["--crf", "40", "--prior", "none"],
            ["--tune", "ssim"],
            ["--tune", "psnr"],
        )
    ]
    assert plans[0]["fit"]["rate_weight"] < 0.01 < plans[1]["fit"]["rate_weight"]
    assert plans[0]["parameters"] > plans[1]["parameters"]
    assert [plan["fit"]["loss"] for plan in plans] == ["mse", "mse", "l1+ssim", "mse"]
    assert plans[2]["fit"]["rate_weight"] > plans[3]["fit"]["rate_weight"]


@pytest.mark.parametrize(
    ("options", "prior"),
    [
        ((), 1),
        (("--prior", "auto"), 1),
        (("--prior", "none"), 0),
        (("--prune", "0.2"), 0),
        (("--colorspace", "rgb"), 0),
    ],
)
def test_a_file_has_a_prior_where_its_network_has_one(
    shell: Shell, options: tuple[str, ...], prior: int
) -> None:
    """A plan, the file and info say whether there is one, as text and as JSON, and the file comes
    back.
    """
    write_clip(shell.folder / "in.y4m")
    encode = ("encode", "in.y4m", "out.nvpp", "--preset", "ultrafast", "--epochs", "2", *options)
    planned = json.loads(shell(*encode, "--dry-run", "--json").out)
    texts = shell(*encode).out, shell("info", "out.nvpp").out
    stored = json.loads(shell("info", "out.nvpp", "--json").out)
    assert stored["model"] == planned["model"] and stored["model"]["prior"] == prior
    for text in texts:
        (line,) = re.findall("^network .*$", text, re.MULTILINE)
        assert line.endswith(", prior 1") == bool(prior)
    assert shell("verify", "out.nvpp").code == 0


@pytest.mark.parametrize("name", ["out.mp4", "out.Y4M", "out.nvpp.mkv"])
def test_a_coded_file_is_not_named_like_a_video(shell: Shell, name: str) -> None:
    """Whoever takes encode for a converter is told before the fit, not by a player after it."""
    write_clip(shell.folder / "in.y4m")
    result = shell("encode", "in.y4m", name)
    assert result.code == 2 and error_line(result).startswith(
        f"nervcodec: error: output is {name}; legal: a name with"
    )
    assert not (shell.folder / name).exists()


def test_interrupt_leaves_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during a fit exits 8 with one line and no file."""
    from nervcodec.training import trainer

    write_clip(shell.folder / "in.y4m")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "run", interrupted)
    result = shell("encode", "in.y4m", "out.nvpp")
    assert (
        result.code == 8
        and result.err.strip() == "nervcodec: error: interrupted; nothing was written"
    )
    assert [path.name for path in shell.folder.iterdir()] == ["in.y4m"]


def test_a_part_at_another_size_is_coded_and_measured(shell: Shell) -> None:
    """--crop and --scale give the coded frames, whose quality is measured against just these."""
    write_clip(shell.folder / "in.y4m", n_frames=2)
    options = ("--preset", "ultrafast", "--epochs", "1", "--json")
    arguments = ("in.y4m", "out.nvpp", "--crop", "12x18+2+0", "--scale", "16x24", *options)
    report = json.loads(shell("encode", *arguments).out)
    assert (report["width"], report["height"]) == (16, 24)
    shell("decode", "out.nvpp", "out.y4m")
    source = SourceOptions(crop=Crop(12, 18, 2, 0), scale=(16, 24))
    form, _ = probe(shell.folder / "in.y4m", source)
    meter = QualityMeter(form.color)
    meter.add(
        next(read_groups(shell.folder / "in.y4m", form, [2], source)),
        read_frames(shell.folder / "out.y4m"),
    )
    assert report["quality"]["y_db"] == meter.result().y_db


def test_another_crop_is_another_encode(shell: Shell) -> None:
    """What was reached with one crop is not gone on with for another."""
    write_clip(shell.folder / "in.y4m", n_frames=2)
    plans = [
        plan("in.y4m", "out.nvpp", EncodeOptions(preset="ultrafast", crop=crop))
        for crop in (Crop(8, 8, 0, 0), Crop(8, 8, 0, 2))
    ]
    pace = Pace(0)
    with pytest.raises(Interrupted):
        encode(plans[0], pace=pace, on_progress=lambda *_: pace.end())
    with pytest.raises(ConfigError, match=r"another source.crop.y \(0, now 2\)"):
        encode(plans[1])
