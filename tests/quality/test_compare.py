"""nervcodec.quality.compare: every figure against whom it is named after, and what happens where
one cannot be had.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from pytorch_msssim import ms_ssim, ssim

from nervcodec.errors import ConfigError, OutputExists
from nervcodec.format.video_format import ColorTags, VideoFormat
from nervcodec.quality import tools
from nervcodec.quality.compare import Comparison, compare, write_csv
from nervcodec.video.color import to_layout
from nervcodec.video.ffmpeg_filter import FilterStats
from nervcodec.video.frames import Frames
from nervcodec.video.writer import open_writer

NTSC = Fraction(30000, 1001)


def noise(seed: int, n_frames: int = 3, width: int = 64, height: int = 48) -> Frames:
    rng = np.random.default_rng(seed)
    frames = Frames.empty("yuv420", n_frames, width, height)
    for plane in frames.planes:
        plane[:] = rng.integers(0, 256, plane.shape)
    return frames


def near(frames: Frames, seed: int, spread: int = 9) -> Frames:
    """The frames with errors of up to this many levels, more from frame to frame."""
    rng = np.random.default_rng(seed)
    found = Frames.concatenate([frames])
    for plane in found.planes:
        for t, values in enumerate(plane):
            errors = rng.integers(-spread * (t + 1), spread * (t + 1) + 1, values.shape)
            values[:] = np.clip(values + errors, 0, 255)
    return found


def form_of(frames: Frames, rate: Fraction = NTSC) -> VideoFormat:
    return VideoFormat(frames.width, frames.height, rate, frames.n_frames, frames.layout)


def written(path: Path, frames: Frames, rate: Fraction = NTSC) -> Path:
    with open_writer(path, form_of(frames, rate)) as writer:
        writer.write(frames)
    return path


def compared(
    folder: Path, a: Frames, b: Frames, rate: Fraction = NTSC, **options: Any
) -> Comparison:
    return compare(
        written(folder / "a.y4m", a, rate), written(folder / "b.y4m", b, rate), **options
    )


def stats(name: str, folder: Path, a: Frames, b: Frames, rate: Fraction = NTSC) -> str:
    """What a filter of FFmpeg's writes about two clips."""
    log = folder / "stats.txt"
    tool = FilterStats(name, {"stats_file": str(log)}, form_of(a, rate))
    tool.add(a, b)
    tool.finish()
    return log.read_text()


@pytest.mark.parametrize(("width", "height"), [(64, 48), (61, 47)])
def test_psnr_is_that_of_ffmpegs_filter(tmp_path: Path, width: int, height: int) -> None:
    """PSNR of every plane of every frame equals what FFmpeg's filter psnr prints, to its last
    digit.
    """
    a = noise(1, width=width, height=height)
    b = near(a, 2)
    theirs = [
        dict(re.findall(r"(psnr_\w+):(\S+)", line))
        for line in stats("psnr", tmp_path, a, b).splitlines()
    ]
    ours = compared(tmp_path, a, b).per_frame
    assert len(theirs) == 3
    for plane in "yuv":
        assert [f"{value:.2f}" for value in ours[f"psnr_{plane}"]] == [
            line[f"psnr_{plane}"] for line in theirs
        ]


def test_ssim_and_ms_ssim_are_those_of_pytorch_msssim(tmp_path: Path) -> None:
    """SSIM and MS-SSIM are pytorch-msssim's own of every frame's luma, and their means."""
    a = noise(1, 2, 170, 164)
    b = near(a, 2, 40)
    found = compared(tmp_path, a, b)
    luma = [torch.from_numpy(frames.planes[0].astype(np.float32)) for frames in (a, b)]
    for name, measure in (("ssim", ssim), ("ms_ssim", ms_ssim)):
        theirs = [
            float(measure(x[None, None], y[None, None], data_range=255)) for x, y in zip(*luma)
        ]
        assert 0.1 < min(theirs) and max(theirs) < 0.99
        assert found.per_frame[name] == pytest.approx(theirs, abs=1e-6)
        assert asdict(found.quality)[name] == pytest.approx(sum(theirs) / 2, abs=1e-6)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(60)])
def test_xpsnr_is_that_of_ffmpegs_filter(tmp_path: Path, rate: Fraction) -> None:
    """XPSNR of every frame and on average is what FFmpeg's filter xpsnr prints."""
    a = noise(1, 10)
    b = near(a, 2)
    text = stats("xpsnr", tmp_path, a, b, rate)
    found = compared(tmp_path, a, b, rate)
    assert found.xpsnr is not None and found.xpsnr_reason is None
    for plane in "yuv":
        assert [f"{value:.4f}" for value in found.per_frame[f"xpsnr_{plane}"]] == re.findall(
            rf"XPSNR {plane}: (\S+)", text
        )
        assert f"  {plane}: {found.xpsnr[plane]:.4f}" in text.splitlines()[-1]


