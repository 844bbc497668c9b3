"""nervcodec.bench.bdrate: Bjontegaard figures of curves whose answer is known beforehand."""

import json
import math
import sys
from typing import Any

import pytest

from nervcodec.bench.bdrate import Delta, by_label, choose_anchor, deltas
from nervcodec.errors import ConfigError, DependencyError

ANCHOR = "x265 medium"
RISING = ((1000, 30.0), (2000, 32.0), (4000, 34.0), (8000, 36.0))


def point(label: str, n_bytes: float, psnr: float, clip: str = "a") -> dict[str, Any]:
    return {
        "clip": clip,
        "codec": label.split()[0],
        "label": label,
        "bytes": n_bytes,
        "psnr": {"y": psnr + 1, "u": 40.0, "v": 40.0, "yuv611": psnr, "rgb": psnr},
    }


def curve(label: str, *pairs: tuple[float, float], clip: str = "a") -> list[dict[str, Any]]:
    return [point(label, n_bytes, psnr, clip) for n_bytes, psnr in pairs]


def against(*pairs: tuple[float, float], anchor: tuple[tuple[float, float], ...] = RISING) -> Delta:
    """Our curve of these points against the anchor's, by RGB PSNR."""
    (found,) = deltas(curve(ANCHOR, *anchor) + curve("nervcodec medium", *pairs), ANCHOR, ("rgb",))
    return found


def near(value: float, abs: float | None = None) -> Any:
    return pytest.approx(value, abs=abs)


def by_both(value: float, abs: float | None = None) -> Any:
    """What both methods give."""
    return {"pchip": near(value, abs), "akima": near(value, abs)}


def test_half_the_bytes() -> None:
    """A curve of exactly half the bytes has a BD-rate of -50 % by both methods."""
    found = against(*((n_bytes / 2, psnr) for n_bytes, psnr in RISING))
    assert found.bd_rate == by_both(-50)
    assert found.bd_rate_reason is None


def test_one_decibel_more() -> None:
    """A curve that lies 1.5 dB higher throughout has a BD-PSNR of 1.5 dB by both methods."""
    found = against(*((n_bytes, psnr + 1.5) for n_bytes, psnr in RISING))
    assert found.bd_psnr == by_both(1.5)
    assert found.bd_psnr_reason is None


def test_a_curve_may_reach_further() -> None:
    """The mean is over what both curves cover: ours may go on along its line."""
    longer = tuple((500 * 2**k, 30.0 + 2 * k) for k in range(-1, 6))
    assert against(*longer).bd_rate == by_both(-50)


def test_curves_may_have_different_numbers_of_points() -> None:
    """Seven points against four of the same straight line make no difference."""
    line = tuple((1000 * 2 ** (k / 2), 30.0 + k) for k in range(7))
    assert against(*line).bd_rate == by_both(0, 1e-9)


def test_order_of_points_does_not_count() -> None:
    """Points in falling order give what they give in rising order."""
    half = [(n_bytes / 2, psnr) for n_bytes, psnr in RISING]
    assert against(*reversed(half)) == against(*half)


@pytest.mark.parametrize(
    ("pairs", "anchor", "reason"),
    [
        (RISING[:3], RISING, "undefined: 3 points"),
        (RISING[:1], RISING, "undefined: 1 point"),
        (RISING, RISING[1:], "undefined: 3 points (anchor)"),
        (RISING, (), "undefined: 0 points (anchor)"),
        (
            ((1000, 30.0), (2000, 32.0), (4000, 31.0), (8000, 36.0)),
            RISING,
            "undefined: not monotone",
        ),
        (
            ((1000, 30.0), (2000, 32.0), (2000, 33.0), (8000, 36.0)),
            RISING,
            "undefined: not monotone",
        ),
        (
            RISING,
            ((1000, 30.0), (2000, 32.0), (4000, 32.0), (8000, 36.0)),
            "undefined: not monotone (anchor)",
        ),
    ],
)
def test_what_rules_out_both_figures(
    pairs: tuple[tuple[float, float], ...], anchor: tuple[tuple[float, float], ...], reason: str
) -> None:
    """Too few points, or bytes and PSNR that do not both rise from point to point, give no figure
    but the reason.
    """
    found = against(*pairs, anchor=anchor)
    assert (found.bd_rate, found.bd_rate_reason) == (None, reason)
    assert (found.bd_psnr, found.bd_psnr_reason) == (None, reason)


