"""nervcodec.bench.adapters: what a benchmark's options and TOML files make of codecs, presets and
rates.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nervcodec.bench.adapters import Adapter, built_in, chosen_adapters, evenly, filled, from_toml
from nervcodec.bench.fingerprint import coding_digest
from nervcodec.errors import ConfigError

TOML = """
name = "toy"
encode = "toy -q {setting} {input} {output}"
decode = "untoy {output} {decoded}"
settings = [1, 2.5, "three"]
"""
VALUES = {"input": "in", "output": "out", "setting": "7", "frames": 3, "threads": 2}


def chosen(
    codecs: Sequence[str] = (),
    n_points: int = 4,
    *,
    presets: dict[str, list[str]] | None = None,
    settings: dict[str, list[str]] | None = None,
    tomls: Sequence[Path] = (),
) -> list[Adapter]:
    return chosen_adapters(codecs, presets or {}, tomls, n_points, (), settings or {})


def toml(folder: Path, text: str = TOML) -> Path:
    path = folder / "toy.toml"
    path.write_text(text)
    return path


def test_all_codecs_at_both_tunings() -> None:
    """Unasked, every built-in codec runs at its default preset, FFmpeg's with and without psnr
    tuning.
    """
    assert [adapter.label for adapter in chosen()] == [
        "nervcodec medium",
        "x264 medium",
        "x264 medium psnr",
        "x265 medium",
        "x265 medium psnr",
        "svtav1 4",
        "vp9 2",
    ]


def test_presets_make_curves() -> None:
    """Each preset asked for is a curve, with its tuning after a slash, and both are in the
    command.
    """
    slow, psnr = chosen(["x265"], presets={"x265": ["slow", "veryfast/psnr"]})
    assert (slow.label, psnr.label) == ("x265 slow", "x265 veryfast psnr")
    assert "preset=slow" in slow.encode and not any("tune" in part for part in slow.encode)
    assert {"preset=veryfast", "tune=psnr"} <= set(psnr.encode)


@pytest.mark.parametrize(
    ("codec", "variant", "expected"),
    [
        ("x264", "medium", ["26", "29", "32", "35"]),
        ("svtav1", "4", ["35", "44", "54", "63"]),
        ("nervcodec", "medium", ["36", "32", "28", "24"]),
        ("nervcodec", "paper-xs", ["8", "7", "5", "4"]),
        ("nervcodec", "paper", ["xs", "s", "m", "l"]),
    ],
)
def test_points_span_the_usual_range(codec: str, variant: str, expected: list[str]) -> None:
    """Settings go evenly from one end of a codec's range to the other."""
    (adapter,) = built_in(codec, [variant], 4)
    assert list(adapter.settings) == expected


@pytest.mark.parametrize(
    ("codec", "variant", "expected"),
    [
        ("x264", "medium", "30"),
        ("nervcodec", "medium", "30"),
        ("nervcodec", "paper-xs", "8"),
        ("nervcodec", "paper", "xs"),
    ],
)
def test_a_single_point(codec: str, variant: str, expected: str) -> None:
    """One point is the middle of a range of rates, and the published value where there is one."""
    assert built_in(codec, [variant], 1)[0].settings == (expected,)


@pytest.mark.parametrize(
    ("codec", "variant", "n_settings"),
    [
        ("x264", "medium", 10),
        ("nervcodec", "paper-xs", 5),
        ("nervcodec", "paper", 4),
        ("nervcodec", "medium", 13),
    ],
)
def test_no_setting_comes_twice(codec: str, variant: str, n_settings: int) -> None:
    """More points than the range has whole values give each value once."""
    settings = built_in(codec, [variant], 20)[0].settings
    assert len(settings) == len(set(settings)) == n_settings


def test_settings_are_those_of_the_label_before_those_of_the_codec() -> None:
    """--settings replaces the range: of one curve by its label, of the codec's others by its name,
    each value once.
    """
    plain, psnr = chosen(
        ["x264"], settings={"x264": ["20", "30", "20"], "x264 medium psnr": ["25"]}
    )
    assert (plain.settings, psnr.settings) == (("20", "30"), ("25",))


