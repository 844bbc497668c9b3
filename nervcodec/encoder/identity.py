"""What the bytes of an encode depend on, by which a resumed one knows that it is the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nervcodec import __version__
from nervcodec.encoder.plan import EncodePlan
from nervcodec.encoder.survey import digest_of


def identity(plan: EncodePlan) -> dict[str, Any]:
    """Return all that the bytes of an encode depend on."""
    import torch

    return {
        "input": plan.survey.digest if plan.survey else digest_of(plan.source),
        "frame rate": str(plan.format.frame_rate),
        "frames": [plan.numbers[0], plan.numbers[-1]] if plan.numbers else None,
        "source": {**asdict(plan.source_options), "frame_rate": None},
        "sound": plan.options.audio,
        "segments": plan.segments,
        "model": plan.model.as_json(),
        "fit": asdict(plan.fit),
        "independent segments": plan.is_independent,
        "device": plan.devices[0].partition(":")[0],
        "number of threads": plan.n_threads,
        "version of nervcodec": __version__,
        "version of torch": torch.__version__,
    }
