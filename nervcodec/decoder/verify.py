"""Whether a .nvpp file still decodes to what its encoder saw: container, streams, then the sums of
its frames.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from nervcodec.decoder.digest import FrameSummer
from nervcodec.format.container import FrameSums, load
from nervcodec.format.limits import Limits
from nervcodec.util.prefetch import ahead

# Levels by which a plane's samples may be off in the mean: another order of summation moves a few
# samples in a million by one, so that this leaves room for arithmetic some thousand times less
# exact.
MAX_DRIFT = 0.02
EXACT, NEAR, DIFFERS, UNKNOWN = "exact", "near", "differs", "unknown"


@dataclass(frozen=True)
class SegmentVerdict:
    """How the frames first..first + n_frames - 1 compare with what the encoder stored of them.

    Attributes:
        verdict: 'exact', 'near' (float arithmetic moves samples by one), 'differs' (more than
            MAX_DRIFT) or 'unknown' (nothing is stored).
        drifts: mean of decoded less encoded samples, in levels, of Y, U, V or R, G, B; None if
            nothing is stored.
    """

    first: int
    n_frames: int
    verdict: str
    drifts: tuple[float, ...] | None


@dataclass(frozen=True)
class Verification:
    n_bytes: int
    device: str
    segments: tuple[SegmentVerdict, ...]

    @property
    def verdict(self) -> str:
        """The worst of the segments'."""
        return max(
            (segment.verdict for segment in self.segments),
            key=(EXACT, NEAR, UNKNOWN, DIFFERS).index,
        )

    @property
    def worst_drift(self) -> float:
        """The largest magnitude of all drifts, in levels; 0 where none is known."""
        return max(
            (abs(drift) for segment in self.segments for drift in segment.drifts or ()), default=0.0
        )

    @property
    def complaint(self) -> str | None:
        """What is wrong, where something is."""
        wrong = [segment for segment in self.segments if segment.verdict == DIFFERS]
        if not wrong:
            return None
        drifts = ", ".join(f"{drift:+.3f}" for drift in wrong[0].drifts or ())
        return (
            f"frames {wrong[0].first} to {wrong[0].first + wrong[0].n_frames - 1} differ from what"
            f" was encoded: their planes are off by {drifts} levels in the mean; legal: within"
            f" {MAX_DRIFT:g}"
            + (f" ({len(wrong)} segments of {len(self.segments)} differ)" if len(wrong) > 1 else "")
        )


def verify(
    source: str | os.PathLike[str],
    *,
    limits: Limits = Limits(),
    device: str = "cpu",
    n_threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Checks the container, decodes every frame and compares with the sums that the encoder stored.

    Args:
        on_progress: called with (frames decoded, frames in all).
    Raises:
        VideoError: the file cannot be read.
        BitstreamError: it is damaged, or its streams are none that an encoder writes.
        LimitExceeded: it asks for more than `limits`.
    """
    file = load(source)
    limits.check(file)
    from nervcodec.decoder.reconstruct import decode_segment
    from nervcodec.nn.device import choose_device, set_threads

    device = choose_device(device)
    set_threads(n_threads)
    verdicts, n_done = [], 0
    for segment in file.segments:
        first, summer = n_done, FrameSummer()
        for frames in ahead(decode_segment(segment, file.header.model, device), 2):
            summer.add(frames)
            n_done += frames.n_frames
            if on_progress:
                on_progress(n_done, file.header.format.n_frames)
        verdicts.append(_verdict(first, segment.n_frames, summer, segment.sums))
    return Verification(file.n_bytes, device, tuple(verdicts))


def _verdict(
    first: int, n_frames: int, summer: FrameSummer, stored: FrameSums | None
) -> SegmentVerdict:
    if stored is None:
        return SegmentVerdict(first, n_frames, UNKNOWN, None)
    drifts = summer.drifts(stored)
    if summer.result() == stored:
        return SegmentVerdict(first, n_frames, EXACT, drifts)
    return SegmentVerdict(
        first, n_frames, NEAR if max(map(abs, drifts)) <= MAX_DRIFT else DIFFERS, drifts
    )
