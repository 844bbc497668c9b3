"""Encode a whole file: fit each segment as a job, write them, report what came out of it.

Modules that need torch are imported inside the functions that use them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nervcodec.encoder.allocation import SegmentComplexity, needs_shares, segment_fits
from nervcodec.encoder.executors import executor_of
from nervcodec.encoder.identity import identity
from nervcodec.encoder.plan import EncodePlan
from nervcodec.encoder.progress_folder import kept_message
from nervcodec.encoder.report import EncodeReport
from nervcodec.encoder.resume import Journal, Pace
from nervcodec.errors import Interrupted, OutputError
from nervcodec.format import tensors
from nervcodec.format.container import read_file, write_file
from nervcodec.format.file import File, Header
from nervcodec.jobs.executor import Executor, Job
from nervcodec.quality.metrics import Quality, joined
from nervcodec.util.files import check_output, os_errors, whole_file
from nervcodec.util.prefetch import prefetch
from nervcodec.video.frames import Frames
from nervcodec.video.reader import read_groups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nervcodec.encoder.fit_job import FitTask, FittedSegment
    from nervcodec.training.config import FitConfig
    from nervcodec.training.state import Progress


def encode(
    plan: EncodePlan,
    *,
    on_progress: Callable[[int, Progress], None] = lambda *_: None,
    on_segment: Callable[[int, FittedSegment, bool], None] = lambda *_: None,
    on_note: Callable[[str], None] = lambda _: None,
    pace: Pace | None = None,
) -> EncodeReport:
    """Encode plan.source into plan.destination, measure what the file decodes to, and report it.

    What is reached is kept beside the destination (encoder.resume): the same call goes on from
    there. Sets torch's number of threads to the plan's.

    Args:
        on_progress: called with (segment number, Progress) while it is fitted and measured.
        on_segment: called with (segment number, FittedSegment, whether it was fitted before) when
            it is done.
        on_note: called with what a user should know.
        pace: when checkpoints are taken, and how another thread or a signal handler ends the fits;
            None takes one every options.checkpoint_every_s seconds.
    Raises:
        Interrupted: pace.end() was called, or Ctrl-C came; what was reached is kept.
        NervCodecError: see errors.py; the destination is then as it was before.
    """
    from nervcodec.nn.device import set_threads

    options = plan.options
    check_output(plan.destination, overwrite=options.overwrite, source=plan.source)
    set_threads(plan.n_threads)
    started = time.monotonic()
    pace = pace or Pace(options.checkpoint_every_s)
    with _journal(plan) as journal:
        with executor_of(plan) as executor:
            work = _Work(plan, executor, journal, pace, on_progress, on_segment, on_note)
            fitted = _fitted(work, journal)
            n_jobs = executor.n_jobs
            measure_s = work.measure_s / n_jobs
        file = _write(plan, fitted, journal.folder)
        journal.remove()
    seconds = time.monotonic() - started - measure_s
    return _report(plan, fitted, file, n_jobs, (seconds, measure_s))


def _report(
    plan: EncodePlan,
    fitted: Sequence[FittedSegment],
    file: File,
    n_jobs: int,
    seconds: tuple[float, float],
) -> EncodeReport:
    """Return what an encode gave.

    Args:
        seconds: of all but measuring, and of measuring.
    """
    from nervcodec.nn.device import device_label

    sizes = [tensors.n_parameters(plan.model, shots) for shots in plan.segments]
    summaries = [each.summary for each in fitted]
    return EncodeReport(
        plan=plan,
        n_bytes=file.n_bytes,
        container_bytes=file.container_bytes,
        sound_bytes=file.sound_bytes,
        entropy_bytes=sum(summary.entropy_bytes for summary in summaries),
        sparsity=sum(
            summary.sparsity * size / plan.n_parameters for summary, size in zip(summaries, sizes)
        ),
        quality=_quality(fitted),
        segment_quality=tuple(each.quality for each in fitted),
        segment_bytes=tuple(each.n_bytes for each in fitted),
        encode_s=seconds[0],
        measure_s=seconds[1],
        n_rollbacks=sum(summary.n_rollbacks for summary in summaries),
        device=device_label(plan.devices[0]),
        n_threads=plan.n_threads,
        n_jobs=n_jobs,
        peak_memory=_peaks(fitted),
    )


def _journal(plan: EncodePlan) -> Journal:
    """Return the journal of an encode, with the survey of a source that will be there again."""
    survey = plan.survey.as_bytes() if plan.survey and plan.survey.key else None
    return Journal(plan.destination, identity(plan), restart=plan.options.restart, survey=survey)


def _fitted(work: _Work, journal: Journal) -> list[FittedSegment]:
    """Return all segments.

    Raises:
        Interrupted: the fits were ended from outside; what was reached is kept.
        KeyboardInterrupt: so they were, and nothing was reached.
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


