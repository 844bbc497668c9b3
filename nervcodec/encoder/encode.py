"""Encode a whole file: fit each segment, write, decode that very file, report what came out of it.

Modules that need torch are imported inside the functions that use them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nervcodec import __version__
from nervcodec.decoder.decode import batch_lengths
from nervcodec.decoder.digest import FrameSummer
from nervcodec.encoder.fit_plan import FitPlan, source_frames
from nervcodec.encoder.plan import EncodePlan
from nervcodec.encoder.report import EncodeReport
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
from nervcodec.format.model_config import Shots
from nervcodec.quality.metrics import Quality, QualityMeter
from nervcodec.util.files import check_output, os_errors, whole_file
from nervcodec.video.frames import Frames
from nervcodec.video.reader import read_groups, source_files

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
    with Journal(plan.destination, _identity(plan), restart=options.restart) as journal:
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
    sizes = [tensors.n_parameters(plan.model, shots) for shots in plan.segments]
    return EncodeReport(
        plan=plan,
        n_bytes=len(data),
        container_bytes=read_file(data).container_bytes,
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


def _fit_segments(work: _Work, journal: Journal) -> list[tuple[Segment, FitSummary]]:
    """Return all segments, with what became of their fits.

    Raises:
        Interrupted: the fit was ended from outside; what was reached is kept.
        KeyboardInterrupt: so it was, and nothing was reached.
    """
    try:
        return list(work.segments(map))
    except KeyboardInterrupt:
        if not journal.has_progress:
            raise
        raise Interrupted(
            f"interrupted; what was reached is kept in {journal.folder}, the same command goes on"
            " from there"
        ) from None


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
        path.write_bytes(write_file(header, segments, StoredQuality()))
        quality, sums = measure(path, plan, plan.device, on_measure)
        summed = [
            replace(segment, sums=of_frames)
            for segment, of_frames in zip(segments, sums, strict=True)
        ]
        data = write_file(header, summed, stored_quality(quality, plan.fit.total_epochs))
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
    """The segments of an encode: those that its journal has, and the others as they get fitted. A
    fit's keeper.
    """

    plan: EncodePlan
    device: str
    journal: Journal
    pace: Pace
    on_progress: Callable[[int, Progress], None] | None
    on_note: Callable[[str], None]
    _number: int = 0
    _weights: NDArray[np.float32] | None = None

    def segments(
        self, map_segments: Callable[..., Iterable[Any]]
    ) -> Iterator[tuple[Segment, FitSummary]]:
        """All segments in order. The first one is fitted before the others, which start from its
        weights.
        """
        from nervcodec.encoder.segment import shared_weights

        numbered = enumerate(source_frames(self.plan, self.plan.lengths))
        n_segments = len(self.plan.lengths)
        (first,) = self._part(range(1), numbered, map_segments)
        yield first
        if n_segments > 1:
            self._weights = shared_weights(first[0], self.plan.model)
            yield from self._part(range(1, n_segments), numbered, map_segments)

    def _part(
        self,
        numbers: range,
        numbered: Iterator[tuple[int, Frames]],
        map_segments: Callable[..., Iterable[Any]],
    ) -> Iterator[tuple[Segment, FitSummary]]:
        """Those segments; `numbered` has the frames of all that were not read yet, and is read as
        far as they go.
        """
        from nervcodec.encoder.segment import FitSummary, encode_segment

        plan = self.plan
        n_streams = len(tensors.module_names(plan.model))
        kept = {number: self.journal.segment(number, n_streams) for number in numbers}

        def left() -> Iterator[Frames]:
            for self._number, frames in numbered:
                if self._number in numbers and not kept[self._number]:
                    yield frames
                if self._number == numbers[-1]:
                    return

        elsewhere = partial(
            encode_segment,
            model=plan.model,
            fit=plan.fit,
            device=self.device,
            color=plan.format.color,
            weights=self._weights,
        )
        shots = (plan.segments[number] for number in numbers if not kept[number])
        fitted = iter(
            map_segments(self._fitted if map_segments is map else elsewhere, left(), shots)
        )
        for number, done in kept.items():
            if done:
                self.on_note(f"segment {number + 1} of {len(plan.lengths)} was fitted before")
                yield done[0], FitSummary(**done[1])
                continue
            segment, summary = next(fitted)
            self.journal.add_segment(number, segment, asdict(summary))
            yield segment, summary
            if self.pace.is_ending:
                raise KeyboardInterrupt

    def _fitted(self, frames: Frames, shots: Shots) -> tuple[Segment, FitSummary]:
        from nervcodec.encoder.segment import encode_segment
        from nervcodec.training.state import silent

        on_progress, number = self.on_progress, self._number
        report = (lambda progress: on_progress(number, progress)) if on_progress else silent
        self.pace.taken()
        self.pace.is_fitting = True
        plan = self.plan
        return encode_segment(
            frames,
            shots,
            plan.model,
            plan.fit,
            self.device,
            report,
            plan.format.color,
            keeper=self,
            checkpoint=self._checkpoint(),
            weights=self._weights,
        )

    def _checkpoint(self) -> Checkpoint | None:
        import torch

        from nervcodec.training.state import Checkpoint

        found = self.journal.checkpoint()
        if found is None or found[0].pop("segment") != self._number:
            return None
        checkpoint = Checkpoint(
            found[0], {name: torch.from_numpy(array) for name, array in found[1].items()}
        )
        at = checkpoint.progress
        db = "" if at.psnr_db is None else f", {at.psnr_db:.2f} dB"
        self.on_note(f"going on from {at.stage} epoch {at.epoch + 1} of {at.n_epochs}{db}")
        return checkpoint

    def is_due(self) -> bool:
        return self.pace.is_due()

    def keep(self, checkpoint: Checkpoint) -> None:
        self.journal.add_checkpoint(
            {**checkpoint.numbers, "segment": self._number},
            {name: value.numpy() for name, value in checkpoint.arrays.items()},
        )
        self.pace.taken()
        if self.pace.is_ending:
            raise KeyboardInterrupt


def _identity(plan: EncodePlan) -> dict[str, Any]:
    """Return all that the bytes of an encode depend on."""
    import torch

    return {
        "input": _digest(plan.source),
        "frame rate": str(plan.format.frame_rate),
        "segments": plan.segments,
        "model": asdict(plan.model),
        "fit": asdict(plan.fit),
        "device": plan.device,
        "number of threads": plan.n_threads,
        "version of nervcodec": __version__,
        "version of torch": torch.__version__,
    }


def _digest(source: Path) -> str:
    """Return the SHA-256 of a file, or of the names and the bytes of a folder's PNG files.

    Raises:
        VideoError: they cannot be read any more.
    """
    digest = hashlib.sha256()
    try:
        for path in source_files(source):
            digest.update(os.fsencode(path.name) + b"\0" if path != source else b"")
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
    except OSError as error:
        raise VideoError(f"cannot read {source}: {error.strerror or error}") from error
    return digest.hexdigest()


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
    sources = read_groups(plan.source, plan.format, batch_lengths(file))
    meter = QualityMeter(plan.format.color)
    sums = []
    n_done = 0
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
