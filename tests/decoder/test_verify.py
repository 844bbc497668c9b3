"""nervcodec.decoder.verify: whether a file decodes to what its encoder saw."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from shell import Shell

from nervcodec.decoder.verify import SegmentVerdict, Verdict, Verification, verify
from nervcodec.format.container import load, write_file
from nervcodec.format.file import Segment


def rewritten(path: Path, *md5s: bytes | None) -> None:
    """Write the file with these in place of the MD5 of its segments."""
    file = load(path)
    segments = [replace(segment, md5=md5) for segment, md5 in zip(file.segments, md5s, strict=True)]
    path.write_bytes(write_file(file.header, segments))


def y4m_md5(path: Path, first: int, stop: int) -> str:
    """The MD5 of a .y4m file's samples, of the frames first..stop-1."""
    frames = path.read_bytes().split(b"FRAME\n")[1:]
    return hashlib.md5(b"".join(frames[first:stop])).hexdigest()


def test_an_encoded_file_is_exact(coded: Shell) -> None:
    """On the machine that encoded, every segment's MD5 is the stored one, and that of its frames
    in the decoded .y4m file.
    """
    assert coded("decode", "out.nvpp", "out.y4m").code == 0
    found = verify("out.nvpp")
    expected = [y4m_md5(Path("out.y4m"), 0, 2), y4m_md5(Path("out.y4m"), 2, 5)]
    assert found.segments == (
        SegmentVerdict(0, 2, "exact", expected[0], expected[0]),
        SegmentVerdict(2, 3, "exact", expected[1], expected[1]),
    )
    assert (found.verdict, found.complaint, found.md5) == ("exact", None, None)
    assert found.n_bytes == Path("out.nvpp").stat().st_size
    rows = coded("verify", "out.nvpp").out.splitlines()
    assert rows[2:] == [
        f"MD5        {expected[0]}",
        f"           {expected[1]}",
        "verdict    exact: every decoded sample is the encoder's",
    ]


def test_one_segment_has_the_md5_of_the_whole(coded: Shell) -> None:
    """Of a file of one segment without repeats it is what `ffmpeg -i out.y4m -f md5 -` gives."""
    assert coded("split", "out.nvpp", "part.nvpp", "--frames", "2:5").code == 0
    assert coded("decode", "part.nvpp", "part.y4m").code == 0
    found = json.loads(coded("verify", "part.nvpp", "--json").out)
    assert found["md5"] == found["segments"][0]["md5"] == y4m_md5(Path("part.y4m"), 0, 3)
    assert json.loads(coded("info", "part.nvpp", "--json").out)["md5"] == [found["md5"]]


@pytest.mark.parametrize("place", [0, 15])
def test_another_md5_differs(coded: Shell, place: int) -> None:
    """One bit suffices: exit 4, and one line with the frames and both MD5."""
    first, second = (segment.md5 for segment in load("out.nvpp").segments)
    assert first and second
    wrong = bytes(byte ^ (k == place) for k, byte in enumerate(second))
    rewritten(Path("out.nvpp"), first, wrong)
    result = coded("verify", "out.nvpp")
    assert result.code == 4 and "1 of them exact" in result.out
    assert (
        result.err.splitlines()[-1]
        == "nervcodec: error: frames 2 to 4 differ from what was encoded: their MD5 is"
        f" {second.hex()}, that of the encoder's {wrong.hex()}"
    )


def test_all_segments_that_differ_are_counted(coded: Shell) -> None:
    """The first one is named."""
    rewritten(Path("out.nvpp"), bytes(16), bytes(16))
    complaint = verify("out.nvpp").complaint
    assert complaint and complaint.startswith("frames 0 to 1 differ from what was encoded")
    assert complaint.endswith(f"that of the encoder's {'00' * 16} (2 segments of 2 differ)")


def test_a_file_without_md5_is_unknown(coded: Shell) -> None:
    """Where nothing is stored there is nothing to compare with: exit 0, and it is said."""
    stored = load("out.nvpp").segments[0].md5
    rewritten(Path("out.nvpp"), stored, None)
    result = coded("verify", "out.nvpp", "--json")
    found = json.loads(result.out)
    assert (result.code, found["schema"], found["verdict"]) == (0, "nervcodec.verify/1", "unknown")
    assert [each["verdict"] for each in found["segments"]] == ["exact", "unknown"]
    assert found["segments"][1]["stored_md5"] is None and len(found["segments"][1]["md5"]) == 32


def test_json_comes_before_the_error(coded: Shell) -> None:
    """A file that differs still gives its figures as JSON."""
    rewritten(Path("out.nvpp"), None, bytes(16))
    result = coded("verify", "--json", "out.nvpp")
    found = json.loads(result.out)
    assert (result.code, found["verdict"], found["segments"][1]["verdict"]) == (
        4,
        "differs",
        "differs",
    )
    assert len(result.err.splitlines()) == 1


def test_the_worst_segment_decides() -> None:
    """One verdict for all segments: the worst of them."""
    order: tuple[Verdict, ...] = ("exact", "unknown", "differs")
    for worst in order:
        segments = tuple(
            SegmentVerdict(0, 1, verdict, "", None) for verdict in ("exact", worst, "exact")
        )
        assert Verification("a.nvpp", 1, "torch", "cpu", segments, None).verdict == worst


def test_damage_is_found_first(coded: Shell) -> None:
    """A damaged file is an error of its own kind, whatever it would decode to."""
    data = bytearray(Path("out.nvpp").read_bytes())
    data[-20] ^= 4
    Path("out.nvpp").write_bytes(data)
    result = coded("verify", "out.nvpp")
    assert result.code == 4 and "checksum" in result.err and not result.out


def test_streams_of_no_encoder_are_found(coded: Shell) -> None:
    """Streams whose checksums were forged are damage too."""
    file = load("out.nvpp")
    first, second = file.segments
    wrong = Segment(
        (second.n_frames,), (second.streams[0] + b"\1", *second.streams[1:]), second.md5
    )
    Path("out.nvpp").write_bytes(write_file(file.header, [first, wrong]))
    result = coded("verify", "out.nvpp")
    assert (result.code, result.err.splitlines()[-1]) == (
        4,
        "nervcodec: error: a stream's bytes are not those of its symbols",
    )
