"""What the fuzzers run (fuzz_parser.py, fuzz_sections.py): any bytes are read, or refused by a
BitstreamError.

`python tests/fuzz_targets.py FOLDER` writes what they begin with: FOLDER/parser, the hostile files
and good ones, and FOLDER/sections, segments and streams of good files.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from hostile import CASES, GOOD, MLP, file_of, header, segment

from nervcodec.cli.tables import info_rows
from nervcodec.coding.range_coder import Coded, Form, decode_symbols, encode_symbols
from nervcodec.errors import BitstreamError
from nervcodec.format import info, tensors
from nervcodec.format import info as fileinfo
from nervcodec.format.container import read_file, read_segment, write_file, write_segment
from nervcodec.format.file import File
from nervcodec.format.limits import Limits
from nervcodec.format.model_config import Block, Grid, GridStem, MlpStem, ModelConfig, Shots
from nervcodec.format.salvage import salvage

DATA = Path(__file__).parents[1] / "data"
MAX_PARAMETERS = 4000  # of a network whose streams are decoded
SHOTS: tuple[Shots, ...] = (
    (1,),
    (2,),
    (5,),
    (8,),
    (1, 1),
    (2, 3),
    (3, 1, 1),
    (1, 1, 1),
)  # of what is no whole segment

# Stem grids of one, two and several keys, finer ones, both stems, few and many levels.
MODELS = (
    ModelConfig(4, 2, "yuv420", GridStem(1, 2, (Grid(1, 1),)), (Block(1, 2),), parts=()),
    ModelConfig(
        8, 8, "yuv420", GridStem(2, 2, (Grid(1, 2), Grid(2, 1, 1))), (Block(2, 2),), bits=5
    ),
    ModelConfig(4, 2, "rgb", MlpStem(1, 2, 2, 1), (Block(1, 1), Block(2, 2)), bits=2),
    ModelConfig(
        12, 6, "yuv420", GridStem(3, 6, (Grid(1, 1), Grid(1, 3))), (Block(1, 1),), parts=(), bits=3
    ),
    ModelConfig(
        8,
        8,
        "yuv420",
        GridStem(2, 2, (Grid(1, 2), Grid(2, 1, 1)), motion_height=1, motion_width=2),
        (Block(2, 2),),
        bits=5,
    ),
    ModelConfig(
        8,
        8,
        "yuv420",
        GridStem(
            2, 2, (Grid(1, 2), Grid(2, 1, 1)), motion_height=1, motion_width=1, wavelet_levels=3
        ),
        (Block(2, 2),),
        bits=5,
    ),
)


def parse(data: bytes) -> None:
    """Reads any bytes as a file, as they are and with checksums made to fit; an accepted one is
    described and kept.
    """
    for each in (data, with_checksums(data)):
        for read in (read_file, lambda found: salvage(found)[0]):
            try:
                file = read(each)
                describe(file)
                Limits().check(file)
            except BitstreamError:
                pass


def describe(file: File) -> None:
    """Everything that is said of an accepted file can be said, and it comes back if it is written
    anew.
    """
    with mock.patch.object(fileinfo, "load", lambda _: file):
        found = info.info("a.nvpp")
    assert json.loads(json.dumps(found.as_json()))["bytes"] == file.n_bytes and info_rows(found)
    again = read_file(write_file(file.header, file.segments, file.extras))
    assert (again.header, again.segments, again.extras) == (
        file.header,
        file.segments,
        file.extras,
    )


def with_checksums(data: bytes) -> bytes:
    """The bytes with right checksums wherever one would be looked for, as far as lengths lead to
    one.
    """
    fixed = bytearray(data)

    def fix(start: int, end: int) -> None:
        if end + 4 <= len(fixed):
            fixed[end : end + 4] = struct.pack("<I", zlib.crc32(fixed[start:end]))

    if len(data) < 20:
        return data
    at = 12 + int.from_bytes(data[10:12], "little")
    fix(0, at)
    start = at + 4
    n_sections = min(int.from_bytes(data[start : start + 4], "little"), len(data))
    at = start + 4
    for _ in range(n_sections):
        at += 9 if data[at : at + 1] == b"\1" else 5  # a segment's entry has its frames
    fix(start, at)
    for _ in range(n_sections):
        start = at + 4
        entry = data[start + 1 : start + 5]
        if len(entry) < 4:
            break
        at = start + 5 + int.from_bytes(entry, "little")
        fix(start, at)
    return bytes(fixed)


def decode_sections(data: bytes) -> None:
    """Decodes any bytes without a container: a segment's payload, or a stream; the first two say
    which and of what.

    Each stream is decoded although others of the segment are wrong.
    """
    if len(data) < 2:
        return
    model = MODELS[data[0] % len(MODELS)]
    names = tensors.module_names(model)
    number = data[1] % (len(names) + 1)
    try:
        if number == len(names):
            read = read_segment(data[2:], len(names))
            shots, streams = read.shots, dict(zip(names, read.streams, strict=True))
            assert write_segment(read) == data[2:]
        else:
            shots, streams = (
                SHOTS[data[1] // (len(names) + 1) % len(SHOTS)],
                {names[number]: data[2:]},
            )
    except BitstreamError:
        return
    if tensors.n_parameters(model, shots) <= MAX_PARAMETERS:
        for name, stream in streams.items():
            decode(stream, forms_of(model, name, shots), model.max_symbol)


def forms_of(model: ModelConfig, module: str, shots: Shots) -> list[Form]:
    """Those of a module's groups."""
    return [
        Form(group.shape, group.keys, group.follows)
        for group in tensors.groups(model, shots)
        if group.module == module
    ]


