"""What an experiment can measure: functions from a case's options to rows of figures.

Each takes (options, place, stem): the options of the case, where clips are and on what it runs, and
a path that its files begin with. `encode_case` is the one way from options to an encode.
"""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nervcodec.bench import decoding, ffmpeg_codecs, scaling
from nervcodec.bench.adapters import chosen_adapters
from nervcodec.bench.bdrate import choose_anchor
from nervcodec.bench.datasets import CLIPS, make_video
from nervcodec.bench.derived import Row
from nervcodec.bench.process import Run, run_timed
from nervcodec.bench.report import write_report
from nervcodec.bench.roofline import measure_roofline
from nervcodec.bench.runner import Bench, open_clip
from nervcodec.bench.speed import Settings, compare_speed
from nervcodec.encoder.encode import EncodeReport, encode
from nervcodec.encoder.plan import (
    EncodePlan,
    plan_encode,
    seconds_an_epoch,
    with_precision,
    with_time_budget,
)
from nervcodec.encoder.target import Goal
from nervcodec.errors import ConfigError
from nervcodec.format.model_config import ModelConfig
from nervcodec.nn.device import choose_device, choose_precision, set_threads
from nervcodec.quality.compare import compare
from nervcodec.training.rate_model import DEFAULT_CRF, rate_weight_of
from nervcodec.util.memory import keep_freed_memory

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where cases are measured.

    Attributes:
        clips: folder with the clips, by the file names of datasets.CLIPS.
        out: folder for results and for the videos that are made from clips.
        device: of fits and decodes, as choose_device takes it.
        n_threads: CPU threads of a case.
        videos: how to make the videos that are not clips, by their names (datasets.make_video).
    """

    clips: Path
    out: Path
    device: str = "cpu"
    n_threads: int = 1
    videos: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def source(self, name: str) -> Path:
        """Return the path of a clip, of a video, which is made if need be, or of another file.

        Raises:
            ConfigError: it is not there.
        """
        if name in self.videos:
            path = self.out / "videos" / f"{name.replace(' ', '_')}.y4m"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                make_video(path, self.videos[name], self.source)
            return path
        path = self.clips / CLIPS.get(name, name)
        if not path.exists():
            raise ConfigError(f"{name!r} is not in {self.clips}; legal: --clips FOLDER has it")
        return path


# --- encodes ---

_TARGETS = ("crf", "size", "bitrate", "bpp", "target_psnr", "lambda")
_PLAN = ("tune", "colorspace", "bits", "segment_frames", "epochs", "finetune_epochs", "prune")
_ENCODE = frozenset(
    ("clip", "frames", "preset", "seed", "time_budget_s", "precision", "device", "role")
    + ("change", "network", "fit", "shots")
    + (*_TARGETS, *_PLAN)
)


def encode_case(options: Options, source: Path, destination: Path, place: Place) -> EncodeReport:
    """Encode as a case's options say; an encode that was interrupted goes on."""
    device = choose_device(options.get("device", place.device))
    set_threads(place.n_threads)
    target = {name.replace("lambda", "rate_weight"): options.get(name) for name in _TARGETS}
    plan = plan_encode(
        source,
        preset=options.get("preset", "medium"),
        goal=Goal(**target),
        n_frames=options.get("frames"),
        seed=options.get("seed", 0),
        **{name: options[name] for name in _PLAN if name in options},
    )
    plan = with_precision(plan, choose_precision(options.get("precision", "auto"), device))
    plan = _changed(plan, options)
    if "time_budget_s" in options:
        plan = with_time_budget(plan, options["time_budget_s"], seconds_an_epoch(plan, device))
    return encode(plan, destination, device=device, overwrite=True)


def _changed(plan: EncodePlan, options: Options) -> EncodePlan:
    """Return the plan with what the options `change`, `network`, `fit` and `shots` say.

    Raises:
        ConfigError: there is no such change, way with shots, or field.
    """
    change = options.get("change", "none")
    shots = options.get("shots", "found")
    for name, value, legal in (("change", change, CHANGES), ("shots", shots, SHOTS)):
        if value not in legal:
            raise ConfigError(f"{name} is {value!r}; legal: {', '.join(legal)}")
    try:
        model = replace(CHANGES[change](plan.model), **options.get("network", {}))
        changes = options.get("fit", {})
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()
        }
        fit = replace(plan.fit, **fields)
    except TypeError as error:
        raise ConfigError(f"network or fit: {error}; legal: fields that they have") from None
    return SHOTS[shots](replace(plan, model=model, fit=fit))


