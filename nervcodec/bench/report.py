"""The benchmark's report: results.json -> report.html, one file that needs no other; rd.svg and
bd.json beside it.

report.html has for each clip the plots, the points, the Bjontegaard figures and the cut-outs, and
at the end how all of it was measured. rd.svg is the plot of all clips for a README, bd.json the
list of curves.Delta, and markdown() the two tables for the docs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nervcodec.bench.bdrate import Delta, Point, choose_anchor, deltas
from nervcodec.bench.plots import Results, overview, psnr_by_frame, rate_distortion, rate_time
from nervcodec.bench.runner import SCHEMA
from nervcodec.errors import ConfigError
from nervcodec.util.files import whole_file
from nervcodec.util.text import printable

Table = tuple[
    Sequence[str], Sequence[Sequence[str]]
]  # headings and rows of plain text, escaped where it is shown
_NONE = "\N{EN DASH}"
_MAY_BE_MISSING = ("ssim", "ms_ssim", "xpsnr", "vmaf")
_CSS = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; margin: 1.5em 0 .5em; }
h2 { border-top: 1px solid var(--line); padding-top: 1em; }
p, li, figcaption { overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 1em 0; }
.wide svg { display: block; max-width: max(100%, 40rem); height: auto; background: #fff;
  border-radius: 6px; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .6em; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { vertical-align: bottom; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
tbody tr:hover { background: var(--soft); }
.crops { display: flex; flex-wrap: wrap; gap: 1rem; }
.crops figure { margin: 0; width: 20rem; max-width: 100%; }
.crops img { width: 100%; image-rendering: pixelated; border-radius: 4px; }
figcaption, .note { font-size: .85rem; opacity: .85; }
"""
# How it was measured, whatever the results.
_METHOD = (
    "bpp = 8 bytes / (frames x width x height); kbit/s is of 1000 bits.",
    (
        "Whole file: all bytes of the coded file, headers and checksums too. Elementary stream:"
        " what a conventional encoder puts out, without a container."
    ),
    (
        "PSNR, SSIM and MS-SSIM are of the decoded planes against the clip's own, and means over"
        " frames: of each frame's decibels, an error-free frame counting as 100 dB. 6:1:1 is (6 Y +"
        " U + V) / 8 of each frame. SSIM and MS-SSIM are of luma."
    ),
    (
        "RGB: both sides go through nervcodec's own conversion, with the matrix and range that the"
        " clip is tagged with and each chroma sample serving its 2x2 pixels; the PSNR is of a"
        " frame's mean squared error over R, G and B."
    ),
    "XPSNR is the average that FFmpeg's filter of that name gives.",
    (
        "Encoder and decoder run as processes of their own, one after the other. Seconds are those"
        " that the codec reports of itself, else those of the process; MiB is the peak resident"
        " memory of the process."
    ),
    (
        "BD-rate: mean difference of log bytes over the PSNR that both curves cover, by PCHIP (in"
        " brackets by Akima) interpolation; negative is fewer bytes than the anchor. BD-PSNR: mean"
        " difference of PSNR over the log bytes that both cover. Both are defined for four points"
        " or more a curve, bytes and PSNR rising together, and a common range of at least half the"
        " shorter curve's."
    ),
    (
        "Bytes at equal PSNR: share of the anchor's bytes at the highest PSNR that both curves"
        " reach, interpolated between points and never beyond them."
    ),
)


def write_report(folder: Path, anchor: str | None = None) -> Path:
    """Reads FOLDER/results.json and writes report.html, rd.svg and bd.json beside it; returns the
    path of the report.

    Args:
        anchor: label of the curve that the others are compared with, see curves.choose_anchor.
    Raises:
        ConfigError: no results that we can read, or no such anchor.
        DependencyError: matplotlib or bjontegaard is not installed.
    """
    results = _load(folder / "results.json")
    anchor = _anchor(results, anchor)
    found = deltas(results["points"], anchor)
    page, plot = _page(results, found, anchor, folder), overview(results)
    _write(folder / "bd.json", json.dumps([delta.as_json() for delta in found], indent=1))
    _write(folder / "rd.svg", plot)
    _write(folder / "report.html", page)
    return folder / "report.html"


