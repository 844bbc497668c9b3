"""nervcodec.bench.derived: rows of tables that several cases make."""

from __future__ import annotations

import math

import pytest

from nervcodec.bench.derived import (
    Row,
    beside_recipe,
    bytes_at,
    bytes_carried,
    exponents,
    gains,
    of_first,
    pivot,
    shares,
    spread,
)
from nervcodec.training.rate_model import NATS_PER_DB


def point(clip: str, n_bytes: int, db: float, **more: str | int) -> Row:
    """Return what an encode gives."""
    return {"clip": clip, "bytes": n_bytes, "rgb_db": db, **more}


def test_pivot() -> None:
    """A row for each group, each case's figures under its values."""
    rows = [point(clip, n, 30, epochs=n) for clip in "ab" for n in (20, 40)]
    wide = pivot(rows, ["clip"], ["epochs"])
    assert [(row["clip"], row["20 bytes"], row["40 bytes"]) for row in wide] == [
        ("a", 20, 40),
        ("b", 20, 40),
    ]


def test_shares() -> None:
    """Half the bytes at the same PSNR are 50 %; a decibel less makes them dearer by the slope."""
    rows = [point("a", 1000, 30, shots="one"), point("a", 500, 30, shots="cuts")]
    assert shares(rows, ["clip"], "shots", "cuts")[0]["one share"] == pytest.approx(50)
    rows[1]["rgb_db"] = 29
    share = shares(rows, ["clip"], "shots", "cuts")[0]["one share"]
    assert share == pytest.approx(50 * math.exp(NATS_PER_DB))


def test_shares_of_a_case_alone() -> None:
    """A case without the others has no share of their bytes."""
    (row,) = shares([point("a", 1000, 30, shots="one")], ["clip"], "shots", "cuts")
    assert "one share" not in row


def test_gains() -> None:
    """Rows have differences from the base's row and their mean, the base its values."""
    values: dict[str, list[float]] = {"all": [20.0, 30.0], "less": [19.5, 29.0]}
    rows: list[Row] = [
        {"name": name, "crf": crf, "loss": loss}
        for name, losses in values.items()
        for crf, loss in zip((24, 30), losses, strict=True)
    ]
    first, second = gains(rows, ["name"], ["crf"], "loss", "all")
    assert first == {"name": "all", "24 loss": 20.0, "30 loss": 30.0}
    assert second == {"name": "less", "24 loss": -0.5, "30 loss": -1.0, "mean": -0.75}


def test_gains_without_the_base() -> None:
    """Cases whose base was not measured have no gains."""
    rows: list[Row] = [{"name": "less", "crf": 24, "loss": 1.0}]
    assert gains(rows, ["name"], ["crf"], "loss", "all") == [{"name": "less"}]


def test_spread() -> None:
    """Least, greatest, mean and the standard deviation of a sample; one case has no deviation."""
    rows: list[Row] = [{"clip": "a", "bytes": value} for value in (2, 4, 9)]
    (row,) = spread(rows, ["clip"], ["bytes"])
    assert (row["least bytes"], row["greatest bytes"], row["mean bytes"]) == (2, 9, 5)
    assert row["deviation bytes"] == pytest.approx(math.sqrt(13))
    assert spread(rows[:1], ["clip"], ["bytes"])[0]["deviation bytes"] is None


def test_exponents() -> None:
    """Time that grows with the square has exponent 2, and a network's first row none."""
    rows: list[Row] = [
        {"network": name, "x": x, "seconds": x * x} for name in "ab" for x in (1, 3, 10)
    ]
    slopes = [row["seconds exponent"] for row in exponents(rows, "x", ["seconds"], "network")]
    assert slopes == [None, pytest.approx(2), pytest.approx(2)] * 2


def test_of_first() -> None:
    """The base stands once, and the rows end with the first one that is as good."""
    rows: list[Row] = [
        {"variant": variant, "seconds": seconds, "db": db}
        for variant, seconds, db in (
            ("reference", 100, 23.0),
            ("same", 90, 23.5),
            ("reference", 99, 20.0),
            ("ours", 5, 22.0),
            ("ours", 10, 23.0),
            ("ours", 20, 24.0),
        )
    ]
    lines = of_first(rows, "seconds", "db", "variant", "reference", "ours")
    assert [(row["variant"], row["share"]) for row in lines] == [
        ("reference", 100),
        ("same", 90),
        ("ours", 5),
        ("ours", 10),
    ]


def test_beside_recipe() -> None:
    """Our points stand smallest first, with the curve between two points and shares of bytes."""
    rows = [
        point("a", 1000, 30, role="recipe", parameters=7),
        point("a", 100, 29, role="curve"),
        point("a", 400, 31, role="curve"),
        point("a", 150, 30, role="point", options="--crf 1"),
        point("a", 150, 31.5, role="point", options="--crf 2"),
    ]
    lines = beside_recipe(rows)
    assert [(row["ours"], row["at_db"], row["share"]) for row in lines] == [
        ("--crf 1", 150, 15),
        ("between two crf", 200, 20),
    ]
    assert lines[0]["recipe parameters"] == 7 and lines[0]["recipe bytes"] == 1000


def test_bytes_at() -> None:
    """Between points log bytes are linear; below the curve are its least bytes, above it none."""
    curve = [(400.0, 31.0), (100.0, 29.0)]
    assert [bytes_at(curve, db) for db in (28, 29, 30, 31, 31.1)] == [100, 100, 200, 400, None]


def test_bytes_carried() -> None:
    """A decibel costs what the rate model says."""
    assert bytes_carried(100, 30, 31) == pytest.approx(100 * math.exp(NATS_PER_DB))
