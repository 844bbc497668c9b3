"""nervcodec.cli.main: what a user sees. Commands run in this process through main(), as the console
script runs them.
"""

from __future__ import annotations

import json
import os
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from shell import Result, Shell, write_clip

from nervcodec import __version__
from nervcodec.cli import params
from nervcodec.coding.range_coder import Coded
from nervcodec.format.container import Header, Segment, StoredQuality, write_file
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.quality.metrics import QualityMeter
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups


def read(path: Path) -> Frames:
    form, _ = probe(path)
    return next(read_groups(path, form, [form.n_frames]))


def test_version_everywhere(shell: Shell) -> None:
    """--version prints the version for the program and for each command."""
    for command in ([], ["encode"], ["decode"], ["info"], ["compare"], ["bench"]):
        assert shell(*command, "--version").out == f"nervcodec {__version__}\n"


@pytest.mark.parametrize(("given", "used"), [(None, "10000"), ("5", "5")])
def test_threads_do_not_spin_for_ever(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, given: str | None, used: str
) -> None:
    """OpenMP is told to spin for a moment only, unless the user has told it something."""
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if given:
        monkeypatch.setenv("GOMP_SPINCOUNT", given)
    assert shell("--version").code == 0
    assert os.environ["GOMP_SPINCOUNT"] == used


def test_encode_reports_what_comes_out_of_the_file(coded: Shell) -> None:
    """The quality in the JSON report is that of the frames that decode writes."""
    report = json.loads(coded("encode", "in.y4m", "again.nvpp", "--epochs", "2", "--json").out)
    assert coded("decode", "again.nvpp", "again.y4m").code == 0
    meter = QualityMeter(probe(coded.folder / "in.y4m")[0].color)
    meter.add(read(coded.folder / "in.y4m"), read(coded.folder / "again.y4m"))
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


def test_info_names_the_stored_quality(coded: Shell) -> None:
    """info --json has the quality that the encoder measured, rounded to 1e-4 dB, and all bytes by
    module.
    """
    report = json.loads(coded("encode", "in.y4m", "again.nvpp", "--epochs", "2", "--json").out)
    info = json.loads(coded("info", "again.nvpp", "--json").out)
    assert info["quality"]["psnr_y"] == pytest.approx(report["quality"]["y_db"], abs=1e-4)
    assert sum(info["bytes_by_module"].values()) == info["bytes"] == report["bytes"]
    assert info["frame_rate"] == "30000/1001"


def test_info_shows_finer_grids_where_they_stand(coded: Shell) -> None:
    """The network's line has the stem, then blocks and finer grids as a frame goes through them,
    then their motion.
    """
    data = Path(__file__).parents[1] / "data"
    still, moving = (
        coded("info", str(data / f"{name}.nvpp")).out for name in ("grid_yuv", "moving_yuv")
    )
    assert "yuv, grid stem 3x4x5, block x2 8, grid 6x8x1, block x2 6\n" in still
    assert "grid 6x8x2, block x2 6, grid 12x16x1, motion 2x2\n" in moving


def test_info_reads_as_text(coded: Shell) -> None:
    """The table has a line for each module and the segments' frames."""
    out = coded("info", "out.nvpp").out
    assert "stem" in out and "head" in out and "2: 2, 3 frames" in out


def test_decode_keeps_rate_and_count(coded: Shell) -> None:
    """A decoded .mp4 has the source's exact frame rate and number of frames."""
    assert coded("decode", "out.nvpp", "out.mp4").code == 0
    form, _ = probe(coded.folder / "out.mp4")
    assert (form.n_frames, form.frame_rate, form.width) == (
        5,
        probe(coded.folder / "in.y4m")[0].frame_rate,
        24,
    )


def test_decode_range_equals_a_part_of_the_whole(coded: Shell) -> None:
    """--frames 1:4 writes exactly the frames 1, 2, 3 of the whole decode, across the segments'
    border.
    """
    coded("decode", "out.nvpp", "whole.y4m")
    assert coded("decode", "out.nvpp", "part.y4m", "--frames", "1:4").code == 0
    whole, part = read(coded.folder / "whole.y4m"), read(coded.folder / "part.y4m")
    assert all(np.array_equal(a[1:4], b) for a, b in zip(whole.planes, part.planes, strict=True))


