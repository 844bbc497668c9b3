"""nervcodec.encoder.resume: what an encode has reached survives any end of it, and nothing damaged
is gone on from.
"""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from nervcodec.encoder import resume as journal_module
from nervcodec.encoder.progress_folder import folder_of
from nervcodec.encoder.resume import Journal, Pace, stored_identity
from nervcodec.errors import ConfigError, OutputError, OutputExists
from nervcodec.format.file import Segment

IDENTITY = {"input": "abc", "fit": {"epochs": 20, "betas": (0.9, 0.99)}}
SEGMENT = Segment((7,), (b"one", b"two", b"\0\xff"))
STATES = [bytes([n]) * (100 + n) for n in range(5)]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.nvpp"


def begun(target: Path) -> Journal:
    return Journal(target, IDENTITY)


def test_a_segment_comes_back(target: Path) -> None:
    """A finished segment and its summary are there for the next process, others are not."""
    with begun(target) as journal:
        journal.add_segment(1, SEGMENT, {"n_rollbacks": 2, "sparsity": 0.1})
    with begun(target) as journal:
        assert journal.segment(1, 3) == (SEGMENT, {"n_rollbacks": 2, "sparsity": 0.1})
        assert journal.segment(0, 3) is None


def test_a_checkpoint_comes_back(target: Path) -> None:
    """The last checkpoint of each segment counts, and that of one is not another's."""
    with begun(target) as journal:
        assert journal.checkpoint(0) is None
        journal.add_checkpoint(0, STATES[1])
        journal.add_checkpoint(0, STATES[2])
        journal.add_checkpoint(7, STATES[3])
    with begun(target) as journal:
        states = [journal.checkpoint(number) for number in (0, 1, 7)]
        assert states == [STATES[2], None, STATES[3]]


def test_a_finished_segment_ends_its_checkpoints(target: Path) -> None:
    """A finished segment needs no checkpoints any more, and others keep theirs."""
    with begun(target) as journal:
        journal.add_checkpoint(0, STATES[1])
        journal.add_checkpoint(0, STATES[2])
        journal.add_checkpoint(1, STATES[3])
        journal.add_segment(0, SEGMENT, {})
        assert journal.checkpoint(0) is None and journal.checkpoint(1) == STATES[3]


@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_a_damaged_checkpoint_falls_back(target: Path, harm: str) -> None:
    """Cut or flipped anywhere, the last checkpoint gives way to the one before; with both damaged
    there is none.
    """
    with begun(target) as journal:
        for state in STATES[1:3]:
            journal.add_checkpoint(0, state)
        last, before = journal.folder / "fit-00000", journal.folder / "fit-00000.before"
        whole = last.read_bytes()
        for at in range(0, len(whole), 7):
            last.write_bytes(
                whole[:at]
                if harm == "cut"
                else whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :]
            )
            assert journal.checkpoint(0) == STATES[1], at
        before.write_bytes(b"")
        assert journal.checkpoint(0) is None


@pytest.mark.parametrize("at", [0, 31, 32, 40, -1])
def test_a_damaged_segment_is_fitted_again(target: Path, at: int) -> None:
    """A segment that is not as it was written does not count."""
    with begun(target) as journal:
        journal.add_segment(0, SEGMENT, {})
        path = journal.folder / "segment-00000"
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
        assert journal.segment(0, 3) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({**IDENTITY, "input": "xyz"}, "another input ('abc', now 'xyz')"),
        (
            {**IDENTITY, "fit": {"epochs": 21, "betas": (0.9, 0.99)}},
            "another fit.epochs (20, now 21)",
        ),
        (
            {**IDENTITY, "fit": {"epochs": 20, "betas": (0.8, 0.99)}},
            "another fit.betas ([0.9, 0.99], now [0.8, 0.99])",
        ),
        ({**IDENTITY, "seed": 1}, "another seed (None, now 1)"),
    ],
)
def test_another_encode_does_not_go_on(target: Path, changed: dict[str, Any], words: str) -> None:
    """What was reached with another input or setting is refused, says what differs and stays."""
    with begun(target) as journal:
        journal.add_segment(0, SEGMENT, {})
    with pytest.raises(ConfigError) as error:
        Journal(target, changed)
    assert words in str(error.value) and "--restart" in str(error.value)
    with begun(target) as journal:
        assert journal.segment(0, 3)
    with Journal(target, changed, restart=True) as journal:
        assert journal.segment(0, 3) is None
        journal.add_segment(0, SEGMENT, {})
    assert stored_identity(target) == json.loads(json.dumps(changed))


def test_without_its_identity_nothing_is_let_in(target: Path) -> None:
    """Where encode.json is lost, the same encode goes on, and another one does not take what is
    there for its own.
    """
    for identity, is_found in ((IDENTITY, True), ({**IDENTITY, "input": "xyz"}, False)):
        with begun(target) as journal:
            journal.add_segment(0, SEGMENT, {})
            journal.add_checkpoint(0, STATES[0])
            (journal.folder / "encode.json").unlink()
        with Journal(target, identity) as journal:
            assert (journal.segment(0, 3) is not None, journal.checkpoint(0) is not None) == (
                is_found,
                is_found,
            )
            assert stored_identity(target) == json.loads(json.dumps(identity))


