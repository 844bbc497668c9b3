"""The files that the page consists of, and what a browser may do with them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING

from nervcodec.errors import DependencyError

if TYPE_CHECKING:
    from importlib.abc import Traversable

INDEX = "index.html"
CONTENT_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".npy": "application/octet-stream",
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
    """Return the files of the page by their paths below its folder, without those of prior_file.

    Raises:
        DependencyError: the installed page is incomplete.
    """
    folder = resources.files("nervcodec.player")
    files = {
        entry.name: _read(entry)
        for entry in folder.iterdir()
        if suffix(entry.name) in CONTENT_TYPES
    }
    if INDEX not in files:
        raise DependencyError(f"{folder} has no {INDEX}; install nervcodec again")
    return files


def prior_path(number: int) -> str:
    """Return where the page looks for the weights of a prior, below its folder."""
    return f"priors/{number}.npy"


def prior_file(number: int) -> bytes:
    """Return the weights of a prior, a file of NumPy.

    Raises:
        DependencyError: they are not installed.
    """
    return _read(resources.files("nervcodec") / "nn" / "priors" / f"{number}.npy")


def _read(entry: Traversable) -> bytes:
    try:
        return entry.read_bytes()
    except OSError as error:
        raise DependencyError(f"{entry}: {error}; install nervcodec again") from None
