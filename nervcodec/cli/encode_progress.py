"""How an encode goes, for people and for programs: a line a job and a total, or JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from nervcodec.cli import console
from nervcodec.cli.console import duration

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from nervcodec.encoder.fit_job import FittedSegment
    from nervcodec.encoder.plan import EncodePlan
    from nervcodec.encoder.report import EncodeReport
    from nervcodec.training.state import Progress

EVENTS_SCHEMA = "nervcodec.events/1"
_PLAIN_EVERY_S = 10.0
_EVENT_EVERY_S = 1.0  # of progress of one segment
# What a stage is of a segment's time, where it matters: those after the fit are short.
_FIT_STAGES = ("fit", "finetune")


class Totals:
    """What all segments of an encode have come to so far.

    Args:
        lengths: coded frames of the segments.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = lengths
        self._begin: tuple[float, float] | None = None  # time and share, once anything runs
        self._done_bytes: dict[int, int] = {}
        self.running: dict[int, Progress] = {}

    def progressed(self, segment: int, progress: Progress) -> None:
        """Take a segment's progress."""
        self.running[segment] = progress
        if self._begin is None:
            self._begin = time.monotonic(), self.share

    def finished(self, segment: int, n_bytes: int) -> None:
        """Take a segment's end."""
        self.running.pop(segment, None)
        self._done_bytes[segment] = n_bytes

    @property
    def n_done(self) -> int:
        """Segments that are done."""
        return len(self._done_bytes)

    @property
    def n_bytes(self) -> int:
        """Bytes of the streams of those."""
        return sum(self._done_bytes.values())

    @property
    def frames_fps(self) -> float:
        """Frames a second of all jobs that run."""
        return sum(progress.frames_fps for progress in self.running.values())

    @property
    def share(self) -> float:
        """How much of the work is done, 0 to 1."""
        done = float(sum(self._lengths[segment] for segment in self._done_bytes))
        for segment, progress in self.running.items():
            part = progress.epoch / progress.n_epochs if progress.stage in _FIT_STAGES else 1.0
            done += part * self._lengths[segment]
        return min(1.0, done / sum(self._lengths))

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left, None where nothing tells yet."""
        if self._begin is None:
            return None
        started_s, share_then = self._begin
        gained = self.share - share_then
        passed_s = time.monotonic() - started_s
        return passed_s * (1 - self.share) / gained if gained > 0 else None


class EncodeDisplay(Protocol):
    """What shows how an encode goes."""

    def progressed(self, segment: int, progress: Progress) -> None:
        """Show a segment's progress."""

    def finished(self, segment: int, fitted: FittedSegment, was_before: bool) -> None:
        """Show that a segment is done, now or before this encode."""


class NoDisplay:
    """Shows nothing."""

    def progressed(self, segment: int, progress: Progress) -> None:
        pass

    def finished(self, segment: int, fitted: FittedSegment, was_before: bool) -> None:
        pass


