"""Write the conformance suite: tests/conformance/suite, its files and manifest.json.

`PYTHONPATH=. python tests/support/make_suite.py [FOLDER]`. The files are the same each time; frames
are what the decoder of this project makes of them, and tests hold that to the foreign reader. Only
a change of the format may ask for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import suite_bad
import suite_files
import suite_values
from suite_bad import Bad

from nervcodec.decoder.framemd5 import hash_each
from nervcodec.decoder.reconstruct import decode_segment
from nervcodec.errors import LimitExceeded
from nervcodec.format.container import read_file

SUITE = Path(__file__).parents[1] / "conformance" / "suite"
SCHEMA = "nervcodec.conformance/1"
COMMAND = "PYTHONPATH=. python tests/support/make_suite.py"
Entry = dict[str, Any]


def frames_entry(data: bytes) -> Entry:
    """What a manifest says of the frames of a file (docs/contributing.md)."""
    file = read_file(data)
    model = file.header.model
    batches = (frames for segment in file.segments for frames in decode_segment(segment, model))
    segments, frames = hash_each(file, batches)
    return {
        "width": model.width,
        "height": model.height,
        "colorspace": model.colorspace,
        "bit_depth": model.bit_depth,
        "frames": file.header.format.n_frames,
        "segments": [
            {"frames": segment.n_frames, "md5": md5.hex()}
            for segment, md5 in zip(file.segments, segments, strict=True)
        ],
        "md5": frames.whole,
        "frame_md5": list(frames.each),
    }


def refused_entry(bad: Bad) -> Entry:
    """What a manifest says of a file that is to be refused."""
    assert bad.error
    entry: Entry = {"error": bad.error.__name__, "exit_code": bad.error.exit_code}
    if bad.error is LimitExceeded:
        entry["limit"] = True
    return {**entry, **({"or": "decode", **frames_entry(bad.like)} if bad.like else {})}


def suite() -> Iterator[tuple[Entry, bytes]]:
    """Each file's entry of the manifest, and its bytes."""

    def entry(kind: str, name: str, about: str, data: bytes, expect: str) -> Entry:
        return {
            "file": f"{kind}/{name}.nvpp",
            "about": about,
            "bytes": len(data),
            "expect": expect,
        }

    for good in suite_values.goods():
        data = suite_files.written(good)
        yield (
            {**entry("good", good.name, good.exercises, data, "decode"), **frames_entry(data)},
            data,
        )
    for kind, bads in (("bad", suite_bad.bads()), ("future", suite_bad.futures())):
        for bad in bads:
            expect = "refuse" if bad.error else "decode"
            rest = refused_entry(bad) if bad.error else frames_entry(bad.data)
            yield {**entry(kind, bad.name, bad.why, bad.data, expect), **rest}, bad.data


def manifest_text(entries: list[Entry]) -> str:
    """The manifest, a line a file."""
    lines = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in entries)
    head = "".join(f' "{key}": {json.dumps(value)},\n' for key, value in (
        ("schema", SCHEMA), ("command", COMMAND)))  # fmt: skip
    return f'{{\n{head} "files": [\n{lines}\n ]\n}}\n'


def write(folder: Path) -> None:
    """Write the suite, and remove what is no part of it."""
    contents = {}
    entries = []
    for entry, data in suite():
        entries.append(entry)
        contents[folder / entry["file"]] = data
    contents[folder / "manifest.json"] = manifest_text(entries).encode()
    for path in set(folder.glob("*/*.nvpp")) - set(contents):
        path.unlink()
    for path, data in contents.items():
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else SUITE)