def test_xpsnr_knows_the_frame_rate(tmp_path: Path) -> None:
    """Above 32 frames a second XPSNR looks at two earlier frames instead of one, so the rate has to
    reach it.
    """
    a = noise(1, 6)
    found = []
    for rate in (24, 60):
        (tmp_path / str(rate)).mkdir()
        found.append(compared(tmp_path / str(rate), a, near(a, 2), Fraction(rate)).xpsnr)
    slow, fast = found
    assert slow is not None and fast is not None and abs(slow["y"] - fast["y"]) > 0.1


def test_xpsnr_weighs_by_the_reference(tmp_path: Path) -> None:
    """XPSNR's weights are the reference's: the other way round it is another figure."""
    a = noise(1)
    b = near(a, 2, 60)
    found = compared(tmp_path, a, b)
    assert f"{found.per_frame['xpsnr_y'][0]:.4f}" in stats("xpsnr", tmp_path, a, b)
    assert f"{found.per_frame['xpsnr_y'][0]:.4f}" not in stats("xpsnr", tmp_path, b, a)


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (45, 45, None),
        (44, 46, "XPSNR needs 2025 pixels a frame or more, not 44x46"),
        (1, 1, "XPSNR needs 2025 pixels a frame or more, not 1x1"),
    ],
)
def test_small_frames_have_no_xpsnr(
    tmp_path: Path, width: int, height: int, reason: str | None
) -> None:
    """Frames on which FFmpeg's filter would divide by zero are kept away from it, with the
    reason.
    """
    a = noise(1, 2, width, height)
    found = compared(tmp_path, a, near(a, 2))
    assert found.xpsnr_reason == reason and (found.xpsnr is None) == (reason is not None)
    assert ("xpsnr_y" in found.per_frame) == (reason is None)


def test_equal_videos(tmp_path: Path) -> None:
    """Without any difference every PSNR and XPSNR is 100 dB and every SSIM is 1."""
    a = noise(1, 2, 170, 164)
    found = compared(tmp_path, a, a)
    psnr = {
        found.quality.y_db,
        found.quality.yuv611_db,
        found.quality.rgb_db,
        *found.pooled_db.values(),
    }
    assert psnr == {100.0} and found.xpsnr == {"y": 100.0, "u": 100.0, "v": 100.0}
    assert [found.quality.ssim, found.quality.ms_ssim] == pytest.approx([1, 1])


def test_pooled_psnr_is_of_the_mean_error(tmp_path: Path) -> None:
    """The PSNR of the mean squared error is the formula's, and lower than the mean of the frames'
    PSNRs.
    """
    a = noise(1)
    b = near(a, 2)
    found = compared(tmp_path, a, b)
    error = np.mean((a.planes[0].astype(float) - b.planes[0]) ** 2)
    assert found.pooled_db["y"] == pytest.approx(10 * math.log10(255**2 / error))
    assert found.pooled_db["y"] < found.quality.y_db - 0.1


def test_frames_come_in_order_whatever_the_groups(tmp_path: Path) -> None:
    """More frames than are read at once keep their order: an error in frame 12 shows in frame 12
    alone.
    """
    a = noise(1, 20, 16, 12)
    b = Frames.concatenate([a])
    b.planes[0][12] ^= 1
    found = compared(tmp_path, a, b)
    assert [t for t, value in enumerate(found.per_frame["psnr_y"]) if value < 100] == [12]
    assert found.quality.worst_frame == 12


def test_the_first_frames_alone(tmp_path: Path) -> None:
    """--frames compares the first so many, of videos of any lengths."""
    a = noise(1, 5)
    b = near(a[:3], 2)
    found = compared(tmp_path, a, b, n_frames=2)
    assert found.form.n_frames == len(found.per_frame["psnr_y"]) == 2


@pytest.mark.parametrize(
    ("n_frames", "message"),
    [
        (
            None,
            (
                "there are 5 and 3 frames; legal: equal numbers, or --frames N to compare the first"
                " N, up to 3"
            ),
        ),
        (0, "frames is 0; legal: 1 to 3, which both videos have"),
        (4, "frames is 4; legal: 1 to 3"),
    ],
)
def test_frames_that_are_not_there(tmp_path: Path, n_frames: int | None, message: str) -> None:
    """Another number of frames than both have is refused."""
    with pytest.raises(ConfigError, match=message):
        compared(tmp_path, noise(1, 5), noise(2, 3), n_frames=n_frames)


