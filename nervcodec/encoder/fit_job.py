"""The job of one segment: fit it, decode what it is coded as, and measure that.

It needs nothing but its task, so that it runs in this process or in any other (nervcodec.jobs).
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nervcodec.decoder.digest import FrameHasher
from nervcodec.decoder.reconstruct import Watch, decode_segment
from nervcodec.encoder.allocation import SegmentComplexity, segment_complexity
from nervcodec.encoder.flat_check import (
    LEAST_STEPS,
    MAX_ATTEMPTS,
    Outcome,
    best,
    is_enough,
    next_attempt,
    outcome_of,
)
from nervcodec.encoder.resume import Pace
from nervcodec.encoder.segment import FitSummary, SegmentFit, with_fewer_bits
from nervcodec.errors import BitstreamError, FitError
from nervcodec.format import tensors
from nervcodec.format.container import read_segment, write_segment
from nervcodec.format.file import Segment, StoredQuality
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.video_format import ColorTags
from nervcodec.jobs.executor import Channel
from nervcodec.nn.device import peak_memory_bytes, set_threads
from nervcodec.quality.metrics import Quality, QualityMeter
from nervcodec.training.config import FitConfig
from nervcodec.training.state import Checkpoint, Progress
from nervcodec.video.color import to_layout
from nervcodec.video.frames import Frames

# What is raised by bytes that are no state.
_SENSELESS = (ValueError, KeyError, EOFError, zipfile.BadZipFile, BitstreamError)


@dataclass(frozen=True)
class FitTask:
    """What is fitted, and how.

    Attributes:
        name: what errors call the segment; empty where there is but one.
        frames: the source's own planes.
        shots: of the frames.
        model, fit: the configurations.
        color: what RGB is converted by.
        devices: of which the worker of each number takes one in turn.
        n_threads: CPU threads of torch.
        checkpoint_every_s: seconds from one checkpoint to the next.
        counts: how often each frame is shown; None for once.
        weights: as from segment.shared_weights; the fit starts from them.
    """

    name: str
    frames: Frames
    shots: Shots
    model: ModelConfig
    fit: FitConfig
    color: ColorTags
    devices: Sequence[str]
    n_threads: int
    checkpoint_every_s: float
    counts: Sequence[int] | None = None
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ComplexityTask:
    """What is surveyed: see allocation.segment_complexity."""

    frames: Frames
    shots: Shots
    color: ColorTags
    n_threads: int


def complexity(task: ComplexityTask, channel: Channel) -> SegmentComplexity | None:
    """Return how much a segment takes; None if all jobs are to end."""
    if channel.is_ending():
        return None
    set_threads(task.n_threads)
    return segment_complexity(task.frames, task.shots, task.color)


@dataclass(frozen=True)
class FittedSegment:
    """What came of a task.

    Attributes:
        segment: with the MD5 and the quality of its frames.
        quality: of the frames that it decodes to, against the source's.
        summary: of its fit.
        measure_s: seconds of decoding and measuring.
        peak_memory: see EncodeReport.
    """

    segment: Segment
    quality: Quality
    summary: FitSummary
    measure_s: float
    peak_memory: dict[str, dict[str, int]]

    @property
    def n_bytes(self) -> int:
        """Bytes of the streams."""
        return sum(map(len, self.segment.streams))


def fit_segment(task: FitTask, channel: Channel) -> FittedSegment | None:
    """Fit a segment and measure it; None if it is to end, with its state kept.

    Tells Progress, and notes as str. Where a fit is no better than a flat colour, others are tried
    (encoder.flat_check), but not where a PSNR is asked for, which may be one that a flat colour
    has.

    Raises:
        FitError: all fits are worse than a flat colour, or one kept diverging.
    """
    try:
        return _fitted(task, channel)
    except FitError as error:
        raise FitError(f"{task.name}: {error}" if task.name else str(error)) from None


def _fitted(task: FitTask, channel: Channel) -> FittedSegment | None:
    """Return what fit_segment does."""
    set_threads(task.n_threads)
    device = task.devices[channel.worker % len(task.devices)]
    frames = to_layout(task.frames, task.model.colorspace, task.color)
    n_steps = task.fit.total_epochs * -(-frames.n_frames // task.fit.batch_size)
    is_checked = n_steps >= LEAST_STEPS and not task.fit.target_psnr
    outcomes: list[Outcome[FittedSegment]] = []
    for attempt in range(MAX_ATTEMPTS):
        coded = _coded(task, frames, attempt, device, channel)
        if coded is None:
            return None
        peak = peak_memory_bytes(device)
        measuring, outcome = _measured(task, frames, coded[0], device, channel, is_checked)
        if measuring.is_ended:
            return None
        fitted = measuring.result(coded[1], {"fit": peak, "measure": peak_memory_bytes(device)})
        if outcome is None:
            return fitted
        outcomes.append(Outcome(fitted, outcome.below_db, outcome.cost))
        if is_enough(outcomes):
            break
        channel.tell("the fit is no better than a flat colour")
    chosen = best(outcomes)
    if chosen is None:
        raise FitError(
            f"{len(outcomes)} fits are worse than a flat colour; another --preset or --seed, or"
            " more --epochs may do better"
        )
    return chosen.result


def _measured(
    task: FitTask,
    frames: Frames,
    segment: Segment,
    device: str,
    channel: Channel,
    is_checked: bool,
) -> tuple[_Measuring, Outcome[None] | None]:
    """Decode and measure a segment with as many fraction bits as its feature maps bear.

    Returns:
        What was measured, and how it compares with a flat colour if that is to be checked.
    """
    measuring, outcome = _Measuring(task, segment, device, channel), None
    if is_checked:
        rate = task.fit.rate_weight * 8 * sum(map(len, segment.streams)) / _n_pixels(frames)
        outcome = outcome_of(None, frames, measuring.batches(), rate)
    else:
        for _ in measuring.batches():
            pass
    if (
        not measuring.is_ended
        and measuring.watch.is_clipped
        and (coarser := with_fewer_bits(segment))
    ):
        return _measured(task, frames, coarser, device, channel, is_checked)
    return measuring, outcome


def _n_pixels(frames: Frames) -> int:
    return frames.n_frames * frames.width * frames.height


def _coded(
    task: FitTask, frames: Frames, attempt: int, device: str, channel: Channel
) -> tuple[Segment, FitSummary] | None:
    """Return what one fit gives, or gave before; None if it is to end and its state kept."""
    state = _state_of(channel.state, attempt, task.model)
    if isinstance(state, tuple):
        channel.tell("going on from the end of the fit")
        return state
    if state is not None:
        at = state.progress
        psnr = "" if at.psnr_db is None else f", {at.psnr_db:.2f} dB"
        epoch = min(at.epoch + 1, at.n_epochs)
        channel.tell(f"going on from {at.stage} epoch {epoch} of {at.n_epochs}{psnr}")
    fit = SegmentFit(
        frames,
        task.shots,
        task.model,
        next_attempt(task.fit, attempt) if attempt else task.fit,
        device,
        task.color,
        state,
        None if attempt else task.weights,
        task.counts,
    )
    pace = Pace(task.checkpoint_every_s)
    for progress in fit.run():
        if progress:
            channel.tell(progress)
        is_ending = channel.is_ending()
        if is_ending or pace.is_due():
            channel.keep(checkpoint_state(fit.checkpoint(), attempt))
            pace.taken()
            if is_ending:
                return None
    coded = fit.result()
    channel.keep(_coded_state(*coded, attempt))
    return coded


class _Measuring:
    """Decodes a segment as a decoder will, and measures its frames against the source's."""

    def __init__(self, task: FitTask, segment: Segment, device: str, channel: Channel) -> None:
        self.is_ended = False
        self.watch = Watch()
        self._task = task
        self._segment = segment
        self._device = device
        self._channel = channel
        self._meter = QualityMeter(task.color)
        self._hasher = FrameHasher()
        self._seconds = 0.0

    def batches(self) -> Iterator[Frames]:
        """Yield the decoded frames, in the model's colorspace; fewer if the job is to end."""
        task = self._task
        n_all = self._segment.n_frames
        counts = itertools.repeat(1) if task.counts is None else iter(task.counts)
        started = time.monotonic()
        n_done = 0
        for decoded in decode_segment(self._segment, task.model, self._device, self.watch):
            source = task.frames[n_done : n_done + decoded.n_frames]
            self._meter.add(source, decoded, itertools.islice(counts, decoded.n_frames))
            self._hasher.add(decoded)
            n_done += decoded.n_frames
            yield decoded
            self._seconds = time.monotonic() - started
            fps = n_done / self._seconds
            left_s = (n_all - n_done) / fps
            self._channel.tell(Progress("measure", n_done, n_all, fps, None, left_s))
            if n_done < n_all and self._channel.is_ending():
                self.is_ended = True
                return

    def result(self, summary: FitSummary, peak_memory: dict[str, dict[str, int]]) -> FittedSegment:
        """Return the segment with what was measured, once batches has ended."""
        quality = self._meter.result()
        segment = replace(
            self._segment,
            md5=self._hasher.digest(),
            quality=stored_quality(quality, self._task.fit.total_epochs),
        )
        return FittedSegment(segment, quality, summary, self._seconds, peak_memory)


