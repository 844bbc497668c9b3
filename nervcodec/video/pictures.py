"""Sequences of picture files: folders, patterns such as frame_%04d.png, and one file of many."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from nervcodec.errors import VideoError

# Suffixes -> the family that they belong to; of a folder one family is coded.
FAMILIES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WebP",
}
# How a message names them all.
LEGAL_PICTURES = "PNG, JPEG, TIFF, BMP or WebP"
_PATTERN = re.compile(r"%(0?)([0-9]*)d")
_LAST_NUMBER = re.compile(r"^(.*?)([0-9]+)([^0-9]*)$", re.DOTALL)
_LISTED = 5  # names that a note lists before it only counts


def is_pattern(path: Path) -> bool:
    """Return whether a name is a pattern of picture files: a suffix of theirs and one %d."""
    return family_of(path) is not None and len(_PATTERN.findall(path.name)) == 1


def is_one_of_many(path: Path) -> bool:
    """Return whether a file is a picture with a number, with others of its sequence beside it."""
    return path.is_file() and len(_neighbours(path)) > 1


def family_of(path: Path) -> str | None:
    """Return the family of picture formats by the suffix of a name, None for other files."""
    return FAMILIES.get(path.suffix.lower())


def picture_files(path: Path) -> list[Path]:
    """Return the files of a sequence in natural order: 2.png before 10.png.

    Of a folder they are those of the family with the most files (of equally many, that which
    FAMILIES names first), but no hidden ones.

    Raises:
        VideoError: there are none, the folder cannot be read, or one is no file.
    """
    if path.is_dir():
        files = _most_common_family(_entries(path))
        if not files:
            raise VideoError(f"{path}: there are no pictures ({LEGAL_PICTURES}) in this folder")
    elif path.is_file():
        files = _neighbours(path)
    else:
        files = _fitting(path)
        if not files:
            raise VideoError(f"cannot read {path}: no file fits this pattern")
    for file in files:
        if not os.path.isfile(file):  # Path.is_file may raise
            raise VideoError(f"cannot read {file}: it is not a file")
    return sorted(files, key=lambda file: (_natural(file.name), file.name))


def sequence_notes(path: Path, files: Sequence[Path]) -> Iterator[str]:
    """Yield notes on what a sequence leaves out, takes in besides what was named, and lacks."""
    if path.is_dir():
        n_other = sum(not name.name.startswith(".") for name in path.iterdir()) - len(files)
        if n_other:
            yield f"other entries of the folder, left out: {n_other}"
    elif path.is_file():
        yield f"{path.name} is one of a sequence: all of its {len(files)} pictures are coded"
    numbered: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for file in files:
        match = _LAST_NUMBER.match(file.stem)
        if match:
            before, number, after = match.groups()
            numbered.setdefault((before, after + file.suffix), []).append((int(number), number))
    if len(numbered) > 1:
        names = ", ".join(f"{before}*{after}: {len(n)}" for (before, after), n in numbered.items())
        yield f"{len(numbered)} sequences of pictures are coded one after the other ({names})"
    for (before, after), numbers in numbered.items():
        yield from _gap_note(before, after, numbers)


def _gap_note(before: str, after: str, numbers: Sequence[tuple[int, str]]) -> Iterator[str]:
    """Yield a note on the numbers that a sequence lacks between its first and its last."""
    width = len(numbers[0][1])
    present = {number for number, _ in numbers}
    n_missing = max(present) - min(present) + 1 - len(present)
    if not n_missing or n_missing >= 10 * len(present):  # dates or times, not a count
        return
    missing = (k for k in range(min(present), max(present)) if k not in present)
    listed = [f"{before}{k:0{width}d}{after}" for k, _ in zip(missing, range(_LISTED))]
    more = f" and {n_missing - len(listed)} more" if n_missing > len(listed) else ""
    yield f"missing from the sequence: {', '.join(listed)}{more}"


def _entries(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"cannot read {folder}: {error.strerror or error}") from error


def _most_common_family(entries: Sequence[Path]) -> list[Path]:
    families = [family_of(file) for file in entries]
    counts = Counter(family for family in families if family is not None)
    if not counts:
        return []
    chosen = max(dict.fromkeys(FAMILIES.values()), key=lambda family: counts[family])
    return [file for file, family in zip(entries, families) if family == chosen]


def _neighbours(path: Path) -> list[Path]:
    """Return the files beside a picture that differ from it in its last number alone, and it."""
    match = _LAST_NUMBER.match(path.stem)
    if family_of(path) is None or match is None:
        return [path]
    before, _, after = match.groups()
    name = re.compile(re.escape(before) + "[0-9]+" + re.escape(after + path.suffix))
    return [file for file in _entries(path.parent) if name.fullmatch(file.name)]


def _fitting(path: Path) -> list[Path]:
    """Return the files that fit a pattern, with numbers as printf writes them."""
    (zero, width) = _PATTERN.findall(path.name)[0]
    before, _, after = _PATTERN.sub("\0", path.name).partition("\0")
    number = rf"[0-9]{{{int(width or 1)},}}" if zero else "[0-9]+"
    name = re.compile(re.escape(before) + number + re.escape(after))
    return [file for file in _entries(path.parent) if name.fullmatch(file.name)]


def _natural(name: str) -> list[str | int]:
    # re.split alternates text and digits, so that like is compared with like.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if k % 2 else part.lower() for k, part in enumerate(parts)]
