"""nervcodec.format.limits: what a file may ask for is known from its container, refused before
torch is loaded, and raised.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from fresh import run
from shell import Shell, write_clip

from nervcodec.errors import LimitExceeded
from nervcodec.format.container import write_file
from nervcodec.format.costs import kmac_per_pixel
from nervcodec.format.file import File, Header, Segment
from nervcodec.format.limits import NAMES, Limits, memory_bytes
from nervcodec.format.model_config import Block, Grid, GridStem, ModelConfig
from nervcodec.format.tensors import n_parameters
from nervcodec.format.video_format import VideoFormat

MODEL = ModelConfig(64, 48, "yuv420", GridStem(24, 32, (Grid(2, 1),)), (Block(1, 4),))
FORM = VideoFormat(64, 48, Fraction(25), 30)
NEED = {"side": 64, "pixels": 64 * 48, "frames": 30, "parameters": n_parameters(MODEL, (20,))}


def file_of(form: VideoFormat = FORM, model: ModelConfig = MODEL) -> File:
    return File(
        Header(form, model),
        (Segment((10,), (b"\0",) * 3), Segment((20,), (b"\0",) * 3)),
        500,
    )


@pytest.mark.parametrize("name", NEED)
def test_a_limit_is_the_most_that_is_allowed(name: str) -> None:
    """What is asked for exactly is allowed; one less is refused with the value, the limit and the
    option.
    """
    Limits(**{name: NEED[name]}).check(file_of())
    with pytest.raises(LimitExceeded) as error:
        Limits(**{name: NEED[name] - 1}).check(file_of())
    assert (
        str(error.value) == f"{name} is {NEED[name]:,}, more than the limit of {NEED[name] - 1:,}; "
        f"--limit {name}=N raises it"
    )


def test_multiply_adds_are_limited() -> None:
    """A network of more multiply-adds a pixel than allowed is refused."""
    wide = replace(MODEL, blocks=(Block(1, 40),))
    n_kmac = kmac_per_pixel(wide)
    assert n_kmac > 4
    Limits(kmac=int(n_kmac) + 1).check(file_of(model=wide))
    with pytest.raises(
        LimitExceeded, match=f"^kmac is {n_kmac:,.0f}, more than the limit of {int(n_kmac) - 1}; "
    ):
        Limits(kmac=int(n_kmac) - 1).check(file_of(model=wide))


def test_memory_is_that_of_the_longest_segment_and_the_file() -> None:
    """The estimate that is refused is printed, and counts the file's own bytes."""
    need = memory_bytes(MODEL, [(20,)], 500)
    assert memory_bytes(MODEL, [(20,), (3,)], 1500) == need + 3000
    Limits(memory=need).check(file_of())
    with pytest.raises(
        LimitExceeded,
        match=(
            "^decoding takes about [0-9]+ MiB of memory, more than the limit of "
            "[0-9]+ MiB; --max-memory raises it$"
        ),
    ):
        Limits(memory=need - 1).check(file_of())


def test_every_limit_has_a_name() -> None:
    """All limits can be raised by name but memory, which has an option of its own."""
    assert (*NAMES, "memory") == tuple(vars(Limits()))


def test_usual_video_is_within_the_limits() -> None:
    """16384 x 8192 pixels and a million frames are allowed, one more are not."""
    usual = Limits()
    assert (usual.side, usual.pixels, usual.frames) == (16384, 16384 * 8192, 1_000_000)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of 20,000 x 2 pixels."""
    model = ModelConfig(20_000, 2, "yuv420", GridStem(1, 2500, (Grid(1, 1),)), (Block(4, 1),))
    header = Header(VideoFormat(20_000, 2, Fraction(25), 1), model)
    path = tmp_path / "large.nvpp"
    path.write_bytes(write_file(header, [Segment((1,), (b"\0", bytes(9), bytes(2)))]))
    return path


@pytest.mark.parametrize(
    "command", [["decode", "large.nvpp", "out.y4m"], ["verify", "large.nvpp"]], ids=" ".join
)
def test_a_refusal_names_the_option_that_works(
    shell: Shell, large: Path, command: list[str]
) -> None:
    """Exit 5 without the option, 0 with it."""
    refused = shell(*command)
    assert (refused.code, refused.out) == (5, "")
    assert (
        refused.err
        == "nervcodec: error: side is 20,000, more than the limit of 16,384; --limit side=N raises "
        "it\n"
    )
    assert shell(*command, "--limit", "side=20000").code == 0


@pytest.mark.parametrize(
    "text", ["side", "side=", "side=-1", "side=0", "side=1.5", "memory=9", "=3", "size=9"]
)
def test_a_limit_that_is_none_is_refused(shell: Shell, large: Path, text: str) -> None:
    """An unknown name and what is no whole number above 0 are usage errors that say what is
    legal.
    """
    result = shell("verify", "large.nvpp", "--limit", text)
    assert result.code == 2
    assert (
        f"{text!r}; legal: NAME=N, a whole number above 0 for side, pixels, frames, parameters,"
        " kmac" in result.err
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["decode", "large.nvpp", "out.y4m"],
        ["verify", "large.nvpp"],
        ["decode", "cut.nvpp", "out.y4m"],
        ["verify", "cut.nvpp"],
    ],
    ids=" ".join,
)
def test_refusals_need_no_torch(large: Path, arguments: list[str]) -> None:
    """Whatever is refused by the container alone is refused before torch is loaded."""
    large.with_name("cut.nvpp").write_bytes(large.read_bytes()[:-1])
    code = """
import os, sys
os.chdir(sys.argv.pop(1))
from nervcodec.cli.main import main
try:
    main()
except SystemExit as stop:
    print(stop.code, 'torch' in sys.modules)
"""
    assert run(code, str(large.parent), *arguments).split() == [
        "5" if "large.nvpp" in arguments else "4",
        "False",
    ]


def test_encoding_what_decoders_refuse_is_noted(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encode says beforehand that its file needs an option to be decoded."""
    write_clip(shell.folder / "in.y4m")
    monkeypatch.setattr("nervcodec.encoder.fit_plan.Limits", lambda: Limits(frames=4))
    result = shell("encode", "in.y4m", "out.nvpp", "--dry-run")
    assert result.code == 0
    assert (
        "nervcodec: decoders will refuse the file unless told otherwise: frames is 5, more than the"
        " limit of 4; --limit frames=N raises it" in result.err.splitlines()
    )
