"""Windows of frames to train a prior on: of videos, and of pictures under made-up motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nervcodec.errors import ConfigError
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe_source
from nervcodec.video.reader import read_groups

WINDOW = 17  # frames
WINDOW_SIZE = (128, 160)  # rows and columns of its luma
_PICTURE_SHARE = 0.6  # of windows
_HELD_OUT = 8  # one source of so many is held out
Source = Tensor  # uint8 [T, 3, H, W]: Y, Cb and Cr of limited range at one size


@dataclass(frozen=True)
class Material:
    """Videos and pictures, each at half its size with chroma as large as luma.

    Attributes:
        videos, pictures: to train on.
        held_out: others, to measure on.
    """

    videos: list[Source]
    pictures: list[Source]
    held_out: Material | None = None

    @classmethod
    def read(cls, folders: Sequence[Path]) -> Material:
        """Read all files in folders and below that are videos or pictures.

        Raises:
            ConfigError: there are fewer than it takes to hold some out.
            VideoError: a file cannot be read.
        """
        kinds: tuple[list[Source], list[Source]] = [], []
        for folder in folders:
            for path in sorted(p for p in folder.rglob("*") if p.suffix in _SUFFIXES):
                source = _read(path)
                kinds[len(source) == 1].append(source)
        n_files = [len(kind) for kind in kinds]
        if min(n_files) < _HELD_OUT:
            raise ConfigError(
                f"{n_files[0]} videos and {n_files[1]} pictures; legal: {_HELD_OUT} or more of each"
            )
        kept = [[s for i, s in enumerate(k) if i % _HELD_OUT != 3] for k in kinds]
        held = [[s for i, s in enumerate(k) if i % _HELD_OUT == 3] for k in kinds]
        return cls(kept[0], kept[1], cls(held[0], held[1]))


_SUFFIXES = {".jpg", ".jpeg", ".png", ".mkv", ".mp4", ".y4m", ".webm", ".mov"}


def _read(path: Path) -> Source:
    form = probe_source(str(path)).format
    parts = [
        _halved(frames, form.color.full_range or form.n_frames == 1)
        for frames in read_groups(path, form, [1] * form.n_frames)
    ]
    return torch.cat(parts)


def _halved(frames: Frames, full_range: bool) -> Tensor:
    """Return frames of 4:2:0 or 4:4:4 at half their size, uint8 [T, 3, h, w] of limited range."""
    planes = [torch.from_numpy(plane.astype(np.float32))[:, None] for plane in frames.planes]
    height, width = planes[0].shape[2] // 2, planes[0].shape[3] // 2
    small = [F.interpolate(plane, (height, width), mode="area") for plane in planes]
    whole = torch.cat(small, dim=1)
    if full_range:
        scale = torch.tensor([219.0, 224.0, 224.0]).view(3, 1, 1) / 255
        zero = torch.tensor([0.0, 128.0, 128.0]).view(3, 1, 1)
        start = torch.tensor([16.0, 128.0, 128.0]).view(3, 1, 1)
        whole = (whole - zero) * scale + start
    return whole.round().clamp(0, 255).to(torch.uint8)


def window(material: Material, random: np.random.Generator) -> Tensor:
    """Return a window's planes as a fit has them, float32 [17, 6, 64, 80] in [0, 1]."""
    if random.random() < _PICTURE_SHARE or not material.videos:
        frames = _animated(material.pictures, random)
    else:
        frames = _excerpt(material.videos, random)
    frames = frames.round().clamp(0, 255) / 255
    if random.random() < 0.5:
        frames = frames.flip(3)
    luma = F.pixel_unshuffle(frames[:, :1], 2)
    return torch.cat([luma, F.avg_pool2d(frames[:, 1:], 2)], dim=1)