class Lines:
    """A line of every running job, and a total where there are several segments.

    Live on a terminal; else plain lines, every ten seconds and when a stage of a job begins or the
    last one ends.
    """

    def __init__(self, lengths: Sequence[int], rich: RichProgress | None) -> None:
        self._totals = Totals(lengths)
        self._n_segments = len(lengths)
        self._rich = rich
        self._tasks: dict[int, TaskID] = {}
        self._total = rich.add_task("", total=1.0) if rich and self._n_segments > 1 else None
        self._stages: dict[int, str] = {}
        self._last_s = 0.0

    def progressed(self, segment: int, progress: Progress) -> None:
        """Show a segment's progress."""
        self._totals.progressed(segment, progress)
        if self._rich:
            if segment not in self._tasks:
                self._tasks[segment] = self._rich.add_task("", total=1.0)
            share = progress.epoch / progress.n_epochs
            text = self._line(segment, progress)
            self._rich.update(self._tasks[segment], description=text, completed=share)
            self._show_total()
            return
        is_new = self._stages.get(segment) != progress.stage
        is_end = self._n_segments == 1 and progress.epoch == progress.n_epochs
        self._stages[segment] = progress.stage
        if time.monotonic() - self._last_s > _PLAIN_EVERY_S:
            self._show_all()
        elif is_new or is_end:
            self._last_s = time.monotonic()
            console.note(self._line(segment, progress))

    def finished(self, segment: int, fitted: FittedSegment, was_before: bool) -> None:
        """Show that a segment is done, unless it was so before."""
        self._totals.finished(segment, fitted.n_bytes)
        if was_before:
            return
        if self._rich and segment in self._tasks:
            self._rich.remove_task(self._tasks.pop(segment))
            self._show_total()
        elif self._n_segments > 1 and not self._rich:
            quality = f"PSNR RGB {fitted.quality.rgb_db:.2f} dB"
            console.note(f"{self._name(segment)}done: {fitted.n_bytes:,} bytes, {quality}")
            console.note(self._total_line())

    def _show_all(self) -> None:
        self._last_s = time.monotonic()
        for segment, progress in sorted(self._totals.running.items()):
            console.note(self._line(segment, progress))
        if self._n_segments > 1:
            console.note(self._total_line())

    def _show_total(self) -> None:
        if self._rich and self._total is not None:
            share = self._totals.share
            self._rich.update(self._total, description=self._total_line(), completed=share)

    def _name(self, segment: int) -> str:
        return f"segment {segment + 1}/{self._n_segments} " if self._n_segments > 1 else ""

    def _line(self, segment: int, progress: Progress) -> str:
        """Return what a job is doing."""
        name = self._name(segment)
        if progress.stage == "measure":
            return f"{name}measure {progress.epoch}/{progress.n_epochs} frames"
        psnr = "   --   " if progress.psnr_db is None else f"{progress.psnr_db:5.2f} dB"
        size = "" if progress.n_bytes is None else f"  about {progress.n_bytes:,.0f} bytes"
        return (
            f"{name}{progress.stage} epoch {progress.epoch}/{progress.n_epochs} "
            f" {progress.frames_fps:6.1f} frames/s  PSNR {psnr}{size}  ETA"
            f" {duration(progress.eta_s)}"
        )

    def _total_line(self) -> str:
        totals = self._totals
        eta_s = totals.eta_s
        eta = "--" if eta_s is None else duration(eta_s)
        return (
            f"total {totals.n_done}/{self._n_segments} segments  {totals.frames_fps:6.1f} frames/s"
            f"  {totals.n_bytes:,} bytes so far  ETA {eta}"
        )


class JsonLines:
    """An object a line of what happens: see docs/reference/json.md."""

    def __init__(self, lengths: Sequence[int], stream: TextIO | None) -> None:
        self._totals = Totals(lengths)
        self._stream = stream
        self._last_s: dict[int, float] = {}
        self._stages: dict[int, str] = {}

    def tell(self, event: str, **values: Any) -> None:
        """Write an event."""
        console.show(json.dumps({"event": event, **values}), self._stream)

    def progressed(self, segment: int, progress: Progress) -> None:
        """Write a segment's progress, every second and when a stage begins."""
        self._totals.progressed(segment, progress)
        now = time.monotonic()
        is_new = self._stages.get(segment) != progress.stage
        if is_new or now - self._last_s.get(segment, 0.0) >= _EVENT_EVERY_S:
            self._stages[segment], self._last_s[segment] = progress.stage, now
            self.tell("progress", segment=segment, **asdict(progress), total=self._total())

    def finished(self, segment: int, fitted: FittedSegment, was_before: bool) -> None:
        """Write that a segment is done."""
        self._totals.finished(segment, fitted.n_bytes)
        self.tell(
            "segment",
            segment=segment,
            fitted_before=was_before,
            bytes=fitted.n_bytes,
            quality=asdict(fitted.quality),
            total=self._total(),
        )

    def _total(self) -> dict[str, Any]:
        totals = self._totals
        return {
            "segments_done": totals.n_done,
            "bytes": totals.n_bytes,
            "frames_fps": totals.frames_fps,
            "share": totals.share,
            "eta_s": totals.eta_s,
        }


def started_event(plan: EncodePlan) -> dict[str, Any]:
    """Return the values of the first event."""
    return {"schema": EVENTS_SCHEMA, **plan.description()}


def finished_event(report: EncodeReport) -> dict[str, Any]:
    """Return the values of the last event."""
    return {"report": report.as_json()}


@contextmanager
def display(lengths: Sequence[int], *, is_quiet: bool) -> Iterator[EncodeDisplay]:
    """Yield what shows on stderr how an encode of such segments goes."""
    if is_quiet or console.is_quiet():
        yield NoDisplay()
        return
    with console.live() as rich:
        yield Lines(lengths, rich)
