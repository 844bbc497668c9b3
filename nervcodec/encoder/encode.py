"""Encode a whole file: probe -> fit each segment -> write -> decode that very file -> report what
came out of it.

Modules that need torch are imported inside the functions that use them: planning and bad input need
no torch.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
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

_SIZE_PROMISE, _PSNR_PROMISE_DB = 0.02, 0.2


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
        if wished and abs(self.n_bytes / wished - 1) > _SIZE_PROMISE:
            return f"{wished:,} bytes were asked for, {self.n_bytes:,} is as near as this fit came"
        if goal and abs(reached - goal) > _PSNR_PROMISE_DB:
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
    map_segments: Callable[..., Iterable[Any]] = map,
) -> EncodeReport:
    """Encodes plan.source into a .nvpp file, then decodes that file and reports what is in it.

    What is reached is kept beside the destination (journal.py): the same call goes on from there.

    Args:
        on_progress: called with (segment number, Progress) while fitting.
        on_measure: called with the number of frames decoded and measured so far.
        on_note: called with what a user should know.
        restart: begin anew, whatever was reached before.
        pace: when checkpoints are taken; None: every minute.
        map_segments: any ordered, lazy map, as map(function, frames, shots); with another than
            `map` only whole segments are kept.
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
            found = list(work.segments(map_segments))
        except KeyboardInterrupt:
            if not journal.has_progress:
                raise
            raise Interrupted(
                f"interrupted; what was reached is kept in {journal.folder}, the same command goes"
                " on from there"
            ) from None
        pace.is_fitting = False
        encoded_s, peaks = time.monotonic() - started, {"fit": peak_memory_bytes(device)}
        segments, summaries = zip(*found)
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


def _identity(plan: EncodePlan, device: str) -> dict[str, Any]:
    """All that the bytes of an encode depend on."""
    import torch

    return {
        "input": _digest(plan.source),
        "frame rate": str(plan.format.frame_rate),
        "segments": plan.segments,
        "model": plan.model.as_json(),
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
