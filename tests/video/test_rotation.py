"""nervcodec.video.rotation: frames of a phone held upright."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import clip, read

from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all
from nervcodec.video.rotation import quarter_turns, turned_location
from nervcodec.video.source import SourceOptions

TURNED = SourceOptions(autorotate=True)


def rotated(path: Path, degrees: int) -> Frames:
    """Write three frames of 32x16, pixels of 4:3, to be shown turned so; return them."""
    frames = clip(3, 32, 16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(degrees)
        for t in range(3):
            frame = av.VideoFrame(32, 16, "yuv420p")
            for index, plane in enumerate(frames.planes):
                rows = np.frombuffer(memoryview(frame.planes[index]), np.uint8)
                line = frame.planes[index].line_size
                rows.reshape(-1, line)[: plane.shape[1], : plane.shape[2]] = plane[t]
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return frames


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (-180, 2)])
def test_frames_are_turned_where_asked(tmp_path: Path, degrees: int, turns: int) -> None:
    """Autorotate gives the frames as players show them, with their size and pixel aspect."""
    frames = rotated(tmp_path / "a.mp4", degrees)
    fmt, notes = probe(tmp_path / "a.mp4", TURNED)
    size, ratio = ((32, 16), Fraction(4, 3)) if turns == 2 else ((16, 32), Fraction(3, 4))
    assert ((fmt.width, fmt.height), fmt.sample_aspect_ratio) == (size, ratio)
    assert notes == (f"frames are turned by their display rotation of {degrees} degrees",)
    (group,) = read_all(tmp_path / "a.mp4", fmt, TURNED)
    for got, plane in zip(group.planes, frames.planes, strict=True):
        assert np.array_equal(got, np.rot90(plane, turns, axes=(1, 2)))


def test_else_they_are_coded_as_they_lie(tmp_path: Path) -> None:
    """Without the option the frames stay as they are, without a note: the file keeps the matrix."""
    frames = rotated(tmp_path / "a.mp4", 90)
    fmt, notes = probe(tmp_path / "a.mp4")
    assert (fmt.width, fmt.height) == (32, 16)
    assert notes == ()
    assert np.array_equal(read(tmp_path / "a.mp4").planes[0], frames.planes[0])


@pytest.mark.parametrize(
    ("degrees", "turns"), [(0, 0), (90.0, 1), (-90, 3), (180, 2), (-180, 2), (270, 3), (45, None)]
)
def test_quarter_turns(degrees: float, turns: int | None) -> None:
    """Angles are multiples of a right angle, or none that frames could be turned by."""
    assert quarter_turns(degrees) == turns


@pytest.mark.parametrize("location", range(7))
def test_four_quarter_turns_end_where_they_began(location: int) -> None:
    """Chroma that is turned and turned back lies where it lay, or nowhere that has a name."""
    for turns in range(4):
        there = turned_location(location, turns)
        assert turned_location(there, -turns % 4) in ((location, 0) if location else (0,))
    assert turned_location(2, 1) == 2
