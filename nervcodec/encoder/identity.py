"""What the bytes of an encode depend on, by which a resumed one knows that it is the same."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nervcodec import __version__
from nervcodec.encoder.plan import EncodePlan
from nervcodec.errors import VideoError
from nervcodec.video.reader import source_files
from nervcodec.video.source import shown


def identity(plan: EncodePlan) -> dict[str, Any]:
    """Return all that the bytes of an encode depend on."""
    import torch

    return {
        "input": _digest(plan.source),
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


def _digest(source: Path) -> str:
    """Return the SHA-256 of a file, or of the names and the bytes of a folder's PNG files.

    Raises:
        VideoError: they cannot be read any more.
    """
    digest = hashlib.sha256()
    try:
        for path in source_files(source):
            digest.update(os.fsencode(path.name) + b"\0" if path != source else b"")
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
    except OSError as error:
        raise VideoError(f"cannot read {shown(source)}: {error.strerror or error}") from error
    return digest.hexdigest()
