"""The benchmark: every clip with every codec at several rates, coded, decoded and measured again.

A point is one clip x adapter x setting. Encoder and decoder run as processes of their own, all on
as many CPUs, whose peak memory is taken; what is measured are the decoded planes against the clip's
own (quality.compare). Each point stands in FOLDER/cache under a hash of all that it depends on: a
benchmark that was killed goes on where it was, and nothing stale is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nervcodec.bench.adapters import Adapter, filled
from nervcodec.bench.crops import make_crops
from nervcodec.bench.environment import machine, now, versions
from nervcodec.bench.fingerprint import content_hash, measuring_digest
from nervcodec.bench.process import Run, run_timed
from nervcodec.errors import CommandFailed, ConfigError, NervCodecError, OutputError
from nervcodec.format.video_format import VideoFormat
from nervcodec.quality.compare import compare
from nervcodec.util.files import whole_file
from nervcodec.video.ffmpeg_decode import lossy_bytes
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all
from nervcodec.video.writer import open_writer

SCHEMA = "nervcodec.bench/1"
_POINT_SCHEMA = "nervcodec.bench-point/1"
_RATE_NOTE = "the source itself is a stream of this rate: points above it say nothing about codecs"
# What a point has of a comparison's JSON.
_QUALITY = (
    "psnr", "psnr_of_mean_mse", "ssim", "ssim_reason", "ms_ssim", "ms_ssim_reason", "xpsnr",
    "xpsnr_reason", "vmaf", "vmaf_reason", "per_frame",
)  # fmt: skip
OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Clip:
    """A source.

    Attributes:
        sha256: of the file, or of a folder's pictures.
        ceiling_bpp: rate of the lossy stream that it was decoded from; None where there is none.
    """

    path: Path
    name: str
    sha256: str
    form: VideoFormat
    ceiling_bpp: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return its entry in results.json."""
        form = self.form
        return {
            "name": self.name,
            "sha256": self.sha256,
            "width": form.width,
            "height": form.height,
            "frames": form.n_frames,
            "frame_rate": str(form.frame_rate),
            "note": _RATE_NOTE if self.ceiling_bpp else None,
            "ceiling_bpp": self.ceiling_bpp,
        }


def open_clip(path: Path, n_frames: int | None = None) -> Clip:
    """Look at a source and hash it.

    Args:
        n_frames: take the first so many frames, or all if it has fewer.
    Raises:
        VideoError: it cannot be read.
    """
    whole, _ = probe(path)
    form = replace(whole, n_frames=min(n_frames or whole.n_frames, whole.n_frames))
    n_bytes = lossy_bytes(path) if path.is_file() and path.suffix != ".y4m" else None
    return Clip(
        path, path.resolve().stem, content_hash(path), form, whole.bpp(n_bytes) if n_bytes else None
    )