def test_codecs_come_in_the_order_asked_for_and_once() -> None:
    """The order of --codecs is the order of curves; a codec named twice runs once."""
    labels = [adapter.codec for adapter in chosen(["vp9", "x264", "vp9"])]
    assert labels == ["vp9", "x264", "x264"]


@pytest.mark.parametrize(
    ("presets", "settings", "message"),
    [
        ({"h266": ["fast"]}, {}, "presets for 'h266'; legal: x264"),
        ({"x265": ["fast"]}, {}, "presets for 'x265'; legal: x264"),
        ({"x264": ["fastest"]}, {}, "preset of x264 is 'fastest'; legal: ultrafast, .*, placebo"),
        ({"x264": ["fast/ssim"]}, {}, "tuning of x264 is 'ssim'; legal: default, psnr"),
        ({}, {"x265": ["3"]}, "settings for 'x265'; legal: x264, x264 medium, x264 medium psnr"),
    ],
)
def test_names_that_stand_for_nothing(
    presets: dict[str, list[str]], settings: dict[str, list[str]], message: str
) -> None:
    """A preset, tuning or setting of nothing that runs is refused with what would be legal."""
    with pytest.raises(ConfigError, match=f"^{message}$"):
        chosen(["x264"], presets=presets, settings=settings)


def test_unknown_codec_and_preset_of_ours() -> None:
    """Unknown codecs and presets of ours are refused with the names that are known."""
    with pytest.raises(
        ConfigError, match="codec is 'h266'; legal: nervcodec, x264, x265, svtav1, vp9$"
    ):
        chosen(["h266"])
    with pytest.raises(
        ConfigError, match="preset of nervcodec is 'best'; legal: .*medium.*, paper$"
    ):
        chosen(["nervcodec"], presets={"nervcodec": ["best"]})


def test_our_command_says_frames_threads_preset_and_options() -> None:
    """nervcodec's command has the clip's frames, the threads, the setting and the user's own
    options.
    """
    (adapter,) = built_in("nervcodec", ["paper"], 2, ["--epochs", "3"])
    command = shlex.join(filled(adapter.encode, {**VALUES, "setting": "s"}))
    assert command.endswith(
        "encode -y --json --no-audio --frames 3 --threads 2 --preset paper-s --epochs 3 in out"
    )
    assert adapter.label == "nervcodec paper --epochs 3"


@pytest.mark.parametrize(
    ("variant", "options", "names"),
    [
        ("medium", [], ("decoded.y4m", "decoded/")),
        ("paper-xs", [], ("decoded/", "decoded/")),
        ("medium", ["--colorspace", "rgb"], ("decoded/", "decoded/")),
        ("medium", ["--colorspace=yuv"], ("decoded.y4m", "decoded.y4m")),
        ("paper", ["--colorspace", "auto"], ("decoded/", "decoded/")),
    ],
)
def test_ours_decodes_to_the_networks_own_planes(
    variant: str, options: list[str], names: tuple[str, str]
) -> None:
    """What is measured is never converted: 4:2:0 networks decode to .y4m, RGB networks to PNG,
    'auto' by the clip.
    """
    (adapter,) = built_in("nervcodec", [variant], 1, options)
    assert (adapter.decoded, adapter.decoded_rgb) == names


def test_our_version_follows_our_source(tmp_path: Path) -> None:
    """Our version changes with any source that may code frames, in every package, and not with the
    benchmark's.
    """
    assert coding_digest()[:12] in built_in("nervcodec", [], 1)[0].version
    (tmp_path / "training").mkdir()
    (tmp_path / "bench").mkdir()
    (tmp_path / "errors.py").write_text("one")
    first = coding_digest(tmp_path)
    (tmp_path / "bench" / "report.py").write_text("more")
    assert coding_digest(tmp_path) == first
    (tmp_path / "training" / "stage.py").write_text("more")
    second = coding_digest(tmp_path)
    (tmp_path / "errors.py").write_text("two")
    assert len({first, second, coding_digest(tmp_path)}) == 3


def test_evenly() -> None:
    """Values are evenly spaced with both ends; a single one is the middle."""
    assert evenly((1, 4), 4) == [1, 2, 3, 4]
    assert evenly((1, 4), 1) == [2.5]


# TOML


