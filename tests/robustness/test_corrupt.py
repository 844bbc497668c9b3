"""A damaged file is refused: cut at every byte, with every bit flipped, with any bytes wrong, with
more at its end.

Where checksums were made to fit, the checks behind them hold.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from fresh import assert_refused, assert_refused_cheaply
from shell import Shell

from nervcodec.cli.tables import info_rows
from nervcodec.coding.streams import decode_symbols_of
from nervcodec.encoder.segment import encode_segment
from nervcodec.errors import BadMagic, BitstreamError, InvalidField, LimitExceeded, Truncated
from nervcodec.format.container import SEGMENT, read_file, write_file
from nervcodec.format.file import Header, Segment, StoredQuality
from nervcodec.format.info import info
from nervcodec.format.limits import Limits
from nervcodec.format.model_config import Block, MlpStem, ModelConfig
from nervcodec.format.salvage import salvage
from nervcodec.format.video_format import VideoFormat
from nervcodec.training.config import FitConfig
from nervcodec.video.frames import Frames

NAMES = ("grid", "mlp", "two")
COMMANDS = (["decode", "a.nvpp", "out.y4m"], ["verify", "a.nvpp"], ["info", "a.nvpp"])
SMALL = Limits(side=256, pixels=1 << 14, frames=64, parameters=20_000, kmac=100, memory=1 << 30)


@pytest.fixture(scope="module")
def files(small_file: bytes) -> Mapping[str, bytes]:
    """A grid network of one segment, the paper's network in RGB, and two segments: real ones of
    some hundred bytes.
    """
    mlp = ModelConfig(4, 2, "rgb", MlpStem(1, 2, 2, 1), (Block(2, 2),), bits=6)
    frames = Frames.empty("rgb", 2, 4, 2)
    for k, plane in enumerate(frames.planes):
        plane[:] = np.arange(16).reshape(2, 2, 4) * (9 + k)
    rgb = write_file(
        Header(VideoFormat(4, 2, Fraction(25), 2, "rgb"), mlp),
        [
            replace(
                encode_segment(frames, None, mlp, FitConfig(epochs=2))[0],
                quality=StoredQuality(psnr_rgb=20.0),
            )
        ],
    )
    one = read_file(small_file)
    header = Header(replace(one.header.format, n_frames=4), one.header.model)
    return {
        "grid": small_file,
        "mlp": rgb,
        "two": write_file(header, one.segments * 2),
    }


def entry_bytes(kind: int) -> int:
    """Bytes of a section's entry in the index: a segment's has its frames."""
    return 9 if kind == SEGMENT else 5


def layout(data: bytes) -> tuple[int, int, list[tuple[int, int]]]:
    """Where a good file's header and its index end, and where its sections begin and end, all with
    their checksums.
    """
    header_end = 16 + int(struct.unpack_from("<H", data, 10)[0])
    n_sections, at = struct.unpack_from("<I", data, header_end)[0], header_end + 4
    lengths = []
    for _ in range(n_sections):
        kind, length = struct.unpack_from("<BI", data, at)
        lengths.append(length)
        at += entry_bytes(kind)
    index_end = at + 4
    ends = index_end + np.cumsum([length + 9 for length in lengths])
    return (
        header_end,
        index_end,
        [(int(end) - length - 9, int(end)) for end, length in zip(ends, lengths)],
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_files_are_accepted(files: Mapping[str, bytes], name: str) -> None:
    """The files that are damaged below are good ones, small, and of one or of two segments."""
    file = read_file(files[name])
    assert len(file.segments) == (2 if name == "two" else 1) and len(files[name]) < 1000
    assert len(decode_symbols_of(file.segments[0], file.header.model)) > 10
    assert layout(files[name])[2][-1][1] == len(files[name])


# --- every cut, every bit ---


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_is_noticed_at_every_byte(files: Mapping[str, bytes], name: str) -> None:
    """A file that ends early is refused, wherever: as truncated if anything of it is there."""
    for n_bytes in range(len(files[name])):
        with pytest.raises(Truncated if n_bytes else BadMagic):
            read_file(files[name][:n_bytes])


@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_bit_is_noticed(files: Mapping[str, bytes], name: str) -> None:
    """A single wrong bit is a BitstreamError, wherever it is."""
    for at in range(len(files[name])):
        for bit in range(8):
            damaged = bytearray(files[name])
            damaged[at] ^= 1 << bit
            with pytest.raises(BitstreamError):
                read_file(bytes(damaged))


def samples(files: Mapping[str, bytes], n: int, seed: int) -> Iterator[tuple[list[str], bytes]]:
    """Commands with files that are cut or have a bit flipped at random."""
    rng = random.Random(seed)
    for number in range(n):
        data = bytearray(files[rng.choice(NAMES)])
        at = rng.randrange(len(data))
        if number % 2:
            del data[at:]
        else:
            data[at] ^= 1 << rng.randrange(8)
        yield COMMANDS[number % 3], bytes(data)


def test_commands_refuse_damage_in_one_line(files: Mapping[str, bytes], shell: Shell) -> None:
    """Of a hundred damaged files each command says in one line what is wrong, exits with 4 and
    writes nothing.
    """
    for command, data in samples(files, 100, seed=1):
        Path("a.nvpp").write_bytes(data)
        assert_refused(shell(*command), 4)
        assert [path.name for path in shell.folder.iterdir()] == ["a.nvpp"]


def test_fresh_processes_refuse_damage_at_once(files: Mapping[str, bytes], tmp_path: Path) -> None:
    """In a process of its own, eight of them, a refusal takes less than 2 seconds and 512 MiB."""
    for command, data in samples(files, 8, seed=2):
        (tmp_path / "a.nvpp").write_bytes(data)
        assert_refused_cheaply(tmp_path, command, 4)
        assert [path.name for path in tmp_path.iterdir()] == ["a.nvpp"]


# --- many bytes ---


def corrupted(data: bytes, first: int, stop: int, n: int, seed: int) -> Iterator[bytes]:
    """So many copies of the data with one to eight of the bytes first .. stop-1 changed, none of
    them the data.
    """
    rng = np.random.default_rng(seed)
    original, block = np.frombuffer(data, np.uint8), 4096
    for start in range(0, n, block):
        copies = np.tile(original, (min(block, n - start), 1))
        places = rng.integers(first, stop, (len(copies), 8))
        masks = rng.integers(1, 256, places.shape, np.uint8)
        masks[:, 1:] *= np.arange(1, 8) < rng.integers(1, 9, (len(copies), 1))
        np.bitwise_xor.at(copies, (np.arange(len(copies))[:, None], places), masks)
        same = (copies == original).all(axis=1)
        copies[same, first] ^= 1
        yield from map(bytes, copies)


def n_accepted(data: bytes, n: int, seed: int) -> int:
    """How many of so many files with a damaged header or index are read as if nothing were
    wrong.
    """
    found = 0
    for damaged in corrupted(data, 0, layout(data)[1], n, seed):
        try:
            read_file(damaged)
        except BitstreamError:
            continue
        found += 1
    return found


@pytest.mark.parametrize("name", NAMES)
def test_damaged_headers_are_noticed(files: Mapping[str, bytes], name: str) -> None:
    """Of 20,000 files with up to eight wrong bytes in header and index none is accepted: each is a
    BitstreamError.
    """
    assert n_accepted(files[name], 20_000 // 3 + 1, seed=3) == 0


@pytest.mark.slow
def test_a_million_damaged_headers_are_noticed(files: Mapping[str, bytes]) -> None:
    """The same of a million."""
    assert [n_accepted(files[name], 333_334, seed=4) for name in NAMES] == [0, 0, 0]


def repaired(damaged: bytes, original: bytes) -> bytes:
    """All checksums made to fit, and the index to the sections where they were."""
    data = bytearray(damaged)
    header_end, index_end, sections = layout(original)
    at = header_end + 4
    for start, _ in sections:
        n_bytes = entry_bytes(original[start])
        data[at : at + 5] = data[start : start + 5]
        if n_bytes > 5:
            data[at + 5 : at + 9] = data[start + 5 : start + 9]
        at += n_bytes
    for start, stop in ((0, header_end), (header_end, index_end), *sections):
        data[stop - 4 : stop] = struct.pack("<I", zlib.crc32(data[start : stop - 4]))
    return bytes(data)


def outcome(damaged: bytes, path: Path) -> str:
    """How far a file gets whose checksums fit: all that reads it may raise a BitstreamError, and
    nothing else.
    """
    for read in (read_file, salvage):
        try:
            read(damaged)
        except BitstreamError:
            pass
    try:
        file = read_file(damaged)
        SMALL.check(file)
    except BitstreamError as error:
        return "too large" if isinstance(error, LimitExceeded) else "refused"
    path.write_bytes(damaged)
    assert len(info_rows(info(path))) >= 15
    try:
        for segment in file.segments:
            for group in decode_symbols_of(segment, file.header.model):
                assert np.abs(group.symbols).max() <= file.header.model.max_symbol
    except BitstreamError:
        return "no stream"
    return "accepted"


def outcomes(data: bytes, n: int, seed: int, path: Path) -> dict[str, int]:
    """How many files got how far that are wrong in header, sections or both, but have fitting
    checksums.
    """
    found: dict[str, int] = {}
    header_end, index_end, _ = layout(data)
    for first, stop in ((12, header_end - 4), (index_end, len(data)), (12, len(data))):
        for damaged in corrupted(data, first, stop, n // 3, seed):
            result = outcome(repaired(damaged, data), path)
            found[result] = found.get(result, 0) + 1
    return found


@pytest.mark.parametrize("name", NAMES)
def test_forged_checksums_meet_the_other_checks(
    files: Mapping[str, bytes], name: str, tmp_path: Path
) -> None:
    """Files with fitting checksums and up to eight wrong bytes are refused, or read, described and
    decoded.
    """
    found = outcomes(files[name], 1500, 5, tmp_path / "a.nvpp")
    assert (
        set(found) == {"refused", "too large", "no stream", "accepted"}
        and sum(found.values()) == 1500
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_forged_checksums_meet_the_other_checks(
    files: Mapping[str, bytes], name: str, tmp_path: Path
) -> None:
    """The same of twenty times as many."""
    assert sum(outcomes(files[name], 30_000, 6, tmp_path / "a.nvpp").values()) == 30_000


# --- more bytes, other streams ---


@pytest.mark.parametrize("extra", [b"\0", b"\n", b"\xff" * 4, bytes(1000)])
def test_extra_bytes_are_refused(small_file: bytes, extra: bytes) -> None:
    """Nothing may follow the last section, not even a line end."""
    with pytest.raises(InvalidField, match="length of file"):
        read_file(small_file + extra)


def test_two_files_in_a_row_are_refused(small_file: bytes) -> None:
    """A file appended to itself is no file."""
    with pytest.raises(InvalidField, match="length of file"):
        read_file(small_file * 2)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_streams_give_symbols_or_an_error(files: Mapping[str, bytes], name: str) -> None:
    """Where a checksum was forged, wrong streams decode to symbols within range or to a
    BitstreamError.
    """
    file = read_file(files[name])
    streams, n_refused = file.segments[0].streams, 0
    for i, stream in enumerate(streams):
        for at in range(len(stream)):
            for change in (0x01, 0x80, 0xFF):
                wrong = stream[:at] + bytes([stream[at] ^ change]) + stream[at + 1 :]
                segment = Segment(
                    (file.segments[0].n_frames,), (*streams[:i], wrong, *streams[i + 1 :])
                )
                try:
                    coded = decode_symbols_of(segment, file.header.model)
                except BitstreamError:
                    n_refused += 1
                else:
                    assert (
                        max(abs(group.symbols).max() for group in coded)
                        <= file.header.model.max_symbol
                    )
    assert n_refused > 0
