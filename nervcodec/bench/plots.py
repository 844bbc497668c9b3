"""Plots of measurements as SVG text: the only import of matplotlib, without its global state.

Equal results give equal text: no date, fixed hashes, matplotlib's own defaults. Every id begins
with a prefix of the plot's own, so that several of them can stand in one HTML file. A codec has a
colour, its variants differ by dashes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

from nervcodec.bench.bdrate import OURS, Point, by_label
from nervcodec.bench.crops import nearest_points
from nervcodec.errors import DependencyError
from nervcodec.util.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe and Ito's colours, which the colour-blind can tell apart, without the yellow that is too
# pale for lines.
_COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_RC: Mapping[Any, Any] = {
    "svg.hashsalt": "nervcodec",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.sans-serif": ["DejaVu Sans"],
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_NAMESPACES = {"": "http://www.w3.org/2000/svg", "xlink": "http://www.w3.org/1999/xlink"}
_PLANES = (("rgb", "RGB"), ("y", "Y"))
_CEILING = "ceiling"
_COLUMNS = 4  # pairs of axes in a row
_WIDTH, _HEIGHT = 4.8, 3.8  # inches of one pair of axes
Results = Mapping[str, Any]
Style = dict[str, Any]


def rate_distortion(results: Results, number: int) -> str:
    """Return bpp against PSNR of RGB and of Y of the clip of this number, side by side."""
    clip = results["clips"][number]
    styles = _styles(results["points"])
    return _svg(
        f"rd{number}-",
        [_rate_distortion(results, clip, styles, plane, name) for plane, name in _PLANES],
    )


def overview(results: Results) -> str:
    """Return bpp against PSNR of RGB, the clips side by side."""
    styles = _styles(results["points"])
    return _svg(
        "rd-",
        [
            _rate_distortion(results, clip, styles, "rgb", printable(clip["name"]))
            for clip in results["clips"]
        ],
    )


def rate_time(results: Results, number: int) -> str:
    """Return encode seconds against bpp of the clip of this number."""
    clip = results["clips"][number]
    styles = _styles(results["points"])

    def draw(axes: Axes) -> None:
        _label(axes, "rate and time", "encode time (s)", "bpp")
        _log(axes, "x")
        _log(axes, "y")
        for label, points in by_label(results["points"], clip["name"]).items():
            axes.plot(
                [point["encode_s"] for point in points],
                [point["bpp"] for point in points],
                **styles[label],
            )

    return _svg(f"time{number}-", [draw], width=2 * _WIDTH)


def psnr_by_frame(results: Results, number: int) -> str:
    """Return RGB PSNR by frame, of the points that crops.nearest_points gives for a clip."""
    clip = results["clips"][number]
    styles = _styles(results["points"])
    points = nearest_points([point for point in results["points"] if point["clip"] == clip["name"]])

    def draw(axes: Axes) -> None:
        _label(axes, "RGB by frame, at the nearest sizes", "frame", "PSNR (dB)")
        for point in points:
            shown = f"{point['label']}, {point['setting']}, {point['bytes']:,} bytes"
            style = {**styles[point["label"]], "marker": "", "label": printable(shown)}
            axes.plot(
                range(len(point["per_frame"]["psnr_rgb"])), point["per_frame"]["psnr_rgb"], **style
            )

    return _svg(f"frames{number}-", [draw], width=2 * _WIDTH)


def growth(points: Sequence[Mapping[str, Any]]) -> str:
    """Return seconds of a step against what grows, a curve for each network, parts side by side.

    Args:
        points: each with part, network, x and seconds.
    """
    networks = list(dict.fromkeys(str(point["network"]) for point in points))
    parts = list(dict.fromkeys(str(point["part"]) for point in points))
    return _svg(
        "growth-",
        [
            _growth([point for point in points if point["part"] == part], part, networks)
            for part in parts
        ],
    )


def _growth(
    points: Sequence[Mapping[str, Any]], part: str, networks: Sequence[str]
) -> Callable[[Axes], None]:
    """Return what draws one part."""

    def draw(axes: Axes) -> None:
        _label(axes, f"seconds a step and {part}", part, "s")
        _log(axes, "x")
        _log(axes, "y")
        for number, network in enumerate(networks):
            curve = [point for point in points if point["network"] == network]
            axes.plot(
                [point["x"] for point in curve],
                [point["seconds"] for point in curve],
                color=_COLORS[number],
                marker=_MARKERS[number],
                label=printable(network),
                gid=f"curve{number}",
            )

    return draw


def _styles(points: Sequence[Point]) -> dict[str, Style]:
    """Return how to draw each label's line, whatever the clip."""
    codecs: dict[str, list[str]] = {}
    for point in points:
        variants = codecs.setdefault(point["codec"], [])
        if point["label"] not in variants:
            variants.append(point["label"])
    styles: dict[str, Style] = {}
    for color, (codec, labels) in enumerate(codecs.items()):
        for dash, label in enumerate(labels):
            number = len(styles)
            is_ours = codec == OURS
            styles[label] = {
                "color": _COLORS[color % len(_COLORS)],
                "linestyle": _DASHES[dash % len(_DASHES)],
                "marker": _MARKERS[number % len(_MARKERS)],
                "markersize": 7 if is_ours else 5,
                "linewidth": 3 if is_ours else 1.3,
                "zorder": 3 if is_ours else 2,
                "label": printable(label),
                "gid": f"curve{number}",
            }
    return styles


