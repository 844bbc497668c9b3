"""Hashes that a measured point stands under: of clips, of our source, of the tools that measure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import cache
from importlib.metadata import version
from pathlib import Path

from nervcodec.quality.tools import tools_here
from nervcodec.video.ffmpeg_decode import FFMPEG_VERSION

_PACKAGE = Path(__file__).parents[1]
_NOT_CODING = ("bench", "cli")  # packages that no encode or decode runs anything of


def coding_digest(package: Path = _PACKAGE) -> str:
    """Return a hash of all our source that an encode or a decode may run: whole packages."""
    return source_digest(package, _NOT_CODING)


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files."""
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
    """Return a hash of all that figures come from but the codecs.

    That is our source, the package of SSIM, the tools for XPSNR and VMAF.
    """
    others = [source_digest(_PACKAGE), FFMPEG_VERSION, version("pytorch-msssim"), *tools_here()]
    return hashlib.sha256(repr(others).encode()).hexdigest()


def source_digest(folder: Path, without: Collection[str] = ()) -> str:
    """Return a hash of all Python files in a folder and below it, with their names.

    Args:
        without: packages in it that are left out.
    """
    files = sorted(
        path for path in folder.rglob("*.py") if path.relative_to(folder).parts[0] not in without
    )
    return hashlib.sha256(
        b"".join(
            str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0"
            for path in files
        )
    ).hexdigest()