def markdown(results: Results, anchor: str | None = None) -> str:
    """The most important columns of the points, and the Bjontegaard figures if there are any, as
    Markdown.

    Raises:
        ConfigError: there is no such anchor.
        DependencyError: bjontegaard is not installed.
    """
    anchor = _anchor(results, anchor)
    found = deltas(results["points"], anchor)
    parts = []
    for clip in results["clips"]:
        points, ours = (
            _of(clip, results["points"]),
            [delta for delta in found if delta.clip == clip["name"]],
        )
        parts += [
            f"### {_cell(clip['name'])}",
            _markdown_table(_points_table(points, compact=True)),
        ]
        if any(delta.bd_rate or delta.bd_psnr or delta.bytes_ratio for delta in ours):
            parts += [f"Against {_cell(anchor)}:", _markdown_table(_deltas_table(ours))]
    return "\n\n".join(parts) + "\n"


def _load(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}; legal: the folder of a benchmark"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"{path} is no JSON: {error}; legal: what nervcodec bench writes"
        ) from None
    schema = results.get("schema") if isinstance(results, dict) else None
    if schema != SCHEMA:
        raise ConfigError(f"schema of {path} is {schema!r}; legal: {SCHEMA!r}")
    found: dict[str, Any] = results
    return found


def _write(path: Path, text: str) -> None:
    with whole_file(path, overwrite=True) as part:
        part.write_text(text, "utf-8")


def _anchor(results: Results, anchor: str | None) -> str:
    return choose_anchor({point["label"]: point["codec"] for point in results["points"]}, anchor)


def _of(clip: Mapping[str, Any], points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point["clip"] == clip["name"]]


_COLUMNS: tuple[tuple[str, Callable[[Point], Any], str], ...] = (
    ("curve", lambda p: p["label"], ""),
    ("setting", lambda p: p["setting"], ""),
    ("bytes", lambda p: p["bytes"], ","),
    ("counted", lambda p: p["counted"], ""),
    ("bpp", lambda p: p["bpp"], ".4f"),
    ("kbit/s", lambda p: p["kbit_per_s"], ".1f"),
    ("PSNR Y", lambda p: p["psnr"]["y"], ".2f"),
    ("PSNR U", lambda p: p["psnr"]["u"], ".2f"),
    ("PSNR V", lambda p: p["psnr"]["v"], ".2f"),
    ("PSNR 6:1:1", lambda p: p["psnr"]["yuv611"], ".2f"),
    ("PSNR RGB", lambda p: p["psnr"]["rgb"], ".2f"),
    ("SSIM", lambda p: p["ssim"], ".4f"),
    ("MS-SSIM", lambda p: p["ms_ssim"], ".4f"),
    ("XPSNR Y", lambda p: (p["xpsnr"] or {}).get("y"), ".2f"),
    ("VMAF", lambda p: p["vmaf"], ".2f"),
    ("encode s", lambda p: p["encode_s"], ".2f"),
    ("decode s", lambda p: p["decode_s"], ".2f"),
    ("encode MiB", lambda p: p["encode_peak_bytes"] / 2**20, ".0f"),
    ("decode MiB", lambda p: p["decode_peak_bytes"] / 2**20, ".0f"),
    ("parameters", lambda p: p["parameters"], ","),
    ("kMAC/pixel", lambda p: p["kmac_per_pixel"], ".2f"),
)
_COMPACT = {
    "curve",
    "setting",
    "bytes",
    "bpp",
    "PSNR Y",
    "PSNR RGB",
    "MS-SSIM",
    "encode s",
    "decode s",
    "parameters",
    "kMAC/pixel",
}


def _points_table(points: Sequence[Point], compact: bool = False) -> Table:
    """A row for each point; columns that no point has a figure for are left out."""
    columns = [
        (name, [_figure(value(point), form) for point in points])
        for name, value, form in _COLUMNS
        if name in _COMPACT or not compact
    ]
    kept = [(name, cells) for name, cells in columns if set(cells) != {_NONE}]
    return [name for name, _ in kept], list(zip(*(cells for _, cells in kept)))


