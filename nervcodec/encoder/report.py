"""What an encode gave: sizes, quality, seconds, memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nervcodec import __version__
from nervcodec.encoder.plan import EncodePlan
from nervcodec.quality.metrics import Quality
from nervcodec.training.rate_model import PSNR_PROMISE, SIZE_PROMISE

SCHEMA = "nervcodec.encode/1"


@dataclass(frozen=True)
class EncodeReport:
    """What an encode gave.

    Attributes:
        plan: what was done.
        n_bytes: size of the file on disk.
        container_bytes: those of them outside the streams and the sound.
        sound_bytes: those of sound and subtitles, which no rate counts.
        entropy_bytes: sum of the tensors' order-0 entropies.
        sparsity: share of zero symbols, 0 to 1.
        quality: of the frames that the written segments decode to.
        segment_quality: of each segment alone.
        segment_bytes: of each segment's streams.
        encode_s: seconds of all but measuring.
        measure_s: seconds of decoding and measuring, over the jobs that ran at once.
        n_rollbacks: how often a fit diverged and went on from an earlier state.
        device: the processor's name, 'cpu' or a GPU's.
        n_threads: CPU threads of torch, of each job.
        n_jobs: segments that were fitted at once.
        peak_memory: by the end of the phases 'fit' and 'measure', the most bytes 'resident' and,
            on a GPU, 'gpu', of a process that fits.
    """

    plan: EncodePlan
    n_bytes: int
    container_bytes: int
    sound_bytes: int
    entropy_bytes: float
    sparsity: float
    quality: Quality
    segment_quality: tuple[Quality, ...]
    segment_bytes: tuple[int, ...]
    encode_s: float
    measure_s: float
    n_rollbacks: int
    device: str
    n_threads: int
    n_jobs: int
    peak_memory: Mapping[str, Mapping[str, int]]

    @property
    def bpp(self) -> float:
        """Bits a luma pixel of the file less its sound."""
        return self.plan.format.bpp(self.n_bytes - self.sound_bytes)

    @property
    def kbit_per_s(self) -> float:
        """Thousand bits a second of the file less its sound."""
        return self.plan.format.kbit_per_s(self.n_bytes - self.sound_bytes)

    @property
    def paper_bpp(self) -> float:
        """The paper's formula, parameters * (1 - sparsity) * bits / pixels (arXiv 2402.18305): no
        positions, steps, tables, container.
        """
        plan = self.plan
        return plan.n_parameters * (1 - self.sparsity) * plan.model.bits / plan.format.n_pixels

    @property
    def missed(self) -> str | None:
        """What was asked for and what came of it, where a target was missed by more than is
        promised.
        """
        asked_bytes = self.plan.target_bytes
        n_bytes = self.n_bytes - self.sound_bytes
        if asked_bytes and abs(n_bytes / asked_bytes - 1) > SIZE_PROMISE.promised:
            return f"{asked_bytes:,} bytes were asked for, {n_bytes:,} is as near as this fit came"
        asked_db = self.plan.fit.target_psnr
        reached_db = self.quality.rgb_db
        if asked_db and abs(reached_db - asked_db) > PSNR_PROMISE.promised:
            hint = "; a slower preset or more epochs reach further" if reached_db < asked_db else ""
            return (
                f"{asked_db:g} dB RGB were asked for, {reached_db:.2f} dB is as near as this fit"
                f" came{hint}"
            )
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec encode --json` (docs/reference/json.md)."""
        return {
            "schema": SCHEMA,
            **self.plan.description(),
            "output": os.fspath(self.plan.destination),
            "bytes": self.n_bytes,
            "container_bytes": self.container_bytes,
            "sound_bytes": self.sound_bytes,
            "bpp": self.bpp,
            "kbit_per_s": self.kbit_per_s,
            "paper_bpp": self.paper_bpp,
            "sparsity": self.sparsity,
            "entropy_bytes": self.entropy_bytes,
            "quality": asdict(self.quality),
            "segment_rgb_db": [quality.rgb_db for quality in self.segment_quality],
            "segment_bytes": self.segment_bytes,
            "encode_s": self.encode_s,
            "measure_s": self.measure_s,
            "rollbacks": self.n_rollbacks,
            "device": self.device,
            "threads": self.n_threads,
            "jobs": self.n_jobs,
            "peak_memory": self.peak_memory,
            "target_bytes": self.plan.target_bytes,
            "missed": self.missed,
            "version": __version__,
        }
