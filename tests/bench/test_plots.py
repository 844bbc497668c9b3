"""nervcodec.bench.plots: what the plots show, as SVG that can stand beside others in one file."""

import re
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from fake_results import CEILING, CLIPS, LABELS, point, results

from nervcodec.bench.plots import growth, overview, psnr_by_frame, rate_distortion, rate_time
from nervcodec.errors import DependencyError

SVG = "{http://www.w3.org/2000/svg}"
Plot = Callable[[dict[str, Any], int], str]
BY_CLIP = (rate_distortion, rate_time, psnr_by_frame)


def texts(svg: str) -> list[str]:
    return [str(element.text) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def ids(svg: str) -> list[str]:
    return [
        element.attrib["id"]
        for element in ElementTree.fromstring(svg).iter()
        if "id" in element.attrib
    ]


def curves(svg: str) -> dict[str, ElementTree.Element]:
    """The groups that hold a curve, by id without the plot's prefix."""
    return {
        element.attrib["id"].split("-", 1)[1]: element
        for element in ElementTree.fromstring(svg).iter(f"{SVG}g")
        if re.search("-curve[0-9]+-[0-9]+$", element.attrib.get("id", ""))
    }


def stroke(element: ElementTree.Element) -> dict[str, str]:
    """The properties of a curve's line."""
    (path,) = (child for child in element if child.tag == f"{SVG}path")
    return dict(part.strip().split(": ", 1) for part in path.attrib["style"].split(";"))


@pytest.mark.parametrize("plot", BY_CLIP)
def test_a_plot_is_svg(plot: Plot) -> None:
    """A plot is well-formed XML with svg as its root, without declarations, so that it can stand in
    HTML.
    """
    svg = plot(results(), 0)
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert svg.startswith("<svg ")


@pytest.mark.parametrize(
    ("plot", "n_axes"), [(rate_distortion, 2), (rate_time, 1), (psnr_by_frame, 1)]
)
def test_a_line_for_each_label(plot: Plot, n_axes: int) -> None:
    """Every pair of axes has one line for each label."""
    assert sorted(curves(plot(results(), 1))) == [
        f"curve{k}-{axes}" for k in range(2) for axes in range(n_axes)
    ]


@pytest.mark.parametrize("plot", [rate_distortion, rate_time])
def test_the_legend_names_each_label_once(plot: Plot) -> None:
    """Each label stands once in the legend, whatever the number of axes."""
    shown = texts(plot(results(), 0))
    assert [shown.count(label) for label in LABELS] == [1, 1]


def test_a_marker_for_each_point() -> None:
    """A curve has as many markers as points."""
    svg = rate_distortion(results(), 0)
    assert [len(list(curve.iter(f"{SVG}use"))) for curve in curves(svg).values()] == [4] * 4


def test_only_the_clip_s_points() -> None:
    """A clip without points of a label has no line of it, and the others keep their look."""
    found = results()
    found["points"] = [
        each for each in found["points"] if (each["clip"], each["label"]) != (CLIPS[1], LABELS[0])
    ]
    left = curves(rate_time(found, 1))
    assert list(left) == ["curve1-0"]
    assert stroke(left["curve1-0"]) == stroke(curves(rate_time(found, 0))["curve1-0"])


def test_our_lines_are_thicker() -> None:
    """Our own codec's line is at least twice as thick as another's, and of another colour."""
    ours, theirs = (stroke(curves(rate_time(results(), 0))[f"curve{k}-0"]) for k in range(2))
    assert float(ours["stroke-width"]) >= 2 * float(theirs["stroke-width"])
    assert ours["stroke"] != theirs["stroke"]


def test_variants_of_a_codec_share_its_colour() -> None:
    """Variants of one codec have one colour and differ by their dashes."""
    found = results()
    found["points"] += [point(CLIPS[0], "x265 slow", k) for k in range(4)]
    medium, slow = (stroke(curves(rate_time(found, 0))[f"curve{k}-0"]) for k in (1, 2))
    assert medium["stroke"] == slow["stroke"]
    assert "stroke-dasharray" in slow and "stroke-dasharray" not in medium


def test_the_ceiling_is_marked() -> None:
    """A clip that is itself a lossy stream has a dashed line at its rate in each pair of axes,
    which says so.
    """
    svg = rate_distortion(results(), 0)
    lines = [
        element
        for element in ElementTree.fromstring(svg).iter()
        if "ceiling" in element.attrib.get("id", "")
    ]
    assert ["stroke-dasharray" in stroke(line) for line in lines] == [True, True]
    assert texts(svg).count(f"the source itself is a stream of {CEILING} bpp ") == 2


def test_no_ceiling_without_one() -> None:
    """A clip that is no lossy stream has no such line."""
    svg = rate_distortion(results(), 1)
    assert "ceiling" not in svg and "the source itself" not in svg


def test_frames_are_of_the_middle_point_and_the_nearest() -> None:
    """PSNR by frame is shown for our middle point and for the other curve's point of the nearest
    size.
    """
    shown = texts(psnr_by_frame(results(), 0))
    assert "nervcodec medium, rate weight 0.01, 3,600 bytes" in shown
    assert "x265 medium, crf 29, 4,000 bytes" in shown


def test_the_overview_shows_all_clips() -> None:
    """The overview has one pair of axes for each clip, with its name above and a line for each
    label.
    """
    svg = overview(results())
    assert [text for text in texts(svg) if text in CLIPS] == list(CLIPS)
    assert sorted(curves(svg)) == ["curve0-0", "curve0-1", "curve1-0", "curve1-1"]


def test_many_clips_make_rows() -> None:
    """Five clips are as wide as four, and higher."""
    found = results()
    found["clips"] *= 2
    four = ElementTree.fromstring(overview(found)).attrib
    found["clips"].append(found["clips"][0])
    five = ElementTree.fromstring(overview(found)).attrib
    assert five["width"] == four["width"] and float(five["height"][:-2]) == 2 * float(
        four["height"][:-2]
    )


def test_equal_results_give_equal_plots() -> None:
    """Nothing in a plot depends on the time or on chance."""
    assert [plot(results(), 0) for plot in BY_CLIP] == [plot(results(), 0) for plot in BY_CLIP]
    assert overview(results()) == overview(results())


def test_settings_of_matplotlib_do_not_count() -> None:
    """A user's matplotlib settings change no plot and are as before afterwards."""
    before = rate_time(results(), 0)
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 20}):
        assert rate_time(results(), 0) == before
        assert matplotlib.rcParams["font.size"] == 20


