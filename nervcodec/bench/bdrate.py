"""Bjontegaard figures of a benchmark: what separates two rate-distortion curves.

This is the only import of bjontegaard.
A curve is the points of one label on one clip. BD-rate and BD-PSNR are means over the range that
both curves cover. They are given only where that means something: four points a curve, bytes and
PSNR rising together, and a common range of half the shorter curve's or more. (Half of the union of
both would rule out a curve that merely reaches further.) Bytes at equal PSNR are given wherever the
curves meet. Nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from nervcodec.errors import ConfigError, DependencyError

Method = Literal["pchip", "akima"]
Plane = Literal["y", "u", "v", "yuv611", "rgb"]
OURS = "nervcodec"  # the codec's name in results
METHODS: tuple[Method, ...] = ("pchip", "akima")
PLANES: tuple[Plane, ...] = ("y", "rgb")
_USUAL_ANCHOR = "x265 medium"
_MIN_POINTS = 4
_MIN_OVERLAP = 0.5
Point = Mapping[str, Any]


class _Curve(NamedTuple):
    """A curve: bytes in rising order, each with its PSNR."""

    n_bytes: tuple[float, ...]
    psnr: tuple[float, ...]

    @property
    def log_bytes(self) -> tuple[float, ...]:
        """Return log10 of the bytes."""
        return tuple(map(math.log10, self.n_bytes))


@dataclass(frozen=True)
class Delta:
    """The distance of a curve from the anchor's on one clip.

    Attributes:
        plane: whose PSNR the curves are of.
        bd_rate: by METHODS, how many per cent more bytes at equal PSNR; None with the reason.
        bd_psnr: by METHODS, how many dB more at equal bytes; None with the reason.
        equal_psnr: the highest PSNR in dB that both curves reach; None if they have none in common.
        bytes_ratio: bytes at that PSNR over the anchor's; None with the reason.
    """

    clip: str
    label: str
    anchor: str
    plane: Plane
    bd_rate: dict[Method, float] | None
    bd_rate_reason: str | None
    bd_psnr: dict[Method, float] | None
    bd_psnr_reason: str | None
    equal_psnr: float | None
    bytes_ratio: float | None
    bytes_ratio_reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return its entry in bd.json."""
        return asdict(self)


def by_label(points: Sequence[Point], clip: str) -> dict[str, list[Point]]:
    """Return the curves of a clip, each with its points by rising bytes."""
    curves: dict[str, list[Point]] = {}
    for point in points:
        if point["clip"] == clip:
            curves.setdefault(point["label"], []).append(point)
    return {
        label: sorted(curve, key=lambda point: int(point["bytes"]))
        for label, curve in curves.items()
    }


def choose_anchor(codecs: Mapping[str, str], anchor: str | None = None) -> str:
    """Return the label that others are compared with.

    It is the one asked for, else x265 medium, else the first foreign one, else the first.

    Args:
        codecs: label -> codec, in the order of the benchmark.
    Raises:
        ConfigError: there is no such label, or none at all.
    """
    if not codecs:
        raise ConfigError("there are no points to compare; legal: results of one curve or more")
    if anchor is not None and anchor not in codecs:
        raise ConfigError(f"anchor is {anchor!r}; legal: {', '.join(codecs)}")
    foreign = (label for label, codec in codecs.items() if codec != OURS)
    return anchor or (
        _USUAL_ANCHOR if _USUAL_ANCHOR in codecs else next(foreign, next(iter(codecs)))
    )


def deltas(points: Sequence[Point], anchor: str, planes: Sequence[Plane] = PLANES) -> list[Delta]:
    """Return every curve's distance from the anchor's of its clip, by the PSNR of each plane.

    Raises:
        DependencyError: bjontegaard is not installed.
    """
    distances = []
    for clip in dict.fromkeys(point["clip"] for point in points):
        curves = by_label(points, clip)
        for label in curves:
            if label != anchor:
                distances += [
                    _delta(
                        (clip, label, anchor, plane),
                        _curve(curves[label], plane),
                        _curve(curves.get(anchor, ()), plane),
                    )
                    for plane in planes
                ]
    return distances