def test_sizes_have_to_match(tmp_path: Path) -> None:
    """Videos of different sizes are refused with both sizes."""
    with pytest.raises(ConfigError, match="sizes are 64x48 and 48x64; legal: equal ones"):
        compared(tmp_path, noise(1), noise(1, width=48, height=64))


def test_other_rates_are_noted(tmp_path: Path) -> None:
    """Different frame rates are compared frame by frame with a note."""
    a = written(tmp_path / "a.y4m", noise(1), Fraction(25))
    found = compare(a, written(tmp_path / "b.y4m", noise(1), Fraction(50)))
    assert found.notes == (
        "frame rates are 25 and 50; frames are compared one by one all the same",
    )
    assert compare(a, a).notes == ()


def test_rgb_against_its_source(tmp_path: Path) -> None:
    """A folder of PNG made from 4:2:0 by our conversion has no error in RGB against it."""
    a = noise(1, 2)
    found = compare(
        written(tmp_path / "a.y4m", a), written(tmp_path / "b", to_layout(a, "rgb", ColorTags()))
    )
    assert found.quality.rgb_db == 100 and found.quality.y_db < 100


def test_progress(tmp_path: Path) -> None:
    """Progress counts frames up to all of them."""
    seen: list[tuple[int, int]] = []
    compared(
        tmp_path,
        noise(1, 20, 16, 12),
        noise(1, 20, 16, 12),
        on_progress=lambda *counts: seen.append(counts),
    )
    assert seen == [(8, 20), (16, 20), (20, 20)]


