"""How a size is shared among segments: equally, by a survey, or at one lambda."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nervcodec.bench.derived import Row
from nervcodec.bench.place import Options, Place
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.encoder.allocation import segment_complexity, segment_fits
from nervcodec.encoder.fit_plan import FitPlan, container_bytes, plan_fit, source_frames
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.segment import encode_segment, shared_weights
from nervcodec.encoder.target import Size
from nervcodec.errors import ConfigError
from nervcodec.format.file import Segment
from nervcodec.nn.device import choose_device, choose_precision, set_threads
from nervcodec.quality.metrics import frame_rgb_db
from nervcodec.training.config import FitConfig
from nervcodec.video.frames import Frames

WAYS = ("equal", "survey", "lambda")
_MOST_TRIES = 4  # of one lambda for all segments
_NEAR = 0.01  # of the size


def measure_shares(options: Options, place: Place, stem: Path) -> list[Row]:
    """Fit the segments of a clip to a size that is shared in one of WAYS.

    'lambda' fits all segments at one lambda, which is sought until the size is as near as 1 %. The
    decibels are of RGB: the mean over frames, that of the mean error, and how far apart the means
    of the segments are. The survey's seconds are in % of those of the fits.

    Raises:
        ConfigError: there is no such way.
    """
    way = options["shares"]
    if way not in WAYS:
        raise ConfigError(f"shares is {way!r}; legal: {', '.join(WAYS)}")
    set_threads(place.n_threads)
    device = choose_device(place.device)
    names = ("preset", "epochs", "segment_frames", "seed")
    asked = {name: options[name] for name in names if name in options}
    plan = plan_fit(
        place.source(options["clip"]), EncodeOptions(target=Size(options["size"]), **asked)
    )
    plan = replace(plan, fit=replace(plan.fit, precision=choose_precision("auto", device)))
    groups = list(source_frames(plan, plan.lengths))
    started = time.monotonic()
    surveys = None
    if way == "survey":
        surveys = [
            segment_complexity(*each, plan.format.color) for each in zip(groups, plan.segments)
        ]
    survey_s = time.monotonic() - started
    if way == "lambda":
        segments = _at_one_lambda(plan, groups, device, options["size"])
    else:
        segments = _fitted(plan, groups, segment_fits(plan, surveys), device)
    fit_s = time.monotonic() - started - survey_s
    facts = _facts(plan, groups, segments, device, options["size"])
    return [{**facts, "survey_percent": 100 * survey_s / fit_s if surveys else None}]


def _fitted(
    plan: FitPlan, groups: Sequence[Frames], fits: Sequence[FitConfig], device: str
) -> list[Segment]:
    """Return the segments; all but the first start from its weights, as in an encode."""
    segments: list[Segment] = []
    weights = None
    for frames, shots, fit in zip(groups, plan.segments, fits, strict=True):
        segment, _ = encode_segment(frames, shots, plan.model, fit, device, weights=weights)
        segments.append(segment)
        weights = shared_weights(segments[0], plan.model)
    return segments


def _at_one_lambda(
    plan: FitPlan, groups: Sequence[Frames], device: str, size: float
) -> list[Segment]:
    """Return the segments of the fits at one lambda whose size is nearest."""
    fit = replace(plan.fit, target_bpp=0.0)
    best: tuple[float, list[Segment]] = math.inf, []
    for _ in range(_MOST_TRIES):
        segments = _fitted(plan, groups, [fit] * len(groups), device)
        error = math.log(_n_bytes(plan, segments) / size)
        best = min(best, (abs(error), segments), key=lambda each: each[0])
        if best[0] < _NEAR:
            break
        # Bits fall with the square root of lambda (docs/lab L063).
        fit = replace(fit, rate_weight=fit.rate_weight * math.exp(2 * error))
    return best[1]


def _n_bytes(plan: FitPlan, segments: Sequence[Segment]) -> int:
    """Return the bytes of the file."""
    return container_bytes(plan) + sum(len(data) for each in segments for data in each.streams)


def _facts(
    plan: FitPlan, groups: Sequence[Frames], segments: Sequence[Segment], device: str, size: float
) -> Row:
    """Return bytes and decibels."""
    db = []
    for frames, segment in zip(groups, segments, strict=True):
        decoded = Frames.concatenate(list(decode_segment(segment, plan.model, device)))
        db.append(frame_rgb_db(frames, decoded, plan.format.color))
    means = [float(each.mean()) for each in db]
    every = np.concatenate(db)
    n_bytes = _n_bytes(plan, segments)
    n_streams = [sum(map(len, segment.streams)) for segment in segments]
    return {
        "bytes": n_bytes,
        "off_percent": 100 * (n_bytes / size - 1),
        "rgb_db": float(every.mean()),
        "pooled_rgb_db": float(-10 * np.log10(np.mean(10 ** (-every / 10)))),
        "range_db": max(means) - min(means),
        "deviation_db": float(np.std(means)),
        "segments_bytes": " ".join(map(str, n_streams)),
        "segments_db": " ".join(f"{mean:.2f}" for mean in means),
    }
