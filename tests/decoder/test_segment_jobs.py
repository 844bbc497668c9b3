"""nervcodec.decoder.segment_jobs: segments decoded at once give the frames of segments in turn."""

from __future__ import annotations

import numpy as np
import pytest
from shell import Shell

from nervcodec.decoder.decode import decoded_frames
from nervcodec.decoder.engines import Engine
from nervcodec.decoder.segment_jobs import DecodeTask, chosen_jobs, frames_in_order, hashed
from nervcodec.decoder.verify import verify
from nervcodec.format.container import load
from nervcodec.jobs.executor import Executor, SerialExecutor
from nervcodec.jobs.processes import ProcessExecutor
from nervcodec.video.frames import Frames

ENGINE = Engine("torch", n_threads=1)
N_JOBS = [1, pytest.param(2, marks=pytest.mark.slow)]


def executor_of(n_jobs: int) -> Executor:
    return SerialExecutor() if n_jobs == 1 else ProcessExecutor(n_jobs)


@pytest.mark.parametrize("n_jobs", N_JOBS)
def test_frames_come_in_their_order(coded: Shell, n_jobs: int) -> None:
    """All of them, and those that are asked for alone."""
    file = load(coded.folder / "out.nvpp")
    whole = Frames.concatenate(list(decoded_frames(file, 1, 5, ENGINE, 1)))
    parts = [(file.segments[0], range(1, 2)), (file.segments[1], range(3))]
    tasks = [DecodeTask(segment, file.header.model, n, ENGINE) for segment, n in parts]
    decoded = Frames.concatenate(list(frames_in_order(executor_of(n_jobs), tasks)))
    assert all(map(np.array_equal, decoded.planes, whole.planes))
    if n_jobs > 1:
        at_once = Frames.concatenate(list(decoded_frames(file, 1, 5, ENGINE, n_jobs)))
        assert all(map(np.array_equal, at_once.planes, whole.planes))


@pytest.mark.parametrize("n_jobs", N_JOBS)
def test_md5s_are_those_of_the_file(coded: Shell, n_jobs: int) -> None:
    """Of each segment, and progress counts the frames of all."""
    file = load(coded.folder / "out.nvpp")
    tasks = [
        DecodeTask(each, file.header.model, range(each.n_frames), ENGINE) for each in file.segments
    ]
    seen: list[tuple[int, int]] = []
    md5s = hashed(executor_of(n_jobs), tasks, lambda *counts: seen.append(counts))
    assert md5s == [segment.md5 for segment in file.segments]
    assert seen[-1] == (5, 5) and [n for n, _ in seen] == sorted(n for n, _ in seen)
    assert verify(coded.folder / "out.nvpp", jobs=n_jobs, n_threads=1).verdict == "exact"


def test_short_files_start_no_processes(coded: Shell) -> None:
    """Where one process is done before others have started."""
    file = load(coded.folder / "out.nvpp")
    assert chosen_jobs("auto", None, file, 2, 5).n_jobs == 1
    assert chosen_jobs("auto", None, file, 2, 10**9).n_jobs >= 1
    assert chosen_jobs(3, None, file, 2, 5).n_jobs == 3
