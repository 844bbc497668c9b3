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
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import architecture
from .bitstream import File, Header, Segment, StoredQuality, load, read_file, write_file, write_header
from .color import Frames, to_layout
from .config import FitConfig, ModelConfig, VideoFormat
from .errors import ConfigError, LimitExceeded
from .metrics import Quality, QualityMeter
from .output import check_output, whole_file
from .presets import PRESETS, segment_lengths
from .video import check_target, open_writer, probe, read_groups

if TYPE_CHECKING:
    from .fit import Progress
    from .segment import FitSummary

MAX_MEMORY = 4 << 30


@dataclass(frozen=True)
class EncodePlan:
    """All that an encode does, decided before it starts. notes: what a user should know about the input."""

    source: Path
    format: VideoFormat
    model: ModelConfig
    fit: FitConfig
    lengths: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_parameters(self) -> int:
        return sum(architecture.n_parameters(self.model, length) for length in self.lengths)

    @property
    def kmac_per_pixel(self) -> float:
        return architecture.kmac_per_pixel(self.model)


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


@dataclass(frozen=True)
class DecodeReport:
    n_frames: int
    seconds: float
    notes: tuple[str, ...]


def plan_encode(source: str | Path, *, preset: str = "default", n_frames: int | None = None,
                colorspace: str = "auto", bits: int | None = None, segment_frames: int | None = None,
                frame_rate: Fraction | None = None, **fit_options: Any) -> EncodePlan:
    """Looks at the source and decides network, fit and segments.

    Args:
        n_frames: code only the first so many frames.
        colorspace: 'auto' (the preset's choice), 'rgb' or 'yuv'.
        segment_frames: longest segment; None: 150.
        frame_rate: of a folder of PNG; None: 25.
        fit_options: fields of FitConfig that replace the preset's; None leaves them.
    Raises:
        ConfigError, VideoError: an option or a video that cannot work.
    """
    if preset not in PRESETS:
        raise ConfigError(f"preset is {preset!r}; legal: {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    form, notes = probe(source, frame_rate=frame_rate)
    if n_frames is not None:
        if not 1 <= n_frames <= form.n_frames:
            raise ConfigError(f"frames is {n_frames}; legal: 1 to {form.n_frames}, the frames of the input")
        form = replace(form, n_frames=n_frames)
    if colorspace == "auto":
        colorspace = chosen.colorspace or ("rgb" if form.layout == "rgb" else "yuv")
    lengths = segment_lengths(form.n_frames, segment_frames)
    model = chosen.model(form, colorspace, max(lengths))
    if bits is not None:
        model = replace(model, bits=bits)
    write_header(Header(form, model))  # what the format cannot hold is better known before the fit than after it
    fit = _with_options(chosen.fit_for(max(lengths)), fit_options)
    return EncodePlan(Path(source), form, model, fit, tuple(lengths), notes)


def with_precision(plan: EncodePlan, precision: str) -> EncodePlan:
    """The plan with another arithmetic of the fit; which one suits is known once a device is chosen."""
    return replace(plan, fit=replace(plan.fit, precision=precision))


def _with_options(fit: FitConfig, options: dict[str, Any]) -> FitConfig:
    """The fit with the options that are not None; pruning without a word on fine-tuning gets a third of the epochs."""
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("prune") and not fit.finetune_epochs:
        given.setdefault("finetune_epochs", -(-given.get("epochs", fit.epochs) // 3))
    elif "epochs" in given and fit.finetune_epochs:
        given.setdefault("finetune_epochs", -(-given["epochs"] * fit.finetune_epochs // fit.epochs))
    return replace(fit, **given)


def estimate(plan: EncodePlan, device: str = "cpu") -> tuple[float, int]:
    """(seconds, bytes of memory) that the plan would take here: some steps of its first segment are made and timed."""
    from .estimate import fit_memory_bytes, seconds_per_step
    frames = next(_source_frames(plan, plan.lengths[:1]))
    steps = [plan.fit.total_epochs * -(-length // plan.fit.batch_size) for length in plan.lengths]
    seconds = seconds_per_step(frames, plan.model, plan.fit, device) * sum(steps)
    longest = max(plan.lengths)
    return seconds, max(fit_memory_bytes(plan.model, plan.fit, longest),
                        architecture.decode_memory_bytes(plan.model, longest))


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
    work = partial(encode_segment, model=plan.model, fit=plan.fit, device=device, on_progress=report)
    for segment, summary in map_segments(work, _source_frames(plan, plan.lengths)):
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


def _source_frames(plan: EncodePlan, lengths: Iterable[int]) -> Iterator[Frames]:
    """The source's segments in the colorspace of the model."""
    layout = "rgb" if plan.model.colorspace == "rgb" else "yuv420"
    for frames in read_groups(plan.source, plan.format, list(lengths)):
        yield to_layout(frames, layout, plan.format.color)


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
