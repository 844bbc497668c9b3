"""Hashes that a measured point stands under: of clips, of our source, of the tools that measure."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from nervcodec.quality.tools import tools_here
from nervcodec.video.ffmpeg_decode import FFMPEG_VERSION


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for file in sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(file.name.encode() + b"\0")
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@cache
def measuring_digest() -> str:
    """A hash of all that figures come from but the codecs: our source, SSIM's package, the tools for XPSNR and VMAF."""
    others = [source_digest(Path(__file__).parent), FFMPEG_VERSION, version("pytorch-msssim"), *tools_here()]
    return hashlib.sha256(repr(others).encode()).hexdigest()


def source_digest(folder: Path) -> str:
    """A hash of all Python files in a folder and below it, with their names."""
    files = sorted(folder.rglob("*.py"))
    return hashlib.sha256(b"".join(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0"
                                   for path in files)).hexdigest()