def _figure(value: Any, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _deltas_table(found: Sequence[Delta]) -> Table:
    names = {"rgb": "RGB", "y": "Y"}
    rows = [
        [
            delta.label,
            names[delta.plane],
            _both(delta.bd_rate, delta.bd_rate_reason, "+.1f", "%"),
            _both(delta.bd_psnr, delta.bd_psnr_reason, "+.2f", "dB"),
            _ratio(delta),
        ]
        for delta in found
    ]
    return [
        "curve",
        "PSNR of",
        "BD-rate, PCHIP (Akima)",
        "BD-PSNR, PCHIP (Akima)",
        "bytes at equal PSNR",
    ], rows


def _both(by_method: Mapping[str, float] | None, reason: str | None, form: str, unit: str) -> str:
    if by_method is None:
        return str(reason)
    return f"{by_method['pchip']:{form}} {unit} ({by_method['akima']:{form}} {unit})"


def _ratio(delta: Delta) -> str:
    if delta.bytes_ratio is None:
        return str(delta.bytes_ratio_reason)
    return f"{100 * delta.bytes_ratio:.1f} % at {delta.equal_psnr:.2f} dB"


def _markdown_table(table: Table) -> str:
    headings, rows = table
    lines = [headings, ["---", "---", *["--:"] * (len(headings) - 2)], *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return escape(printable(text), quote=False).replace("|", "\\|")


def _text(value: object) -> str:
    return escape(printable(str(value)))


def _html_table(table: Table) -> str:
    headings, rows = table
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n'
        "</tbody></table></div>"
    )


def _page(results: Results, found: Sequence[Delta], anchor: str, folder: Path) -> str:
    clips = [
        part
        for number in range(len(results["clips"]))
        for part in _clip(results, number, found, anchor, folder)
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>nervcodec bench</title>",
            f"<style>{_CSS}</style>",
            "</head>",
            "<body>",
            "<h1>nervcodec bench</h1>",
            *clips,
            *_method(results),
            "</body>",
            "</html>",
            "",
        ]
    )


def _clip(
    results: Results, number: int, found: Sequence[Delta], anchor: str, folder: Path
) -> Iterable[str]:
    """The lines of one clip's part."""
    clip = results["clips"][number]
    points, ours = (
        _of(clip, results["points"]),
        [delta for delta in found if delta.clip == clip["name"]],
    )
    yield f"<h2>{_text(clip['name'])}</h2>"
    yield (
        f"<p>{clip['width']}x{clip['height']}, {clip['frames']} frames, {_text(clip['frame_rate'])}"
        " frames/s</p>"
    )
    if clip["note"]:
        yield f'<p class="note">Note: {_text(clip["note"])} ({clip["ceiling_bpp"]:.4f} bpp).</p>'
    for plot in (rate_distortion, rate_time, psnr_by_frame):
        yield f'<div class="wide">{plot(results, number)}</div>'
    yield "<h3>Points</h3>"
    yield _html_table(_points_table(points))
    reasons = dict.fromkeys(point[f"{name}_reason"] for name in _MAY_BE_MISSING for point in points)
    yield from (
        f'<p class="note">Not measured: {_text(reason)}.</p>' for reason in reasons if reason
    )
    if ours:
        yield f"<h3>Against {_text(anchor)}</h3>"
        yield _html_table(_deltas_table(ours))
    for crop in results["crops"]:
        if crop["clip"] == clip["name"]:
            yield from _crop(crop, folder)


def _crop(crop: Mapping[str, Any], folder: Path) -> Iterable[str]:
    yield f"<h3>Frame {crop['frame']} ({_text(crop['which'])})</h3>"
    x, y, width, height = crop["box"]
    yield (
        f'<p class="note">{_text(crop["note"])}. {width}x{height} pixels from ({x}, {y}),'
        " enlarged.</p>"
    )
    yield '<div class="crops">'
    for image in crop["images"]:
        caption, source = _text(_caption(image)), _data_uri(folder / image["file"])
        yield (
            f'<figure><img alt="{caption}"'
            f' src="{source}"><figcaption>{caption}</figcaption></figure>'
        )
    yield "</div>"


def _caption(image: Mapping[str, Any]) -> str:
    """Label, setting, bytes and the frame's PSNR; the source has a label alone."""
    if image["bytes"] is None:
        return str(image["label"])
    return (
        f"{image['label']}, {image['setting']}, {image['bytes']:,} bytes, {image['psnr_rgb']:.2f}"
        " dB RGB"
    )


def _data_uri(path: Path) -> str:
    try:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}; legal: the pictures of results.json"
        ) from None


def _method(results: Results) -> Iterable[str]:
    """The lines that say how it was measured."""
    machine = results["machine"]
    versions = {f"{name} {version}" for name, version in results["versions"].items()}
    codecs = dict.fromkeys(
        f"{point['codec']}: {point['version']}" for point in results["points"] if point["version"]
    )
    facts = (
        (
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
            f" {machine['gpu'] or 'no GPU'}, {machine['system']}"
        ),
        ", ".join(sorted(versions)),
        "; ".join(codecs),
        f"nervcodec's fits: {results['threads']} threads, seed {results['seed']}",
        f"Written {results['created']}",
    )
    yield "<h2>How it was measured</h2>"
    yield f"<p><code>{_text(results['command'])}</code></p>"
    yield f"<ul>{''.join(f'<li>{_text(fact)}</li>' for fact in (*facts, *_METHOD) if fact)}</ul>"