def test_ids_do_not_clash() -> None:
    """No id occurs twice among all plots of all clips, and every reference is to an id of its own
    plot.
    """
    plots = [plot(results(), number) for plot in BY_CLIP for number in range(2)] + [
        overview(results())
    ]
    found = [name for svg in plots for name in ids(svg)]
    assert len(set(found)) == len(found)
    for svg in plots:
        references = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert references and set(references) <= set(ids(svg))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "cost $x^2$ $", 'a" id="b', "back\\slash & more"]
)
def test_names_are_shown_as_they_are(name: str) -> None:
    """Labels and clip names are text, neither markup nor formulas."""
    found = results()
    found["clips"][0]["name"] = name
    for each in found["points"]:
        each["clip"] = name if each["clip"] == CLIPS[0] else each["clip"]
        each["label"] = name if each["label"] == LABELS[0] else each["label"]
    assert texts(overview(found)).count(name) == 2


def test_control_characters_are_escaped() -> None:
    """Characters that XML cannot hold are shown escaped."""
    found = results()
    for each in found["points"]:
        each["label"] = each["label"].replace("x265", "x\x1b265")
    assert r"x\x1b265 medium" in texts(rate_time(found, 0))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matplotlib is not installed, the error says what installs it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match=r"pip install 'nervcodec\[bench\]'$"):
        rate_time(results(), 0)


def test_growth_has_a_picture_a_part_and_a_curve_a_network() -> None:
    """Pixels, frames and width stand side by side, each with the curves of both networks, named
    once.
    """
    points = [
        {"part": part, "network": network, "x": x, "seconds": x / 10}
        for part in ("pixels", "frames", "width")
        for network in ("ours", "theirs")
        for x in (1, 10, 100)
    ]
    svg = growth(points)
    assert [text for text in texts(svg) if text.startswith("seconds a step and ")] == [
        f"seconds a step and {part}" for part in ("pixels", "frames", "width")
    ]
    assert sorted(curves(svg)) == [f"curve{k}-{part}" for k in range(2) for part in range(3)]
    assert [texts(svg).count(name) for name in ("ours", "theirs")] == [1, 1]
