"""What exact decoding costs in quality: a fit decoded in integers beside its network in floats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nervcodec.bench.derived import Row
from nervcodec.bench.place import Options, Place
from nervcodec.coding.streams import decode_parameters
from nervcodec.decoder.reconstruct import reconstruct
from nervcodec.encoder.fit_plan import container_bytes, plan_fit, source_frames
from nervcodec.encoder.options import EncodeOptions
from nervcodec.encoder.segment import encode_segment, unclipped_frames
from nervcodec.encoder.target import Crf
from nervcodec.format.file import Segment
from nervcodec.format.model_config import ModelConfig
from nervcodec.nn.device import choose_device, choose_precision, set_threads
from nervcodec.nn.network import Network, to_samples
from nervcodec.nn.planes import unpack
from nervcodec.quality.metrics import frame_rgb_db
from nervcodec.video.frames import Frames


def measure_exactness(options: Options, place: Place, stem: Path) -> list[Row]:
    """Fit the first segment of a clip and decode it in three ways; decibels are means of RGB.

    'float' is the network that the fit saw, 'exact' what decoders make of the file, 'fast' what
    --fast makes of it. Samples are counted over all planes.
    """
    set_threads(place.n_threads)
    device = choose_device(place.device)
    names = ("preset", "epochs", "seed")
    asked = {name: options[name] for name in names if name in options}
    frames_asked = (0, options.get("frames"))
    request = EncodeOptions(target=Crf(options["crf"]), frames=frames_asked, **asked)
    plan = plan_fit(place.source(options["clip"]), request)
    fit = replace(plan.fit, precision=choose_precision("auto", device))
    frames, shots = next(source_frames(plan, plan.lengths)), plan.segments[0]
    fitted, _ = encode_segment(frames, shots, plan.model, fit, device, color=plan.format.color)
    segment, decoded = unclipped_frames(fitted, plan.model, device)
    exact = Frames.concatenate(decoded)
    fast = Frames.concatenate(list(_fast_frames(segment, plan.model, device)))
    as_fitted = Frames.concatenate(list(_float_frames(segment, plan.model, device)))
    float_db, exact_db, fast_db = (
        float(frame_rgb_db(frames, each, plan.format.color).mean())
        for each in (as_fitted, exact, fast)
    )
    off = np.concatenate(
        [np.abs(a.astype(int) - b).ravel() for a, b in zip(exact.planes, fast.planes, strict=True)]
    )
    facts: Row = {
        "bytes": container_bytes(plan) + sum(map(len, segment.streams)),
        "fraction_bits": segment.fraction_bits,
        "float_db": float_db,
        "exact_db": exact_db,
        "loss_db": float_db - exact_db,
        "fast_loss_db": float_db - fast_db,
        "off_percent": 100 * float((off > 0).mean()),
        "off_most": int(off.max()),
    }
    return [facts]


def _fast_frames(segment: Segment, model: ModelConfig, device: str) -> Iterator[Frames]:
    parameters, numbers = decode_parameters(segment, model), range(segment.n_frames)
    bits = segment.fraction_bits
    return reconstruct(parameters, model, numbers, segment.shots, device, bits, is_fast=True)


def _float_frames(segment: Segment, model: ModelConfig, device: str) -> Iterator[Frames]:
    """Yield the frames of the network that the fit saw, one at a time."""
    network = Network(model, segment.shots, torch.device(device))
    parameters = torch.from_numpy(decode_parameters(segment, model)).float().to(device)
    with torch.inference_mode():
        named = network.split(parameters)
        for number in range(segment.n_frames):
            planes = network(named, torch.tensor([number], device=device))
            yield unpack(to_samples(planes, model).cpu().numpy(), model)
