"""nervcodec.bench.ffmpeg_codecs, with libav's elementary streams: FFmpeg's encoders on the clips we
code, bytes counted.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import MakeClip
from videos import clip as video_clip
from videos import format_of

from nervcodec.bench.ffmpeg_codecs import CONVENTIONAL, decode, encode, main
from nervcodec.errors import ConfigError, VideoError
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.video.color import to_layout
from nervcodec.video.ffmpeg_elementary import ELEMENTARY, write_elementary
from nervcodec.video.frames import Frames
from nervcodec.video.probe import probe
from nervcodec.video.reader import read_groups
from nervcodec.video.writer import open_writer


def form_of(frames: Frames, color: ColorTags = ColorTags()) -> VideoFormat:
    return VideoFormat(
        frames.width, frames.height, Fraction(25), frames.n_frames, frames.layout, color
    )


def written(path: Path, frames: Frames) -> Path:
    with open_writer(path, form_of(frames)) as writer:
        writer.write(frames)
    return path


def read(path: Path) -> Frames:
    form, _ = probe(path)
    return next(read_groups(path, form, [form.n_frames]))


def coded(
    folder: Path, name: str, source: Path, n_frames: int | None = None, /, **options: str
) -> tuple[Path, int]:
    path = folder / f"coded{CONVENTIONAL[name].suffix}"
    n_bytes, seconds = encode(name, source, path, options, n_frames)
    assert seconds > 0
    return path, n_bytes


def decoded(folder: Path, source: Path, path: Path) -> Frames:
    assert decode(source, path, folder / "decoded.y4m") > 0
    return read(folder / "decoded.y4m")


def nal_types(data: bytes, codec: str) -> list[int]:
    """Types of the NAL units of an Annex B stream, in order."""
    starts = [unit[0] for unit in data.split(b"\0\0\1")[1:]]
    return [start & 31 if codec == "x264" else start >> 1 & 63 for start in starts]


@pytest.fixture
def source(tmp_path: Path, make_clip: MakeClip) -> Path:
    """Ten frames of 64 x 48."""
    return written(tmp_path / "in.y4m", make_clip("yuv420", 10, 64, 48))


@pytest.mark.parametrize("name", CONVENTIONAL)
def test_bytes_grow_with_quality(
    tmp_path: Path, make_clip: MakeClip, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Bytes grow with quality, as many frames of the same odd size come back, and nothing goes to
    stderr.
    """
    frames = make_clip("yuv420", 4, 65, 67)
    source = written(tmp_path / "in.y4m", frames)
    sizes, errors = [], []
    for crf in ("45", "10"):
        path, n_bytes = coded(tmp_path, name, source, crf=crf)
        got = decoded(tmp_path, source, path)
        (tmp_path / "decoded.y4m").unlink()
        assert (got.n_frames, got.width, got.height) == (4, 65, 67)
        sizes.append(n_bytes)
        errors.append(np.abs(got.planes[0].astype(int) - frames.planes[0]).mean())
    assert 0 < sizes[0] < sizes[1] and errors[1] < errors[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["x264", "x265", "svtav1"])
def test_the_file_holds_the_counted_bytes(tmp_path: Path, source: Path, name: str) -> None:
    """On disk stand exactly the bytes that are counted: the stream and nothing around it."""
    path, n_bytes = coded(tmp_path, name, source, crf="30")
    assert path.stat().st_size == n_bytes


def test_ivf_costs_are_not_counted(tmp_path: Path, source: Path) -> None:
    """VP9's file has IVF's 32 bytes and 12 a packet more than are counted."""
    path, n_bytes = coded(tmp_path, "vp9", source, crf="30")
    extra = path.stat().st_size - n_bytes - 32
    assert extra % 12 == 0 and 10 <= extra // 12 <= 12


