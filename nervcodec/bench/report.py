"""Write a benchmark's report: results.json -> report.html, rd.svg and bd.json beside it.

report.html needs no other file: for each clip it has the plots, the points, the Bjontegaard figures
and the cut-outs, and at the end how all of it was measured. Its text stands in report.html.j2, here
are the data that it shows. rd.svg is the plot of all clips, bd.json the list of bdrate.Delta.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nervcodec.bench.bdrate import Delta, Method, Point, choose_anchor, deltas
from nervcodec.bench.plots import Results, overview, psnr_by_frame, rate_distortion, rate_time
from nervcodec.bench.runner import SCHEMA
from nervcodec.errors import ConfigError, DependencyError
from nervcodec.util.files import whole_file
from nervcodec.util.text import printable

# Headings and rows of plain text, escaped where it is shown.
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
_NONE = "\N{EN DASH}"
_MAY_BE_MISSING = ("ssim", "ms_ssim", "xpsnr", "vmaf")


def write_report(folder: Path, anchor: str | None = None) -> Path:
    """Write report.html, rd.svg and bd.json beside FOLDER/results.json; return the report's path.

    Args:
        anchor: label of the curve that the others are compared with, see bdrate.choose_anchor.
    Raises:
        ConfigError: the results cannot be read, or there is no such anchor.
        DependencyError: jinja2, matplotlib or bjontegaard is not installed.
    """
    results = _load(folder / "results.json")
    anchor = _anchor(results, anchor)
    differences = deltas(results["points"], anchor)
    page = _page(results, differences, anchor, folder)
    plot = overview(results)
    _write(folder / "bd.json", json.dumps([delta.as_json() for delta in differences], indent=1))
    _write(folder / "rd.svg", plot)
    _write(folder / "report.html", page)
    return folder / "report.html"


def _load(path: Path) -> dict[str, Any]:
    """Return results; raise ConfigError for what is none."""
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
    checked: dict[str, Any] = results
    return checked


def _write(path: Path, text: str) -> None:
    with whole_file(path, overwrite=True) as part:
        part.write_text(text, "utf-8")


def _anchor(results: Results, anchor: str | None) -> str:
    """Return the label that others are compared with."""
    return choose_anchor({point["label"]: point["codec"] for point in results["points"]}, anchor)


def _of(clip: Mapping[str, Any], points: Sequence[Point]) -> list[Point]:
    """Return the points of a clip."""
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


def _points_table(points: Sequence[Point]) -> Table:
    """Return a row for each point, without columns that no point has a figure for."""
    columns = [
        (name, [_figure(value(point), form) for point in points]) for name, value, form in _COLUMNS
    ]
    kept = [(name, cells) for name, cells in columns if set(cells) != {_NONE}]
    return [name for name, _ in kept], list(zip(*(cells for _, cells in kept)))


def _figure(value: Any, form: str) -> str:
    """Return a figure as text, a dash where there is none."""
    return _NONE if value is None else format(value, form)


def _deltas_table(differences: Sequence[Delta]) -> Table:
    """Return a row for each curve and plane."""
    names = {"rgb": "RGB", "y": "Y"}
    rows = [
        [
            delta.label,
            names[delta.plane],
            _both(delta.bd_rate, delta.bd_rate_reason, "+.1f", "%"),
            _both(delta.bd_psnr, delta.bd_psnr_reason, "+.2f", "dB"),
            _ratio(delta),
        ]
        for delta in differences
    ]
    return [
        "curve",
        "PSNR of",
        "BD-rate, PCHIP (Akima)",
        "BD-PSNR, PCHIP (Akima)",
        "bytes at equal PSNR",
    ], rows


def _both(
    by_method: Mapping[Method, float] | None, reason: str | None, form: str, unit: str
) -> str:
    if by_method is None:
        return str(reason)
    return f"{by_method['pchip']:{form}} {unit} ({by_method['akima']:{form}} {unit})"


def _ratio(delta: Delta) -> str:
    """Return bytes at equal PSNR, or why there are none."""
    if delta.bytes_ratio is None:
        return str(delta.bytes_ratio_reason)
    return f"{100 * delta.bytes_ratio:.1f} % at {delta.equal_psnr:.2f} dB"


def _page(results: Results, differences: Sequence[Delta], anchor: str, folder: Path) -> str:
    """Return the HTML page, every text in it escaped.

    Raises:
        DependencyError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise DependencyError(
            "reports need jinja2; install it with: pip install 'nervcodec[bench]'"
        ) from None

    def shown(value: Any) -> Any:
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return printable(value) if is_text else value

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    clips = [_clip(results, number, differences, folder) for number in range(len(results["clips"]))]
    for clip in clips:
        clip["plots"] = [Markup(svg) for svg in clip["plots"]]
    return pages.get_template("report.html.j2").render(
        clips=clips, anchor=anchor, command=results["command"], facts=_facts(results)
    )


def _clip(
    results: Results, number: int, differences: Sequence[Delta], folder: Path
) -> dict[str, Any]:
    """Return what the page shows of the clip of this number."""
    clip = results["clips"][number]
    points = _of(clip, results["points"])
    own_deltas = [delta for delta in differences if delta.clip == clip["name"]]
    reasons = dict.fromkeys(point[f"{name}_reason"] for name in _MAY_BE_MISSING for point in points)
    return {
        **clip,
        "plots": [plot(results, number) for plot in (rate_distortion, rate_time, psnr_by_frame)],
        "points": _points_table(points),
        "reasons": [reason for reason in reasons if reason],
        "deltas": _deltas_table(own_deltas) if own_deltas else None,
        "crops": [_crop(crop, folder) for crop in results["crops"] if crop["clip"] == clip["name"]],
    }


def _crop(crop: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a cut-out with its pictures as base64."""
    images = [
        {"caption": _caption(image), "base64": _base64(folder / image["file"])}
        for image in crop["images"]
    ]
    return {**crop, "images": images}


def _caption(image: Mapping[str, Any]) -> str:
    """Return label, setting, bytes and the frame's PSNR; the source has a label alone."""
    if image["bytes"] is None:
        return str(image["label"])
    return (
        f"{image['label']}, {image['setting']}, {image['bytes']:,} bytes, {image['psnr_rgb']:.2f}"
        " dB RGB"
    )


def _base64(path: Path) -> str:
    """Return a picture as base64; raise ConfigError where it cannot be read."""
    try:
        return base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}; legal: the pictures of results.json"
        ) from None


def _facts(results: Results) -> list[str]:
    """Return the lines that say where and with what these results were measured."""
    machine = results["machine"]
    versions = {f"{name} {version}" for name, version in results["versions"].items()}
    codecs = dict.fromkeys(
        f"{point['codec']}: {point['version']}" for point in results["points"] if point["version"]
    )
    facts = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['gpu'] or 'no GPU'}, {machine['system']}",
        ", ".join(sorted(versions)),
        "; ".join(codecs),
        f"nervcodec's fits: {results['threads']} threads, seed {results['seed']}",
        f"Written {results['created']}",
    ]
    return [fact for fact in facts if fact]
