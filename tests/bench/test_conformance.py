"""nervcodec.bench.conformance: files of the suite that decode otherwise are counted and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from make_suite import SUITE

from nervcodec.bench.conformance import count_mismatches, measure_conformance
from nervcodec.bench.place import Place
from nervcodec.decoder.engines import Engine
from nervcodec.errors import ConfigError

NAMES = ("good/grid-still.nvpp", "good/cuts.nvpp", "good/segments.nvpp")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A suite of three files, one of which has a wrong MD5."""
    manifest = json.loads((SUITE / "manifest.json").read_text("utf-8"))
    entries: list[dict[str, Any]] = [e for e in manifest["files"] if e["file"] in NAMES]
    for entry in entries:
        (tmp_path / entry["file"]).parent.mkdir(exist_ok=True)
        (tmp_path / entry["file"]).write_bytes((SUITE / entry["file"]).read_bytes())
    wrong = next(entry for entry in entries if entry["file"] == "good/cuts.nvpp")
    wrong["segments"][0]["md5"] = wrong["md5"] = wrong["frame_md5"][1] = "0" * 32
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"files": entries}), "utf-8")
    return path


@pytest.mark.parametrize(
    ("engine", "batch"), [("torch", 0), ("torch", 1), ("torch", 3), ("numpy", 0)]
)
def test_mismatches(small: Path, engine: Any, batch: int) -> None:
    """The one wrong MD5 is counted, however many frames are decoded at once."""
    row = count_mismatches(small, Engine(engine, n_threads=1), batch)
    found = row["files"], row["frames"], row["mismatches"], row["wrong"]
    assert found == (3, 23, 1, "good/cuts.nvpp")
    assert str(row["library"]).lower().startswith(engine)


def test_unknown_instructions(small: Path) -> None:
    """They are refused with what is legal."""
    options = {"file": "manifest.json", "engine": "torch", "instructions": "mmx"}
    with pytest.raises(ConfigError, match="is 'mmx'; legal: default, avx2, avx512, all"):
        measure_conformance(options, Place(small.parent, small.parent), small)


def test_digests_by_a_command(small: Path) -> None:
    """A file whose frames are other ones, or that is not decoded, is a mismatch."""
    original = json.loads((SUITE / "manifest.json").read_text("utf-8"))["files"]
    digests = {entry["file"]: entry.get("frame_md5") for entry in original}
    del digests["good/segments.nvpp"]
    (small.parent / "said.json").write_text(json.dumps({"library": "X 1", "digests": digests}))
    options = {"file": "manifest.json", "digests_by": "cat {suite}/said.json"}
    (row,) = measure_conformance(options, Place(small.parent, small.parent), small)
    assert (row["files"], row["frames"], row["library"]) == (3, 23, "X 1")
    assert (row["mismatches"], row["wrong"]) == (2, "good/cuts.nvpp, good/segments.nvpp")


@pytest.mark.slow
def test_a_case(small: Path) -> None:
    """Processes with several threads and batches are summed; another decoder is run too."""
    place = Place(small.parent, small.parent)
    options: dict[str, Any] = {"file": "manifest.json", "engine": "torch", "batch": [1, 3]}
    (row,) = measure_conformance({**options, "instructions": "default"}, place, small)
    assert (row["decodes"], row["mismatches"], row["at_batch"]) == (2, 2, "1, 3")
    assert row["found"] in ("DEFAULT", "NO AVX")
    support = SUITE.parents[1] / "support"
    command = f"{{python}} {support}/reference_decoder.py {{input}} {{output}}"
    (row,) = measure_conformance({"file": "manifest.json", "command": command}, place, small)
    assert (row["decodes"], row["mismatches"], row["wrong"]) == (1, 1, "good/cuts.nvpp")
