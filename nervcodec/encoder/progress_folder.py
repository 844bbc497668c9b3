"""The folder of what an encode has reached (encoder.resume), for whoever only asks for it: needs
nothing but the standard library, so that it can be asked for at any time.
"""

from __future__ import annotations

import re
from pathlib import Path

_NAMES = re.compile(
    r"(lock|(encode|shares|survey)\.json|fit-[0-9]{5,}(\.before)?|segment-[0-9]{5,})(\.new)?"
)


def folder_of(destination: Path) -> Path:
    """Return the folder of what an encode to `destination` has reached."""
    return destination.with_name(destination.name + ".part")


def written_files(folder: Path) -> list[Path]:
    """Return the files in the folder that an encode has written."""
    return [file for file in folder.glob("*") if _NAMES.fullmatch(file.name)]


def has_progress(folder: Path) -> bool:
    """Return whether there is anything to go on from."""
    return any(file.name.startswith(("segment-", "fit-")) for file in written_files(folder))


def kept_message(folder: Path) -> str:
    """Return what an interrupted encode says."""
    return f"interrupted; what was reached is kept in {folder}, the same command goes on from there"
