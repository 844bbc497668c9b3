"""What a .nvpp file says of itself. Reads the container only: no torch, no numpy, so that it
answers at once.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from typing import Any

from nervcodec.format import costs, tensors
from nervcodec.format.container import load
from nervcodec.format.limits import memory_bytes


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a .nvpp file says of itself, as a JSON-ready dict (docs/usage.md, 'info --json');
    without torch.
    """
    file = load(path)
    form, model = file.header.format, file.header.model
    segments = Counter(segment.shots for segment in file.segments)
    n_parameters = sum(n * tensors.n_parameters(model, shots) for shots, n in segments.items())
    names = tensors.module_names(model)
    streams = {
        name: sum(len(segment.streams[i]) for segment in file.segments)
        for i, name in enumerate(names)
    }
    return {
        "schema": "nervcodec.info/1",
        "file": os.fspath(path),
        "bytes": file.n_bytes,
        "bpp": form.bpp(file.n_bytes),
        "kbit_per_s": form.kbit_per_s(file.n_bytes),
        "width": form.width,
        "height": form.height,
        "frames": form.n_frames,
        "frame_rate": str(form.frame_rate),
        "duration_s": form.duration_s,
        "sample_aspect_ratio": str(form.sample_aspect_ratio),
        "layout": form.layout,
        "color": asdict(form.color),
        "segments": [segment.n_frames for segment in file.segments],
        "shots": [segment.shots for segment in file.segments],
        "model": model.as_json(),
        "parameters": n_parameters,
        "kmac_per_pixel": costs.kmac_per_pixel(model),
        "bits_per_parameter": 8 * sum(streams.values()) / n_parameters,
        "decode_memory": memory_bytes(model, segments, file.n_bytes),
        "bytes_by_module": {**streams, "container": file.container_bytes},
        "quality": asdict(file.quality),
    }