def test_little_overlap_of_psnr() -> None:
    """Ranges of PSNR that overlap by 31 % of the shorter one give no BD-rate, whatever the
    bytes.
    """
    found = against(*((n_bytes, psnr + 6 * 0.6875) for n_bytes, psnr in RISING))
    assert (found.bd_rate, found.bd_rate_reason) == (None, "undefined: overlap of 31 %")
    assert found.bd_psnr == by_both(4.125)


def test_little_overlap_of_bytes() -> None:
    """Ranges of log bytes that overlap by a third of the shorter one give no BD-PSNR, whatever the
    PSNRs.
    """
    found = against(*((4 * n_bytes, psnr) for n_bytes, psnr in RISING))
    assert (found.bd_psnr, found.bd_psnr_reason) == (None, "undefined: overlap of 33 %")
    assert found.bd_rate == by_both(300)


def test_no_overlap() -> None:
    """Curves without a common range give neither figure."""
    found = against(*((100 * n_bytes, psnr + 10) for n_bytes, psnr in RISING))
    assert found.bd_rate_reason == found.bd_psnr_reason == "undefined: overlap of 0 %"


def test_half_an_overlap_is_enough() -> None:
    """Half of the shorter range is the least that counts, and a short curve inside a long one
    overlaps in full.
    """
    assert against(*((n_bytes, psnr + 3) for n_bytes, psnr in RISING)).bd_rate is not None
    assert (
        against(*((n_bytes, psnr + 3.01) for n_bytes, psnr in RISING)).bd_rate_reason
        == "undefined: overlap of 49 %"
    )
    short = tuple((1800 + 100 * k, 31.9 + 0.1 * k) for k in range(4))
    assert against(*short).bd_rate is not None


def test_bytes_at_equal_psnr() -> None:
    """The ratio is taken at the highest PSNR of both, by interpolating log bytes: half the bytes is
    a half.
    """
    found = against((500, 30.0), (2000, 34.0))
    assert (found.equal_psnr, found.bytes_ratio) == (34.0, near(0.5))
    assert found.bytes_ratio_reason is None


def test_bytes_are_interpolated_in_the_logarithm() -> None:
    """Between two points log bytes are linear in PSNR: half-way between 1000 and 4000 bytes are
    2000.
    """
    found = against((1000, 33.0), anchor=((1000, 32.0), (4000, 34.0)))
    assert (found.equal_psnr, found.bytes_ratio) == (33.0, near(0.5))


def test_equal_psnr_is_never_extrapolated() -> None:
    """A curve that ends below the other's beginning has no ratio, however near it comes; one that
    touches has.
    """
    apart, touching = against((1000, 29.0), (2000, 29.999)), against((1000, 29.0), (2000, 30.0))
    assert (apart.equal_psnr, apart.bytes_ratio) == (None, None)
    assert apart.bytes_ratio_reason == "undefined: no PSNR in common"
    assert (touching.equal_psnr, touching.bytes_ratio) == (30.0, near(2))


def test_equal_psnr_of_a_curve_that_falls_back() -> None:
    """Points that cost more than a better one are left out where bytes at equal PSNR are asked
    for.
    """
    found = against((500, 30.0), (1000, 32.0), (1500, 31.0), (4000, 36.0), (4000, 35.0))
    assert found.bd_rate_reason == "undefined: not monotone"
    assert (found.equal_psnr, found.bytes_ratio) == (36.0, near(0.5))


