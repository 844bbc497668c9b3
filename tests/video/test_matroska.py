"""nervcodec.video.matroska: the display size written into a finished file."""

import zlib
from fractions import Fraction
from pathlib import Path

import av
import pytest
from videos import clip, film, read, same

from nervcodec.video.matroska import PLACEHOLDER, write_geometry
from nervcodec.video.probe import probe


def named(path: Path) -> Path:
    """Three frames of 64x48 without a pixel aspect, whose track has the placeholder's name."""
    frames = clip(3, 64, 48)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["title"] = PLACEHOLDER
        for t in range(frames.n_frames):
            frame = av.VideoFrame.from_ndarray(frames.planes[0][t].repeat(3, 0)[:72], "yuv420p")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ratio", [Fraction(16, 11), Fraction(8, 9), Fraction(1000003, 999983)])
def test_the_aspect_is_read_back(tmp_path: Path, ratio: Fraction) -> None:
    """FFmpeg reads the aspect written, the frames and the length of the file stay the same."""
    path = named(tmp_path / "a.mkv")
    before, n_bytes = read(path), path.stat().st_size
    write_geometry(path, 64, 48, ratio)
    assert probe(path)[0].sample_aspect_ratio == ratio
    assert same(read(path), before)
    assert path.stat().st_size == n_bytes
    with av.open(str(path)) as container:
        assert "title" not in container.streams.video[0].metadata


def test_the_checksum_of_the_tracks_is_right(tmp_path: Path) -> None:
    """The CRC-32 at the start of the tracks is that of what follows."""
    path = named(tmp_path / "a.mkv")
    write_geometry(path, 64, 48, Fraction(2))
    data = path.read_bytes()
    # The first place is in the index of the file.
    tracks_id = b"\x16\x54\xae\x6b"
    at = data.index(tracks_id, data.index(tracks_id) + 4) + 4
    size_bytes = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
    tracks = data[at + size_bytes : at + size_bytes + size]
    assert tracks[:2] == b"\xbf\x84"
    assert int.from_bytes(tracks[2:6], "little") == zlib.crc32(tracks[6:])


def test_files_without_the_name_stay_as_they_are(tmp_path: Path) -> None:
    """What has no placeholder, and what is no Matroska file, is left alone."""
    for name in ("a.mkv", "a.mp4"):
        path = film(tmp_path / name, n_frames=2)
        before = path.read_bytes()
        write_geometry(path, 64, 48, Fraction(2))
        assert path.read_bytes() == before
    (tmp_path / "empty").touch()
    write_geometry(tmp_path / "empty", 64, 48, Fraction(2))