def _curve(points: Sequence[Point], plane: Plane) -> _Curve:
    """Return the curve of points that are in rising order of bytes."""
    return _Curve(
        tuple(point["bytes"] for point in points), tuple(point["psnr"][plane] for point in points)
    )


def _delta(names: tuple[str, str, str, Plane], curve: _Curve, anchor: _Curve) -> Delta:
    """Return a curve's distance from the anchor's, named by clip, label, anchor and plane."""
    package = bjontegaard()
    rate_reason = _why_undefined(curve, anchor, curve.psnr, anchor.psnr)
    psnr_reason = _why_undefined(curve, anchor, curve.log_bytes, anchor.log_bytes)
    return Delta(
        *names,
        None if rate_reason else _means(package.bd_rate, curve, anchor),
        rate_reason,
        None if psnr_reason else _means(package.bd_psnr, curve, anchor),
        psnr_reason,
        *_at_equal_psnr(_front(curve), _front(anchor)),
    )


def bjontegaard() -> Any:
    """Return the package.

    Raises:
        DependencyError: it is not installed, with the line that installs it.
    """
    try:
        import bjontegaard as package
    except ImportError:
        raise DependencyError(
            "BD-rates need bjontegaard; install it with: pip install 'nervcodec[bench]'"
        ) from None
    return package


def _why_undefined(
    curve: _Curve, anchor: _Curve, axis: Sequence[float], anchor_axis: Sequence[float]
) -> str | None:
    """Return why there is no mean over the range that both curves cover; None if there is one.

    Args:
        axis, anchor_axis: what the range is of, the curves' PSNR or log bytes.
    """
    for one, whose in ((curve, ""), (anchor, " (anchor)")):
        if fault := _fault(one):
            return f"undefined: {fault}{whose}"
    common = min(axis[-1], anchor_axis[-1]) - max(axis[0], anchor_axis[0])
    share = max(common, 0) / min(axis[-1] - axis[0], anchor_axis[-1] - anchor_axis[0])
    return f"undefined: overlap of {int(100 * share)} %" if share < _MIN_OVERLAP else None


def _fault(curve: _Curve) -> str | None:
    """Return what forbids to interpolate a curve; None if nothing does."""
    n = len(curve.psnr)
    if n < _MIN_POINTS:
        return f"{n} point{'s' * (n != 1)}"
    rises = all(a < b for series in curve for a, b in zip(series, series[1:]))
    return None if rises else "not monotone"


def _means(measure: Callable[..., float], curve: _Curve, anchor: _Curve) -> dict[Method, float]:
    """Return a mean difference by each method of interpolation."""
    return {
        method: float(
            measure(*anchor, *curve, method=method, require_matching_points=False, min_overlap=0)
        )
        for method in METHODS
    }


def _front(curve: _Curve) -> _Curve:
    """Return the curve without points that another reaches or beats with as few bytes."""
    kept: list[tuple[float, float]] = []
    for n_bytes, psnr in sorted(zip(*curve), key=lambda pair: (pair[0], -pair[1])):
        if not kept or psnr > kept[-1][1]:
            kept.append((n_bytes, psnr))
    return _Curve(tuple(n_bytes for n_bytes, _ in kept), tuple(psnr for _, psnr in kept))


def _at_equal_psnr(curve: _Curve, anchor: _Curve) -> tuple[float | None, float | None, str | None]:
    """Return (the highest PSNR of both, bytes over the anchor's there, why there is none)."""
    if not anchor.psnr:
        return None, None, "undefined: 0 points (anchor)"
    highest = min(curve.psnr[-1], anchor.psnr[-1])
    if highest < max(curve.psnr[0], anchor.psnr[0]):
        return None, None, "undefined: no PSNR in common"
    return highest, 10 ** (_log_bytes(curve, highest) - _log_bytes(anchor, highest)), None


def _log_bytes(curve: _Curve, psnr: float) -> float:
    """Return log bytes at a PSNR between the ends of a rising curve, by PCHIP.

    Between two points it is linear.
    """
    if len(curve.psnr) == 1:
        return curve.log_bytes[0]
    _, _, log_bytes = bjontegaard().bd_rate(*curve, *curve, method="pchip", interpolators=True)
    return float(log_bytes(psnr))
