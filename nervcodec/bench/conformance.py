"""How many files of the conformance suite decode to other frames than they should, by what decodes.

Each case is a process of its own, since libraries choose their instructions when they are loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nervcodec.bench.derived import Row
from nervcodec.bench.place import Options, Place
from nervcodec.bench.process import Run, run_timed
from nervcodec.coding.streams import decode_parameters
from nervcodec.decoder.digest import FrameHasher
from nervcodec.decoder.engines import Engine
from nervcodec.errors import ConfigError
from nervcodec.format.container import load
from nervcodec.format.file import Segment
from nervcodec.format.model_config import ModelConfig
from nervcodec.video.frames import Frames

KEYS = frozenset({"file", "engine", "threads", "batch", "instructions", "command", "digests_by"})
# What keeps torch, oneDNN, MKL and NumPy from later instructions than these. NumPy is built for
# those of its baseline, X86_V2.
_SETTINGS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
_NUMPY_SETTING = "NPY_DISABLE_CPU_FEATURES"
_INSTRUCTIONS: Mapping[str, tuple[str, str, str, str]] = {
    "default": ("default", "SSE41", "SSE4_2", "X86_V3,X86_V4,AVX512_ICL,AVX512_SPR"),
    "avx2": ("avx2", "AVX2", "AVX2", "X86_V4,AVX512_ICL,AVX512_SPR"),
    "avx512": ("avx512", "AVX512_CORE", "AVX512", "AVX512_ICL,AVX512_SPR"),
    "all": ("", "", "", ""),
}


def measure_conformance(options: Options, place: Place, stem: Path) -> list[Row]:
    """Decode the good files of the suite that the clips' folder holds, and count those whose frames
    have another MD5.

    Options: engine ('torch' or 'numpy'), instructions, and lists of threads and batch (frames that
    torch decodes at once, 0 for as many as the decoder takes), each combination of which decodes
    all files; or command: another decoder that writes raw planes, such as `{python} decoder.py
    {input} {output}`, where {suite} stands for that folder; or digests_by: a command that decodes
    the good files of {manifest} and prints a JSON object of `library` and `digests`, the MD5 of
    each shown frame by file.

    Raises:
        ConfigError: there are no such instructions.
    """
    manifest = place.source(options["file"])
    if "command" in options:
        return [_summed([_of_command(options["command"], manifest)])]
    if "digests_by" in options:
        return [_summed([_of_digests(options["digests_by"], manifest)])]
    name = options.get("instructions", "all")
    if name not in _INSTRUCTIONS:
        raise ConfigError(f"instructions is {name!r}; legal: {', '.join(_INSTRUCTIONS)}")
    command = [sys.executable, "-m", "nervcodec.bench.conformance", str(manifest)]
    command += ["--engine", options["engine"], "--device", place.device]
    wanted = dict(zip((*_SETTINGS, _NUMPY_SETTING), _INSTRUCTIONS[name], strict=True))
    setting = ["env", *(f"{key}={value}" for key, value in wanted.items() if value)]
    n_threads, batches = options.get("threads", [place.n_threads]), options.get("batch", [0])
    rows = []
    for n, batch in product(n_threads, batches):
        each = [*setting, *command, "--threads", str(n), "--batch", str(batch)]
        rows.append(run_timed(each, os.cpu_count() or 1, "conformance").said)
    shown = {"at_threads": _listed(n_threads), "at_batch": _listed(batches)}
    return [_summed(rows) | shown]


def _listed(numbers: Sequence[int]) -> str:
    """Return numbers as a table shows them, 0 as what the decoder takes."""
    return ", ".join(str(number) if number else "usual" for number in numbers)


def _summed(rows: Sequence[Row]) -> Row:
    """Return the row of several decodes of the suite."""
    wrong = sorted({name for row in rows for name in str(row["wrong"]).split(", ") if name})
    return {
        **rows[0],
        "decodes": len(rows),
        "mismatches": sum(int(row["mismatches"] or 0) for row in rows),
        "wrong": ", ".join(wrong),
    }


def _of_command(template: str, manifest: Path) -> Row:
    """Return how many files another decoder gets wrong."""
    entries, wrong = _good_entries(manifest), []
    with TemporaryDirectory() as folder:
        output = Path(folder, "decoded.raw")
        for entry in entries:
            files = {"input": manifest.parent / entry["file"], "output": output}
            _run(template, manifest, files)
            hasher = FrameHasher()
            hasher.add_raw(output.read_bytes())
            wrong += [entry["file"]] * (hasher.digest().hex() != entry["md5"])
            output.unlink()
    return _row(entries, wrong)


def _of_digests(template: str, manifest: Path) -> Row:
    """Return how many files a decoder of the whole suite gets wrong."""
    said = _run(template, manifest, {}).said
    entries = _good_entries(manifest)
    wrong = [
        entry["file"]
        for entry in entries
        if said.get("digests", {}).get(entry["file"]) != entry["frame_md5"]
    ]
    return {**_row(entries, wrong), "library": said.get("library")}


def _run(template: str, manifest: Path, files: Mapping[str, Path]) -> Run:
    """Run a command in whose words {python}, {suite}, {manifest} and the files' names stand."""
    names = {"python": sys.executable, "suite": manifest.parent, "manifest": manifest, **files}
    command = template.split()
    for name, value in names.items():
        command = [word.replace(f"{{{name}}}", str(value)) for word in command]
    return run_timed(command, os.cpu_count() or 1, "another decoder")


