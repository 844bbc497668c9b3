"""A fit and an encode that were interrupted and go on end as those that were not, bit for bit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from shell import Shell, write_clip

from nervcodec.encoder.resume import Journal, Pace, folder_of
from nervcodec.format.model_config import ModelConfig
from nervcodec.nn.planes import pack
from nervcodec.training import stage as stage_module
from nervcodec.training.config import FitConfig
from nervcodec.training.pruning import magnitude_mask
from nervcodec.training.state import Checkpoint, Fitted, Gauges
from nervcodec.training.trainer import Fitter
from nervcodec.video.frames import Frames

OURS = FitConfig(epochs=8, batch_size=3)
PAPERS = FitConfig(
    epochs=4,
    finetune_epochs=3,
    batch_size=1,
    loss="l1+ssim",
    optimizer="adam",
    rate_weight=0,
    prune=0.4,
)


class Every:
    """A keeper of every checkpoint."""

    def __init__(self) -> None:
        self.kept: list[Checkpoint] = []

    def is_due(self) -> bool:
        return True

    def keep(self, checkpoint: Checkpoint) -> None:
        self.kept.append(checkpoint)


def fitted(
    frames: Frames,
    model: ModelConfig,
    fit: FitConfig,
    keeper: Every | None = None,
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    # Gauges that only depend on the fit, and keep it settling to the end.
    gauges = Gauges(
        lambda found: 2.0 * fitter.n_pixels + 100 * float(found.parameters.abs().sum()),
        lambda found: 30 + float(found.parameters[0]),
    )
    fitter = Fitter(
        model,
        fit,
        torch.from_numpy(pack(frames, model)),
        gauges=gauges,
        keeper=keeper,
        checkpoint=checkpoint,
    )
    return fitter.run(
        lambda parameters: magnitude_mask(parameters, fitter.network.tensors, fit.prune)
    )


@pytest.mark.parametrize(
    "fit",
    [
        OURS,
        PAPERS,
        replace(OURS, target_bpp=0.5),
        replace(OURS, target_bpp=200.0),
        replace(OURS, target_psnr=25.0),
        replace(OURS, precision="bfloat16", prune=0.2, finetune_epochs=2),
    ],
    ids=["ours", "the paper's", "size", "size that takes finer steps", "psnr", "bfloat16, pruned"],
)
def test_a_fit_goes_on_from_any_step(clip: Frames, grid_model: ModelConfig, fit: FitConfig) -> None:
    """Parameters, steps and rollbacks are the same whichever step it goes on from."""
    keeper = Every()
    whole = fitted(clip, grid_model, fit, keeper)
    assert len(keeper.kept) >= fit.total_epochs * -(-clip.n_frames // fit.batch_size)
    for checkpoint in keeper.kept[::3] + keeper.kept[-1:]:
        again = fitted(clip, grid_model, fit, checkpoint=checkpoint)
        assert torch.equal(again.parameters, whole.parameters) and torch.equal(
            again.log_steps, whole.log_steps
        )


def test_a_fit_that_was_rolled_back_goes_on(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint also knows what to fall back to, and how often that has happened."""
    fit = replace(OURS, epochs=12, target_bpp=0.5)
    original = stage_module.Stage._distortion

    def distortion(stage: stage_module.Stage, *tensors: torch.Tensor) -> torch.Tensor:
        is_bad = (
            stage.epoch in (4, 7)
            and stage.n_rollbacks == (stage.epoch == 7)
            and stage.n_batches == 1
        )
        return original(stage, *tensors) * (float("nan") if is_bad else 1)

    monkeypatch.setattr(stage_module.Stage, "_distortion", distortion)
    keeper = Every()
    whole = fitted(clip, grid_model, fit, keeper)
    assert whole.n_rollbacks == 2
    for checkpoint in keeper.kept[::2]:
        again = fitted(clip, grid_model, fit, checkpoint=checkpoint)
        assert again.n_rollbacks == 2 and torch.equal(again.parameters, whole.parameters)


def test_a_checkpoint_says_where_it_was_taken(clip: Frames, grid_model: ModelConfig) -> None:
    """Stages are named fit, settle and finetune, epochs count from 0."""
    keeper = Every()
    fitted(clip, grid_model, replace(OURS, target_bpp=0.5), keeper)
    seen = [
        (kept.progress.stage, kept.progress.epoch, kept.progress.n_epochs) for kept in keeper.kept
    ]
    assert seen[0] == ("fit", 0, 8) and seen[-1] == ("settle", 7, 8)
    keeper = Every()
    fitted(clip, grid_model, PAPERS, keeper)
    assert {kept.progress.stage for kept in keeper.kept} == {"fit", "finetune"}


# --- whole encodes ---

ENCODE = ("encode", "in.y4m", "out.nvpp", "--epochs", "6", "--segment-frames", "3", "--size", "900")


@pytest.fixture
def uninterrupted(shell: Shell) -> tuple[Shell, bytes]:
    """A folder with in.y4m, and the file that ENCODE makes of it; it leaves nothing else."""
    write_clip(shell.folder / "in.y4m")
    assert shell(*ENCODE).code == 0
    assert sorted(path.name for path in shell.folder.iterdir()) == ["in.y4m", "out.nvpp"]
    data = (shell.folder / "out.nvpp").read_bytes()
    (shell.folder / "out.nvpp").unlink()
    return shell, data


