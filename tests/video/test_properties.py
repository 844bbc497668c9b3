"""What a source says of its picture comes into a file, and from there into containers that can say
it; a note names what one cannot.
"""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from sounding import film, holding
from videos import y4m

from nervcodec.decoder.decode import DecodeOptions, decode
from nervcodec.format.extras import Extras
from nervcodec.format.properties import ContentLight, MasteringDisplay, Properties
from nervcodec.video.extras import read_extras
from nervcodec.video.ffmpeg_properties import encoder_options, lost_properties, texts_of
from nervcodec.video.matroska import write_geometry
from nervcodec.video.source import DEFAULT_OPTIONS, SourceOptions
from nervcodec.video.y4m_header import parse_header

ONE = 1 << 16
MATRICES = {
    "90": (0, ONE, 0, -ONE, 0, 0, 6 * ONE, 0, 1 << 30),
    "270": (0, -ONE, 0, ONE, 0, 0, 0, 8 * ONE, 1 << 30),
    "180": (-ONE, 0, 0, 0, -ONE, 0, 8 * ONE, 6 * ONE, 1 << 30),
    "mirrored": (-ONE, 0, 0, 0, ONE, 0, 8 * ONE, 0, 1 << 30),
    "mirrored and 90": (0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30),
}
HDR = Properties(
    mastering=MasteringDisplay(
        34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10_000_000, 50
    ),
    light=ContentLight(1000, 400),
)
TEXTS = (
    ("title", "Über den Wolken"),
    ("artist", "N. N."),
    ("date", "2021-03-04"),
    ("creation_time", "2021-03-04T05:06:07.000000Z"),
    ("comment", "one, two"),
)


def decoded(properties: Properties, output: Path, **options: object) -> tuple[str, ...]:
    """Decode a golden file with these properties; return the notes."""
    path = holding(output.with_suffix(".nvpp"), Extras(properties=properties))
    return decode(path, output, DecodeOptions(**options)).notes  # type: ignore[arg-type]


def read(path: Path, options: SourceOptions = DEFAULT_OPTIONS) -> Properties:
    """The properties of a source."""
    extras, notes = read_extras(path, options, audio=False)
    assert notes == ()
    return extras.properties or Properties()


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_the_matrix_comes_back_in_mp4(tmp_path: Path, matrix: tuple[int, ...], suffix: str) -> None:
    """MP4 and QuickTime keep the nine numbers as they are."""
    assert decoded(Properties(matrix), tmp_path / f"a.{suffix}") == ()
    assert read(tmp_path / f"a.{suffix}").matrix == matrix


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_the_rotation_comes_back_in_matroska(
    tmp_path: Path, matrix: tuple[int, ...], suffix: str
) -> None:
    """Matroska and WebM keep degrees and mirroring."""
    assert decoded(Properties(matrix), tmp_path / f"a.{suffix}") == ()
    assert read(tmp_path / f"a.{suffix}").rotation == Properties(matrix).rotation


def test_pixel_aspect_and_rotation_stand_together(tmp_path: Path) -> None:
    """A Matroska file has room for both."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        stream.metadata["title"] = "nervcodec: pixel aspect and rotation"
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    write_geometry(path, 16, 16, Fraction(4, 3), (90, False))
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    assert read(path).rotation == (90, False)


def test_turned_frames_have_no_matrix(tmp_path: Path) -> None:
    """The matrix is read from a source, unless its frames are turned by it."""
    decoded(Properties(MATRICES["270"]), tmp_path / "a.mp4")
    assert read(tmp_path / "a.mp4").rotation == (90, False)
    assert read(tmp_path / "a.mp4", SourceOptions(autorotate=True)) == Properties()


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "mp4"), ("libx265", "mp4"), ("libx265", "mkv"), ("libsvtav1", "mkv")],
)
def test_hdr10_comes_back(tmp_path: Path, codec: str, suffix: str) -> None:
    """Mastering display and light level pass through the encoders that can say them."""
    assert not {"libx264", "libx265", "libsvtav1"} - av.codecs_available
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=encoder_options(HDR, codec))
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for t in range(3):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert (read(path).mastering, read(path).light) == (HDR.mastering, HDR.light)


def test_decode_writes_hdr10(tmp_path: Path) -> None:
    """A file's HDR10 properties come out of a decode, beside the options that it sets itself."""
    assert decoded(HDR, tmp_path / "a.mp4") == ()
    assert read(tmp_path / "a.mp4") == HDR


