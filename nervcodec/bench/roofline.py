"""The roofline: how far a training step and a decoded frame are from the machine's best.

The least time of a piece of work is that of its multiply-adds at the speed of a matrix product, or
that of the bytes that it must move (format.costs) at the speed of a copy, whichever is longer;
both speeds are measured here, on the same threads. A copy is timed with a buffer as large as the
largest map of a batch, so that what would stay in a cache is counted at the cache's speed. What is
measured is the product itself: the trainer's step before it rounds, by the preset's own recipe and
by our default one without a rate term, and decoder.reconstruct past its first batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

import torch

from nervcodec.bench.environment import machine, now, versions
from nervcodec.bench.stepping import OurFit, recipe_fit, settled_seconds, synthetic_target
from nervcodec.decoder.reconstruct import reconstruct
from nervcodec.encoder.paper_models import COMPARISON_PRESETS
from nervcodec.encoder.presets import PRESETS, preset_named
from nervcodec.errors import ConfigError
from nervcodec.format.costs import (
    ITEM_BYTES,
    decode_batch,
    frame_bytes,
    largest_map,
    macs_per_frame,
    step_bytes,
)
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.arithmetic import Arithmetic, Precision
from nervcodec.nn.device import choose_precision, device_label
from nervcodec.nn.network import Network
from nervcodec.training.config import FitConfig
from nervcodec.training.initialization import initial_parameters

SCHEMA = "nervcodec.roofline/1"
CASES = ("paper-xs@1280x720", "medium@640x360")
_N_FRAMES = 132  # what networks are sized for, as long as bunny
_LEAST_COPY, _MOST_COPY = 1 << 20, 256 << 20  # bytes of the buffer that is copied
_MEASURE_S, _STEPS_S = 0.5, 10.0  # of a speed of the machine, of a step
_SIDES = {"cpu": (256, 512, 1024, 2048), "cuda": (4096, 8192)}  # of matrices
_DECODED_BATCHES, _DECODED_S = 8, 10.0  # timed past the first one, at most


# --- the machine ---


def _per_second(work: Callable[[], object], amount: float, device: str) -> float:
    """Return the most of `amount` a second that a repetition within half a second reached."""
    best = math.inf
    end = time.perf_counter() + _MEASURE_S
    work()
    while time.perf_counter() < end or best == math.inf:
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return amount / best


def _wait(device: str) -> None:
    """Wait for the end of what a GPU has been told to do."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def product_flops(precision: str, device: str) -> float:
    """Return floating-point operations a second of a product of square matrices.

    A multiply-add is two of them. Of several sizes the fastest counts.
    """

    def speed(side: int) -> float:
        a, b, out = (
            torch.rand(side, side, device=device).to(getattr(torch, precision)) for _ in range(3)
        )
        return _per_second(lambda: torch.mm(a, b, out=out), 2 * side**3, device)

    return max(map(speed, _SIDES[torch.device(device).type]))


def copy_bytes(precision: str, device: str, n_bytes: int = _MOST_COPY) -> float:
    """Return bytes a second, read and written ones counted, of copies of n_bytes (1 to 256 MiB)."""
    n_bytes = min(max(n_bytes, _LEAST_COPY), _MOST_COPY)
    source = torch.ones(
        n_bytes // ITEM_BYTES[precision], dtype=getattr(torch, precision), device=device
    )
    target = torch.empty_like(source)
    return _per_second(lambda: target.copy_(source), 2 * n_bytes, device)


# --- least and measured time ---


@dataclass(frozen=True)
class RooflinePoint:
    """A step or a frame of a network, what it must take and what it takes.

    Attributes:
        case, what: the network; 'step, recipe NAME' (stepping.RECIPES), 'decoded frame' or
            'decoded frame, --fast'.
        precision, batch: its arithmetic; frames at once.
        macs, n_bytes: multiply-adds and least bytes.
        flops, bytes_per_s: the machine's speeds, in its precision and for maps of its size.
        seconds: measured.
    """

    case: str
    what: str
    precision: Arithmetic
    batch: int
    macs: int
    n_bytes: int
    flops: float
    bytes_per_s: float
    seconds: float

    @property
    def compute_s(self) -> float:
        """Return the seconds of its multiply-adds at the machine's speed."""
        return 2 * self.macs / self.flops

    @property
    def memory_s(self) -> float:
        """Return the seconds of its bytes at the machine's speed."""
        return self.n_bytes / self.bytes_per_s

    @property
    def least_s(self) -> float:
        """Return the longer of the two."""
        return max(self.compute_s, self.memory_s)

    @property
    def ratio(self) -> float:
        """Return measured over least time."""
        return self.seconds / self.least_s

    def as_json(self) -> dict[str, Any]:
        """Return its entry in the results' `works`."""
        return {
            **asdict(self),
            "compute_s": self.compute_s,
            "memory_s": self.memory_s,
            "least_s": self.least_s,
            "ratio": self.ratio,
        }


