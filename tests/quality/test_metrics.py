"""nervcodec.quality.metrics: distortion and rate against the formulas, written out a second time
here.
"""

import math
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from nervcodec.format.video_format import ColorTags, Layout
from nervcodec.quality.metrics import QualityMeter, frame_mse, joined, psnr_db
from nervcodec.video.color import to_layout
from nervcodec.video.frames import Frames, Plane

TAGS = ColorTags(matrix=6, full_range=False)


def noise(
    seed: int, layout: Layout = "yuv420", n_frames: int = 3, width: int = 20, height: int = 18
) -> Frames:
    rng = np.random.default_rng(seed)
    frames = Frames.empty(layout, n_frames, width, height)
    for plane in frames.planes:
        plane[:] = rng.integers(0, 256, plane.shape)
    return frames


def measured(ref: Frames, dist: Frames) -> QualityMeter:
    meter = QualityMeter(TAGS)
    meter.add(ref, dist)
    return meter


def mse(a: Plane, b: Plane) -> float:
    return float(((a.astype(float) - b.astype(float)) ** 2).mean())


def db(error: float) -> float:
    return 10 * math.log10(255**2 / error)


def test_frame_mse_is_the_formula() -> None:
    """The error of each plane of each frame is the mean of its squared differences."""
    ref, dist = noise(1), noise(2)
    got = frame_mse(ref, dist)
    assert list(got) == ["y", "u", "v"]
    for k, name in enumerate("yuv"):
        assert got[name].dtype == np.float64
        assert got[name].tolist() == pytest.approx(
            [mse(ref.planes[k][t], dist.planes[k][t]) for t in range(3)]
        )


def test_frame_mse_has_no_wrap_around() -> None:
    """0 against 255 in either direction is 255 squared."""
    black, white = noise(1, "rgb"), noise(1, "rgb")
    for plane in black.planes:
        plane[:] = 0
    for plane in white.planes:
        plane[:] = 255
    assert (
        frame_mse(black, white)["r"].tolist()
        == frame_mse(white, black)["b"].tolist()
        == [65025.0] * 3
    )


@pytest.mark.parametrize("error, expected", [(1.0, 48.1308), (65025.0, 0.0), (0.0, math.inf)])
def test_psnr(error: float, expected: float) -> None:
    """PSNR has its known values: an error of one level is 48.13 dB, none at all is infinite."""
    assert float(psnr_db(error)) == pytest.approx(expected, abs=1e-4)


def test_psnr_of_another_peak() -> None:
    """The peak may be that of another bit depth."""
    assert float(psnr_db(1.0, 1023)) == pytest.approx(20 * math.log10(1023))


def test_means_are_over_frames() -> None:
    """Every figure is the mean of the frames' PSNRs; 6:1:1 weighs planes by frame, RGB pools its
    planes by frame.
    """
    ref, dist = noise(1), noise(2)
    got = measured(ref, dist).result()
    planes = [[db(mse(ref.planes[k][t], dist.planes[k][t])) for t in range(3)] for k in range(3)]
    assert (got.y_db, got.u_db, got.v_db) == pytest.approx(
        tuple(np.mean(plane) for plane in planes)
    )
    weighted = [(6 * y + u + v) / 8 for y, u, v in zip(*planes)]
    assert (got.yuv611_db, got.worst_yuv611_db) == pytest.approx((np.mean(weighted), min(weighted)))
    a, b = to_layout(ref, "rgb", TAGS), to_layout(dist, "rgb", TAGS)
    rgb = [
        db(np.mean([mse(a.planes[k][t], b.planes[k][t]) for k in range(3)]).item())
        for t in range(3)
    ]
    assert (got.rgb_db, got.worst_rgb_db) == pytest.approx((np.mean(rgb), min(rgb)))
    assert (got.n_frames, got.worst_frame) == (3, int(np.argmin(rgb)))


def test_groups_add_up() -> None:
    """Adding group by group gives exactly what adding at once gives."""
    ref, dist = noise(1), noise(2)
    meter = measured(ref[:1], dist[:1])
    meter.add(ref[1:], dist[1:])
    assert meter.result() == measured(ref, dist).result()


def test_identical_frames_count_as_100_db() -> None:
    """Frames without any error enter means with 100 dB."""
    ref, dist = noise(1), noise(2)
    assert measured(ref, ref).result().rgb_db == 100
    mixed = Frames.concatenate([ref[:1], dist[1:2]])
    expected = (100 + db(mse(ref.planes[0][1], dist.planes[0][1]))) / 2
    assert measured(ref[:2], mixed).result().y_db == pytest.approx(expected)


def test_rgb_is_compared_as_rgb() -> None:
    """Where both sides are RGB, rgb is measured on them directly and Y, U, V on their
    conversion.
    """
    ref, dist = noise(1, "rgb"), noise(2, "rgb")
    got = measured(ref, dist).result()
    errors = [
        np.mean([mse(ref.planes[k][t], dist.planes[k][t]) for k in range(3)]).item()
        for t in range(3)
    ]
    assert got.rgb_db == pytest.approx(np.mean([db(error) for error in errors]))
    converted = measured(to_layout(ref, "yuv420", TAGS), to_layout(dist, "yuv420", TAGS)).result()
    assert (got.y_db, got.u_db, got.v_db) == (converted.y_db, converted.u_db, converted.v_db)


