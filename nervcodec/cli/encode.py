"""nervcodec encode."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO

import click

from nervcodec.cli import console
from nervcodec.cli.config import without_overridden
from nervcodec.cli.encode_options import (
    TARGETS,
    advanced_options,
    file_options,
    jobs_options,
    target_options,
    time_options,
)
from nervcodec.cli.encode_progress import (
    EncodeDisplay,
    JsonLines,
    display,
    finished_event,
    started_event,
)
from nervcodec.cli.params import (
    STANDARD,
    Command,
    complete_file,
    may_overwrite,
    output_name,
    readable,
    version_option,
)
from nervcodec.cli.tables import estimate_rows, plan_rows, report_rows
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.target import Target
from nervcodec.errors import ConfigError, Interrupted

if TYPE_CHECKING:
    from nervcodec.encoder.plan import EncodePlan
    from nervcodec.encoder.report import EncodeReport
    from nervcodec.encoder.resume import Pace


# Options of which one at most is given, with their values where they are not.
_EXCLUSIVE: tuple[Mapping[str, Any], ...] = (
    dict.fromkeys(TARGETS),
    dict.fromkeys(("epochs", "time_budget_s")),
    dict.fromkeys(("strict", "salvage_input"), False),
    dict.fromkeys(("as_json", "json_lines"), False),
)


@click.command(
    cls=Command,
    examples=[
        ("in.y4m out.nvpp", "constant quality, crf 30"),
        ("in.mkv out.nvpp --size 64k", "a file of 64,000 bytes"),
        ("in.mkv out.nvpp --time-budget 10m", "what ten minutes give"),
        ("frames/ out.nvpp --crf 35 --preset slow", "smaller, and slower to encode"),
    ],
)
@click.argument("source", metavar="INPUT", shell_complete=complete_file)
@click.argument("destination", metavar="OUTPUT.nvpp", shell_complete=complete_file)
@target_options
@time_options
@file_options
@jobs_options
@advanced_options
@version_option
def encode(
    source: str,
    destination: str,
    *,
    as_json: bool,
    json_lines: bool,
    dry_run: bool,
    max_memory_gib: float | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Encode INPUT (anything FFmpeg reads, a folder of PNG, or - for standard input)."""
    context = click.get_current_context()
    for group in _EXCLUSIVE:
        settings = without_overridden(context, settings, group)
    target = _chosen_target({name: settings.pop(name) for name in TARGETS})
    destination = output_name(destination)
    request = EncodeOptions(
        target=target,
        max_memory_bytes=None if max_memory_gib is None else max_memory_gib * 2**30,
        overwrite=dry_run or may_overwrite(destination, overwrite),
        **settings,
    )
    with _writable(destination) as file, _saying_what_is_kept(Path(file)):
        from nervcodec.encoder.plan import check_destination, plan
        from nervcodec.util.memory import keep_freed_memory

        check_destination(source, file, request)
        keep_freed_memory()
        with readable(source) as path:
            with console.late_count("survey", as_json or json_lines) as on_progress:
                decided = plan(path, file, request, on_progress=on_progress)
            for text in decided.notes:
                console.note(text)
            stream = sys.stderr if destination == STANDARD else None
            if dry_run:
                _show_estimate(decided, as_json, stream)
            elif json_lines:
                _carry_out_in_lines(decided, stream)
            else:
                _carry_out(decided, as_json, stream)
                if destination == STANDARD:
                    console.show_bytes(Path(file).read_bytes())


@contextmanager
def _writable(destination: str) -> Iterator[str]:
    """Yield the name of the file to write: for standard output that of a temporary one.

    Raises:
        ConfigError: standard output is a terminal.
    """
    if destination != STANDARD:
        yield destination
        return
    if sys.stdout.isatty():
        raise ConfigError("standard output is a terminal; legal for a .nvpp file: a pipe or a file")
    with TemporaryDirectory(prefix="nervcodec-") as folder:
        yield str(Path(folder, "standard output.nvpp"))


@contextmanager
def _saying_what_is_kept(destination: Path) -> Iterator[None]:
    """Have Ctrl-C before the fit say that what an earlier encode has reached is still there."""
    from nervcodec.encoder.progress_folder import folder_of, has_progress, kept_message

    try:
        yield
    except KeyboardInterrupt:
        if has_progress(folder_of(destination)):
            raise Interrupted(kept_message(folder_of(destination))) from None
        raise


def _chosen_target(values: dict[str, float | None]) -> Target | None:
    """Return the one target that is asked for.

    Raises:
        ConfigError: there are several.
    """
    asked = {name: value for name, value in values.items() if value is not None}
    if len(asked) > 1:
        names = " and ".join(name.replace("_", " ") for name in asked)
        raise ConfigError(f"{names} are given; legal: one of them")
    for name, value in asked.items():
        return TARGETS[name](value)
    return None


def _show_estimate(plan: EncodePlan, as_json: bool, stream: TextIO | None) -> None:
    text = json.dumps(plan.as_json()) if as_json else console.pairs(estimate_rows(plan))
    console.show(text, stream)


def _carry_out(plan: EncodePlan, as_json: bool, stream: TextIO | None) -> None:
    """Encode, with the plan before it, progress beside it, and the report after it."""
    _say_details(plan)
    if not as_json and not console.is_quiet():
        console.show(console.pairs(plan_rows(plan, plan.estimate_seconds())), stream)
    with display(plan.lengths, is_quiet=as_json) as shown:
        report = _encode(plan, shown)
    if report.missed:
        console.note(report.missed)
    if console.is_quiet() and not as_json:
        return
    text = json.dumps(report.as_json()) if as_json else console.pairs(report_rows(report))
    console.show(text, stream)


def _carry_out_in_lines(plan: EncodePlan, stream: TextIO | None) -> None:
    """Encode, and write an object a line of what happens."""
    lines = JsonLines(plan.lengths, stream)
    lines.tell("started", **started_event(plan))
    report = _encode(plan, lines)
    lines.tell("finished", **finished_event(report))


def _say_details(plan: EncodePlan) -> None:
    from nervcodec.encoder.progress_folder import folder_of

    settings = ", ".join(f"{name} {value}" for name, value in asdict(plan.fit).items())
    console.detail(f"fit: {settings}")
    console.detail(f"device {', '.join(plan.devices)}, {plan.n_threads} threads a job")
    console.detail(f"checkpoints stand in {folder_of(plan.destination)}")


def _encode(plan: EncodePlan, shown: EncodeDisplay) -> EncodeReport:
    from nervcodec.encoder.encode import encode as run
    from nervcodec.encoder.resume import Pace

    pace = Pace(plan.options.checkpoint_every_s)
    with _ended_by_signals(pace):
        return run(
            plan,
            on_progress=shown.progressed,
            on_segment=shown.finished,
            on_note=console.note,
            pace=pace,
        )


@contextmanager
def _ended_by_signals(pace: Pace) -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and SIGHUP end a fit with a checkpoint, where they are not ignored."""
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = [signal.signal(number, lambda *_: pace.end()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)
