"""nervcodec compare: what a user sees of it."""

from __future__ import annotations

import json

from shell import Shell


def test_compare_prints_every_metric(clips: Shell) -> None:
    """The table has a line for each metric, with similarities to four digits and the reason for
    what is missing.
    """
    result = clips("compare", "in.y4m", "in2.y4m")
    assert result.code == 0
    rows = dict(line.split("  ", 1) for line in result.out.splitlines() if "  " in line)
    assert [row.strip() for row in rows] == [
        "videos",
        "PSNR Y, U, V",
        "PSNR 6:1:1",
        "PSNR RGB",
        "of mean MSE",
        "SSIM Y",
        "MS-SSIM Y",
        "XPSNR Y, U, V",
        "VMAF",
    ]
    assert rows["PSNR Y, U, V"].strip().startswith("100.0000, 100.0000, ")
    assert rows["SSIM Y"].strip() == "1.0000"
    assert "161 pixels" in rows["MS-SSIM Y"] and "2025 pixels" in rows["XPSNR Y, U, V"]


def test_compare_as_json_and_csv(clips: Shell) -> None:
    """--json prints the whole of it under its schema, and --csv has the same figures frame by
    frame.
    """
    result = clips("compare", "in.y4m", "in2.y4m", "--json", "--csv", "frames.csv")
    found = json.loads(result.out)
    assert (result.code, result.err, found["schema"]) == (0, "", "nervcodec.compare/1")
    assert (found["reference"], found["distorted"], found["frames"]) == ("in.y4m", "in2.y4m", 5)
    rows = [line.split(",") for line in (clips.folder / "frames.csv").read_text().splitlines()]
    assert rows[0] == ["frame", *found["per_frame"]] and len(rows) == 6
    assert [float(row[3]) for row in rows[1:]] == found["per_frame"]["psnr_v"]
    assert found["per_frame"]["psnr_v"][3] == 100 > found["per_frame"]["psnr_v"][4]


def test_compare_takes_the_first_frames(clips: Shell) -> None:
    """--frames compares videos of different lengths, and -y replaces an earlier CSV file."""
    (clips.folder / "frames.csv").write_text("old")
    result = clips("compare", "in.y4m", "short.y4m", "--frames", "2", "--csv", "frames.csv", "-y")
    assert result.code == 0 and "24x18, 2 frames" in result.out
    assert len((clips.folder / "frames.csv").read_text().splitlines()) == 3