def test_what_an_encoder_cannot_say_is_named(tmp_path: Path) -> None:
    """A note names the properties that are not in the output."""
    assert decoded(HDR, tmp_path / "a.mkv", codec="ffv1") == (
        ".mkv with ffv1 cannot say: mastering display, content light level",
    )
    assert list(lost_properties(tmp_path / "a.mkv", HDR)) == [
        "mastering display",
        "content light level",
    ]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_title_and_date_come_back(tmp_path: Path, suffix: str) -> None:
    """Texts of a container are kept."""
    properties = Properties(texts=TEXTS)
    assert decoded(properties, tmp_path / f"a.{suffix}") == ()
    assert read(tmp_path / f"a.{suffix}") == properties


def test_texts_have_a_limit() -> None:
    """A text of more than 4096 bytes is cut between two characters, with a note; others are not
    kept.
    """
    texts, notes = texts_of({"TITLE": "ü" * 3000, "encoder": "x", "comment": "", "date": "2020"})
    assert texts == (("title", "ü" * 2048), ("date", "2020"))
    assert notes == ("title cut to 4096 bytes",)


def test_a_time_that_was_never_set_is_none() -> None:
    """The beginning of 1970 is what FFmpeg makes of a missing time."""
    assert texts_of({"creation_time": "1970-01-01T00:00:00.000000Z"}) == ((), ())


@pytest.mark.parametrize(("letter", "order"), [("t", "top"), ("b", "bottom")])
def test_y4m_keeps_the_field_order(tmp_path: Path, letter: str, order: str) -> None:
    """Interlaced frames that are coded as they are keep their flag in .y4m."""
    y4m(tmp_path / "a.y4m", f"W4 H2 F25:1 I{letter} C420jpeg")
    properties = read(tmp_path / "a.y4m", SourceOptions(force_progressive=True))
    assert properties == Properties(field_order=order)  # type: ignore[arg-type]
    assert decoded(properties, tmp_path / "b.y4m") == ()
    with open(tmp_path / "b.y4m", "rb") as file:
        assert parse_header(file.readline(), "b.y4m").interlacing == letter


def test_containers_keep_the_field_order_where_they_can(tmp_path: Path) -> None:
    """Matroska says it; of H.264 in MP4 a note says that it does not."""
    properties = Properties(field_order="bottom")
    assert decoded(properties, tmp_path / "a.mkv") == ()
    assert decoded(properties, tmp_path / "a.mp4") == (".mp4 with libx264 cannot say: field order",)


def test_outputs_that_say_nothing_name_what_is_lost(tmp_path: Path) -> None:
    """Notes of .y4m and of PNG list all properties."""
    properties = Properties(MATRICES["90"], "top", HDR.mastering, HDR.light, TEXTS[:1])
    names = "rotation, mastering display, content light level, title"
    assert decoded(properties, tmp_path / "a.y4m") == (f".y4m cannot say: {names}",)
    assert f"PNG cannot say: {names.replace(',', ', field order,', 1)}" in decoded(
        properties, tmp_path / "pictures"
    )


def test_a_plain_source_says_nothing(tmp_path: Path) -> None:
    """There is no section for a source with nothing to say."""
    extras, notes = read_extras(film(tmp_path / "a.mkv", None), SourceOptions())
    assert (extras, notes) == (Extras(), ())
