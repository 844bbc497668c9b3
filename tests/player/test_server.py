"""The server of `nervcodec play`: one page, one file, for whoever knows the address."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from nervcodec.player import server as module
from nervcodec.player.assets import CONTENT_TYPES, POLICY, page_files, suffix
from nervcodec.player.server import PlayerServer

VIDEO = b"the bytes of a video"


@pytest.fixture
def server() -> Iterator[PlayerServer]:
    """Serves VIDEO under the name 'a b.nvpp'."""
    with PlayerServer(VIDEO, "a b.nvpp") as running:
        yield running


def ask(
    server: PlayerServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """The status, headers and body of the answer to a request for a path below the token."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, urlsplit(server.url).path + path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def test_the_address_names_the_file_and_cannot_be_guessed(server: PlayerServer) -> None:
    """It is of this machine, and has 128 random bits; the query tells the page what to open."""
    parts = urlsplit(server.url)
    assert parts.hostname == "127.0.0.1" and parts.port == server.server_port
    assert len(parts.path.strip("/")) >= 22
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query == {"file": "video.nvpp", "name": "a b.nvpp", "events": "events"}
    with PlayerServer(VIDEO, "a") as other:
        assert urlsplit(other.url).path != parts.path


def test_the_page_and_the_video_are_served(server: PlayerServer) -> None:
    """Each with its type, and a prior that files need; the empty path is the page itself."""
    assert ask(server, "video.nvpp")[::2] == (200, VIDEO)
    for name, data in page_files().items():
        status, headers, body = ask(server, name)
        assert (status, body) == (200, data)
        assert headers["Content-Type"] == CONTENT_TYPES[suffix(name)]
    prior = Path(module.__file__).parents[1] / "nn" / "priors" / "1.npy"
    assert ask(server, "priors/1.npy")[2] == prior.read_bytes()
    assert ask(server, "")[2] == ask(server, "?file=x")[2] == page_files()["index.html"]


def test_head_has_no_body(server: PlayerServer) -> None:
    """It names the length of the video."""
    status, headers, body = ask(server, "video.nvpp", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(VIDEO)), b"")


def test_every_answer_has_the_policy(server: PlayerServer) -> None:
    """Nothing of another site is loaded, and no other site is allowed to read an answer."""
    for path in ("", "player.js", "video.nvpp", "absent"):
        headers = ask(server, path)[1]
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers
    assert "unsafe-inline" not in POLICY and "'unsafe-eval'" not in POLICY


@pytest.mark.parametrize(
    "path",
    [
        "../",
        "server.py",
        "priors/",
        "priors/2.npy",
        "__init__.py",
        "../setup.cfg",
        "%2e%2e/setup.cfg",
        "/etc/passwd",
        "index.html/",
        "video.nvpp/..",
        "./index.html",
    ],
)
def test_nothing_else_is_served(server: PlayerServer, path: str) -> None:
    """No folder, no module of Python, nothing by a path that leads elsewhere."""
    assert ask(server, path)[0] == 404


def test_without_the_token_nothing_is_served(server: PlayerServer) -> None:
    """Nor with a wrong one, or one that is not ASCII."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    for path in ("/", "/index.html", "/video.nvpp", "/wrong/video.nvpp", "/%C3%A9/", "/\xe9/"):
        connection.putrequest("GET", "/")
        connection._buffer[0] = f"GET {path} HTTP/1.1".encode("latin-1")  # type: ignore[attr-defined]
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 404, path
    connection.close()


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "127.0.0.1:1", "localhost", ""])
def test_another_host_is_refused(server: PlayerServer, host: str) -> None:
    """A name that another site has lead to this machine does not open the file."""
    assert ask(server, "video.nvpp", Host=host)[0] == 403


def test_localhost_is_this_machine(server: PlayerServer) -> None:
    """The name that people type is as good as the number."""
    assert ask(server, "video.nvpp", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server: PlayerServer, method: str) -> None:
    """Reading is all that there is."""
    assert ask(server, "video.nvpp", method)[0] == 501


def test_it_ends_when_the_page_is_closed(
    server: PlayerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A while after the last stream of events is closed; before one is opened, it waits."""
    monkeypatch.setattr(module, "_GRACE_S", 0.2)
    monkeypatch.setattr(module, "_BEAT_S", 0.05)
    waiting = threading.Thread(target=server.wait_for_the_page, daemon=True)
    waiting.start()
    connections = []
    for _ in range(2):  # the page is loaded again: another stream, then the first one closes
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        connection.request("GET", urlsplit(server.url).path + "events")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.read(3) == b":\n\n"
        connections.append((connection, answer))
    for connection, answer in connections:
        time.sleep(0.4)
        assert waiting.is_alive()
        answer.close()
        connection.close()
    waiting.join(5)
    assert not waiting.is_alive()
