"""Sources of frames: how the user wants one to be read, what it is, and its name in messages."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from nervcodec.errors import ConfigError, VideoError
from nervcodec.format import container
from nervcodec.util.validation import check_range
from nervcodec.video import pictures
from nervcodec.video.geometry import Crop, Size, check_size
from nervcodec.video.rates import LEGAL_RATES, is_rate

SourceKind = Literal["y4m", "pictures", "container"]
Color = tuple[int, int, int]
Y4M_MAGIC = b"YUV4MPEG2 "
BLACK: Color = (0, 0, 0)
_COLOR_NAMES = {"black": "000000", "white": "ffffff"}


@dataclass(frozen=True)
class SourceOptions:
    """Wishes of the user on how a source is read; the defaults take it as it is.

    Attributes:
        frame_rate: frames a second in place of what the source says.
        video_stream: which video stream of a container is coded, counted from 0; None leaves the
            choice to probe().
        background: R, G and B, 0 to 255, that lie under transparent pixels.
        force_progressive: code interlaced frames as if they were progressive, else they are
            refused.
        autorotate: turn frames as their display rotation says, else they are coded as they lie.
        strict: refuse a source that is damaged or shorter than it promises.
        salvage: leave out frames that cannot be decoded, and take a source that is cut short.
        crop: the part of the frames, as they are after turning, that is coded.
        scale: width and height that this part is scaled to.
    """

    frame_rate: Fraction | None = None
    video_stream: int | None = None
    background: Color = BLACK
    force_progressive: bool = False
    autorotate: bool = False
    strict: bool = False
    salvage: bool = False
    crop: Crop | None = None
    scale: Size | None = None

    def __post_init__(self) -> None:
        if self.frame_rate is not None and not is_rate(self.frame_rate):
            raise ConfigError(f"frame rate is {self.frame_rate}; legal: {LEGAL_RATES}")
        if self.video_stream is not None and self.video_stream < 0:
            raise ConfigError(f"video stream is {self.video_stream}; legal: 0 or more")
        for name, value in zip(("red", "green", "blue"), self.background, strict=True):
            check_range(f"{name} of the background", value, 0, 255)
        if self.strict and self.salvage:
            raise ConfigError("strict and salvage are given; legal: one of them")
        if self.scale is not None:
            check_size(self.scale)


DEFAULT_OPTIONS = SourceOptions()


def as_color(text: str) -> Color:
    """Return the R, G and B that a text stands for: 'black', 'white', '#rrggbb' or 'rrggbb'.

    Raises:
        ConfigError: it is no colour.
    """
    digits = _COLOR_NAMES.get(text.strip().lower(), text.strip().removeprefix("#"))
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise ConfigError(f"{text!r} is not a colour; legal: black, white or #rrggbb")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


# Temporary files -> what the user called them.
_NAMES: dict[str, str] = {}


def shown(path: str | Path) -> str:
    """Return the name of a source for messages: what the user called it."""
    return _NAMES.get(str(path), str(path))


def show_as(path: Path, name: str) -> None:
    """Call a temporary file by this name in messages."""
    _NAMES[str(path)] = name


def is_spooled(path: Path) -> bool:
    """Return whether this is a temporary file, which has another name in messages."""
    return str(path) in _NAMES


def forget(path: Path) -> None:
    """End what show_as began."""
    _NAMES.pop(str(path), None)


def source_kind(path: Path) -> SourceKind:
    """Return what a source is, by what stands there, not by its name.

    Pictures are a folder of them, a pattern such as frame_%04d.png, or one file of a numbered
    sequence.

    Raises:
        VideoError: missing, unreadable, empty, neither a file nor a folder, or a .nvpp file.
    """
    start = _first_bytes(path)
    if start is None or pictures.is_one_of_many(path):
        return "pictures"
    if not start:
        raise VideoError(f"cannot read {shown(path)}: the file is empty")
    if start.startswith(container.MAGIC):
        raise VideoError(
            f"cannot read {shown(path)}: it is a .nvpp file; 'decode' makes a video of it"
        )
    # Cut or damaged behind the name of the format, it is still a y4m file, and better refused as
    # one.
    is_y4m = Y4M_MAGIC.startswith(start[: len(Y4M_MAGIC) - 1])
    return "y4m" if is_y4m else "container"


def _first_bytes(path: Path) -> bytes | None:
    """Return the beginning of a file, or None for a folder and for a pattern that is no file."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):  # a device might keep us waiting for ever
            raise VideoError(f"cannot read {shown(path)}: it is neither a file nor a folder")
        with open(path, "rb") as file:
            return file.read(max(len(Y4M_MAGIC), len(container.MAGIC)))
    except (FileNotFoundError, NotADirectoryError):
        if pictures.is_pattern(path) and os.path.isdir(path.parent):
            return None
        raise VideoError(f"cannot read {shown(path)}: there is no such file") from None
    except OSError as error:
        raise VideoError(f"cannot read {shown(path)}: {error.strerror or error}") from error
