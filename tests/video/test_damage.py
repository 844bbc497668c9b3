"""nervcodec.video.damage: what is damaged in a stream, by the numbers of its frames."""

from array import array
from pathlib import Path

import pytest
from videos import film, packets_at, read

from nervcodec.errors import VideoError
from nervcodec.video.damage import DamageLog, FrameLog, has_forbidden_bytes, ranges
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_all
from nervcodec.video.source import SourceOptions

STRICT = SourceOptions(strict=True)
SALVAGE = SourceOptions(salvage=True)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([3], "frame 3"),
        ([3, 4, 5, 9], "frames 3 to 5, 9"),
        (list(range(1, 40, 2)), "frames 1, 3, 5, 7, 9, 11, 13, 15 and 12 more"),
    ],
)
def test_ranges(numbers: list[int], text: str) -> None:
    """Runs of frames are told by their ends, and many of them by how many they are."""
    assert ranges(numbers) == text


@pytest.mark.parametrize(
    ("packet", "length_bytes", "is_damaged"),
    [
        (b"\0\0\0\4\x65\1\2\3", 4, False),
        (b"\0\0\0\5\x65\0\0\0\7", 4, True),
        (b"\0\0\0\4\x65\0\0\2", 4, True),
        (b"\0\0\0\4\x65\0\0\0", 4, False),
        (b"\0\0\0\5\x65\0\0\3\1", 4, False),
        (b"\0\0\0\2\x65\1\0\0\0\5\x65\0\0\0\7", 4, True),
        (b"\0\0\0\1\x65\x88\0\0\0\1\x41\7", None, False),
        (b"\0\0\0\1\x65\x88\0\0\0\x41\7", None, True),
        (b"", 4, False),
    ],
)
def test_forbidden_bytes(packet: bytes, length_bytes: int | None, is_damaged: bool) -> None:
    """Zeros within a NAL unit are damage; its end, start codes and lengths may hold them."""
    assert has_forbidden_bytes(packet, length_bytes) is is_damaged


def test_damage_reaches_to_the_next_key() -> None:
    """Frames that build on a damaged one are told with it, in the numbers of display."""
    log = DamageLog(
        FrameLog([(0, 0), (2, 1), (1, 2), (3, 3), (4, 4)]), keys=array("q", [0, 3]), concealed={1}
    )
    assert log.concealed_numbers() == [2, 3]


def test_frames_that_are_refused_are_counted_where_they_would_stand() -> None:
    """The number of a refused packet is that of its time among all frames."""
    log = DamageLog(FrameLog([(0, 0), (1, 30), (3, 40)]), broken={2: 10, 4: 50})
    assert log.broken_numbers() == [2, 5]
    log = DamageLog(FrameLog([(0, None), (1, None), (3, None)]), broken={2: None})
    assert log.broken_numbers() == [3]


@pytest.fixture
def mp4(tmp_path: Path) -> Path:
    """Twelve frames of H.264, the first and the seventh keys."""
    options = {"bf": "0", "g": "6", "crf": "20", "sc_threshold": "0", "threads": "1"}
    return film(tmp_path / "a.mp4", n_frames=12, mux={"movflags": "faststart"}, options=options)


def zero(path: Path, frame: int, start: int, n_bytes: int) -> None:
    """Make bytes of a frame, counted from 0, zeros."""
    data = bytearray(path.read_bytes())
    at = packets_at(path)[frame][0] + start
    data[at : at + n_bytes] = bytes(n_bytes)
    path.write_bytes(data)


def test_what_a_decoder_conceals_is_said(mp4: Path) -> None:
    """Damage that makes no decoder stop is a note with the frames, and refused where asked."""
    zero(mp4, 2, 200, 300)
    note = "damaged data, concealed by the decoder: frames 3 to 6 may be wrong"
    fmt, notes = probe(mp4)
    assert (fmt.n_frames, notes) == (12, (note,))
    with pytest.raises(VideoError, match=f"{note} .refused as --strict asks"):
        probe(mp4, STRICT)


def test_frames_that_cannot_be_decoded_are_told_by_number(mp4: Path) -> None:
    """A packet that the decoder refuses is refused with the number of its frame."""
    zero(mp4, 3, 0, 4)
    with pytest.raises(VideoError, match=r"frame 4 cannot be decoded .*; --salvage-input codes"):
        probe(mp4)


def test_salvage_codes_what_decodes(mp4: Path) -> None:
    """With salvage the refused frame is left out with a note, in reading as in probing."""
    whole = read(mp4)
    zero(mp4, 3, 0, 4)
    fmt, notes = probe(mp4, SALVAGE)
    assert fmt.n_frames == 11
    assert "frames that cannot be decoded, left out: frame 4" in notes
    groups = list(read_all(mp4, fmt, SALVAGE))
    assert sum(group.n_frames for group in groups) == 11
    assert (groups[0].planes[0][:3] == whole.planes[0][:3]).all()


def test_a_cut_download_gives_the_whole_frames(mp4: Path) -> None:
    """A file cut within a frame gives those before it with notes, and is refused where asked."""
    at, size = packets_at(mp4)[8]
    mp4.write_bytes(mp4.read_bytes()[: at + size // 2])
    fmt, notes = probe(mp4)
    assert fmt.n_frames == read(mp4).n_frames == 8
    assert notes == (
        "the last frame is cut short and left out",
        "the file promises 12 frames, 8 are in it",
    )
    with pytest.raises(VideoError, match="the last frame is cut short"):
        probe(mp4, STRICT)


def test_a_whole_file_passes_the_strict(mp4: Path) -> None:
    """Nothing is said of a file without damage."""
    assert probe(mp4, STRICT)[1] == ()


def test_damage_behind_the_frames_asked_for_does_not_matter(mp4: Path) -> None:
    """Frames before the damage are coded without a word."""
    zero(mp4, 3, 0, 4)
    fmt, notes = probe(mp4, n_frames=3)
    assert (fmt.n_frames, notes) == (3, ())
