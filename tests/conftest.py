"""Small clips, networks and files that several tests share."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import MakeClip, make_clip
from hypothesis import settings
from shell import Shell, write_clip

from nervcodec.encoder.segment import encode_segment
from nervcodec.format.container import write_file
from nervcodec.format.file import Header, StoredQuality
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.jobs.ray_cluster import local_cluster
from nervcodec.training.config import FitConfig
from nervcodec.video.frames import Frames

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors are fastest on one thread, and a fit repeats itself only with the same number of
    threads.
    """
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """The address of a Ray cluster of two nodes on this machine, a CPU each."""
    pytest.importorskip("ray")
    with local_cluster(2) as address:
        yield address


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(tmp_path, monkeypatch, capfd)


@pytest.fixture(scope="session")
def encoded_once() -> list[bytes]:
    """Holds the file of `coded` once it was made."""
    return []


@pytest.fixture
def coded(shell: Shell, encoded_once: list[bytes]) -> Shell:
    """A folder with in.y4m (5 frames) and out.nvpp (segments of 2 and 3 frames)."""
    write_clip(shell.folder / "in.y4m")
    if encoded_once:
        (shell.folder / "out.nvpp").write_bytes(encoded_once[0])
        return shell
    assert shell("encode", "in.y4m", "out.nvpp", "--epochs", "4", "--segment-frames", "3").code == 0
    encoded_once.append((shell.folder / "out.nvpp").read_bytes())
    return shell


@pytest.fixture(scope="session", name="make_clip")
def make_clip_fixture() -> MakeClip:
    """clips.make_clip."""
    return make_clip


@pytest.fixture(scope="session")
def clip(make_clip: MakeClip) -> Frames:
    """Four 4:2:0 frames of 16 x 12."""
    return make_clip()


@pytest.fixture(scope="session")
def grid_model() -> ModelConfig:
    """A grid-stem network of some 2000 parameters for `clip`, shaped like the default preset's."""
    return ModelConfig(
        16,
        12,
        "yuv420",
        GridStem(3, 4, (Grid(2, 2), Grid(1, 4))),
        (Block(2, 6),),
    )


@pytest.fixture(scope="session")
def mlp_model() -> ModelConfig:
    """A small network of the paper's kind for 16 x 12 RGB frames, with 6-bit symbols."""
    return ModelConfig(16, 12, "rgb", MlpStem(3, 4, 8, 3), (Block(2, 5), Block(2, 6)), bits=6)


@pytest.fixture(scope="session")
def small_file() -> bytes:
    """A real file of one segment and a few hundred bytes."""
    model = ModelConfig(
        4,
        2,
        "yuv420",
        GridStem(1, 2, (Grid(1, 1),)),
        (Block(1, 2),),
    )
    frames = Frames.empty("yuv420", 2, 4, 2)
    for plane in frames.planes:
        plane[:] = np.arange(plane.size).reshape(plane.shape) * 7
    segment, _ = encode_segment(frames, None, model, FitConfig(epochs=2))
    header = Header(VideoFormat(4, 2, Fraction(25), 2), model)
    return write_file(header, [replace(segment, quality=StoredQuality(psnr_y=30.5))])
