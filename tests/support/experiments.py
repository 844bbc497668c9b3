"""A small experiment with the clips that it names."""

from fractions import Fraction
from pathlib import Path

from nervcodec.bench.datasets import write_pattern
from nervcodec.format.video_format import VideoFormat

SMALL = """
title = "Small"

[[table]]
name = "one"
title = "First"
measure = "encode"
defaults = {epochs = 2, frames = 2}
columns = [{key = "clip", name = "clip"}, {key = "bytes", name = "bytes", format = ",d"}]
case = [{clip = "a.y4m", each = {crf = [20, 40], seed = [0, 1]}}, {name = "b", clip = "b.y4m"}]

[[table]]
name = "two"
title = "Second"
cases_of = "one"
where = {clip = "a.y4m"}
derive = {function = "spread", group = ["clip"], keys = ["bytes"]}
columns = [{key = "clip", name = "clip"}, {key = "mean bytes", name = "mean"}]
"""


def written(folder: Path, text: str = SMALL) -> Path:
    """Write an experiment and the clips that it names; return its path."""
    for name in ("a.y4m", "b.y4m"):
        write_pattern(folder / name, VideoFormat(32, 24, Fraction(25), 3))
    (folder / "small.toml").write_text(text, "utf-8")
    return folder / "small.toml"
