"""What a file may ask of a decoder before it is refused, and the names by which more is allowed.
Standard library only.

A .nvpp file comes from strangers, and a few hundred bytes can stand for any amount of work. All of
this is known from the container alone, before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from nervcodec.errors import LimitExceeded
from nervcodec.format import costs, tensors
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.video_format import VideoFormat

if TYPE_CHECKING:
    from nervcodec.format.file import File

_FILE_COPIES = 3  # of a file's bytes that are held at once: as read, as sections, as streams


@dataclass(frozen=True)
class Limits:
    """The most that is decoded without being asked.

    Attributes:
        side: luma rows or columns.
        pixels: luma pixels of a frame.
        frames: of the whole file.
        parameters: of one segment's network.
        kmac: thousand multiply-adds a pixel.
        memory: bytes, as memory_bytes estimates them.
    """

    side: int = 16384
    pixels: int = 1 << 27
    frames: int = 1_000_000
    parameters: int = 100_000_000
    kmac: int = 5_000
    memory: int = 4 << 30

    def check(self, file: File) -> None:
        """Refuses a file that asks for more.

        Raises:
            LimitExceeded: with what is asked for, the limit and the option that raises it.
        """
        segments = {segment.shots for segment in file.segments}
        for text in self.exceeded(file.header.format, file.header.model, segments, file.n_bytes):
            raise LimitExceeded(text)

    def exceeded(
        self, form: VideoFormat, model: ModelConfig, segments: Collection[Shots], n_bytes: int = 0
    ) -> Iterator[str]:
        """What is asked for beyond each limit.

        Args:
            segments: the shots of each.
            n_bytes: of the file.
        """
        asked = {
            "side": max(form.width, form.height),
            "pixels": form.width * form.height,
            "frames": form.n_frames,
            "parameters": max(tensors.n_parameters(model, shots) for shots in segments),
            "kmac": costs.kmac_per_pixel(model),
        }
        for name, value in asked.items():
            limit = getattr(self, name)
            if value > limit:
                yield (
                    f"{name} is {value:,.0f}, more than the limit of {limit:,}; --limit {name}=N"
                    " raises it"
                )
        need = memory_bytes(model, segments, n_bytes)
        if need > self.memory:
            yield (
                f"decoding takes about {need / 2**20:,.0f} MiB of memory, more than the limit of "
                f"{self.memory / 2**20:,.0f} MiB; --max-memory raises it"
            )


def memory_bytes(model: ModelConfig, segments: Iterable[Shots], n_bytes: int) -> int:
    """About the peak memory of decoding a file of n_bytes with segments of such shots."""
    return (
        max(costs.decode_memory_bytes(model, shots) for shots in segments) + _FILE_COPIES * n_bytes
    )


def file_memory_bytes(file: File) -> int:
    """About the peak memory of decoding a file."""
    shots = {segment.shots for segment in file.segments}
    return memory_bytes(file.header.model, shots, file.n_bytes)


NAMES = tuple(
    field.name for field in fields(Limits) if field.name != "memory"
)  # memory has an option of its own