def test_equal_psnr_without_the_anchor() -> None:
    """A clip without a point of the anchor gives the reason."""
    assert against(*RISING, anchor=()).bytes_ratio_reason == "undefined: 0 points (anchor)"


def test_every_clip_curve_and_plane() -> None:
    """There is one result for each clip, each curve but the anchor, and each plane, in the order of
    the points.
    """
    points = [
        point
        for clip in "ba"
        for label in (ANCHOR, "x264 medium", "nervcodec medium")
        for point in curve(label, *RISING, clip=clip)
    ]
    found = [
        (delta.clip, delta.label, delta.anchor, delta.plane) for delta in deltas(points, ANCHOR)
    ]
    assert found == [
        (clip, label, ANCHOR, plane)
        for clip in "ba"
        for label in ("x264 medium", "nervcodec medium")
        for plane in ("y", "rgb")
    ]


def test_planes_have_their_own_figures() -> None:
    """The PSNR is that of the plane asked for."""
    points = curve(ANCHOR, *RISING) + curve("nervcodec medium", *RISING)
    assert [delta.equal_psnr for delta in deltas(points, ANCHOR, ("y", "rgb", "yuv611"))] == [
        37.0,
        36.0,
        36.0,
    ]


def test_a_result_is_json() -> None:
    """A result is plain JSON with its numbers as they are."""
    found = against(*((n_bytes / 2, psnr) for n_bytes, psnr in RISING))
    back = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert Delta(**back) == found


def test_by_label_sorts_by_bytes() -> None:
    """Curves come in the order of the points, each by rising bytes, and only those of the clip."""
    points = [point("x", 3, 30), point("y", 5, 30), point("x", 1, 29), point("x", 2, 29, clip="b")]
    found = by_label(points, "a")
    assert [(label, [each["bytes"] for each in part]) for label, part in found.items()] == [
        ("x", [1, 3]),
        ("y", [5]),
    ]


@pytest.mark.parametrize(
    ("labels", "asked", "expected"),
    [
        (["nervcodec medium", "x264 medium", ANCHOR], None, ANCHOR),
        (["nervcodec medium", "x264 medium", ANCHOR], "x264 medium", "x264 medium"),
        (["nervcodec medium", "svtav1 4", "x264 medium"], None, "svtav1 4"),
        (["nervcodec slow", "nervcodec medium"], None, "nervcodec slow"),
    ],
)
def test_choice_of_anchor(labels: list[str], asked: str | None, expected: str) -> None:
    """The anchor is the one asked for, else x265 medium, else the first that is not ours, else the
    first.
    """
    assert choose_anchor({label: label.split()[0] for label in labels}, asked) == expected


def test_unknown_anchor() -> None:
    """An anchor that is no label is refused with the labels."""
    with pytest.raises(
        ConfigError, match="^anchor is 'x266'; legal: nervcodec medium, x264 medium$"
    ):
        choose_anchor({"nervcodec medium": "nervcodec", "x264 medium": "x264"}, "x266")


def test_no_labels() -> None:
    """Results without points have no anchor."""
    with pytest.raises(ConfigError, match="no points"):
        choose_anchor({})


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bjontegaard is not installed, the error says what installs it."""
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    with pytest.raises(DependencyError, match=r"pip install 'nervcodec\[bench\]'$"):
        against(*RISING)


def test_agrees_with_the_integral() -> None:
    """BD-rate is the mean over PSNR of the difference of log bytes, here of two straight lines."""
    found = against(*((1000 * 10 ** ((psnr - 30) / 10), psnr) for psnr in (30.0, 32.0, 34.0, 36.0)))
    slope, ours = math.log10(8) / 6, 1 / 10
    expected = 100 * (10 ** ((ours - slope) * 6 / 2) - 1)
    assert found.bd_rate == by_both(expected)
