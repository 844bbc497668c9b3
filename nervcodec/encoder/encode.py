"""Encode a whole file: fit each segment, write, decode that very file, report what came out of it.

Modules that need torch are imported inside the functions that use them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nervcodec.decoder.decode import batch_lengths
from nervcodec.decoder.digest import FrameSummer
from nervcodec.encoder.fit_plan import FitPlan, source_frames
from nervcodec.encoder.flat_check import (
    LEAST_STEPS,
    MAX_ATTEMPTS,
    Outcome,
    best,
    is_enough,
    next_attempt,
    outcome_of,
)
from nervcodec.encoder.identity import identity
from nervcodec.encoder.plan import EncodePlan
from nervcodec.encoder.progress_folder import kept_message
from nervcodec.encoder.report import EncodeReport
from nervcodec.encoder.resume import Journal, Pace
from nervcodec.errors import FitError, Interrupted, OutputError
from nervcodec.format import tensors
from nervcodec.format.container import load, read_file, write_file
from nervcodec.format.file import FrameSums, Header, Segment, StoredQuality
from nervcodec.quality.metrics import Quality, QualityMeter
from nervcodec.util.files import check_output, os_errors, whole_file
from nervcodec.video.frames import Frames
from nervcodec.video.reader import read_groups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nervcodec.encoder.segment import FitSummary
    from nervcodec.training.state import Checkpoint, Progress


def encode(
    plan: EncodePlan,
    *,
    on_progress: Callable[[int, Progress], None] | None = None,
    on_measure: Callable[[int], None] | None = None,
    on_note: Callable[[str], None] = lambda _: None,
    pace: Pace | None = None,
) -> EncodeReport:
    """Encode plan.source into plan.destination, then decode that file and report what is in it.

    What is reached is kept beside the destination (encoder.resume): the same call goes on from
    there. Sets torch's number of threads to the plan's.

    Args:
        on_progress: called with (segment number, Progress) while fitting.
        on_measure: called with the number of frames decoded and measured so far.
        on_note: called with what a user should know.
        pace: when checkpoints are taken, and how another thread or a signal handler ends the fit;
            None takes one every options.checkpoint_every_s seconds.
    Raises:
        Interrupted: pace.end() was called, or Ctrl-C came; what was reached is kept.
        NervCodecError: see errors.py; the destination is then as it was before.
    """
    from nervcodec.nn.device import device_label, peak_memory_bytes, set_threads

    options = plan.options
    device = plan.device
    check_output(plan.destination, overwrite=options.overwrite, source=plan.source)
    set_threads(plan.n_threads)
    started = time.monotonic()
    with _journal(plan) as journal:
        pace = pace or Pace(options.checkpoint_every_s)
        work = _Work(plan, device, journal, pace, on_progress, on_note)
        fitted = _fit_segments(work, journal)
        pace.is_fitting = False
        encoded_s = time.monotonic() - started
        peaks = {"fit": peak_memory_bytes(device)}
        segments, summaries = zip(*fitted)
        data, quality = _write(plan, segments, journal.folder, on_measure)
        journal.remove()
    peaks["measure"] = peak_memory_bytes(device)
    file = read_file(data)
    sizes = [tensors.n_parameters(plan.model, shots) for shots in plan.segments]
    return EncodeReport(
        plan=plan,
        n_bytes=len(data),
        container_bytes=file.container_bytes,
        sound_bytes=file.sound_bytes,
        entropy_bytes=sum(summary.entropy_bytes for summary in summaries),
        sparsity=sum(
            summary.sparsity * size / plan.n_parameters for summary, size in zip(summaries, sizes)
        ),
        quality=quality,
        encode_s=encoded_s,
        measure_s=time.monotonic() - started - encoded_s,
        n_rollbacks=sum(summary.n_rollbacks for summary in summaries),
        device=device_label(device),
        n_threads=plan.n_threads,
        peak_memory=peaks,
    )


def _journal(plan: EncodePlan) -> Journal:
    """Return the journal of an encode, with the survey of a source that will be there again."""
    survey = plan.survey.as_bytes() if plan.survey and plan.survey.key else None
    return Journal(plan.destination, identity(plan), restart=plan.options.restart, survey=survey)


def _fit_segments(work: _Work, journal: Journal) -> list[tuple[Segment, FitSummary]]:
    """Return all segments, with what became of their fits.

    Raises:
        Interrupted: the fit was ended from outside; what was reached is kept.
        KeyboardInterrupt: so it was, and nothing was reached.
    """
    try:
        fitted = work.run()
    except KeyboardInterrupt:  # between two fits, or a second one
        if not journal.has_progress:
            raise
        fitted = None
    if fitted is None:
        raise Interrupted(kept_message(journal.folder))
    return fitted


def _write(
    plan: EncodePlan,
    segments: Sequence[Segment],
    kept_in: Path,
    on_measure: Callable[[int], None] | None,
) -> tuple[bytes, Quality]:
    """Write the file, measure it, and write it again with what was measured.

    Args:
        kept_in: folder of what was reached, for the message of an error.
    Returns:
        The bytes of the file, and the quality of its decoded frames.
    Raises:
        OutputError: it cannot be written, or reads back as something else.
    """
    header = Header(plan.format, plan.model)
    destination = plan.destination
    with whole_file(destination, overwrite=plan.options.overwrite) as path:
        path.write_bytes(write_file(header, segments, StoredQuality(), plan.extras))
        quality, sums = measure(path, plan, plan.device, on_measure)
        summed = [
            replace(segment, sums=of_frames)
            for segment, of_frames in zip(segments, sums, strict=True)
        ]
        stored = stored_quality(quality, plan.fit.total_epochs)
        data = write_file(header, summed, stored, plan.extras)
        path.write_bytes(data)
    with os_errors(destination):
        written = destination.read_bytes()
    if written != data:
        raise OutputError(
            f"{destination} reads back as something else; what was reached is in {kept_in}"
        )
    return data, quality


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
        """Return a segment and its summary; None if the fit is to end, with its checkpoint kept.

        Where a fit is no better than a flat colour, others are tried (encoder.flat_check), but not
        where a PSNR is asked for, which may be one that a flat colour has.

        Raises:
            FitError: all of them are worse, or one kept diverging.
        """
        from nervcodec.decoder.reconstruct import decode_segment

        plan = self.plan
        steps = plan.fit.total_epochs * -(-frames.n_frames // plan.fit.batch_size)
        is_checked = steps >= LEAST_STEPS and not plan.fit.target_psnr
        n_pixels = frames.n_frames * frames.width * frames.height
        outcomes: list[Outcome[tuple[Segment, FitSummary]]] = []
        for attempt in range(MAX_ATTEMPTS):
            result = self._attempt(number, attempt, frames, None if attempt else weights)
            if result is None or not is_checked:
                return result
            decoded = decode_segment(result[0], plan.model, self.device)
            bpp = 8 * sum(map(len, result[0].streams)) / n_pixels
            outcomes.append(outcome_of(result, frames, decoded, plan.fit.rate_weight * bpp))
            if is_enough(outcomes):
                break
            self.on_note(f"segment {number + 1}: the fit is no better than a flat colour")
        chosen = best(outcomes)
        if chosen is None:
            raise FitError(
                f"segment {number + 1}: {len(outcomes)} fits are worse than a flat colour; another"
                " --preset or --seed, or more --epochs may do better"
            )
        return chosen.result

    def _attempt(
        self,
        number: int,
        attempt: int,
        frames: Frames,
        weights: NDArray[np.float32] | None,
    ) -> tuple[Segment, FitSummary] | None:
        """Return what one fit of a segment gives; None if it is to end and its checkpoint kept."""
        from nervcodec.encoder.segment import SegmentFit

        plan = self.plan
        self.pace.taken()
        self.pace.is_fitting = True
        fit = SegmentFit(
            frames,
            plan.segments[number],
            plan.model,
            next_attempt(plan.fit, attempt) if attempt else plan.fit,
            self.device,
            plan.format.color,
            self._checkpoint(number, attempt),
            weights,
            self._counts(number),
        )
        for progress in fit.run():
            if progress and self.on_progress:
                self.on_progress(number, progress)
            if self.pace.is_due():
                self._keep(number, attempt, fit.checkpoint())
                if self.pace.is_ending:
                    return None
        return fit.result()

    def _counts(self, number: int) -> list[int] | None:
        """Return how often each frame of a segment is shown, None where none repeats."""
        repeats = self.plan.extras.repeats
        if repeats is None:
            return None
        lengths = self.plan.lengths
        first = sum(lengths[:number])
        return list(itertools.islice(repeats.counts(), first, first + lengths[number]))

    def _checkpoint(self, number: int, attempt: int) -> Checkpoint | None:
        """Return where a fit of a segment goes on; None where it begins."""
        import torch

        from nervcodec.training.state import Checkpoint

        kept = self.journal.checkpoint()
        if kept is None:
            return None
        numbers, arrays = kept
        if (numbers.pop("segment"), numbers.pop("attempt")) != (number, attempt):
            return None
        checkpoint = Checkpoint(
            numbers, {name: torch.from_numpy(array) for name, array in arrays.items()}
        )
        at = checkpoint.progress
        epoch = min(at.epoch + 1, at.n_epochs)
        psnr = "" if at.psnr_db is None else f", {at.psnr_db:.2f} dB"
        self.on_note(f"going on from {at.stage} epoch {epoch} of {at.n_epochs}{psnr}")
        return checkpoint

    def _keep(self, number: int, attempt: int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint of the fit of a segment."""
        self.journal.add_checkpoint(
            {**checkpoint.numbers, "segment": number, "attempt": attempt},
            {name: value.numpy() for name, value in checkpoint.arrays.items()},
        )
        self.pace.taken()


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


def measure(
    path: Path,
    plan: FitPlan,
    device: str = "cpu",
    on_measure: Callable[[int], None] | None = None,
) -> tuple[Quality, list[FrameSums]]:
    """Return the quality of a .nvpp file's decoded frames against plan.source, whose own planes are
    the reference, and the frames' sums, one for each segment.
    """
    from nervcodec.decoder.reconstruct import decode_segment

    file = load(path)
    lengths = batch_lengths(file)
    sources = read_groups(plan.source, plan.format, lengths, plan.source_options, plan.numbers)
    counts = plan.extras.repeats.counts() if plan.extras.repeats else itertools.repeat(1)
    meter = QualityMeter(plan.format.color)
    sums = []
    n_done = 0
    for segment in file.segments:
        summer = FrameSummer()
        for decoded in decode_segment(segment, file.header.model, device):
            meter.add(next(sources), decoded, itertools.islice(counts, decoded.n_frames))
            summer.add(decoded)
            n_done += decoded.n_frames
            if on_measure:
                on_measure(n_done)
        sums.append(summer.result())
    return meter.result(), sums
