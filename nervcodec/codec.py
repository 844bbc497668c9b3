"""Encode and decode over whole files: the straight lines of docs/architecture.md.

encode: probe -> map encode_segment -> write -> decode that very file -> report what came out of it.
decode: read -> decode_segment for the segments that are needed -> video writer.
Modules that need torch are imported inside the functions that use them: planning and bad input need no torch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import architecture
from .bitstream import File, Header, Segment, StoredQuality, load, read_file, write_file
from .color import Frames
from .errors import ConfigError, LimitExceeded
from .metrics import Quality, QualityMeter
from .output import check_output, whole_file
from .plan import EncodePlan, source_frames
from .video import check_target, open_writer, read_groups

if TYPE_CHECKING:
    from .fit import Progress
    from .segment import FitSummary

MAX_MEMORY = 4 << 30
_SIZE_PROMISE, _PSNR_PROMISE_DB = 0.02, 0.2


@dataclass(frozen=True)
class EncodeReport:
    """What an encode gave. Quality is that of the written file's decoded frames, n_bytes its size on disk."""

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

    @property
    def bpp(self) -> float:
        return self.plan.format.bpp(self.n_bytes)

    @property
    def kbit_per_s(self) -> float:
        return self.plan.format.kbit_per_s(self.n_bytes)

    @property
    def paper_bpp(self) -> float:
        """The paper's formula, parameters * (1 - sparsity) * bits / pixels: no positions, steps, tables, container."""
        plan = self.plan
        return plan.n_parameters * (1 - self.sparsity) * plan.model.bits / plan.format.n_pixels

    @property
    def missed(self) -> str | None:
        """What was asked for and what came of it, where a target was missed by more than is promised."""
        wished, goal, reached = self.plan.target_bytes, self.plan.fit.target_psnr, self.quality.rgb_db
        if wished and abs(self.n_bytes / wished - 1) > _SIZE_PROMISE:
            return f"{wished:,} bytes were asked for, {self.n_bytes:,} is as near as this fit came"
        if goal and abs(reached - goal) > _PSNR_PROMISE_DB:
            return (f"{goal:g} dB RGB were asked for, {reached:.2f} dB is as near as this fit came"
                    + ("; a slower preset or more epochs reach further" if reached < goal else ""))
        return None


@dataclass(frozen=True)
class DecodeReport:
    n_frames: int
    seconds: float
    notes: tuple[str, ...]


def encode(plan: EncodePlan, destination: str | os.PathLike[str], *, device: str = "cpu", overwrite: bool = False,
           on_progress: Callable[[int, Progress], None] | None = None,
           on_measure: Callable[[int], None] | None = None,
           map_segments: Callable[..., Iterable[Any]] = map) -> EncodeReport:
    """Encodes plan.source into a .nvpp file, then decodes that file and reports what is in it.

    Args:
        on_progress: called with (segment number, Progress) while fitting.
        on_measure: called with the number of frames decoded and measured so far.
        map_segments: any ordered, lazy map.
    Raises:
        NervCodecError: see errors.py; the destination is then as it was before.
    """
    from .backends import device_label
    from .fit import silent
    from .segment import encode_segment
    destination = Path(destination)
    check_output(destination, overwrite=overwrite, source=plan.source)
    started = time.monotonic()
    segments: list[Segment] = []
    summaries: list[FitSummary] = []
    report = (lambda progress: on_progress(len(segments), progress)) if on_progress else silent
    work = partial(encode_segment, model=plan.model, fit=plan.fit, device=device, on_progress=report,
                   color=plan.format.color)
    for segment, summary in map_segments(work, source_frames(plan, plan.lengths)):
        segments.append(segment)
        summaries.append(summary)
    header = Header(plan.format, plan.model)
    encoded_s = time.monotonic() - started
    with whole_file(destination, overwrite=overwrite) as path:
        path.write_bytes(write_file(header, segments, StoredQuality()))
        quality = measure(path, plan, device, on_measure)
        data = write_file(header, segments, stored_quality(quality, plan.fit.total_epochs))
        path.write_bytes(data)
    shares = [architecture.n_parameters(plan.model, length) / plan.n_parameters for length in plan.lengths]
    return EncodeReport(
        plan, destination.stat().st_size, read_file(data).container_bytes,
        sum(summary.entropy_bytes for summary in summaries),
        sum(summary.sparsity * share for summary, share in zip(summaries, shares)), quality, encoded_s,
        time.monotonic() - started - encoded_s, sum(summary.n_rollbacks for summary in summaries),
        device_label(device), _n_threads())


