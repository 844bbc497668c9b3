"""Writes that fail: one line, exit 6, nothing half written, and what was reached before is still
good.
"""

from __future__ import annotations

import builtins
import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shell import TWO_SEGMENTS, Result, Shell, write_clip

from nervcodec.encoder.progress_folder import folder_of
from nervcodec.encoder.resume import Journal

ENCODE = (*TWO_SEGMENTS, "--json")


class Faults:
    """Counts the calls that write below a folder, and makes the one of a given number fail.

    Attributes:
        calls: what was called with which file, such as 'replace out.nvpp.part/fit', since begin().
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self._folder, self._failing = folder.resolve(), range(0)
        watched: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
            (os, "replace", lambda _, target: target),
            (os, "open", lambda path, *_, **__: path),
            (os, "fsync", lambda handle: os.readlink(f"/proc/self/fd/{handle}")),
            (builtins, "open", lambda path, mode="r", *_, **__: path if "w" in mode else "/"),
            (Path, "mkdir", lambda path, **_: path),
            (Path, "unlink", lambda path, **_: path if path.name in ("fit", "fit.before") else "/"),
            (Path, "write_bytes", lambda path, _: path),
        )
        for owner, name, path_of in watched:
            monkeypatch.setattr(owner, name, self._watched(name, getattr(owner, name), path_of))

    def begin(self, failing: int = 0, n_failing: int = 1) -> None:
        """From here on calls are counted; from that of a number on, from 1, so many fail."""
        self.calls, self._failing = [], range(failing, failing + n_failing) if failing else range(0)

    def _watched(
        self, name: str, original: Callable[..., Any], path_of: Callable[..., Any]
    ) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            path = path_of(*arguments, **options)
            path = self._folder / (path if isinstance(path, str | Path) else "/")
            if self._folder not in path.parents and path != self._folder:
                return original(*arguments, **options)
            label = re.sub(r"(\.nervcodec-)\w+", r"\1", str(path.relative_to(self._folder)))
            self.calls.append(f"{name} {label}")
            if len(self.calls) in self._failing:
                if name == "write_bytes":  # as on a full disk: what fitted is there
                    original(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return original(*arguments, **options)

        return call


@pytest.fixture
def faults(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Faults below the shell's folder, in which there is a clip."""
    write_clip(shell.folder / "in.y4m", 8, 6, 4)
    return Faults(shell.folder, monkeypatch)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def one_line(result: Result, message: str) -> None:
    """The result is that of a failed write: exit 6, nothing on stdout, one line on stderr (a
    pattern).
    """
    assert (result.code, result.out) == (6, ""), result.err
    assert re.fullmatch(f"nervcodec: error: {message}\n", result.err), result.err


def nothing_but(folder: Path, *names: str) -> None:
    """The folder holds these, maybe what an encode goes on from, and no half-written file
    anywhere.
    """
    assert set(listing(folder)) - {"out.nvpp.part"} == set(names)
    journal = listing(folder / "out.nvpp.part") if (folder / "out.nvpp.part").exists() else []
    assert not [name for name in journal if name.endswith(".new")]


# Encoding


@pytest.fixture(scope="module")
def written_once() -> list[tuple[bytes, list[str]]]:
    """Holds `whole` once it was made: each encode is the same."""
    return []


@pytest.fixture
def whole(
    shell: Shell, faults: Faults, written_once: list[tuple[bytes, list[str]]]
) -> tuple[bytes, list[str]]:
    """The file that ENCODE makes where nothing fails, and the calls that write it; the file itself
    is gone again.
    """
    if not written_once:
        faults.begin()
        assert shell(*ENCODE).code == 0
        nothing_but(shell.folder, "in.y4m", "out.nvpp")
        written_once.append(((shell.folder / "out.nvpp").read_bytes(), faults.calls))
        (shell.folder / "out.nvpp").unlink()
    return written_once[0]


def is_best_effort(call: str) -> bool:
    """Whether a call only makes sure of a folder's entries, which some file systems cannot."""
    name, _, path = call.partition(" ")
    return name in ("open", "fsync") and path in (".", "out.nvpp.part")


