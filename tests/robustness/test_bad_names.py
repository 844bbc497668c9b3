"""Names of inputs and outputs that cannot be: one line, the right code, and nothing is lost."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from refusals import LONG, NO_PICTURES, OLD, contents, refused
from shell import Shell


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.mp4", "cannot read none.mp4: there is no such file"),
        ("in.y4m/frames", "cannot read in.y4m/frames: there is no such file"),
        (
            "https://example.org/a.mp4",
            "cannot read https:/example.org/a.mp4: there is no such file",
        ),
        ("pipe:0", "cannot read pipe:0: there is no such file"),
        ("", "the input has no name; name a file or a folder of pictures"),
        (LONG, f"cannot read {LONG}: File name too long"),
        ("/dev/zero", "cannot read /dev/zero: it is neither a file nor a folder"),
        ("folder.y4m", "folder.y4m: " + NO_PICTURES[4:]),
        ("link.y4m", "cannot read link.y4m: there is no such file"),
        ("loop.y4m", "cannot read loop.y4m: Too many levels of symbolic links"),
        ("\x1b[31mred\n.y4m", re.escape(r"cannot read \x1b[31mred\n.y4m: there is no such file")),
        (os.fsdecode(b"\xff.y4m"), re.escape(r"cannot read \udcff.y4m: there is no such file")),
    ],
)
def test_bad_inputs_by_name(tiny_clip: Shell, source: str, message: str) -> None:
    """What does not exist, cannot exist or is no file is refused by its name, escaped, and never
    waited for.
    """
    (tiny_clip.folder / "folder.y4m").mkdir()
    (tiny_clip.folder / "link.y4m").symlink_to("nowhere")
    (tiny_clip.folder / "loop.y4m").symlink_to("loop.y4m")
    (tiny_clip.folder / "out.nvpp").write_bytes(OLD)
    refused(tiny_clip, ["encode", source, "out.nvpp", "-y"], 3, message)


@pytest.mark.parametrize(
    ("destination", "code", "message"),
    [
        ("in.y4m", 7, "in.y4m is the input itself; choose another output"),
        ("./in.y4m", 7, "./in.y4m is the input itself; choose another output"),
        ("link.nvpp", 7, "link.nvpp is the input itself; choose another output"),
        ("hard.nvpp", 7, "hard.nvpp is the input itself; choose another output"),
        ("folder", 6, "cannot write folder: it is a folder; name a file"),
        ("folder/", 6, "cannot write folder/: it is a folder; name a file"),
        (".", 6, r"cannot write \.: it is a folder; name a file"),
        ("", 6, "the output has no name; name a file"),
        (
            "nowhere/out.nvpp",
            6,
            "cannot write nowhere/out.nvpp: there is no folder nowhere; create it first",
        ),
        (
            "in.y4m/out.nvpp",
            6,
            "cannot write in.y4m/out.nvpp: there is no folder in.y4m; create it first",
        ),
        (
            "dangling.nvpp",
            6,
            "cannot write dangling.nvpp: there is no folder .*/nowhere; create it first",
        ),
        (LONG, 6, f"cannot write {LONG}: File name too long"),
        ("fifo", 6, "cannot write fifo: it is not a regular file; name a file"),
        ("/dev/null", 6, "cannot write /dev/null: it is not a regular file; name a file"),
        ("/dev/full", 6, "cannot write /dev/full: it is not a regular file; name a file"),
        ("/dev/fd/{pipe}", 6, r"cannot write /dev/fd/\d+: it is not a regular file; name a file"),
    ],
)
def test_bad_outputs(tiny_clip: Shell, destination: str, code: int, message: str) -> None:
    """An output that cannot be, or that is the input by whichever name, is refused at once, -y or
    not.
    """
    (tiny_clip.folder / "folder").mkdir()
    (tiny_clip.folder / "link.nvpp").symlink_to("in.y4m")
    (tiny_clip.folder / "hard.nvpp").hardlink_to(tiny_clip.folder / "in.y4m")
    (tiny_clip.folder / "dangling.nvpp").symlink_to("nowhere/out.nvpp")
    os.mkfifo(tiny_clip.folder / "fifo")
    reader, writer = os.pipe()
    try:
        for more in ([], ["-y"]):
            refused(
                tiny_clip,
                ["encode", "in.y4m", destination.format(pipe=writer), "--epochs", "1", *more],
                code,
                message,
            )
    finally:
        os.close(reader)
        os.close(writer)


def test_existing_outputs_stay(tiny_clip: Shell) -> None:
    """Without -y an existing output is neither replaced nor touched."""
    (tiny_clip.folder / "out.nvpp").write_bytes(OLD)
    refused(
        tiny_clip, ["encode", "in.y4m", "out.nvpp"], 7, "out.nvpp exists already; -y overwrites it"
    )


def test_folder_without_permission_to_write(
    tiny_clip: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may not be written to is found before any work; os.access is made to say so,
    for root may.
    """
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(
        tiny_clip,
        ["encode", "in.y4m", "out.nvpp"],
        6,
        r"cannot write out.nvpp: the folder \. is not writable",
    )


def test_input_without_permission_to_read(
    tiny_clip: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input that may not be read is refused with that reason; Path.stat is made to say so, for
    root may.
    """
    original = Path.stat

    def forbidden(path: Path, **options: bool) -> os.stat_result:
        if path.name == "in.y4m":
            raise PermissionError(13, "Permission denied")
        return original(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", forbidden)
        result = tiny_clip("encode", "in.y4m", "out.nvpp")
    assert (result.code, result.err) == (
        3,
        "nervcodec: error: cannot read in.y4m: Permission denied\n",
    )
    assert list(contents(tiny_clip.folder)) == ["in.y4m"]


def test_the_folder_of_an_unfinished_encode_must_be_one(tiny_clip: Shell) -> None:
    """A file by the name that an encode needs for its own folder is refused by that name, and
    stays.
    """
    (tiny_clip.folder / "out.nvpp.part").write_bytes(b"mine")
    before = contents(tiny_clip.folder)
    result = tiny_clip("encode", "in.y4m", "out.nvpp", "--epochs", "1", "--json")
    assert (result.code, result.out) == (7, "")
    assert (
        result.err
        == "nervcodec: error: out.nvpp.part is not a folder, and the encode needs one of that"
        " name; "
        "move it away\n"
    )
    assert contents(tiny_clip.folder) == before
