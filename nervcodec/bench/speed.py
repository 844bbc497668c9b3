"""Our training beside the reference path (reference.py): same network, batch and steps, in turns.

The two take turns, a round each, so that a machine that slows down shows in the spread of their
ratio. Each has a process of its own, as it has where it is used: ours keeps freed memory, as
`encode` does, the reference's leaves memory to glibc. Beside the steps a second stands the PSNR
that each has reached on all frames used: a faster step that learns less is no gain.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nervcodec.bench.environment import machine, now, versions
from nervcodec.bench.reference import PlainFit
from nervcodec.bench.stepping import (
    RECIPES,
    REFERENCE,
    WARMUP_STEPS,
    OurFit,
    Steps,
    recipe_fit,
    seconds_per_step,
)
from nervcodec.decoder.reconstruct import reconstruct
from nervcodec.encoder.fit_plan import FitPlan, plan_fit, source_frames
from nervcodec.encoder.options import EncodeOptions
from nervcodec.errors import ConfigError, FitError, NervCodecError
from nervcodec.format.costs import macs_per_frame
from nervcodec.format.prior import NO_PRIOR
from nervcodec.format.tensors import n_parameters
from nervcodec.nn.arithmetic import Precision
from nervcodec.nn.device import choose_precision, device_label, set_threads
from nervcodec.nn.planes import pack
from nervcodec.quality.metrics import Quality, QualityMeter
from nervcodec.training.config import FitConfig
from nervcodec.util.memory import keep_freed_memory
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups

SCHEMA = "nervcodec.speed/1"
MAX_LOSS_DB = 0.1  # by how much RGB PSNR may be below the reference's for a ratio to count
_OPTIMIZERS = {
    ("adam", True): "Adam",
    ("adam", False): "fused Adam",
    ("muon", False): "Muon, fused Adam",
}
OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Settings:
    """A comparison: of what, and for how long.

    Attributes:
        preset: whose network, batch and rates are used.
        variants: which of stepping.RECIPES are compared with the reference.
        n_steps: of each, rounded up to whole passes over the frames.
        n_frames: the first so many of the clip, or all if it has fewer.
        n_rounds: in so many turns.
        device, precision: as choose_device gives it; as the command line has it.
        seed: of the start and the order of the frames.
    """

    preset: str = "paper-xs"
    variants: tuple[str, ...] = ("same-recipe", "mse", "ours")
    n_steps: int = 60
    n_frames: int = 16
    n_rounds: int = 3
    device: str = "cpu"
    precision: Precision = "auto"
    seed: int = 0


@dataclass
class _Contestant:
    """A training in the process at the other end of the pipe.

    Attributes:
        rounds: seconds of a step in each round so far.
    """

    name: str
    fit: FitConfig
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    rounds: list[float] = field(default_factory=list)

    def run_round(self, n_steps: int) -> None:
        """Make the next steps; all but the first few of them are timed."""
        self.rounds.append(self._answer(n_steps))

    def parameters(self) -> NDArray[np.float32]:
        """Return the parameters so far, not quantized, float32 [n_parameters]."""
        parameters: NDArray[np.float32] = self._answer(None)
        return parameters

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.join()

    def _answer(self, question: int | None) -> Any:
        """Return what the process answers to a number of steps, or to None for its parameters.

        Raises:
            NervCodecError: the process failed.
        """
        with suppress(OSError):  # it may have ended with an error, which is still to be read
            self.pipe.send(question)
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise FitError(f"the process that trains {self.name!r} has ended") from error
        if isinstance(answer, NervCodecError):
            raise answer
        return answer


def _train(pipe: Connection, plan: FitPlan, name: str, device: str, n_threads: int) -> None:
    """Make steps or tell parameters, as often as the other end of the pipe asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's business
    set_threads(n_threads)
    try:
        steps = _steps(plan, name, device)
        while True:
            n_steps = pipe.recv()
            pipe.send(
                steps.parameters().numpy()
                if n_steps is None
                else seconds_per_step(steps, WARMUP_STEPS, n_steps - WARMUP_STEPS, device)
            )
    except NervCodecError as error:
        pipe.send(error)
    except EOFError:  # nobody asks any more
        pass


def _steps(plan: FitPlan, name: str, device: str) -> Steps:
    """Return a contestant's training, at its start."""
    host = torch.from_numpy(pack(next(source_frames(plan, plan.lengths)), plan.model))
    if name == REFERENCE:
        return PlainFit(plan.model, plan.fit, host, device)
    keep_freed_memory()
    return OurFit(plan.model, plan.fit, host.to(device))


