"""Serve the player and one file to a browser of this machine, until its page is closed."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import quote, urlencode

from nervcodec.format.prior import PRIORS
from nervcodec.player.assets import (
    CONTENT_TYPES,
    INDEX,
    POLICY,
    page_files,
    prior_file,
    prior_path,
    suffix,
)

ADDRESS = "127.0.0.1"
VIDEO = "video.nvpp"
EVENTS = "events"  # a stream that is open as long as the page is
_BEAT_S = 0.5
_GRACE_S = 3.0  # a page that is loaded again opens another stream within it
_SOCKET_S = 30.0
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _Answer(NamedTuple):
    content_type: str
    data: bytes


class PlayerServer(ThreadingHTTPServer):
    """Serves the files of the page and one video, under a path that cannot be guessed.

    Args:
        video: bytes of the .nvpp file.
        name: of the file, which the page shows.
    """

    daemon_threads = True

    def __init__(self, video: bytes, name: str) -> None:
        super().__init__((ADDRESS, 0), _Handler)
        self._token = secrets.token_urlsafe(16)
        self.hosts = {f"{host}:{self.server_port}" for host in (ADDRESS, "localhost")}
        files = page_files() | {prior_path(number): prior_file(number) for number in PRIORS}
        self.answers: Mapping[str, _Answer] = {
            VIDEO: _Answer("application/octet-stream", video),
            **{path: _Answer(CONTENT_TYPES[suffix(path)], files[path]) for path in files},
        }
        self.is_ending = threading.Event()
        self._lock = threading.Lock()
        self._n_pages = 0
        self._left_s: float | None = None
        query = urlencode({"file": VIDEO, "name": name, "events": EVENTS}, quote_via=quote)
        self.url = f"http://{ADDRESS}:{self.server_port}/{self._token}/?{query}"

    def path_of(self, target: str) -> str | None:
        """Return the path below the token that a request asks for, None with another token."""
        token, slash, path = target.partition("?")[0].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        return path or INDEX

    def page_opened(self) -> None:
        """Count a page that listens."""
        with self._lock:
            self._n_pages += 1
            self._left_s = None

    def page_closed(self) -> None:
        """Count a page that has gone."""
        with self._lock:
            self._n_pages -= 1
            if not self._n_pages:
                self._left_s = time.monotonic()

    def wait_for_the_page(self) -> None:
        """Return a few seconds after the last page was closed; without any, wait for one."""
        while True:
            with self._lock:
                left_s = self._left_s
            if left_s is not None and time.monotonic() - left_s > _GRACE_S:
                return
            time.sleep(_BEAT_S / 2)

    def __enter__(self) -> PlayerServer:
        """Serve from now on, in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Serve no more."""
        self.is_ending.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: PlayerServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nervcodec", ""
    timeout = _SOCKET_S

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # A name that another site made point here comes with that name.
        if self.headers.get_all("Host") not in [[host] for host in self.server.hosts]:
            self._send(HTTPStatus.FORBIDDEN, _Answer("text/plain", b"forbidden\n"), with_body)
            return
        path = self.server.path_of(self.path)
        if path == EVENTS and with_body:
            self._stream()
        elif path is not None and path in self.server.answers:
            self._send(HTTPStatus.OK, self.server.answers[path], with_body)
        else:
            self._send(HTTPStatus.NOT_FOUND, _Answer("text/plain", b"not found\n"), with_body)

    def _send(self, status: HTTPStatus, answer: _Answer, with_body: bool) -> None:
        self._head(status, answer.content_type)
        self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        if with_body:
            self.wfile.write(answer.data)

    def _head(self, status: HTTPStatus, content_type: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)

    def _stream(self) -> None:
        """Send a comment now and then, until the page is closed or we end."""
        self._head(HTTPStatus.OK, "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.server.page_opened()
        try:
            while not self.server.is_ending.wait(_BEAT_S):
                self.wfile.write(b":\n\n")
        except OSError:
            pass
        finally:
            self.server.page_closed()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of requests."""
