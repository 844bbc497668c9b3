"""Rows of an experiment's tables that are made from several cases: pivots, gains, spreads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from nervcodec.training.rate_model import NATS_PER_DB

Cell = str | int | float | bool | None
Row = dict[str, Cell]


def pivot(rows: Sequence[Row], group: Sequence[str], by: Sequence[str]) -> list[Row]:
    """Return a row for each combination of `group`'s values.

    What a case measured stands under `VALUES KEY`, its values of `by` before the key's name, such
    as `20 bytes` where `by` is epochs.
    """
    pivoted: dict[tuple[Cell, ...], Row] = {}
    for row in rows:
        names = tuple(row.get(key) for key in group)
        wide = pivoted.setdefault(names, dict(zip(group, names, strict=True)))
        prefix = " ".join(str(row.get(key)) for key in by)
        wide.update({f"{prefix} {key}": value for key, value in row.items()})
    return list(pivoted.values())


def shares(
    rows: Sequence[Row], group: Sequence[str], by: str, of: str, db: str = "rgb_db"
) -> list[Row]:
    """Return pivot's rows with `VALUE share`: bytes of the case `of` in % of another's at its PSNR.

    Bytes are carried from one PSNR to the other by the rate model's slope.
    """
    wide = pivot(rows, group, [by])
    values = list(dict.fromkeys(str(row[by]) for row in rows))
    for row in wide:
        for value in values:
            pair = [_point(row, f"{each} bytes", f"{each} {db}") for each in (of, value)]
            if pair[0] and pair[1]:
                row[f"{value} share"] = 100 * bytes_carried(*pair[0], pair[1][1]) / pair[1][0]
    return wide


def gains(
    rows: Sequence[Row], group: Sequence[str], by: Sequence[str], key: str, base: str
) -> list[Row]:
    """Return pivot's rows: `VALUES KEY` less that of the row whose first group value is `base`.

    The base's own row keeps its values; `mean` is the mean of a row's gains.
    """
    wide = pivot(rows, group, by)
    before = next((row for row in wide if row[group[0]] == base), {})
    lines: list[Row] = []
    for row in wide:
        values = {name: row[name] for name in row if name.endswith(f" {key}")}
        if row is not before:
            values = {
                name: _number(value) - _number(before[name])
                for name, value in values.items()
                if name in before
            }
            if values:
                values["mean"] = statistics.fmean(map(_number, values.values()))
        lines.append({**{name: row[name] for name in group}, **values})
    return lines


def spread(rows: Sequence[Row], group: Sequence[str], keys: Sequence[str]) -> list[Row]:
    """Return a row a group: `least KEY`, `greatest KEY`, `mean KEY` and `deviation KEY`.

    The standard deviation is that of a sample, null for a single case.
    """
    lines: dict[tuple[Cell, ...], list[Row]] = {}
    for row in rows:
        lines.setdefault(tuple(row.get(key) for key in group), []).append(row)
    spreads = []
    for names, members in lines.items():
        line: Row = dict(zip(group, names, strict=True))
        for key in keys:
            values = [_number(row[key]) for row in members]
            line[f"least {key}"] = min(values)
            line[f"greatest {key}"] = max(values)
            line[f"mean {key}"] = statistics.fmean(values)
            line[f"deviation {key}"] = statistics.stdev(values) if len(values) > 1 else None
        spreads.append(line)
    return spreads


def exponents(rows: Sequence[Row], x: str, keys: Sequence[str], of: str) -> list[Row]:
    """Return the rows with `KEY exponent`: the slope of log KEY over log x from the row before.

    It is null at the first row of each value of `of`.
    """
    lines: list[Row] = []
    for before, row in zip([None, *rows], rows, strict=False):
        line = dict(row)
        for key in keys:
            line[f"{key} exponent"] = None
            if before and before[of] == row[of]:
                rise = math.log(_number(row[x]) / _number(before[x]))
                line[f"{key} exponent"] = (
                    math.log(_number(row[key]) / _number(before[key])) / rise if rise else None
                )
        lines.append(line)
    return lines


def of_first(rows: Sequence[Row], key: str, until: str, by: str, base: str, last: str) -> list[Row]:
    """Return the rows with `share`, their KEY in % of the first row's.

    Of the rows whose `by` is `base` only the first stays. The rows end with the first one whose
    `by` is `last` and that reaches the first row's value of `until`.
    """
    lines: list[Row] = []
    for row in rows:
        if row[by] == base and lines:
            continue
        lines.append({**row, "share": 100 * _number(row[key]) / _number(rows[0][key])})
        if row[by] == last and _number(row[until]) >= _number(rows[0][until]):
            break
    return lines


def beside_recipe(rows: Sequence[Row], within_db: float = 1.0) -> list[Row]:
    """Return our points beside each clip's recipe, smallest first, with bytes at the recipe's PSNR.

    Rows have a `role`: 'recipe', 'curve' (interpolated at its PSNR) or 'point' (carried to it by
    the rate model's slope, if within so many decibels).
    """
    lines: list[Row] = []
    for recipe in (row for row in rows if row["role"] == "recipe"):
        of_clip = [row for row in rows if row["clip"] == recipe["clip"]]
        db = _number(recipe["rgb_db"])
        curve = [_point(row, "bytes", "rgb_db") for row in of_clip if row["role"] == "curve"]
        at_db = bytes_at([point for point in curve if point], db)
        ours: list[Row] = [] if at_db is None else [{"ours": "between two crf", "at_db": at_db}]
        for row in of_clip:
            point = _point(row, "bytes", "rgb_db")
            if row["role"] == "point" and point and abs(db - point[1]) <= within_db:
                same = {"ours": row["options"], "bytes": row["bytes"], "rgb_db": row["rgb_db"]}
                ours.append({**same, "at_db": round(bytes_carried(*point, db))})
        facts = {f"recipe {key}": recipe[key] for key in ("parameters", "bytes", "rgb_db")}
        for line in sorted(ours, key=lambda line: _number(line["at_db"])):
            share = 100 * _number(line["at_db"]) / _number(recipe["bytes"])
            lines.append({"clip": recipe["clip"], **facts, **line, "share": share})
    return lines


def bytes_at(curve: Sequence[tuple[float, float]], db: float) -> int | None:
    """Return bytes at a PSNR, log bytes linear in dB between the (bytes, dB) of a curve.

    Below the curve these are its least bytes, above it None.
    """
    rising = sorted(curve, key=lambda point: point[1])
    for (low, low_db), (high, high_db) in zip(rising, rising[1:], strict=False):
        if db <= high_db:
            share = max(0.0, (db - low_db) / (high_db - low_db))
            return round(math.exp((1 - share) * math.log(low) + share * math.log(high)))
    return None


def bytes_carried(n_bytes: float, db: float, to_db: float) -> float:
    """Return the bytes that the rate model expects at another PSNR."""
    return n_bytes * math.exp(NATS_PER_DB * (to_db - db))


def _point(row: Row, n_bytes: str, db: str) -> tuple[float, float] | None:
    """Return (bytes, dB) of a row that has both."""
    if row.get(n_bytes) is None or row.get(db) is None:
        return None
    return _number(row[n_bytes]), _number(row[db])


def _number(value: Cell) -> float:
    """Return a cell that is a number."""
    assert isinstance(value, int | float), value
    return float(value)


DERIVED: Mapping[str, Callable[..., list[Row]]] = {
    function.__name__.replace("_", "-"): function
    for function in (pivot, shares, gains, spread, exponents, of_first, beside_recipe)
}
