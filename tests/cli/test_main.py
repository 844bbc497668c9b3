"""nervcodec.cli.main: versions, exit codes and the one line of an error."""

from __future__ import annotations

import os

import pytest
from shell import Shell, error_line

from nervcodec import __version__


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


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["encode", "in.y4m"], 2, "OUTPUT.nvpp"),
        (["frob"], 2, "frob"),
        (["encode", "in.y4m", "o.nvpp", "--preset", "best"], 2, "best"),
        (["encode", "in.y4m", "o.nvpp", "--epochs", "0"], 2, "epochs is 0"),
        (["encode", "in.y4m", "o.nvpp", "--epochs", "many"], 2, "many"),
        (["encode", "in.y4m", "o.nvpp", "--frames", "9"], 2, "<= 5"),
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


def test_control_characters_are_escaped(shell: Shell) -> None:
    """A file name cannot write escape sequences to the terminal."""
    result = shell("info", "\x1b[31mred")
    assert result.code == 3 and "\x1b" not in result.err and r"\x1b[31mred" in result.err
