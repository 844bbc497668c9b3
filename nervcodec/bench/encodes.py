"""Encodes as cases of an experiment: from options to a plan, changed networks, and their figures.

`encode_case` is the one way from options to an encode.
"""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nervcodec.bench.derived import Row
from nervcodec.bench.place import Options, Place
from nervcodec.bench.process import Run, run_timed
from nervcodec.encoder.encode import encode
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.plan import EncodePlan, plan
from nervcodec.encoder.report import EncodeReport
from nervcodec.encoder.target import Bitrate, BitsPerPixel, Crf, Lambda, Psnr, Size, Target
from nervcodec.encoder.time_budget import seconds_per_epoch, with_time_budget
from nervcodec.errors import ConfigError
from nervcodec.format.model_config import GridStem, ModelConfig
from nervcodec.format.prior import NO_PRIOR
from nervcodec.quality.compare import compare
from nervcodec.training.rate_model import DEFAULT_CRF, rate_weight_of
from nervcodec.util.memory import keep_freed_memory

_TARGETS: Mapping[str, Callable[[float], Target]] = {
    "crf": Crf,
    "size": Size,
    "bitrate": Bitrate,
    "bpp": BitsPerPixel,
    "target_psnr": Psnr,
    "lambda": Lambda,
}
# Options of a case that are those of an encode by the same name.
_SAME = (
    "preset",
    "tune",
    "prior",
    "colorspace",
    "bits",
    "segment_frames",
    "segments",
    "epochs",
    "prune",
    "seed",
)
ENCODE_OPTIONS = frozenset(
    ("clip", "frames", "time_budget_s", "precision", "device", "role")
    + ("change", "network", "fit", "shots")
    + (*_TARGETS, *_SAME)
)


def encode_case(options: Options, source: Path, destination: Path, place: Place) -> EncodeReport:
    """Encode as a case's options say; an encode that was interrupted goes on."""
    targets = [make(options[name]) for name, make in _TARGETS.items() if name in options]
    request = EncodeOptions(
        target=targets[0] if targets else None,
        frames=(0, options.get("frames")),
        device=options.get("device", place.device),
        precision=options.get("precision", "auto"),
        n_threads=place.n_threads,
        overwrite=True,
        **{name: options[name] for name in _SAME if name in options},
    )
    decided = _changed(plan(source, destination, request), options)
    if "time_budget_s" in options:
        each = seconds_per_epoch(decided, decided.devices[0])
        decided = with_time_budget(decided, options["time_budget_s"], each)
    return encode(decided)


def _changed(plan: EncodePlan, options: Options) -> EncodePlan:
    """Return the plan with what the options `change`, `network`, `fit` and `shots` say.

    Raises:
        ConfigError: there is no such change, way with shots, or field.
    """
    change = options.get("change", "none")
    shots = options.get("shots", "cuts")
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
    return _with_grids(model, motion_height=0, motion_width=0, wavelet_levels=0)


def _with_grids(model: ModelConfig, **changes: Any) -> ModelConfig:
    """Return the network with changes to its grid stem.

    Raises:
        ConfigError: it has another stem.
    """
    if not isinstance(model.stem, GridStem):
        raise ConfigError(f"change is of grids, and the stem is {model.stem.kind!r}; legal: grid")
    return replace(model, stem=replace(model.stem, **changes))


def _stem_grids_alone(model: ModelConfig) -> ModelConfig:
    """Return the network without finer grids, and so without a prior."""
    grids = tuple(grid for grid in model.grids if grid.level == 0)
    return _with_grids(_still_grids(replace(model, prior=NO_PRIOR)), grids=grids)


def _slow_stem_grids(model: ModelConfig) -> ModelConfig:
    """Return the network with a key every eight frames or fewer in all of the stem's grids."""
    grids = tuple(
        replace(grid, interval=max(grid.interval, 1 if grid.level else 8)) for grid in model.grids
    )
    return _with_grids(model, grids=grids)


def _without(part: str) -> Callable[[ModelConfig], ModelConfig]:
    """Return a change that leaves a part of all blocks out, and so the prior."""
    return lambda model: replace(
        model, parts=tuple(p for p in model.parts if p != part), prior=NO_PRIOR
    )


CHANGES: Mapping[str, Callable[[ModelConfig], ModelConfig]] = {
    "none": lambda model: model,
    "no wavelets": lambda model: _with_grids(model, wavelet_levels=0),
    "still grids": _still_grids,
    "stem grids alone": _stem_grids_alone,
    "slow stem grids": _slow_stem_grids,
    **{f"no {part}": _without(part) for part in ("scrb1", "scrb2", "skip")},
}
# What an encode makes of the scene cuts that it finds.
SHOTS: Mapping[str, Callable[[EncodePlan], EncodePlan]] = {
    "cuts": lambda plan: plan,
    "one": lambda plan: replace(plan, segments=((plan.n_coded_frames,),)),
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
    if "time_budget_s" in shown:
        shown["time_budget"] = f"{shown.pop('time_budget_s')}s"
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in shown.items())


def measure_round_trip(options: Options, place: Place, stem: Path) -> list[Row]:
    """Encode a clip, decode it twice in processes of their own, measure what they wrote."""
    keep_freed_memory()
    source = place.source(options["clip"])
    coded = stem.with_suffix(".nvpp")
    report = encode_case(options, source, coded, place)
    with TemporaryDirectory(dir=place.out, prefix="decoded-") as folder:
        runs = [decode_file(coded, Path(folder, f"{i}.y4m"), place) for i in (1, 2)]
        hashes = {hashlib.sha256(Path(folder, f"{i}.y4m").read_bytes()).hexdigest() for i in (1, 2)}
        psnr = quality_facts(source, Path(folder, "1.y4m"), report.plan.format.n_frames)
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


def decode_file(coded: Path, decoded: Path, place: Place) -> Run:
    """Decode a file by a command of its own; return what it took."""
    command = [sys.executable, "-m", "nervcodec", "decode", "-y", "--json"]
    options = ["--device", place.device, "--threads", str(place.n_threads)]
    return run_timed(
        [*command, *options, str(coded), str(decoded)],
        os.cpu_count() or 1,
        f"cannot decode {coded.name}",
    )


def quality_facts(source: Path, decoded: Path, n_frames: int | None) -> Row:
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
