"""What an encode will do on this machine, decided before it starts.

A plan writes nothing. It has network, fit and segments (encoder.fit_plan), device, arithmetic,
threads, memory, and whether an interrupted encode is gone on with. torch is imported inside the
functions that use it: options and videos that cannot work are refused without it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nervcodec.encoder.fit_plan import FitPlan, job_bytes, memory_bytes, plan_fit
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.resume import stored_identity, stored_survey
from nervcodec.encoder.survey import read_survey
from nervcodec.encoder.time_budget import seconds_per_epoch, with_epochs, with_time_budget
from nervcodec.errors import ConfigError, ResourceError
from nervcodec.format import costs
from nervcodec.jobs.concurrency import concurrency, devices_of, relative_seconds
from nervcodec.util.files import check_output
from nervcodec.util.packages import need_torch
from nervcodec.util.threads import idle_cores, n_cores
from nervcodec.video.first_pass import OnSurvey

SCHEMA = "nervcodec.estimate/1"
# Names of outputs of decode, which a coded file would be taken for.
BASE_BYTES = 430 << 20  # of the process that jobs report to: Python and torch
_VIDEO_SUFFIXES = (".y4m", ".mp4", ".mkv", ".mov", ".webm", ".avi", ".png")


@dataclass(frozen=True, kw_only=True)
class EncodePlan(FitPlan):
    """All that an encode will do.

    Attributes:
        destination: the .nvpp file.
        options: what was asked for.
        devices: 'cpu', or the CUDA devices that jobs are shared among.
        n_threads: CPU threads of torch, of each job.
        n_jobs: segments that are fitted at once.
        jobs_reason: what decided that number, for people.
        is_independent: whether no segment starts from the weights of the first one.
        is_resumed: whether an interrupted encode to the destination is gone on with.
        measured_s: seconds of an epoch here, where a time budget had them measured.
    """

    destination: Path
    options: EncodeOptions
    devices: tuple[str, ...]
    n_threads: int
    n_jobs: int = 1
    jobs_reason: str = ""
    is_independent: bool = False
    is_resumed: bool = False
    measured_s: float | None = None

    @cached_property
    def memory_bytes(self) -> int:
        """About the peak memory of the encode, of all its processes together."""
        if self.n_jobs == 1:
            return memory_bytes(self)
        return BASE_BYTES + self.n_jobs * job_bytes(self)

    @cached_property
    def _seconds(self) -> float:
        fit = self.fit
        each = self.measured_s
        if each is None:
            each = seconds_per_epoch(self, self.devices[0]) * self.relative_seconds
        return (fit.total_epochs + fit.n_rdoq_passes) * each

    @property
    def relative_seconds(self) -> float:
        """The time of all segments over that of one job that fits them one after the other."""
        independent = self.is_independent
        return relative_seconds(self.lengths, self.n_jobs, is_independent=independent)

    def estimate_seconds(self) -> float:
        """Return about how long the fit takes from its beginning; some of its steps are made and
        timed for that, once.
        """
        return self._seconds

    def description(self) -> dict[str, Any]:
        """Return what is known before the fit, as both JSON objects of encode have it."""
        return {
            "input": os.fspath(self.source),
            "width": self.format.width,
            "height": self.format.height,
            "frames": self.format.n_frames,
            "coded_frames": self.n_coded_frames,
            "frame_rate": str(self.format.frame_rate),
            "variable_frame_rate": self.has_variable_rate,
            "segments": self.lengths,
            "shots": self.segments,
            "parameters": self.n_parameters,
            "kmac_per_pixel": self.kmac_per_pixel,
            "model": self.model.as_json(),
            "fit": asdict(self.fit),
            "jobs": self.n_jobs,
            "independent_segments": self.is_independent,
            "notes": self.notes,
        }

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec encode --dry-run --json` (docs/reference/json.md), with
        the estimated seconds.
        """
        return {
            "schema": SCHEMA,
            **self.description(),
            "seconds": self.estimate_seconds(),
            "memory": self.memory_bytes,
        }


def plan(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    options: EncodeOptions = EncodeOptions(),
    *,
    on_progress: OnSurvey | None = None,
) -> EncodePlan:
    """Look at the source and this machine, and decide what an encode will do.

    Sets torch's number of threads, if the options have one; writes nothing. What an interrupted
    encode to the same destination has kept of this source is not looked at again.

    Args:
        source: anything that FFmpeg reads, or a folder of PNG files.
        destination: the .nvpp file to write.
        on_progress: called with (frames of the source surveyed, frames expected or None).
    Raises:
        ConfigError: an option that does not go with this video or machine.
        DependencyError: torch is not installed.
        VideoError: the source cannot be read, or is none that this version supports.
        OutputError: the destination cannot be written, or exists already.
        ResourceError: the memory does not suffice, or there is no such device.
    """
    need_torch("encoding")
    check_destination(source, destination, options)
    target = Path(destination)
    kept = None if options.restart else read_survey(stored_survey(target))
    fit_plan = plan_fit(source, options, on_progress=on_progress, kept=kept)
    unfinished = None if options.restart else stored_identity(target)
    decided = _on_this_machine(fit_plan, target, options, unfinished)
    if options.time_budget_s is not None and unfinished:
        # Speed differs from run to run: an encode goes on with the epochs that it began with.
        fit = unfinished["fit"]
        return with_epochs(decided, fit["epochs"], fit["finetune_epochs"])
    if options.time_budget_s is not None:
        each = seconds_per_epoch(decided, decided.devices[0]) * decided.relative_seconds
        decided = with_time_budget(decided, options.time_budget_s, each)
        return replace(decided, measured_s=each)
    return decided


