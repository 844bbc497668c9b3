"""Files that an enemy made (hostile.py) are refused by the right check, in one line, and cost next
to nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from fresh import assert_refused, assert_refused_cheaply
from hostile import (
    CASES,
    CONTAINER,
    GOOD,
    LIMITS,
    STREAMS,
    Case,
    file_of,
    flipped,
    header,
    segment,
    write_all,
)
from shell import Shell

from nervcodec.coding.streams import decode_symbols_of
from nervcodec.errors import BitstreamError, Truncated
from nervcodec.format.container import load
from nervcodec.format.limits import Limits
from nervcodec.format.salvage import salvage

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def refusal(path: Path) -> tuple[str, BitstreamError]:
    """What refuses a file, and how; it is taken as far as a decoder takes it without torch."""
    stage = CONTAINER
    try:
        file = load(path)
        stage = LIMITS
        Limits().check(file)
        stage = STREAMS
        for each in file.segments:
            decode_symbols_of(each, file.header.model)
    except BitstreamError as error:
        return stage, error
    raise AssertionError("accepted")


def test_there_are_many_and_small_ones() -> None:
    """Over a hundred files of different names, none of 1 KiB, for each of the stages that may
    refuse one.
    """
    assert len({case.name for case in CASES}) == len(CASES) > 100
    assert max(len(case.data) for case in CASES) < 1024
    assert {
        stage: sum(case.stage == stage for case in CASES) >= 15
        for stage in (CONTAINER, LIMITS, STREAMS)
    } == {CONTAINER: True, LIMITS: True, STREAMS: True}


def test_the_file_that_they_are_made_from_is_good(shell: Shell) -> None:
    """So what is wrong with each is what was changed."""
    Path("good.nvpp").write_bytes(GOOD)
    assert (
        shell("decode", "good.nvpp", "out.y4m").code == 0
        and Path("out.y4m").stat().st_size > 4 * 2 * 3 // 2
    )
    assert shell("verify", "good.nvpp").code == 0 and shell("info", "good.nvpp").code == 0


@every_case
def test_each_is_refused_for_what_is_wrong_with_it(case: Case, tmp_path: Path) -> None:
    """The error is of exactly the expected class, from the expected stage, with the expected
    message.
    """
    path = tmp_path / "a.nvpp"
    path.write_bytes(case.data)
    stage, error = refusal(path)
    assert (stage, type(error), error.exit_code) == (case.stage, case.error, case.exit_code)
    assert re.fullmatch(".*".join(map(re.escape, case.message.split("*"))), str(error)), str(error)


def test_refusing_them_takes_no_memory(tmp_path: Path) -> None:
    """No file makes its reader hold 8 MiB, numpy's arrays included."""
    write_all(tmp_path)
    tracemalloc.start()
    try:
        for case in CASES:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            refusal(tmp_path / f"{case.name}.nvpp")
            assert tracemalloc.get_traced_memory()[1] - before < 8 << 20, case.name
    finally:
        tracemalloc.stop()


@every_case
def test_salvage_takes_only_what_is_whole(case: Case) -> None:
    """What can be saved of a hostile file is whole segments whose frames are counted; else it is
    refused.
    """
    try:
        file, lost = salvage(case.data)
    except BitstreamError as error:
        assert case.stage == CONTAINER and str(error).isprintable()
    else:
        repeats = file.extras.repeats
        n_shown = repeats.n_shown if repeats else file.n_coded_frames
        assert file.segments and file.header.format.n_frames == n_shown
        assert case.stage == CONTAINER or not lost


def test_salvage_says_that_nothing_is_left() -> None:
    """An error of salvage says how many segments there are, and of what the bytes ran out."""
    with pytest.raises(Truncated, match="^file: none of its 1 segments is whole$"):
        salvage(flipped(GOOD, len(GOOD) - 1))
    with pytest.raises(Truncated, match="^file: 61 bytes wanted at byte 12, 8 there$"):
        salvage(GOOD[:20])