def test_the_calls_that_fail_below_are_those_that_count(whole: tuple[bytes, list[str]]) -> None:
    """The layer sees each kind of write of an encode: folder, lock, checkpoints, segments, output,
    and their syncs.
    """
    _, calls = whole
    assert len(calls) > 50
    assert calls[:2] == ["mkdir out.nvpp.part", "open out.nvpp.part/lock"]
    assert calls.count("replace out.nvpp.part/fit-00000") == 3
    for name in ("fit-00000", "fit-00001", "segment-00000", "segment-00001"):
        path = f"out.nvpp.part/{name}"
        assert {f"write_bytes {path}.new", f"fsync {path}.new", f"replace {path}"} < set(calls)
    assert calls[-7:] == [
        "open .nervcodec-.nvpp",
        "write_bytes .nervcodec-.nvpp",
        "open .nervcodec-.nvpp",
        "fsync .nervcodec-.nvpp",
        "replace out.nvpp",
        "open .",
        "fsync .",
    ]


@pytest.mark.parametrize(
    ("n_failing", "every"),
    [(1, False), (1000, False), pytest.param(1, True, marks=pytest.mark.slow)],
    ids=["once", "for good", "every call"],
)
def test_every_write_of_an_encode_may_fail(
    shell: Shell, faults: Faults, whole: tuple[bytes, list[str]], n_failing: int, every: bool
) -> None:
    """Whichever call fails, it is exit 6 and one line; the same command then goes on and gives the
    same file.
    """
    data, calls = whole
    output = shell.folder / "out.nvpp"
    # Of calls that do the same to the same file the first stands for all, and of those that fail
    # for good every third.
    sample = [calls.index(call) for call in dict.fromkeys(calls)][:: 1 if n_failing == 1 else 3]
    for at in range(len(calls)) if every else sample:
        faults.begin(at + 1, n_failing)
        result = shell(*ENCODE)
        reached = re.findall(
            r"^replace out\.nvpp\.part/(fit|segment)(?:-\d+)?$", "\n".join(faults.calls[:at]), re.M
        )
        faults.begin()
        if all(map(is_best_effort, calls[at : at + n_failing])):
            assert result.code == 0 and output.read_bytes() == data, calls[at]
        else:
            one_line(result, r"cannot write out\.nvpp\S*: Input/output error")
            nothing_but(shell.folder, "in.y4m")
            again = shell(*ENCODE)
            assert again.code == 0 and output.read_bytes() == data, calls[at]
            words = {"fit": "going on from ", "segment": " fitted before"}
            assert words[reached[-1]] in again.err if reached else again.err == "", calls[at]
        assert listing(shell.folder) == ["in.y4m", "out.nvpp"], calls[at]
        output.unlink()


def test_an_earlier_output_outlives_failures(
    shell: Shell, faults: Faults, whole: tuple[bytes, list[str]]
) -> None:
    """Where -y was to replace an earlier file, it stands until the new one is whole."""
    data, calls = whole
    old = shell.folder / "out.nvpp"
    old.write_bytes(b"old")
    for failing in range(
        calls.index("open .nervcodec-.nvpp") + 1, calls.index("replace out.nvpp") + 2
    ):
        faults.begin(failing)
        one_line(shell(*ENCODE, "-y"), r"cannot write out\.nvpp: Input/output error")
        faults.begin()
        assert old.read_bytes() == b"old"
        nothing_but(shell.folder, "in.y4m", "out.nvpp")
        shutil.rmtree(folder_of(old))
    assert shell(*ENCODE, "-y").code == 0
    assert old.read_bytes() == data


# Checkpoints that were harmed