def decode(stream: bytes, forms: list[Form], max_symbol: int) -> None:
    """Decodes a stream, or finds it wrong; there are as many symbols as there should be, in their
    range.
    """
    try:
        groups = decode_symbols(stream, forms, max_symbol)
    except BitstreamError:
        return
    for group, form in zip(groups, forms, strict=True):
        assert (
            group.symbols.shape == (math.prod(form.shape),)
            and np.abs(group.symbols).max() <= max_symbol
        )


# --- what they begin with ---


def parser_seeds() -> Iterator[bytes]:
    yield from (case.data for case in CASES)
    yield GOOD
    yield file_of(
        (200, b"new"), (129, bytes(32)), segment(), segment(n_frames=3), head=header(n_frames=4)
    )
    yield file_of(
        (2, b"\3\1\1\2"), (130, b"\1\x19\0\0\4\3\1"), segment(n_frames=4), head=header(n_frames=5)
    )
    yield file_of(segment((b"\0\0\0", b"\0\0", b"\0\0")), head=header([], **MLP))
    yield from (path.read_bytes() for path in sorted(DATA.glob("*.nvpp")))


def section_seeds() -> Iterator[bytes]:
    """For every model and module: streams of zeros, of small and of large symbols, alone and as a
    whole segment.
    """
    rng = np.random.default_rng(0)
    models, spreads = enumerate(MODELS), (0.0, 0.5, 1.5, 40.0)
    for (number, model), (choice, shots), spread in itertools.product(
        models, enumerate(SHOTS), spreads
    ):
        names = tensors.module_names(model)
        cuts = list(itertools.accumulate(shots[:-1]))
        head = (sum(shots), len(cuts), 9, 1, 2, 3, 4, *range(8))
        payload = struct.pack(f"<IHB12I{len(cuts)}I", *head, *cuts)
        for place, name in enumerate(names):
            forms = forms_of(model, name, shots)
            drawn = (np.rint(rng.laplace(0, spread, math.prod(form.shape))) for form in forms)
            groups = [
                Coded(np.clip(values, -model.max_symbol, model.max_symbol).astype(np.int32), 90)
                for values in drawn
            ]
            stream = encode_symbols(groups, forms, model.max_symbol)
            payload += struct.pack("<I", len(stream)) + stream
            yield bytes([number, place + choice * (len(names) + 1)]) + stream
        yield bytes([number, len(names)]) + payload
    for case in CASES:
        if case.stage == "streams":  # the stems' own: of one, of two keys
            stem = read_file(case.data).segments[0].streams[0]
            yield bytes([0, 0]) + stem
            yield bytes([0, 4]) + stem


def write_seeds(folder: Path) -> None:
    """Writes both kinds into folders of their own, as files that are called by what is in them."""
    for name, seeds in (("parser", parser_seeds()), ("sections", section_seeds())):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for data in seeds:
            (folder / name / hashlib.sha1(data).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