def test_decode_touches_only_needed_segments(coded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of the second segment are decoded without decoding the first."""
    from nervcodec.coding import streams

    lengths: list[int] = []
    original = streams.decode_symbols_of

    def counting(one: Segment, model: ModelConfig) -> list[Coded]:
        lengths.append(one.n_frames)
        return original(one, model)

    monkeypatch.setattr(streams, "decode_symbols_of", counting)
    assert coded("decode", "out.nvpp", "part.y4m", "--frames", "3:5").code == 0
    assert lengths == [3]


def test_decode_to_a_folder_of_png(coded: Shell) -> None:
    """A name without a suffix becomes a folder with a PNG for each frame."""
    assert coded("decode", "out.nvpp", "pngs").code == 0
    assert len(list((coded.folder / "pngs").glob("*.png"))) == 5


def test_odd_size_to_mp4_says_that_it_pads(shell: Shell) -> None:
    """libx264 takes even sizes only: the note names the padding."""
    write_clip(shell.folder / "odd.y4m", 19, 13, 2)
    shell("encode", "odd.y4m", "odd.nvpp", "--epochs", "1")
    result = shell("decode", "odd.nvpp", "odd.mp4")
    assert result.code == 0 and "20x14" in result.err


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


# --- what can be asked for ---


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5s", 1.5), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661)],
)
def test_times(text: str, seconds: float) -> None:
    """A time is in seconds, or in hours, minutes and seconds."""
    assert params.Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "amount"), [("65600", 65600), ("64k", 64e3), ("1.5M", 1.5e6), ("2G", 2e9)]
)
def test_amounts(text: str, amount: float) -> None:
    """An amount is a number, or one of thousands, millions and so on."""
    assert params.Amount().convert(text, None, None) == amount


def test_crf_and_tune_reach_the_fit(shell: Shell) -> None:
    """--crf sets the price of a bit and with it the network's size, --tune ssim the loss."""
    write_clip(shell.folder / "in.y4m", 64, 48)
    plans = [
        json.loads(shell("encode", "in.y4m", "out.nvpp", "--dry-run", "--json", *options).out)
        for options in (["--crf", "20"], ["--crf", "40"], ["--tune", "ssim"], ["--tune", "psnr"])
    ]
    assert plans[0]["fit"]["rate_weight"] < 0.01 < plans[1]["fit"]["rate_weight"]
    assert plans[0]["parameters"] > plans[1]["parameters"]
    assert [plan["fit"]["loss"] for plan in plans] == ["mse", "mse", "l1+ssim", "mse"]
    assert plans[2]["fit"]["rate_weight"] > plans[3]["fit"]["rate_weight"]


# --- what is wrong ---


def error_line(result: Result) -> str:
    """The one line of an error; nothing else was printed."""
    lines = result.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("nervcodec: error: "), result.err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["encode", "in.y4m"], 2, "OUTPUT.nvpp"),
        (["frob"], 2, "frob"),
        (["encode", "in.y4m", "o.nvpp", "--preset", "best"], 2, "best"),
        (["encode", "in.y4m", "o.nvpp", "--epochs", "0"], 2, "epochs is 0"),
        (["encode", "in.y4m", "o.nvpp", "--epochs", "many"], 2, "many"),
        (["encode", "in.y4m", "o.nvpp", "--frames", "9"], 2, "1 to 5"),
        (["encode", "in.y4m", "o.nvpp", "--bits", "1"], 2, "bits is 1; legal: 2 to 12"),
        (["encode", "in.y4m", "o.nvpp", "--bits", "13"], 2, "bits is 13"),
        (["encode", "in.y4m", "o.nvpp", "--prune", "1"], 2, "prune ratio is 1"),
        (["encode", "in.y4m", "o.nvpp", "--segment-frames", "0"], 2, "segment frames is 0"),
        (["encode", "in.y4m", "o.nvpp", "--threads", "0"], 2, "threads is 0"),
        (["encode", "in.y4m", "o.nvpp", "--device", "tpu"], 2, "tpu"),
        (["encode", "in.y4m", "o.nvpp", "--device", "cuda:99"], 2, "cuda:99"),
        (["encode", "in.y4m", "o.nvpp", "--seed", "-1"], 2, "seed is -1"),
        (["encode", "in.y4m", "o.nvpp", "--colorspace", "cmyk"], 2, "cmyk"),
        (["encode", "in.y4m", "o.nvpp", "--rate-weight", "-1"], 2, "rate weight is -1"),
        (
            ["encode", "in.y4m", "o.nvpp", "--crf", "64"],
            2,
            "crf is 64; legal: 0 (best) to 63 (smallest)",
        ),
        (
            ["encode", "in.y4m", "o.nvpp", "--crf", "30", "--size", "1k"],
            2,
            "crf and size are given; legal: one of them",
        ),
        (["encode", "in.y4m", "o.nvpp", "--size", "100"], 2, "size is 100 bytes; legal: "),
        (["encode", "in.y4m", "o.nvpp", "--size", "1Q"], 2, "'1Q' is not an amount"),
        (["encode", "in.y4m", "o.nvpp", "--bpp", "0"], 2, "bpp is 0; legal: above 0"),
        (["encode", "in.y4m", "o.nvpp", "--bitrate", "nan"], 2, "bitrate is nan; legal: above 0"),
        (["encode", "in.y4m", "o.nvpp", "--target-psnr", "101"], 2, "target PSNR is 101"),
        (["encode", "in.y4m", "o.nvpp", "--tune", "grain"], 2, "grain"),
        (
            ["encode", "in.y4m", "o.nvpp", "--preset", "paper-xs", "--crf", "30"],
            2,
            "no rate to steer",
        ),
        (["encode", "in.y4m", "o.nvpp", "--time-budget", "soon"], 2, "'soon' is not a time"),
        (["encode", "in.y4m", "o.nvpp", "--time-budget", "0s"], 2, "time budget is 0 s"),
        (
            ["encode", "in.y4m", "o.nvpp", "--time-budget", "9s", "--epochs", "2"],
            2,
            "epochs and a time budget are given",
        ),
        (["encode", "none.y4m", "o.nvpp"], 3, "none.y4m"),
        (["encode", "text.y4m", "o.nvpp"], 3, "text.y4m"),
        (["encode", "cut.y4m", "o.nvpp"], 3, "cut.y4m"),
        (["encode", "empty.y4m", "o.nvpp"], 3, "empty.y4m"),
        (["encode", "in.y4m", "nowhere/o.nvpp"], 6, "nowhere"),
        (["encode", "in.y4m", "out.nvpp"], 7, "-y"),
        (["encode", "in.y4m", "in.y4m", "-y"], 7, "in.y4m"),
        (["decode", "none.nvpp", "o.y4m"], 3, "none.nvpp"),
        (["decode", "in.y4m", "o.y4m"], 4, "not a .nvpp file"),
        (["decode", "cut.nvpp", "o.y4m"], 4, ""),
        (["decode", "flipped.nvpp", "o.y4m"], 4, "checksum"),
        (["decode", "out.nvpp", "o.xyz"], 2, ".xyz"),
        (["decode", "out.nvpp", "o.mp4", "--codec", "h999"], 2, "h999"),
        (["decode", "out.nvpp", "o.y4m", "--frames", "4:2"], 2, "4:2"),
        (["decode", "out.nvpp", "o.y4m", "--frames", "0:6"], 2, "<= 5"),
        (["decode", "out.nvpp", "o.y4m", "--frames", "two"], 2, "two"),
        (["decode", "out.nvpp", "in.y4m"], 7, "-y"),
        (["decode", "out.nvpp", "out.nvpp", "-y"], 2, ".nvpp"),
        (["info", "none.nvpp"], 3, "none.nvpp"),
        (["info", "cut.nvpp"], 4, ""),
        (["info", "text.y4m"], 4, "not a .nvpp file"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    coded: Shell, arguments: list[str], code: int, words: str
) -> None:
    """Whatever is wrong: one line that names it, the right exit code, and no file comes or
    changes.
    """
    data, video = (coded.folder / "out.nvpp").read_bytes(), (coded.folder / "in.y4m").read_bytes()
    (coded.folder / "cut.nvpp").write_bytes(data[:-5])
    (coded.folder / "flipped.nvpp").write_bytes(data[:-9] + bytes([data[-9] ^ 4]) + data[-8:])
    (coded.folder / "text.y4m").write_text("hello\n")
    (coded.folder / "empty.y4m").write_text("")
    (coded.folder / "cut.y4m").write_bytes(video[:-1])
    before = {path.name: path.read_bytes() for path in coded.folder.iterdir()}
    result = coded(*arguments)
    assert result.code == code and result.out == ""
    assert words in error_line(result)
    assert {path.name: path.read_bytes() for path in coded.folder.iterdir()} == before


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