def parse_case(text: str) -> tuple[str, VideoFormat]:
    """Return preset and format of a text such as 'medium@640x360'.

    Raises:
        ConfigError: anything else.
    """
    preset, _, size = text.partition("@")
    width, _, height = size.partition("x")
    known = {**PRESETS, **COMPARISON_PRESETS}
    if preset not in known or not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"case is {text!r}; legal: PRESET@WIDTHxHEIGHT, such as {CASES[0]}")
    return preset, VideoFormat(int(width), int(height), Fraction(25), _N_FRAMES)


def measure_roofline(
    cases: tuple[str, ...] = CASES,
    device: str = "cpu",
    precision: Precision = "auto",
    command: str = "",
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> dict[str, Any]:
    """Return least and measured time of steps and frames; schema nervcodec.roofline/1.

    Args:
        cases: networks, PRESET@WIDTHxHEIGHT each, sized for 132 frames.
        device, precision: as choose_device gives it; as the command line has it.
        command: as the result states it.
        on_progress: called before each case with (cases done, cases in all, what comes next).
    Raises:
        ConfigError: no such case.
    """
    parsed = [(case, *parse_case(case)) for case in cases]
    on_progress(0, len(cases), "the machine itself")
    flops = {name: product_flops(name, device) for name in ITEM_BYTES}
    ceilings = {
        name: {"flops": flops[name], "copy_bytes_per_s": copy_bytes(name, device)}
        for name in ITEM_BYTES
    }
    points: list[RooflinePoint] = []
    for number, (case, preset, form) in enumerate(parsed):
        on_progress(number, len(cases), case)
        points += _points(case, preset, form, flops, device, choose_precision(precision, device))
    return {
        "schema": SCHEMA,
        "command": command,
        "created": now(),
        "versions": versions(),
        "machine": machine(),
        "device": device,
        "device_name": device_label(device),
        "threads": torch.get_num_threads(),
        "ceilings": ceilings,
        "works": [point.as_json() for point in points],
    }


def _points(
    case: str,
    preset: str,
    form: VideoFormat,
    flops: Mapping[str, float],
    device: str,
    precision: Arithmetic,
) -> Iterator[RooflinePoint]:
    """Yield the steps of a case by two recipes, and its frame, decoded exactly and in float32."""
    chosen = preset_named(preset)
    model = chosen.model(form, chosen.colorspace or "yuv420", (form.n_frames,))
    for recipe in ("preset", "ours"):
        fit = recipe_fit(recipe, chosen.fit, precision)
        yield _timed(
            RooflinePoint(
                case,
                f"step, recipe {recipe}",
                precision,
                fit.batch_size,
                3 * fit.batch_size * macs_per_frame(model),
                step_bytes(model, form.n_frames, fit.batch_size, precision),
                flops[precision],
                copy_bytes(
                    precision, device, ITEM_BYTES[precision] * fit.batch_size * largest_map(model)
                ),
                0,
            ),
            model,
            fit,
            form.n_frames,
            device,
        )
    batch = decode_batch(model)
    for what, is_fast in (("decoded frame", False), ("decoded frame, --fast", True)):
        yield RooflinePoint(
            case,
            what,
            "float32",
            batch,
            macs_per_frame(model),
            frame_bytes(model, form.n_frames),
            flops["float32"],
            copy_bytes("float32", device, 4 * batch * largest_map(model)),
            seconds_per_frame(model, device, is_fast),
        )


def _timed(
    point: RooflinePoint, model: ModelConfig, fit: FitConfig, n_frames: int, device: str
) -> RooflinePoint:
    """Return the point with its time: noise stands for frames, and epochs are more than enough."""
    target = synthetic_target(model, n_frames, device)
    return replace(
        point,
        seconds=settled_seconds(OurFit(model, replace(fit, epochs=200), target), device, _STEPS_S),
    )


def seconds_per_frame(model: ModelConfig, device: str, is_fast: bool = False) -> float:
    """Return the seconds to decode a frame from parameters, those of a random start.

    Symbols, which are decoded once, are not counted.

    Args:
        is_fast: whether float32 will do, as with `nervcodec decode --fast`.
    """
    batch = decode_batch(model)
    n_frames = (1 + _DECODED_BATCHES) * batch
    network = Network(model, (n_frames,), torch.device("cpu"))
    start = initial_parameters(network, torch.Generator().manual_seed(0))
    shots = (n_frames,)
    decoded = reconstruct(start.numpy(), model, range(n_frames), shots, device, is_fast=is_fast)
    next(decoded)
    n_done = 0
    started = time.perf_counter()
    for frames in decoded:
        n_done += frames.n_frames
        if time.perf_counter() - started > _DECODED_S:
            break
    return (time.perf_counter() - started) / n_done
