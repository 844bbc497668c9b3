"""nervcodec.cli.config and habits: files of defaults, -v and -q."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from shell import Result, Shell, error_line, write_clip

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def golden(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A folder with a.nvpp of 7 frames, and a place for a file of defaults."""
    shutil.copy(DATA / "grid_yuv.nvpp", shell.folder / "a.nvpp")
    (shell.folder / "xdg" / "nervcodec").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(shell.folder / "xdg"))
    return shell


def configured(shell: Shell, text: str, *arguments: str) -> Result:
    """What a command says where the file of defaults has this text."""
    (shell.folder / "xdg" / "nervcodec" / "config.toml").write_text(text, "utf-8")
    return shell(*arguments)


DECODE = ("decode", "a.nvpp", "a.y4m", "--json")


def test_a_file_of_defaults_is_found(golden: Shell) -> None:
    """Options are what the command's table says of them, others stay."""
    result = configured(golden, '[decode]\nframes = "2:4"\n[encode]\nepochs = 3\n', *DECODE)
    assert json.loads(result.out)["frames"] == 2


def test_a_file_may_do_without_a_prior(golden: Shell) -> None:
    """prior is an option of encode like others, and the command line's counts more."""
    write_clip(golden.folder / "in.y4m")
    encode = ("encode", "in.y4m", "out.nvpp", "--epochs", "1", "--dry-run", "--json")
    text = '[encode]\nprior = "none"\n'
    plans = [
        json.loads(configured(golden, text, *encode, *more).out)
        for more in ((), ("--prior", "auto"))
    ]
    assert [plan["model"]["prior"] for plan in plans] == [0, 1]


def test_the_command_line_counts_more(golden: Shell) -> None:
    """An option that is given takes the place of the file's, and of those that exclude it."""
    text = "[decode]\nframe = 2\n"
    assert json.loads(configured(golden, text, *DECODE).out)["frames"] == 1
    result = configured(golden, text, *DECODE, "--frames", "0:5", "-y")
    assert json.loads(result.out)["frames"] == 5


def test_a_file_can_be_named(golden: Shell) -> None:
    """--config takes the place of the file that is found."""
    (golden.folder / "mine.toml").write_text('[decode]\nframes = "0:1"\n')
    result = configured(golden, '[decode]\nframes = "0:2"\n', *DECODE, "--config", "mine.toml")
    assert json.loads(result.out)["frames"] == 1


def test_an_empty_variable_stands_for_none(golden: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NERVCODEC_CONFIG is empty, as for the commands of a benchmark, no file is read."""
    monkeypatch.setenv("NERVCODEC_CONFIG", "")
    assert json.loads(configured(golden, "[decode]\nframe = 2\n", *DECODE).out)["frames"] == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[decode]\npreset = "x"', "[decode] has no 'preset'; legal: frames, frame, scale, codec"),
        ("[decod]", "'decod' is not a table of a command; legal: [encode], [decode], [info]"),
        ("frames = 3", "'frames' is not a table of a command; legal: [encode]"),
        ('[decode]\nquality = "best"', "decode.quality is 'best'; legal: a whole number"),
        ("[decode]\nquality = 3.5", "decode.quality is 3.5; legal: a whole number"),
        ("[decode]\nquality = true", "decode.quality is True; legal: a whole number"),
        ("[decode]\nsalvage = 1", "decode.salvage is 1; legal: true or false"),
        ("[decode]\ncodec = 264", "decode.codec is 264; legal: a text"),
        ("[decode]\ncodec = []", "decode.codec is []; legal: a text"),
        ('[decode]\nframes = "3"', "decode.frames: '3' is not a range; legal: A:B"),
        ('[decode]\nlimit = ["side=x"]', "decode.limit: 'side=x'; legal: NAME=N"),
        ("[decode]\nlimit = [3]", "decode.limit is 3; legal: a text"),
        ("[decode", "is not TOML"),
        ("[decode]\nconfig = 'x'", "[decode] has no 'config'; legal: frames"),
    ],
)
def test_a_bad_file_is_one_line(golden: Shell, text: str, words: str) -> None:
    """Exit 2 with the file, the key and what is legal, and nothing is written."""
    result = configured(golden, text, "decode", "a.nvpp", "a.y4m")
    line = error_line(result)
    assert result.code == 2 and f"{golden.folder / 'xdg/nervcodec/config.toml'}" in line
    assert words in line
    assert not (golden.folder / "a.y4m").exists()


def test_a_file_that_is_named_must_be_there(golden: Shell) -> None:
    """A missing file of --config is an error, a missing default file is none."""
    assert golden("info", "a.nvpp").code == 0
    result = golden("info", "a.nvpp", "--config", "none.toml")
    assert result.code == 2 and "cannot read none.toml" in error_line(result)


def test_help_needs_no_file_of_defaults(golden: Shell) -> None:
    """A file that is wrong does not keep a user from reading help."""
    assert configured(golden, "[decode", "decode", "--help").code == 0


def test_quiet_says_nothing(golden: Shell) -> None:
    """-q leaves out notes, progress and figures, but not errors."""
    assert golden("decode", "a.nvpp", "a.mp4", "-q") == (0, "", "")
    assert "exists already" in error_line(golden("decode", "a.nvpp", "a.mp4", "-q"))


def test_quiet_keeps_what_was_asked_for(golden: Shell) -> None:
    """JSON and the answer of info are the command's work, and stay."""
    assert json.loads(golden(*DECODE, "-q").out)["frames"] == 7
    assert golden("info", "a.nvpp", "-q").out.startswith("file ")


def test_verbose_says_settings_paths_and_time(golden: Shell) -> None:
    """-v names what is not as by default, where it comes from, and how long it took."""
    result = configured(golden, "[decode]\nframe = 2\n", "decode", "a.nvpp", "a.y4m", "-v")
    lines = [line.removeprefix("nervcodec: ") for line in result.err.splitlines()]
    assert lines[0] == f"defaults are those of {golden.folder / 'xdg/nervcodec/config.toml'}"
    assert "--frame 2 (by the file of defaults)" in lines and "OUTPUT a.y4m" in lines
    assert lines[-1].startswith("took ")


def test_verbose_names_the_fit(shell: Shell) -> None:
    """encode -v tells the settings of the fit, the threads and where checkpoints stand."""
    write_clip(shell.folder / "in.y4m", n_frames=2)
    options = ("--preset", "ultrafast", "--epochs", "1", "--threads", "1", "-v")
    err = shell("encode", "in.y4m", "out.nvpp", *options).err
    assert "fit: epochs 1, " in err and "device cpu, 1 threads" in err
    assert "checkpoints stand in out.nvpp.part" in err


def test_verbose_and_quiet_exclude_each_other(golden: Shell) -> None:
    """Both on the command line are an error; one in the file yields to one that is given."""
    result = golden("info", "a.nvpp", "-v", "-q")
    assert result.code == 2 and "verbose and quiet are given" in error_line(result)
    text = "[decode]\nverbose = true\n"
    assert configured(golden, text, "decode", "a.nvpp", "a.y4m", "-q").err == ""