def test_mixed_layouts_are_converted() -> None:
    """4:2:0 against the RGB made from it has no error in RGB."""
    ref = noise(1)
    assert measured(ref, to_layout(ref, "rgb", TAGS)).result().rgb_db == 100


def luma_pair() -> tuple[Frames, Frames]:
    """Two frames large enough for MS-SSIM, and the same with errors in Y."""
    ref, other = (noise(seed, n_frames=2, width=176, height=162) for seed in (1, 2))
    dist = Frames.concatenate([ref])
    dist.planes[0][:] = (dist.planes[0].astype(int) * 3 + other.planes[0]) // 4
    return ref, dist


@pytest.mark.parametrize("name", ["ssim", "ms_ssim"])
def test_ssim_is_that_of_pytorch_msssim(name: str) -> None:
    """SSIM and MS-SSIM are the package's own on Y of each frame, averaged over frames."""
    import pytorch_msssim
    import torch

    ref, dist = luma_pair()
    meter = QualityMeter(TAGS, with_ssim=True)
    meter.add(ref, dist)
    planes = (
        [torch.from_numpy(y.astype(np.float32))[None, None] for y in frames.planes[0]]
        for frames in (ref, dist)
    )
    theirs = [float(getattr(pytorch_msssim, name)(x, y, data_range=255)) for x, y in zip(*planes)]
    assert meter.series()[name] == pytest.approx(theirs, abs=1e-6)
    assert asdict(meter.result())[name] == pytest.approx(sum(theirs) / 2, abs=1e-6)
    assert asdict(meter.result())[f"{name}_reason"] is None


@pytest.mark.parametrize("width, height", [(160, 200), (200, 160), (20, 18)])
def test_ms_ssim_of_small_frames_is_none_with_the_reason(width: int, height: int) -> None:
    """With a side of 160 or less MS-SSIM is None and says why."""
    ref = noise(1, n_frames=1, width=width, height=height)
    got = measured(ref, ref).result()
    assert got.ms_ssim is None
    assert got.ms_ssim_reason == f"MS-SSIM needs 161 pixels a side or more, not {width}x{height}"


@pytest.mark.parametrize(
    "width, height, reason",
    [
        (11, 11, None),
        (10, 200, "SSIM needs 11 pixels a side or more, not 10x200"),
        (200, 10, "SSIM needs 11 pixels a side or more, not 200x10"),
    ],
)
def test_ssim_of_frames_smaller_than_its_window(
    width: int, height: int, reason: str | None
) -> None:
    """SSIM is measured from the size of its window on; below, it is None and says why."""
    ref = noise(1, n_frames=1, width=width, height=height)
    meter = QualityMeter(TAGS, with_ssim=True)
    meter.add(ref, ref)
    got = meter.result()
    assert (got.ssim, got.ssim_reason) == (None if reason else pytest.approx(1), reason)


def test_ssim_only_where_it_is_asked_for() -> None:
    """An encode's own measurement goes without SSIM, and gives no reason for that."""
    got = measured(*luma_pair()).result()
    assert (got.ssim, got.ssim_reason) == (None, None) and got.ms_ssim is not None


def test_series_have_every_frame() -> None:
    """The series hold each frame's own figures, whose means are the result's."""
    ref, dist = noise(1), noise(2)
    meter = measured(ref, dist)
    series = meter.series()
    assert list(series) == ["psnr_y", "psnr_u", "psnr_v", "psnr_rgb", "psnr_yuv611"]
    assert series["psnr_u"] == pytest.approx(
        [db(mse(ref.planes[1][t], dist.planes[1][t])) for t in range(3)]
    )
    assert np.mean(series["psnr_yuv611"]) == pytest.approx(meter.result().yuv611_db)


def test_pooled_psnr_is_of_the_mean_error() -> None:
    """Pooled PSNR is that of the mean squared error over all frames, capped at 100 dB like the
    others.
    """
    ref, dist = noise(1), noise(2)
    mixed = Frames.concatenate([ref[:1], dist[1:]])
    error = np.mean([mse(ref.planes[2][t], mixed.planes[2][t]) for t in range(3)]).item()
    assert measured(ref, mixed).pooled_db()["v"] == pytest.approx(db(error))
    assert measured(ref, ref).pooled_db() == {"y": 100, "u": 100, "v": 100, "rgb": 100}


def test_importing_metrics_does_not_load_torch() -> None:
    """PSNR alone must not cost the seconds that torch takes to load."""
    code = (
        "import sys, nervcodec.quality.metrics; sys.exit('torch' in sys.modules or 'av' in"
        " sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_qualities_of_parts_are_that_of_all(clip: Frames) -> None:
    """What is measured of the parts of a video, joined, is what is measured of all of it."""
    other = Frames(clip.layout, tuple(plane ^ plane.dtype.type(5) for plane in clip.planes))
    other.planes[0][2] ^= 64
    whole = asdict(measured(clip, other).result())
    parts = [measured(clip[part], other[part]).result() for part in (slice(1), slice(1, 4))]
    for name, value in asdict(joined(parts)).items():
        is_number = isinstance(value, float)
        assert value == (pytest.approx(whole[name], rel=1e-12) if is_number else whole[name]), name
    assert joined(parts).worst_frame == whole["worst_frame"] == 2
