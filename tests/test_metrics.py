"""nervcodec.metrics: distortion and rate against the formulas, written out a second time here."""

import math
import subprocess
import sys

import numpy as np
import pytest

from nervcodec.color import Frames, Plane, rgb_to_yuv420, yuv420_to_rgb
from nervcodec.config import ColorTags
from nervcodec.metrics import QualityMeter, frame_mse, psnr_db

TAGS = ColorTags(matrix=6, full_range=False)


def noise(seed: int, layout: str = "yuv420", n_frames: int = 3, width: int = 20, height: int = 18) -> Frames:
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
        assert got[name].tolist() == pytest.approx([mse(ref.planes[k][t], dist.planes[k][t]) for t in range(3)])


def test_frame_mse_has_no_wrap_around() -> None:
    """0 against 255 in either direction is 255 squared."""
    black, white = noise(1, "rgb"), noise(1, "rgb")
    for plane in black.planes:
        plane[:] = 0
    for plane in white.planes:
        plane[:] = 255
    assert frame_mse(black, white)["r"].tolist() == frame_mse(white, black)["b"].tolist() == [65025.0] * 3


@pytest.mark.parametrize("error, expected", [(1.0, 48.1308), (65025.0, 0.0), (0.0, math.inf)])
def test_psnr(error: float, expected: float) -> None:
    """PSNR has its known values: an error of one level is 48.13 dB, none at all is infinite."""
    assert float(psnr_db(error)) == pytest.approx(expected, abs=1e-4)


def test_psnr_of_another_peak() -> None:
    """The peak may be that of another bit depth."""
    assert float(psnr_db(1.0, 1023)) == pytest.approx(20 * math.log10(1023))


def test_means_are_over_frames() -> None:
    """Every figure is the mean of the frames' PSNRs; 6:1:1 weighs planes by frame, RGB pools its planes by frame."""
    ref, dist = noise(1), noise(2)
    got = measured(ref, dist).result()
    planes = [[db(mse(ref.planes[k][t], dist.planes[k][t])) for t in range(3)] for k in range(3)]
    assert (got.y_db, got.u_db, got.v_db) == pytest.approx(tuple(np.mean(plane) for plane in planes))
    weighted = [(6 * y + u + v) / 8 for y, u, v in zip(*planes)]
    assert (got.yuv611_db, got.worst_yuv611_db) == pytest.approx((np.mean(weighted), min(weighted)))
    a, b = yuv420_to_rgb(ref, TAGS), yuv420_to_rgb(dist, TAGS)
    rgb = [db(np.mean([mse(a.planes[k][t], b.planes[k][t]) for k in range(3)]).item()) for t in range(3)]
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
    """Where both sides are RGB, rgb is measured on them directly and Y, U, V on their conversion."""
    ref, dist = noise(1, "rgb"), noise(2, "rgb")
    got = measured(ref, dist).result()
    errors = [np.mean([mse(ref.planes[k][t], dist.planes[k][t]) for k in range(3)]).item() for t in range(3)]
    assert got.rgb_db == pytest.approx(np.mean([db(error) for error in errors]))
    converted = measured(rgb_to_yuv420(ref, TAGS), rgb_to_yuv420(dist, TAGS)).result()
    assert (got.y_db, got.u_db, got.v_db) == (converted.y_db, converted.u_db, converted.v_db)


def test_mixed_layouts_are_converted() -> None:
    """4:2:0 against the RGB made from it has no error in RGB."""
    ref = noise(1)
    assert measured(ref, yuv420_to_rgb(ref, TAGS)).result().rgb_db == 100


def test_ms_ssim_is_that_of_pytorch_msssim() -> None:
    """MS-SSIM is the package's own on Y, averaged over frames."""
    import torch
    from pytorch_msssim import ms_ssim

    ref = noise(1, n_frames=2, width=176, height=162)
    dist = Frames.concatenate([ref])
    dist.planes[0][:] = (dist.planes[0].astype(int) * 3 + noise(2, n_frames=2, width=176, height=162).planes[0]) // 4
    x, y = (torch.from_numpy(frames.planes[0].astype(np.float32))[:, None] for frames in (ref, dist))
    got = measured(ref, dist).result()
    assert got.ms_ssim == pytest.approx(float(ms_ssim(x, y, data_range=255)), abs=1e-6)
    assert got.ms_ssim_reason is None


@pytest.mark.parametrize("width, height", [(160, 200), (200, 160), (20, 18)])
def test_ms_ssim_of_small_frames_is_none_with_the_reason(width: int, height: int) -> None:
    """With a side of 160 or less MS-SSIM is None and says why."""
    ref = noise(1, n_frames=1, width=width, height=height)
    got = measured(ref, ref).result()
    assert got.ms_ssim is None
    assert got.ms_ssim_reason == f"MS-SSIM needs more than 160 pixels a side, not {width}x{height}"


def test_importing_metrics_does_not_load_torch() -> None:
    """PSNR alone must not cost the seconds that torch takes to load."""
    code = "import sys, nervcodec.metrics; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