def _on_this_machine(
    fit_plan: FitPlan, target: Path, options: EncodeOptions, unfinished: dict[str, Any] | None
) -> EncodePlan:
    """Return the plan with devices, arithmetic, threads and jobs.

    Args:
        unfinished: the identity of the encode that is gone on with, if one is: its threads stay.
    Raises:
        ConfigError, ResourceError: as plan.
    """
    from nervcodec.nn.device import (
        choose_device,
        choose_precision,
        free_memory_bytes,
        n_gpus_of,
        set_threads,
    )

    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    fit_plan = replace(fit_plan, fit=replace(fit_plan.fit, precision=precision))
    _check_memory(fit_plan, device, options.max_memory_bytes)
    is_independent = options.independent_segments
    if is_independent is None:
        is_independent = bool(fit_plan.model.prior)
    is_independent |= len(fit_plan.segments) == 1
    n_threads = options.n_threads
    if n_threads is None and unfinished:
        n_threads = unfinished.get("number of threads")
    free_bytes = options.max_memory_bytes or free_memory_bytes(device)
    n_gpus = n_gpus_of(device)
    chosen = concurrency(
        options.jobs,
        n_threads,
        n_ready=max(1, len(fit_plan.segments) - (not is_independent)),
        n_gpus=n_gpus,
        job_bytes=job_bytes(fit_plan),
        free_bytes=None if free_bytes is None else free_bytes - BASE_BYTES,
        work_macs=3.0
        * costs.macs_per_frame(fit_plan.model)
        * fit_plan.n_coded_frames
        * fit_plan.fit.total_epochs,
    )
    n_threads = set_threads(chosen.n_threads)
    if chosen.n_threads is None and not n_gpus:
        n_threads, notes = _beside_others(n_threads)
        fit_plan = replace(fit_plan, notes=(*fit_plan.notes, *notes))
    return EncodePlan(
        **vars(fit_plan),
        destination=target,
        options=options,
        devices=devices_of(device, n_gpus),
        n_threads=set_threads(n_threads),
        n_jobs=chosen.n_jobs,
        jobs_reason=chosen.reason,
        is_independent=is_independent,
        is_resumed=unfinished is not None,
    )


def _beside_others(n_threads: int) -> tuple[int, tuple[str, ...]]:
    """Return no more threads than there are idle cores, and a note where these are fewer.

    Threads that wait for one whose core other work has taken make the fit crawl, and that work
    too (docs/lab L112).
    """
    if n_threads == 1 or (idle := max(1, idle_cores())) >= n_threads:
        return n_threads, ()
    threads = f"{idle} thread{'s' * (idle > 1)}"
    return idle, (
        f"other work leaves {idle} of {n_cores()} cores idle, so that {threads} fit; --threads"
        f" {n_threads} takes more",
    )


def check_destination(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], options: EncodeOptions
) -> None:
    """Raise what would otherwise go wrong with the destination after the fit.

    Raises:
        ConfigError: it has the name of a video: whoever takes encode for a converter is told.
        OutputError: it cannot be written, or exists already.
    """
    check_output(os.fspath(destination), overwrite=options.overwrite, source=os.fspath(source))
    suffix = Path(destination).suffix.lower()
    if suffix in _VIDEO_SUFFIXES:
        raise ConfigError(
            f"output is {os.fspath(destination)}; legal: a name without {suffix}, such as"
            " OUTPUT.nvpp"
        )


def _check_memory(fit_plan: FitPlan, device: str, max_bytes: float | None) -> None:
    """Refuse an encode that would not fit, before anything is allocated.

    Args:
        max_bytes: None takes what the device has left, if that is known.
    Raises:
        ResourceError: with the estimate.
    """
    from nervcodec.nn.device import free_memory_bytes

    need = memory_bytes(fit_plan)
    limit = free_memory_bytes(device) if max_bytes is None else max_bytes
    if limit is not None and need > limit:
        raise ResourceError(
            f"the fit takes about {need / 2**20:,.0f} MiB of memory, more than the"
            f" {limit / 2**20:,.0f} MiB that {'are left' if max_bytes is None else 'are allowed'};"
            " --max-memory allows more, shorter --segment-frames and a smaller frame take less"
        )
