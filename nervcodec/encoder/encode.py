"""Encode a whole file: probe -> fit each segment -> write -> decode that very file -> report what
came out of it.

Modules that need torch are imported inside the functions that use them: planning and bad input need
no torch.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nervcodec import __version__
from nervcodec.decoder.decode import batch_lengths
from nervcodec.decoder.digest import FrameSummer
from nervcodec.encoder.plan import EncodePlan, source_frames
from nervcodec.encoder.resume import Journal, Pace
from nervcodec.errors import Interrupted, OutputError, VideoError
from nervcodec.format import tensors
from nervcodec.format.container import (
    FrameSums,
    Header,
    Segment,
    StoredQuality,
    load,
    read_file,
    write_file,
)
from nervcodec.quality.metrics import Quality, QualityMeter
from nervcodec.training.rate_model import PSNR_PROMISE, SIZE_PROMISE
from nervcodec.util.files import check_output, os_errors, whole_file
from nervcodec.video.frames import Frames
from nervcodec.video.reader import read_groups, source_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nervcodec.encoder.segment import FitSummary
    from nervcodec.training.state import Checkpoint, Progress


@dataclass(frozen=True)
class EncodeReport:
    """What an encode gave. Quality is that of the written file's decoded frames, n_bytes its size
    on disk.

    peak_memory: by the end of the phases 'fit' and 'measure', the bytes of
    backends.peak_memory_bytes.
    """

    plan: EncodePlan
    n_bytes: int
    container_bytes: int
    entropy_bytes: float
    sparsity: float
    quality: Quality
    encode_s: float
    measure_s: float
    n_rollbacks: int
    device: str
    n_threads: int
    peak_memory: Mapping[str, Mapping[str, int]]

    @property
    def bpp(self) -> float:
        return self.plan.format.bpp(self.n_bytes)

    @property
    def kbit_per_s(self) -> float:
        return self.plan.format.kbit_per_s(self.n_bytes)

    @property
    def paper_bpp(self) -> float:
        """The paper's formula, parameters * (1 - sparsity) * bits / pixels: no positions, steps,
        tables, container.
        """
        plan = self.plan
        return plan.n_parameters * (1 - self.sparsity) * plan.model.bits / plan.format.n_pixels

    @property
    def missed(self) -> str | None:
        """What was asked for and what came of it, where a target was missed by more than is
        promised.
        """
        wished, goal, reached = (
            self.plan.target_bytes,
            self.plan.fit.target_psnr,
            self.quality.rgb_db,
        )
        if wished and abs(self.n_bytes / wished - 1) > SIZE_PROMISE.promised:
            return f"{wished:,} bytes were asked for, {self.n_bytes:,} is as near as this fit came"
        if goal and abs(reached - goal) > PSNR_PROMISE.promised:
            return (
                f"{goal:g} dB RGB were asked for, {reached:.2f} dB is as near as this fit came"
                + ("; a slower preset or more epochs reach further" if reached < goal else "")
            )
        return None


def encode(
    plan: EncodePlan,
    destination: str | os.PathLike[str],
    *,
    device: str = "cpu",
    overwrite: bool = False,
    on_progress: Callable[[int, Progress], None] | None = None,
    on_measure: Callable[[int], None] | None = None,
    on_note: Callable[[str], None] = lambda _: None,
    restart: bool = False,
    pace: Pace | None = None,
) -> EncodeReport:
    """Encodes plan.source into a .nvpp file, then decodes that file and reports what is in it.

    What is reached is kept beside the destination (journal.py): the same call goes on from there.

    Args:
        on_progress: called with (segment number, Progress) while fitting.
        on_measure: called with the number of frames decoded and measured so far.
        on_note: called with what a user should know.
        restart: begin anew, whatever was reached before.
        pace: when checkpoints are taken; None: every minute.
    Raises:
        NervCodecError: see errors.py; the destination is then as it was before.
    """
    from nervcodec.nn.device import device_label, peak_memory_bytes

    destination = Path(destination)
    check_output(destination, overwrite=overwrite, source=plan.source)
    started = time.monotonic()
    with Journal(destination, _identity(plan, device), restart=restart) as journal:
        pace = pace or Pace()
        work = _Work(plan, device, journal, pace, on_progress, on_note)
        try:
            fitted = work.run()
        except KeyboardInterrupt:  # between two fits, or a second one
            if not journal.has_progress:
                raise
            fitted = None
        if fitted is None:
            raise Interrupted(
                f"interrupted; what was reached is kept in {journal.folder}, the same command goes"
                " on from there"
            )
        pace.is_fitting = False
        encoded_s, peaks = time.monotonic() - started, {"fit": peak_memory_bytes(device)}
        segments, summaries = zip(*fitted)
        header = Header(plan.format, plan.model)
        with whole_file(destination, overwrite=overwrite) as path:
            path.write_bytes(write_file(header, segments, StoredQuality()))
            quality, sums = measure(path, plan, device, on_measure)
            segments = tuple(
                replace(segment, sums=own) for segment, own in zip(segments, sums, strict=True)
            )
            data = write_file(header, segments, stored_quality(quality, plan.fit.total_epochs))
            path.write_bytes(data)
        with os_errors(destination):
            found_data = destination.read_bytes()
        if found_data != data:
            raise OutputError(
                f"{destination} reads back as something else; what was reached is in"
                f" {journal.folder}"
            )
        journal.remove()
    peaks["measure"] = peak_memory_bytes(device)
    shares = [tensors.n_parameters(plan.model, own) / plan.n_parameters for own in plan.segments]
    return EncodeReport(
        plan,
        destination.stat().st_size,
        read_file(data).container_bytes,
        sum(summary.entropy_bytes for summary in summaries),
        sum(summary.sparsity * share for summary, share in zip(summaries, shares)),
        quality,
        encoded_s,
        time.monotonic() - started - encoded_s,
        sum(summary.n_rollbacks for summary in summaries),
        device_label(device),
        _n_threads(),
        peaks,
    )


@dataclass
class _Work:
    """The segments of an encode: those that its journal has, and the others as they get fitted."""

    plan: EncodePlan
    device: str
    journal: Journal
    pace: Pace
    on_progress: Callable[[int, Progress], None] | None
    on_note: Callable[[str], None]

    def run(self) -> list[tuple[Segment, FitSummary]] | None:
        """Return all segments in order; None if the encode is to end, once what it has is kept.

        The first one is fitted before the others, which start from its weights.
        """
        from nervcodec.encoder.segment import FitSummary, shared_weights

        plan = self.plan
        n_streams = len(tensors.module_names(plan.model))
        groups = enumerate(source_frames(plan, plan.lengths))
        weights: NDArray[np.float32] | None = None
        results: list[tuple[Segment, FitSummary]] = []
        for number in range(len(plan.lengths)):
            kept = self.journal.segment(number, n_streams)
            if kept:
                self.on_note(f"segment {number + 1} of {len(plan.lengths)} was fitted before")
                results.append((kept[0], FitSummary(**kept[1])))
            else:
                frames = next(frames for at, frames in groups if at == number)
                result = self._fit(number, frames, weights)
                if result is None:
                    return None
                self.journal.add_segment(number, result[0], asdict(result[1]))
                results.append(result)
                if self.pace.is_ending:
                    return None
            if number == 0 and len(plan.lengths) > 1:
                weights = shared_weights(results[0][0], plan.model)
        return results

    def _fit(
        self, number: int, frames: Frames, weights: NDArray[np.float32] | None
    ) -> tuple[Segment, FitSummary] | None:
        """Return a segment and its summary; None if the fit is to end, with its checkpoint kept."""
        from nervcodec.encoder.segment import SegmentFit

        plan = self.plan
        self.pace.taken()
        self.pace.is_fitting = True
        fit = SegmentFit(
            frames,
            plan.segments[number],
            plan.model,
            plan.fit,
            self.device,
            plan.format.color,
            self._checkpoint(number),
            weights,
        )
        for progress in fit.run():
            if progress and self.on_progress:
                self.on_progress(number, progress)
            if self.pace.is_due():
                self._keep(number, fit.checkpoint())
                if self.pace.is_ending:
                    return None
        return fit.result()

    def _checkpoint(self, number: int) -> Checkpoint | None:
        """Return where the fit of a segment goes on; None where it begins."""
        import torch

        from nervcodec.training.state import Checkpoint

        kept = self.journal.checkpoint()
        if kept is None or kept[0].pop("segment") != number:
            return None
        numbers, arrays = kept
        checkpoint = Checkpoint(
            numbers, {name: torch.from_numpy(array) for name, array in arrays.items()}
        )
        at = checkpoint.progress
        epoch = min(at.epoch + 1, at.n_epochs)
        psnr = "" if at.psnr_db is None else f", {at.psnr_db:.2f} dB"
        self.on_note(f"going on from {at.stage} epoch {epoch} of {at.n_epochs}{psnr}")
        return checkpoint

    def _keep(self, number: int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint of the fit of a segment."""
        self.journal.add_checkpoint(
            {**checkpoint.numbers, "segment": number},
            {name: value.numpy() for name, value in checkpoint.arrays.items()},
        )
        self.pace.taken()


