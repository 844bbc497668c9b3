"""What an experiment can measure: functions from a case's options to rows of figures.

Each takes (options, place, stem): the options of the case, where clips are and on what it runs, and
a path that its files begin with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nervcodec.bench import conformance, decoding, ffmpeg_codecs, parallel, scaling
from nervcodec.bench.adapters import chosen_adapters
from nervcodec.bench.bdrate import choose_anchor
from nervcodec.bench.derived import Row
from nervcodec.bench.encodes import (
    ENCODE_OPTIONS,
    decode_file,
    measure_encode,
    measure_round_trip,
    quality_facts,
)
from nervcodec.bench.exactness import measure_exactness
from nervcodec.bench.place import Options, Place
from nervcodec.bench.report import write_report
from nervcodec.bench.roofline import measure_roofline
from nervcodec.bench.runner import Bench, open_clip
from nervcodec.bench.shares import measure_shares
from nervcodec.bench.speed import Settings, compare_speed
from nervcodec.errors import ConfigError
from nervcodec.nn.device import choose_device, set_threads

# --- files and other codecs ---


def measure_file(options: Options, place: Place, stem: Path) -> list[Row]:
    """Decode a .nvpp file of the clips' folder and measure it against its clip."""
    source = place.source(options["clip"])
    coded = place.source(options["file"])
    with TemporaryDirectory(dir=place.out, prefix="decoded-") as folder:
        decoded = Path(folder, "decoded.y4m")
        seconds = decode_file(coded, decoded, place).said["seconds"]
        quality = quality_facts(source, decoded, None)
    form = open_clip(source).form
    n_bytes = coded.stat().st_size
    rates: Row = {"bpp": form.bpp(n_bytes), "kbit_per_s": form.kbit_per_s(n_bytes)}
    return [{"bytes": n_bytes, **rates, **quality, "decode_s": seconds}]


def measure_codec(options: Options, place: Place, stem: Path) -> list[Row]:
    """Encode a clip by one of FFmpeg's encoders; bytes are those of its elementary stream."""
    source = place.source(options["clip"])
    name = options["codec"]
    if name not in ffmpeg_codecs.CONVENTIONAL:
        legal = ", ".join(ffmpeg_codecs.CONVENTIONAL)
        raise ConfigError(f"codec is {name!r}; legal: {legal}")
    codec = ffmpeg_codecs.CONVENTIONAL[name]
    n_frames = options.get("frames")
    coded = stem.with_suffix(codec.suffix)
    settings = codec.options(options.get("preset", codec.default_preset), "default")
    n_bytes, seconds = ffmpeg_codecs.encode(
        name, source, coded, {**settings, "crf": str(options["crf"])}, n_frames
    )
    with TemporaryDirectory(dir=place.out, prefix="decoded-") as folder:
        decoded = Path(folder, "decoded.y4m")
        decode_s = ffmpeg_codecs.decode(source, coded, decoded, n_frames)
        quality = quality_facts(source, decoded, n_frames)
    form = open_clip(source, n_frames).form
    rates: Row = {"bpp": form.bpp(n_bytes), "kbit_per_s": form.kbit_per_s(n_bytes)}
    return [{"bytes": n_bytes, **rates, **quality, "encode_s": seconds, "decode_s": decode_s}]


def measure_bench(options: Options, place: Place, stem: Path) -> list[Row]:
    """Measure codecs side by side as `nervcodec bench` does; the report stands in `stem`.

    Rows have a `kind`: 'point', or 'delta' for what separates a curve from the anchor's by the PSNR
    of one plane.
    """
    adapters = chosen_adapters(
        options["codecs"],
        options.get("presets", {}),
        (),
        options.get("points", 4),
        str(options.get("encode_options", "")).split(),
        options.get("settings", {}),
    )
    names = options.get("clips", [options["clip"]] if "clip" in options else [])
    clips = [open_clip(place.source(name), options.get("frames")) for name in names]
    stem.mkdir(exist_ok=True)
    bench = Bench(clips, adapters, stem, place.n_threads, "bin/experiment")
    points = bench.run(lambda *_: None)["points"]
    anchor = choose_anchor({p["label"]: p["codec"] for p in points}, options.get("anchor"))
    write_report(stem, anchor)
    deltas = json.loads((stem / "bd.json").read_text("utf-8"))
    by_stem = {clip.name: name for clip, name in zip(clips, names, strict=True)}
    return [
        *({**flat(point), "kind": "point", "clip": by_stem[point["clip"]]} for point in points),
        *({**_delta_facts(delta), "clip": by_stem[delta["clip"]]} for delta in deltas),
    ]


def _delta_facts(delta: Mapping[str, Any]) -> Row:
    """Return what separates a curve from the anchor's, bytes at equal PSNR in % of its."""
    ratio = delta["bytes_ratio"]
    percent = None if ratio is None else 100 * ratio
    return {**flat(delta), "kind": "delta", "bytes_percent": percent}


def flat(entry: Mapping[str, Any], prefix: str = "") -> Row:
    """Return a JSON object's numbers and texts, those of nested objects under `OUTER_INNER`."""
    row: Row = {}
    for key, value in entry.items():
        if isinstance(value, Mapping) and key != "per_frame":
            row.update(flat(value, f"{prefix}{key}_"))
        elif not isinstance(value, list | tuple | Mapping):
            row[prefix + key] = value
    return row


