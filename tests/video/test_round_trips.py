"""Every layout and bit depth through every output: the table of docs/guide/decoding.md.

`python tests/video/test_round_trips.py` prints the table.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from videos import clip, format_of, read, same

from nervcodec.format.video_format import BIT_DEPTHS, Layout
from nervcodec.video.color import to_bit_depth
from nervcodec.video.pixel_formats import SHOWN
from nervcodec.video.probe import probe
from nervcodec.video.writer import open_writer

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "decoding.md"
# Heading of the guide's column -> names of outputs, with the encoder that is asked for.
OUTPUTS: dict[str, tuple[tuple[str, str | None], ...]] = {
    "`.y4m`": (("a.y4m", None),),
    "PNG": (("frames", None),),
    "`.mp4`, `.mov`, `.mkv`": (("a.mp4", None), ("a.mov", None), ("a.mkv", None)),
    "`.webm`": (("a.webm", None),),
    "`--codec ffv1`": (("a.mkv", "ffv1"),),
}
HEAD = f"| decoded video | {' | '.join(OUTPUTS)} |\n|{'---|' * (1 + len(OUTPUTS))}\n"


def cell(folder: Path, layout: Layout, bits: int, name: str, codec: str | None) -> str:
    """What comes back: 'exact', 'same' format, or the format that it is converted to."""
    frames = clip(2, 64, 64, layout, bits)
    color = replace(format_of(frames).color, full_range=None if layout == "rgb" else True)
    with open_writer(folder / name, format_of(frames, color=color), codec=codec) as writer:
        writer.write(frames)
    fmt, _ = probe(folder / name)
    back = read(folder / name)
    if name == "frames":  # samples of 10 bits come back from 16 as 12
        fmt, back = replace(fmt, bit_depth=bits), to_bit_depth(back, bits, full_range=True)
    if same(back, frames):
        return "exact"
    is_said = any("converted" in note for note in writer.notes)
    if layout == "gray" and not is_said:  # FFmpeg's H.264 decoder shows gray as 4:2:0
        assert all((plane == 1 << bits - 1).all() for plane in back.planes[1:])
        return "same"
    is_same = (fmt.layout, fmt.bit_depth) == (layout, bits)
    assert is_said != is_same, (writer.notes, fmt)
    return "same" if is_same else f"{SHOWN[fmt.layout]}, {fmt.bit_depth}"


def row(layout: Layout, bits: int) -> str:
    """A line of the table."""
    cells: list[str] = []
    for outputs in OUTPUTS.values():
        with TemporaryDirectory() as folder:
            found = {cell(Path(folder), layout, bits, *output) for output in outputs}
        assert len(found) == 1, found
        cells += found
    return f"| {SHOWN[layout]}, {bits} bits | {' | '.join(cells)} |\n"


@pytest.mark.parametrize("bits", BIT_DEPTHS)
@pytest.mark.parametrize("layout", SHOWN)
def test_the_guide_says_what_comes_back(layout: Layout, bits: int) -> None:
    """Each line of the guide's table is what its outputs give back; conversions have a note."""
    text = GUIDE.read_text("utf-8")
    assert HEAD in text
    assert row(layout, bits) in text


if __name__ == "__main__":
    print(HEAD + "".join(row(layout, bits) for layout in SHOWN for bits in BIT_DEPTHS))
