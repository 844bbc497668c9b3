"""nervcodec.video.reader: groups of frames, and sources that are none."""

from pathlib import Path

import av
import numpy as np
import pytest
from videos import clip, same, write

from nervcodec.errors import VideoError
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups


@pytest.mark.parametrize("kind", ["y4m", "mkv", "folder"])
def test_groups_are_consecutive(tmp_path: Path, kind: str) -> None:
    """Groups of any lengths are the frames in order, and may stop before the end."""
    frames = clip(6, 16, 16, "rgb" if kind == "folder" else "yuv420")
    path = tmp_path / ("frames" if kind == "folder" else f"a.{kind}")
    write(path, frames, **({"codec": "ffv1"} if kind == "mkv" else {}))
    fmt, _ = probe(path)
    groups = list(read_groups(path, fmt, [1, 3, 1]))
    assert [group.n_frames for group in groups] == [1, 3, 1]
    assert same(Frames.concatenate(groups), frames[:5])


def test_groups_are_read_lazily(tmp_path: Path) -> None:
    """A group is read when it is asked for, so damage behind it does no harm, and closing early is
    quiet.
    """
    frames = clip(4, 16, 16)
    write(tmp_path / "a.y4m", frames)
    fmt, _ = probe(tmp_path / "a.y4m")
    groups = read_groups(tmp_path / "a.y4m", fmt, [1, 1, 2])
    assert same(next(groups), frames[:1])
    groups.close()  # type: ignore[attr-defined]


def test_fewer_frames_than_promised(tmp_path: Path) -> None:
    """A source that lost frames since it was probed is refused with the number of the first missing
    one.
    """
    write(tmp_path / "a.y4m", clip(2))
    fmt, _ = probe(tmp_path / "a.y4m")
    with pytest.raises(VideoError, match="frame 3 is missing"):
        list(read_groups(tmp_path / "a.y4m", fmt, [2, 2]))


@pytest.mark.parametrize("name", ["empty.mp4", "empty.y4m"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    """An empty file is called empty."""
    (tmp_path / name).touch()
    with pytest.raises(VideoError, match="the file is empty"):
        probe(tmp_path / name)


@pytest.mark.parametrize("name", ["text.mp4", "text.y4m", "text.txt", "text.png"])
def test_text_file(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A text file is refused in one line, and FFmpeg's own log stays away from stderr."""
    (tmp_path / name).write_text("hello\n" * 100)
    with pytest.raises(VideoError) as caught:
        probe(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_cut_mp4_with_its_index_in_front_is_noted(tmp_path: Path) -> None:
    """Where the index promises more frames than decode, those that decode are counted and a note
    tells.
    """
    with av.open(
        str(tmp_path / "a.mp4"), "w", container_options={"movflags": "faststart"}
    ) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for t in range(8):
            frame = av.VideoFrame(64, 64, "yuv420p")
            np.frombuffer(memoryview(frame.planes[0]), np.uint8)[:] = (
                clip(8, 64, 64).planes[0][t].flatten()
            )
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) * 2 // 3])
    fmt, notes = probe(tmp_path / "a.mp4")
    assert fmt.n_frames < 8
    assert f"the file promises 8 frames, {fmt.n_frames} are in it" in notes


def test_missing_file(tmp_path: Path) -> None:
    """A file that does not exist is called so."""
    with pytest.raises(VideoError, match="there is no such file"):
        probe(tmp_path / "none.mp4")


def test_device_is_no_source() -> None:
    """A device is neither a file nor a folder."""
    with pytest.raises(VideoError, match="neither a file nor a folder"):
        probe("/dev/null")


def test_audio_alone_is_no_video(tmp_path: Path) -> None:
    """A file with sound only is refused."""
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as container:
        audio = container.add_stream("flac", rate=48000)
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 2048), np.int16), format="s16", layout="stereo"
        )
        sound.sample_rate, sound.pts = 48000, 0
        container.mux([*audio.encode(sound), *audio.encode(None)])
    with pytest.raises(VideoError, match="there is no video in it"):
        probe(tmp_path / "a.mka")
