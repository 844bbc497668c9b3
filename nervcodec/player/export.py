"""Write a page of HTML that holds the player and a video, and needs no other file."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from nervcodec.errors import ConfigError
from nervcodec.format.container import read_bytes, read_file
from nervcodec.format.prior import NO_PRIOR
from nervcodec.player.assets import INDEX, page_files, prior_file
from nervcodec.player.bundle import bundle, without_margins
from nervcodec.player.text import as_text
from nervcodec.util.files import check_output, whole_file

StrPath = str | os.PathLike[str]
SUFFIXES = (".html", ".htm")
_PLAYER, _WORKER, _STYLE_FILE = "player.js", "decoder_worker.js", "style.css"
# Where the page finds its worker and its video: in files beside it, or in itself.
_SURROUNDINGS, _EMBEDDED = "surroundings.js", "surroundings_embedded.js"
_KERNELS = "kernels.wasm"
_UNPACK = "unpack.js"
_NPY_HEAD = 10  # bytes before the text of a header, the last two its length
_POLICY = re.compile(r'(<meta http-equiv="Content-Security-Policy"\s+content=)"[^"]*"')
_STYLE = re.compile(r'<link rel="stylesheet" href="style\.css">')
_STYLE_SPACES = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")
_ICON = re.compile(r'<link rel="icon" href="icon\.svg">\n')
_SCRIPT = re.compile(r'<script type="module" src="player\.js"></script>')


@dataclass(frozen=True)
class ExportReport:
    """A page that was written.

    Attributes:
        source: the .nvpp file, as it was given.
        destination: the page.
        n_frames: that the video shows.
        n_video_bytes: of the .nvpp file.
        n_bytes: of the page.
    """

    source: str
    destination: str
    n_frames: int
    n_video_bytes: int
    n_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec export --json` (docs/reference/json.md)."""
        return {
            "schema": "nervcodec.export/1",
            "input": self.source,
            "output": self.destination,
            "frames": self.n_frames,
            "video_bytes": self.n_video_bytes,
            "bytes": self.n_bytes,
        }


def export(source: StrPath, destination: StrPath, *, overwrite: bool = False) -> ExportReport:
    """Write a page that plays a .nvpp file by itself.

    Args:
        source: a .nvpp file.
        destination: the page, a name that ends in .html.
        overwrite: replace it if it exists.

    Raises:
        ConfigError: a destination of another suffix.
        VideoError: the source cannot be read.
        BitstreamError: it is damaged.
        OutputError: the destination cannot be written, exists or is the source.
    """
    name = os.fspath(destination)
    if Path(name).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"output is {name}; legal: a name that ends in {' or '.join(SUFFIXES)}")
    check_output(name, overwrite=overwrite, source=os.fspath(source))
    video = read_bytes(source)
    file = read_file(video)
    data = page(video, os.path.basename(os.fspath(source)), file.header.model.prior)
    with whole_file(name, overwrite=overwrite) as path:
        path.write_bytes(data)
    n_frames = file.header.format.n_frames
    return ExportReport(os.fspath(source), name, n_frames, len(video), len(data))


def page(video: bytes, name: str, prior: int = NO_PRIOR) -> bytes:
    """Return the page of a video.

    Args:
        video: bytes of a .nvpp file.
        name: of the file, which the page shows.
        prior: the number of the prior that it needs.
    """
    files = page_files()
    kernels = files.pop(_KERNELS)
    texts = {path: data.decode() for path, data in files.items()}
    script = page_script(texts)
    style, index = (without_margins(texts[name]) for name in (_STYLE_FILE, INDEX))
    style = _STYLE_SPACES.sub(lambda match: match[1] or "", style)
    text = _replaced(_POLICY, index, f'\\1"{policy(script, style)}"')
    text = _replaced(_ICON, text, "")
    text = _replaced(_STYLE, text, f"<style>{style}</style>")
    elements = [
        _data("embedded-video", video, name),
        _data("embedded-kernels", zlib.compress(kernels, 9), _KERNELS),
    ]
    if prior:
        data = _packed_weights(prior_file(prior))
        elements.append(_data(f"embedded-prior-{prior}", data, f"prior {prior}"))
    elements.append(f'<script type="module">{script}</script>')
    return _replaced(_SCRIPT, text, "\n".join(elements)).encode()


def _data(identifier: str, data: bytes, name: str) -> str:
    """Return an element that holds bytes as text and does nothing."""
    return (
        f'<script type="application/octet-stream" id="{identifier}" data-name="{escape(name)}">'
        f"{as_text(data)}</script>"
    )


def _packed_weights(npy: bytes) -> bytes:
    """Return the weights of a file of NumPy: all low bytes, then all high ones, deflated."""
    weights = npy[_NPY_HEAD + int.from_bytes(npy[8:_NPY_HEAD], "little") :]
    # No bytes are repeated, so that looking for such only costs.
    packer = zlib.compressobj(9, strategy=zlib.Z_FILTERED)
    return packer.compress(weights[::2] + weights[1::2]) + packer.flush()


def policy(script: str, style: str) -> str:
    """Return what the page may load and run: this script, what it unpacks, and this style."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}' blob: 'wasm-unsafe-eval';"
        f" style-src '{_hash(style)}'; img-src blob:; media-src blob:; worker-src blob:;"
        " base-uri 'none'; form-action 'none'"
    )


def page_script(texts: Mapping[str, str]) -> str:
    """Return the script of the page: all modules as one, deflated, and what unpacks them.

    Args:
        texts: files of the page by name.
    """
    embedded = {**texts, _SURROUNDINGS: texts[_EMBEDDED]}
    packed = as_text(zlib.compress(bundle(embedded, _PLAYER, _WORKER).encode(), 9))
    return f"const PACKED = '{packed}';\n{texts[_UNPACK]}"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _replaced(pattern: re.Pattern[str], text: str, replacement: str) -> str:
    """Return the text with the one place that matches replaced; \\1 stands for its first group."""
    found = pattern.findall(text)
    assert len(found) == 1, (pattern, found)
    return pattern.sub(
        lambda match: replacement.replace("\\1", match[1], 1) if pattern.groups else replacement,
        text,
    )