@pytest.mark.parametrize(("name", "headers"), [("x264", {7, 8}), ("x265", {32, 33, 34})])
def test_headers_stand_in_it_once(
    tmp_path: Path, source: Path, name: str, headers: set[int]
) -> None:
    """The parameter sets come once, at the start, though the clip has ten frames."""
    path, _ = coded(tmp_path, name, source, crf="30")
    found = [kind for kind in nal_types(path.read_bytes(), name) if kind in headers]
    assert sorted(found) == sorted(headers)


def test_x265_does_not_advertise(tmp_path: Path, source: Path) -> None:
    """x265's page of its own settings is left out."""
    path, _ = coded(tmp_path, "x265", source, crf="30")
    assert b"x265" not in path.read_bytes()


@pytest.mark.parametrize("name", CONVENTIONAL)
def test_a_single_frame(tmp_path: Path, source: Path, name: str) -> None:
    """The first frame alone is coded alone, and decodes to the size of the source."""
    _, n_bytes_of_all = coded(tmp_path, name, source, crf="30")
    path, n_bytes = coded(tmp_path, name, source, 1, crf="30")
    assert 0 < n_bytes < n_bytes_of_all
    decode(source, path, tmp_path / "decoded.y4m", 1)
    assert probe(tmp_path / "decoded.y4m")[0].n_frames == 1


def test_another_number_of_frames_is_refused(tmp_path: Path, source: Path) -> None:
    """A stream with fewer frames than its source is no decoded clip, and nothing stays of it."""
    path, _ = coded(tmp_path, "x264", source, 3, crf="30")
    with pytest.raises(VideoError, match="decodes to 3 frames of 10"):
        decoded(tmp_path, source, path)
    assert not (tmp_path / "decoded.y4m").exists()


@pytest.mark.parametrize("n_frames", [0, 11])
def test_frames_that_are_not_there(tmp_path: Path, source: Path, n_frames: int) -> None:
    """More frames than the source has, or none, are refused."""
    with pytest.raises(ConfigError, match=f"frames is {n_frames}; legal: 1 to 10"):
        coded(tmp_path, "x264", source, n_frames)


@pytest.mark.parametrize("name", CONVENTIONAL)
def test_rgb_is_coded_as_its_conversion(tmp_path: Path, make_clip: MakeClip, name: str) -> None:
    """RGB frames give the stream of their own 4:2:0 conversion, tagged with the matrix of that
    conversion.
    """
    # x264's macroblock tree gives another stream once in twenty runs of a clip as small as this.
    options = {"crf": "20", **({"x264-params": "mbtree=0"} if name == "x264" else {})}
    frames = make_clip("rgb", 3, 64, 48)
    path, _ = coded(tmp_path, name, written(tmp_path / "pictures", frames), **options)
    from_rgb, form = read(path), probe(path)[0]
    assert (form.color.matrix, form.color.full_range) == (6, False)
    converted = written(tmp_path / "in.y4m", to_layout(frames, "yuv420", ColorTags()))
    path, _ = coded(tmp_path, name, converted, **options)
    assert all(
        np.array_equal(a, b) for a, b in zip(from_rgb.planes, read(path).planes, strict=True)
    )


def test_psnr_tuning_reaches_the_encoder(tmp_path: Path, source: Path) -> None:
    """A tuning changes what x264 and x265 write."""
    for name in ("x264", "x265"):
        default, psnr = (
            coded(
                tmp_path, name, source, None, crf="30", **CONVENTIONAL[name].options("medium", tune)
            )[0].read_bytes()
            for tune in ("default", "psnr")
        )
        assert default != psnr


@pytest.mark.parametrize(
    ("name", "tune"), [(name, tune) for name in CONVENTIONAL for tune in CONVENTIONAL[name].tunes]
)
def test_every_option_is_the_encoders(tmp_path: Path, source: Path, name: str, tune: str) -> None:
    """The encoders know the presets and tunings that we give them: an option of nobody's would be
    refused.
    """
    codec = CONVENTIONAL[name]
    for preset in (codec.presets[0], codec.default_preset):
        assert coded(tmp_path, name, source, 2, crf="40", **codec.options(preset, tune))[1] > 0