def stored_quality(quality: Quality, epochs: int) -> StoredQuality:
    """Return the quality as the file stores it; nothing that differs from one run to the next, so
    that equal encodes give equal files.
    """
    return StoredQuality(
        psnr_y=quality.y_db,
        psnr_u=quality.u_db,
        psnr_v=quality.v_db,
        psnr_yuv=quality.yuv611_db,
        psnr_rgb=quality.rgb_db,
        psnr_min=quality.worst_yuv611_db,
        ms_ssim=quality.ms_ssim,
        epochs=epochs,
    )


# --- states ---


def checkpoint_state(checkpoint: Checkpoint, attempt: int) -> bytes:
    """Return the bytes of a checkpoint of a fit: .npz without pickle."""
    arrays = {name: value.numpy() for name, value in checkpoint.arrays.items()}
    return _packed({**checkpoint.numbers, "attempt": attempt}, arrays)


def _coded_state(segment: Segment, summary: FitSummary, attempt: int) -> bytes:
    """Return the bytes of a fit that has ended and is yet to be measured."""
    payload = np.frombuffer(write_segment(segment), np.uint8)
    return _packed({"attempt": attempt, "summary": asdict(summary)}, {"segment": payload})


def _state_of(
    state: bytes | None, attempt: int, model: ModelConfig
) -> Checkpoint | tuple[Segment, FitSummary] | None:
    """Return where a fit stood: a checkpoint, or what it gave; None where it begins."""
    if state is None:
        return None
    with contextlib.suppress(*_SENSELESS):
        numbers, arrays = unpacked(state)
        if numbers.pop("attempt") != attempt:
            return None
        if "summary" in numbers:
            n_streams = len(tensors.module_names(model))
            segment = read_segment(arrays["segment"].tobytes(), n_streams)
            return segment, FitSummary(**numbers["summary"])
        tensors_by_name = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return Checkpoint(numbers, tensors_by_name)
    return None


def _packed(numbers: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    named: dict[str, Any] = {
        **arrays,
        "numbers": np.frombuffer(json.dumps(numbers).encode(), np.uint8),
    }
    np.savez(file, **named)
    return file.getvalue()


def unpacked(state: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return numbers and arrays of a state.

    Raises:
        ValueError, KeyError, EOFError, BadZipFile: it is none.
    """
    with np.load(io.BytesIO(state), allow_pickle=False) as file:
        arrays = dict(file)
    return json.loads(arrays.pop("numbers").tobytes()), arrays


# --- what the journal keeps of a segment besides its payload ---


def summary_of(fitted: FittedSegment) -> dict[str, Any]:
    """Return all of a fitted segment but its payload, JSON-ready."""
    return {
        "quality": asdict(fitted.quality),
        "summary": asdict(fitted.summary),
        "measure_s": fitted.measure_s,
        "peak_memory": fitted.peak_memory,
    }


def fitted_of(segment: Segment, summary: dict[str, Any]) -> FittedSegment:
    """Return the fitted segment of a payload and what summary_of gave."""
    return FittedSegment(
        segment,
        Quality(**summary["quality"]),
        FitSummary(**summary["summary"]),
        summary["measure_s"],
        summary["peak_memory"],
    )
