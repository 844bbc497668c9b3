"""What a terminal shows: notes, figures, the progress line, aligned tables."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from nervcodec.errors import OutputError
from nervcodec.util.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PLAIN_EVERY_S = 10.0
_LIVE_EVERY_S = 0.1
_LATE_S = 2.0
_PAGE_WIDTH = 10_000  # tables are never wrapped: a pipe has no width


# How much is said: 1 more than usual, -1 errors alone.
_level = 0


def set_level(level: int) -> None:
    """Say more than usual (1), as usual (0), or errors alone (-1)."""
    global _level
    _level = level


def is_verbose() -> bool:
    """Return whether more than usual is to be said."""
    return _level > 0


def is_quiet() -> bool:
    """Return whether nothing but errors is to be said."""
    return _level < 0


def detail(text: str) -> None:
    """Print a line on stderr that only those see who ask for more."""
    if is_verbose():
        _tell(text)


def note(text: str) -> None:
    """Print a line on stderr, unless only errors are asked for."""
    if not is_quiet():
        _tell(text)


def error(message: str) -> None:
    """Print the line of an error on stderr."""
    _tell(f"error: {message}")


def _tell(text: str) -> None:
    """Print a line on stderr; where that cannot be written there is nobody to tell, and the work
    goes on.
    """
    try:
        print(f"nervcodec: {printable(text)}", file=sys.stderr, flush=True)
    except OSError:
        _mute(sys.stderr)


def show(text: str, stream: TextIO | None = None) -> None:
    """Print on stdout, or another stream; whoever has stopped reading it (head) has had enough,
    and the work goes on.

    Raises:
        OutputError: it cannot be written.
    """
    stream = stream or sys.stdout
    try:
        print(text, end="\n" if text else "", file=stream, flush=True)
    except BrokenPipeError:
        _mute(stream)
    except OSError as error:
        _mute(stream)
        raise OutputError(f"cannot write to stdout: {error.strerror}") from None


def show_bytes(data: bytes) -> None:
    """Write bytes on stdout; that whoever reads it stops early is no error.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _mute(sys.stdout)
    except OSError as error:
        _mute(sys.stdout)
        raise OutputError(f"cannot write to stdout: {error.strerror}") from None


def open_streams() -> None:
    """Open those of stdin, stdout and stderr that we were started without, before a file gets
    their numbers; what the encoding of an output lacks is escaped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _mute(stream: TextIO) -> None:
    """Send what is still in a stream nowhere, at the latest when the interpreter ends and flushes
    it.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class ProgressLine:
    """One live line where stderr is a terminal, plain lines at most every ten seconds where it is
    not.
    """

    def __init__(self, rich: RichProgress | None) -> None:
        self._rich = rich
        self._task: TaskID | None = rich.add_task("", total=1.0) if rich else None
        self._last_s = 0.0
        self._last_stage = ""

    def benching(self, n_done: int, n_all: int, text: str) -> None:
        """Show which of a benchmark's points comes next."""
        self._show(
            text, f"bench {n_done}/{n_all} points, next: {text}", n_done / max(n_all, 1), True
        )

    def counting(self, stage: str, n_done: int, n_all: int | None) -> None:
        """Show how many frames a stage has gone through, of all where their number is known."""
        if n_all is None or n_done > n_all:
            self._show(stage, f"{stage} {n_done} frames", 0.0, False)
        else:
            self._show(stage, f"{stage} {n_done}/{n_all} frames", n_done / n_all, n_done == n_all)

    def _show(self, stage: str, text: str, share: float, done: bool) -> None:
        if self._rich and self._task is not None:
            self._rich.update(self._task, description=text, completed=share)
        elif done or stage != self._last_stage or time.monotonic() - self._last_s > _PLAIN_EVERY_S:
            self._last_s = time.monotonic()
            self._last_stage = stage
            note(text)


@contextmanager
def progress_line(quiet: bool = False) -> Iterator[ProgressLine | None]:
    """Yield a ProgressLine on stderr; None if quiet, here or by -q."""
    if quiet or is_quiet():
        yield None
        return
    with live() as rich:
        yield ProgressLine(rich)


@contextmanager
def live() -> Iterator[RichProgress | None]:
    """Yield lines that change in place on stderr; None where it is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20))
    with Progress(*columns, console=Console(stderr=True), transient=True) as rich:
        yield rich


@contextmanager
def late_count(stage: str, quiet: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Yield what takes the frames that a stage has gone through and those that it expects; they are
    shown once it has taken two seconds.
    """
    line: ProgressLine | None = None
    last_s = time.monotonic()
    with ExitStack() as stack:

        def count(n_done: int, n_all: int | None) -> None:
            nonlocal line, last_s
            now_s = time.monotonic()
            if now_s - last_s >= (_LATE_S if line is None else _LIVE_EVERY_S):
                last_s = now_s
                line = line or stack.enter_context(progress_line(quiet))
                if line:
                    line.counting(stage, n_done, n_all)

        yield count


def duration(seconds: float) -> str:
    """Return hours, minutes and seconds: 75 -> '1:15'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Return a line for each name and its value, the values below each other.

    Without rich, whose import would take half as long as all of `info`.
    """
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {printable(value)}" for name, value in rows)


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    n_texts: int = 1,
    is_markdown: bool = False,
) -> str:
    """Return rows of cells under headings, as wide as they are.

    Args:
        n_texts: so many columns are set to the left, the others to the right.
        is_markdown: with the lines of a Markdown table.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(
        box=box.MARKDOWN if is_markdown else None,
        pad_edge=is_markdown,
        padding=(0, 1) if is_markdown else (0, 2, 0, 0),
    )
    for number, head in enumerate(heads):
        side: Literal["left", "right"] = "left" if number < n_texts else "right"
        grid.add_column(Text(printable(head)), justify=side, no_wrap=True)
    for cells in rows:
        grid.add_row(*(Text(printable(cell)) for cell in cells))
    page = io.StringIO()
    Console(file=page, width=_PAGE_WIDTH, color_system=None).print(grid)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines() if line.strip())