def _still_grids(model: ModelConfig) -> ModelConfig:
    """Return the network with finer grids that do not follow the motion."""
    return replace(model, motion_height=0, motion_width=0, wavelet_levels=0)


def _stem_grids_alone(model: ModelConfig) -> ModelConfig:
    """Return the network without finer grids."""
    grids = tuple(grid for grid in model.grids if grid.level == 0)
    return replace(_still_grids(model), grids=grids)


def _slow_stem_grids(model: ModelConfig) -> ModelConfig:
    """Return the network with a key every eight frames or fewer in all of the stem's grids."""
    grids = tuple(
        replace(grid, interval=max(grid.interval, 1 if grid.level else 8)) for grid in model.grids
    )
    return replace(model, grids=grids)


def _without(part: str) -> Callable[[ModelConfig], ModelConfig]:
    return lambda model: replace(model, parts=tuple(p for p in model.parts if p != part))


CHANGES: Mapping[str, Callable[[ModelConfig], ModelConfig]] = {
    "none": lambda model: model,
    "still grids": _still_grids,
    "stem grids alone": _stem_grids_alone,
    "slow stem grids": _slow_stem_grids,
    **{f"no {part}": _without(part) for part in ("scrb1", "scrb2", "skip")},
}
# What an encode makes of the scene cuts that it finds.
SHOTS: Mapping[str, Callable[[EncodePlan], EncodePlan]] = {
    "found": lambda plan: plan,
    "one": lambda plan: replace(plan, segments=((plan.format.n_frames,),)),
    "segments": lambda plan: replace(plan, segments=tuple((n,) for n in plan.segments[0])),
}


def measure_encode(options: Options, place: Place, stem: Path) -> list[Row]:
    """Encode a clip; bytes are those of the file, quality that of the frames decoded from it."""
    keep_freed_memory()
    report = encode_case(options, place.source(options["clip"]), stem.with_suffix(".nvpp"), place)
    return [encode_facts(report, options)]


def encode_facts(report: EncodeReport, options: Options) -> Row:
    """Return what an encode's table can show."""
    plan = report.plan
    quality = report.quality
    off_percent = None
    if "size" in options:
        off_percent = 100 * (report.n_bytes / options["size"] - 1)
    off_db = None
    if "target_psnr" in options:
        off_db = quality.rgb_db - options["target_psnr"]
    gpu_bytes = report.peak_memory["fit"].get("gpu")
    # What a fit minimises, distortion + lambda * bits a pixel, in decibels.
    price = rate_weight_of(options.get("crf", DEFAULT_CRF))
    loss = 10 ** (-quality.rgb_db / 10) + price * report.bpp
    return {
        "frames": plan.format.n_frames,
        "bytes": report.n_bytes,
        "container_bytes": report.container_bytes,
        "bpp": report.bpp,
        "paper_bpp": report.paper_bpp,
        "kbit_per_s": report.kbit_per_s,
        "y_db": quality.y_db,
        "u_db": quality.u_db,
        "v_db": quality.v_db,
        "rgb_db": quality.rgb_db,
        "ms_ssim": quality.ms_ssim,
        "loss_db": -10 * math.log10(loss),
        "off_percent": off_percent,
        "off_db": off_db,
        "epochs": plan.fit.epochs,
        "finetune_epochs": plan.fit.finetune_epochs,
        "parameters": plan.n_parameters,
        "kmac_per_pixel": plan.kmac_per_pixel,
        "bytes_over_entropy": round(
            report.n_bytes - report.container_bytes - 1.03 * report.entropy_bytes
        ),
        "encode_s": report.encode_s,
        "encode_min": report.encode_s / 60,
        "command_s": report.encode_s + report.measure_s,
        "gpu_mib": None if gpu_bytes is None else gpu_bytes / 2**20,
        "options": _as_options(options),
    }


def _as_options(options: Options) -> str:
    """Return the options as the command line would have them."""
    shown = {k: v for k, v in options.items() if k not in ("clip", "name", "role")}
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in shown.items())