def compare_speed(
    clips: Sequence[Path],
    settings: Settings,
    command: str = "",
    on_progress: OnProgress = lambda *_: None,
) -> dict[str, Any]:
    """Run the comparison on each clip; return it by schema nervcodec.speed/1.

    Args:
        command: as the result states it.
        on_progress: called before each round with (rounds done, rounds in all, what comes next).
    Raises:
        ConfigError: a preset, a variant or numbers that cannot work.
        VideoError: a clip that cannot be read.
        FitError: one of our fits kept diverging.
    """
    names = [REFERENCE, *dict.fromkeys(settings.variants)]
    for name in names:
        recipe_fit(name, FitConfig(), "float32")  # a wrong one is better known now
    n_all = len(clips) * settings.n_rounds * len(names)

    def tell(number: int, n_done: int, text: str) -> None:
        on_progress(number * n_all // len(clips) + n_done, n_all, f"{clips[number].stem}, {text}")

    runs = []
    for number, path in enumerate(clips):
        runs.append(_run(path, settings, names, partial(tell, number)))
    return {
        "schema": SCHEMA,
        "command": command,
        "created": now(),
        "versions": versions(),
        "machine": machine(),
        "device": settings.device,
        "device_name": device_label(settings.device),
        "threads": torch.get_num_threads(),
        "seed": settings.seed,
        "rounds": settings.n_rounds,
        "warmup_steps": WARMUP_STEPS,
        "runs": runs,
    }


def _run(
    path: Path, settings: Settings, names: Sequence[str], tell: Callable[[int, str], None]
) -> dict[str, Any]:
    """Return the results of one clip."""
    plan = _plan(path, settings)
    n_steps = plan.fit.epochs * -(-plan.n_coded_frames // plan.fit.batch_size)
    ends = [n_steps * (i + 1) // settings.n_rounds for i in range(settings.n_rounds)]
    lengths = [end - start for start, end in zip([0, *ends], ends)]
    if min(lengths) <= WARMUP_STEPS:
        raise ConfigError(
            f"steps are {n_steps} in {settings.n_rounds} rounds; legal: rounds of more than "
            f"{WARMUP_STEPS}, which are not timed"
        )
    with ExitStack() as stack:
        contestants = [
            stack.enter_context(closing(_contestant(plan, settings, name))) for name in names
        ]
        for number, length in enumerate(lengths):
            for k, contestant in enumerate(contestants):
                tell(
                    number * len(contestants) + k,
                    f"round {number + 1}/{len(lengths)}, {contestant.name}",
                )
                contestant.run_round(length)
        variants = _variants(plan, contestants, settings.device)
    return {
        "clip": path.stem,
        "width": plan.format.width,
        "height": plan.format.height,
        "frames": plan.format.n_frames,
        "preset": settings.preset,
        "parameters": n_parameters(plan.model, (plan.n_coded_frames,)),
        "gmac_per_frame": macs_per_frame(plan.model) / 1e9,
        "batch": plan.fit.batch_size,
        "steps": n_steps,
        "variants": variants,
    }


def _plan(path: Path, settings: Settings) -> FitPlan:
    """Return network, frames and fit as the preset has them, for n_steps in one segment.

    All start at random, as public repositories do: a network has no prior here.
    """
    form, _ = probe(path)
    n_frames = min(settings.n_frames, form.n_frames)
    options = EncodeOptions(
        preset=settings.preset, frames=(0, n_frames), segment_frames=n_frames, seed=settings.seed
    )
    plan = plan_fit(path, options)
    epochs = -(-settings.n_steps // -(-plan.n_coded_frames // plan.fit.batch_size))
    model = replace(plan.model, prior=NO_PRIOR)
    return replace(plan, model=model, fit=replace(plan.fit, epochs=epochs))


def _contestant(plan: FitPlan, settings: Settings, name: str) -> _Contestant:
    """Return a contestant whose process has begun.

    It is forked from one that has imported this module and nothing else.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    fit = recipe_fit(name, plan.fit, choose_precision(settings.precision, settings.device))
    here, there = context.Pipe()
    process = context.Process(
        target=_train,
        daemon=True,
        args=(there, replace(plan, fit=fit), name, settings.device, torch.get_num_threads()),
    )
    process.start()
    there.close()
    return _Contestant(name, fit, process, here)


def _variants(
    plan: FitPlan, contestants: Sequence[_Contestant], device: str
) -> list[dict[str, Any]]:
    """Return what each contestant took and reached."""
    frames = read_groups(plan.source, plan.format, plan.lengths, plan.source_options, plan.numbers)
    source = Frames.concatenate(list(frames))
    reference = contestants[0]
    reached = [
        _quality(plan, source, contestant.parameters(), device) for contestant in contestants
    ]
    return [
        {
            **_description(contestant),
            "seconds_per_step": contestant.rounds,
            "steps_per_s": _spread([1 / seconds for seconds in contestant.rounds]),
            "ratio": _spread(
                [base / taken for base, taken in zip(reference.rounds, contestant.rounds)]
            ),
            "psnr_y": quality.y_db,
            "psnr_rgb": quality.rgb_db,
            "is_as_good": quality.rgb_db >= reached[0].rgb_db - MAX_LOSS_DB,
        }
        for contestant, quality in zip(contestants, reached)
    ]


def _description(contestant: _Contestant) -> dict[str, Any]:
    """Return what a contestant used, in full."""
    fit = contestant.fit
    is_plain = contestant.name == REFERENCE
    return {
        "name": contestant.name,
        "summary": RECIPES[contestant.name].summary,
        "precision": fit.precision,
        "layout": "contiguous" if is_plain else "channels last",
        "source": (
            "host, uint8, copied and converted a step"
            if is_plain
            else "device, uint8, converted a step"
        ),
        "optimizer": _OPTIMIZERS[fit.optimizer, is_plain],
        "learning_rate": fit.learning_rate,
        "betas": fit.betas,
        "muon_rate": fit.muon_rate if fit.optimizer == "muon" else None,
        "rate_fall": fit.rate_fall,
        "max_gradient": fit.max_gradient,
        "warmup": fit.warmup,
        "loss": fit.loss,
        "rate_weight": fit.rate_weight,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Return the least, the median and the greatest of some values."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def _quality(plan: FitPlan, source: Frames, flat: NDArray[np.float32], device: str) -> Quality:
    """Return the quality of frames decoded from parameters as they are, not quantized."""
    meter = QualityMeter(plan.format.color)
    start = 0
    for frames in reconstruct(flat, plan.model, range(source.n_frames), (source.n_frames,), device):
        meter.add(source[start : start + frames.n_frames], frames)
        start += frames.n_frames
    return meter.result()