def _identity(plan: EncodePlan, device: str) -> dict[str, Any]:
    """All that the bytes of an encode depend on."""
    import torch

    return {
        "input": _digest(plan.source),
        "frame rate": str(plan.format.frame_rate),
        "segments": plan.segments,
        "model": asdict(plan.model),
        "fit": asdict(plan.fit),
        "device": device,
        "number of threads": _n_threads(),
        "version of nervcodec": __version__,
        "version of torch": torch.__version__,
    }


def _digest(source: Path) -> str:
    """SHA-256 of a file, or of the names and the bytes of a folder's PNG files.

    Raises:
        VideoError: they cannot be read any more.
    """
    found = hashlib.sha256()
    try:
        for path in source_files(source):
            found.update(os.fsencode(path.name) + b"\0" if path != source else b"")
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    found.update(chunk)
    except OSError as error:
        raise VideoError(f"cannot read {source}: {error.strerror or error}") from error
    return found.hexdigest()


def _n_threads() -> int:
    import torch

    return torch.get_num_threads()


def stored_quality(quality: Quality, epochs: int) -> StoredQuality:
    """As the file stores it; nothing that differs from one run to the next, so that equal encodes
    give equal files.
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


def measure(
    path: Path,
    plan: EncodePlan,
    device: str = "cpu",
    on_measure: Callable[[int], None] | None = None,
) -> tuple[Quality, list[FrameSums]]:
    """Quality of a .nvpp file's decoded frames against plan.source, whose own planes are the
    reference; their sums.

    The sums are one for each segment.
    """
    from nervcodec.decoder.reconstruct import decode_segment

    file = load(path)
    sources = read_groups(plan.source, plan.format, batch_lengths(file))
    meter, sums, n_done = QualityMeter(plan.format.color), [], 0
    for segment in file.segments:
        summer = FrameSummer()
        for decoded in decode_segment(segment, file.header.model, device):
            meter.add(next(sources), decoded)
            summer.add(decoded)
            n_done += decoded.n_frames
            if on_measure:
                on_measure(n_done)
        sums.append(summer.result())
    return meter.result(), sums