def test_toml_has_what_a_codec_needs(tmp_path: Path) -> None:
    """Name, commands and settings make an adapter that is handed .y4m and whose whole file
    counts.
    """
    adapter = from_toml(toml(tmp_path), 4)
    assert (adapter.label, adapter.settings, adapter.describe("1"), adapter.version) == (
        "toy",
        ("1", "2.5", "three"),
        "1",
        "",
    )
    assert (adapter.foreign, adapter.counted, adapter.suffix) == (True, "whole file", ".bin")
    assert filled(adapter.encode, VALUES) == ["toy", "-q", "7", "in", "out"]


def test_toml_runs_beside_the_built_in_ones(tmp_path: Path) -> None:
    """Codecs from files come after the built-in ones and are chosen by their name."""
    assert [adapter.label for adapter in chosen(tomls=[toml(tmp_path)])][-1] == "toy"
    assert [adapter.label for adapter in chosen(["toy"], tomls=[toml(tmp_path)])] == ["toy"]


@pytest.mark.parametrize(
    ("n_points", "expected"), [(1, ("2.5",)), (2, ("1", "three")), (9, ("1", "2.5", "three"))]
)
def test_toml_settings_are_thinned(
    tmp_path: Path, n_points: int, expected: tuple[str, ...]
) -> None:
    """Fewer points than settings take them evenly from end to end."""
    assert from_toml(toml(tmp_path), n_points).settings == expected


def test_toml_version_is_the_first_line_of_a_command(tmp_path: Path) -> None:
    """The version is what the codec's own command prints first, on either stream."""
    code = 'import sys; sys.stderr.write("toy 1.2\\\\nmore\\\\n")'
    path = toml(tmp_path, TOML + f'version = """{shlex.quote(sys.executable)} -c \'{code}\'"""\n')
    assert from_toml(path, 1).version == "toy 1.2"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "toy"', "", "no name"),
        ('settings = [1, 2.5, "three"]', "", "no settings"),
        ('settings = [1, 2.5, "three"]', 'settings = "123"', "settings is '123'"),
        ('settings = [1, 2.5, "three"]', "settings = []", "no settings"),
        ('name = "toy"', "name = 3", "name is 3"),
        ('name = "toy"', 'name = "toy"\nspeed = 3', "unknown speed"),
        ('name = "toy"', 'name = "x264"', "name is 'x264'; legal: any but nervcodec, x264"),
        ('name = "toy"', "name = toy", "toy.toml: "),
        ("{input}", "{clip}", r"placeholder 'clip' in toy .*; legal: \{input\}, \{output\}"),
        ("{input}", "{", "placeholder .*; legal"),
        ("{input}", "{input.nothing}", "placeholder .*; legal"),
        ("untoy", "untoy '", "toy.toml: No closing quotation"),
        (
            'name = "toy"',
            'name = "toy"\nversion = "no-such-program -v"',
            "cannot run 'no-such-program': No such file",
        ),
    ],
)
def test_toml_faults(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Whatever is wrong with an adapter's file is said in one line before anything runs."""
    assert old in TOML
    with pytest.raises(ConfigError, match=message) as caught:
        from_toml(toml(tmp_path, TOML.replace(old, new)), 4)
    assert "\n" not in str(caught.value)


def test_toml_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(ConfigError, match="adapter .*none.toml: .*No such file"):
        from_toml(tmp_path / "none.toml", 4)


def test_the_documents_example_is_short_and_legal(tmp_path: Path) -> None:
    """The guide's example has at most 20 lines and is legal once its program is there."""
    document = (Path(__file__).parents[2] / "docs" / "guide" / "benchmarking.md").read_text("utf-8")
    text = document.partition("```toml\n")[2].partition("```")[0]
    assert 0 < len(text.splitlines()) <= 20
    adapter = from_toml(
        toml(tmp_path, text.replace("x264 --version", f"{shlex.quote(sys.executable)} --version")),
        4,
    )
    assert (adapter.label, adapter.version.split()[0]) == ("x264-cli slow", "Python")
    assert len(adapter.settings) == 4 and adapter.foreign


def test_arguments_stay_whole() -> None:
    """A name with spaces, quotes and braces fills one argument as it is."""
    assert filled(["toy", "-i={input}"], {"input": "a 'b' {c}; $d"}) == ["toy", "-i=a 'b' {c}; $d"]
