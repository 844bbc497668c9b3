"""nervcodec.util.files: outputs stand whole or not at all, and nothing of anybody else's is
lost.
"""

import errno
import os
from pathlib import Path

import pytest

from nervcodec.errors import OutputError, OutputExists
from nervcodec.util.files import FRAME_NAME, check_output, whole_file, whole_folder


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def make_frames(folder: Path, content: str = "old") -> None:
    folder.mkdir()
    (folder / FRAME_NAME.format(1)).write_text(content)


def test_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    """The name stands only after the block, with all of its content, and nothing else is left."""
    target = tmp_path / "out.bin"
    with whole_file(target, overwrite=False) as part:
        part.write_bytes(b"abc")
        assert not target.exists()
        assert part.parent == tmp_path and part.suffix == ".bin"
    assert target.read_bytes() == b"abc"
    assert listing(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_file_is_gone_after_an_exception(tmp_path: Path, error: type[BaseException]) -> None:
    """An exception leaves neither the output nor the temporary file."""
    with pytest.raises(error):
        with whole_file(tmp_path / "out.bin", overwrite=False) as part:
            part.write_bytes(b"abc")
            raise error
    assert listing(tmp_path) == []


def test_old_file_survives_an_exception(tmp_path: Path) -> None:
    """A failed overwrite leaves what stood there before."""
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(ValueError):
        with whole_file(target, overwrite=True) as part:
            part.write_bytes(b"new")
            raise ValueError
    assert target.read_bytes() == b"old"


def test_overwrite_replaces(tmp_path: Path) -> None:
    """With overwrite the old content gives way."""
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with whole_file(target, overwrite=True) as part:
        part.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_existing_file_is_refused_before_any_work(tmp_path: Path) -> None:
    """Without overwrite the block is never entered, and the message names the file and the
    remedy.
    """
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(OutputExists, match=r"out\.bin exists already; -y overwrites it"):
        with whole_file(target, overwrite=False):
            pytest.fail("entered")


def test_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    """A file that somebody else wrote during the work is not overwritten."""
    target = tmp_path / "out.bin"
    with pytest.raises(OutputExists):
        with whole_file(target, overwrite=False):
            target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert listing(tmp_path) == ["out.bin"]


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    """An OSError while writing becomes an OutputError with its reason, and cleans up."""
    with pytest.raises(OutputError, match="cannot write .*out.bin: No space left on device$"):
        with whole_file(tmp_path / "out.bin", overwrite=False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert listing(tmp_path) == []


def test_symbolic_link_keeps_pointing(tmp_path: Path) -> None:
    """Overwriting through a link replaces the file it points to, not the link."""
    (tmp_path / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to("real.bin")
    with whole_file(tmp_path / "link.bin", overwrite=True) as part:
        part.write_bytes(b"new")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"


def test_missing_parent_is_refused(tmp_path: Path) -> None:
    """An output in a folder that does not exist is refused, with the folder's name."""
    with pytest.raises(OutputError, match="there is no folder .*nowhere"):
        check_output(tmp_path / "nowhere" / "out.bin", overwrite=True)


def test_folder_is_no_file(tmp_path: Path) -> None:
    """A file cannot stand where a folder is."""
    with pytest.raises(OutputError, match="it is a folder"):
        check_output(tmp_path, overwrite=True)


def test_device_is_never_replaced() -> None:
    """A device such as the null device is not replaced by a file."""
    with pytest.raises(OutputError, match="not a regular file"):
        check_output("/dev/null", overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder_is_refused(tmp_path: Path) -> None:
    """A folder without write permission is found before any work."""
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not writable"):
        check_output(tmp_path / "out.bin", overwrite=True)


@pytest.mark.parametrize("name", ["in.y4m", "./in.y4m", "link.y4m"])
def test_output_must_not_be_the_input(tmp_path: Path, name: str) -> None:
    """The input is recognised under any of its names, whatever overwrite says."""
    source = tmp_path / "in.y4m"
    source.write_bytes(b"x")
    (tmp_path / "link.y4m").symlink_to("in.y4m")
    with pytest.raises(OutputExists, match="is the input itself"):
        check_output(f"{tmp_path}/{name}", overwrite=True, source=source)


def test_frames_may_not_go_into_the_folder_of_the_input(tmp_path: Path) -> None:
    """A folder of frames that holds the input itself is refused, even if only our own names are in
    it.
    """
    make_frames(tmp_path / "frames")
    source = tmp_path / "frames" / FRAME_NAME.format(1)
    with pytest.raises(OutputExists, match="is the input itself"):
        check_output(tmp_path / "frames", overwrite=True, source=source, folder=True)


@pytest.mark.parametrize("exists", [False, True])
def test_new_or_empty_folder_is_filled(tmp_path: Path, exists: bool) -> None:
    """A folder appears with all its files; an empty one needs no overwrite."""
    target = tmp_path / "frames"
    if exists:
        target.mkdir()
    with whole_folder(target, overwrite=False) as part:
        (part / "00000001.png").write_text("new")
    assert listing(target) == ["00000001.png"]
    assert listing(tmp_path) == ["frames"]


def test_folder_of_our_own_is_replaced_whole(tmp_path: Path) -> None:
    """With overwrite no frame of the old folder stays beside the new ones."""
    make_frames(tmp_path / "frames")
    with whole_folder(tmp_path / "frames", overwrite=True) as part:
        (part / "00000002.png").write_text("new")
    assert listing(tmp_path / "frames") == ["00000002.png"]
    assert listing(tmp_path) == ["frames"]


def test_folder_of_our_own_needs_overwrite(tmp_path: Path) -> None:
    """Frames of an earlier run stay without overwrite."""
    make_frames(tmp_path / "frames")
    with pytest.raises(OutputExists, match="-y overwrites it"):
        check_output(tmp_path / "frames", overwrite=False, folder=True)


def test_folder_of_a_stranger_is_never_replaced(tmp_path: Path) -> None:
    """One file that is not ours protects the folder, whatever overwrite says."""
    make_frames(tmp_path / "frames")
    (tmp_path / "frames" / "holiday.png").write_text("precious")
    with pytest.raises(OutputExists, match="holds other files .holiday.png."):
        check_output(tmp_path / "frames", overwrite=True, folder=True)


def test_folder_is_gone_after_an_exception(tmp_path: Path) -> None:
    """A failed run leaves the old folder and no temporary one."""
    make_frames(tmp_path / "frames")
    with pytest.raises(ValueError):
        with whole_folder(tmp_path / "frames", overwrite=True) as part:
            (part / "00000002.png").write_text("new")
            raise ValueError
    assert listing(tmp_path / "frames") == ["00000001.png"]
    assert listing(tmp_path) == ["frames"]


def test_file_is_no_folder(tmp_path: Path) -> None:
    """A folder cannot stand where a file is."""
    (tmp_path / "frames").write_text("x")
    with pytest.raises(OutputExists, match="is not a folder"):
        check_output(tmp_path / "frames", overwrite=True, folder=True)
