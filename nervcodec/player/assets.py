"""The files that the page consists of, and what a browser may do with them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from nervcodec.errors import DependencyError

INDEX = "index.html"
CONTENT_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# What the page in its folder may load and run; index.html says the same of itself.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';"
    " img-src 'self' blob:; media-src blob:; worker-src 'self' blob:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'"
)


def suffix(name: str) -> str:
    """Return what a file's name ends with: 'a.js' -> '.js'."""
    return name[name.rfind(".") :]


def page_files() -> dict[str, bytes]:
    """Return the files of the page by their paths below its folder.

    Raises:
        DependencyError: the installed page is incomplete.
    """
    folder = resources.files("nervcodec.player")
    try:
        files = {
            entry.name: entry.read_bytes()
            for entry in folder.iterdir()
            if entry.is_file() and suffix(entry.name) in CONTENT_TYPES
        }
    except OSError as error:
        raise DependencyError(f"{folder}: {error}; install nervcodec again") from None
    if INDEX not in files:
        raise DependencyError(f"{folder} has no {INDEX}; install nervcodec again")
    return files
