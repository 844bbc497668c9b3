"""What decoding, starting up and long clips take, measured on whole processes.

A network takes as long whatever its parameters are, so files are made of random ones, without a
fit. Decoding writes .y4m to standard output, which goes to /dev/null.
"""

from __future__ import annotations

import os
import statistics
import sys
from fractions import Fraction
from pathlib import Path

import torch

from nervcodec.bench.datasets import write_pattern
from nervcodec.bench.derived import Row
from nervcodec.bench.place import Options, Place
from nervcodec.bench.process import Run, run_timed
from nervcodec.bench.scaling import parse_size
from nervcodec.coding.quantizer import code_from_step, quantize, step_from_code
from nervcodec.coding.range_coder import Coded
from nervcodec.coding.streams import segment_of
from nervcodec.encoder.presets import preset_named
from nervcodec.encoder.sizing import ContentStatistics
from nervcodec.format import costs, tensors
from nervcodec.format.container import write_file
from nervcodec.format.file import Header
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.video_format import VideoFormat
from nervcodec.nn.network import Network
from nervcodec.training.initialization import initial_parameters
from nervcodec.training.rate_model import expected_bpp, rate_weight_of, usual_bpp
from nervcodec.util.validation import check_choice

_STEP = 0.02  # quantization step of all random parameters
_RATE = Fraction(25)
_N_RUNS = 3
_OURS = [sys.executable, "-m", "nervcodec"]
# Ways to decode, by what a case calls them.
_WAYS = {
    "torch": ["--engine", "torch"],
    "fast": ["--engine", "torch", "--fast"],
    "numpy": ["--engine", "numpy"],
}


def random_file(path: Path, preset: str, crf: float | None, form: VideoFormat) -> ModelConfig:
    """Write a file of random parameters for a preset's network at a crf; return the network."""
    shots = (form.n_frames,)
    rate = 1.0
    if crf is not None:
        rate = expected_bpp(rate_weight_of(crf), form.n_pixels) / usual_bpp(form.n_pixels)
    chosen = preset_named(preset)
    model = chosen.model(form, chosen.colorspace or "yuv420", shots, ContentStatistics(rate))
    segment = segment_of(_random_symbols(model, form.n_frames), model, shots)
    path.write_bytes(write_file(Header(form, model), [segment]))
    return model


def _random_symbols(model: ModelConfig, n_frames: int) -> list[Coded]:
    """Return the symbols of random parameters, coded as a fit's are."""
    network = Network(model, (n_frames,), torch.device("cpu"))
    values = initial_parameters(network, torch.Generator().manual_seed(0)).numpy()
    code = code_from_step(_STEP)
    coded = []
    start = 0
    for group in tensors.groups(model, (n_frames,)):
        part = values[start : start + group.size]
        symbols = quantize(part, step_from_code(code), model.max_symbol, group.keys)
        coded.append(Coded(symbols, code))
        start += group.size
    return coded


def measure_decode(options: Options, place: Place, stem: Path) -> list[Row]:
    """Decode a file of random parameters three times; times are medians, memory is the most.

    Raises:
        ConfigError: there is no such way to decode.
    """
    way = options.get("engine", "torch")
    check_choice("engine", way, tuple(_WAYS))
    size = options.get("size", "640x360")
    form = VideoFormat(*parse_size(size), _RATE, options["frames"])
    path = stem.with_suffix(".nvpp")
    model = random_file(path, options["preset"], options.get("crf"), form)
    command = ["decode", "--json", "--max-memory", "16", "--device", place.device, *_WAYS[way]]
    runs = [
        _quiet([*_OURS, *command, "--threads", str(place.n_threads), str(path), "-"])
        for _ in range(_N_RUNS)
    ]
    path.unlink()
    peak = max(run.peak_bytes for run in runs)
    estimate = costs.decode_memory_bytes(model, (form.n_frames,))
    facts: Row = {
        "kmac_per_pixel": costs.kmac_per_pixel(model),
        "frames_per_s": form.n_frames / statistics.median(run.said["seconds"] for run in runs),
        "process_s": statistics.median(run.seconds for run in runs),
        "peak_mib": peak / 2**20,
        "estimate_mib": estimate / 2**20,
        "peak_of_estimate": peak / estimate,
    }
    return [facts]


def measure_startup(options: Options, place: Place, stem: Path) -> list[Row]:
    """Time a short command, `FILE` in its arguments being a small file; medians of `repeats`."""
    path = stem.with_suffix(".nvpp")
    random_file(path, "medium", 30.0, VideoFormat(64, 48, _RATE, 1))
    arguments = [argument.replace("FILE", str(path)) for argument in options["arguments"]]
    repeats = range(options.get("repeats", 5))
    seconds = statistics.median(_quiet([*_OURS, *arguments]).seconds for _ in repeats)
    over_torch = None
    if options.get("beside_torch"):
        torch_s = statistics.median(
            _quiet([sys.executable, "-c", "import torch"]).seconds for _ in repeats
        )
        over_torch = seconds - torch_s
    path.unlink()
    shown = " ".join(["nervcodec", *options["arguments"]])
    return [{"command": f"`{shown}`", "seconds": seconds, "over_torch_s": over_torch}]


def measure_memory(options: Options, place: Place, stem: Path) -> list[Row]:
    """Return the peak memory of encoding and decoding a made-up clip, fitted for one epoch."""
    clip = stem.with_suffix(".y4m")
    coded = stem.with_suffix(".nvpp")
    size = parse_size(options.get("size", "1280x720"))
    write_pattern(clip, VideoFormat(*size, _RATE, options["frames"]))
    segment_frames = str(options.get("segment_frames", 5))
    threads = ["--device", place.device, "--threads", str(place.n_threads)]
    fit = ["--segment-frames", segment_frames, "--epochs", "1", "--restart"]
    encoding = _quiet([*_OURS, "encode", "-y", *fit, *threads, str(clip), str(coded)])
    decoding = _quiet([*_OURS, "decode", *threads, str(coded), "-"])
    clip.unlink()
    return [{"encode_mib": encoding.peak_bytes / 2**20, "decode_mib": decoding.peak_bytes / 2**20}]


def _quiet(command: list[str]) -> Run:
    """Run a command whose standard output is thrown away and whose messages are read."""
    shell = ["sh", "-c", 'exec "$@" 2>&1 >/dev/null', "sh"]
    return run_timed([*shell, *command], os.cpu_count() or 1, f"{' '.join(command[1:])} failed")