def test_control_characters_are_escaped(shell: Shell) -> None:
    """A file name cannot write escape sequences to the terminal."""
    result = shell("info", "\x1b[31mred")
    assert result.code == 3 and "\x1b" not in result.err and r"\x1b[31mred" in result.err


def test_decode_refuses_what_takes_too_much_memory(coded: Shell) -> None:
    """A file whose decoding would exceed --max-memory is refused with the estimate, exit code 5."""
    result = coded("decode", "out.nvpp", "out.y4m", "--max-memory", "0.1")
    assert result.code == 5 and "MiB of memory" in error_line(result)
    assert not (coded.folder / "out.y4m").exists()


def test_decode_refuses_a_bomb(shell: Shell) -> None:
    """A valid file of under 200 bytes that stands for terabytes of parameters is refused before any
    are allocated.
    """
    model = ModelConfig(8192, 8192, "yuv", GridStem(4096, 4096, (Grid(255, 1),)), (Block(1, 4096),))
    form = VideoFormat(8192, 8192, Fraction(25), 1000)
    data = write_file(Header(form, model), [Segment((1000,), (b"\0",) * 3)], StoredQuality())
    assert len(data) < 200
    (shell.folder / "bomb.nvpp").write_bytes(data)
    result = shell("decode", "bomb.nvpp", "out.y4m")
    assert (
        result.code == 5
        and "parameters is 4,278,409,555,974, more than the limit" in error_line(result)
    )