def _excerpt(videos: Sequence[Source], random: np.random.Generator) -> Tensor:
    """Return a part of a video, in time, place and scale; float32 [17, 3, *WINDOW_SIZE]."""
    video = videos[int(random.integers(len(videos)))]
    rows, columns = WINDOW_SIZE
    most = min(video.shape[2] / rows, video.shape[3] / columns)
    scale = min(most, random.choice([1.0, 1.0, 1.5, 2.0]))
    pace = int(random.integers(1, max(2, min(3, (len(video) - 1) // (WINDOW - 1)) + 1)))
    first = int(random.integers(0, max(1, len(video) - pace * (WINDOW - 1))))
    numbers = (first + pace * np.arange(WINDOW)).clip(max=len(video) - 1)
    height, width = math.floor(scale * rows), math.floor(scale * columns)
    y = int(random.integers(0, video.shape[2] - height + 1))
    x = int(random.integers(0, video.shape[3] - width + 1))
    part = video[numbers, :, y : y + height, x : x + width].float()
    return part if scale == 1 else F.interpolate(part, WINDOW_SIZE, mode="area")


def _animated(pictures: Sequence[Source], random: np.random.Generator) -> Tensor:
    """Return a picture under made-up motion, with other pictures' parts passing before it."""
    frames = _layer(pictures, random, still=random.random() < 0.35)
    for _ in range(int(random.choice([0, 0, 1, 2, 3]))):
        over = _layer(pictures, random, still=False)
        mask = _mask(random)
        frames = frames + mask * (over - frames)
    if random.random() < 0.2:
        gain = 1 + random.uniform(-0.2, 0.2) * np.linspace(0, 1, WINDOW)
        frames[:, 0] = 16 + (frames[:, 0] - 16) * torch.from_numpy(gain).float().view(-1, 1, 1)
    if random.random() < 0.5:
        seed = torch.Generator().manual_seed(int(random.integers(2**62)))
        frames = frames + random.uniform(0, 3) * torch.randn(frames.shape, generator=seed)
    return frames


def _path(random: np.random.Generator, speed: float, bend: float) -> NDArray[np.float64]:
    """Return a smooth walk of WINDOW values that begins at 0."""
    t = np.arange(WINDOW)
    line, height = random.normal(0, speed) * t, random.normal(0, bend)
    walk: NDArray[np.float64] = line + height * np.sin(
        t * random.uniform(0.05, 0.5) + random.uniform(0, 6)
    )
    return walk


def _layer(pictures: Sequence[Source], random: np.random.Generator, still: bool) -> Tensor:
    """Return a picture panned, zoomed and turned; float32 [17, 3, *WINDOW_SIZE]."""
    picture = pictures[int(random.integers(len(pictures)))].float()
    rows, columns = WINDOW_SIZE
    most = min(picture.shape[2] / rows, picture.shape[3] / columns)
    shrink = min(most / 1.2, float(np.exp(random.uniform(math.log(1.0), math.log(4.0)))))
    shrink = max(shrink, 1.0)
    if shrink > 1:
        size = math.ceil(picture.shape[2] / shrink), math.ceil(picture.shape[3] / shrink)
        picture = F.interpolate(picture, size, mode="area")
    height, width = picture.shape[2:]
    motion = (
        np.zeros((4, WINDOW))
        if still
        else np.stack(
            [
                _path(random, 1.5, 2.0),
                _path(random, 0.7, 1.0),
                _path(random, 0.004, 0.01),
                _path(random, 0.003, 0.006),
            ]
        )
    )
    x0 = random.uniform(columns / 2, max(columns / 2 + 1, width - columns / 2))
    y0 = random.uniform(rows / 2, max(rows / 2 + 1, height - rows / 2))
    zoom, turn = np.exp(motion[2]), motion[3]
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    theta = np.stack(
        [
            np.stack([cos * columns, -sin * rows, 2 * (x0 + motion[0]) - width], -1) / width,
            np.stack([sin * columns, cos * rows, 2 * (y0 + motion[1]) - height], -1) / height,
        ],
        axis=1,
    )
    where = F.affine_grid(
        torch.from_numpy(theta).float(), [WINDOW, 3, rows, columns], align_corners=False
    )
    return F.grid_sample(
        picture.expand(WINDOW, -1, -1, -1), where, "bicubic", "reflection", align_corners=False
    )


def _mask(random: np.random.Generator) -> Tensor:
    """Return where a moving object is, with a soft edge; float32 [17, 1, *WINDOW_SIZE], 0 to 1."""
    rows, columns = WINDOW_SIZE
    y, x = torch.arange(rows).view(-1, 1), torch.arange(columns)
    half_y, half_x = random.uniform(6, 40), random.uniform(6, 50)
    along, down = _path(random, 2.5, 3), _path(random, 0.7, 1.5)
    x0, y0 = random.uniform(0, columns), random.uniform(0, rows)
    power = random.choice([2, 4, 8])
    masks = []
    for right, below in zip(along, down):
        far = ((x - x0 - right) / half_x).abs() ** power + (
            (y - y0 - below) / half_y
        ).abs() ** power
        masks.append((min(half_x, half_y) * (1 - far) / 2 + 0.5).clamp(0, 1))
    return torch.stack(masks)[:, None].float()