@dataclass(frozen=True)
class Bench:
    """A benchmark to run.

    Attributes:
        folder: where results, coded files and the cache go.
        threads: CPUs that a codec's process may use.
        command, seed: as results.json states them.
    """

    clips: Sequence[Clip]
    adapters: Sequence[Adapter]
    folder: Path
    threads: int
    command: str
    seed: int = 0

    @property
    def n_points(self) -> int:
        """Return how many points it has."""
        return len(self.clips) * sum(len(adapter.settings) for adapter in self.adapters)

    def run(self, on_progress: OnProgress) -> dict[str, Any]:
        """Measure all points that are not in the cache; write and return FOLDER/results.json.

        Args:
            on_progress: called before each point with (points done, points in all, what comes
                next).
        Raises:
            CommandFailed: a codec failed; the points before it are kept.
        """
        _check_once("clips", [clip.name for clip in self.clips])
        _check_once("codecs", [adapter.label for adapter in self.adapters])
        points: list[dict[str, Any]] = []
        crops: list[dict[str, Any]] = []
        for clip in self.clips:
            own_points = [
                self._point(clip, adapter, setting, on_progress, len(points) + i)
                for i, (adapter, setting) in enumerate(self._settings())
            ]
            crops += self._crops(clip, own_points)
            points += own_points
        on_progress(len(points), self.n_points, "report")
        results = {
            "schema": SCHEMA,
            "command": self.command,
            "created": now(),
            "versions": versions(),
            "machine": machine(),
            "threads": self.threads,
            "seed": self.seed,
            "clips": [clip.as_json() for clip in self.clips],
            "points": points,
            "crops": crops,
        }
        _write_json(self.folder / "results.json", results)
        return results

    def _settings(self) -> Iterator[tuple[Adapter, str]]:
        """Yield every adapter with each of its settings."""
        for adapter in self.adapters:
            for setting in adapter.settings:
                yield adapter, setting

    def _point(
        self, clip: Clip, adapter: Adapter, setting: str, on_progress: OnProgress, n_done: int
    ) -> dict[str, Any]:
        """Return a point, measured now or in the cache.

        Args:
            n_done: points before it, as on_progress is told.
        """
        key = self._key(clip, adapter, setting)
        kept = self.folder / "cache" / f"{key}.json"
        coded = self.folder / "cache" / f"{key}{adapter.suffix}"
        names = {
            "clip": clip.name,
            "codec": adapter.codec,
            "variant": adapter.variant,
            "label": adapter.label,
            "setting": adapter.describe(setting),
        }
        if not kept.exists() or not coded.exists():
            on_progress(
                n_done, self.n_points, f"{clip.name}, {adapter.label}, {adapter.describe(setting)}"
            )
            kept.parent.mkdir(parents=True, exist_ok=True)
            _write_json(kept, self._measure(clip, adapter, setting, coded))
        measured: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        return names | measured

    def _key(self, clip: Clip, adapter: Adapter, setting: str) -> str:
        """Return a hash of all that a point depends on."""
        form = clip.form
        first = 0 if adapter.foreign else 1  # the interpreter's path says nothing
        parts = [
            _POINT_SCHEMA,
            clip.sha256,
            form.n_frames,
            str(form.frame_rate),
            adapter.version,
            adapter.encode[first:],
            adapter.decode[first:],
            setting,
            self.threads,
            measuring_digest(),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    def _encode(self, clip: Clip, adapter: Adapter, setting: str, coded: Path) -> Run:
        """Encode into `coded`; return what it took."""
        with TemporaryDirectory(dir=self.folder, prefix="bench-") as temporary:
            files = {
                "input": _handed_over(clip, adapter, Path(temporary)),
                "output": coded,
                "decoded": "",
            }
            return self._run(
                adapter.encode,
                clip,
                setting,
                files,
                f"{adapter.label} could not encode {clip.name}",
            )

    def _decode(
        self, clip: Clip, adapter: Adapter, setting: str, coded: Path, folder: Path
    ) -> tuple[Run, Path]:
        """Decode into the folder; return what it took, and the video."""
        name = adapter.decoded_rgb if clip.form.layout == "rgb" else adapter.decoded
        files = {"input": clip.path, "output": coded, "decoded": os.path.join(folder, name)}
        run = self._run(
            adapter.decode, clip, setting, files, f"{adapter.label} could not decode {clip.name}"
        )
        return run, folder / name

    def _run(
        self,
        command: Sequence[str],
        clip: Clip,
        setting: str,
        files: Mapping[str, object],
        failure: str,
    ) -> Run:
        form = clip.form
        values = {
            **files,
            "setting": setting,
            "frames": form.n_frames,
            "width": form.width,
            "height": form.height,
            "rate": form.frame_rate,
            "threads": self.threads,
        }
        return run_timed(filled(command, values), self.threads, failure)

    def _measure(self, clip: Clip, adapter: Adapter, setting: str, coded: Path) -> dict[str, Any]:
        """Encode, decode and compare; return the point's figures, its coded file at `coded`."""
        with TemporaryDirectory(dir=self.folder, prefix="bench-") as temporary:
            part = Path(temporary) / f"coded{adapter.suffix}"
            encoding = self._encode(clip, adapter, setting, part)
            if not part.is_file() or not part.stat().st_size:
                raise CommandFailed(
                    f"{adapter.label} could not encode {clip.name}: it wrote nothing to its output"
                )
            decoding, decoded = self._decode(clip, adapter, setting, part, Path(temporary))
            try:
                measured = compare(clip.path, decoded, n_frames=clip.form.n_frames).as_json()
            except NervCodecError as error:
                raise CommandFailed(
                    f"{adapter.label} decoded {clip.name} to something else: {error}"
                ) from None
            n_bytes = part.stat().st_size
            os.replace(part, coded)
        figures = _figures(clip.form, adapter, n_bytes, encoding, decoding)
        quality = {name: measured[name] for name in _QUALITY}
        return {**figures, **quality, "machine": machine(), "file": coded.name}

    def _crops(self, clip: Clip, points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the cut-outs of a clip, whose points are decoded once more."""

        def decode(point: Mapping[str, Any], folder: Path) -> Path:
            adapter, setting = next(
                (adapter, setting)
                for adapter, setting in self._settings()
                if (adapter.label, adapter.describe(setting)) == (point["label"], point["setting"])
            )
            return self._decode(
                clip, adapter, setting, self.folder / "cache" / point["file"], folder
            )[1]

        return make_crops(clip.path, clip.name, clip.form, points, decode, self.folder)


def _figures(
    form: VideoFormat, adapter: Adapter, n_bytes: int, encoding: Run, decoding: Run
) -> dict[str, Any]:
    """Return bytes, times and memory of a point, by its processes and what they said.

    Args:
        n_bytes: of the coded file.
    """
    # What a foreign program prints may be JSON of any meaning.
    encoder = {} if adapter.foreign else encoding.said
    decoder = {} if adapter.foreign else decoding.said
    if adapter.counted == "elementary stream":
        n_bytes = encoder["bytes"]
    return {
        "bytes": n_bytes,
        "counted": adapter.counted,
        "bpp": form.bpp(n_bytes),
        "kbit_per_s": form.kbit_per_s(n_bytes),
        "encode_s": encoder.get("encode_s", encoding.seconds),
        "encode_process_s": encoding.seconds,
        "decode_s": decoder.get("seconds", decoding.seconds),
        "decode_process_s": decoding.seconds,
        "encode_peak_bytes": encoding.peak_bytes,
        "decode_peak_bytes": decoding.peak_bytes,
        "parameters": encoder.get("parameters"),
        "kmac_per_pixel": encoder.get("kmac_per_pixel"),
        "version": adapter.version,
    }


def _check_once(what: str, names: Sequence[str]) -> None:
    """Raise ConfigError where a name comes twice."""
    if len(set(names)) < len(names):
        raise ConfigError(f"{what} are {', '.join(names)}; legal: each name once")


def _handed_over(clip: Clip, adapter: Adapter, folder: Path) -> Path:
    """Return the clip as the adapter takes it: itself, or its frames as .y4m."""
    if not adapter.foreign:
        return clip.path
    path = folder / "source.y4m"
    with open_writer(path, clip.form, overwrite=True) as writer:
        for frames in read_all(clip.path, clip.form):
            writer.write(frames)
    return path


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole_file(path, overwrite=True) as part:
        part.write_text(json.dumps(content, indent=1), "utf-8")


def write_csv(results: Mapping[str, Any], path: Path) -> None:
    """Write a row a point, nested figures as columns such as psnr_y, without series by frame."""
    import csv

    rows = [dict(_flat(point)) for point in results["points"]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (
        whole_file(path, overwrite=True) as part,
        open(part, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _flat(point: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a point."""
    for name, value in point.items():
        if name == "per_frame":
            continue
        if isinstance(value, dict):
            yield from ((f"{name}_{key}", part) for key, part in value.items())
        elif not (isinstance(value, float) and math.isnan(value)):
            yield name, value


def check_folder(folder: Path) -> None:
    """Make the folder for results.

    Raises:
        ConfigError: something else stands there.
        OutputError: it is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"out is {folder}: {error.strerror}; legal: a folder, or a name for a new one"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {folder}: the folder is not writable")