# compare and bench


@pytest.fixture
def clips(shell: Shell) -> Shell:
    """A folder with in.y4m and in2.y4m (5 frames of 24 x 18), short.y4m (3 frames) and small.y4m
    (another size).
    """
    for name, size in (
        ("in", (24, 18, 5)),
        ("in2", (24, 18, 5)),
        ("short", (24, 18, 3)),
        ("small", (16, 18, 5)),
    ):
        write_clip(shell.folder / f"{name}.y4m", *size)
    data = bytearray((shell.folder / "in2.y4m").read_bytes())
    data[-1] ^= 8
    (shell.folder / "in2.y4m").write_bytes(data)
    return shell


def test_compare_prints_every_metric(clips: Shell) -> None:
    """The table has a line for each metric, with similarities to four digits and the reason for
    what is missing.
    """
    result = clips("compare", "in.y4m", "in2.y4m")
    assert result.code == 0
    rows = dict(line.split("  ", 1) for line in result.out.splitlines() if "  " in line)
    assert [row.strip() for row in rows] == [
        "videos",
        "PSNR Y, U, V",
        "PSNR 6:1:1",
        "PSNR RGB",
        "of mean MSE",
        "SSIM Y",
        "MS-SSIM Y",
        "XPSNR Y, U, V",
        "VMAF",
    ]
    assert rows["PSNR Y, U, V"].strip().startswith("100.0000, 100.0000, ")
    assert rows["SSIM Y"].strip() == "1.0000"
    assert "161 pixels" in rows["MS-SSIM Y"] and "2025 pixels" in rows["XPSNR Y, U, V"]


def test_compare_as_json_and_csv(clips: Shell) -> None:
    """--json prints the whole of it under its schema, and --csv has the same figures frame by
    frame.
    """
    result = clips("compare", "in.y4m", "in2.y4m", "--json", "--csv", "frames.csv")
    found = json.loads(result.out)
    assert (result.code, result.err, found["schema"]) == (0, "", "nervcodec.compare/1")
    assert (found["reference"], found["distorted"], found["frames"]) == ("in.y4m", "in2.y4m", 5)
    rows = [line.split(",") for line in (clips.folder / "frames.csv").read_text().splitlines()]
    assert rows[0] == ["frame", *found["per_frame"]] and len(rows) == 6
    assert [float(row[3]) for row in rows[1:]] == found["per_frame"]["psnr_v"]
    assert found["per_frame"]["psnr_v"][3] == 100 > found["per_frame"]["psnr_v"][4]


def test_compare_takes_the_first_frames(clips: Shell) -> None:
    """--frames compares videos of different lengths, and -y replaces an earlier CSV file."""
    (clips.folder / "frames.csv").write_text("old")
    result = clips("compare", "in.y4m", "short.y4m", "--frames", "2", "--csv", "frames.csv", "-y")
    assert result.code == 0 and "24x18, 2 frames" in result.out
    assert len((clips.folder / "frames.csv").read_text().splitlines()) == 3


