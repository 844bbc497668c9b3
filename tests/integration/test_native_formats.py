"""Videos of every layout and bit depth, encoded and decoded as they are."""

import json

import numpy as np
import pytest
from shell import Shell
from videos import format_of, read

from nervcodec.format.video_format import Layout
from nervcodec.video.frames import Frames
from nervcodec.video.writer import open_writer


def wave(layout: Layout, bits: int) -> Frames:
    """Three smooth frames of 24x18."""
    frames = Frames.empty(layout, 3, 24, 18, bits)
    for k, plane in enumerate(frames.planes):
        t, y, x = np.indices(plane.shape)
        rows, columns = plane.shape[1:]
        pattern = np.sin(7 * x / columns + 0.5 * t + k) * np.cos(6 * y / rows)
        plane[:] = np.rint(frames.peak * (0.5 + 0.3 * pattern))
    return frames


@pytest.mark.parametrize(
    ("layout", "bits", "suffix"),
    [
        ("gray", 8, "y4m"),
        ("gray", 12, "y4m"),
        ("yuv422", 10, "y4m"),
        ("yuv444", 8, "y4m"),
        ("yuv420", 12, "y4m"),
        ("rgb", 10, "mkv"),
    ],
)
def test_a_video_comes_back_in_its_format(
    shell: Shell, layout: Layout, bits: int, suffix: str
) -> None:
    """Decoded frames have the source's layout and bit depth, and the PSNR that encode measured."""
    source, back = shell.folder / f"in.{suffix}", shell.folder / f"back.{suffix}"
    frames = wave(layout, bits)
    codec = "ffv1" if suffix == "mkv" else None
    with open_writer(source, format_of(frames), codec=codec) as writer:
        writer.write(frames)
    options = "--preset ultrafast --epochs 120 --threads 1 --json".split()
    report = json.loads(shell("encode", source.name, "out.nvpp", *options).out)
    extra = ["--codec", "ffv1"] if codec else []
    assert shell("decode", "out.nvpp", back.name, *extra).code == 0
    decoded = read(back)
    assert (decoded.layout, decoded.bit_depth) == (layout, bits)
    info = json.loads(shell("info", "out.nvpp", "--json").out)
    assert (info["layout"], info["bit_depth"]) == (layout, bits)
    assert info["model"]["colorspace"] == layout
    errors = [
        np.mean((a.astype(float) - b) ** 2) for a, b in zip(frames.planes[0], decoded.planes[0])
    ]
    psnr = np.mean([10 * np.log10(frames.peak**2 / error) for error in errors])
    assert psnr > 16
    if layout != "rgb":
        assert report["quality"]["y_db"] == pytest.approx(psnr, abs=1e-6) and psnr > 20
    assert (report["quality"]["u_db"] is None) == (layout == "gray")
    assert shell("verify", "out.nvpp").code == 0
    compared = json.loads(shell("compare", source.name, back.name, "--json").out)
    assert compared["psnr"]["rgb"] == pytest.approx(report["quality"]["rgb_db"], abs=1e-6)


def test_gray_in_4_2_0_pays_for_no_chroma(shell: Shell) -> None:
    """A 4:2:0 video without colour is coded as gray, and comes back as 4:2:0 of gray's chroma."""
    luma = wave("gray", 8).planes[0]
    chroma = np.full((3, 9, 12), 128, np.uint8)
    frames = Frames("yuv420", (luma, chroma, chroma))
    with open_writer(shell.folder / "in.y4m", format_of(frames)) as writer:
        writer.write(frames)
    options = "--preset ultrafast --epochs 20 --threads 1 --json".split()
    report = json.loads(shell("encode", "in.y4m", "out.nvpp", *options).out)
    assert (report["model"]["colorspace"], report["quality"]["u_db"]) == ("gray", 100)
    assert shell("decode", "out.nvpp", "back.y4m").code == 0
    back = read(shell.folder / "back.y4m")
    assert back.layout == "yuv420"
    assert all((plane == 128).all() for plane in back.planes[1:])
    assert shell("decode", "out.nvpp", "small.y4m", "--scale", "12x8").code == 0
    assert read(shell.folder / "small.y4m").planes[1].shape == (3, 4, 6)
    assert shell("verify", "out.nvpp").code == 0
