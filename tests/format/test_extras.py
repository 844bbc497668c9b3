"""Sections of sound and of properties: they come back, and no rate counts sound."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import reference_reader
from sounding import holding

from nervcodec.errors import ConfigError
from nervcodec.format.container import INDEX_ENTRY, SECTION_OVERHEAD, load
from nervcodec.format.extras import NO_EXTRAS, Extras
from nervcodec.format.info import info
from nervcodec.format.properties import (
    ContentLight,
    MasteringDisplay,
    Properties,
    read_properties,
    rotation_of,
    write_properties,
)
from nervcodec.format.salvage import salvage
from nervcodec.format.sound import Sound, SoundStream, read_sound, write_sound

ONE = 1 << 16
TURNED = (0, ONE, 0, -ONE, 0, 0, 48 * ONE, 0, 1 << 30)
PROPERTIES = Properties(
    TURNED,
    "top",
    MasteringDisplay(34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10_000_000, 50),
    ContentLight(1000, 400),
    (("title", "Übung"), ("date", "2021")),
)
SOUND = Sound(
    (
        SoundStream("audio", "aac", "deu", "Kommentar", Fraction(1, 44100), 400, 1),
        SoundStream("subtitle", "mov_text", "", "", Fraction(1, 1000), 350, 0, b"\0\1"),
    ),
    Fraction(21, 1000),
    b"not looked into",
)


@pytest.mark.parametrize("sound", [SOUND, replace(SOUND, streams=SOUND.streams[:1])])
def test_sound_comes_back(sound: Sound) -> None:
    """Reading is the inverse of writing."""
    assert read_sound(write_sound(sound)) == sound


@pytest.mark.parametrize(
    "properties",
    [
        PROPERTIES,
        Properties(),
        Properties(matrix=TURNED),
        Properties(light=ContentLight(1, 0)),
        Properties(field_order="bottom"),
    ],
)
def test_properties_come_back(properties: Properties) -> None:
    """Reading is the inverse of writing, whatever is said and whatever not."""
    assert read_properties(write_properties(properties)) == properties


@pytest.mark.parametrize(
    ("matrix", "rotation"),
    [
        ((ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), (0, False)),
        (TURNED, (-90, False)),
        ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), (90, False)),
        ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), (-180, False)),
        ((0,) * 9, (0, False)),
    ],
)
def test_rotation_of_a_matrix(matrix: tuple[int, ...], rotation: tuple[int, bool]) -> None:
    """Degrees are those that FFmpeg makes of it; a matrix that shows nothing has none."""
    assert rotation_of(matrix) == rotation


def test_a_mirrored_matrix_is_told_from_a_turned_one() -> None:
    """A matrix with a negative determinant mirrors."""
    assert rotation_of((-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30))[1]


def test_the_foreign_reader_reads_the_same(tmp_path: Path) -> None:
    """What the specification says of both sections is what stands in the file."""
    data = holding(tmp_path / "a.nvpp", Extras(sound=SOUND, properties=PROPERTIES)).read_bytes()
    file = reference_reader.read(data)
    assert file.sound and file.properties
    assert file.sound.nut == SOUND.packets
    assert Fraction(
        file.sound.fields["start_numerator"], file.sound.fields["start_denominator"]
    ) == Fraction(21, 1000)
    assert [stream[1:] for stream in file.sound.streams] == [
        ("aac", "deu", "Kommentar", b""),
        ("mov_text", "", "", b"\0\1"),
    ]
    assert file.properties.matrix == list(TURNED)
    assert file.properties.texts == [(0, "Übung"), (2, "2021")]
    assert file.properties.fields["max_luminance"] == 10_000_000
    assert file.properties.fields["max_fall"] == 400


def test_files_without_them_do_not_grow(tmp_path: Path) -> None:
    """A file with nothing besides its picture has the bytes that it always had."""
    golden = Path(__file__).parents[1] / "data" / "tiny.nvpp"
    assert holding(tmp_path / "a.nvpp", NO_EXTRAS).read_bytes() == golden.read_bytes()


def test_no_rate_counts_sound(tmp_path: Path) -> None:
    """bpp, kbit/s and the container's bytes are those of the file without its sound."""
    plain = info(holding(tmp_path / "a.nvpp", Extras(properties=PROPERTIES)))
    sounding = info(holding(tmp_path / "b.nvpp", Extras(sound=SOUND, properties=PROPERTIES)))
    n_bytes = len(write_sound(SOUND)) + SECTION_OVERHEAD + INDEX_ENTRY
    assert sounding.n_bytes == plain.n_bytes + n_bytes
    assert (sounding.sound_bytes, plain.sound_bytes) == (n_bytes, 0)
    assert (sounding.bpp, sounding.kbit_per_s) == (plain.bpp, plain.kbit_per_s)
    assert sounding.module_bytes == plain.module_bytes
    assert sounding.bits_per_parameter == plain.bits_per_parameter


def test_a_whole_file_is_salvaged_with_both(tmp_path: Path) -> None:
    """Salvage keeps sound and properties, but for those that are damaged."""
    path = holding(tmp_path / "a.nvpp", Extras(sound=SOUND, properties=PROPERTIES))
    data = bytearray(path.read_bytes())
    assert (
        salvage(bytes(data))[0].extras
        == load(path).extras
        == Extras(sound=SOUND, properties=PROPERTIES)
    )
    data[data.index(SOUND.packets)] ^= 1
    assert salvage(bytes(data))[0].extras == Extras(properties=PROPERTIES)


@pytest.mark.parametrize(
    "sound",
    [
        replace(SOUND, streams=()),
        replace(SOUND, streams=SOUND.streams * 17),
        replace(SOUND, start=Fraction(2**32)),
        replace(SOUND, streams=(SoundStream("audio", "a" * 256),)),
    ],
)
def test_what_the_format_cannot_hold_is_refused(sound: Sound) -> None:
    """Too many streams, too large a number and too long a text are errors of the writer."""
    with pytest.raises(ConfigError):
        write_sound(sound)