def test_bench_writes_results_and_report(clips: Shell) -> None:
    """bench leaves results.json, results.csv and report.html, prints the points, and the same again
    measures none.
    """
    command = [
        "bench",
        "in.y4m",
        "--codecs",
        "x264",
        "--presets",
        "x264=ultrafast",
        "--settings",
        "x264=20,40",
        "--out",
        "found",
        "--threads",
        "1",
        "--seed",
        "4",
    ]
    result = clips(*command)
    assert result.code == 0, result.err
    assert [line.split(", ")[0] for line in result.out.splitlines()[1:3]] == ["x264 ultrafast"] * 2
    assert result.out.splitlines()[-1] == str(Path("found", "report.html"))
    assert (
        "nervcodec: bench 1/2 points, next: in, x264 ultrafast, crf 40" in result.err.splitlines()
    )
    names = {path.name for path in (clips.folder / "found").iterdir()}
    assert {"results.json", "results.csv", "report.html", "cache", "crops"} <= names
    assert not any(name.startswith("bench-") for name in names)
    again = clips(*command, "--json")
    found = json.loads(again.out)
    assert (again.code, again.err, found["schema"], found["seed"]) == (
        0,
        "",
        "nervcodec.bench/1",
        4,
    )
    assert found == json.loads((clips.folder / "found" / "results.json").read_text())
    assert found["command"] == "nervcodec " + " ".join([*command, "--json"])
    assert [point["setting"] for point in found["points"]] == ["crf 20", "crf 40"]
    assert len((clips.folder / "found" / "results.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compare", "in.y4m"], 2, "DIST"),
        (["compare", "in.y4m", "none.y4m"], 3, "none.y4m"),
        (["compare", "in.y4m", "small.y4m"], 2, "sizes are 24x18 and 16x18"),
        (["compare", "in.y4m", "short.y4m"], 2, "there are 5 and 3 frames; legal: equal numbers"),
        (["compare", "in.y4m", "in2.y4m", "--frames", "6"], 2, "frames is 6; legal: 1 to 5"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "nowhere/a.csv"], 6, "nowhere"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "short.y4m"], 7, "-y"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "in.y4m", "-y"], 7, "is the input itself"),
        (["compare", "in.y4m", "in2.y4m", "--csv", "in2.y4m", "-y"], 7, "is the input itself"),
        (["bench"], 2, "no clips; legal: files, folders of PNG, or --suite NAME"),
        (["bench", "none.y4m"], 3, "none.y4m"),
        (
            ["bench", "in.y4m", "--codecs", "x264,h266"],
            2,
            "codec is 'h266'; legal: nervcodec, x264",
        ),
        (["bench", "in.y4m", "--presets", "x264"], 2, "'x264'; legal: CODEC=VALUE,VALUE"),
        (["bench", "in.y4m", "--settings", "x264=,"], 2, "'x264=,'; legal: CODEC=VALUE,VALUE"),
        (
            ["bench", "in.y4m", "--presets", "svtav1=medium"],
            2,
            "preset of svtav1 is 'medium'; legal: 0, 1, 2",
        ),
        (
            ["bench", "in.y4m", "--codecs", "x264", "--settings", "x265=3"],
            2,
            "settings for 'x265'; legal: x264",
        ),
        (["bench", "in.y4m", "--points", "0"], 2, "points"),
        (["bench", "in.y4m", "--frames", "0"], 2, "frames"),
        (["bench", "in.y4m", "--threads", "0"], 2, "threads is 0"),
        (["bench", "in.y4m", "--encode-options", "'--epochs 1"], 2, "No closing quotation"),
        (["bench", "in.y4m", "--adapter", "none.toml"], 2, "none.toml"),
        (
            ["bench", "in.y4m", "--anchor", "x266"],
            2,
            "anchor is 'x266'; legal: nervcodec medium, x264 medium",
        ),
        (["bench", "in.y4m", "--out", "in2.y4m"], 2, "out is in2.y4m: File exists"),
        (["bench", "--suite", "uvg"], 2, "suite uvg needs the folder of its clips"),
        (["bench", "--suite", "uvg", "--clips", "."], 2, "lacks Beauty, Bosphorus"),
        (["bench", "--suite", "cats"], 2, "cats"),
        (["bench", "in.y4m", "in.y4m"], 2, "clips are in, in; legal: each name once"),
    ],
)
def test_bad_comparisons_are_one_line_and_a_code(
    clips: Shell, arguments: list[str], code: int, words: str
) -> None:
    """Whatever is wrong with compare or bench: one line that names it, the right exit code, and no
    file changes.
    """
    before = {path.name: path.read_bytes() for path in clips.folder.iterdir()}
    result = clips(*arguments)
    assert result.code == code and result.out == ""
    assert words in error_line(result)
    after = {path.name: path.read_bytes() for path in clips.folder.iterdir() if path.is_file()}
    assert after == before
    assert not list(clips.folder.glob("bench-out/*"))


def test_a_codec_that_fails_is_the_errors_line(clips: Shell) -> None:
    """A codec's failure exits 3 with what it said last, and the folder for results stays free of
    its remains.
    """
    result = clips(
        "bench", "in.y4m", "--codecs", "x264", "--settings", "x264=loud", "--points", "1", "--json"
    )
    assert result.code == 3
    assert error_line(result).startswith(
        "nervcodec: error: x264 medium could not encode in: exit 2: nervcodec: error:"
    )
    assert list((clips.folder / "bench-out").rglob("*")) == [clips.folder / "bench-out" / "cache"]
