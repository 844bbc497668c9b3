"""nervcodec play and export: what a user sees of them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fresh import ENVIRONMENT, assert_refused
from shell import Shell

from nervcodec.player.server import PlayerServer

GOLDEN = Path(__file__).parents[1] / "data" / "gray.nvpp"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were opened; the page is closed at once."""
    addresses: list[str] = []

    def open_(url: str) -> bool:
        addresses.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_)
    monkeypatch.setattr(PlayerServer, "wait_for_the_page", lambda _: None)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    return addresses


def test_play_opens_the_page(shell: Shell, opened: list[str]) -> None:
    """The address is on stdout, and what ends it on stderr."""
    result = shell("play", str(GOLDEN))
    assert result.code == 0 and opened == [result.out.strip()]
    assert result.err == "nervcodec: playing until the page is closed; Ctrl-C ends it too\n"


def test_play_opens_nothing_unless_it_can(
    shell: Shell, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--no-open prints the address alone; without a display or a browser a line says so."""
    assert shell("play", str(GOLDEN), "--no-open").out.startswith("http://127.0.0.1:")
    monkeypatch.setenv("DISPLAY", "")
    assert "there is no display" in shell("play", str(GOLDEN)).err
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert "no browser was found" in shell("play", str(GOLDEN)).err


def test_play_names_its_address_in_json(shell: Shell, opened: list[str]) -> None:
    """With the name of the file as it was given."""
    found = json.loads(shell("play", str(GOLDEN), "--json", "--no-open").out)
    assert found["schema"] == "nervcodec.play/1" and found["input"] == str(GOLDEN)
    assert urlsplit(found["address"]).hostname == "127.0.0.1"


@pytest.mark.parametrize("command", [("play",), ("export", "out.html")])
@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (None, 3, "in.nvpp: No such file or directory"),
        (b"no video at all", 4, "not a .nvpp file: it starts with b'no video'"),
        (GOLDEN.read_bytes()[:-1], 4, ""),
        (GOLDEN.read_bytes()[:60] + b"!" + GOLDEN.read_bytes()[61:], 4, "checksum"),
    ],
)
def test_files_are_checked_first(
    shell: Shell,
    opened: list[str],
    command: tuple[str, ...],
    data: bytes | None,
    code: int,
    message: str,
) -> None:
    """A file that `info` refuses is refused alike: nothing is opened, nothing written."""
    if data is not None:
        (shell.folder / "in.nvpp").write_bytes(data)
    name, *rest = command
    result = shell(name, "in.nvpp", *rest)
    assert_refused(result, code, message)
    assert result == shell("info", "in.nvpp")
    assert opened == [] and not (shell.folder / "out.html").exists()


def test_export_writes_a_page(shell: Shell) -> None:
    """Whole or not at all, once unless -y says so."""
    result = shell("export", str(GOLDEN), "out.html")
    size = (shell.folder / "out.html").stat().st_size
    assert result.code == 0 and result.out.startswith("out.html: ") and f"{size:,}" in result.out
    assert shell("export", str(GOLDEN), "out.html").code == 7
    found = json.loads(shell("export", str(GOLDEN), "out.html", "-y", "--json").out)
    assert (found["bytes"], found["video_bytes"]) == (size, GOLDEN.stat().st_size)
    assert found["schema"] == "nervcodec.export/1" and found["output"] == "out.html"
    assert os.listdir(shell.folder) == ["out.html"]


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("out.mp4", 2, "output is out.mp4; legal: a name that ends in .html or .htm"),
        ("-", 2, "output is -; legal"),
        ("", 2, "output is ; legal"),
        ("no folder/out.html", 6, "there is no folder"),
    ],
)
def test_export_refuses_other_outputs(shell: Shell, name: str, code: int, message: str) -> None:
    """With a line, and nothing is written."""
    assert_refused(shell("export", str(GOLDEN), name), code, message)
    assert os.listdir(shell.folder) == []


def test_standard_input_is_a_file_too(tmp_path: Path) -> None:
    """From a pipe and from a file."""
    command = [sys.executable, "-m", "nervcodec", "export", "-", "a.html", "-y", "-q"]
    done = subprocess.run(command, input=GOLDEN.read_bytes(), cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0 and (tmp_path / "a.html").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_play_ends_by_a_signal(tmp_path: Path, number: int) -> None:
    """As other commands do, with a line and exit 8; it serves until then, without torch."""
    command = [sys.executable, "-m", "nervcodec", "play", str(GOLDEN), "--no-open"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, text=True, stdout=-1, stderr=-1
    )
    assert process.stdout
    url = urlsplit(process.stdout.readline().strip())
    connection = http.client.HTTPConnection(url.netloc, timeout=5)
    connection.request("GET", f"{url.path}video.nvpp")
    assert connection.getresponse().read() == GOLDEN.read_bytes()
    connection.close()
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 8
    assert err.splitlines()[-1].startswith("nervcodec: error: interrupted")
