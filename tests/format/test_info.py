"""nervcodec.format.info: a file's description, from its container alone."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import nervcodec
from nervcodec.cli.tables import info_rows
from nervcodec.errors import BadMagic, VideoError
from nervcodec.format.container import write_file
from nervcodec.format.costs import kmac_per_pixel
from nervcodec.format.extras import Extras
from nervcodec.format.file import Header, Segment, StoredQuality
from nervcodec.format.info import info
from nervcodec.format.model_config import ModelConfig
from nervcodec.format.tensors import n_parameters
from nervcodec.format.times import FrameTimes
from nervcodec.format.video_format import ColorTags, VideoFormat

FORM = VideoFormat(
    16, 12, Fraction(30000, 1001), 7, "yuv420", ColorTags(1, 1, 1, False, 1), Fraction(4, 3)
)
QUALITIES = (
    StoredQuality(psnr_y=33.25, psnr_u=40, psnr_min=29, ms_ssim=0.98, epochs=90),
    StoredQuality(psnr_y=40.25, psnr_min=31.5, ms_ssim=0.98, epochs=80),
)
SEGMENTS = (
    Segment((1, 3), (b"12345", b"123", b"1"), bytes(range(16)), QUALITIES[0]),
    Segment((3,), (b"1234", b"12", b"1"), quality=QUALITIES[1]),
)


@pytest.fixture
def path(tmp_path: Path, grid_model: ModelConfig) -> Path:
    """A file of two segments whose streams have known lengths."""
    data = write_file(Header(FORM, grid_model), SEGMENTS)
    (tmp_path / "a.nvpp").write_bytes(data)
    return tmp_path / "a.nvpp"


@pytest.fixture
def found(path: Path) -> dict[str, Any]:
    """What info says of it, as JSON has it."""
    return info(path).as_json()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "nervcodec.info/1"),
        ("width", 16),
        ("height", 12),
        ("frames", 7),
        ("frame_rate", "30000/1001"),
        ("sample_aspect_ratio", "4/3"),
        ("layout", "yuv420"),
        ("segments", (4, 3)),
        ("shots", ((1, 3), (3,))),
        ("md5", ("000102030405060708090a0b0c0d0e0f", None)),
        (
            "color",
            {"matrix": 1, "primaries": 1, "transfer": 1, "full_range": False, "chroma_location": 1},
        ),
    ],
)
def test_info_repeats_the_header(found: dict[str, Any], key: str, value: object) -> None:
    """The header's facts are told as they stand in the file."""
    assert found[key] == value


def test_cuts_are_told(path: Path) -> None:
    """People read how many shots there are, where a segment is cut, and nothing of it elsewhere."""
    contents = info(path)
    assert dict(info_rows(contents))["shots"] == "3 of 1 to 3 frames"
    assert "shots" not in dict(info_rows(replace(contents, segments=((4,), (3,)))))


def test_md5s_are_told(path: Path) -> None:
    """People read those of a few segments, a row each, and of many that --json has them."""
    contents = info(path)
    assert info_rows(contents)[-2:] == [
        ("MD5", "000102030405060708090a0b0c0d0e0f"),
        ("", "not stored"),
    ]
    five = replace(contents, md5=(None,) * 5)
    assert info_rows(five)[-1] == ("MD5", "of 5 segments: --json has them")


def test_info_gives_the_rate(found: dict[str, Any], path: Path) -> None:
    """Bytes, bpp and kbit/s are those of the whole file."""
    n_bytes = path.stat().st_size
    assert (found["bytes"], found["bpp"]) == (n_bytes, 8 * n_bytes / (7 * 16 * 12))
    assert found["duration_s"] == pytest.approx(7 * 1001 / 30000)
    assert found["kbit_per_s"] == pytest.approx(8 * n_bytes / 1000 / found["duration_s"])


def test_the_duration_is_that_of_the_frame_times(path: Path, grid_model: ModelConfig) -> None:
    """Frames that have times of their own last as long as these say, whatever their rate."""
    times = FrameTimes(Fraction(1, 100), 5, ((10, 5), (30, 1)), 20)
    path.write_bytes(write_file(Header(FORM, grid_model), SEGMENTS, Extras(times=times)))
    contents = info(path)
    assert (contents.duration_s, contents.start_s) == (1.0, 0.05)
    assert contents.kbit_per_s == 8 * contents.n_bytes / 1000


def test_bytes_are_told_by_module(found: dict[str, Any]) -> None:
    """Every byte of the file is some module's, summed over the segments, or the container's."""
    own = dict(found["bytes_by_module"])
    container = own.pop("container")
    assert own == {"stem": 9, "block1": 5, "head": 2}
    assert container == found["bytes"] - 16


def test_parameters_are_those_of_all_segments(
    found: dict[str, Any], grid_model: ModelConfig
) -> None:
    """Every segment has its own network; bits a parameter count the streams."""
    assert found["parameters"] == n_parameters(grid_model, (1, 3)) + n_parameters(grid_model, (3,))
    assert found["bits_per_parameter"] == 8 * 16 / found["parameters"]


def test_complexity_is_the_networks(found: dict[str, Any], grid_model: ModelConfig) -> None:
    """kMAC/pixel is that of the longest segment's network."""
    assert found["kmac_per_pixel"] == kmac_per_pixel(grid_model)


def test_stored_quality_is_told(found: dict[str, Any]) -> None:
    """Means count the frames of each segment, and the worst is the worst of all; what one segment
    does not know, or where they differ in what is no mean, is null.
    """
    assert found["quality"] == {
        "psnr_y": 36.25,
        "psnr_u": None,
        "psnr_v": None,
        "psnr_yuv": None,
        "psnr_rgb": None,
        "psnr_min": 29.0,
        "ms_ssim": 0.98,
        "epochs": None,
    }


def test_info_is_json(found: dict[str, Any], grid_model: ModelConfig) -> None:
    """Everything can be written as JSON; the model is there whole."""
    model = json.loads(json.dumps(found))["model"]
    assert (model["bits"], model["stem"]["kind"]) == (8, "grid")
    assert model["blocks"] == [{"stride": 2, "width": 6}]
    assert model["stem"]["grids"] == [
        {"channels": 2, "interval": 2, "level": 0},
        {"channels": 1, "interval": 4, "level": 0},
    ]


def test_info_of_something_else_is_refused(tmp_path: Path) -> None:
    """A file that is no .nvpp is refused as such."""
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(BadMagic):
        info(tmp_path / "a.txt")


def test_info_of_a_missing_file(tmp_path: Path) -> None:
    """A missing file is a VideoError with its name."""
    with pytest.raises(VideoError, match="absent.nvpp"):
        info(tmp_path / "absent.nvpp")


def test_info_is_a_function_of_the_package(path: Path, found: dict[str, Any]) -> None:
    """nervcodec.info is the function, the second time as well."""
    contents = nervcodec.info(path)
    assert nervcodec.info(path) == contents and contents.as_json() == found


def test_info_has_types(path: Path) -> None:
    """Attributes are those of the header, with the file's size and its segments' lengths."""
    contents = info(str(path))
    assert contents.format == FORM and contents.path == str(path)
    assert (contents.lengths, contents.n_bytes) == ((4, 3), path.stat().st_size)
