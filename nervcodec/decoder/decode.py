"""A .nvpp file -> frames in a video file.

read -> decode the segments that are needed -> write. torch is imported inside the functions that
use it: bad input needs no torch.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from nervcodec.errors import ConfigError
from nervcodec.format import costs
from nervcodec.format.container import File, read_bytes, read_file
from nervcodec.format.limits import Limits
from nervcodec.format.salvage import salvage
from nervcodec.util.prefetch import ahead
from nervcodec.video.frames import Frames
from nervcodec.video.writer import check_target, open_writer


@dataclass(frozen=True)
class DecodeReport:
    """What a decode gave. seconds: from the first stream to the last frame written, without
    Python's and torch's start.
    """

    n_frames: int
    seconds: float
    notes: tuple[str, ...]


def batch_lengths(file: File) -> list[int]:
    """Frames of each batch that decoded_frames yields for a whole file."""
    size = costs.decode_batch(file.header.model)
    return [
        min(size, segment.n_frames - start)
        for segment in file.segments
        for start in range(0, segment.n_frames, size)
    ]


def decoded_frames(file: File, first: int, stop: int, device: str) -> Iterator[Frames]:
    """Frames first..stop-1 in the colorspace of the model, a batch at a time; other segments are
    not touched.

    The next segment's streams are decoded while this one's frames are made, and these while others
    are used.
    """
    from nervcodec.coding.streams import decode_parameters
    from nervcodec.decoder.reconstruct import reconstruct

    model, parts, start = file.header.model, [], 0
    for segment in file.segments:
        wanted = range(max(first - start, 0), min(stop - start, segment.n_frames))
        if wanted:
            parts.append((segment, wanted))
        start += segment.n_frames
    networks = ahead((decode_parameters(segment, model) for segment, _ in parts), 1)
    batches = (
        reconstruct(parameters, model, wanted, segment.shots, device)
        for parameters, (segment, wanted) in zip(networks, parts, strict=True)
    )
    return ahead(itertools.chain.from_iterable(batches), 2)


def decode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    first: int = 0,
    stop: int | None = None,
    codec: str | None = None,
    quality: int | None = None,
    device: str = "cpu",
    n_threads: int | None = None,
    overwrite: bool = False,
    limits: Limits = Limits(),
    whole_segments_only: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> DecodeReport:
    """Decodes frames first..stop-1 of a .nvpp file into .y4m, .mp4, .mkv ... or a folder of PNG.

    Args:
        codec, quality: of a lossy target, as video.open_writer has them.
        n_threads: CPU threads; None leaves them.
        limits: a file that asks for more is refused, before torch is loaded.
        whole_segments_only: of a damaged file, leave out what is damaged; frames count without it.
        on_progress: called with (frames written, frames in all).
    Raises:
        NervCodecError: see errors.py; the destination is then as it was before.
    """
    data = read_bytes(source)
    file, lost = salvage(data) if whole_segments_only else (read_file(data), ())
    check_target(
        os.fspath(destination),
        codec=codec,
        quality=quality,
        overwrite=overwrite,
        source=os.fspath(source),
    )
    limits.check(file)
    form = file.header.format
    stop = form.n_frames if stop is None else stop
    if not 0 <= first < stop <= form.n_frames:
        raise ConfigError(
            f"frames are {first}:{stop}; legal: A:B with 0 <= A < B <= {form.n_frames}"
        )
    from nervcodec.nn.device import choose_device, set_threads

    device = choose_device(device)
    set_threads(n_threads)
    started = time.monotonic()
    target, n_done = replace(form, n_frames=stop - first), 0
    with open_writer(
        os.fspath(destination), target, codec=codec, quality=quality, overwrite=overwrite
    ) as writer:
        for frames in decoded_frames(file, first, stop, device):
            writer.write(frames)
            n_done += frames.n_frames
            if on_progress:
                on_progress(n_done, stop - first)
    notes = [f"damaged, left out: frames {frames[0]} to {frames[-1]}" for frames in lost]
    return DecodeReport(n_done, time.monotonic() - started, (*notes, *writer.notes))
