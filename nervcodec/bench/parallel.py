"""What fitting several segments at once gains, and what hours of video take: whole commands."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from nervcodec.bench.derived import Row
from nervcodec.bench.place import Options, Place
from nervcodec.bench.process import Run, run_timed
from nervcodec.bench.scaling import parse_size, time_step
from nervcodec.encoder.presets import preset_named
from nervcodec.encoder.segmentation import SegmentRule
from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.device import set_threads
from nervcodec.util.validation import ceil_div
from nervcodec.video import y4m, y4m_header
from nervcodec.video.geometry import Size
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.source import SourceOptions

WAYS = ("serial", "processes", "ray")
_OURS = [sys.executable, "-m", "nervcodec"]
_RATE = Fraction(25)
_HOUR_FRAMES = 3600 * 25
_LONGEST = SegmentRule().longest
_MIB = 2**20


def measure_jobs(options: Options, place: Place, stem: Path) -> list[Row]:
    """Encode a clip in each of WAYS that the case names, two jobs at once, a thread a job.

    Seconds are those of the whole command; `same` says whether the file is that of the first way.

    Raises:
        ConfigError: there is no such way.
    """
    source = place.source(options["clip"])
    out = stem.with_suffix(".nvpp")
    names = ("preset", "epochs", "crf", "size", "frames", "segment_frames", "segments")
    asked = [
        word
        for name in names
        if name in options
        for word in (f"--{name.replace('_', '-')}", str(options[name]))
    ]
    asked += ["--threads", "1", "--device", place.device, "--restart", "-y", "--json"]
    if options.get("shared_start"):
        asked.append("--shared-start")
    rows: list[Row] = []
    first: tuple[float, str] | None = None
    for way in options["ways"]:
        with _jobs(way) as more:
            run = _command("encode", source, out, *asked, *more)
        digest = hashlib.sha256(out.read_bytes()).hexdigest()
        first = first or (run.seconds, digest)
        rows.append(
            {
                "way": way,
                "jobs": run.said["jobs"],
                "segments": len(run.said["segments"]),
                "bytes": run.said["bytes"],
                "rgb_db": run.said["quality"]["rgb_db"],
                "seconds": run.seconds,
                "speed_up": first[0] / run.seconds,
                "same": digest == first[1],
            }
        )
        out.unlink()
    return rows


@contextmanager
def _jobs(way: str) -> Iterator[list[str]]:
    """Yield the options of a way to encode."""
    if way == "ray":
        from nervcodec.jobs.ray_cluster import local_cluster

        with local_cluster(2) as address:
            yield ["--ray", address]
    elif way == "processes":
        yield ["--jobs", "2"]
    elif way == "serial":
        yield ["--jobs", "1"]
    else:
        raise ConfigError(f"way is {way!r}; legal: {', '.join(WAYS)}")


def measure_hours(options: Options, place: Place, stem: Path) -> list[Row]:
    """Encode, show, decode a part of and verify a long video made of a clip's repeated frames.

    A row a command: its seconds and its peak memory, and for encode that of a process that fits.
    """
    size = parse_size(options["size"])
    n_frames = options["frames"]
    clip, coded, part = (stem.with_suffix(suffix) for suffix in (".y4m", ".nvpp", ".part.y4m"))
    write_repeated(place.source(options["clip"]), clip, options["distinct"], n_frames, size)
    fit = ["--preset", options["preset"], "--epochs", str(options["epochs"]), "--restart", "-y"]
    fit += ["--jobs", str(options.get("jobs", "auto")), "--json"]
    rows = []
    encoding = _command("encode", clip, coded, *fit, "--device", place.device)
    fitting = encoding.said["peak_memory"]["measure"]["resident"] / _MIB
    facts = {"bytes": encoding.said["bytes"], "rgb_db": encoding.said["quality"]["rgb_db"]}
    jobs = {"jobs": encoding.said["jobs"], "segments": len(encoding.said["segments"])}
    rows.append({**_facts("encode", encoding), "job_mib": fitting, **facts, **jobs})
    clip.unlink()
    rows.append(_facts("info", _command("info", coded, "--json")))
    first = n_frames * 8 // 9
    frames = f"{first}:{first + 10}"
    decoding = _command("decode", coded, part, "--frames", frames, "-y", "--json")
    rows.append(_facts(f"decode --frames {frames}", decoding))
    verifying = _command("verify", coded, "--json")
    rows.append({**_facts("verify", verifying), "verdict": verifying.said["verdict"]})
    for path in (coded, part):
        path.unlink()
    return rows


def measure_pace(options: Options, place: Place, stem: Path) -> list[Row]:
    """Return the hours that an hour of video takes by preset, from a step's seconds on a thread.

    Presets differ in their epochs alone. Segments are as long as they come, jobs are two of a
    thread each, and do not slow each other down; what follows the main fit, reading and measuring
    are left out.
    """
    set_threads(1)
    step_ms = time_step("ultrafast", options["size"], _LONGEST, device=place.device)["ms"]
    row: Row = {"step_ms": step_ms}
    for name in ("instant", "ultrafast", "medium"):
        fit = preset_named(name).fit_for(_LONGEST)
        n_steps = _HOUR_FRAMES / _LONGEST * ceil_div(_LONGEST, fit.batch_size) * fit.total_epochs
        row[name] = n_steps * float(step_ms or 0) / 3.6e6 / 2
    return [row]


def write_repeated(source: Path, path: Path, n_distinct: int, n_frames: int, size: Size) -> None:
    """Write a .y4m file of the first frames of a clip, scaled, again and again.

    Args:
        n_distinct: so many frames of the clip.
        n_frames, size: of the file.
    """
    options = SourceOptions(scale=size)
    form, _ = probe(source, options, n_frames=n_distinct)
    frames = [*read_groups(source, form, [1] * form.n_frames, options)]
    whole = VideoFormat(*size, _RATE, n_frames, form.layout, form.color)
    with open(path, "wb") as file:
        file.write(y4m_header.header_line(whole))
        for frame in islice(cycle(frames), n_frames):
            y4m.write_frames(file, frame)


def _command(*words: Any) -> Run:
    """Run a command of ours on all CPUs."""
    command = [*_OURS, *map(str, words)]
    return run_timed(command, os.cpu_count() or 1, f"nervcodec {words[0]} failed")


def _facts(name: str, run: Run) -> Row:
    return {"command": name, "seconds": run.seconds, "peak_mib": run.peak_bytes / _MIB}
