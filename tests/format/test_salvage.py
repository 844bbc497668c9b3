"""What is left of a damaged file: whole segments as they were, and exactly the frames that are
lost.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from shell import Shell

from nervcodec.errors import BitstreamError, InvalidField
from nervcodec.format.container import read_file, write_file, write_header, write_section
from nervcodec.format.extras import REPEATS, Extras
from nervcodec.format.file import Header, Segment, StoredQuality
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.repeats import Repeats, write_repeats
from nervcodec.format.salvage import salvage
from nervcodec.format.video_format import VideoFormat
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups

LENGTHS = (2, 3, 5)


@pytest.fixture(scope="module")
def segments(grid_model: ModelConfig) -> tuple[Segment, ...]:
    return tuple(
        Segment(
            (n,),
            tuple(bytes([10 * i + k]) * (k + 4) for k in range(len(grid_model.blocks) + 2)),
            quality=StoredQuality(psnr_y=30 + i),
        )
        for i, n in enumerate(LENGTHS)
    )


@pytest.fixture(scope="module")
def data(grid_model: ModelConfig, segments: tuple[Segment, ...]) -> bytes:
    """A file of three segments of 2, 3 and 5 frames."""
    header = Header(VideoFormat(16, 12, Fraction(25), sum(LENGTHS)), grid_model)
    return write_file(header, segments)


def frames_lost(found: tuple[range, ...]) -> list[int]:
    return [frame for part in found for frame in part]


def test_a_whole_file_loses_nothing(data: bytes) -> None:
    """Of an undamaged file everything is left."""
    file, lost = salvage(data)
    assert file == read_file(data) and lost == ()


def test_every_flipped_bit(data: bytes, segments: tuple[Segment, ...]) -> None:
    """A flipped bit costs the segment that it lies in, or is an error where it hides the
    segments.
    """
    seen: set[str | tuple[int, ...]] = set()
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            try:
                file, lost = salvage(bytes(damaged))
            except BitstreamError:
                seen.add("refused")
                continue
            numbers = [i for i, segment in enumerate(segments) if segment in file.segments]
            assert file.segments == tuple(segments[i] for i in numbers) and len(numbers) >= 2
            expected = [
                frame
                for i in range(3)
                if i not in numbers
                for frame in range(sum(LENGTHS[:i]), sum(LENGTHS[: i + 1]))
            ]
            assert frames_lost(lost) == expected
            assert file.header.format.n_frames == sum(LENGTHS) - len(expected)
            seen |= {tuple(numbers)}
    assert seen == {"refused", (0, 1), (0, 2), (1, 2)}


def test_every_cut(data: bytes, segments: tuple[Segment, ...]) -> None:
    """A file that ends early keeps the segments before the cut; without a whole one it is
    refused.
    """
    n_left = []
    for end in range(len(data)):
        try:
            file, lost = salvage(data[:end])
        except BitstreamError:
            n_left.append(0)
            continue
        assert file.segments == segments[: len(file.segments)]
        assert frames_lost(lost) == list(range(sum(LENGTHS[: len(file.segments)]), sum(LENGTHS)))
        n_left.append(len(file.segments))
    assert n_left == sorted(n_left) and set(n_left) == {0, 1, 2}


def test_the_index_says_which_frames_are_lost(data: bytes, segments: tuple[Segment, ...]) -> None:
    """Of two damaged segments the index tells the frames, and what is whole keeps its quality."""
    damaged = bytearray(data)
    for segment in (segments[0], segments[2]):
        damaged[data.index(segment.streams[-1])] ^= 1
    file, lost = salvage(bytes(damaged))
    assert file.segments == segments[1:2] and lost == (range(2), range(5, 10))
    assert file.quality == StoredQuality(psnr_y=31)


def test_frames_that_do_not_fit_are_refused(grid_model: ModelConfig, data: bytes) -> None:
    """Where the header promises another number of frames than the index, nothing is guessed."""
    old = write_header(Header(VideoFormat(16, 12, Fraction(25), sum(LENGTHS)), grid_model))
    assert data.startswith(old)
    for n_frames in (sum(LENGTHS) - 1, sum(LENGTHS) + 1):
        wrong = (
            write_header(Header(VideoFormat(16, 12, Fraction(25), n_frames), grid_model))
            + data[len(old) :]
        )
        with pytest.raises(InvalidField, match=f"n_frames is {n_frames}; legal: 10, the sum"):
            salvage(wrong)


def test_more_frames_than_are_shown_are_refused(
    grid_model: ModelConfig, segments: tuple[Segment, ...]
) -> None:
    """Where the repeats are damaged, the segments still have no more frames than are shown."""
    form = VideoFormat(16, 12, Fraction(25), sum(LENGTHS) - 1)
    repeats = Repeats(((sum(LENGTHS), 1),))
    data = bytearray(write_file(Header(form, grid_model), segments, Extras(repeats=repeats)))
    data[data.index(write_section(REPEATS, write_repeats(repeats))) + 5] ^= 1
    with pytest.raises(InvalidField, match="n_frames is 9; legal: 10 or more"):
        salvage(bytes(data))


def test_decode_salvages(coded: Shell) -> None:
    """Damaged, a file is an error and writes nothing; --salvage writes what is whole and says what
    is lost.
    """
    folder = coded.folder
    assert coded("decode", "out.nvpp", "whole.y4m").code == 0
    data = bytearray((folder / "out.nvpp").read_bytes())
    data[-20] ^= 4  # in the second segment: frames 2 to 4
    (folder / "bad.nvpp").write_bytes(data)
    result = coded("decode", "bad.nvpp", "part.y4m")
    assert result.code == 4 and not (folder / "part.y4m").exists()
    result = coded("decode", "bad.nvpp", "part.y4m", "--salvage")
    assert result.code == 0 and "nervcodec: damaged, left out: frames 2 to 4" in result.err
    form, _ = probe(folder / "part.y4m")
    part, whole = (
        next(read_groups(folder / name, form, [2])) for name in ("part.y4m", "whole.y4m")
    )
    assert form.n_frames == 2 and all(map(np.array_equal, part.planes, whole.planes))