def _good_entries(manifest: Path) -> list[dict[str, Any]]:
    entries = json.loads(manifest.read_text("utf-8"))["files"]
    return [entry for entry in entries if entry["file"].startswith("good/")]


def _row(entries: Sequence[Mapping[str, Any]], wrong: Sequence[str]) -> Row:
    return {
        "files": len(entries),
        "frames": sum(entry["frames"] for entry in entries),
        "mismatches": len(wrong),
        "wrong": ", ".join(wrong),
    }


# --- the process of a case ---


def segment_frames(
    segment: Segment, model: ModelConfig, engine: Engine, batch: int
) -> Iterator[Frames]:
    """Yield the frames of a segment, so many at a time with torch.

    Args:
        batch: 0 leaves the number to the decoder.
    """
    parameters = decode_parameters(segment, model)
    if engine.name == "numpy" or not batch:
        numbers = range(segment.n_frames)
        yield from engine.reconstruct(
            parameters, model, numbers, segment.shots, segment.fraction_bits
        )
        return
    import torch

    from nervcodec.decoder.reconstruct import exact_decoder
    from nervcodec.nn.device import arithmetic, set_threads
    from nervcodec.nn.integer_network import IntegerNetwork
    from nervcodec.nn.planes import unpack

    set_threads(engine.n_threads)
    where = torch.device(engine.device)
    integers = IntegerNetwork(parameters, model, segment.shots, segment.fraction_bits)
    decoder = exact_decoder(integers, where)
    for start in range(0, segment.n_frames, batch):
        with torch.inference_mode(), arithmetic(where, is_exact=True):
            planes = decoder(range(start, min(start + batch, segment.n_frames)))
        yield unpack(planes.cpu().numpy(), model)


def count_mismatches(manifest: Path, engine: Engine, batch: int) -> Row:
    """Return how many files have a segment of another MD5 than the suite says, and with what."""
    entries, wrong = _good_entries(manifest), []
    for entry in entries:
        file = load(manifest.parent / entry["file"])
        for segment, expected in zip(file.segments, entry["segments"], strict=True):
            hasher = FrameHasher()
            for frames in segment_frames(segment, file.header.model, engine, batch):
                hasher.add(frames)
            if hasher.digest().hex() != expected["md5"]:
                wrong.append(entry["file"])
                break
    return {**_row(entries, wrong), **_library(engine)}


def _library(engine: Engine) -> Row:
    """Return what multiplies, with its version, and the instructions that it found."""
    if engine.name == "numpy":
        import numpy as np

        return {"library": f"NumPy {np.__version__}", "found": None}
    import torch

    found = torch.backends.cpu.get_cpu_capability()
    return {"library": f"torch {torch.__version__}", "found": found}


def main() -> None:
    """Print the row of a case as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--engine", choices=("torch", "numpy"), default="torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0)
    options = parser.parse_args()
    device = "cpu" if options.engine == "numpy" else options.device
    engine = Engine(options.engine, device, n_threads=options.threads)
    print(json.dumps(count_mismatches(options.manifest, engine, options.batch)))


if __name__ == "__main__":
    main()