def test_refused_options_and_sizes(tmp_path: Path, source: Path, make_clip: MakeClip) -> None:
    """What an encoder refuses or does not know is the user's error in one line, with the option or
    the size.
    """
    with pytest.raises(ConfigError, match="libx264 has no option speed$"):
        coded(tmp_path, "x264", source, speed="11")
    with pytest.raises(
        ConfigError, match="libx264 cannot code 64x48 into coded.h264: Invalid argument"
    ):
        coded(tmp_path, "x264", source, preset="warp")
    small = written(tmp_path / "small.y4m", make_clip("yuv420", 2, 8, 8))
    with pytest.raises(
        ConfigError, match="libx265 cannot code 8x8 into coded.hevc: Invalid argument"
    ):
        coded(tmp_path, "x265", small, crf="20")


def test_unknown_codecs(tmp_path: Path, clip: Frames) -> None:
    """A codec or an encoder that does not exist is refused with those that do."""
    with pytest.raises(ConfigError, match="codec is 'h266'; legal: x264, x265, svtav1, vp9"):
        encode("h266", tmp_path, tmp_path / "out", {})
    with pytest.raises(ConfigError, match="no encoder 'x999'"):
        write_elementary(tmp_path / "out.h264", [clip], form_of(clip), "x999", {})


def test_every_codec_has_its_muxer() -> None:
    """Each codec's file has the suffix of FFmpeg's muxer of elementary streams."""
    assert {name: codec.suffix for name, codec in CONVENTIONAL.items()} == {
        "x264": ".h264",
        "x265": ".hevc",
        "svtav1": ".obu",
        "vp9": ".ivf",
    }
    assert {codec.encoder for codec in CONVENTIONAL.values()} == set(ELEMENTARY)


def test_names_with_a_colon(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name with a colon is a file, not one of FFmpeg's protocols."""
    monkeypatch.chdir(tmp_path)
    n_bytes, _ = encode("x264", Path("in.y4m"), Path("take:2.h264"), {})
    assert (tmp_path / "take:2.h264").stat().st_size == n_bytes


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["conventional", *map(str, arguments)])
    main()


def test_the_program_prints_json(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a program it codes and decodes the frames asked for, and says bytes and seconds in
    JSON.
    """
    path = tmp_path / "coded.h264"
    run(monkeypatch, "encode", "x264", source, path, "crf=30", "preset=fast", "--frames", "4")
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == path.stat().st_size and said["encode_s"] > 0
    run(monkeypatch, "decode", source, path, tmp_path / "decoded.y4m", "--frames", "4")
    assert json.loads(capsys.readouterr().out)["seconds"] > 0
    assert probe(tmp_path / "decoded.y4m")[0].n_frames == 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["encode", "h266", "in.y4m", "out"], 2, "codec is 'h266'"),
        (["encode", "x264", "in.y4m", "out.h264", "crf"], 2, "option is 'crf'; legal: NAME=VALUE"),
        (["encode", "x264", "none.y4m", "out.h264"], 3, "none.y4m"),
        (["decode", "in.y4m", "none.h264", "out.y4m"], 3, "none.h264"),
    ],
)
def test_the_programs_errors(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """Its errors are one line and an exit code."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, *arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert exit_.value.code == code and line.startswith("nervcodec: error: ") and words in line


@pytest.mark.parametrize("name", ["x265", "svtav1"])
def test_ten_bits_are_coded_at_ten(tmp_path: Path, name: str) -> None:
    """x265 and SVT-AV1 code a clip of 10 bits at 10 bits, and it comes back so."""
    frames = video_clip(4, 64, 64, bit_depth=10)
    source = tmp_path / "in.y4m"
    with open_writer(source, format_of(frames)) as writer:
        writer.write(frames)
    path, _ = coded(tmp_path, name, source, crf="20")
    assert probe(path)[0].bit_depth == 10
    assert decoded(tmp_path, source, path).bit_depth == 10
