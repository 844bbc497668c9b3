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
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from shell import Shell, write_clip

from nervcodec.encoder.presets import PRESETS
from nervcodec.encoder.progress_folder import folder_of
from nervcodec.encoder.resume import Journal, Pace
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.planes import pack
from nervcodec.training.config import FitConfig
from nervcodec.training.context import ExactMeasures, TrainingContext
from nervcodec.training.stage import TrainingStage
from nervcodec.training.state import Checkpoint, TrainingState
from nervcodec.training.step import OptimizerStep
from nervcodec.training.trainer import Trainer, all_stages, cycles
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


def trainer_of(
    frames: Frames,
    model: ModelConfig,
    fit: FitConfig,
    checkpoint: Checkpoint | None = None,
    stages: Callable[[TrainingContext], list[TrainingStage]] = cycles,
) -> Trainer:
    # Measures that only depend on the fit, and keep it settling to the end.
    measures = ExactMeasures(
        lambda trial: 2.0 * context.n_pixels + 100 * float(trial.parameters.abs().sum()),
        lambda trial: 30 + float(trial.parameters[0]),
    )
    target = torch.from_numpy(pack(frames, model))
    context = TrainingContext.create(model, fit, target, measures)
    return Trainer(context, checkpoint, stages(context))


def checkpoints(trainer: Trainer) -> list[Checkpoint]:
    """What a fit can go on from, after each step until it ends."""
    return [trainer.checkpoint() for _ in trainer.run()]


def ended(trainer: Trainer) -> TrainingState:
    """The state when a fit has ended."""
    for _ in trainer.run():
        pass
    return trainer.state


def assert_same(one: TrainingState, other: TrainingState) -> None:
    assert torch.equal(one.parameters, other.parameters)
    assert torch.equal(one.log_steps, other.log_steps)
    assert one.n_rollbacks == other.n_rollbacks


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
    whole = trainer_of(clip, grid_model, fit)
    kept = checkpoints(whole)
    assert len(kept) >= fit.total_epochs * -(-clip.n_frames // fit.batch_size)
    for checkpoint in kept[::3] + kept[-1:]:
        assert_same(ended(trainer_of(clip, grid_model, fit, checkpoint)), whole.state)


@pytest.mark.parametrize("target_psnr", [0.0, 25.0])
def test_a_fit_with_a_prior_goes_on_from_any_step(clip: Frames, target_psnr: float) -> None:
    """It goes on from its checkpoint, and not from the prior's start."""
    model = PRESETS["medium"].model(VideoFormat(16, 12, Fraction(25), 4), "yuv420", (4,))
    assert model.prior
    fit = replace(OURS, target_psnr=target_psnr)
    whole = trainer_of(clip, model, fit)
    kept = checkpoints(whole)
    for checkpoint in kept[::3] + kept[-1:]:
        assert_same(ended(trainer_of(clip, model, fit, checkpoint)), whole.state)


def test_a_fit_that_was_rolled_back_goes_on(
    clip: Frames, grid_model: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint also knows what to fall back to, and how often that has happened."""
    fit = replace(OURS, epochs=12, target_bpp=0.5)
    original = OptimizerStep.distortion

    def distortion(step: OptimizerStep, *tensors: torch.Tensor) -> torch.Tensor:
        # The second batch of epochs 4 and 7, of which the first one was made twice.
        is_bad = step.state.n_steps_done in (2 * 4 + 1, 2 * (7 + 1) + 1)
        return original(step, *tensors) * (float("nan") if is_bad else 1)

    monkeypatch.setattr(OptimizerStep, "distortion", distortion)
    whole = trainer_of(clip, grid_model, fit)
    kept = checkpoints(whole)
    assert whole.state.n_rollbacks == 2
    for checkpoint in kept[::2]:
        assert_same(ended(trainer_of(clip, grid_model, fit, checkpoint)), whole.state)


def test_a_checkpoint_stays_what_it_was(clip: Frames, grid_model: ModelConfig) -> None:
    """Neither the fit that goes on after it nor one that goes on from it changes its arrays, and
    whichever stage it was taken in the end is the same.
    """
    fit = replace(OURS, target_bpp=0.5)
    whole = trainer_of(clip, grid_model, fit, stages=all_stages)
    steps, chosen, copies = whole.run(), list[Checkpoint](), list[dict[str, torch.Tensor]]()
    for _ in steps:
        checkpoint = whole.checkpoint()
        if checkpoint.numbers["stage"] not in {at.numbers["stage"] for at in chosen}:
            chosen.append(checkpoint)
            copies.append({name: value.clone() for name, value in checkpoint.arrays.items()})
    assert [at.progress.stage for at in chosen] == ["fit", "settle", "rdoq", "rounding"]
    for checkpoint, arrays in zip(chosen, copies):
        again = ended(trainer_of(clip, grid_model, fit, checkpoint, all_stages))
        assert_same(again, whole.state)
        assert all(torch.equal(checkpoint.arrays[name], arrays[name]) for name in arrays)


def test_a_checkpoint_says_where_it_was_taken(clip: Frames, grid_model: ModelConfig) -> None:
    """Stages are named fit, settle and finetune, and epochs count those that are done."""
    kept = checkpoints(trainer_of(clip, grid_model, replace(OURS, target_bpp=0.5)))
    seen = [(at.progress.stage, at.progress.epoch, at.progress.n_epochs) for at in kept]
    assert seen[0] == ("fit", 0, 8) and seen[-1] == ("settle", 8, 8)
    kept = checkpoints(trainer_of(clip, grid_model, PAPERS))
    assert {at.progress.stage for at in kept} == {"fit", "finetune"}


# --- whole encodes ---

ENCODE = ("encode", "in.y4m", "out.nvpp", "--epochs", "6", "--segment-frames", "3", "--size", "900")


@pytest.fixture(scope="module")
def encoded_once() -> list[bytes]:
    """Holds the file that ENCODE makes once it was made: each encode of it is the same."""
    return []


@pytest.fixture
def uninterrupted(shell: Shell, encoded_once: list[bytes]) -> tuple[Shell, bytes]:
    """A folder with in.y4m, and the file that ENCODE makes of it; it leaves nothing else."""
    write_clip(shell.folder / "in.y4m")
    if not encoded_once:
        assert shell(*ENCODE).code == 0
        assert sorted(path.name for path in shell.folder.iterdir()) == ["in.y4m", "out.nvpp"]
        encoded_once.append((shell.folder / "out.nvpp").read_bytes())
        (shell.folder / "out.nvpp").unlink()
    return shell, encoded_once[0]


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
    ("n_epochs", "checkpoint_every_s", "n_kills", "least_resumed"),
    [(100, "0.1", 2, 1), pytest.param(600, "0.2", 50, 40, marks=pytest.mark.slow)],
)
def test_killed_encodes_go_on(
    tmp_path: Path, n_epochs: int, checkpoint_every_s: str, n_kills: int, least_resumed: int
) -> None:
    """Killed at random moments of their fits, encodes go on and end with the file of one that was
    not killed.
    """
    write_clip(tmp_path / "in.y4m", 48, 32, 6 if n_epochs > 100 else 4)
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
        checkpoint_every_s,
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
