"""nervcodec.bench.measurements: every measurement gives rows of plain figures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from experiments import written

from nervcodec.bench.encodes import CHANGES, measure_encode
from nervcodec.bench.measurements import MEASUREMENTS
from nervcodec.bench.place import Place
from nervcodec.encoder.presets import preset_named
from nervcodec.encoder.sizing import ContentStatistics
from nervcodec.errors import ConfigError
from nervcodec.format.video_format import VideoFormat


def test_changes_of_the_network(tmp_path: Path) -> None:
    """A change or field that does not exist is refused with what is legal."""
    written(tmp_path)
    place = Place(tmp_path, tmp_path)
    for options, message in (
        ({"change": "more"}, "change is 'more'; legal: none, no wavelets"),
        ({"shots": "many"}, "shots is 'many'; legal: cuts, one, segments"),
        ({"fit": {"colour": 1}}, "network or fit: .*colour.*; legal: fields that they have"),
    ):
        with pytest.raises(ConfigError, match=message):
            measure_encode({"clip": "a.y4m", **options}, place, tmp_path / "x")


def test_ways_to_share_a_size(tmp_path: Path) -> None:
    """A way that does not exist is refused with what is legal."""
    written(tmp_path)
    options = {"clip": "a.y4m", "size": 1500, "shares": "fair"}
    with pytest.raises(ConfigError, match="shares is 'fair'; legal: equal, survey, lambda"):
        MEASUREMENTS["shares"].measure(options, Place(tmp_path, tmp_path), tmp_path / "x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "options", "facts"),
    [
        ("round-trip", {"clip": "a.y4m", "epochs": 2, "crf": 30}, {"decodes_equal": True}),
        ("encode", {"clip": "a.y4m", "epochs": 2, "change": "stem grids alone"}, {"frames": 3}),
        ("decode", {"preset": "medium", "crf": 30, "size": "32x24", "frames": 2}, {}),
        ("startup", {"arguments": ["--help"], "repeats": 1}, {"command": "`nervcodec --help`"}),
        ("memory", {"frames": 6, "size": "32x24", "segment_frames": 5}, {}),
        ("shares", {"clip": "a.y4m", "epochs": 2, "size": 1500, "segment_frames": 2,
                    "shares": "survey"}, {}),
        ("shares", {"clip": "a.y4m", "epochs": 2, "size": 1500, "segment_frames": 2,
                    "shares": "lambda"}, {"survey_percent": None}),
        ("step", {"network": "medium", "size": "32x24", "budget_s": 0.1}, {"batch": 2}),
        ("roofline", {"cases": ["medium@16x12"]}, {"kind": "machine"}),
        ("speed", {"clip": "a.y4m", "preset": "medium", "frames": 2, "steps": 6, "rounds": 1},
         {"variant": "reference", "is_as_good": True}),
        ("bench", {"clips": ["a.y4m"], "codecs": ["x264"], "points": 2},
         {"kind": "point", "clip": "a.y4m", "codec": "x264"}),
    ],
)  # fmt: skip
def test_measurements(
    tmp_path: Path, measure: str, options: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Each measurement gives rows of plain figures; its options are legal ones."""
    written(tmp_path)
    assert set(options) <= MEASUREMENTS[measure].keys
    rows = MEASUREMENTS[measure].measure(options, Place(tmp_path, tmp_path), tmp_path / "case")
    assert facts.items() <= rows[0].items()
    assert all(isinstance(v, str | int | float | None) for row in rows for v in row.values())


@pytest.mark.parametrize("change", CHANGES)
def test_changes_keep_the_frame(change: str) -> None:
    """Every change gives a legal network for the same frames, and all but one changes it."""
    form = VideoFormat(320, 180, Fraction(25), 132)
    high_motion = ContentStatistics(temporal_information=20)
    model = preset_named("medium").model(form, "yuv420", (132,), high_motion)
    changed = CHANGES[change](model)
    assert (changed.width, changed.height) == (model.width, model.height)
    assert (changed == model) == (change == "none")
