"""nervcodec concat and split: whole commands on a file that was encoded."""

from __future__ import annotations

import json

from shell import Shell


def test_parts_of_a_file_give_it_again(coded: Shell) -> None:
    """Both parts, and the file that they make, decode to exactly what the encoder saw."""
    assert coded("split", "out.nvpp", "a.nvpp", "--frames", ":2").code == 0
    told = coded("split", "out.nvpp", "b.nvpp", "--frames", "2:")
    size = (coded.folder / "b.nvpp").stat().st_size
    assert told.out == f"b.nvpp: 3 frames, segments: 1, {size:,} bytes\n"
    assert coded("concat", "a.nvpp", "b.nvpp", "ab.nvpp").code == 0
    whole = (coded.folder / "out.nvpp").read_bytes()
    assert (coded.folder / "ab.nvpp").read_bytes() == whole
    assert coded("concat", "b.nvpp", "a.nvpp", "ba.nvpp").code == 0
    for name, n_segments in (("a", 1), ("b", 1), ("ba", 2)):
        verified = json.loads(coded("verify", f"{name}.nvpp", "--json").out)
        verdicts = [segment["verdict"] for segment in verified["segments"]]
        assert verdicts == ["exact"] * n_segments


def test_a_part_ends_where_a_segment_does(coded: Shell) -> None:
    """Another range is an error of one line, as is a range that is none."""
    result = coded("split", "out.nvpp", "a.nvpp", "--frames", "0:3")
    assert result.code == 2 and not (coded.folder / "a.nvpp").exists()
    assert result.err == (
        "nervcodec: error: frames are 0:3; legal: A:B with A < B among 0, 2, 5, where segments"
        " begin or end\n"
    )
    assert coded("split", "out.nvpp", "a.nvpp").code == 2
    assert coded("split", "out.nvpp", "a.nvpp", "--frames", "x").code == 2


def test_an_output_is_kept_unless_told_otherwise(coded: Shell) -> None:
    """-y replaces it."""
    arguments = ("concat", "out.nvpp", "out.nvpp", "twice.nvpp")
    assert coded(*arguments).code == 0
    assert coded(*arguments).code == 7
    assert coded(*arguments, "-y", "-q").out == ""
    assert json.loads(coded("info", "twice.nvpp", "--json").out)["segments"] == [2, 3, 2, 3]


def test_concat_takes_files_alone(coded: Shell) -> None:
    """One name is an output without inputs; another format or a missing file is an error."""
    assert coded("concat", "out.nvpp").code == 2
    assert coded("concat", "out.nvpp", "in.y4m", "x.nvpp").code == 4
    assert coded("concat", "out.nvpp", "absent.nvpp", "x.nvpp").code == 3
    assert not (coded.folder / "x.nvpp").exists()