def test_csv_has_a_row_a_frame(tmp_path: Path) -> None:
    """The CSV file has every frame's number and figures, exactly, and is not written over
    another.
    """
    a = noise(1)
    found = compared(tmp_path, a, near(a, 2))
    write_csv(found, tmp_path / "frames.csv")
    with open(tmp_path / "frames.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["0", "1", "2"]
    assert list(rows[0]) == [
        "frame",
        "psnr_y",
        "psnr_u",
        "psnr_v",
        "psnr_rgb",
        "psnr_yuv611",
        "ssim",
        "xpsnr_y",
        "xpsnr_u",
        "xpsnr_v",
    ]
    for name, values in found.per_frame.items():
        assert [float(row[name]) for row in rows] == values
    with pytest.raises(OutputExists):
        write_csv(found, tmp_path / "frames.csv")


def test_json_has_every_figure(tmp_path: Path) -> None:
    """The JSON object is standard JSON with the means, the frames' figures and the reasons for what
    is missing.
    """
    a = noise(1)
    found = compared(tmp_path, a, near(a, 2))
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert content["schema"] == "nervcodec.compare/1"
    assert (content["width"], content["height"], content["frames"]) == (64, 48, 3)
    for name in ("y", "u", "v", "rgb", "yuv611"):
        assert content["psnr"][name] == pytest.approx(np.mean(content["per_frame"][f"psnr_{name}"]))
    assert content["worst"] == {"frame": 2, "rgb": min(content["per_frame"]["psnr_rgb"])}
    assert content["ms_ssim"] is None and "161 pixels" in content["ms_ssim_reason"]
    assert content["xpsnr"].keys() == {"y", "u", "v"}


# VMAF


@pytest.fixture
def no_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """An FFmpeg without xpsnr and libvmaf."""
    monkeypatch.setattr(tools, "has_filter", lambda _: False)


def vmaf_program(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Puts a program 'vmaf' first on the path."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "vmaf"
    program.write_text(f"#!{sys.executable}\nimport json, sys\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_without_filters_the_reasons_stand_there(
    tmp_path: Path, no_filters: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither filter nor program is there, XPSNR and VMAF are None and say why."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = compared(tmp_path, noise(1), noise(1))
    assert (found.xpsnr, found.xpsnr_reason) == (None, "this FFmpeg has no filter xpsnr")
    assert (found.vmaf, found.vmaf_reason) == (
        None,
        "there is neither FFmpeg's filter libvmaf nor a program vmaf",
    )
    assert tools.tools_here() == []


def test_vmaf_by_its_program(
    tmp_path: Path, no_filters: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program gets both videos whole, as .y4m, reference first, and its frames' scores are
    averaged.
    """
    vmaf_program(
        tmp_path,
        monkeypatch,
        """
words = [word for word in sys.argv[1:] if word != "--json"]
options = dict(zip(words[::2], words[1::2]))
first, second = (open(options[name], "rb").read().split(b"FRAME\\n")[1:] for name in ("-r", "-d"))
scores = [float(a[0] - b[0]) for a, b in zip(first, second)]
json.dump({"frames": [{"metrics": {"vmaf": score}} for score in scores]}, open(options["-o"], "w"))
""",
    )
    a, b = noise(1), noise(2)
    found = compared(tmp_path, a, b)
    expected = [float(int(x[0, 0]) - int(y[0, 0])) for x, y in zip(a.planes[0], b.planes[0])]
    assert found.per_frame["vmaf"] == expected and found.vmaf_reason is None
    assert found.vmaf == pytest.approx(sum(expected) / 3)
    assert tools.tools_here() == ["vmaf"]


def test_vmaf_that_fails(tmp_path: Path, no_filters: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that fails leaves all other figures and gives the reason."""
    vmaf_program(tmp_path, monkeypatch, "sys.exit(3)")
    found = compared(tmp_path, noise(1), noise(1))
    assert found.vmaf is None and str(found.vmaf_reason).endswith("vmaf failed with exit 3")
    assert found.quality.y_db == 100


def test_vmaf_by_ffmpegs_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's filter libvmaf gets the distorted video first, and its log is read."""

    class Stats:
        """Stands in for the filter."""

        def __init__(self, name: str, options: Mapping[str, str], form: VideoFormat) -> None:
            assert (name, options["log_fmt"], form.n_frames) == ("libvmaf", "json", 3)
            self._log, self._scores = Path(options["log_path"]), list[float]()

        def add(self, distorted: Frames, reference: Frames) -> None:
            self._scores += [float(plane[0, 0]) for plane in distorted.planes[0]]

        def finish(self) -> None:
            frames = [{"metrics": {"vmaf": score}} for score in self._scores]
            self._log.write_text(json.dumps({"frames": frames}))

    monkeypatch.setattr(tools, "has_filter", lambda name: name == "libvmaf")
    monkeypatch.setattr(tools, "FilterStats", Stats)
    b = noise(2)
    assert compared(tmp_path, noise(1), b).per_frame["vmaf"] == b.planes[0][:, 0, 0].tolist()


def test_padding_to_even_sides_is_left_out(tmp_path: Path) -> None:
    """A video padded by a row and a column is compared where both have samples, with a note."""
    frames = noise(1, width=63, height=47)
    padded = Frames.empty("yuv420", 3, 64, 48)
    for target, plane in zip(padded.planes, frames.planes, strict=True):
        target[:] = 200
        target[:, : plane.shape[1], : plane.shape[2]] = plane
    odd, even = written(tmp_path / "odd.y4m", frames), written(tmp_path / "even.y4m", padded)
    for pair in ((odd, even), (even, odd)):
        found = compare(*pair)
        assert (found.form.width, found.form.height) == (63, 47)
        assert found.quality.y_db == found.quality.u_db == 100
        assert [note.split(";")[0] for note in found.notes] == [f"{even} is 64x48"]


def test_sizes_that_differ_by_more_are_refused(tmp_path: Path) -> None:
    """A row more than even sides need is no padding."""
    first = written(tmp_path / "a.y4m", noise(1, width=64, height=48))
    second = written(tmp_path / "b.y4m", noise(1, width=65, height=48))
    with pytest.raises(ConfigError, match="64x48 and 65x48; legal: equal ones, or one padded"):
        compare(first, second)


def test_ranges_that_differ_are_noted(tmp_path: Path) -> None:
    """Full against limited range is compared as it is, and said."""
    paths = []
    for is_full in (True, False):
        form = replace(form_of(noise(1)), color=ColorTags(full_range=is_full))
        paths.append(tmp_path / f"{is_full}.y4m")
        with open_writer(paths[-1], form) as writer:
            writer.write(noise(1))
    notes = compare(*paths).notes
    assert notes == ("ranges are full and limited; samples are compared as they are",)


def test_rotations_that_differ_are_noted(tmp_path: Path) -> None:
    """A video that players turn, against one that they do not, is said."""
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    for path, degrees in ((plain, 0), (turned, 90)):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            stream.set_display_rotation(degrees)
            frame = av.VideoFrame(32, 32, "yuv420p")
            container.mux([*stream.encode(frame), *stream.encode(None)])
    assert any(
        "players turn the videos differently" in text for text in compare(plain, turned).notes
    )
    assert compare(turned, turned).notes == ()
