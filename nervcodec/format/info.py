"""What a .nvpp file says of itself.

Reads the container only, without torch and numpy, so that it answers at once.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from nervcodec.format import costs, tensors
from nervcodec.format.container import load
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.file import File, StoredQuality
from nervcodec.format.limits import memory_bytes
from nervcodec.format.model_config import ModelConfig, Shots
from nervcodec.format.video_format import VideoFormat

SCHEMA = "nervcodec.info/1"


@dataclass(frozen=True)
class FileInfo:
    """What a .nvpp file says of itself.

    Attributes:
        path: the file's name as it was given.
        n_bytes: its size.
        format: of the video.
        model: the network of every segment.
        segments: the shots of each segment, in frames.
        md5: of the decoded frames of each segment as the encoder stored it, 32 hexadecimal digits
            (nvpp-format.md section 6.2); None where it did not.
        n_parameters: of all segments together.
        kmac_per_pixel: thousand multiply-adds a luma pixel.
        decode_memory_bytes: about the peak memory of decoding it.
        module_bytes: of the streams of 'stem', 'block1' ..., 'head', and of the 'container'.
        quality: what the encoder measured and stored.
        extras: what the file holds besides its picture.
        sound_bytes: of its section of sound; no rate counts them.
    """

    path: str
    n_bytes: int
    format: VideoFormat
    model: ModelConfig
    segments: tuple[Shots, ...]
    md5: tuple[str | None, ...]
    n_parameters: int
    kmac_per_pixel: float
    decode_memory_bytes: int
    module_bytes: dict[str, int]
    quality: StoredQuality
    extras: Extras = NO_EXTRAS
    sound_bytes: int = 0

    @property
    def has_variable_rate(self) -> bool:
        """Whether frames have times of their own; the frame rate is then the average."""
        return self.extras.times is not None and self.extras.times.is_variable

    @property
    def start_s(self) -> float:
        """Seconds by which the video begins later than the other streams of its source."""
        return float(self.extras.times.start_s) if self.extras.times else 0.0

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last one."""
        times = self.extras.times
        return float(times.span_s(self.format)) if times else self.format.duration_s

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each segment."""
        return tuple(map(sum, self.segments))

    @property
    def bpp(self) -> float:
        """Bits a luma pixel of the file less its sound."""
        return self.format.bpp(self.n_bytes - self.sound_bytes)

    @property
    def kbit_per_s(self) -> float:
        """Thousand bits a second of the file less its sound."""
        return 8 * (self.n_bytes - self.sound_bytes) / 1000 / self.duration_s

    @property
    def bits_per_parameter(self) -> float:
        """Bits of the streams over the parameters."""
        streams = sum(self.module_bytes.values()) - self.module_bytes["container"]
        return 8 * streams / self.n_parameters

    def as_json(self) -> dict[str, Any]:
        """Return the object of `nervcodec info --json` (docs/reference/json.md)."""
        form = self.format
        sound, properties = self.extras.sound, self.extras.properties
        return {
            "schema": SCHEMA,
            "file": self.path,
            "bytes": self.n_bytes,
            "bpp": self.bpp,
            "kbit_per_s": self.kbit_per_s,
            "width": form.width,
            "height": form.height,
            "frames": form.n_frames,
            "coded_frames": sum(self.lengths),
            "frame_rate": str(form.frame_rate),
            "variable_frame_rate": self.has_variable_rate,
            "start_s": self.start_s,
            "duration_s": self.duration_s,
            "sample_aspect_ratio": str(form.sample_aspect_ratio),
            "layout": form.layout,
            "bit_depth": form.bit_depth,
            "color": asdict(form.color),
            "segments": self.lengths,
            "shots": self.segments,
            "md5": self.md5,
            "model": self.model.as_json(),
            "parameters": self.n_parameters,
            "kmac_per_pixel": self.kmac_per_pixel,
            "bits_per_parameter": self.bits_per_parameter,
            "decode_memory": self.decode_memory_bytes,
            "bytes_by_module": self.module_bytes,
            "quality": asdict(self.quality),
            "sound": [stream.as_json() for stream in sound.streams] if sound else [],
            "sound_bytes": self.sound_bytes,
            "properties": properties.as_json() if properties else None,
        }


def info(path: str | os.PathLike[str]) -> FileInfo:
    """Return what a .nvpp file says of itself; nothing is decoded.

    Raises:
        VideoError: the file cannot be read.
        BitstreamError: it is damaged, or no .nvpp file.
    """
    file = load(path)
    model = file.header.model
    segments = Counter(segment.shots for segment in file.segments)
    return FileInfo(
        path=os.fspath(path),
        n_bytes=file.n_bytes,
        format=file.header.format,
        model=model,
        segments=tuple(segment.shots for segment in file.segments),
        md5=tuple(None if s.md5 is None else s.md5.hex() for s in file.segments),
        n_parameters=sum(n * tensors.n_parameters(model, shots) for shots, n in segments.items()),
        kmac_per_pixel=costs.kmac_per_pixel(model),
        decode_memory_bytes=memory_bytes(model, segments, file.n_bytes),
        module_bytes=_module_bytes(file),
        quality=file.quality,
        extras=file.extras,
        sound_bytes=file.sound_bytes,
    )


def _module_bytes(file: File) -> dict[str, int]:
    """Return the bytes of each module's streams, over all segments, and the container's."""
    streams = {
        name: sum(len(segment.streams[i]) for segment in file.segments)
        for i, name in enumerate(tensors.module_names(file.header.model))
    }
    return {**streams, "container": file.container_bytes}
