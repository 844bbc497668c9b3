"""nervcodec.bench.report: one file that shows all of a benchmark and needs nothing else."""

import base64
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import fake_results
import numpy as np
import pytest
from fake_results import CLIPS, LABELS

from nervcodec.bench.bdrate import deltas
from nervcodec.bench.report import write_report
from nervcodec.errors import ConfigError, DependencyError

VOID = {"meta", "img", "br"}
HOSTILE = '<script>alert("1")</script>'


class Page(HTMLParser):
    """What a test wants to know of a page: tags, attributes and the cells of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def report(folder: Path, content: dict[str, Any] | None = None, anchor: str | None = None) -> str:
    """Writes results and pictures, then the report; returns its text."""
    fake_results.write(folder, content or fake_results.results())
    return write_report(folder, anchor).read_text("utf-8")


def test_where_the_report_is(tmp_path: Path) -> None:
    """The report, the plot for a README and the figures stand beside the results, and nothing else
    does.
    """
    fake_results.write(tmp_path, fake_results.results())
    assert write_report(tmp_path) == tmp_path / "report.html"
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json",
        "crops",
        "report.html",
        "rd.svg",
        "bd.json",
    }


def test_tags_are_balanced(tmp_path: Path) -> None:
    """Every tag that is opened is closed, in order."""
    assert Page(report(tmp_path)).open == []


def test_the_report_needs_nothing_else(tmp_path: Path) -> None:
    """All that the page refers to is in it: pictures as data, plots by their ids, no script and no
    style sheet.
    """
    page = Page(report(tmp_path))
    references = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert references and all(
        value.startswith(("data:image/png;base64,", "#")) for value in references
    )
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "@import" not in (tmp_path / "report.html").read_text("utf-8")


def test_ids_occur_once(tmp_path: Path) -> None:
    """No id occurs twice in the page."""
    found = [value for name, value in Page(report(tmp_path)).attributes if name == "id"]
    assert found and len(set(found)) == len(found)


def test_the_pictures_are_there_byte_for_byte(tmp_path: Path) -> None:
    """Each cut-out is in the page as it is on disk, in the order of the results."""
    shown = re.findall('src="data:image/png;base64,([^"]+)"', report(tmp_path))
    crops = fake_results.results()["crops"]
    expected = [
        (tmp_path / image["file"]).read_bytes() for crop in crops for image in crop["images"]
    ]
    assert [base64.b64decode(text) for text in shown] == expected


def test_pictures_have_captions(tmp_path: Path) -> None:
    """A picture's caption says label, setting, bytes and the PSNR of that frame; the source's is
    'source'.
    """
    captions = re.findall("<figcaption>([^<]*)</figcaption>", report(tmp_path))
    assert captions[:3] == [
        "source",
        "nervcodec medium, rate weight 0.01, 3,600 bytes, 33.25 dB RGB",
        "x265 medium, crf 29, 4,000 bytes, 33.25 dB RGB",
    ]
    assert len(captions) == 12


def test_all_points_are_there(tmp_path: Path) -> None:
    """Every point has its row, with its figures to the places that a reader needs."""
    rows = Page(report(tmp_path)).rows
    points = fake_results.results()["points"]
    assert all(
        [row[:3] for row in rows].count([each["label"], each["setting"], f"{each['bytes']:,}"]) == 1
        for each in points
    )
    assert [
        "nervcodec medium",
        "rate weight 0.04",
        "900",
        "whole file",
        "0.0417",
        "60.0",
        "31.00",
        "39.00",
        "40.00",
        "32.00",
        "30.00",
        "0.9000",
        "0.9500",
        "30.50",
        "60.00",
        "0.50",
        "512",
        "256",
        "1,000",
        "12.50",
    ] in rows
    assert [
        "x265 medium",
        "crf 35",
        "1,000",
        "elementary stream",
        "0.0463",
        "66.7",
        "31.00",
        "39.00",
        "40.00",
        "32.00",
        "30.00",
        "0.9000",
        "0.9500",
        "30.50",
        "1.50",
        "0.50",
        "512",
        "256",
        *["\N{EN DASH}"] * 2,
    ] in rows


def test_columns_without_figures_are_left_out(tmp_path: Path) -> None:
    """A metric that was measured nowhere has no column, but its reason is told once a clip."""
    text = report(tmp_path)
    assert "VMAF" not in Page(text).rows[0] and "SSIM" in Page(text).rows[0]
    assert text.count("Not measured: no vmaf here.") == 2


def test_a_metric_that_was_measured_has_its_column(tmp_path: Path) -> None:
    """One point with a VMAF is enough for a column; points without one have a dash there."""
    content = fake_results.results()
    content["points"][0]["vmaf"] = 87.654
    rows = Page(report(tmp_path, content)).rows
    column = rows[0].index("VMAF")
    assert [row[column] for row in rows[1:3]] == ["87.65", "\N{EN DASH}"]


def test_figures_against_the_anchor(tmp_path: Path) -> None:
    """Nine tenths of x265's bytes are -10 % BD-rate and 90 % of the bytes at equal PSNR, of Y and
    RGB.
    """
    rows = Page(report(tmp_path)).rows
    found = [row for row in rows if row[0] == LABELS[0] and len(row) == 5]
    assert [row[1:3] for row in found] == [
        ["Y", "-10.0 % (-10.0 %)"],
        ["RGB", "-10.0 % (-10.0 %)"],
    ] * 2
    assert [row[4] for row in found] == ["90.0 % at 37.00 dB", "90.0 % at 36.00 dB"] * 2
    assert found[0][3] == "+0.30 dB (+0.30 dB)"


def test_another_anchor(tmp_path: Path) -> None:
    """The anchor asked for is the one that others are compared with."""
    text = report(tmp_path, anchor=LABELS[0])
    assert f"Against {LABELS[0]}" in text
    assert [row[2] for row in Page(text).rows if row[0] == LABELS[1] and len(row) == 5] == [
        "+11.1 % (+11.1 %)"
    ] * 4


def test_undefined_figures_say_why(tmp_path: Path) -> None:
    """Where a figure is not defined, the reason stands in its place."""
    content = fake_results.results()
    content["points"] = [
        each for each in content["points"] if each["setting"] != "rate weight 0.04"
    ]
    rows = Page(report(tmp_path, content)).rows
    assert ["undefined: 3 points"] * 2 in [row[2:4] for row in rows]


def test_a_single_curve_has_no_such_table(tmp_path: Path) -> None:
    """Results of one curve give a report without comparisons."""
    content = fake_results.results()
    content["points"] = [each for each in content["points"] if each["label"] == LABELS[0]]
    assert "Against" not in report(tmp_path, content)
    assert json.loads((tmp_path / "bd.json").read_text("utf-8")) == []


def test_each_clip_has_its_part(tmp_path: Path) -> None:
    """Each clip has a heading, its size and frames, and three plots; the note is only where the
    clip has one.
    """
    text = report(tmp_path)
    assert re.findall("<h2>(.*?)</h2>", text) == [*CLIPS, "How it was measured"]
    assert text.count("320x180, 3 frames, 25 frames/s") == 2
    assert text.count("<svg ") == 6
    assert text.count("Note: the source itself is a stream of this rate") == 1


def test_how_it_was_measured(tmp_path: Path) -> None:
    """The end of the page says command, versions, machine, threads and seed."""
    end = report(tmp_path).partition("How it was measured")[2]
    for part in (
        "nervcodec bench river.mp4 &#39;still life.y4m&#39;",
        "Some CPU, 2 cores, 7.8 GiB, no GPU",
        "ffmpeg 7.1",
        "2 threads, seed 5",
        "nervcodec: 0.1.0 (abc); x265: 8.0",
        "2025-01-02T03:04:05Z",
    ):
        assert part in end


def test_nothing_is_markup(tmp_path: Path) -> None:
    """Names, settings, notes, versions and commands are text, whatever is in them."""
    content = json.loads(
        json.dumps(fake_results.results()).replace(LABELS[1], json.dumps(HOSTILE)[1:-1])
    )
    content["command"] = content["machine"]["cpu"] = content["created"] = HOSTILE
    content["clips"][0]["note"] = content["clips"][0]["frame_rate"] = HOSTILE
    content["versions"][HOSTILE] = HOSTILE
    for each in content["points"]:
        each["setting"] = each["version"] = each["codec"] = each["vmaf_reason"] = HOSTILE
    for crop in content["crops"]:
        crop["note"] = crop["which"] = HOSTILE
    text = report(tmp_path, content)
    assert "<script" not in text and "script" not in Page(text).tags
    assert "<script" not in (tmp_path / "rd.svg").read_text("utf-8")


def test_without_jinja2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where jinja2 is not installed, one line says what installs it, and no report is written."""
    fake_results.write(tmp_path, fake_results.results())
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(DependencyError, match="reports need jinja2; install it with: pip install"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    """Characters that a page cannot hold, such as halves of a file name's bytes, are shown
    escaped.
    """
    content = json.loads(json.dumps(fake_results.results()).replace(LABELS[1], r"x\udcff\u001b265"))
    assert r"x\udcff\x1b265" in report(tmp_path, content)


def test_bd_json(tmp_path: Path) -> None:
    """bd.json holds the results of bdrate.deltas in their order."""
    report(tmp_path)
    found = json.loads((tmp_path / "bd.json").read_text("utf-8"))
    assert found == [
        delta.as_json() for delta in deltas(fake_results.results()["points"], LABELS[1])
    ]


def test_rd_svg(tmp_path: Path) -> None:
    """rd.svg is an SVG picture of its own with the names of all clips."""
    report(tmp_path)
    root = ElementTree.parse(tmp_path / "rd.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert set(CLIPS) <= {element.text for element in root.iter()}


def test_equal_results_give_equal_reports(tmp_path: Path) -> None:
    """Writing the report again replaces it by the same bytes."""
    first = report(tmp_path)
    assert write_report(tmp_path).read_text("utf-8") == first


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "cannot read .*results.json: No such file"),
        ("{", "is no JSON"),
        ("[]", "schema of .* is None; legal:"),
        (
            '{"schema": "nervcodec.bench/2"}',
            "schema of .* is 'nervcodec.bench/2'; legal: 'nervcodec.bench/1'",
        ),
    ],
)
def test_foreign_results(tmp_path: Path, text: str | None, fault: str) -> None:
    """What is no results.json of ours is refused, and no report is written."""
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(ConfigError, match=fault):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_unknown_anchor(tmp_path: Path) -> None:
    """An anchor that is no label is refused with the legal ones, and no report is written."""
    with pytest.raises(ConfigError, match="anchor is 'x'; legal: nervcodec medium, x265 medium"):
        report(tmp_path, anchor="x")
    assert not (tmp_path / "report.html").exists()


def test_missing_pictures(tmp_path: Path) -> None:
    """A picture that is gone is named, and no report is written."""
    fake_results.write(tmp_path, fake_results.results())
    (tmp_path / "crops" / "river-worst-0.png").unlink()
    with pytest.raises(ConfigError, match="cannot read .*river-worst-0.png"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_browser_shows_it(tmp_path: Path) -> None:
    """Chromium draws the page in many colours and finds every clip's heading in it."""
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if browser is None:
        pytest.skip("there is no chromium, chromium-browser or google-chrome on PATH")
    report(tmp_path)
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    page, picture = (tmp_path / "report.html").as_uri(), tmp_path / "page.png"
    subprocess.run(
        [*command, f"--screenshot={picture}", "--window-size=1200,3000", page],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with av.open(picture) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert pixels.shape == (3000, 1200, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    dom = subprocess.run(
        [*command, "--dump-dom", page], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert re.findall("<h2>(.*?)</h2>", dom)[:-1] == list(CLIPS)
