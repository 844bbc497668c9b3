"""The files of the conformance suite are what its manifest says, by every decoder that is here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make_suite
import pytest
import reference_decoder
import reference_reader
from make_suite import SUITE, manifest_text, suite

from nervcodec import errors
from nervcodec.coding.streams import decode_parameters
from nervcodec.decoder.engines import Engine, EngineName
from nervcodec.decoder.framemd5 import FrameMd5s, hash_each
from nervcodec.decoder.verify import verify
from nervcodec.errors import BitstreamError, LimitExceeded
from nervcodec.format.container import load
from nervcodec.format.limits import Limits

Entry = dict[str, Any]
MANIFEST = json.loads((SUITE / "manifest.json").read_text("utf-8"))
FILES: list[Entry] = MANIFEST["files"]
DECODED = [entry for entry in FILES if entry["expect"] == "decode"]
REFUSED = [entry for entry in FILES if entry["expect"] == "refuse"]
SMALL_BYTES = 1200  # of files that the foreign reader decodes in hundredths of a second


def by_name(entries: list[Entry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=lambda entry: entry["file"])


def decoded(path: Path, engine: EngineName) -> tuple[list[bytes], FrameMd5s]:
    """The MD5 of each segment and of the shown frames, after all that a decoder checks."""
    file = load(path)
    Limits().check(file)
    made = Engine(engine)
    model = file.header.model
    batches = (
        frames
        for segment in file.segments
        for frames in made.reconstruct(
            decode_parameters(segment, model),
            model,
            range(segment.n_frames),
            segment.shots,
            segment.fraction_bits,
        )
    )
    return hash_each(file, batches)


def kinds_of(entries: list[Entry]) -> dict[str, int]:
    kinds = [entry["file"].partition("/")[0] for entry in entries]
    return {kind: kinds.count(kind) for kind in ("good", "bad", "future")}


def test_there_are_many_and_small_ones() -> None:
    """The suite has enough files of each kind, each error of section 6.1, and less than 400 kB."""
    assert {path.relative_to(SUITE).as_posix() for path in SUITE.rglob("*.nvpp")} == {
        entry["file"] for entry in FILES
    }
    assert kinds_of(DECODED)["good"] >= 40
    assert kinds_of(REFUSED)["bad"] >= 60
    assert kinds_of(DECODED)["future"] >= 6
    assert kinds_of(REFUSED)["future"] >= 6
    assert sum(path.stat().st_size for path in SUITE.rglob("*") if path.is_file()) < 400_000
    assert {entry["error"] for entry in REFUSED} == {
        "BadMagic", "UnsupportedVersion", "Checksum", "Truncated", "UnknownPrior", "InvalidField",
        "BitstreamError", "LimitExceeded", "FramesDiffer",
    }  # fmt: skip


def test_the_command_writes_the_suite() -> None:
    """`make_suite.py` writes these bytes and this manifest."""
    entries = []
    for entry, data in suite():
        assert (SUITE / entry["file"]).read_bytes() == data, entry["file"]
        entries.append(entry)
    text = (SUITE / "manifest.json").read_text("utf-8")
    assert manifest_text(entries) == text
    assert MANIFEST["schema"] == make_suite.SCHEMA


@by_name(DECODED)
@pytest.mark.parametrize("engine", ["torch", "numpy"])
def test_engines_make_the_frames(engine: EngineName, entry: Entry) -> None:
    """Torch and NumPy make the frames of the manifest, and the file says the same of them."""
    path = SUITE / entry["file"]
    segments, frames = decoded(path, engine)
    assert [md5.hex() for md5 in segments] == [part["md5"] for part in entry["segments"]]
    assert (frames.whole, list(frames.each)) == (entry["md5"], entry["frame_md5"])
    assert len(frames.each) == entry["frames"]
    if entry["file"] != "good/no-md5.nvpp" and entry["file"].startswith("good/"):
        assert [segment.md5 for segment in load(path).segments] == segments


def foreign(entry: Entry) -> Any:
    """A file for the foreign reader; what takes longer runs with the slow tests."""
    is_slow = entry["bytes"] > SMALL_BYTES or entry["frames"] > 9
    return pytest.param(entry, marks=[pytest.mark.slow] if is_slow else [], id=entry["file"])


@pytest.mark.parametrize("entry", [foreign(entry) for entry in DECODED])
def test_the_foreign_reader_makes_the_frames(entry: Entry) -> None:
    """So does the reader that is written from the specification alone."""
    data = (SUITE / entry["file"]).read_bytes()
    n_bytes = len(raw := reference_decoder.decoded(data)) // entry["frames"]
    frames = [raw[at : at + n_bytes] for at in range(0, len(raw), n_bytes)]
    assert [reference_decoder.md5_of(frame) for frame in frames] == entry["frame_md5"]
    assert reference_decoder.md5_of(raw) == entry["md5"]


@by_name(REFUSED)
def test_bad_files_are_refused(entry: Entry) -> None:
    """The error is that of the manifest, with its exit code."""
    path = SUITE / entry["file"]
    expected = getattr(errors, entry["error"])
    assert expected.exit_code == entry["exit_code"]
    assert entry.get("limit", False) == (expected is LimitExceeded)
    if expected is errors.FramesDiffer:
        found = verify(path, device="cpu", jobs=1)
        assert found.verdict == "differs"
        assert [part.md5 for part in found.segments] == [part["md5"] for part in entry["segments"]]
        return
    with pytest.raises(BitstreamError) as caught:
        decoded(path, "torch")
    assert type(caught.value) is expected


@by_name([entry for entry in REFUSED if not entry.get("limit")])
def test_the_foreign_reader_refuses_bad_files(entry: Entry) -> None:
    """But for those that limits refuse, since it has none."""
    with pytest.raises(ValueError):
        reference_decoder.decoded((SUITE / entry["file"]).read_bytes())


def test_unknown_sections_are_counted() -> None:
    """A reader skips them, and finds the segments between."""
    n_unknown = {
        entry["file"]: load(SUITE / entry["file"]).n_unknown
        for entry in DECODED
        if entry["file"].startswith("future/section")
    }
    assert n_unknown == {
        "future/section-128.nvpp": 1,
        "future/section-131.nvpp": 1,
        "future/section-200.nvpp": 1,
        "future/section-255.nvpp": 1,
        "future/section-twice.nvpp": 2,
        "future/sections-many.nvpp": 20,
    }


def test_files_have_what_they_say() -> None:
    """Records of each kind, classes 1 to 6, steps of layers and fraction bits all occur."""
    files = [reference_reader.read((SUITE / e["file"]).read_bytes()) for e in DECODED]
    headers = [file.header for file in files]
    assert {header["bits"] for header in headers} == set(range(2, 13))
    assert {(h["colorspace"], h["bit_depth"]) for h in headers} == {
        (colorspace, depth) for colorspace in range(5) for depth in range(3)
    }
    assert {header["parts"] for header in headers} == {
        parts for parts in range(16) if parts & 9 != 8
    }
    assert {header["wavelet_levels"] for header in headers} == set(range(5))
    assert {(h["stem"], h["biases"]) for h in headers} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {s.fraction_bits for file in files for s in file.segments} == set(range(4, 11))
    assert {stride for file in files for stride, _ in file.blocks} >= {1, 2, 3, 4, 5, 16}