def interrupted_after(
    n_checkpoints: int, monkeypatch: pytest.MonkeyPatch, how: Callable[[], None]
) -> None:
    """Every step of a fit takes a checkpoint; after so many of them something happens."""
    original, n_left = Journal.add_checkpoint, [n_checkpoints]

    def add(self: Journal, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        n_left[0] -= 1
        if n_left[0] == 0:
            how()

    monkeypatch.setattr(Journal, "add_checkpoint", add)
    monkeypatch.setattr(Pace, "is_due", lambda _: True)


def crash() -> None:
    raise RuntimeError("power loss")


@pytest.mark.parametrize("n_checkpoints", [1, 5, 6, 13])
def test_a_crashed_encode_goes_on(
    uninterrupted: tuple[Shell, bytes], monkeypatch: pytest.MonkeyPatch, n_checkpoints: int
) -> None:
    """The same command says from where it goes on, gives the same file and leaves nothing else."""
    shell, data = uninterrupted
    with monkeypatch.context() as patch:
        interrupted_after(n_checkpoints, patch, crash)
        with pytest.raises(RuntimeError, match="power loss"):
            shell(*ENCODE)
    assert (
        folder_of(shell.folder / "out.nvpp").is_dir() and not (shell.folder / "out.nvpp").exists()
    )
    result = shell(*ENCODE)
    assert result.code == 0 and "going on from " in result.err
    assert (shell.folder / "out.nvpp").read_bytes() == data
    assert sorted(path.name for path in shell.folder.iterdir()) == ["in.y4m", "out.nvpp"]


def test_ctrl_c_saves(uninterrupted: tuple[Shell, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal during a fit ends it with a checkpoint, exit 8 and a line on how to go on."""
    shell, data = uninterrupted
    monkeypatch.setattr(
        signal, "getsignal", lambda _: signal.default_int_handler
    )  # a background shell ignores it
    with monkeypatch.context() as patch:
        interrupted_after(4, patch, lambda: os.kill(os.getpid(), signal.SIGINT))
        result = shell(*ENCODE)
    assert result.code == 8 and "the same command goes on" in result.err
    result = shell(*ENCODE)
    assert result.code == 0 and "going on from fit epoch " in result.err
    assert (shell.folder / "out.nvpp").read_bytes() == data


def test_another_encode_is_refused_until_restart(
    uninterrupted: tuple[Shell, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other epochs or another input it does not go on; --restart begins anew."""
    shell, data = uninterrupted
    with monkeypatch.context() as patch:
        interrupted_after(3, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert shell(*ENCODE).code == 8
    result = shell(*ENCODE, "--epochs", "7")
    assert result.code == 2 and "another fit.epochs (6, now 7)" in result.err
    video = (shell.folder / "in.y4m").read_bytes()
    write_clip(shell.folder / "in.y4m", n_frames=6)
    assert "another input" in shell(*ENCODE).err
    (shell.folder / "in.y4m").write_bytes(video)
    result = shell(*ENCODE, "--restart")
    assert result.code == 0 and "going on" not in result.err
    assert (shell.folder / "out.nvpp").read_bytes() == data


def test_a_time_budget_goes_on_with_its_epochs(
    uninterrupted: tuple[Shell, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Speed differs from run to run; an encode goes on with the epochs that it began with."""
    shell, _ = uninterrupted
    command = ("encode", "in.y4m", "out.nvpp", "--time-budget", "2s")
    with monkeypatch.context() as patch:
        interrupted_after(3, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert shell(*command).code == 8
    result = shell(*command)
    assert result.code == 0 and "going on from fit epoch " in result.err


@pytest.mark.parametrize(
    ("n_epochs", "n_kills", "least_resumed"),
    [(200, 3, 1), pytest.param(600, 50, 40, marks=pytest.mark.slow)],
)
def test_killed_encodes_go_on(
    tmp_path: Path, n_epochs: int, n_kills: int, least_resumed: int
) -> None:
    """Killed at random moments of their fits, encodes go on and end with the file of one that was
    not killed.
    """
    write_clip(tmp_path / "in.y4m", 48, 32, 6)
    chance = random.Random(n_kills)
    command = [
        sys.executable,
        "-m",
        "nervcodec",
        "encode",
        "in.y4m",
        "out.nvpp",
        "--epochs",
        str(n_epochs),
        "--threads",
        "1",
        "--checkpoint-every",
        "0.2",
    ]

    def run(kill_after_s: float | None = None) -> tuple[float, str]:
        """Runs the command, and kills it so long after its first line on the fit; (seconds of the
        fit, its words).
        """
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr
            words = ""
            for line in process.stderr:
                words += line
                if " fit epoch " in line and "going on" not in line:
                    break
            started = time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(kill_after_s)
            process.kill()
            return time.monotonic() - started, words + process.stderr.read()

    seconds, _ = run()
    data = (tmp_path / "out.nvpp").read_bytes()
    n_resumed = 0
    for _ in range(n_kills):
        (tmp_path / "out.nvpp").unlink(missing_ok=True)
        _, words = run(chance.uniform(0.03, 0.12) * seconds)
        n_resumed += "going on from " in words
        if (tmp_path / "out.nvpp").exists():
            assert (tmp_path / "out.nvpp").read_bytes() == data
    (tmp_path / "out.nvpp").unlink(missing_ok=True)
    run()
    assert (tmp_path / "out.nvpp").read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.y4m", "out.nvpp"]
    assert n_resumed >= least_resumed
