"""Segments that are fitted at once give the file that segments fitted in turn give."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shell import write_clip

from nervcodec.encoder.encode import encode
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.plan import plan
from nervcodec.encoder.progress_folder import folder_of
from nervcodec.encoder.resume import Pace
from nervcodec.encoder.target import Size
from nervcodec.errors import Interrupted
from nervcodec.training.state import Progress

OPTIONS = EncodeOptions(
    preset="ultrafast",
    epochs=10,
    segment_frames=2,
    n_threads=1,
    checkpoint_every_s=0,
    jobs=1,
    overwrite=True,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_clip(tmp_path / "in.y4m", n_frames=6)
    return tmp_path / "in.y4m"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"independent_segments": False}, marks=pytest.mark.slow),
        pytest.param({"target": Size(1500)}, marks=pytest.mark.slow),
    ],
    ids=["independent", "shared start", "size"],
)
def test_processes_give_the_same_bytes(source: Path, changes: dict[str, Any]) -> None:
    """Also where one of them is killed, and where the encode is interrupted and gone on with."""
    out = source.with_name("out.nvpp")
    options = replace(OPTIONS, **changes)
    encode(plan(source, out, options))
    serial = out.read_bytes()
    notes: list[str] = []
    killed: list[int] = []
    pace = Pace(0)

    def kill_and_end(segment: int, progress: Progress) -> None:
        if progress.epoch < 3:
            return
        if not killed and (children := multiprocessing.active_children()):
            killed.append(children[0].pid or 0)
            os.kill(killed[0], signal.SIGKILL)
        elif any("was killed" in note for note in notes) and not pace.is_ending:
            pace.end()

    decided = plan(source, out, replace(options, jobs=2))
    with pytest.raises(Interrupted):
        encode(decided, on_progress=kill_and_end, on_note=notes.append, pace=pace)
    assert killed and any("was killed; it goes on from its last" in note for note in notes)
    assert out.read_bytes() == serial and folder_of(out).is_dir()
    notes.clear()
    report = encode(decided, on_note=notes.append)
    assert any("going on from" in note for note in notes) and report.n_jobs == 2
    assert out.read_bytes() == serial and not folder_of(out).exists()
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.needs_ray
def test_a_ray_cluster_gives_the_same_bytes(source: Path, ray_cluster: str) -> None:
    """A segment is a task on any of its nodes."""
    out = source.with_name("out.nvpp")
    encode(plan(source, out, OPTIONS))
    serial = out.read_bytes()
    report = encode(plan(source, out, replace(OPTIONS, jobs="auto", ray=ray_cluster)))
    assert report.n_jobs == 2
    assert out.read_bytes() == serial and not folder_of(out).exists()


@pytest.mark.slow
def test_jobs_that_are_killed_at_random(source: Path) -> None:
    """20 times the driver or one of its workers is killed, at random moments; the file is the same
    each time, and nothing else is left.
    """
    write_clip(source, n_frames=16)
    command = [sys.executable, "-m", "nervcodec", "encode", "in.y4m", "out.nvpp", "-y"]
    command += ["--preset", "ultrafast", "--epochs", "60", "--segment-frames", "4"]
    command += ["--threads", "1", "--checkpoint-every", "0.2"]
    folder, chance = source.parent, random.Random(20)
    subprocess.run([*command, "--jobs", "1"], cwd=folder, check=True, capture_output=True)
    data = (folder / "out.nvpp").read_bytes()
    n_killed = 0
    for _ in range(20):
        is_driver = chance.random() < 0.5
        with subprocess.Popen(
            [*command, "--jobs", "2"], cwd=folder, stdout=-1, stderr=-1, process_group=0
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(3, 9))
            if process.poll() is None:
                pids = [process.pid] if is_driver else workers_of(process.pid)
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(chance.choice(pids), signal.SIGKILL)
                    n_killed += 1
            if is_driver:
                process.communicate()
                wait_for_no_workers(process.pid)
                subprocess.run(
                    [*command, "--jobs", "2"], cwd=folder, check=True, capture_output=True
                )
            else:
                process.communicate()
                assert process.returncode == 0
        assert (folder / "out.nvpp").read_bytes() == data
        assert sorted(path.name for path in folder.iterdir()) == ["in.y4m", "out.nvpp"]
        (folder / "out.nvpp").unlink()
    assert n_killed >= 15


def workers_of(pid: int) -> list[int]:
    """The processes that a driver has spawned to fit."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid for pid in map(int, children) if b"spawn_main" in command_of(pid)]


def command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def wait_for_no_workers(group: int) -> None:
    """Wait until a killed driver's workers have followed it."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("workers outlive their driver by ten seconds")