# --- speed ---


def measure_speed(options: Options, place: Place, stem: Path) -> list[Row]:
    """Train beside the reference path, as `nervcodec bench speed`; a row a variant."""
    set_threads(place.n_threads)
    device = choose_device(options.get("device", place.device))
    names = {"steps": "n_steps", "frames": "n_frames", "rounds": "n_rounds"}
    settings = {
        names.get(k, k): v for k, v in options.items() if k not in ("clip", "name", "epochs")
    }
    if "epochs" in options:
        settings["n_steps"] = options["epochs"] * options["frames"]
    settings["variants"] = tuple(options.get("variants", Settings.variants))
    settings["device"] = device
    results = compare_speed([place.source(options["clip"])], Settings(**settings))
    return [
        {
            **flat({key: value for key, value in run.items() if key not in ("variants", "clip")}),
            **flat(variant),
            "clip": options["clip"],
            "variant": variant["name"],
            "rate_term": bool(variant["rate_weight"]),
            "rounds": results["rounds"],
            "seconds": run["steps"] / variant["steps_per_s"]["median"],
        }
        for run in results["runs"]
        for variant in run["variants"]
    ]


def measure_roofline_case(options: Options, place: Place, stem: Path) -> list[Row]:
    """Measure steps and frames beside the machine, as `nervcodec bench roofline`.

    Rows have a `kind`: 'work', or 'machine' for its speeds by arithmetic.
    """
    set_threads(place.n_threads)
    results = measure_roofline(
        tuple(options["cases"]), choose_device(options.get("device", place.device))
    )
    ceilings: list[Row] = [
        {
            "kind": "machine",
            "precision": name,
            "gflops": ceiling["flops"] / 1e9,
            "copy_gb_per_s": ceiling["copy_bytes_per_s"] / 1e9,
        }
        for name, ceiling in results["ceilings"].items()
    ]
    works: list[Row] = [
        {
            **flat(work),
            "kind": "work",
            "gmac": work["macs"] / 1e9,
            "mb": work["n_bytes"] / 1e6,
            "copy_gb_per_s": work["bytes_per_s"] / 1e9,
            **{f"{name}_ms": 1000 * work[f"{name}_s"] for name in ("compute", "memory", "least")},
            "measured_ms": 1000 * work["seconds"],
        }
        for work in results["works"]
    ]
    return [*ceilings, *works]


def measure_step(options: Options, place: Place, stem: Path) -> list[Row]:
    """Time a step of a network, as scaling.time_step."""
    set_threads(place.n_threads)
    device = choose_device(options.get("device", place.device))
    return [scaling.time_step(**{k: v for k, v in options.items() if k != "device"}, device=device)]


# --- the list ---


@dataclass(frozen=True)
class Measurement:
    """A measurement: its function, and the options that a case of it may have."""

    measure: Callable[[Options, Place, Path], list[Row]]
    keys: frozenset[str]


MEASUREMENTS: dict[str, Measurement] = {
    "encode": Measurement(measure_encode, ENCODE_OPTIONS),
    "round-trip": Measurement(measure_round_trip, ENCODE_OPTIONS),
    "file": Measurement(measure_file, frozenset({"clip", "file"})),
    "codec": Measurement(measure_codec, frozenset({"clip", "frames", "codec", "preset", "crf"})),
    "bench": Measurement(
        measure_bench,
        frozenset({"clip", "clips", "frames", "codecs", "presets", "points", "settings", "anchor"})
        | {"encode_options"},
    ),
    "speed": Measurement(
        measure_speed,
        frozenset({"clip", "frames", "preset", "steps", "epochs", "rounds", "variants"})
        | {"precision", "device", "seed"},
    ),
    "roofline": Measurement(measure_roofline_case, frozenset({"cases", "device"})),
    "step": Measurement(
        measure_step,
        frozenset({"network", "size", "frames", "width_factor", "recipe", "budget_s", "device"}),
    ),
    "decode": Measurement(
        decoding.measure_decode, frozenset({"preset", "crf", "size", "frames", "engine"})
    ),
    "exactness": Measurement(
        measure_exactness, frozenset({"clip", "crf", "preset", "epochs", "frames", "seed"})
    ),
    "startup": Measurement(
        decoding.measure_startup, frozenset({"arguments", "repeats", "beside_torch"})
    ),
    "shares": Measurement(
        measure_shares,
        frozenset({"clip", "size", "shares", "preset", "epochs", "segment_frames", "seed"}),
    ),
    "jobs": Measurement(
        parallel.measure_jobs,
        frozenset({"clip", "ways", "preset", "epochs", "crf", "size", "frames"})
        | {"segment_frames", "segments", "shared_start"},
    ),
    "hours": Measurement(
        parallel.measure_hours,
        frozenset({"clip", "size", "frames", "distinct", "preset", "epochs", "jobs"}),
    ),
    "conformance": Measurement(conformance.measure_conformance, conformance.KEYS),
    "pace": Measurement(parallel.measure_pace, frozenset({"size"})),
    "memory": Measurement(decoding.measure_memory, frozenset({"frames", "size", "segment_frames"})),
}
