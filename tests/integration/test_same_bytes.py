"""An encode with a given seed and thread count keeps its bytes, whatever is moved or renamed around
it.

A fit repeats itself on one kind of CPU alone, so the hashes in data/encodes.json stand under the
CPU and torch that made them. `python tests/test_same_bytes.py FOLDER` records those of the machine
that it runs on.
"""

import hashlib
import json
import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from shell import write_clip

from nervcodec import EncodeOptions, Size, encode, plan

RECORD = Path(__file__).parents[1] / "data" / "encodes.json"
CASES = ("grid", "size", "paper")


def machine() -> str:
    """What the bytes of a fit depend on besides its options: CPU, the instructions that torch
    takes, torch.
    """
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text("utf-8").splitlines() if cpus.exists() else []
    names = [
        line.partition(":")[2].strip()
        for line in lines
        if line.startswith(("cpu family", "model\t"))
    ][:2]
    return " ".join(
        [platform.machine(), *names, torch.backends.cpu.get_cpu_capability(), torch.__version__]
    )


def digest(case: str, folder: Path) -> str:
    """SHA-256 of the case's file, encoded in a folder on one thread."""
    source = folder / "in.y4m"
    write_clip(source, 40, 34, 12)
    options = {
        "grid": EncodeOptions(preset="ultrafast", epochs=100),
        "size": EncodeOptions(preset="ultrafast", epochs=40, target=Size(1200), segment_frames=6),
        "paper": EncodeOptions(preset="paper-xs", epochs=2, frames=(0, 2)),
    }[case]
    options = replace(options, device="cpu", precision="float32", n_threads=1)
    encode(plan(source, folder / f"{case}.nvpp", options))
    return hashlib.sha256((folder / f"{case}.nvpp").read_bytes()).hexdigest()


@pytest.mark.parametrize("case", CASES)
def test_encodes_keep_their_bytes(case: str, tmp_path: Path) -> None:
    """A fit with RDOQ, one towards a size in two segments, and the paper's with pruning give the
    recorded files.
    """
    record = json.loads(RECORD.read_text("utf-8"))
    if machine() not in record:
        pytest.skip(f"no encodes are recorded for {machine()}")
    assert digest(case, tmp_path) == record[machine()][case]


if __name__ == "__main__":
    recorded = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    recorded[machine()] = {case: digest(case, Path(sys.argv[1])) for case in CASES}
    RECORD.write_text(json.dumps(recorded, indent=1) + "\n", "utf-8")