def _write(plan: EncodePlan, fitted: Sequence[FittedSegment], kept_in: Path) -> File:
    """Write the file and read it back.

    Args:
        kept_in: folder of what was reached, for the message of an error.
    Raises:
        OutputError: it cannot be written, or reads back as something else.
    """
    header = Header(plan.format, plan.model)
    data = write_file(header, [each.segment for each in fitted], plan.extras)
    destination = plan.destination
    with whole_file(destination, overwrite=plan.options.overwrite) as path:
        path.write_bytes(data)
    with os_errors(destination):
        written = destination.read_bytes()
    if written != data:
        raise OutputError(
            f"{destination} reads back as something else; what was reached is in {kept_in}"
        )
    return read_file(data)


def _quality(fitted: Sequence[FittedSegment]) -> Quality:
    return joined([each.quality for each in fitted])


def _peaks(fitted: Sequence[FittedSegment]) -> dict[str, dict[str, int]]:
    """Return the most memory of any job, by phase and kind."""
    peaks: dict[str, dict[str, int]] = {}
    for phase, kinds in itertools.chain.from_iterable(each.peak_memory.items() for each in fitted):
        for kind, n_bytes in kinds.items():
            of_phase = peaks.setdefault(phase, {})
            of_phase[kind] = max(of_phase.get(kind, 0), n_bytes)
    return peaks