@pytest.mark.parametrize("content", [b"", b"x", b"[]", b"\xff", b"{}", b"PK\x03\x04", bytes(200)])
def test_what_is_none_of_ours_is_not_there(target: Path, content: bytes) -> None:
    """Files with a good digest that no encode has written count as missing."""
    with begun(target) as journal:
        journal._write("segment-00000", journal._name + content)
        assert journal.segment(0, 3) is None
        journal._write("encode.json", content)
        assert stored_identity(target) == (None if content != b"{}" else {})


def test_files_of_others_stay(target: Path) -> None:
    """Neither a new beginning nor the end of an encode touches files that it has not written."""
    folder = folder_of(target)
    folder.mkdir()
    names = {"notes.txt", "segment-1", "fitting", "lock.txt"}
    for name in names:
        (folder / name).write_text("mine")
    with begun(target) as journal:
        assert not journal.has_progress
        journal.add_segment(0, SEGMENT, {})
    with Journal(target, IDENTITY, restart=True) as journal:
        assert journal.segment(0, 3) is None
        journal.remove()
    assert {path.name for path in folder.iterdir()} == names
    assert {path.read_text() for path in folder.iterdir()} == {"mine"}


@pytest.mark.parametrize("failing", ["mkdir", "open", "write_bytes"])
def test_what_cannot_begin_leaves_nothing(
    target: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Where the folder, the lock or the first file cannot be written, no folder is left."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open" if failing == "open" else f"pathlib.Path.{failing}", full)
        with pytest.raises(
            OutputError, match=r"cannot write .*out\.nvpp\.part.*: No space left on device$"
        ):
            begun(target)
    assert not folder_of(target).exists()


def test_one_encode_at_a_time(target: Path) -> None:
    """While one encode runs, another to the same output is refused at once; to another output it is
    not.
    """
    with begun(target) as journal:
        journal.add_segment(0, SEGMENT, {})
        with pytest.raises(OutputExists, match="is being written by another encode"):
            begun(target)
        with begun(target.with_name("other.nvpp")):
            pass
    with begun(target) as journal:
        assert journal.segment(0, 3)


def test_the_end_of_an_encode_frees_the_output(target: Path) -> None:
    """After the last encode has removed its journal a new one can begin, and not before it has let
    go.
    """
    first = begun(target)
    first.remove()
    with begun(target) as second:
        first.__exit__(None, None, None)
        with pytest.raises(OutputExists):
            begun(target)
        second.add_segment(0, SEGMENT, {})
    assert folder_of(target).exists()


def test_nothing_reached_leaves_nothing(target: Path) -> None:
    """An encode that ends before its first checkpoint leaves no folder, one that ends later
    does.
    """
    with begun(target):
        assert folder_of(target).is_dir()
    assert not folder_of(target).exists() and stored_identity(target) is None
    with begun(target) as journal:
        journal.add_checkpoint(0, STATES[0])
    assert folder_of(target).exists()


@pytest.mark.parametrize("failing", ["write", "fsync", "read back", "rename"])
@pytest.mark.parametrize("n_calls", [0, 1])
def test_a_failing_disk_spares_the_last_checkpoint(
    target: Path, monkeypatch: pytest.MonkeyPatch, failing: str, n_calls: int
) -> None:
    """Whichever call fails, the error is exit 6, no part of a file is left and there is a whole
    checkpoint.
    """
    calls = [0]

    def full(original: Any) -> Any:
        def call(*arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] > n_calls:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(*arguments)

        return call

    with begun(target) as journal:
        for state in STATES[1:3]:
            journal.add_checkpoint(0, state)
        with monkeypatch.context() as patch:
            if failing == "write":
                patch.setattr(Path, "write_bytes", full(Path.write_bytes))
            elif failing == "fsync":
                patch.setattr(os, "fsync", full(os.fsync))
            elif failing == "rename":
                patch.setattr(os, "replace", full(os.replace))
            else:
                patch.setattr(journal_module, "_read", lambda _: b"")
            for state in STATES[3:5]:
                try:
                    journal.add_checkpoint(0, state)
                except OutputError as error:
                    assert error.exit_code == 6
                    break
            else:
                pytest.fail("no call failed") if failing != "fsync" else None
        assert journal.checkpoint(0) in STATES[1:4]
        assert not list(journal.folder.glob("*.new"))


def test_the_pace_of_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is due so many seconds after the last."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace(60)
    seen = []
    for now[0] in (100.0, 159.9, 160.0, 200.0):
        seen.append(pace.is_due())
    pace.taken()
    now[0] = 259.0
    assert [*seen, pace.is_due()] == [False, False, True, True, False]


def test_an_end_that_is_asked_for() -> None:
    """A fit ends with a checkpoint when asked once, at once when asked twice; what is no fit ends
    at once.
    """
    pace = Pace(60)
    with pytest.raises(KeyboardInterrupt):
        pace.end()
    pace.is_fitting = True
    assert not pace.is_due()
    pace.end()
    assert pace.is_due()
    with pytest.raises(KeyboardInterrupt):
        pace.end()