def test_a_segment_of_one_frame_may_be_lost() -> None:
    """As many frames as damaged segments are enough for them: one each."""
    two = file_of(segment(), segment(), head=header(n_frames=2))
    file, lost = salvage(flipped(two, len(two) - 1))
    assert (len(file.segments), file.header.format.n_frames, lost) == (1, 1, (range(1, 2),))


@every_case
def test_commands_refuse_each_in_one_line(case: Case, shell: Shell) -> None:
    """decode and verify give the exit code and one line, and no file; so does info where the
    container is wrong.
    """
    Path("a.nvpp").write_bytes(case.data)
    assert_refused(shell("decode", "a.nvpp", "out.y4m"), case.exit_code)
    assert_refused(shell("verify", "a.nvpp"), case.exit_code)
    if case.stage == CONTAINER:
        assert_refused(shell("info", "a.nvpp"), 4)
    else:  # info decodes nothing, so that it may tell what a bomb asks for
        told = shell("info", "a.nvpp")
        assert (told.code, told.err) == (0, "") and "to decode" in told.out
    assert [path.name for path in shell.folder.iterdir()] == ["a.nvpp"]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("escape-codes", "info"),
        ("version-2", "verify"),
        ("header-length-65535", "info"),
        ("n_frames-4294967295", "info"),
        ("prior-255", "decode"),
        ("n-sections-4294967295", "info"),
        ("n-sections-beyond-the-file", "verify"),
        ("section-length-4294967295", "decode"),
        ("stream-length-4294967295", "info"),
        ("bomb-frame-of-65535", "decode"),
        ("bomb-frames", "verify"),
        ("bomb-parameters-mlp", "decode"),
        ("bomb-empty-groups", "verify"),
        ("bomb-one-table-for-2-to-the-30", "decode"),
        ("bomb-multiply-adds-in-the-head", "verify"),
        ("bomb-memory-of-tables", "decode"),
    ],
)
def test_a_fresh_process_refuses_them_at_once(name: str, command: str, tmp_path: Path) -> None:
    """Start of Python included, a refusal takes less than 2 seconds and 512 MiB."""
    (case,) = (case for case in CASES if case.name == name)
    (tmp_path / "a.nvpp").write_bytes(case.data)
    arguments = [command, "a.nvpp", *(["out.y4m"] if command == "decode" else [])]
    assert_refused_cheaply(tmp_path, arguments, case.exit_code, case.message.split("*")[0])
    assert [path.name for path in tmp_path.iterdir()] == ["a.nvpp"]


@pytest.mark.parametrize(
    "name",
    [
        "new\nline",
        "two\r\nlines",
        "\x1b[2J\x1b[31mred",
        "bell\x07",
        "back\b\b\bspace",
        "turned \u202e round",
        "no text \udcff",
    ],
    ids=ascii,
)
def test_names_cannot_write_on_the_terminal(name: str, shell: Shell) -> None:
    """Whatever a file is called, its name is shown with control characters escaped, and an error is
    one line.
    """
    Path("good.nvpp").write_bytes(GOOD)
    assert_refused(shell("info", name), 3, ascii(name)[1:-1] + ": No such file")
    Path(name).write_bytes(GOOD)
    told = shell("info", name)
    assert told.code == 0 and told.out.isascii() and told.out.replace("\n", "").isprintable()
    assert told.out.startswith(f"file          {ascii(name)[1:-1]}: 175 bytes")
    assert_refused(shell("decode", "good.nvpp", name), 7, ascii(name)[1:-1])


def test_all_are_written_for_other_readers(tmp_path: Path) -> None:
    """The script writes every case into a folder and lists what is expected of it."""
    script = Path(__file__).parents[1] / "support" / "hostile.py"
    listed = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "new")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {
        f"{case.name}.nvpp": case.data for case in CASES
    }
    assert len(listed) == len(CASES)
    assert (
        "bomb-frames.nvpp  175 bytes  exit 5  LimitExceeded: frames is 16,777,216, more than the"
        " limit of 1,000,000; --limit frames=N raises it" in listed
    )
