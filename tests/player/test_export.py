"""`nervcodec export`: the page holds all that it needs, and may load nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from player_tool import ask

from nervcodec.format.container import read_file
from nervcodec.player.assets import POLICY, page_files
from nervcodec.player.export import export, page
from nervcodec.player.text import MINDED, as_text

DATA = Path(__file__).parents[1] / "data"
MOST_OVERHEAD = 150_000  # bytes, of a page with 80 kB of video


@pytest.fixture
def text() -> str:
    """The page of a golden file, under a name with all that HTML minds."""
    return page((DATA / "gray.nvpp").read_bytes(), "<b>\"a\" & '%1'</b>\\1.nvpp").decode()


def bytes_of(text: str) -> bytes:
    """The bytes of a text of the page."""
    symbols: list[int] = []
    for character in text:
        first, last = divmod(ord(character), 128)
        symbols += [last] if first in (0, len(MINDED) + 1) else [ord(MINDED[first - 1]), last]
    bits = "".join(f"{symbol:07b}" for symbol in symbols)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))


def script_of(text: str) -> str:
    """The script that runs."""
    (script,) = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    assert isinstance(script, str)
    return script


def unpacked(text: str) -> str:
    """The script that it unpacks."""
    found = re.search(r"PACKED = '([^']+)'", script_of(text))
    assert found
    return zlib.decompress(bytes_of(found[1])).decode()


def digest(text: str) -> str:
    """A source of a policy that allows the text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_video_comes_back(text: str) -> None:
    """Byte for byte, with the name of the file."""
    found = re.search(r'id="embedded-video" data-name="([^"]*)">([^<]*)</script>', text)
    assert found
    assert bytes_of(found[2]) == (DATA / "gray.nvpp").read_bytes()
    assert unescape(found[1]) == "<b>\"a\" & '%1'</b>\\1.nvpp"


def test_the_policy_allows_what_the_page_holds(text: str) -> None:
    """The hashes are those of its one script and its one style; nothing else of any site runs."""
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "script-src": f"{digest(script_of(text))} blob: 'wasm-unsafe-eval'",
        "style-src": digest(style),
        "img-src": "blob:",
        "media-src": "blob:",
        "worker-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_nothing_is_fetched(text: str) -> None:
    """No element and no module refers to a file or a site."""
    assert not re.findall(r"<(?:link|img|iframe|object|embed|base)\b", text)
    assert not re.findall(r"<script[^>]*\bsrc=", text)
    assert not re.findall(r"https?:", text) and not re.findall(r"@import|url\(", text)
    script = unpacked(text)
    assert not re.findall(r"https?:|importScripts|EventSource|WebSocket", script)


@given(st.binary(max_size=40))
@example(bytes(range(256)))
@example(b"\0")
def test_bytes_as_text_come_back(data: bytes) -> None:
    """In a seventh more bytes of UTF-8, without what pages and strings of scripts would mind."""
    text = as_text(data)
    assert bytes_of(text) == data
    assert -(-8 * len(data) // 7) <= len(text.encode()) <= -(-8 * len(data) // 7) + 1
    assert not set(text) & set(MINDED)


def test_pages_read_their_bytes() -> None:
    """Those of the script that unpacks, of any number and value."""
    rng = np.random.default_rng(0)
    given = [rng.bytes(n) for n in range(30)] + [bytes(30), bytes(range(256)), b"'<'" * 50]
    found = ask("unpack", texts=[as_text(data) for data in given])
    assert [bytes(each) for each in found] == given


def test_the_page_is_short() -> None:
    """Whatever the file needs, the page of a usual one adds less than 150 kB to it."""
    for path in DATA.glob("*.nvpp"):
        prior = read_file(path.read_bytes()).header.model.prior
        video = np.random.default_rng(0).bytes(80_000)
        assert len(page(video, path.name, prior)) - len(video) < MOST_OVERHEAD


def test_the_page_is_the_same_each_time(tmp_path: Path) -> None:
    """The report has its length and frames."""
    source = DATA / "gray.nvpp"
    report = export(source, tmp_path / "a.html")
    written = (tmp_path / "a.html").read_bytes()
    assert written == page(source.read_bytes(), "gray.nvpp")
    assert (report.n_bytes, report.n_video_bytes) == (len(written), source.stat().st_size)


def test_the_page_says_what_the_server_does() -> None:
    """index.html has the policy of the server's headers, and no script or style of its own."""
    text = page_files()["index.html"].decode()
    assert f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' in text
    assert not re.findall(r"<style|\bstyle=|\son\w+=", text)
    assert re.findall(r"<script[^>]*>", text) == ['<script type="module" src="player.js">']


def test_texts_are_never_taken_for_html() -> None:
    """No module of the page has a way by which a text of a file could become elements."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    for name, data in page_files().items():
        if name.endswith(".js"):
            assert not re.findall(ways, data.decode()), name


def test_files_of_the_page_are_short() -> None:
    """At most 400 lines each."""
    for name, data in page_files().items():
        assert data.count(b"\n") <= 400, name