def _rate_distortion(
    results: Results, clip: Mapping[str, Any], styles: Mapping[str, Style], plane: str, title: str
) -> Callable[[Axes], None]:
    """Return what draws the curves of a clip by the PSNR of a plane."""

    def draw(axes: Axes) -> None:
        _label(axes, title, "bpp", f"PSNR {'RGB' if plane == 'rgb' else plane.upper()} (dB)")
        _log(axes, "x")
        for label, points in by_label(results["points"], clip["name"]).items():
            axes.plot(
                [point["bpp"] for point in points],
                [point["psnr"][plane] for point in points],
                **styles[label],
            )
        if clip["ceiling_bpp"]:
            _ceiling(axes, clip["ceiling_bpp"])

    return draw


def _ceiling(axes: Axes, bpp: float) -> None:
    """Draw the rate of the stream that the source was decoded from."""
    axes.axvline(bpp, color="#666666", linestyle="--", linewidth=1, gid=_CEILING)
    axes.text(
        bpp,
        0.02,
        f"the source itself is a stream of {bpp:.3g} bpp ",
        rotation=90,
        fontsize=7,
        color="#666666",
        ha="right",
        va="bottom",
        transform=axes.get_xaxis_transform(),
    )


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    """Write title and axes."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _log(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _svg(prefix: str, drawings: Sequence[Callable[[Axes], None]], width: float = _WIDTH) -> str:
    """Return axes in rows, each made by its own function, above one legend, as SVG.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise DependencyError(
            "plots need matplotlib; install it with: pip install 'nervcodec[bench]'"
        ) from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        columns = min(len(drawings), _COLUMNS)
        rows = -(-len(drawings) // columns)
        figure = Figure((columns * width, rows * _HEIGHT), layout="constrained")
        for k, draw in enumerate(drawings):
            draw(figure.add_subplot(rows, columns, k + 1))
        _legend(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _for_inlining(file.getvalue(), prefix)


def _legend(figure: Figure) -> None:
    """Draw one entry for each label, below all axes."""
    curves: dict[str, Line2D] = {}
    for k, axes in enumerate(figure.axes):
        for line in axes.get_lines():
            if line.get_gid() != _CEILING:
                curves.setdefault(str(line.get_label()), line)
            line.set_gid(f"{line.get_gid()}-{k}")  # an id must be the only one of its name
    inches = 0.5 + 0.07 * max(map(len, curves), default=0)  # of the widest entry, near enough
    figure.legend(
        list(curves.values()),
        list(curves),
        loc="outside lower center",
        fontsize=8,
        frameon=False,
        ncols=max(1, min(len(curves), int(figure.get_figwidth() / inches))),
    )


def _for_inlining(svg: str, prefix: str) -> str:
    """Return the drawing alone, with a prefix before every id and every reference to one."""
    root = ElementTree.fromstring(svg)
    for metadata in root.findall("metadata", _NAMESPACES):
        root.remove(metadata)
    for element in root.iter():
        for name, value in element.items():
            if name == "id":
                value = prefix + value
            elif name.endswith("}href"):
                value = value.replace("#", f"#{prefix}")
            element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for name, address in _NAMESPACES.items():
        ElementTree.register_namespace(name, address)
    return ElementTree.tostring(root, encoding="unicode")