@dataclass
class _Work:
    """The segments of an encode: those that its journal has, and the others as they get fitted.

    It is who the jobs talk to (nervcodec.jobs.executor.Listener).
    """

    plan: EncodePlan
    executor: Executor
    journal: Journal
    pace: Pace
    on_progress: Callable[[int, Progress], None]
    on_segment: Callable[[int, FittedSegment, bool], None]
    on_note: Callable[[str], None]
    results: dict[int, FittedSegment] = field(default_factory=dict)
    measure_s: float = 0.0
    fits: Sequence[FitConfig] = ()

    def run(self) -> list[FittedSegment] | None:
        """Return all segments in order; None if the encode is to end, once what it has is kept.

        Unless they are independent, the first one is fitted before the others, which start from
        its weights.
        """
        from nervcodec.encoder.segment import shared_weights

        plan = self.plan
        self._recall()
        n_all = len(plan.lengths)
        missing = [number for number in range(n_all) if number not in self.results]
        complexities = self._complexities() if missing else None
        if self.pace.is_ending:
            return None
        self.fits = segment_fits(plan, complexities)
        frames = self._frames(missing)
        weights: NDArray[np.float32] | None = None
        if not plan.is_independent:
            if 0 not in self.results:
                self._fit(self._jobs(missing[:1], frames, None))
                missing = missing[1:]
            if missing and 0 in self.results:
                weights = shared_weights(self.results[0].segment, plan.model)
        if missing and not self.pace.is_ending:
            self._fit(self._jobs(missing, frames, weights))
        if len(self.results) < n_all:
            return None
        return [self.results[number] for number in range(n_all)]

    def _recall(self) -> None:
        """Take the segments that were fitted before."""
        from nervcodec.encoder.fit_job import fitted_of

        n_streams = len(tensors.module_names(self.plan.model))
        n_all = len(self.plan.lengths)
        for number in range(n_all):
            kept = self.journal.segment(number, n_streams)
            if kept:
                self.results[number] = fitted_of(*kept)
                self.on_segment(number, self.results[number], True)
        if len(self.results) == 1:
            self.on_note(f"segment {min(self.results) + 1} of {n_all} was fitted before")
        elif self.results:
            self.on_note(f"{len(self.results)} of {n_all} segments were fitted before")

    def _complexities(self) -> list[SegmentComplexity] | None:
        """Return what bits are shared among the segments by; None where they are not."""
        from nervcodec.encoder.fit_job import ComplexityTask, complexity

        plan = self.plan
        if not needs_shares(plan):
            return None
        kept = self.journal.complexities()
        if kept is not None:
            return [SegmentComplexity(**each) for each in kept]
        numbers = range(len(plan.lengths))
        frames = self._frames(numbers)
        color, n_threads = plan.format.color, plan.n_threads
        jobs = (
            Job(number, ComplexityTask(next(frames), plan.segments[number], color, n_threads))
            for number in numbers
        )
        results = dict(self.executor.run(complexity, jobs, self))
        self.pace.is_fitting = False
        complexities = [found for number in numbers if (found := results.get(number))]
        if len(complexities) < len(numbers):
            return None
        self.journal.add_complexities([asdict(each) for each in complexities])
        return complexities

    def _fit(self, jobs: Iterator[Job[FitTask]]) -> None:
        """Do jobs, and keep what they give."""
        from nervcodec.encoder.fit_job import fit_segment, summary_of

        for number, fitted in self.executor.run(fit_segment, jobs, self):
            self.pace.is_fitting = False
            if fitted is None:
                continue
            self.journal.add_segment(number, fitted.segment, summary_of(fitted))
            self.results[number] = fitted
            self.measure_s += fitted.measure_s
            self.on_segment(number, fitted, False)

    def _frames(self, numbers: Sequence[int]) -> Iterator[Frames]:
        """Yield the frames of segments, each read when it is asked for, or one before that where
        other processes fit.
        """
        plan = self.plan
        starts = [0, *itertools.accumulate(plan.lengths)]
        chosen = plan.numbers or range(plan.n_coded_frames)
        wanted = (
            chosen[n] for number in numbers for n in range(starts[number], starts[number + 1])
        )
        lengths = [plan.lengths[number] for number in numbers]
        groups = read_groups(plan.source, plan.format, lengths, plan.source_options, wanted)
        return prefetch(groups, 1) if self.executor.n_jobs > 1 else groups

    def _jobs(
        self,
        numbers: Sequence[int],
        frames: Iterator[Frames],
        weights: NDArray[np.float32] | None,
    ) -> Iterator[Job[FitTask]]:
        """Yield the jobs of segments, with the checkpoints of their fits."""
        from nervcodec.encoder.fit_job import FitTask

        plan = self.plan
        for number in numbers:
            state = self.journal.checkpoint(number)
            counts = self._counts(number)
            # Without a name, so that no frames are held while the next ones are read.
            yield Job(
                number,
                FitTask(
                    f"segment {number + 1}" if len(plan.lengths) > 1 else "",
                    next(frames),
                    plan.segments[number],
                    plan.model,
                    self.fits[number],
                    plan.format.color,
                    plan.devices,
                    plan.n_threads,
                    self.pace.every_s,
                    counts,
                    weights,
                ),
                state,
            )

    def _counts(self, number: int) -> list[int] | None:
        """Return how often each frame of a segment is shown, None where none repeats."""
        repeats = self.plan.extras.repeats
        if repeats is None:
            return None
        lengths = self.plan.lengths
        first = sum(lengths[:number])
        return list(itertools.islice(repeats.counts(), first, first + lengths[number]))

    def told(self, number: int, message: object) -> None:
        """Hand on what a job tells."""
        self.pace.is_fitting = True
        if isinstance(message, str):
            name = f"segment {number + 1}: " if len(self.plan.lengths) > 1 else ""
            self.on_note(f"{name}{message}")
        else:
            self.on_progress(number, message)  # type: ignore[arg-type]

    def kept(self, number: int, state: bytes) -> None:
        """Keep the state of a job."""
        self.journal.add_checkpoint(number, state)

    def lost(self, number: int) -> None:
        """Say that a worker died."""
        self.on_note(
            f"segment {number + 1}: the process that fitted it was killed; it goes on from its last"
            " checkpoint"
        )

    def is_ending(self) -> bool:
        """Whether all jobs are to end; whoever asks will ask again."""
        self.pace.is_fitting = True
        return self.pace.is_ending