def measure_round_trip(options: Options, place: Place, stem: Path) -> list[Row]:
    """Encode a clip, decode it twice in processes of their own, measure what they wrote."""
    keep_freed_memory()
    source = place.source(options["clip"])
    coded = stem.with_suffix(".nvpp")
    report = encode_case(options, source, coded, place)
    with TemporaryDirectory(dir=place.out, prefix="decoded-") as folder:
        runs = [_decode(coded, Path(folder, f"{i}.y4m"), place) for i in (1, 2)]
        hashes = {hashlib.sha256(Path(folder, f"{i}.y4m").read_bytes()).hexdigest() for i in (1, 2)}
        psnr = _quality_facts(source, Path(folder, "1.y4m"), report.plan.format.n_frames)
    facts = encode_facts(report, options)
    planes = ("y_db", "u_db", "v_db")
    return [
        {
            **facts,
            **psnr,
            "decode_s": statistics.fmean(run.said["seconds"] for run in runs),
            "decode_process_s": statistics.fmean(run.seconds for run in runs),
            "measured_off_db": max(abs(float(facts[k] or 0) - float(psnr[k] or 0)) for k in planes),
            "decodes_equal": len(hashes) == 1,
        }
    ]


def _decode(coded: Path, decoded: Path, place: Place) -> Run:
    command = [sys.executable, "-m", "nervcodec", "decode", "-y", "--json"]
    options = ["--device", place.device, "--threads", str(place.n_threads)]
    return run_timed(
        [*command, *options, str(coded), str(decoded)],
        os.cpu_count() or 1,
        f"cannot decode {coded.name}",
    )


def _quality_facts(source: Path, decoded: Path, n_frames: int | None) -> Row:
    """Return PSNR and MS-SSIM of a decoded video against the first frames of its source."""
    comparison = compare(source, decoded, n_frames=n_frames)
    quality = comparison.quality
    return {
        "frames": comparison.form.n_frames,
        "y_db": quality.y_db,
        "u_db": quality.u_db,
        "v_db": quality.v_db,
        "rgb_db": quality.rgb_db,
        "ms_ssim": quality.ms_ssim,
    }


# --- files and other codecs ---


def measure_file(options: Options, place: Place, stem: Path) -> list[Row]:
    """Decode a .nvpp file of the clips' folder and measure it against its clip."""
    source = place.source(options["clip"])
    coded = place.source(options["file"])
    with TemporaryDirectory(dir=place.out, prefix="decoded-") as folder:
        decoded = Path(folder, "decoded.y4m")
        seconds = _decode(coded, decoded, place).said["seconds"]
        quality = _quality_facts(source, decoded, None)
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
        quality = _quality_facts(source, decoded, n_frames)
    form = open_clip(source, n_frames).form
    rates: Row = {"bpp": form.bpp(n_bytes), "kbit_per_s": form.kbit_per_s(n_bytes)}
    return [{"bytes": n_bytes, **rates, **quality, "encode_s": seconds, "decode_s": decode_s}]


def measure_bench(options: Options, place: Place, stem: Path) -> list[Row]:
    """Measure codecs side by side as `nervcodec bench` does; the report stands in `stem`.

    Rows have a `kind`: 'point', or 'delta' for what separates a curve from the anchor's by the PSNR
    of one plane.
    """
    import json

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
        *({**flat(delta), "kind": "delta", "clip": by_stem[delta["clip"]]} for delta in deltas),
    ]


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


def _decoding(
    function: Callable[[Options, Path, str, int], Row],
) -> Callable[[Options, Place, Path], list[Row]]:
    return lambda options, place, stem: [function(options, stem, place.device, place.n_threads)]


MEASUREMENTS: dict[str, Measurement] = {
    "encode": Measurement(measure_encode, _ENCODE),
    "round-trip": Measurement(measure_round_trip, _ENCODE),
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
        _decoding(decoding.measure_decode), frozenset({"preset", "crf", "size", "frames"})
    ),
    "startup": Measurement(
        _decoding(decoding.measure_startup), frozenset({"arguments", "repeats", "beside_torch"})
    ),
    "memory": Measurement(
        _decoding(decoding.measure_memory), frozenset({"frames", "size", "segment_frames"})
    ),
}
