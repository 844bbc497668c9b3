"""nervcodec.bench.parallel: what is timed is what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shell import read_frames, write_clip

from nervcodec.bench.parallel import measure_hours, measure_jobs, write_repeated
from nervcodec.bench.place import Place
from nervcodec.errors import ConfigError


def test_frames_repeat(tmp_path: Path) -> None:
    """A long video is the first frames of a clip, scaled, again and again."""
    write_clip(tmp_path / "in.y4m", 24, 18, 5)
    write_repeated(tmp_path / "in.y4m", tmp_path / "out.y4m", 3, 8, (12, 10))
    luma = read_frames(tmp_path / "out.y4m").planes[0]
    assert luma.shape == (8, 10, 12)
    assert all(np.array_equal(luma[t], luma[t % 3]) for t in range(8))
    assert not np.array_equal(luma[0], luma[1])


def test_there_is_no_such_way(tmp_path: Path) -> None:
    """A way to encode that is none is refused with those that are."""
    write_clip(tmp_path / "in.y4m")
    with pytest.raises(ConfigError, match="way is 'threads'; legal: serial, processes, ray"):
        measure_jobs({"clip": "in.y4m", "ways": ["threads"]}, Place(tmp_path, tmp_path), tmp_path)


@pytest.mark.slow
def test_ways_and_hours_are_measured(tmp_path: Path) -> None:
    """Whole commands: both ways give one file, and a long video is encoded, shown, decoded and
    verified.
    """
    write_clip(tmp_path / "in.y4m", 24, 18, 8)
    place = Place(tmp_path, tmp_path)
    options = {"clip": "in.y4m", "preset": "ultrafast", "epochs": 2, "segment_frames": 4}
    serial, processes = measure_jobs(
        {**options, "ways": ["serial", "processes"]}, place, tmp_path / "jobs"
    )
    assert (serial["jobs"], processes["jobs"], serial["segments"]) == (1, 2, 2)
    assert serial["same"] and processes["same"] and serial["bytes"] == processes["bytes"]
    hours = {"clip": "in.y4m", "size": "24x18", "frames": 90, "distinct": 8, "epochs": 1}
    rows = measure_hours({**hours, "preset": "ultrafast"}, place, tmp_path / "hours")
    assert [str(row["command"]).split()[0] for row in rows] == [
        "encode",
        "info",
        "decode",
        "verify",
    ]
    assert rows[-1]["verdict"] == "exact" and all(float(row["peak_mib"] or 0) > 10 for row in rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.y4m"]
