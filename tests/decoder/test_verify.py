"""nervcodec.decoder.verify: whether a file decodes to what its encoder saw."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from shell import Shell

from nervcodec.decoder.verify import (
    MAX_DRIFT,
    SegmentVerdict,
    Verdict,
    Verification,
    verify,
)
from nervcodec.format.container import load, write_file
from nervcodec.format.file import File, FrameSums, Segment

LUMA = 3 * 24 * 18  # samples of the second segment of `coded`


def rewritten(path: Path, change: Callable[[FrameSums], FrameSums | None]) -> File:
    """The file with the second segment's sums changed."""
    file = load(path)
    first, second = file.segments
    assert second.sums
    path.write_bytes(write_file(file.header, [first, replace(second, sums=change(second.sums))]))
    return file


def test_an_encoded_file_is_exact(coded: Shell) -> None:
    """On the machine that encoded, every segment's checksum and sums are the stored ones."""
    found = verify("out.nvpp")
    assert [(each.first, each.n_frames, each.verdict, each.drifts) for each in found.segments] == [
        (0, 2, "exact", (0, 0, 0)),
        (2, 3, "exact", (0, 0, 0)),
    ]
    assert (found.verdict, found.worst_drift, found.complaint) == ("exact", 0, None)
    assert found.n_bytes == Path("out.nvpp").stat().st_size


@pytest.mark.parametrize("off", [0, 1, int(MAX_DRIFT * LUMA)])
def test_a_little_drift_is_no_damage(coded: Shell, off: int) -> None:
    """Another checksum with sums that are off by up to the bound is near, and exit 0."""
    rewritten(
        Path("out.nvpp"),
        lambda sums: FrameSums(sums.crc ^ 1, (sums.planes[0] + off, *sums.planes[1:])),
    )
    found = verify("out.nvpp")
    assert [each.verdict for each in found.segments] == [
        "exact",
        "near",
    ] and found.verdict == "near"
    assert found.worst_drift == pytest.approx(off / LUMA) and not found.complaint
    result = coded("verify", "out.nvpp")
    assert result.code == 0 and "near: a plane's samples differ" in result.out


def test_more_drift_is(coded: Shell) -> None:
    """Beyond the bound a file differs: exit 4 and one line with frames, drifts and the bound."""
    off = int(MAX_DRIFT * LUMA) + 1
    rewritten(
        Path("out.nvpp"),
        lambda sums: FrameSums(sums.crc ^ 1, (sums.planes[0] - off, *sums.planes[1:])),
    )
    result = coded("verify", "out.nvpp")
    assert result.code == 4
    assert (
        result.err.splitlines()[-1]
        == "nervcodec: error: frames 2 to 4 differ from what was encoded: their planes are off by"
        f" {off / LUMA:+.3f}, +0.000, +0.000 levels in the mean; legal: within 0.02"
    )


def test_a_file_without_sums_is_unknown(coded: Shell) -> None:
    """Where nothing is stored there is nothing to compare with: exit 0, and it is said."""
    rewritten(Path("out.nvpp"), lambda _: None)
    result = coded("verify", "out.nvpp", "--json")
    found = json.loads(result.out)
    assert (result.code, found["schema"], found["verdict"]) == (0, "nervcodec.verify/1", "unknown")
    assert [each["verdict"] for each in found["segments"]] == ["exact", "unknown"]


def test_json_comes_before_the_error(coded: Shell) -> None:
    """A file that differs still gives its figures as JSON."""
    rewritten(Path("out.nvpp"), lambda sums: FrameSums(sums.crc, (0, 0, 0)))
    result = coded("verify", "--json", "out.nvpp")
    found = json.loads(result.out)
    assert (result.code, found["verdict"], found["segments"][1]["verdict"]) == (
        4,
        "differs",
        "differs",
    )
    assert found["worst_drift"] == max(map(abs, found["segments"][1]["drifts"])) > MAX_DRIFT
    assert len(result.err.splitlines()) == 1


def test_the_worst_segment_decides() -> None:
    """One verdict for all segments: the worst of them."""
    order: tuple[Verdict, ...] = ("exact", "near", "unknown", "differs")
    for worst in range(4):
        segments = tuple(SegmentVerdict(0, 1, order[i], None) for i in (0, worst, 0))
        assert Verification("a.nvpp", 1, "cpu", segments).verdict == order[worst]


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
        (second.n_frames,), (second.streams[0] + b"\1", *second.streams[1:]), second.sums
    )
    Path("out.nvpp").write_bytes(write_file(file.header, [first, wrong]))
    result = coded("verify", "out.nvpp")
    assert (result.code, result.err.splitlines()[-1]) == (
        4,
        "nervcodec: error: a stream's bytes are not those of its symbols",
    )