@pytest.fixture
def crashed(
    shell: Shell, whole: tuple[bytes, list[str]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, bytes]:
    """The folder of an encode that ended without a word after its fifth checkpoint, and its file
    were it whole.
    """
    original, n_left = Journal.add_checkpoint, [5]

    def add(journal: Journal, *arguments: Any) -> None:
        original(journal, *arguments)
        n_left[0] -= 1
        if not n_left[0]:
            raise RuntimeError("power loss")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add_checkpoint", add)
        with pytest.raises(RuntimeError, match="power loss"):
            shell(*ENCODE)
    folder = folder_of(shell.folder / "out.nvpp")
    names = ["encode.json", "fit-00001", "fit-00001.before", "lock", "segment-00000", "survey.json"]
    assert listing(folder) == names
    return folder, whole[0]


def positions(n_bytes: int, n_positions: int) -> list[int]:
    """The digests' borders and a sample of the rest."""
    return sorted(
        {0, 1, 31, 32, 63, 64, n_bytes - 1, *range(65, n_bytes - 1, n_bytes // n_positions)}
    )


def cut(data: bytes, at: int) -> bytes:
    return data[:at]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("harm", [cut, flipped])
@pytest.mark.parametrize("n_positions", [6, pytest.param(300, marks=pytest.mark.slow)])
def test_a_harmed_checkpoint_gives_way_to_the_one_before(
    shell: Shell, crashed: tuple[Path, bytes], n_positions: int, harm: Callable[[bytes, int], bytes]
) -> None:
    """Cut or flipped anywhere, the last checkpoint is not gone on from; the one before is, to the
    same file.
    """
    folder, data = crashed
    shutil.copytree(folder, folder.with_name("copy"))
    last = (folder / "fit-00001").read_bytes()
    for at in positions(len(last), n_positions):
        (folder / "fit-00001").write_bytes(harm(last, at))
        result = shell(*ENCODE)
        assert result.code == 0, result.err
        assert [line.split(",")[0] for line in result.err.splitlines()] == [
            "nervcodec: segment 1 of 2 was fitted before",
            "nervcodec: segment 2: going on from fit epoch 2 of 2",
        ], at
        assert (shell.folder / "out.nvpp").read_bytes() == data, at
        (shell.folder / "out.nvpp").unlink()
        shutil.copytree(folder.with_name("copy"), folder)


@pytest.mark.parametrize(
    ("names", "first_words"),
    [
        ((), ["segment 1 of 2 was fitted before", "segment 2: going on from fit epoch 2 of 2"]),
        (("fit-00001", "fit-00001.before"), ["segment 1 of 2 was fitted before"]),
        (("segment-00000",), ["segment 2: going on from fit epoch 2 of 2"]),
        (
            ("encode.json",),
            ["segment 1 of 2 was fitted before", "segment 2: going on from fit epoch 2 of 2"],
        ),
        (
            ("survey.json",),
            ["segment 1 of 2 was fitted before", "segment 2: going on from fit epoch 2 of 2"],
        ),
        (("encode.json", "survey.json", "fit-00001", "fit-00001.before", "segment-00000"), []),
    ],
    ids=["nothing", "both checkpoints", "segment", "encode.json", "survey", "everything"],
)
@pytest.mark.parametrize("harm", ["cut", "flipped", "gone"])
def test_whatever_is_harmed_the_file_is_the_same(
    shell: Shell,
    crashed: tuple[Path, bytes],
    names: tuple[str, ...],
    first_words: list[str],
    harm: str,
) -> None:
    """Without one of its files an encode goes on from what is left, and says from what."""
    folder, data = crashed
    for name in names:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(
            whole[:-1] if harm == "cut" else flipped(whole, len(whole) // 2)
        )
        if harm == "gone":
            (folder / name).unlink()
    result = shell(*ENCODE)
    assert result.code == 0, result.err
    assert [line.split(",")[0] for line in result.err.splitlines()] == [
        f"nervcodec: {words}" for words in first_words
    ]
    assert (shell.folder / "out.nvpp").read_bytes() == data
    assert listing(shell.folder) == ["in.y4m", "out.nvpp"]


def test_what_another_encode_has_reached_is_not_let_in(
    shell: Shell, crashed: tuple[Path, bytes]
) -> None:
    """Where encode.json is lost, segments and checkpoints of another input are not taken for this
    one's.
    """
    folder, data = crashed
    (folder / "encode.json").unlink()
    video = (shell.folder / "in.y4m").read_bytes()
    (shell.folder / "in.y4m").write_bytes(flipped(video, len(video) - 1))
    result = shell(*ENCODE)
    assert (result.code, result.err) == (0, "")
    other = (shell.folder / "out.nvpp").read_bytes()
    assert other != data and shell(*ENCODE, "-y").code == 0
    assert (shell.folder / "out.nvpp").read_bytes() == other


# Decoding


@pytest.mark.parametrize("name", ["back.y4m", "back.mkv", "back"])
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "replaced"])
def test_every_write_of_a_decode_may_fail(
    shell: Shell, faults: Faults, whole: tuple[bytes, list[str]], name: str, is_there: bool
) -> None:
    """Whichever call fails, there is one line, no part of an output, and an earlier output is as it
    was.
    """
    (shell.folder / "in.nvpp").write_bytes(whole[0])
    target, decode = shell.folder / name, ("decode", "in.nvpp", name, "-y", "--json")

    def content() -> dict[str, bytes]:
        files = [target] if target.is_file() else sorted(target.glob("*"))
        return {file.name: file.read_bytes() for file in files}

    faults.begin()
    assert shell(*decode).code == 0
    calls, new, failing = faults.calls, content(), 0
    assert new and f"replace {name}" in calls
    while failing < len(calls):
        failing += 1
        _emptied(target)
        if is_there:
            assert shell(*decode, *(["--frames", "1:3"])).code == 0
        old = content()
        faults.begin(failing)
        result = shell(*decode)
        calls = faults.calls
        faults.begin()
        if result.code == 0:
            assert calls[failing - 1] in (
                "open .",
                "fsync .",
                "open .nervcodec-",
                "fsync .nervcodec-",
            )
            assert content() == new
        else:
            one_line(result, f"cannot write {name}: Input/output error")
            assert content() == old
        assert listing(shell.folder) == sorted(
            ["in.nvpp", "in.y4m", *([name] if target.exists() else [])]
        )


def _emptied(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)


# Disks that are full


def limited(largest_file: int, folder: Path, *arguments: str) -> Result:
    """Runs a command in a process of its own, in which no file may grow beyond a size."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file},"
        f" {largest_file})); "
    )
    code += "from nervcodec.cli.main import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return Result(done.returncode, done.stdout, done.stderr)


def test_files_that_may_not_grow(shell: Shell) -> None:
    """An output that outgrows what is allowed is not there; the segments that did not are gone on
    from.
    """
    write_clip(shell.folder / "in.y4m", 8, 6, 4)
    # A network whose file is larger than all that is kept beside it, but for a checkpoint.
    options = ("--preset", "paper-xs", "--epochs", "1", "--segment-frames", "2", "--json")
    encode = ["encode", "in.y4m", "out.nvpp", *options]
    assert shell(*encode).code == 0
    data = (shell.folder / "out.nvpp").read_bytes()
    (shell.folder / "out.nvpp").unlink()
    one_line(
        limited(len(data) - 1, shell.folder, *encode, "--threads", "1"),
        r"cannot write out\.nvpp: File too large",
    )
    nothing_but(shell.folder, "in.y4m")
    result = shell(*encode)
    assert result.err == "nervcodec: 2 of 2 segments were fitted before\n"
    assert result.code == 0 and (shell.folder / "out.nvpp").read_bytes() == data
    one_line(
        limited(200, shell.folder, "decode", "out.nvpp", "back.y4m", "--json"),
        r"cannot write back\.y4m: File too large",
    )
    assert listing(shell.folder) == ["in.y4m", "out.nvpp"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; skips where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    if (
        not shutil.which("mount")
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(
    shell: Shell, whole: tuple[bytes, list[str]], small_disk: Path
) -> None:
    """On a full disk encode and decode end with that reason and nothing half written; with room
    they do their work.
    """
    data, _ = whole
    filler = small_disk / "filler"
    filler.write_bytes(bytes(48 << 10))
    encode = tuple("disk/out.nvpp" if argument == "out.nvpp" else argument for argument in ENCODE)
    one_line(shell(*encode), r"cannot write disk/out\.nvpp\S*: No space left on device")
    nothing_but(small_disk, "filler")
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert shell(*encode).code == 0
    assert (small_disk / "out.nvpp").read_bytes() == data
    (small_disk / "old.y4m").write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(9 << 20))
    one_line(
        shell("decode", "disk/out.nvpp", "disk/back.y4m", "--json"),
        r"cannot write disk/back\.y4m: No space left on device",
    )
    one_line(
        shell("decode", "disk/out.nvpp", "disk/old.y4m", "--json", "-y"),
        r"cannot write disk/old\.y4m: No space left on device",
    )
    assert listing(small_disk) == ["filler", "old.y4m", "out.nvpp"]
    assert (small_disk / "old.y4m").read_bytes() == b"old" and (
        small_disk / "out.nvpp"
    ).read_bytes() == data