def _n_threads() -> int:
    import torch
    return torch.get_num_threads()


def stored_quality(quality: Quality, epochs: int) -> StoredQuality:
    """As the file stores it; nothing that differs from one run to the next, so that equal encodes give equal files."""
    return StoredQuality(psnr_y=quality.y_db, psnr_u=quality.u_db, psnr_v=quality.v_db,
                         psnr_yuv=quality.yuv611_db, psnr_rgb=quality.rgb_db, psnr_min=quality.worst_yuv611_db,
                         ms_ssim=quality.ms_ssim, epochs=epochs)


def measure(path: Path, plan: EncodePlan, device: str = "cpu",
            on_measure: Callable[[int], None] | None = None) -> Quality:
    """Quality of a .nvpp file's decoded frames against plan.source, whose own planes are the reference."""
    file = load(path)
    sources = read_groups(plan.source, plan.format, _batch_lengths(file))
    meter, n_done = QualityMeter(plan.format.color), 0
    for source, decoded in zip(sources, decoded_frames(file, device=device), strict=True):
        meter.add(source, decoded)
        n_done += decoded.n_frames
        if on_measure:
            on_measure(n_done)
    return meter.result()


def _batch_lengths(file: File) -> list[int]:
    """Frames of each batch that decoded_frames yields for a whole file."""
    size = architecture.decode_batch(file.header.model)
    return [min(size, segment.n_frames - start)
            for segment in file.segments for start in range(0, segment.n_frames, size)]


def decoded_frames(file: File, first: int = 0, stop: int | None = None, *, device: str = "cpu") -> Iterator[Frames]:
    """Frames first..stop-1 in the colorspace of the model, a batch at a time; other segments are not touched."""
    from .segment import decode_segment
    stop = file.header.format.n_frames if stop is None else stop
    start = 0
    for segment in file.segments:
        begin, end = max(first - start, 0), min(stop - start, segment.n_frames)
        if begin < end:
            yield from decode_segment(segment, file.header.model, begin, end, device)
        start += segment.n_frames


def check_memory(file: File, max_bytes: int) -> None:
    """Refuses a file whose decoding would take more than max_bytes of memory, before any of it is taken.

    Raises:
        LimitExceeded: with the estimate.
    """
    need = max(architecture.decode_memory_bytes(file.header.model, segment.n_frames) for segment in file.segments)
    if need > max_bytes:
        raise LimitExceeded(f"decoding takes about {need / 2**20:,.0f} MiB of memory, more than the limit of "
                            f"{max_bytes / 2**20:,.0f} MiB; --max-memory raises it")


def decode(source: str | os.PathLike[str], destination: str | os.PathLike[str], *, first: int = 0,
           stop: int | None = None, codec: str | None = None, quality: int | None = None, device: str = "cpu",
           overwrite: bool = False, max_memory: int = MAX_MEMORY,
           on_progress: Callable[[int, int], None] | None = None) -> DecodeReport:
    """Decodes frames first..stop-1 of a .nvpp file into .y4m, .mp4, .mkv ... or a folder of PNG.

    Args:
        codec, quality: of a lossy target, as video.open_writer has them.
        max_memory: bytes; a file that would take more is refused.
        on_progress: called with (frames written, frames in all).
    Raises:
        NervCodecError: see errors.py; the destination is then as it was before.
    """
    started = time.monotonic()
    file = load(source)
    check_target(os.fspath(destination), codec=codec, quality=quality, overwrite=overwrite, source=os.fspath(source))
    check_memory(file, max_memory)
    form = file.header.format
    stop = form.n_frames if stop is None else stop
    if not 0 <= first < stop <= form.n_frames:
        raise ConfigError(f"frames are {first}:{stop}; legal: A:B with 0 <= A < B <= {form.n_frames}")
    target, n_done = replace(form, n_frames=stop - first), 0
    with open_writer(os.fspath(destination), target, codec=codec, quality=quality, overwrite=overwrite) as writer:
        for frames in decoded_frames(file, first, stop, device=device):
            writer.write(frames)
            n_done += frames.n_frames
            if on_progress:
                on_progress(n_done, stop - first)
    return DecodeReport(n_done, time.monotonic() - started, tuple(writer.notes))
